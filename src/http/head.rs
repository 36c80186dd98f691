//! What request and response heads share: limits, the result of parsing, and the decision whether
//! looking at a growing buffer once more can tell anything new.

use memchr::memchr_iter;

use super::error::ParseError;
use super::fields::Stop;

/// Bounds of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the start line, the fields and the empty line together. At most 16 MiB.
    pub bytes: usize,
    /// Field lines.
    pub fields: usize,
}

impl HeadLimits {
    /// The bytes that count, which keeps every offset within 32 bits.
    pub(super) fn byte_limit(&self) -> usize {
        self.bytes.min(1 << 24)
    }
}

/// How far parsing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is complete and takes this many bytes of the input; what follows is body.
    Complete(usize),
    /// The head goes on: call again with the same bytes and more behind them.
    Partial,
}

/// What earlier calls have seen of the input. A client that sends a head byte by byte costs time
/// linear in its length: a full attempt is made when the input has doubled, or when the new bytes
/// hold a line end that decides something.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    attempted: usize,
    scanned: usize,
}

impl Progress {
    /// Whether an attempt to parse `input` is due.
    pub(super) fn is_due(&mut self, input: &[u8], limit: usize) -> bool {
        let due = input.len() >= limit
            || input.len() >= self.attempted.saturating_mul(2)
            || self.has_decisive_line_end(input);
        self.scanned = input.len();
        if due {
            self.attempted = input.len();
        }
        due
    }

    /// Whether the bytes that were not there before end an empty line or a line without CR.
    fn has_decisive_line_end(&self, input: &[u8]) -> bool {
        let fresh = input.get(self.scanned..).unwrap_or_default();
        memchr_iter(b'\n', fresh).any(|at| {
            let before = input.get(..self.scanned + at).unwrap_or_default();
            matches!(before, [.., b'\n', b'\r'] | [b'\r']) || !matches!(before, [.., b'\r'])
        })
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Whether `rest` begins with a line end, or why not.
pub(super) fn line_end(rest: &[u8]) -> Result<(), LineEnd> {
    match rest {
        [b'\r', b'\n', ..] => Ok(()),
        [] | [b'\r'] => Err(LineEnd::Partial),
        [b'\r', ..] => Err(LineEnd::BareCr),
        [b'\n', ..] => Err(LineEnd::BareLf),
        _ => Err(LineEnd::Other),
    }
}

/// Why a line does not end where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    Partial,
    BareCr,
    BareLf,
    Other,
}

impl LineEnd {
    /// As a reason to stop; anything but a line end is `other`.
    pub(super) fn or(self, other: ParseError) -> Stop {
        match self {
            Self::Partial => Stop::Partial,
            Self::BareCr => ParseError::BareCr.into(),
            Self::BareLf => ParseError::BareLf.into(),
            Self::Other => other.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths at which an attempt is due when `text` comes in pieces of `step` bytes.
    fn due(text: &[u8], step: usize, limit: usize) -> Vec<usize> {
        let mut progress = Progress::default();
        let lengths = (step..=text.len()).step_by(step);
        lengths.filter(|&len| progress.is_due(&text[..len], limit)).collect()
    }

    #[test]
    fn attempts_are_made_when_they_can_tell_something() {
        let cases: [(&[u8], usize, usize, &[usize]); 7] = [
            // When the input has doubled.
            (b"abcdefghi", 1, 100, &[1, 2, 4, 8]),
            // At the end of the head.
            (b"abcd\r\n\r\nij", 1, 100, &[1, 2, 4, 8]),
            (b"abcdefg\r\n\r\n", 1, 100, &[1, 2, 4, 8, 11]),
            (b"abcdef\r\n\r\nxyz", 4, 100, &[4, 8, 12]),
            // At a line feed on its own.
            (b"abcd\nfghi", 1, 100, &[1, 2, 4, 5]),
            (b"\n", 1, 100, &[1]),
            // At the limit, and above it whenever asked.
            (b"abcdefghij", 5, 6, &[5, 10]),
        ];
        for (text, step, limit, expected) in cases {
            assert_eq!(due(text, step, limit), expected, "{}", text.escape_ascii());
        }
        assert_eq!(due(b"abcdefghi", 3, 9), [3, 6, 9]);
        assert_eq!(due(b"abcdefghi", 1, 7), [1, 2, 4, 7, 8, 9]);
    }

    #[test]
    fn a_long_head_in_single_bytes_is_parsed_a_few_times() {
        let text = b"A: b\r\n".repeat(5000);
        assert_eq!(due(&text, 1, 1 << 20).len(), 15);
    }
}
