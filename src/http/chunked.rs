//! The chunked coding, decoded: where the data of a body lies in the bytes that arrive, whatever
//! way they are split (RFC 9112 7.1).
//!
//! It copies nothing but trailers. What goes on is written anew with [`super::encode`].

use super::chunk_line::SizeLine;
use super::error::ChunkError;
use super::fields::FieldRef;
use super::trailers::Trailers;

/// What [`ChunkDecoder::decode`] made of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are dealt with. Behind the end of the body nothing is.
    pub consumed: usize,
    /// What they hold.
    pub event: Event,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All of the input is consumed and the body goes on.
    NeedMore,
    /// Data of the body: `input[start..end]`, never empty, within what was consumed.
    Data {
        /// Offset of the first byte.
        start: usize,
        /// Offset behind the last byte.
        end: usize,
    },
    /// The body ended behind what was consumed.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SizeLine,
    /// This many bytes of the chunk are still to come, at least one.
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// A decoder of one chunked body.
#[derive(Debug)]
pub struct ChunkDecoder {
    state: State,
    line: SizeLine,
    trailers: Trailers,
    /// No trailer goes on.
    forgets: bool,
}

impl ChunkDecoder {
    /// A decoder that takes at most `max_trailers` bytes of trailer section, and allocates nothing
    /// unless there is one.
    #[must_use]
    pub fn new(max_trailers: usize) -> Self {
        Self {
            state: State::SizeLine,
            line: SizeLine::default(),
            trailers: Trailers::new(max_trailers),
            forgets: false,
        }
    }

    /// From now on no trailer may go on; they are checked all the same.
    pub fn forget_trailers(&mut self) {
        self.forgets = true;
    }

    /// Makes it ready for another body and keeps its buffer.
    pub fn reset(&mut self) {
        self.state = State::SizeLine;
        self.line = SizeLine::default();
        self.trailers.clear();
    }

    /// Decodes as far as the next data, the end of the body, or the end of `input`. The next call
    /// takes what was not consumed.
    ///
    /// # Errors
    /// Anything that the grammar does not allow; whitespace in the size line; bounds. The
    /// connection cannot go on, and neither can the decoder.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut rest = input;
        let step = |rest: &[u8], event| Ok(Step { consumed: input.len() - rest.len(), event });
        loop {
            if let State::Data(left) = self.state
                && !rest.is_empty()
            {
                let start = input.len() - rest.len();
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let end = start + take;
                self.state = match left - take as u64 {
                    0 => State::DataCr,
                    left => State::Data(left),
                };
                return Ok(Step { consumed: end, event: Event::Data { start, end } });
            }
            if self.state == State::Done {
                return step(rest, Event::End);
            }
            let Some((&byte, tail)) = rest.split_first() else {
                return step(rest, Event::NeedMore);
            };
            rest = tail;
            self.state = self.push(byte)?;
        }
    }

    /// Takes one byte that is not data.
    #[inline]
    fn push(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::SizeLine, _) => Ok(match self.line.push(byte)? {
                None => State::SizeLine,
                Some(0) => State::Trailers,
                Some(size) => State::Data(size),
            }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::SizeLine),
            (State::DataCr | State::DataLf, _) => Err(ChunkError::BadDataEnd),
            (State::Trailers, _) => {
                Ok(if self.trailers.push(byte)? { State::Done } else { State::Trailers })
            }
            (State::Data(_) | State::Done, _) => Ok(self.state),
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields that may go on, once the body has ended: those that neither frame nor
    /// route nor authenticate a message nor tell how to read it (RFC 9110 6.5.1).
    pub fn trailers(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.trailers.iter().filter(|_| !self.forgets)
    }
}
