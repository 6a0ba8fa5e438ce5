//! The newest pipelines as a strip of bars. Pure.

use super::{links, moment, pipelines::Row};
use base::time::Timestamp;
use maud::{Markup, html};
use std::time::Duration;

/// More would be a wall, not a strip.
const BARS: usize = 40;

/// Height of the strip and its lowest bar.
const STRIP: u128 = 40;
const STRIP_LOWEST: u128 = 5;

/// Height of a bar. By the root of the duration, so that one that waited a day for its approval
/// does not flatten all others.
fn height(span: Duration, longest: Duration) -> u128 {
    let root = |span: Duration| span.as_millis().isqrt();
    STRIP_LOWEST + root(span) * (STRIP - STRIP_LOWEST) / root(longest).max(1)
}

/// The newest pipelines as bars, oldest on the left: height is duration, colour is state.
pub(super) fn draw(rows: &[Row], now: Timestamp) -> Markup {
    let spans: Vec<Duration> = rows
        .iter()
        .take(BARS)
        .map(|row| {
            let (from, to) = row.took();
            from.map_or(Duration::ZERO, |from| to.unwrap_or(now).since(from))
        })
        .collect();
    let longest = spans.iter().max().copied().unwrap_or_default();
    let count = spans.len();
    let label = format!(
        "Durations of the last {count} pipelines; the longest took {}",
        moment::span(longest)
    );
    html! {
        svg.strip viewBox=(format!("0 0 {} {STRIP}", count * 12)) height=(STRIP) width=(count * 12) role="img" aria-label=(label) {
            @for (index, (row, span)) in rows.iter().zip(&spans).enumerate() {
                @let (x, height) = ((count - 1 - index) * 12, height(*span, longest));
                a href=(links::pipeline(&row.repo, row.pipeline.number)) tabindex="-1" {
                    title { (row.repo) " #" (row.pipeline.number) ": " (row.word) ", " (moment::span(*span)) }
                    rect.hit x=(x) y="0" width="12" height=(STRIP) {}
                    rect.(row.look.class()) x=(x + 1) y=(STRIP - height) width="9" height=(height) rx="2" {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: u64, longest: u64, expected: u128) {
        assert_eq!(height(Duration::from_secs(seconds), Duration::from_secs(longest)), expected);
    }

    #[test]
    fn a_long_wait_does_not_flatten_the_rest() {
        check(0, 100, 5);
        check(100, 100, 40);
        check(25, 100, 22);
        check(60, 86_400, 5);
        check(0, 0, 5);
    }
}
