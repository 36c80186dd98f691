//! Durations, sizes and shares: text to value and back.

use std::fmt;
use std::time::Duration;

/// Why a text is no duration, no size or no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarError {
    /// There is no number at the front.
    NoNumber,
    /// The number has a fraction.
    Fraction,
    /// The number has no unit.
    NoUnit,
    /// The unit is none; perhaps this one was meant.
    Unit(Option<&'static str>),
    /// It is too large to be counted.
    Overflow,
}

impl fmt::Display for ScalarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNumber => "it starts with no number",
            Self::Fraction => "fractions are not understood: use a smaller unit",
            Self::NoUnit => "the unit is missing",
            Self::Unit(_) => "the unit is unknown",
            Self::Overflow => "the number is too large",
        })
    }
}

const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// `"500ms"`, `"10s"`, `"5m"`, `"1h"`.
///
/// # Errors
/// Anything else; a number without a unit, too.
pub(super) fn duration(text: &str) -> Result<Duration, ScalarError> {
    let (number, unit) = split(text)?;
    let meant = || match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "millis" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hour" | "hours" => Some("h"),
        _ => None,
    };
    scaled(number, unit, &DURATIONS, meant).map(Duration::from_millis)
}

/// `"512B"`, `"64KiB"`, `"1MiB"`, `"2GiB"` (powers of 1024), `"10KB"`, `"10MB"`, `"1GB"` (of
/// 1000). In bytes.
///
/// # Errors
/// Anything else; a number without a unit, too (a plain integer is no text).
pub(super) fn size(text: &str) -> Result<u64, ScalarError> {
    let (number, unit) = split(text)?;
    let meant = || match unit.to_ascii_lowercase().as_str() {
        "b" | "bytes" => Some("B"),
        "k" | "kb" | "kib" => Some("KiB"),
        "m" | "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        _ => None,
    };
    scaled(number, unit, &SIZES, meant)
}

/// `"20%"`. In percent; whether it is over 100 is for the caller.
///
/// # Errors
/// Anything else; a number without a unit, too.
pub(super) fn percent(text: &str) -> Result<u64, ScalarError> {
    let (number, unit) = split(text)?;
    scaled(number, unit, &[("%", 1)], || Some("%"))
}

fn split(text: &str) -> Result<(u64, &str), ScalarError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(ScalarError::NoNumber)?;
    match (number.is_empty(), unit.as_bytes().first()) {
        (true, _) => Err(ScalarError::NoNumber),
        (false, None) => Err(ScalarError::NoUnit),
        (false, Some(b'.' | b',')) => Err(ScalarError::Fraction),
        (false, Some(_)) => Ok((number.parse().map_err(|_| ScalarError::Overflow)?, unit)),
    }
}

fn scaled(
    number: u64,
    unit: &str,
    units: &[(&'static str, u64)],
    meant: impl Fn() -> Option<&'static str>,
) -> Result<u64, ScalarError> {
    let unit = units.iter().find(|(name, _)| *name == unit);
    let (_, factor) = unit.ok_or_else(|| ScalarError::Unit(meant()))?;
    number.checked_mul(*factor).ok_or(ScalarError::Overflow)
}

/// A duration as [`duration`] reads it, in the largest unit that divides it. Parts of a
/// millisecond are cut off.
#[must_use]
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, DURATIONS.iter().rev())
}

/// A size as [`size`] reads it, in the largest power of 1024 that divides it.
#[must_use]
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, SIZES.iter().take(4).rev())
}

fn show<'a>(value: u64, mut units: impl Iterator<Item = &'a (&'static str, u64)>) -> String {
    // The last unit has the factor 1 and divides everything; zero is shown in it, too.
    let unit =
        units.find(|(_, factor)| *factor == 1 || (value != 0 && value.is_multiple_of(*factor)));
    unit.map_or_else(|| value.to_string(), |(name, factor)| format!("{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ScalarError::{Fraction, NoNumber, NoUnit, Overflow, Unit};
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let millis = |ms| Ok(Duration::from_millis(ms));
        let cases = [
            ("500ms", millis(500)),
            ("10s", millis(10_000)),
            ("5m", millis(300_000)),
            ("1h", millis(3_600_000)),
            ("0s", millis(0)),
            ("007s", millis(7_000)),
            ("", Err(NoNumber)),
            ("s", Err(NoNumber)),
            ("-1s", Err(NoNumber)),
            (" 1s", Err(NoNumber)),
            ("10", Err(NoUnit)),
            ("1.5s", Err(Fraction)),
            ("10 s", Err(Unit(None))),
            ("10sec", Err(Unit(Some("s")))),
            ("10S", Err(Unit(Some("s")))),
            ("1d", Err(Unit(None))),
            ("1s2s", Err(Unit(None))),
            ("99999999999999999999s", Err(Overflow)),
            ("18446744073709551615h", Err(Overflow)),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("64KiB", Ok(65_536)),
            ("1MiB", Ok(1 << 20)),
            ("10MB", Ok(10_000_000)),
            ("2GiB", Ok(2 << 30)),
            ("5B", Ok(5)),
            ("64K", Err(Unit(Some("KiB")))),
            ("64kb", Err(Unit(Some("KiB")))),
            ("1TiB", Err(Unit(None))),
            ("1.5MiB", Err(Fraction)),
            ("64", Err(NoUnit)),
            ("none", Err(NoNumber)),
            ("18446744073709551615KiB", Err(Overflow)),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn shares() {
        let cases = [
            ("0%", Ok(0)),
            ("20%", Ok(20)),
            ("101%", Ok(101)),
            ("20", Err(NoUnit)),
            ("20 %", Err(Unit(Some("%")))),
            ("20percent", Err(Unit(Some("%")))),
            ("0.5%", Err(Fraction)),
            ("-1%", Err(NoNumber)),
            ("%", Err(NoNumber)),
        ];
        for (text, expected) in cases {
            assert_eq!(percent(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(value: u64) {
            prop_assert_eq!(size(&show_size(value)), Ok(value));
            let time = Duration::from_millis(value);
            prop_assert_eq!(duration(&show_duration(time)), Ok(time));
        }
    }
}
