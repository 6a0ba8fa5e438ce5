//! Quantities with their unit in the type.
//!
//! Why: a limit of `4096` is pages, bytes or megabytes until somebody guesses wrong.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr, time::Duration};

/// A size or an offset in bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: expected digits and a unit, such as 512 MiB")]
pub struct BytesError(String);

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Bytes {
    /// `n` kibibytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` mebibytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` gibibytes.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = UNITS.into_iter().find(|(_, size)| self.0 >= *size).unwrap_or(("B", 1));
        if self.0.is_multiple_of(size) {
            return write!(f, "{} {unit}", self.0 / size);
        }
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let value = self.0 as f64 / size as f64;
        write!(f, "{value:.1} {unit}")
    }
}

impl FromStr for Bytes {
    type Err = BytesError;
    fn from_str(text: &str) -> Result<Self, BytesError> {
        let bad = || BytesError(text.chars().take(64).collect());
        let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let unit = text.trim()[digits.len()..].trim();
        let factor = match unit {
            "" => 1,
            _ => UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1,
        };
        let count: u64 = digits.parse().map_err(|_| bad())?;
        count.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

/// A share of a whole, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

impl Percent {
    /// `None` above 100.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 100 { Some(Self(value)) } else { None }
    }

    /// The share as a whole number, 0 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = String;
    fn try_from(value: u8) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("{value} is more than 100 percent"))
    }
}

impl From<Percent> for u8 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

/// Declares a measured quantity: a finite number with its unit in the name of the type.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal, $decimals:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl Unit for $name {
            const UNIT: &'static str = $unit;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:.", $decimals, "} ", $unit), self.0)
            }
        }
    };
}

/// A type whose values are told with a unit on the wire.
pub trait Unit {
    /// The unit, as people write it; empty for a bare count or a state.
    const UNIT: &'static str;
}

quantity!(
    /// A temperature in degrees Celsius.
    Celsius, "°C", "1"
);
quantity!(
    /// A power in watts.
    Watts, "W", "1"
);
quantity!(
    /// Turns of a fan in a minute.
    Rpm, "rpm", "0"
);
quantity!(
    /// A share of a whole in percent, with its fractions: 4.6 is 4.6 %.
    Share, "%", "1"
);
quantity!(
    /// A frequency in megahertz.
    Megahertz, "MHz", "0"
);

impl Unit for Bytes {
    const UNIT: &'static str = "B";
}

impl Unit for u64 {
    const UNIT: &'static str = "";
}

impl Unit for Span {
    const UNIT: &'static str = "ms";
}

/// A measured span of time; milliseconds with fractions on the wire, so that a disk's latency keeps
/// its digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.0.as_secs_f64() * 1e3)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let millis = f64::deserialize(from)?;
        Duration::try_from_secs_f64(millis / 1e3).map(Self).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 1e-3 {
            write!(f, "{:.0} µs", seconds * 1e6)
        } else if seconds < 1.0 {
            write!(f, "{:.1} ms", seconds * 1e3)
        } else {
            write!(f, "{seconds:.1} s")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(text.parse::<Bytes>().ok().map(|bytes| bytes.0), expected, "{text}");
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        check("0", Some(0));
        check("512 MiB", Some(512 << 20));
        check("4KiB", Some(4096));
        check("1.5 GiB", None);
        check("12 parsecs", None);
        check("99999999999 TiB", None);
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_fits() {
        assert_eq!(Bytes(0).to_string(), "0 B");
        assert_eq!(Bytes::mib(512).to_string(), "512 MiB");
        assert_eq!(Bytes(9_961_472).to_string(), "9.5 MiB");
    }

    #[test]
    fn quantities_are_shown_with_their_unit() {
        assert_eq!(Celsius(81.24).to_string(), "81.2 °C");
        assert_eq!(Rpm(1200.0).to_string(), "1200 rpm");
        assert_eq!(Share(4.62).to_string(), "4.6 %");
        assert_eq!(Span(Duration::from_micros(1_250)).to_string(), "1.2 ms");
        assert_eq!(Span(Duration::from_micros(5)).to_string(), "5 µs");
        assert_eq!(serde_json::to_string(&Span(Duration::from_micros(1_250))).unwrap(), "1.25");
    }
}
