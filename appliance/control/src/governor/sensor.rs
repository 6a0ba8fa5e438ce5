//! Whether a reading can be believed.
//!
//! Why: sensors block, fail, stick and lie. What cannot be believed is as bad as no reading: the
//! last good value serves for ten seconds, then the zone falls to its safe values.
//! A reading is refused when it is no number, outside of what silicon survives, one of the codes
//! that chips give for "no value" (127, 128, 255, −128, −273 …), a bare zero far from the last
//! value, or a fall faster than any metal cools. A rise is always believed: to doubt it would give
//! more to a worse reading.
//! A sensor sticks when the load of the host has changed much, for long, and it has not moved at
//! all; one that has never moved at all beside others is no sensor ([`Judge::never_moved`]).
//! Units: degrees Celsius, seconds.

/// How long the last good value serves.
pub(super) const LAST_GOOD_SECONDS: f64 = 10.0;

/// Outside, it is a code or a fault of units, not a temperature.
const PLAUSIBLE: std::ops::Range<f64> = -40.0..126.0;

/// Nearer to nothing than this is a bare zero, or a value divided once too often.
const ZERO: f64 = 0.2;

/// A bare zero further than this from the last good value is a dead chip.
const ZERO_NEAR: f64 = 15.0;

/// Degrees a second that no metal cools, but for one second's noise.
const FALL_PER_SECOND: f64 = 15.0;
const FALL_FREE: f64 = 15.0;

/// Readings that insist on a fall are believed in the end: the sensor was wrong before.
const FALLS_BELIEVED: u32 = 30;

/// How long a sensor may show one value while the load changes by [`STUCK_LOAD`].
const STUCK_SECONDS: f64 = 600.0;
const STUCK_LOAD: f64 = 0.5;
/// The load is averaged over this time, so that a moment's change is none.
const LOAD_SECONDS: f64 = 60.0;

/// What was judged of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Judged {
    /// Believed.
    Good(f64),
    /// Not believed or missing; the last good value still serves.
    LastGood,
    /// Missing, wrong or stuck for longer.
    Lost,
}

/// What is known of one sensor.
#[derive(Debug, Clone, Default)]
pub(super) struct Judge {
    last: Option<f64>,
    since_good: f64,
    falls: u32,
    moved: bool,
    still_seconds: f64,
    load: Option<f64>,
    load_range: Option<(f64, f64)>,
}

impl Judge {
    /// Judges one reading, `seconds` after the one before.
    pub(super) fn judge(&mut self, reading: Option<f64>, load: f64, seconds: f64) -> Judged {
        self.since_good += seconds;
        let good = reading.filter(|celsius| self.is_plausible(*celsius, seconds));
        if let Some(celsius) = good {
            self.stillness(celsius, load, seconds);
            self.last = Some(celsius);
            (self.since_good, self.falls) = (0.0, 0);
        }
        match good {
            _ if self.is_stuck() => Judged::Lost,
            Some(celsius) => Judged::Good(celsius),
            None if self.last.is_some() && self.since_good <= LAST_GOOD_SECONDS => Judged::LastGood,
            None => Judged::Lost,
        }
    }

    /// It has shown one value since it was first read.
    pub(super) fn never_moved(&self) -> bool {
        !self.moved
    }

    pub(super) fn is_stuck(&self) -> bool {
        let swing = self.load_range.map_or(0.0, |(low, high)| high - low);
        self.still_seconds >= STUCK_SECONDS && swing >= STUCK_LOAD
    }

    fn is_plausible(&mut self, celsius: f64, seconds: f64) -> bool {
        if !celsius.is_finite() || !PLAUSIBLE.contains(&celsius) {
            return false;
        }
        let Some(last) = self.last else { return celsius != 0.0 };
        if celsius.abs() < ZERO && last.abs() > ZERO_NEAR {
            return false;
        }
        let elapsed = self.since_good.max(seconds);
        if last - celsius > FALL_FREE + FALL_PER_SECOND * elapsed && self.falls < FALLS_BELIEVED {
            self.falls += 1;
            return false;
        }
        true
    }

    fn stillness(&mut self, celsius: f64, load: f64, seconds: f64) {
        let load = load.clamp(0.0, 1.0);
        let mean = self
            .load
            .map_or(load, |mean| mean + (load - mean) * (1.0 - (-seconds / LOAD_SECONDS).exp()));
        self.load = Some(mean);
        #[expect(clippy::float_cmp, reason = "a stuck sensor repeats the very same number")]
        let same = self.last.is_some_and(|last| last == celsius);
        if same {
            self.still_seconds += seconds;
            let (low, high) = self.load_range.unwrap_or((mean, mean));
            self.load_range = Some((low.min(mean), high.max(mean)));
        } else {
            self.moved |= self.last.is_some();
            (self.still_seconds, self.load_range) = (0.0, Some((mean, mean)));
        }
    }
}
