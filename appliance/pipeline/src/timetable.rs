//! Timetables of the API's schedules, as the original writes them.
//!
//! Decision: `per-hour` spreads evenly from the full hour (3: minutes 0, 20, 40); the original
//! chooses the minutes itself and does not tell them.

use crate::cron::Cron;
use serde::{Deserialize, Serialize};

/// When a schedule runs, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timetable {
    /// Times in each of its hours, 1 to 60.
    pub per_hour: u32,
    /// 0 to 23, at least one.
    pub hours_of_day: Vec<u32>,
    /// `SUN` to `SAT`; these or days of the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_of_week: Option<Vec<String>>,
    /// 1 to 31.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_of_month: Option<Vec<u32>>,
    /// `JAN` to `DEC`; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<Vec<String>>,
}

/// Why a timetable means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("timetable: {0}")]
pub struct TimetableError(String);

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

impl Timetable {
    /// The same as a set of minutes.
    ///
    /// # Errors
    /// A value out of range, no hour, or not exactly one of the two kinds of days.
    pub fn cron(&self) -> Result<Cron, TimetableError> {
        let wrong = |text: &str| Err(TimetableError(text.to_owned()));
        if !(1..=60).contains(&self.per_hour) {
            return wrong("`per-hour` must be 1 to 60");
        }
        if self.hours_of_day.is_empty() || self.hours_of_day.iter().any(|hour| *hour > 23) {
            return wrong("`hours-of-day` must list hours from 0 to 23");
        }
        let (days, weekdays) = match (&self.days_of_month, &self.days_of_week) {
            (Some(days), None) => (days.clone(), vec![]),
            (None, Some(names)) => (vec![], numbers(names, &DAYS, 0, "days-of-week")?),
            _ => return wrong("give either `days-of-week` or `days-of-month`"),
        };
        let is_empty = days.is_empty() && weekdays.is_empty();
        if is_empty || days.iter().any(|day| !(1..=31).contains(day)) {
            return wrong("the days must be a list of SUN to SAT, or of 1 to 31");
        }
        let months = numbers(self.months.as_deref().unwrap_or_default(), &MONTHS, 1, "months")?;
        let minutes: Vec<u32> = (0..self.per_hour).map(|n| n * 60 / self.per_hour).collect();
        Ok(Cron::from_lists(&minutes, &self.hours_of_day, &days, &months, &weekdays))
    }
}

fn numbers(
    names: &[String],
    known: &[&str],
    first: u32,
    field: &str,
) -> Result<Vec<u32>, TimetableError> {
    let number = |name: &String| {
        let at = known.iter().position(|known| known.eq_ignore_ascii_case(name));
        at.and_then(|at| u32::try_from(at).ok()).map(|at| at + first).ok_or_else(|| {
            TimetableError(format!("`{name}` in `{field}` is none of {}", known.join(", ")))
        })
    };
    names.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cron::Minute;

    fn check(
        text: &str,
        (minute, hour, day, month, weekday): (u32, u32, u32, u32, u32),
        expected: bool,
    ) {
        let table: Timetable = serde_json::from_str(text).unwrap();
        let at = Minute { minute, hour, day, month, weekday };
        assert_eq!(table.cron().unwrap().fires(at), expected, "{text} at {at}");
    }

    #[test]
    fn a_timetable_fires_on_its_minutes_alone() {
        let week = r#"{"per-hour":3,"hours-of-day":[2],"days-of-week":["TUE","SUN"]}"#;
        check(week, (20, 2, 9, 5, 2), true);
        check(week, (0, 2, 9, 5, 0), true);
        check(week, (20, 2, 9, 5, 3), false);
        check(week, (21, 2, 9, 5, 2), false);
        check(week, (20, 3, 9, 5, 2), false);
        let month = r#"{"per-hour":1,"hours-of-day":[0],"days-of-month":[1,31],"months":["MAR"]}"#;
        check(month, (0, 0, 31, 3, 4), true);
        check(month, (0, 0, 31, 5, 4), false);
    }

    #[test]
    fn what_is_no_timetable_is_refused_with_the_reason() {
        for (text, words) in [
            (r#"{"per-hour":0,"hours-of-day":[1],"days-of-week":["MON"]}"#, "per-hour"),
            (r#"{"per-hour":1,"hours-of-day":[24],"days-of-week":["MON"]}"#, "hours-of-day"),
            (r#"{"per-hour":1,"hours-of-day":[1]}"#, "either"),
            (r#"{"per-hour":1,"hours-of-day":[1],"days-of-week":["M"]}"#, "none of SUN"),
            (r#"{"per-hour":1,"hours-of-day":[1],"days-of-week":[]}"#, "days must be"),
        ] {
            let table: Timetable = serde_json::from_str(text).unwrap();
            assert!(table.cron().unwrap_err().to_string().contains(words), "{text}");
        }
    }
}
