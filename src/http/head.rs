//! What request and response heads share: limits, the result of parsing, and the decision whether
//! looking at a growing buffer once more can tell anything new.

use memchr::memchr_iter;

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
#[derive(Debug, Default)]
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

/// The length of the line end that `rest` begins with, or why there is none.
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
    pub(super) fn or(self, other: super::error::ParseError) -> Stop {
        use super::error::ParseError;
        match self {
            Self::Partial => Stop::Partial,
            Self::BareCr => ParseError::BareCr.into(),
            Self::BareLf => ParseError::BareLf.into(),
            Self::Other => other.into(),
        }
    }
}
