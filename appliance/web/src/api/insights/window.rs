//! The time that is asked about. Pure.

use base::time::Timestamp;
use std::{ops::Range, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the original goes back at most.
const NINETY: Duration = Duration::from_secs(90 * 24 * 3600);

/// A time of the names that `reporting-window` has; ninety days when none is named.
pub(super) fn last(name: Option<&str>, now: Timestamp) -> Result<Range<Timestamp>, String> {
    let days = match name.filter(|name| !name.is_empty()) {
        Some("last-24-hours") => 1,
        Some("last-7-days") => 7,
        Some("last-30-days") => 30,
        Some("last-60-days") => 60,
        Some("last-90-days") | None => 90,
        Some(other) => {
            return Err(format!(
                "reporting-window: `{other}` is none of last-24-hours, last-7-days, last-30-days, last-60-days, last-90-days"
            ));
        }
    };
    Ok(until(now, DAY * days))
}

/// From one date to another; the last ninety days where none is named.
pub(super) fn dates(
    start: Option<&str>,
    end: Option<&str>,
    now: Timestamp,
) -> Result<Range<Timestamp>, String> {
    let usual = until(now, NINETY);
    let start = start.filter(|text| !text.is_empty()).map(|text| read("start-date", text));
    let end = end.filter(|text| !text.is_empty()).map(|text| read("end-date", text));
    Ok(start.transpose()?.unwrap_or(usual.start)..end.transpose()?.unwrap_or(usual.end))
}

/// The last two weeks.
pub(super) fn fortnight(now: Timestamp) -> Range<Timestamp> {
    until(now, DAY * 14)
}

/// As long a time, right before.
pub(super) fn before(within: &Range<Timestamp>) -> Range<Timestamp> {
    Range { start: Timestamp(within.start.0 - (within.end.0 - within.start.0)), end: within.start }
}

/// What came with this very moment is within.
fn until(now: Timestamp, span: Duration) -> Range<Timestamp> {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Range { start: Timestamp(now.0.saturating_sub(micros)), end: Timestamp(now.0 + 1) }
}

fn read(what: &str, text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("{what}: `{text}` is no time such as 2026-01-31T13:00:00Z"))?;
    Ok(Timestamp(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_named_or_given_by_its_ends() {
        let now = Timestamp(1_800_000_000_000_000);
        let week = last(Some("last-7-days"), now).unwrap();
        assert_eq!(week.end.0 - 1 - week.start.0, 7 * 86_400_000_000);
        assert_eq!(last(None, now), last(Some("last-90-days"), now));
        assert!(last(Some("last-year"), now).unwrap_err().contains("last-30-days"));
        let earlier = before(&week);
        assert_eq!(
            (earlier.end, week.end.0 - week.start.0),
            (week.start, earlier.end.0 - earlier.start.0)
        );
        let given = dates(Some("1970-01-01T00:00:01Z"), Some("1970-01-01T00:00:02Z"), now);
        assert_eq!(given, Ok(Timestamp(1_000_000)..Timestamp(2_000_000)));
        assert!(dates(Some("yesterday"), None, now).is_err());
        assert_eq!(dates(None, Some(""), now), last(None, now));
    }
}
