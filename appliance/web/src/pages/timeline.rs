//! A workflow's jobs over time: when each waited and when it ran.
//!
//! Units: the drawing is 1000 wide whatever the span; pure.

use super::look::Looks;
use base::time::Timestamp;
use maud::{Markup, html};
use store::runs::Job;

/// Width of the drawing.
const WIDTH: u128 = 1000;

/// Between these times a workflow's bars are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Left edge.
    pub from: Timestamp,
    /// Right edge.
    pub to: Timestamp,
}

impl Scale {
    fn place(self, at: Timestamp) -> u128 {
        let whole = self.to.since(self.from).as_micros().max(1);
        (at.since(self.from).as_micros() * WIDTH / whole).min(WIDTH)
    }
}

/// One job's bar: grey while it waited for a runner, coloured while it ran.
#[must_use]
pub(super) fn bar(job: &Job, scale: Scale, now: Timestamp) -> Markup {
    let end = job.stopped_at.unwrap_or(now);
    let queued = job.queued_at.map(|at| (at, job.started_at.unwrap_or(end)));
    let ran = job.started_at.map(|at| (at, end));
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="1000" height="10" {}
            @if let Some((from, to)) = queued { (part("waited", scale, from, to)) }
            @if let Some((from, to)) = ran { (part(job.state.look().class(), scale, from, to)) }
        }
    }
}

fn part(class: &str, scale: Scale, from: Timestamp, to: Timestamp) -> Markup {
    let (left, right) = (scale.place(from), scale.place(to));
    // A bar that is too short to be seen is drawn a little longer.
    let width = right.saturating_sub(left).max(if class == "waited" { 0 } else { 6 });
    html! { rect class=(class) x=(left.min(WIDTH - width)) width=(width) height="10" {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at: i64, expected: u128) {
        let scale = Scale { from: Timestamp(100), to: Timestamp(300) };
        assert_eq!(scale.place(Timestamp(at)), expected, "{at}");
    }

    #[test]
    fn times_are_placed_within_the_drawing() {
        check(100, 0);
        check(200, 500);
        check(300, 1000);
        check(0, 0);
        check(900, 1000);
    }

    #[test]
    fn a_workflow_that_took_no_time_is_drawn_without_harm() {
        let scale = Scale { from: Timestamp(5), to: Timestamp(5) };
        assert_eq!(scale.place(Timestamp(5)), 0);
    }
}
