//! The trailer section of a chunked body: gathered, checked like the fields of a head, and sifted.

use super::error::{ChunkError, ParseError};
use super::fields::{FieldRef, Fields, Stop};
use super::name::Name;

/// Fields of a trailer section.
const MAX_FIELDS: usize = 100;

/// Names that mean something before the body only (RFC 9110 6.5.1), besides those of [`Name`].
const FORBIDDEN: [&[u8]; 24] = [
    b"accept-ranges",
    b"age",
    b"allow",
    b"cache-control",
    b"cdn-cache-control",
    b"cdn-loop",
    b"early-data",
    b"expires",
    b"http2-settings",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"max-forwards",
    b"origin",
    b"pragma",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"strict-transport-security",
    b"vary",
    b"warning",
    b"www-authenticate",
];

/// A trailer section that is being read.
#[derive(Debug)]
pub(super) struct Trailers {
    fields: Fields,
    max: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Line,
    /// Behind the CR of a field line, or of the empty line.
    LineLf,
    EmptyLf,
}

impl Trailers {
    pub(super) fn new(max: usize) -> Self {
        Self { fields: Fields::default(), max, state: State::LineStart }
    }

    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.state = State::LineStart;
    }

    /// Takes the next byte; true when it was the last.
    pub(super) fn push(&mut self, byte: u8) -> Result<bool, ChunkError> {
        self.state = match (self.state, byte) {
            (State::EmptyLf, b'\n') => return self.finish().map(|()| true),
            (State::LineLf, b'\n') => State::LineStart,
            (State::EmptyLf | State::LineLf, _) => return Err(ChunkError::BadTrailer),
            (_, b'\n') => return Err(ChunkError::BadTrailer),
            (State::LineStart, b'\r') => State::EmptyLf,
            (State::Line, b'\r') => State::LineLf,
            (State::LineStart | State::Line, _) => State::Line,
        };
        // The empty line of a body without trailers is not worth a buffer.
        if self.state == State::EmptyLf {
            return Ok(false);
        }
        if self.fields.arena.len() >= self.max {
            return Err(ChunkError::TrailersTooLarge);
        }
        self.fields.arena.push(byte);
        Ok(false)
    }

    fn finish(&mut self) -> Result<(), ChunkError> {
        if self.fields.arena.is_empty() {
            return Ok(());
        }
        self.fields.arena.extend_from_slice(b"\r\n");
        let bytes = std::mem::take(&mut self.fields.arena);
        let read = self.fields.read(&bytes, 0, MAX_FIELDS);
        self.fields.arena = bytes;
        match read {
            Ok(_) => Ok(()),
            Err(Stop::Bad(ParseError::TooManyFields)) => Err(ChunkError::TooManyTrailers),
            Err(_) => Err(ChunkError::BadTrailer),
        }
    }

    /// The fields that may go on.
    pub(super) fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.fields.iter().filter(may_go_on)
    }
}

fn may_go_on(field: &FieldRef<'_>) -> bool {
    let name = field.name_bytes;
    let content = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
    field.name == Name::Other
        && !field.identity
        && !field.hop_by_hop
        && !content
        && !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}
