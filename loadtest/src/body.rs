//! Follows a message body through the bytes received: counts and sums its payload, finds its end.
//! Pure: bytes in, counts out.

use crate::head::Framing;

/// A body on its way.
#[derive(Debug)]
pub struct Body {
    state: State,
    payload: u64,
    sum: Option<crc32fast::Hasher>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Exact(u64),
    UntilClose,
    /// The digits of a chunk size; true once there is one.
    Size(u64, bool),
    Extension(u64),
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// A trailer line; true if it has a character yet.
    Trailer(bool),
    Done,
}

/// The chunked coding is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

impl Body {
    /// The body that `framing` announces.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Exact(0) => State::Done,
            Framing::Exact(length) => State::Exact(length),
            Framing::Chunked => State::Size(0, false),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, payload: 0, sum: None }
    }

    /// The same, with a checksum of its payload.
    #[must_use]
    pub fn summed(self) -> Self {
        Self { sum: Some(crc32fast::Hasher::new()), ..self }
    }

    /// The CRC-32 (that of gzip) of the payload seen so far, if it is summed.
    #[must_use]
    pub fn sum(&self) -> Option<u32> {
        self.sum.clone().map(crc32fast::Hasher::finalize)
    }

    /// Payload bytes seen so far.
    #[must_use]
    pub fn payload(&self) -> u64 {
        self.payload
    }

    /// True when nothing more belongs to the body.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True if the body is complete should the connection close now.
    #[must_use]
    pub fn may_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Takes what belongs to the body from the start of `bytes`; returns how many bytes that is.
    ///
    /// # Errors
    /// `BadChunk` if the chunked coding is broken.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.state {
                State::Done => break,
                State::UntilClose => rest = self.skip(rest, u64::MAX).1,
                State::Exact(left) => {
                    let (left, after) = self.skip(rest, left);
                    self.state = if left == 0 { State::Done } else { State::Exact(left) };
                    rest = after;
                }
                State::Chunk(left) => {
                    let (left, after) = self.skip(rest, left);
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    rest = after;
                }
                state => {
                    self.state = after_byte(state, byte)?;
                    rest = after;
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Counts up to `left` payload bytes; what is left of them, and the bytes after them.
    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64) -> (u64, &'a [u8]) {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (payload, rest) = bytes.split_at(here);
        self.payload += here as u64;
        if let Some(sum) = &mut self.sum {
            sum.update(payload);
        }
        (left - here as u64, rest)
    }
}

/// The next state of the chunked coding's own bytes.
fn after_byte(state: State, byte: u8) -> Result<State, BadChunk> {
    Ok(match (state, byte) {
        (State::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = (byte as char).to_digit(16).ok_or(BadChunk)?;
            let size = size.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
            State::Size(size.ok_or(BadChunk)?, true)
        }
        (State::Size(size, true), b';' | b'\r') => State::Extension(size),
        (State::Extension(0), b'\n') => State::Trailer(false),
        (State::Extension(size), b'\n') => State::Chunk(size),
        (State::ChunkEnd, b'\n') => State::Size(0, false),
        (State::Trailer(false), b'\n') => State::Done,
        (State::Trailer(true), b'\n') => State::Trailer(false),
        (State::Extension(_) | State::ChunkEnd | State::Trailer(_), b'\r') => state,
        (State::Extension(_), _) => state,
        (State::Trailer(_), _) => State::Trailer(true),
        _ => return Err(BadChunk),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in two parts, cut everywhere; asserts payload, bytes taken and completeness.
    fn check(framing: Framing, bytes: &[u8], expected: Result<(u64, usize, bool), BadChunk>) {
        for cut in 0..=bytes.len() {
            let mut body = Body::new(framing);
            let (one, two) = bytes.split_at(cut);
            let found = body.take(one).and_then(|taken| {
                let more = if taken == one.len() { body.take(two)? } else { 0 };
                Ok((body.payload(), taken + more, body.is_done()))
            });
            assert_eq!(found, expected, "cut at {cut}: {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn bodies_end_where_they_should() {
        check(Framing::Exact(0), b"abc", Ok((0, 0, true)));
        check(Framing::Exact(3), b"abcdef", Ok((3, 3, true)));
        check(Framing::Exact(9), b"abc", Ok((3, 3, false)));
        check(Framing::UntilClose, b"abc", Ok((3, 3, false)));
        check(Framing::Chunked, b"0\r\n\r\nGET", Ok((0, 5, true)));
        check(
            Framing::Chunked,
            b"3\r\nabc\r\n0A;x=1\r\n0123456789\r\n0\r\n\r\n",
            Ok((13, 33, true)),
        );
        check(Framing::Chunked, b"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n!", Ok((1, 23, true)));
        check(Framing::Chunked, b"5\r\nab", Ok((2, 5, false)));
    }

    #[test]
    fn the_payload_is_summed_without_its_coding() {
        let sum = |framing, bytes: &[u8]| {
            let mut body = Body::new(framing).summed();
            body.take(bytes).unwrap();
            body.sum()
        };
        assert_eq!(sum(Framing::Exact(9), b"123456789"), Some(0xcbf4_3926));
        let chunks = b"3\r\n123\r\n6;x\r\n456789\r\n0\r\n\r\n";
        assert_eq!(sum(Framing::Chunked, chunks), Some(0xcbf4_3926));
        assert_eq!(Body::new(Framing::Exact(0)).sum(), None);
    }

    #[test]
    fn broken_chunks_are_refused() {
        for bad in [&b"x\r\n"[..], b"\r\n", b"3\r\nabcd\r\n", b"11111111111111111\r\n", b"3 \r\n"] {
            check(Framing::Chunked, bad, Err(BadChunk));
        }
    }
}
