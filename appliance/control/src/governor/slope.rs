//! How fast a temperature moves, over a short window.
//!
//! Why: a case takes minutes to show what a fan that stopped will do; the slope shows it in half a
//! minute. Units: degrees Celsius and seconds of the governor's own clock.
//! Bounds: at most one sample for each second of the window.

use std::collections::VecDeque;

/// Long enough that a sensor of whole degrees gives no false slope, short enough to be early.
pub(super) const WINDOW_SECONDS: f64 = 30.0;

/// Fewer samples, or a shorter stretch of time, tell nothing.
const SAMPLES_MIN: usize = 6;
const STRETCH_MIN_SECONDS: f64 = 8.0;

/// One for each second of the window, and some for a sampler in a hurry.
const SAMPLES_MAX: usize = 64;

/// The newest samples of one sensor.
#[derive(Debug, Clone, Default)]
pub(super) struct Slope {
    samples: VecDeque<(f64, f64)>,
}

impl Slope {
    /// Takes in `celsius`, measured at `clock`.
    pub(super) fn push(&mut self, clock: f64, celsius: f64) {
        self.samples.push_back((clock, celsius));
        while self.samples.len() > SAMPLES_MAX
            || self.samples.front().is_some_and(|(at, _)| clock - at > WINDOW_SECONDS)
        {
            self.samples.pop_front();
        }
    }

    /// Degrees a second: the line of least squares. Zero while too little is known.
    pub(super) fn per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        if self.samples.len() < SAMPLES_MIN || last.0 - first.0 < STRETCH_MIN_SECONDS {
            return 0.0;
        }
        let count = f64::from(u32::try_from(self.samples.len()).expect("few samples"));
        let mean = |of: fn(&(f64, f64)) -> f64| self.samples.iter().map(of).sum::<f64>() / count;
        let (time, celsius) = (mean(|one| one.0), mean(|one| one.1));
        let spread: f64 = self.samples.iter().map(|one| (one.0 - time).powi(2)).sum();
        let both: f64 = self.samples.iter().map(|one| (one.0 - time) * (one.1 - celsius)).sum();
        both / spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: impl IntoIterator<Item = (f64, f64)>, expected: f64) {
        let mut slope = Slope::default();
        samples.into_iter().for_each(|(at, celsius)| slope.push(at, celsius));
        let found = slope.per_second();
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn a_line_has_its_slope_and_too_little_has_none() {
        check((0..40).map(|at| (f64::from(at), 20.0 + 0.5 * f64::from(at))), 0.5);
        check((0..40).map(|at| (f64::from(at), 50.0)), 0.0);
        check([(0.0, 1.0), (1.0, 90.0)], 0.0);
        check([], 0.0);
        check((0..20).map(|at| (f64::from(at) / 100.0, f64::from(at))), 0.0);
    }
}
