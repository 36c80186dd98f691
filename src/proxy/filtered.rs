//! The body of an answer that must be seen on its way: decoded, pushed piece by piece through what
//! wants to see it, and framed anew. Bodies that nobody wants to see go the short way, in `answer.rs`.

use std::pin::pin;
use std::time::Duration;

use super::answer::Buffers;
use super::body::{Sink, Source, end_chunks};
use super::deliver::Lost;
use super::exchange::{Ask, Facts};
use super::reasons;
use crate::http::Framing;
use crate::http::encode::chunk_size_line;
use crate::net::{Buffer, Either, Failure, Size, Stream, race, sleep};
use crate::stats::Reason;

/// Bytes that are received, and so worked on, at a time. Between two such pieces the worker's other
/// connections have their turn, as receiving goes through its loop.
const PIECE: Size = Size::Medium;

/// Bytes for the client that are not sent before more has been made of them.
const ENOUGH: usize = 8 << 10;

/// What comes out of a piece fits behind [`ENOUGH`] as a rule.
const ROOM: Size = Size::Large;

/// How long a member that is silent in the middle of a body may be so until all that it has sent
/// goes to the client. Each time costs some of what encoding gains.
const PAUSE: Duration = Duration::from_millis(5);

/// What the body of an answer passes through, from the member to the client.
#[derive(Debug)]
pub(super) struct Filters {
    sink: Sink,
}

impl Filters {
    /// The filters of an answer whose body goes out like this; `None`: there are none.
    pub(super) fn of(_ask: &Ask<'_>, _sink: Sink) -> Option<Box<Self>> {
        None
    }

    /// Whether bytes may stay inside until [`Filters::flush`].
    const fn holds(&self) -> bool {
        false
    }

    /// Takes some of the body, at most a piece; appends what the client gets to `out`, and says how
    /// many bytes of the body that was.
    fn push(&mut self, data: &[u8], out: &mut Buffer) -> Result<u64, Lost> {
        emit(self.sink, data, out);
        Ok(data.len() as u64)
    }

    /// Appends all that is held to `out`, so that the client can read what the member has sent.
    fn flush(&mut self, _out: &mut Buffer) -> Result<u64, Lost> {
        Ok(0)
    }

    /// The body is complete: appends its end to `out`.
    fn end(&mut self, source: &Source, out: &mut Buffer) -> Result<u64, Lost> {
        if self.sink == Sink::Chunked {
            end_chunks(source.decoder(), out);
        }
        Ok(0)
    }
}

/// Appends all of `data`, however large it is.
fn emit(sink: Sink, data: &[u8], out: &mut Buffer) {
    if data.is_empty() {
        return;
    }
    let tail = out.tail();
    if sink == Sink::Chunked {
        chunk_size_line(tail, data.len());
    }
    tail.extend_from_slice(data);
    if sink == Sink::Chunked {
        tail.extend_from_slice(b"\r\n");
    }
}

/// Moves the body through its filters, leaving its last bytes in `buffers.out`. A body that the
/// member did not end is not ended here either.
pub(super) async fn relay(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    framing: Framing,
    filters: &mut Filters,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Result<(), Lost> {
    let mut source = Source::new(framing, ask.context.config.limits.trailers);
    buffers.out.grow(ROOM.bytes());
    loop {
        if pass(&mut source, filters, buffers, ask, facts).await? {
            return Ok(());
        }
        if is_silent(upstream, filters.holds()).await {
            let count = filters.flush(&mut buffers.out)?;
            facts.sent.set(facts.sent.get() + count);
            buffers.send_out(ask, facts).await?;
        }
        if buffers.input.capacity() != PIECE.bytes() {
            buffers.input = Buffer::take(PIECE);
        }
        match upstream.recv_within(&mut buffers.input, patience).await {
            Ok(_) => {}
            Err(Failure::Closed) if matches!(source, Source::UntilClose) => {
                let count = filters.end(&source, &mut buffers.out)?;
                facts.sent.set(facts.sent.get() + count);
                return Ok(());
            }
            Err(Failure::Closed) => return Err(Reason::ShortBody.into()),
            Err(failure) => return Err(reasons::in_body(failure).into()),
        }
    }
}

/// Pushes all that was received through the filters; true: that was the end of the body.
async fn pass(
    source: &mut Source,
    filters: &mut Filters,
    buffers: &mut Buffers,
    ask: &Ask<'_>,
    facts: &Facts,
) -> Result<bool, Lost> {
    loop {
        let Buffers { input, out } = buffers;
        let piece = source.next(input.data(), PIECE.bytes());
        let piece = piece.map_err(|_| Lost::from(Reason::BadResponseBody))?;
        let data = input.data().get(piece.start..piece.end).unwrap_or_default();
        let mut count = if data.is_empty() { 0 } else { filters.push(data, out)? };
        if piece.done {
            count += filters.end(source, out)?;
        }
        facts.sent.set(facts.sent.get() + count);
        input.consume(piece.consumed);
        if piece.done || input.is_empty() {
            return Ok(piece.done);
        }
        if out.len() >= ENOUGH {
            buffers.send_out(ask, facts).await?;
        }
    }
}

/// Whether the member has nothing to say; not for a moment only where it is worth to wait for more.
async fn is_silent(upstream: &Stream, worth_waiting: bool) -> bool {
    if !upstream.is_quiet() {
        return false;
    }
    if !worth_waiting {
        return true;
    }
    let (more, pause) = (pin!(upstream.readable()), pin!(sleep(PAUSE)));
    matches!(race(more, pause).await, Either::Second(()))
}
