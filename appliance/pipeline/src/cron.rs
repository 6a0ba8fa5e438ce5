//! Cron expressions of schedule triggers: five fields, UTC.
//!
//! As on the original service, steps (`*/20`) are refused in configurations; lists, ranges and
//! names of months and days are read. Day of month and day of week: when both are restricted,
//! either is enough (POSIX).

use std::fmt;

/// A schedule as sets of minutes, hours, days, months and weekdays (bit masks).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

/// A minute of the calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 1 to 31.
    pub day: u32,
    /// 1 to 12.
    pub month: u32,
    /// 0 (Sunday) to 6.
    pub weekday: u32,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cron '{text}': {reason}")]
pub struct CronError {
    text: String,
    reason: String,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    Field { name: "day of week", low: 0, high: 7, names: &DAYS },
];

impl Cron {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Not five fields, a value out of range, or step syntax.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let error = |reason: String| CronError { text: text.chars().take(60).collect(), reason };
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() != FIELDS.len() {
            return Err(error(format!(
                "expected 5 fields (minute hour day month weekday), found {}",
                parts.len()
            )));
        }
        let mut sets = [0; 5];
        for ((set, field), part) in sets.iter_mut().zip(&FIELDS).zip(&parts) {
            *set = field.set(part).map_err(error)?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        // Sunday is 0 and 7.
        let weekdays = (weekdays | weekdays >> 7) & 0x7f;
        Ok(Self {
            minutes,
            hours,
            days,
            months,
            weekdays,
            any_day: parts[2] == "*",
            any_weekday: parts[4] == "*",
        })
    }

    /// Whether the schedule falls on that minute.
    #[must_use]
    pub fn fires(&self, at: Minute) -> bool {
        let has = |set: u64, value: u32| value < 64 && set >> value & 1 == 1;
        let (day, weekday) = (has(self.days, at.day), has(self.weekdays, at.weekday));
        let on_day = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        has(self.minutes, at.minute)
            && has(self.hours, at.hour)
            && has(self.months, at.month)
            && on_day
    }
}

impl Field {
    fn set(&self, text: &str) -> Result<u64, String> {
        if text.contains('/') {
            return Err(format!(
                "steps such as `*/20` are not supported; list the values of {}",
                self.name
            ));
        }
        if text == "*" {
            return Ok((self.low..=self.high).fold(0, |set, value| set | 1 << value));
        }
        let mut set = 0;
        for item in text.split(',') {
            let (from, to) = item.split_once('-').unwrap_or((item, item));
            let (from, to) = (self.value(from)?, self.value(to)?);
            if from > to {
                return Err(format!("the range `{item}` of {} ends before it starts", self.name));
            }
            set |= (from..=to).fold(0_u64, |set, value| set | 1 << value);
        }
        Ok(set)
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.low + u32::try_from(index).unwrap_or(0));
        }
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
            .filter(|value| (self.low..=self.high).contains(value))
            .ok_or_else(|| {
                format!("`{text}` is not a {} ({} to {})", self.name, self.low, self.high)
            })
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02} {:02}:{:02} UTC", self.month, self.day, self.hour, self.minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        cron: &str,
        (minute, hour, day, month, weekday): (u32, u32, u32, u32, u32),
        expected: bool,
    ) {
        let at = Minute { minute, hour, day, month, weekday };
        assert_eq!(Cron::parse(cron).unwrap().fires(at), expected, "{cron} at {at}");
    }

    #[test]
    fn fires_on_its_minutes_alone() {
        check("0 3 * * *", (0, 3, 9, 5, 2), true);
        check("0 3 * * *", (1, 3, 9, 5, 2), false);
        check("0,30 * * * *", (30, 17, 9, 5, 2), true);
        check("0 0 * * 1-5", (0, 0, 9, 5, 6), false);
        check("0 0 * * sun", (0, 0, 9, 5, 0), true);
        check("0 0 * * 7", (0, 0, 9, 5, 0), true);
        check("0 0 1 * 1", (0, 0, 9, 5, 1), true);
        check("0 0 1 jan *", (0, 0, 1, 1, 3), true);
        check("0 0 1 jan *", (0, 0, 2, 1, 3), false);
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for (cron, words) in [
            ("* * * *", "5 fields"),
            ("*/5 * * * *", "steps"),
            ("60 * * * *", "not a minute"),
            ("0 0 * * fri-mon", "ends before"),
            ("", "5 fields"),
        ] {
            assert!(Cron::parse(cron).unwrap_err().to_string().contains(words), "{cron}");
        }
    }
}
