//! Conditions of bucket policies, pure: operators and how they compare.
//!
//! A request that has no value for a condition's key fulfils its negative forms and `…IfExists` alone.
//! Source: "IAM JSON policy elements: condition operators".

use super::{
    dates,
    policy::{Asked, matches},
};
use base::time::Timestamp;

/// A known condition operator without its prefix and suffix.
pub(super) fn operator_of(operator: &str) -> Option<&str> {
    const KNOWN: [&str; 26] = [
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
        "NumericEquals",
        "NumericNotEquals",
        "NumericLessThan",
        "NumericLessThanEquals",
        "NumericGreaterThan",
        "NumericGreaterThanEquals",
        "DateEquals",
        "DateNotEquals",
        "DateLessThan",
        "DateLessThanEquals",
        "DateGreaterThan",
        "DateGreaterThanEquals",
        "Bool",
        "Null",
        "IpAddress",
        "NotIpAddress",
        "ArnEquals",
        "ArnLike",
        "ArnNotEquals",
        "ArnNotLike",
    ];
    let plain = operator.split_once(':').map_or(operator, |(_, plain)| plain);
    let plain = plain.strip_suffix("IfExists").unwrap_or(plain);
    KNOWN.into_iter().find(|known| *known == plain)
}

/// The condition holds for the request.
pub(super) fn holds(operator: &str, key: &str, wanted: &[String], asked: &Asked<'_>) -> bool {
    let found = (asked.value)(key);
    let Some(plain) = operator_of(operator) else { return false };
    if plain == "Null" {
        let absent = found.is_none();
        return wanted.iter().any(|text| text.eq_ignore_ascii_case("true") == absent);
    }
    let negative = plain.contains("Not");
    let Some(found) = found else {
        return operator.ends_with("IfExists") || negative;
    };
    let any = |value: &String| wanted.iter().any(|wanted| compare(plain, wanted, value));
    let each = operator.starts_with("ForAllValues:");
    match (negative, each) {
        (true, _) => !found.iter().any(any),
        (false, true) => found.iter().all(any),
        (false, false) => found.iter().any(any),
    }
}

/// Compares as the positive form of an operator does.
fn compare(operator: &str, wanted: &str, found: &str) -> bool {
    let numbers = || Some((found.parse::<f64>().ok()?, wanted.parse::<f64>().ok()?));
    let number = |test: fn(&f64, &f64) -> bool| numbers().is_some_and(|(a, b)| test(&a, &b));
    let times = || Some((time(found)?, time(wanted)?));
    let date =
        |test: fn(&Timestamp, &Timestamp) -> bool| times().is_some_and(|(a, b)| test(&a, &b));
    match operator {
        "StringLike" | "StringNotLike" | "ArnLike" | "ArnNotLike" | "ArnEquals"
        | "ArnNotEquals" => matches(wanted, found),
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" | "Bool" => {
            wanted.eq_ignore_ascii_case(found)
        }
        "NumericEquals" | "NumericNotEquals" => number(f64::eq),
        "NumericLessThan" => number(f64::lt),
        "NumericLessThanEquals" => number(f64::le),
        "NumericGreaterThan" => number(f64::gt),
        "NumericGreaterThanEquals" => number(f64::ge),
        "DateEquals" | "DateNotEquals" => date(Timestamp::eq),
        "DateLessThan" => date(Timestamp::lt),
        "DateLessThanEquals" => date(Timestamp::le),
        "DateGreaterThan" => date(Timestamp::gt),
        "DateGreaterThanEquals" => date(Timestamp::ge),
        "IpAddress" | "NotIpAddress" => in_network(wanted, found),
        _ => wanted == found,
    }
}

/// A time as policies write it: ISO 8601, or seconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(seconds) => Some(Timestamp(seconds.checked_mul(1_000_000)?)),
        Err(_) => dates::parse_any(text),
    }
}

fn in_network(network: &str, address: &str) -> bool {
    use std::net::IpAddr;
    let (base, length) = network.split_once('/').unwrap_or((network, "128"));
    let (Ok(base), Ok(address), Ok(length)) =
        (base.parse::<IpAddr>(), address.parse::<IpAddr>(), length.parse::<u32>())
    else {
        return false;
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let shift = 32 - length.min(32);
            base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let shift = 128 - length.min(128);
            base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operator: &str, wanted: &str, found: &str, expected: bool) {
        assert_eq!(compare(operator, wanted, found), expected, "{found} {operator} {wanted}");
    }

    #[test]
    fn times_are_compared_as_times_in_both_spellings() {
        let noon = "2026-11-23T12:00:00Z";
        check("DateEquals", "2026-11-23T13:00:00+01:00", noon, true);
        check("DateEquals", "1795435200", noon, true);
        check("DateLessThan", "2026-11-24", noon, true);
        check("DateLessThan", noon, noon, false);
        check("DateLessThanEquals", noon, noon, true);
        check("DateGreaterThan", "2026-11-23", noon, true);
        check("DateGreaterThanEquals", "2026-11-24", noon, false);
        check("DateGreaterThan", "yesterday", noon, false);
    }

    #[test]
    fn networks_hold_their_addresses() {
        assert!(in_network("10.0.0.0/8", "10.1.2.3"));
        assert!(!in_network("10.0.0.0/8", "11.1.2.3"));
        assert!(in_network("0.0.0.0/0", "11.1.2.3"));
    }
}
