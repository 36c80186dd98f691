//! A response head, in the same shape as a request head.

use super::bytes::{TEXT, run};
use super::error::ParseError;
use super::fields::{ConnectionOptions, FieldRef, Fields, FieldsIter, Span, Stop};
use super::head::{HeadLimits, LineEnd, Parsed, Progress, line_end};
use super::method::Version;
use super::name::Name;

/// The head of a response. Reuse it: after [`Self::clear`] its buffers are still there.
///
/// Accessors speak of the last head that was [`Parsed::Complete`].
#[derive(Debug, Default)]
pub struct ResponseHead {
    fields: Fields,
    progress: Progress,
    line: Line,
}

/// A status line as it was read; the span counts from its first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    version: Version,
    status: u16,
    reason: Span,
    end: usize,
}

impl ResponseHead {
    /// An empty head without buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the head and keeps the buffers.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.progress.reset();
        self.line = Line::default();
    }

    /// Forgets the head and gives back what its buffers hold above `bytes` bytes each.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.fields.shrink_to(bytes);
    }

    /// Parses the head that `input` begins with, as strictly as a request's. Only the status line
    /// is read as origins write it: the reason, and the space before it, may be absent.
    /// After [`Parsed::Partial`] call it again with the same bytes and more behind them.
    ///
    /// # Errors
    /// Anything that the grammar does not allow, and heads above `limits`: usually as soon as it is
    /// seen, at the latest when the head is complete, so that a head in small pieces stays cheap.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Parsed, ParseError> {
        let limit = limits.byte_limit();
        if !self.progress.is_due(input, limit) {
            return Ok(Parsed::Partial);
        }
        let view = input.get(..limit).unwrap_or(input);
        match self.attempt(view, limits.fields) {
            Ok(end) => {
                self.progress.reset();
                Ok(Parsed::Complete(end))
            }
            Err(Stop::Bad(error)) => Err(error),
            Err(Stop::Partial) if view.len() < limit => Ok(Parsed::Partial),
            Err(Stop::Partial) => Err(ParseError::HeadTooLarge),
        }
    }

    fn attempt(&mut self, view: &[u8], max_fields: usize) -> Result<usize, Stop> {
        self.line = read_line(view)?;
        // A proxy removes it from answers (RFC 9112 5.1), where it refuses it in requests.
        self.fields.drops_space = true;
        let end = self.fields.read(view, self.line.end, max_fields)?;
        self.fields.arena.clear();
        self.fields.arena.extend_from_slice(view.get(..end).unwrap_or_default());
        self.fields.settle_connection()?;
        if matches!(self.line.status, 100..=199 | 204) {
            self.fields.drop_all(Name::ContentLength);
        }
        Ok(end)
    }

    /// The status: 100 to 999. What is above 599 means nothing that we know, and goes on.
    #[inline]
    #[must_use]
    pub fn status(&self) -> u16 {
        self.line.status
    }

    /// The reason phrase as sent; may be empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.line.reason.of(&self.fields.arena)
    }

    /// The version of the status line.
    #[must_use]
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// The fields in the order they were sent.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> FieldsIter<'_> {
        self.fields.iter()
    }

    /// The value of the first field of this name. Nothing for [`Name::Other`].
    #[inline]
    #[must_use]
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.fields.value(name)
    }

    pub(super) fn raw_fields(&self) -> &Fields {
        &self.fields
    }

    /// Whether more than one field has this name.
    #[must_use]
    pub fn has_repeated(&self, name: Name) -> bool {
        self.fields.has_repeated(name)
    }

    /// What the Connection fields ask for.
    #[must_use]
    pub fn connection(&self) -> ConnectionOptions {
        self.fields.connection()
    }

    /// Whether `field`, one of this head's, ends here: hop-by-hop as for requests, and also the
    /// Content-Length of a 1xx or 204, which must not have one (RFC 9110 8.6).
    #[inline]
    #[must_use]
    pub fn is_hop_by_hop(&self, field: &FieldRef<'_>) -> bool {
        field.hop_by_hop
    }

    /// Whether the origin lets the connection live on after this answer (RFC 9112 9.3), if the body
    /// allows it.
    #[must_use]
    pub fn wants_keep_alive(&self) -> bool {
        let options = self.connection();
        !options.close && (self.line.version == Version::Http11 || options.keep_alive)
    }

    /// The protocol that a 101 switches to: the value of its one Upgrade field, when Connection
    /// names it (RFC 9110 7.8).
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        let named = self.connection().upgrade && !self.has_repeated(Name::Upgrade);
        self.value(Name::Upgrade).filter(|value| named && !value.is_empty())
    }
}

/// Reads `HTTP/1.x SP status [SP reason] CRLF` at the start of `head`.
fn read_line(head: &[u8]) -> Result<Line, Stop> {
    let (version, rest) = match head.strip_prefix(b"HTTP/1.1 ") {
        Some(rest) => (Version::Http11, rest),
        None => read_version(head)?,
    };
    let status = read_status(rest)?;
    let (reason_start, rest) = match rest.get(3..).unwrap_or_default() {
        [b' ', reason @ ..] => (13, reason),
        rest => {
            line_end(rest).map_err(|end| end.or(ParseError::BadStatus))?;
            (12, rest)
        }
    };
    let (reason, rest) = rest.split_at_checked(run(rest, TEXT)).unwrap_or_default();
    line_end(rest).map_err(|end: LineEnd| end.or(ParseError::BadReason))?;
    let reason_end = reason_start + reason.len();
    Ok(Line {
        version,
        status,
        reason: Span::new(reason_start, reason_end),
        end: reason_end + b"\r\n".len(),
    })
}

/// The version that `head` begins with, and what is behind it and its space.
fn read_version(head: &[u8]) -> Result<(Version, &[u8]), Stop> {
    match head {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', rest @ ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            let version = Version::of(*major, *minor).ok_or(ParseError::UnsupportedVersion)?;
            Ok((version, rest))
        }
        _ if head.len() < 9 && b"HTTP/".starts_with(head.get(..5).unwrap_or(head)) => {
            Err(Stop::Partial)
        }
        _ => Err(ParseError::BadStatusLine.into()),
    }
}

fn read_status(rest: &[u8]) -> Result<u16, Stop> {
    let digits = rest.get(..3).unwrap_or(rest);
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(ParseError::BadStatus.into());
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    match status {
        _ if digits.len() < 3 => Err(Stop::Partial),
        100..=999 => Ok(status),
        _ => Err(ParseError::BadStatus.into()),
    }
}
