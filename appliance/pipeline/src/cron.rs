//! Cron expressions of schedule triggers: five fields, UTC.
//!
//! As on the original service, steps (`*/20`), ranges inside lists (`1-3,5`) and ranges of named
//! days (`tue-sat`) are refused; lists, ranges and names of months and days are read. Day of month
//! and day of week: when both are restricted, either is enough (POSIX).

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

impl Minute {
    /// The calendar's minute, from minutes since 1970-01-01T00:00Z.
    #[must_use]
    pub fn at(minutes: i64) -> Self {
        let (days, rest) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
        // Years begin in March, so that the leap day is the last of one; eras have 400 years.
        let shifted = days + 719_468;
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let small = |value: i64| u32::try_from(value).unwrap_or(0);
        Self {
            minute: small(rest % 60),
            hour: small(rest / 60),
            day: small(day_of_year - (153 * month + 2) / 5 + 1),
            month: small(if month < 10 { month + 3 } else { month - 9 }),
            // The first of January 1970 was a Thursday.
            weekday: small((days + 4).rem_euclid(7)),
        }
    }
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

    /// A schedule from lists of values, as the API's timetables hold them. No value of a list means
    /// every; values out of range are left out.
    #[must_use]
    pub fn from_lists(
        minutes: &[u32],
        hours: &[u32],
        days: &[u32],
        months: &[u32],
        weekdays: &[u32],
    ) -> Self {
        let set = |list: &[u32], field: &Field| {
            let listed = list.iter().filter(|value| (field.low..=field.high).contains(value));
            match list.is_empty() {
                true => (field.low..=field.high).fold(0, |set, value| set | 1 << value),
                false => listed.fold(0_u64, |set, value| set | 1 << value),
            }
        };
        let [minute, hour, day, month, weekday] = &FIELDS;
        Self {
            minutes: set(minutes, minute),
            hours: set(hours, hour),
            days: set(days, day),
            months: set(months, month),
            weekdays: set(weekdays, weekday) & 0x7f,
            any_day: days.is_empty(),
            any_weekday: weekdays.is_empty(),
        }
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
            let range = item.split_once('-');
            if range.is_some() && text.contains(',') {
                return Err(format!(
                    "the range `{item}` stands in a list; list its values of {}",
                    self.name
                ));
            }
            if range.is_some() && item.contains(|c: char| c.is_ascii_alphabetic()) {
                return Err(format!(
                    "the range `{item}` has names; list its values of {}",
                    self.name
                ));
            }
            let (from, to) = range.unwrap_or((item, item));
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
        check("0 0 * * tue,sat", (0, 0, 1, 1, 6), true);
        check("0 8-17 * * *", (0, 17, 1, 1, 6), true);
        check("0 0 1 jan *", (0, 0, 2, 1, 3), false);
    }

    #[test]
    fn minutes_since_the_epoch_are_minutes_of_the_calendar() {
        for (minutes, shown, weekday) in [
            (0, "01-01 00:00 UTC", 4),
            (-1, "12-31 23:59 UTC", 3),
            (28_401_119, "12-31 23:59 UTC", 0),
            (28_485_360, "02-28 12:00 UTC", 3),
            (28_486_800, "02-29 12:00 UTC", 4),
            (29_924_595, "11-23 23:15 UTC", 1),
        ] {
            let at = Minute::at(minutes);
            assert_eq!((at.to_string().as_str(), at.weekday), (shown, weekday), "{minutes}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for (cron, words) in [
            ("* * * *", "5 fields"),
            ("*/5 * * * *", "steps"),
            ("60 * * * *", "not a minute"),
            ("0 0 * * 5-1", "ends before"),
            ("0 0 * * tue-sat", "has names; list its values of day of week"),
            ("0 0 1-3,5 * *", "stands in a list; list its values of day of month"),
            ("", "5 fields"),
        ] {
            assert!(Cron::parse(cron).unwrap_err().to_string().contains(words), "{cron}");
        }
    }
}
