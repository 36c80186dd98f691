//! Message bodies on their way through: decoded from what one side sends, encoded for the other.

use crate::http::{
    ChunkDecoder, ChunkError, Event, Framing, encode::chunk_size_line, encode::field,
};
use crate::net::Buffer;

/// Room that a chunk's size line and line ends need at the most.
const CHUNK_OVERHEAD: usize = 32;

/// What is still to come of a body.
#[derive(Debug)]
pub(super) enum Source {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(ChunkDecoder),
    /// Everything until the peer closes.
    UntilClose,
}

/// Some of a body, where it lies in what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its first byte.
    pub(super) start: usize,
    /// Behind its last one; there may be none.
    pub(super) end: usize,
    /// What is dealt with.
    pub(super) consumed: usize,
    /// The body ends there.
    pub(super) done: bool,
}

/// How the other side gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// As it is.
    Raw,
    /// In chunks.
    Chunked,
}

impl Source {
    pub(super) fn new(framing: Framing, max_trailers: usize) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkDecoder::new(max_trailers)),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Trailers do not go on.
    pub(super) fn forget_trailers(&mut self) {
        if let Self::Chunked(decoder) = self {
            decoder.forget_trailers();
        }
    }

    /// Bytes still to come, if all of them may be moved unseen.
    pub(super) const fn plain_rest(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// The next piece of the body in `input`, looking at its first `most` bytes. Something is consumed
    /// or the body is done, unless `input` is empty.
    pub(super) fn next(&mut self, input: &[u8], most: usize) -> Result<Piece, ChunkError> {
        let seen = input.len().min(most);
        let piece = |count, done| Piece { start: 0, end: count, consumed: count, done };
        match self {
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(seen);
                *left -= count as u64;
                Ok(piece(count, *left == 0))
            }
            Self::UntilClose => Ok(piece(seen, false)),
            Self::Chunked(decoder) => {
                let step = decoder.decode(input.get(..seen).unwrap_or_default())?;
                let (start, end) = match step.event {
                    Event::Data { start, end } => (start, end),
                    Event::NeedMore | Event::End => (0, 0),
                };
                Ok(Piece { start, end, consumed: step.consumed, done: step.event == Event::End })
            }
        }
    }

    /// What has the trailers of the body, once it is done.
    pub(super) const fn decoder(&self) -> Option<&ChunkDecoder> {
        match self {
            Self::Chunked(decoder) => Some(decoder),
            Self::Length(_) | Self::UntilClose => None,
        }
    }
}

/// Moves what `input` has into `out`, as far as there is room; says whether the body is complete,
/// and adds the body's own bytes to `moved`.
pub(super) fn carry(
    source: &mut Source,
    sink: Sink,
    input: &mut Buffer,
    out: &mut Buffer,
    moved: &mut u64,
) -> Result<bool, ChunkError> {
    match source {
        Source::Length(left) => {
            let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
            let count = append(sink, input.data().get(..count).unwrap_or_default(), out);
            input.consume(count);
            *left -= count as u64;
            *moved += count as u64;
            Ok(*left == 0)
        }
        Source::UntilClose => {
            let count = append(sink, input.data(), out);
            input.consume(count);
            *moved += count as u64;
            Ok(false)
        }
        Source::Chunked(decoder) => carry_chunks(decoder, sink, input, out, moved),
    }
}

fn carry_chunks(
    decoder: &mut ChunkDecoder,
    sink: Sink,
    input: &mut Buffer,
    out: &mut Buffer,
    moved: &mut u64,
) -> Result<bool, ChunkError> {
    while !input.is_empty() && out.room() > 2 * CHUNK_OVERHEAD {
        let seen = input.len().min(out.room() - CHUNK_OVERHEAD);
        let window = input.data().get(..seen).unwrap_or_default();
        let step = decoder.decode(window)?;
        match step.event {
            Event::NeedMore => {}
            Event::Data { start, end } => {
                let count = append(sink, window.get(start..end).unwrap_or_default(), out);
                debug_assert_eq!(count, end - start, "the window leaves room for its data");
                *moved += count as u64;
            }
            Event::End => {
                input.consume(step.consumed);
                if sink == Sink::Chunked {
                    end_chunks(Some(decoder), out);
                }
                return Ok(true);
            }
        }
        input.consume(step.consumed);
    }
    Ok(false)
}

