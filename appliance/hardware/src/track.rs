//! From what a sensor answered to what may be believed.
//!
//! Why: sensors lie in known ways: a code of 127 or 255 for "broken", degrees where thousandths
//! are due, the same value for ever, a gap of one read in a hundred. Who decides about heat must
//! see a bad value as bad, and must still know the last good one.
//! Invariants: pure; `now` is the time since the machine started, so a set clock changes nothing.
//! A value is good, or it is not taken at all. A jump that stays is believed after
//! [`DOUBTS_MAX`] rounds: reality wins.
//! On failure: none; the answer is a quality.

use base::{
    reading::{Quality, Reading, Source, ThermalKind},
    units::{Celsius, Share},
};
use std::{io, time::Duration};

/// What a source answered.
pub(crate) type Raw<T> = Result<T, Miss>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Not yet.
    Late,
    /// An error of the device.
    Failed,
    /// The file or the device is gone.
    Gone,
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        const ENXIO: i32 = 6;
        const ENODEV: i32 = 19;
        match error.raw_os_error() {
            Some(ENXIO | ENODEV) => Self::Gone,
            _ if error.kind() == io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Failed,
        }
    }
}

impl From<Miss> for Quality {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Late => Self::Stale,
            Miss::Failed => Self::Failed,
            Miss::Gone => Self::Lost,
        }
    }
}

/// The memory of one source: its last good value.
#[derive(Debug, Clone)]
pub(crate) struct Track<T> {
    source: Source,
    last: Option<(T, Duration)>,
}

impl<T: Clone> Track<T> {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, last: None }
    }

    /// Takes one answer.
    pub(crate) fn take(&mut self, answer: Result<T, Quality>, now: Duration) -> Reading<T> {
        let quality = match answer {
            Ok(value) => {
                self.last = Some((value, now));
                Quality::Good
            }
            Err(quality) => quality,
        };
        let (value, age) = match &self.last {
            Some((value, at)) => (Some(value.clone()), now.saturating_sub(*at)),
            None => (None, Duration::ZERO),
        };
        Reading { value, quality, age, source: self.source.clone() }
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.last.as_ref().map(|(value, _)| value)
    }
}

/// No chip of ours is colder or hotter: beyond, it is a fault code or a wrong unit.
const COLDEST: f64 = -40.0;
const HOTTEST: f64 = 150.0;
/// What chips answer when they mean "I do not know".
const FAULT_CODES: [f64; 5] = [0.0, 127.0, 127.5, 128.0, 85.0];
/// A die under sudden load rises by thirty degrees in a second; nothing moves by more.
const JUMP_MAX: f64 = 40.0;
/// A fault code next to real values is a real value.
const NEAR: f64 = 12.0;
/// Rounds after which a jump is believed.
const DOUBTS_MAX: u32 = 3;
/// A processor whose load changed and whose temperature did not, to the last digit, for this long.
const STUCK_AFTER: Duration = Duration::from_secs(600);
/// How much the load must have changed for that, in points of a hundred.
const LOAD_SWING: f64 = 40.0;

/// Judges one temperature.
#[derive(Debug, Clone)]
pub(crate) struct Thermometer {
    track: Track<Celsius>,
    kind: ThermalKind,
    still: Option<Still>,
    doubt: Option<(f64, u32)>,
}

/// Since when a value has not moved, and what the load did meanwhile.
#[derive(Debug, Clone)]
struct Still {
    value: f64,
    since: Duration,
    load: (f64, f64),
}

impl Thermometer {
    pub(crate) const fn new(source: Source, kind: ThermalKind) -> Self {
        Self { track: Track::new(source), kind, still: None, doubt: None }
    }

    /// Takes one answer in thousandths of a degree; `load` is the processor's.
    pub(crate) fn take(
        &mut self,
        raw: Raw<i64>,
        load: Option<Share>,
        now: Duration,
    ) -> Reading<Celsius> {
        let answer = match raw {
            Ok(millis) => self.judge(millis, load, now),
            Err(miss) => Err(miss.into()),
        };
        self.track.take(answer, now)
    }

    fn judge(
        &mut self,
        millis: i64,
        load: Option<Share>,
        now: Duration,
    ) -> Result<Celsius, Quality> {
        #[expect(clippy::cast_precision_loss, reason = "temperatures are small")]
        let value = millis as f64 / 1e3;
        let whole_degrees = (1..=HOTTEST as i64).contains(&millis);
        if !(COLDEST..=HOTTEST).contains(&value) || whole_degrees {
            return Err(Quality::Implausible);
        }
        if self.is_doubtful(value) {
            return Err(Quality::Implausible);
        }
        if self.is_stuck(value, load, now) { Err(Quality::Stuck) } else { Ok(Celsius(value)) }
    }

    /// A fault code, or a jump, that has not lasted yet. A fault code lasts for ever, so it is
    /// believed only near the last good value.
    fn is_doubtful(&mut self, value: f64) -> bool {
        let last = self.track.last().map(|last| last.0);
        let distance = last.map(|last| (value - last).abs());
        let cold_is_real = matches!(self.kind, ThermalKind::Ambient);
        if FAULT_CODES.contains(&value) && !(value == 85.0 || value == 0.0 && cold_is_real) {
            return distance.is_none_or(|distance| distance > NEAR);
        }
        // 85.0 is what a one-wire sensor says after it lost power; a processor may well have it.
        let bound = if value == 85.0 { NEAR } else { JUMP_MAX };
        if distance.is_none_or(|distance| distance <= bound) {
            self.doubt = None;
            return false;
        }
        let before = self.doubt.filter(|(doubted, _)| (value - doubted).abs() <= NEAR);
        let rounds = before.map_or(1, |(_, rounds)| rounds + 1);
        self.doubt = (rounds < DOUBTS_MAX).then_some((value, rounds));
        rounds < DOUBTS_MAX
    }

    fn is_stuck(&mut self, value: f64, load: Option<Share>, now: Duration) -> bool {
        if self.kind != ThermalKind::Cpu {
            return false;
        }
        let still = match self.still.take() {
            Some(still) if (still.value - value).abs() < f64::EPSILON => still,
            _ => Still { value, since: now, load: (f64::MAX, f64::MIN) },
        };
        let (low, high) =
            load.map_or(still.load, |load| (still.load.0.min(load.0), still.load.1.max(load.0)));
        let since = still.since;
        self.still = Some(Still { load: (low, high), ..still });
        now.saturating_sub(since) >= STUCK_AFTER && high - low >= LOAD_SWING
    }
}

#[cfg(test)]
mod tests;
