//! Object lock, pure: which versions may not be removed, and until when.
//!
//! Invariants: a legal hold or a COMPLIANCE retention yields to nobody; a GOVERNANCE retention
//! yields to who asks for the bypass and may have it; without it, a retention only
//! ever becomes longer. Source: "How S3 Object Lock works".

use crate::{
    bucket::Settings,
    details::{Details, Retention},
};
use base::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// What new versions of a bucket are given when their sender asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockDefault {
    /// COMPLIANCE instead of GOVERNANCE.
    pub(crate) compliance: bool,
    /// How long.
    pub(crate) period: Period,
}

/// A length of time as the bucket's owner wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Period {
    /// Days of 24 hours.
    Days(u32),
    /// Years of 365 days, as S3 counts them.
    Years(u32),
}

impl LockDefault {
    /// The retention of a version stored now.
    pub(crate) fn retention(self, now: Timestamp) -> Retention {
        let days = match self.period {
            Period::Days(days) => u64::from(days),
            Period::Years(years) => u64::from(years) * 365,
        };
        Retention {
            compliance: self.compliance,
            until: now.plus(Duration::from_secs(days.saturating_mul(DAY))),
        }
    }
}

/// Gives a version that is stored now the retention of its bucket, unless its sender asked for one.
pub(crate) fn retain(details: &mut Details, settings: &Settings, now: Timestamp) {
    let default = settings.lock_default.filter(|_| settings.lock);
    if let (None, Some(default)) = (&details.retention, default) {
        details.retention = Some(default.retention(now));
    }
}

/// May a version be removed for good?
pub(crate) fn permits_removal(details: &Details, now: Timestamp, bypass: bool) -> bool {
    let held = details.legal_hold;
    let retained = details
        .retention
        .as_ref()
        .is_some_and(|kept| kept.until > now && (kept.compliance || !bypass));
    !held && !retained
}

/// May a retention be replaced by another one, or lifted? Another mode, even a stricter one, is
/// a change that a bypass is needed for, as on S3.
pub(crate) fn permits_change(
    old: Option<&Retention>,
    new: Option<&Retention>,
    now: Timestamp,
    bypass: bool,
) -> bool {
    let Some(old) = old.filter(|kept| kept.until > now) else { return true };
    let longer = new.is_some_and(|new| new.until >= old.until && new.compliance == old.compliance);
    longer || (!old.compliance && bypass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(compliance: bool, until: i64) -> Retention {
        Retention { compliance, until: Timestamp(until) }
    }

    fn check(retention: Option<Retention>, hold: bool, bypass: bool, expected: bool) {
        let details = Details { retention, legal_hold: hold, ..Details::default() };
        assert_eq!(permits_removal(&details, Timestamp(100), bypass), expected, "{details:?}");
    }

    #[test]
    fn what_is_held_or_retained_stays() {
        check(None, false, false, true);
        check(None, true, true, false);
        check(Some(kept(false, 101)), false, false, false);
        check(Some(kept(false, 101)), false, true, true);
        check(Some(kept(true, 101)), false, true, false);
        check(Some(kept(true, 100)), false, false, true);
    }

    #[test]
    fn a_retention_begins_when_a_version_is_stored_and_a_wish_of_its_sender_wins() {
        let lock_default = Some(LockDefault { compliance: true, period: Period::Days(1) });
        let retained = |asked: Option<Retention>, lock: bool| {
            let settings = Settings { lock, lock_default, ..Settings::default() };
            let mut details = Details { retention: asked, ..Details::default() };
            retain(&mut details, &settings, Timestamp(5));
            details.retention
        };
        assert_eq!(retained(None, true), Some(kept(true, 86_400_000_005)));
        assert_eq!(retained(Some(kept(false, 7)), true), Some(kept(false, 7)));
        assert_eq!(retained(None, false), None);
    }

    #[test]
    fn a_retention_only_becomes_longer_without_the_bypass() {
        let now = Timestamp(100);
        let (governed, longer, complied) = (kept(false, 200), kept(false, 300), kept(true, 300));
        let change = |old: &Retention, new: Option<&Retention>, bypass| {
            permits_change(Some(old), new, now, bypass)
        };
        assert!(change(&governed, Some(&longer), false));
        assert!(!change(&governed, Some(&complied), false));
        assert!(change(&governed, Some(&complied), true));
        assert!(!change(&longer, Some(&governed), false));
        assert!(change(&longer, Some(&governed), true));
        assert!(!change(&complied, Some(&longer), true));
        assert!(!change(&complied, None, true));
        assert!(change(&governed, None, true));
    }
}
