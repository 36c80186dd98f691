//! `Range` (RFC 9110 14.2) over a body that is there whole.

use super::super::bytes::trim;

/// What a `Range` asks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: there is no range that is understood, or there are several.
    All,
    /// These bytes: from the first, to the one behind the last. Not empty.
    Part(u64, u64),
    /// Bytes that it does not have: 416.
    Nothing,
}

/// What the field's value asks of a body of `length` bytes.
#[must_use]
pub fn wanted(value: &[u8], length: u64) -> Wanted {
    let Some((unit, set)) = value.split_at_checked(6) else { return Wanted::All };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Wanted::All;
    }
    let set = trim(set);
    let Some(dash) = memchr::memchr(b'-', set) else { return Wanted::All };
    let (first, last) = set.split_at_checked(dash).unwrap_or_default();
    let (first, last) = (trim(first), trim(last.get(1..).unwrap_or_default()));
    match (first, number(first), last, number(last)) {
        // The last so many.
        (b"", _, _, Some(0)) => Wanted::Nothing,
        (b"", _, _, Some(_)) if length == 0 => Wanted::Nothing,
        (b"", _, _, Some(count)) => Wanted::Part(length.saturating_sub(count), length),
        (_, Some(first), b"", _) => part(first, length, length),
        (_, Some(first), _, Some(last)) if first <= last => {
            part(first, last.saturating_add(1), length)
        }
        _ => Wanted::All,
    }
}

fn part(first: u64, end: u64, length: u64) -> Wanted {
    if first < length { Wanted::Part(first, end.min(length)) } else { Wanted::Nothing }
}

/// A number, the greatest one for larger ones.
fn number(text: &[u8]) -> Option<u64> {
    digits(text).map(|number| number.unwrap_or(u64::MAX))
}

/// What digits say, and nothing but digits; `Some(None)`: more than there is a number for.
pub(super) fn digits(text: &[u8]) -> Option<Option<u64>> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::Wanted::{All, Nothing, Part};
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (value, expected) in [
            ("bytes=0-1", Part(0, 2)),
            ("Bytes=0-0", Part(0, 1)),
            ("bytes=1-", Part(1, 10)),
            ("bytes=-1", Part(9, 10)),
            ("bytes=-10", Part(0, 10)),
            ("bytes=-99", Part(0, 10)),
            ("bytes=9-99", Part(9, 10)),
            ("bytes= 2 - 3 ", Part(2, 4)),
            ("bytes=0-99999999999999999999999", Part(0, 10)),
            ("bytes=10-", Nothing),
            ("bytes=10-11", Nothing),
            ("bytes=99999999999999999999999-", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=3-2", All),
            ("bytes=0-1,3-4", All),
            ("bytes=-1,-2", All),
            ("bytes=", All),
            ("bytes=-", All),
            ("bytes=a-", All),
            ("bytes=1-a", All),
            ("bytes=--1", All),
            ("bytes=+1-2", All),
            ("items=0-1", All),
            ("", All),
        ] {
            assert_eq!(wanted(value.as_bytes(), 10), expected, "{value}");
        }
        assert_eq!(wanted(b"bytes=0-", 0), Nothing);
        assert_eq!(wanted(b"bytes=-1", 0), Nothing);
    }
}
