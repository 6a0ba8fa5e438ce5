//! Lines over time, drawn on the server: readable without a script, in any theme, on a phone.
//!
//! Units: the drawing is [`WIDTH`] by [`HEIGHT`] whatever the span; values are scaled to a ceiling
//! that the caller gives or the largest value sets. Invariants: pure; a gap in the data is a gap
//! in the line; the number of points is bounded by [`POINTS_MAX`], extremes kept.

use super::moment;
use base::time::Timestamp;
use maud::{Markup, html};
use std::{fmt::Write, time::Duration};

pub(super) const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 150.0;

/// More points than a wide screen has columns of these.
const POINTS_MAX: usize = 360;

/// Two points further apart than this are not joined: the service was down between them.
const GAP: Duration = Duration::from_secs(900);

/// One line.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// Class of the stroke: `one`, `two`, `three`.
    pub(super) class: &'a str,
    /// Draws a step instead of a slope.
    pub(super) steps: bool,
    pub(super) points: Vec<(Timestamp, Option<f64>)>,
}

/// A span of time that is coloured behind the lines.
pub(super) struct Mark {
    pub(super) class: &'static str,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) word: &'static str,
}

/// What a chart shows.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Bottom of the drawing; what is lower lies on it.
    pub(super) floor: f64,
    /// Top of the drawing; grows with the data.
    pub(super) ceiling: f64,
    /// A horizontal line: the limit.
    pub(super) limit: Option<f64>,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) marks: &'a [Mark],
}

impl Chart<'_> {
    fn top(&self) -> f64 {
        let values = self.lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1);
        let top =
            values.chain(self.limit).filter(|value| value.is_finite()).fold(self.ceiling, f64::max);
        nice(top)
    }

    fn x(&self, at: Timestamp) -> f64 {
        let whole = self.to.since(self.from).as_secs_f64().max(1.0);
        (at.since(self.from).as_secs_f64() / whole * WIDTH).clamp(0.0, WIDTH)
    }

    fn y(&self, value: f64, top: f64) -> f64 {
        let whole = (top - self.floor).max(f64::MIN_POSITIVE);
        HEIGHT - ((value - self.floor) / whole).clamp(0.0, 1.0) * HEIGHT
    }

    /// The numbers beside the lines of the grid, from the top.
    fn scale(&self, top: f64) -> [String; 3] {
        let part = |share: f64| amount(self.floor + (top - self.floor) * share);
        [format!("{} {}", part(1.0), self.unit), part(0.5), part(0.0)]
    }

    fn path(&self, line: &Line<'_>, top: f64) -> String {
        let mut path = String::new();
        let mut last: Option<(Timestamp, f64)> = None;
        for (at, value) in thin(&line.points) {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                last = None;
                continue;
            };
            let (x, y) = (self.x(at), self.y(value, top));
            let joined = last.filter(|(before, _)| at.since(*before) <= GAP);
            // Writing to a string cannot fail.
            let _ = match joined {
                Some((_, before)) if line.steps && (before - y).abs() > f64::EPSILON => {
                    write!(path, "H{x:.1}V{y:.1}")
                }
                Some(_) => write!(path, "L{x:.1} {y:.1}"),
                None => write!(path, "M{x:.1} {y:.1}"),
            };
            last = Some((at, y));
        }
        path
    }

    /// The chart with its legend: names and last values, so that it can be read aloud.
    pub(super) fn draw(&self) -> Markup {
        let top = self.top();
        let told: Vec<String> = self.lines.iter().map(|line| self.told(line)).collect();
        html! {
            figure.chart {
                figcaption {
                    b { (self.title) }
                    @for (line, told) in self.lines.iter().zip(&told) {
                        span.key { i.(line.class) {} (told) }
                    }
                }
                div.plot {
                ol.scale aria-hidden="true" { @for number in self.scale(top) { li { (number) } } }
                svg viewBox="0 0 720 150" preserveAspectRatio="none" role="img"
                    aria-label=(format!("{}: {}", self.title, told.join(", "))) {
                    @for mark in self.marks {
                        @let (from, to) = (self.x(mark.from), self.x(mark.to));
                        rect.mark.(mark.class) x=(format!("{from:.1}")) y="0" height="150"
                            width=(format!("{:.1}", (to - from).max(1.5))) {
                            title { (mark.word) ", " (moment::full(mark.from)) }
                        }
                    }
                    @for part in 1..4 {
                        @let y = HEIGHT * f64::from(part) / 4.0;
                        line.grid x1="0" x2="720" y1=(y) y2=(y) {}
                    }
                    @if let Some(limit) = self.limit {
                        @let y = format!("{:.1}", self.y(limit, top));
                        line.limit x1="0" x2="720" y1=(y) y2=(y) {}
                    }
                    @for line in &self.lines {
                        path.(line.class) d=(self.path(line, top)) {}
                    }
                }
                p.axis aria-hidden="true" {
                    time datetime=(self.from) { (moment::short(self.from)) }
                    time datetime=(self.to) { (moment::short(self.to)) }
                }
                }
            }
        }
    }

    fn told(&self, line: &Line<'_>) -> String {
        match line.points.iter().rev().find_map(|point| point.1) {
            Some(value) => format!("{} {} {}", line.name, amount(value), self.unit),
            None => format!("{}: not measured", line.name),
        }
    }
}

