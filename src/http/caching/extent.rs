//! `Content-Range` of an answer with one part (RFC 9110 14.4), and how parts meet.

use super::super::bytes::trim;
use super::super::encode;
use super::range::digits;

/// Which bytes of a whole there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first of them.
    pub first: u64,
    /// The one behind the last. There is at least one.
    pub end: u64,
    /// How many bytes the whole has.
    pub total: u64,
}

impl Extent {
    /// What the field's value says; `None`: nothing, another unit than bytes, a whole of unknown
    /// length, or nonsense.
    #[must_use]
    pub fn of(value: &[u8]) -> Option<Self> {
        let (unit, rest) = trim(value).split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let (range, total) = rest.split_at_checked(memchr::memchr(b'/', rest)?)?;
        let (first, last) = range.split_at_checked(memchr::memchr(b'-', range)?)?;
        let (first, last) = (number(first)?, number(last.get(1..)?)?);
        let total = number(total.get(1..)?)?;
        (first <= last && last < total).then(|| Self { first, end: last + 1, total })
    }

    /// Of a whole, which may be empty.
    #[must_use]
    pub const fn whole(total: u64) -> Self {
        Self { first: 0, end: total, total }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.end - self.first
    }

    /// Whether there are all.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.first == 0 && self.end == self.total
    }

    /// Whether the bytes from `from` to `to` are among them.
    #[must_use]
    pub const fn covers(&self, from: u64, to: u64) -> bool {
        self.first <= from && to <= self.end
    }

    /// All bytes of two parts of one whole; `None`: there would be a gap.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let meet = self.first <= other.end && other.first <= self.end;
        (meet && self.total == other.total).then(|| Self {
            first: self.first.min(other.first),
            end: self.end.max(other.end),
            total: self.total,
        })
    }

    /// Appends the field.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Range: bytes ");
        encode::decimal(out, self.first);
        out.push(b'-');
        encode::decimal(out, self.end.saturating_sub(1));
        out.push(b'/');
        encode::decimal(out, self.total);
        out.extend_from_slice(encode::CRLF);
    }
}

fn number(text: &[u8]) -> Option<u64> {
    digits(text)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values() {
        let extent = |first, end, total| Some(Extent { first, end, total });
        for (value, expected) in [
            ("bytes 0-4/10", extent(0, 5, 10)),
            ("Bytes 9-9/10", extent(9, 10, 10)),
            (" bytes 0-9/10 ", extent(0, 10, 10)),
            ("bytes 0-4/*", None),
            ("bytes */10", None),
            ("bytes 5-4/10", None),
            ("bytes 0-10/10", None),
            ("bytes 0-0/0", None),
            ("bytes 0-4/18446744073709551616", None),
            ("bytes 0-18446744073709551615/18446744073709551615", None),
            ("bytes 0-4", None),
            ("bytes=0-4/10", None),
            ("bytes -4/10", None),
            ("bytes 0 - 4/10", None),
            ("bytes 0-4/10, bytes 6-7/10", None),
            ("items 0-4/10", None),
            ("", None),
        ] {
            assert_eq!(Extent::of(value.as_bytes()), expected, "{value}");
        }
    }

    proptest! {
        /// As sets of bytes.
        #[test]
        fn parts_meet_where_no_byte_is_missing(a in 0..9_u64, b in 1..9_u64, c in 0..9_u64, d in 1..9_u64) {
            let one = Extent { first: a, end: a + b, total: 20 };
            let other = Extent { first: c, end: c + d, total: 20 };
            let has = |at: u64| one.covers(at, at + 1) || other.covers(at, at + 1);
            let (first, end) = (a.min(c), (a + b).max(c + d));
            let expected = (first..end).all(has).then_some(Extent { first, end, total: 20 });
            prop_assert_eq!(one.joined(&other), expected);
            prop_assert_eq!(one.joined(&Extent { total: 21, ..other }), None);
            let mut written = Vec::new();
            one.write(&mut written);
            let value = written.strip_prefix(b"Content-Range: ").expect("its name");
            prop_assert_eq!(Extent::of(value.trim_ascii_end()), Some(one));
        }
    }
}
