//! Times as HTTP and S3 write them.

use base::time::Timestamp;

/// `Mon, 23 Nov 2026 19:14:26 GMT`; whole seconds.
pub(crate) fn http(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0)
        .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

/// Reads an HTTP date in any of its usual forms.
pub(crate) fn parse_http(text: &str) -> Option<Timestamp> {
    if let Ok(at) =
        jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text)
    {
        return Some(Timestamp(at.as_microsecond()));
    }
    obsolete(text).or_else(|| text.parse().ok())
}

/// The two old forms of an HTTP date, which whoever takes dates must take (RFC 9110, 5.6.7):
/// `Monday, 23-Nov-26 19:14:26 GMT` and `Mon Nov 23 19:14:26 2026`. The name of the day tells nothing.
fn obsolete(text: &str) -> Option<Timestamp> {
    let (form, rest) = match text.split_once(", ") {
        Some((_, rest)) => ("%d-%b-%y %H:%M:%S GMT", rest),
        None => ("%b %e %H:%M:%S %Y", text.split_once(' ')?.1),
    };
    let time = jiff::civil::DateTime::strptime(form, rest.trim_start()).ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
    Some(Timestamp(at.as_microsecond()))
}

/// Reads the forms of ISO 8601 that clients send, with or without a zone; without one it is UTC.
pub(crate) fn parse_any(text: &str) -> Option<Timestamp> {
    let utc = |time: jiff::civil::DateTime| jiff::tz::Offset::UTC.to_timestamp(time).ok();
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| utc(text.parse().ok()?));
    at.map(|at| Timestamp(at.as_microsecond())).or_else(|| parse_http(text))
}

/// Reads a day: `2026-11-23`, or that day's midnight in a longer form.
pub(crate) fn parse_day(text: &str) -> Option<Timestamp> {
    let dashed = text.len() >= 10 && text.as_bytes()[4] == b'-';
    let midnight = |at: &Timestamp| at.0.rem_euclid(24 * 3600 * 1_000_000) == 0;
    parse_any(text).filter(|at| dashed && midnight(at))
}

/// `2026-11-23T19:14:26.123Z`.
pub(crate) fn iso(at: Timestamp) -> String {
    at.to_string()
}

/// The same time without its fraction, as HTTP dates compare.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_written_and_read() {
        let at: Timestamp = "2026-11-23T19:14:26Z".parse().unwrap();
        assert_eq!(http(at), "Mon, 23 Nov 2026 19:14:26 GMT");
        assert_eq!(parse_http("Mon, 23 Nov 2026 19:14:26 GMT"), Some(at));
        assert_eq!(parse_http("nonsense"), None);
    }

    #[test]
    fn days_and_times_without_a_zone_are_utc() {
        let midnight: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        assert_eq!(parse_day("2026-11-23"), Some(midnight));
        assert_eq!(parse_any("2026-11-23T00:00:00"), Some(midnight));
        assert_eq!(parse_any("2026-11-23T01:00:00+01:00"), Some(midnight));
        assert_eq!(parse_day("20261123"), None);
        assert_eq!(parse_http("Monday, 23-Nov-26 00:00:00 GMT"), Some(midnight));
        assert_eq!(parse_http("Mon Nov 23 00:00:00 2026"), Some(midnight));
        let old: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(parse_http("Sunday, 06-Nov-94 08:49:37 GMT"), Some(old));
        assert_eq!(parse_http("Sun Nov  6 08:49:37 1994"), Some(old));
        assert_eq!(parse_http("Sunday, 06-Nov-94 08:49:37 CET"), None);
        assert_eq!(parse_day("2026-11-23T01:00:00Z"), None);
    }
}
