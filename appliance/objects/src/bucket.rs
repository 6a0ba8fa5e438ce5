//! Buckets: names, settings, and those that the house makes for itself.

use crate::{
    access_log::Logging,
    cors::CorsRule,
    details::{self, Encryption, Grant},
    error::Error,
    lifecycle,
    lock::LockDefault,
    notify,
};
use base::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::{
    Reader, Txn,
    objects::{BucketRow, NewBucket},
};

/// Buckets of the house, made at the first start; no access key owns them.
pub const HOUSE: [&str; 5] = ["artifacts", "caches", "workspaces", "logs", "images"];

/// The owner of the house's buckets.
pub const HOUSE_OWNER: &str = "site";

/// Whether a bucket keeps versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versioning {
    /// Never did.
    Off,
    /// Does.
    On,
    /// Did, and keeps those it has.
    Suspended,
}

impl Versioning {
    /// As it is stored.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Suspended => "suspended",
        }
    }

    fn stored(text: &str) -> Self {
        match text {
            "on" => Self::On,
            "suspended" => Self::Suspended,
            _ => Self::Off,
        }
    }
}

/// Public access that is shut off whatever lists and policies say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicBlock {
    /// New public lists are refused.
    pub(crate) block_acls: bool,
    /// Public lists have no effect.
    pub(crate) ignore_acls: bool,
    /// New public policies are refused.
    pub(crate) block_policy: bool,
    /// A public policy serves the owner alone.
    pub(crate) restrict: bool,
}

/// What was set on a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Who else may do what; `None` is private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grants: Option<Vec<Grant>>,
    /// The bucket policy, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// `BucketOwnerEnforced`, `BucketOwnerPreferred` or `ObjectWriter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ownership: Option<String>,
    /// Which public access is shut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_block: Option<PublicBlock>,
    /// Versions may be locked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lock: bool,
    /// The retention of versions that are stored without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lock_default: Option<LockDefault>,
    /// How objects are encrypted that are stored without a wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Encryption>,
    /// Tags of the bucket in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(String, String)>,
    /// Which pages of other origins may ask for what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cors: Vec<CorsRule>,
    /// What ends when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lifecycle: Vec<lifecycle::Rule>,
    /// Who is told what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notify: Vec<notify::Rule>,
    /// Where its requests are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logging: Option<Logging>,
    /// At most so many bytes; a site's own setting, not S3's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<u64>,
}

/// A bucket and what was set on it.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    /// Its row's number.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: String,
    /// Who made it.
    pub(crate) owner: String,
    /// When.
    pub(crate) created: Timestamp,
    /// Whether it keeps versions.
    pub(crate) versioning: Versioning,
    /// What was set on it.
    pub(crate) settings: Settings,
}

impl crate::cache::Weight for Bucket {
    fn weight(&self) -> usize {
        // Rules are short and few; what may be large is the policy.
        let policy = self.settings.policy.as_ref().map_or(0, String::len);
        let rules = self.settings.lifecycle.len() + self.settings.cors.len();
        size_of::<Self>() + policy + 512 * rules + 256
    }
}

impl Bucket {
    pub(crate) fn from_row(row: BucketRow) -> Result<Self, Error> {
        Ok(Self {
            settings: details::parse(&row.name, &row.settings)?,
            versioning: Versioning::stored(&row.versioning),
            id: row.id,
            name: row.name,
            owner: row.owner,
            created: row.created,
        })
    }
}

/// The house needs the bucket of that name. Its owner does not tell: somebody may go by the house's word.
pub(crate) fn is_house(name: &str) -> bool {
    HOUSE.contains(&name)
}

/// Finds a bucket.
pub(crate) fn get(reader: &Reader<'_>, name: &str) -> Result<Bucket, Error> {
    let row = reader.bucket_get(name)?.ok_or_else(|| Error::NoBucket(name.to_owned()))?;
    Bucket::from_row(row)
}

/// Writes back what was set.
pub(crate) fn save(txn: &mut Txn<'_>, bucket: &Bucket) -> Result<(), store::Error> {
    txn.bucket_update(bucket.id, bucket.versioning.as_str(), &details::text(&bucket.settings))
}

/// Makes the house's buckets that are missing.
pub(crate) fn make_house(txn: &mut Txn<'_>, now: Timestamp) -> Result<(), store::Error> {
    for name in HOUSE {
        if txn.bucket_get(name)?.is_none() {
            txn.bucket_insert(&NewBucket {
                name,
                owner: HOUSE_OWNER,
                created: now,
                versioning: Versioning::Off.as_str(),
                settings: "{}",
            })?;
        }
    }
    Ok(())
}

/// A bucket may have that name: one that S3 takes, 3 to 63 of `a-z0-9.-`, letter or digit at both ends, no `..`, no
/// hyphen beside a dot, not like an IPv4 address.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'.' | b'-'))
        && bytes.first().is_some_and(|byte| plain(*byte))
        && bytes.last().is_some_and(|byte| plain(*byte))
        && !["..", ".-", "-."].iter().any(|bad| name.contains(bad))
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, accepted: bool) {
        assert_eq!(is_name(name), accepted, "{name}");
    }

    #[test]
    fn names_are_those_that_s3_takes() {
        for good in ["abc", "a.b", "1-2", "artifacts", &"a".repeat(63)] {
            check(good, true);
        }
        for bad in
            ["", "ab", "Abc", "a_b", "-ab", "ab-", "a..b", "a.-b", "a-.b", "10.0.0.1", "../x"]
        {
            check(bad, false);
        }
        check(&"a".repeat(64), false);
    }
}