/// Appends as much as there is room for and says how much that was.
pub(super) fn append(sink: Sink, data: &[u8], out: &mut Buffer) -> usize {
    let overhead = if sink == Sink::Chunked { CHUNK_OVERHEAD } else { 0 };
    let count = data.len().min(out.room().saturating_sub(overhead));
    let Some(data) = data.get(..count).filter(|data| !data.is_empty()) else { return 0 };
    let tail = out.tail();
    match sink {
        Sink::Raw => tail.extend_from_slice(data),
        Sink::Chunked => {
            chunk_size_line(tail, count);
            tail.extend_from_slice(data);
            tail.extend_from_slice(b"\r\n");
        }
    }
    count
}

/// Ends a chunked body, with the trailers that were received.
pub(super) fn end_chunks(decoder: Option<&ChunkDecoder>, out: &mut Buffer) {
    end_chunks_without(|_| false, decoder, out);
}

/// The same without some of the trailers, by their names.
pub(super) fn end_chunks_without(
    drops: impl Fn(&[u8]) -> bool,
    decoder: Option<&ChunkDecoder>,
    out: &mut Buffer,
) {
    let tail = out.tail();
    tail.extend_from_slice(b"0\r\n");
    if let Some(decoder) = decoder {
        for trailer in decoder.trailers().filter(|trailer| !drops(trailer.name_bytes)) {
            field(tail, trailer.name_bytes, trailer.value);
        }
    }
    tail.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Size;

    /// Feeds `input` in pieces of `piece` bytes through a small `out` and returns all that came out.
    fn run(framing: Framing, sink: Sink, input: &[u8], piece: usize) -> (Vec<u8>, bool, u64) {
        let mut source = Source::new(framing, 1024);
        let (mut from, mut to) = (Buffer::take(Size::Small), Buffer::take(Size::Small));
        let (mut all, mut moved, mut done) = (Vec::new(), 0, false);
        for piece in input.chunks(piece) {
            from.compact();
            from.tail().extend_from_slice(piece);
            while !done {
                done = carry(&mut source, sink, &mut from, &mut to, &mut moved).expect("valid");
                let stuck = to.is_empty();
                all.extend_from_slice(to.data());
                to.clear();
                if stuck || from.is_empty() {
                    break;
                }
            }
        }
        (all, done, moved)
    }

    #[test]
    fn bodies_come_out_as_they_went_in() {
        let data = vec![b'x'; 5000];
        for piece in [1, 7, 1000] {
            assert_eq!(
                run(Framing::Length(5000), Sink::Raw, &data, piece),
                (data.clone(), true, 5000)
            );
            assert_eq!(
                run(Framing::UntilClose, Sink::Raw, &data, piece),
                (data.clone(), false, 5000)
            );
        }
        let chunked = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nEtag: 1\r\n\r\n";
        for piece in [1, 2, 5, 100] {
            let (all, done, moved) = run(Framing::Chunked, Sink::Raw, chunked, piece);
            assert_eq!((&all[..], done, moved), (&b"abcde"[..], true, 5));
        }
        let (all, ..) = run(Framing::Chunked, Sink::Chunked, chunked, 100);
        let all = String::from_utf8(all).expect("text");
        assert!(all.starts_with("3\r\nabc\r\n2\r\nde\r\n0\r\n"), "{all}");
    }

    #[test]
    fn large_chunks_are_cut_to_the_room() {
        let data = vec![b'y'; 4000];
        let (all, done, moved) = run(Framing::Length(4000), Sink::Chunked, &data, 1500);
        assert!(done);
        assert_eq!(moved, 4000);
        let mut back = Source::new(Framing::Chunked, 0);
        let (mut from, mut to) = (Buffer::holding(9000), Buffer::holding(9000));
        from.tail().extend_from_slice(&all);
        from.tail().extend_from_slice(b"0\r\n\r\n");
        assert_eq!(carry(&mut back, Sink::Raw, &mut from, &mut to, &mut 0), Ok(true));
        assert_eq!(to.data(), data);
    }
}
