//! Whether a reading can be believed, and what it counts for.
//!
//! Why: sensors block, fail, stick and lie. What cannot be believed is as bad as no reading: the
//! last good value serves for ten seconds, then the zone falls to its safe values.
//! No temperature at all is what is no number, what is outside of what silicon survives, and the
//! codes that chips give for "no value" (127, 128, 255, −128, −273 …). A temperature is doubted
//! when it falls to a bare zero, or faster than any metal cools; a rise is always believed.
//! A sensor sticks when the load of the host has changed much, for long, and it has not moved at
//! all; one that has never moved at all beside others is no sensor ([`Judged::never_moved`]).
//! Invariant: bad news counts at once, good news one step later. A step works with the higher of
//! the reading and the last good value, and with the trust that was earned before it. So of two
//! temperatures in one state the hotter never counts for less, whichever of them is believed:
//! doubt begins only where the reading does not count any more.
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

/// How far a sensor is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Its last reading was believed.
    Good,
    /// The last good value still serves.
    LastGood,
    /// Missing, wrong or stuck for longer.
    Lost,
}

/// What was judged of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    /// Earned before this reading.
    pub(super) trust: Trust,
    /// What the reading counts for; `None` when it is missing and no good value serves any more.
    pub(super) celsius: Option<f64>,
    /// Before this reading, the sensor had shown one value since it was first read.
    pub(super) never_moved: bool,
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

/// A temperature, and not a code, a fault of units or no number at all.
pub(super) fn temperature(reading: Option<f64>) -> Option<f64> {
    reading.filter(|celsius| PLAUSIBLE.contains(celsius))
}

/// Whether a sensor that shows this for the first time is a sensor: a bare zero is none.
pub(super) fn is_first(reading: Option<f64>) -> bool {
    temperature(reading).is_some_and(|celsius| celsius != 0.0)
}

impl Judge {
    /// Judges one reading, `seconds` after the one before.
    pub(super) fn judge(&mut self, reading: Option<f64>, load: f64, seconds: f64) -> Judged {
        let (trust, never_moved) = (self.trust(), !self.moved);
        self.since_good += seconds;
        let celsius = match (temperature(reading), self.last) {
            (Some(celsius), Some(last)) => Some(celsius.max(last)),
            (None, Some(_)) if trust == Trust::Lost => None,
            (celsius, last) => celsius.or(last),
        };
        if let Some(good) = temperature(reading).filter(|good| self.believes(*good, seconds)) {
            self.stillness(good, load, seconds);
            self.last = Some(good);
            (self.since_good, self.falls) = (0.0, 0);
        }
        Judged { trust, celsius, never_moved }
    }

    pub(super) fn is_stuck(&self) -> bool {
        let swing = self.load_range.map_or(0.0, |(low, high)| high - low);
        self.still_seconds >= STUCK_SECONDS && swing >= STUCK_LOAD
    }

    fn trust(&self) -> Trust {
        match self.since_good {
            _ if self.is_stuck() => Trust::Lost,
            seconds if seconds <= 0.0 => Trust::Good,
            seconds if seconds <= LAST_GOOD_SECONDS => Trust::LastGood,
            _ => Trust::Lost,
        }
    }

    fn believes(&mut self, celsius: f64, seconds: f64) -> bool {
        let Some(last) = self.last else { return true };
        if celsius.abs() < ZERO && last > ZERO_NEAR {
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