/// A number with as many digits as are worth reading.
fn amount(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// The next round number: 1, 2, 2.5, 4, 5, 8 or 10 times a power of ten.
fn nice(value: f64) -> f64 {
    let value = value.max(1e-9);
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.999).unwrap_or(10.0);
    step * power
}

/// Of each group of points the highest; nothing that was hot may vanish.
fn thin(points: &[(Timestamp, Option<f64>)]) -> Vec<(Timestamp, Option<f64>)> {
    let size = points.len().div_ceil(POINTS_MAX).max(1);
    let highest = |group: &[(Timestamp, Option<f64>)]| {
        let best = |a: &&(Timestamp, Option<f64>), b: &&(Timestamp, Option<f64>)| {
            a.1.unwrap_or(f64::MIN).total_cmp(&b.1.unwrap_or(f64::MIN))
        };
        group.iter().max_by(best).copied()
    };
    let mut thinned: Vec<_> = points.chunks(size).filter_map(highest).collect();
    if let Some(last) = points.last()
        && thinned.last() != Some(last)
    {
        thinned.push(*last);
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_nice(value: f64, expected: f64) {
        assert!((nice(value) - expected).abs() < 1e-6, "{value}: {}", nice(value));
    }

    #[test]
    fn the_ceiling_is_a_round_number() {
        check_nice(80.0, 80.0);
        check_nice(81.2, 100.0);
        check_nice(3.0, 4.0);
        check_nice(0.0, 1e-9);
        check_nice(1_200_000.0, 2_000_000.0);
    }

    #[test]
    fn a_gap_is_a_gap_and_the_highest_point_stays() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut points: Vec<_> = (0..2000).map(|second| (at(second), Some(50.0))).collect();
        points[777].1 = Some(81.0);
        assert!(thin(&points).iter().any(|point| point.1 == Some(81.0)));
        assert!(thin(&points).len() <= POINTS_MAX + 1);
        let line = |points| Line { name: "a", class: "one", steps: false, points };
        let chart = Chart {
            title: "t",
            unit: "°C",
            from: at(0),
            to: at(4000),
            floor: 0.0,
            ceiling: 100.0,
            limit: Some(80.0),
            lines: Vec::new(),
            marks: &[],
        };
        let path = |points| chart.path(&line(points), 100.0);
        assert_eq!(path(vec![(at(0), Some(100.0)), (at(400), Some(0.0))]), "M0.0 0.0L72.0 150.0");
        let gap = path(vec![(at(0), Some(50.0)), (at(10), None), (at(400), Some(50.0))]);
        assert_eq!(gap.matches('M').count(), 2);
        let down = path(vec![(at(0), Some(50.0)), (at(2000), Some(50.0))]);
        assert_eq!(down.matches('M').count(), 2, "the service was down between");
        assert!(path(vec![(at(0), Some(f64::NAN))]).is_empty());
        let warm = Chart { floor: 20.0, ..chart };
        assert_eq!(warm.scale(100.0), ["100 °C", "60", "20"]);
        assert!((warm.y(60.0, 100.0) - 75.0).abs() < 1e-9 && warm.y(5.0, 100.0) >= 150.0);
    }
}
