//! Times and spans for people.
//!
//! Invariants: pure; `now` is an argument. Every time is written in full in its `datetime`, so
//! that the browser can keep the short form fresh and show the full one.

use base::time::Timestamp;
use maud::{Markup, html};
use std::time::Duration;

/// `2m 05s`, `1h 02m`, `420 ms`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..=9 => format!("{:.1}s", span.as_secs_f32()),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `just now`, `5 min ago`, `3 h ago`, `12 d ago`.
#[must_use]
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    match seconds {
        0..=9 => "just now".to_owned(),
        10..=59 => format!("{seconds} s ago"),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// `2026-11-23 19:14:26 UTC`.
#[must_use]
pub fn full(at: Timestamp) -> String {
    let iso = at.to_string();
    let (date, time) = iso.split_once('T').unwrap_or((&iso, ""));
    format!("{date} {} UTC", time.get(..8).unwrap_or(time))
}

/// `11-23 19:14 UTC`, where space is scarce.
#[must_use]
pub fn short(at: Timestamp) -> String {
    format!("{} UTC", full(at).get(5..16).unwrap_or_default())
}

/// A time as its age, in full on hover.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) title=(full(at)) data-age { (age(at, now)) } }
}

/// How long something took or has been taking; one that goes on is counted on by the browser.
#[must_use]
pub fn took(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Markup {
    html! {
        @match (from, to) {
            (None, _) => span.faint { "–" },
            (Some(from), Some(to)) => span title=(format!("{} to {}", full(from), full(to))) { (span(to.since(from))) },
            (Some(from), None) => time datetime=(from) title=(format!("since {}", full(from))) data-since { (span(now.since(from))) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(millis: u64, expected: &str) {
        assert_eq!(span(Duration::from_millis(millis)), expected);
    }

    #[test]
    fn spans_show_what_matters() {
        check(420, "420 ms");
        check(1_500, "1.5s");
        check(42_900, "42s");
        check(125_000, "2m 05s");
        check(3_725_000, "1h 02m");
    }

    #[test]
    fn a_clock_that_ran_backwards_reads_as_just_now() {
        assert_eq!(age(Timestamp(9), Timestamp(5)), "just now");
        assert_eq!(age(Timestamp(0), Timestamp(7_200_000_000)), "2 h ago");
        assert_eq!(full(Timestamp(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(short(Timestamp(0)), "01-01 00:00 UTC");
    }
}
