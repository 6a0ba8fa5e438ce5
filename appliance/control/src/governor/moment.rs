//! What every limiter is told beside its own readings, and small words they share.

use super::Law;

/// One step of the governor's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) law: &'a Law,
    /// Jobs that run.
    pub(super) running: u32,
    /// Seconds since the last step: never negative, never more than [`super::STEP_MAX_SECONDS`].
    pub(super) seconds: f64,
    /// Seconds of the governor's own clock, which knows no jumps.
    pub(super) clock: f64,
}

impl Moment<'_> {
    pub(super) fn pool(&self) -> u32 {
        self.law.pool
    }

    pub(super) fn safe(&self) -> u32 {
        self.law.safe_slots()
    }
}

/// Part of the way from `old` to `new`, by a time constant in seconds.
pub(super) fn toward(old: f64, new: f64, seconds: f64, time_constant: f64) -> f64 {
    old + (new - old) * (1.0 - (-seconds / time_constant).exp())
}

/// Whole slots of a number that is at least zero; the rest is rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the pool")]
pub(super) fn slots(number: f64) -> u32 {
    number.max(0.0).ceil() as u32
}

/// A number from outside: anything that is no number counts as missing.
pub(super) fn finite(number: Option<f64>) -> Option<f64> {
    number.filter(|value| value.is_finite())
}

/// Whether a source that was there is still there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Presence {
    was_seen: bool,
    missing_seconds: f64,
}

/// Long enough for a sampler's hiccup, short against any harm.
const LAST_GOOD_SECONDS: f64 = 10.0;

impl Presence {
    /// True when a source that was seen has been missing for too long. A source that was never
    /// there is not missed.
    pub(super) fn is_lost(&mut self, is_present: bool, seconds: f64) -> bool {
        self.was_seen |= is_present;
        self.missing_seconds = if is_present { 0.0 } else { self.missing_seconds + seconds };
        self.was_seen && self.missing_seconds > LAST_GOOD_SECONDS
    }
}
