//! The body of an answer that must be seen on its way: decoded, pushed piece by piece through what
//! wants to see it, and framed anew. Bodies that nobody wants to see go the short way, in `answer.rs`.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::answer::Buffers;
use super::body::{Sink, Source, end_chunks_without};
use super::buffering::{self, Hold, Rest};
use super::compress;
use super::deliver::Lost;
use super::encoder::{EncodeError, Encoder};
use super::exchange::{Ask, Facts};
use super::reasons;
use crate::http::Framing;
use crate::http::encode::chunk_size_line;
use crate::net::{Buffer, Either, Failure, Size, Stream, give_way, race, sleep};
use crate::stats::{Counter, Reason, Row};

/// Bytes that are worked on at a time. Between two such pieces the worker's other connections have
/// their turn.
pub(super) const PIECE: Size = Size::Medium;

/// What is left of what was received is one piece up to this size: the rest would be a small one.
const PIECE_MOST: usize = PIECE.bytes() * 3 / 2;

/// Bytes that are received at a time.
const RECEIVED: Size = Size::Large;

/// Bytes for the client that are not sent before more has been made of them.
pub(super) const ENOUGH: usize = 8 << 10;

/// The same where they only change places here: what comes out of a piece has room behind them.
const ENOUGH_HELD: usize = 36 << 10;

/// What comes out of a piece fits behind [`ENOUGH`] as a rule.
const ROOM: Size = Size::Large;

/// How long a member that is silent in the middle of a body may be so until all that it has sent
/// goes to the client. Each time costs some of what encoding gains.
const PAUSE: Duration = Duration::from_millis(5);

/// The same where the body said how long it is: no stream of events does. It may well come behind its
/// head by the time of a delayed acknowledgement, and a head that goes alone costs a send and a wake-up
/// on each side.
const PAUSE_OF_KNOWN: Duration = Duration::from_millis(250);

/// What the body of an answer passes through, from the member to the client.
#[derive(Debug)]
pub(super) struct Filters {
    encode: Option<Encode>,
    sink: Sink,
    /// Where it waits for its client, if it does.
    hold: Option<Rc<Hold>>,
}

/// The encoder of an answer, and what went through it.
#[derive(Debug)]
struct Encode {
    encoder: Box<Encoder>,
    /// What comes out, before it is framed.
    coded: Buffer,
    plain: u64,
    sent: u64,
}

impl Filters {
    /// The filters of an answer whose body goes out like this; `None`: there are none.
    pub(super) fn of(
        sink: Sink,
        encoder: Option<Box<Encoder>>,
        hold: Option<Rc<Hold>>,
    ) -> Option<Box<Self>> {
        if encoder.is_none() && hold.is_none() {
            return None;
        }
        let encode = encoder.map(|encoder| {
            let coded = Buffer::default();
            Encode { encoder, coded, plain: 0, sent: 0 }
        });
        Some(Box::new(Self { encode, sink, hold }))
    }

    /// Bytes for the client that are not sent before more has been made of them.
    const fn enough(&self) -> usize {
        if self.hold.is_some() { ENOUGH_HELD } else { ENOUGH }
    }

    /// Gives on what has come out.
    async fn pass_on(
        &self,
        buffers: &mut Buffers,
        ask: &Ask<'_>,
        facts: &Facts,
    ) -> Result<(), Reason> {
        match &self.hold {
            None => buffers.send_out(ask, facts).await,
            Some(hold) => hold.put(&mut buffers.out).await,
        }
    }

    /// Whether bytes may stay inside until [`Filters::flush`].
    pub(super) const fn holds(&self) -> bool {
        self.encode.is_some()
    }

    /// Takes some of the body, at most a piece; appends what the client gets to `out`, and says how
    /// many bytes of the body that was.
    pub(super) fn push(&mut self, data: &[u8], out: &mut Buffer) -> Result<u64, Lost> {
        match &mut self.encode {
            None => Ok(emit(self.sink, data, out)),
            Some(encode) => {
                encode.plain += data.len() as u64;
                encode.run(self.sink, out, |encoder, coded| encoder.push(data, coded))
            }
        }
    }

    /// Appends all that is held to `out`, so that the client can read what the member has sent.
    pub(super) fn flush(&mut self, out: &mut Buffer) -> Result<u64, Lost> {
        match &mut self.encode {
            None => Ok(0),
            Some(encode) => encode.run(self.sink, out, Encoder::flush),
        }
    }

    /// The body is complete: appends its end to `out`.
    pub(super) fn end(&mut self, source: &Source, out: &mut Buffer) -> Result<u64, Lost> {
        let count = match &mut self.encode {
            None => 0,
            Some(encode) => encode.run(self.sink, out, Encoder::end)?,
        };
        if self.sink == Sink::Chunked {
            let drops = |name: &[u8]| self.encode.is_some() && compress::is_of_the_body(name);
            end_chunks_without(drops, source.decoder(), out);
        }
        Ok(count)
    }

    /// Counts what was done.
    pub(super) fn settle(&self, row: &Row, facts: &Facts) {
        if let Some(encode) = &self.encode {
            let coding = encode.encoder.coding();
            let (answers, plain, sent) = compress::counters(coding);
            row.add(answers, 1);
            row.add(plain, encode.plain);
            row.add(sent, encode.sent);
            facts.coded.set(Some((coding, encode.plain)));
        }
    }
}

impl Encode {
    fn run(
        &mut self,
        sink: Sink,
        out: &mut Buffer,
        step: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<u64, Lost> {
        if self.coded.capacity() == 0 {
            self.coded = Buffer::take(ROOM);
        }
        let ran = step(&mut self.encoder, self.coded.tail());
        ran.map_err(|EncodeError| Lost::from(Reason::Internal))?;
        let count = emit(sink, self.coded.data(), out);
        self.sent += count;
        self.coded.clear();
        Ok(count)
    }
}

/// Appends all of `data`, however large it is; says how large.
fn emit(sink: Sink, data: &[u8], out: &mut Buffer) -> u64 {
    if data.is_empty() {
        return 0;
    }
    let tail = out.tail();
    if sink == Sink::Chunked {
        chunk_size_line(tail, data.len());
    }
    tail.extend_from_slice(data);
    if sink == Sink::Chunked {
        tail.extend_from_slice(b"\r\n");
    }
    data.len() as u64
}

/// An answer that is being encoded, until dropped.
pub(super) struct Active<'a>(&'a Row);

impl<'a> Active<'a> {
    pub(super) fn new(row: &'a Row) -> Self {
        row.add(Counter::CompressActive, 1);
        Self(row)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.sub(Counter::CompressActive, 1);
    }
}

/// Moves the body through its filters, leaving its last bytes in `buffers.out`. A body that the
/// member did not end is not ended here either.
pub(super) async fn relay<'a>(
    ask: &'a Ask<'a>,
    upstream: &Stream,
    patience: Duration,
    framing: Framing,
    filters: &mut Filters,
    buffers: &mut Buffers,
    facts: &'a Facts,
) -> Result<Option<Rest<'a>>, Lost> {
    let _active = filters.encode.as_ref().map(|_| Active::new(&ask.context.row));
    let hold = filters.hold.clone();
    let moving = move_body(ask, upstream, patience, framing, filters, buffers, facts);
    let moved = match &hold {
        None => moving.await.map(|()| None),
        Some(hold) => buffering::relay(hold, ask, facts, moving).await.map(Some),
    };
    filters.settle(&ask.context.row, facts);
    let rest = moved?;
    Ok(rest.filter(|_| hold.is_some_and(|hold| hold.end(&mut buffers.out))))
}

async fn move_body(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    framing: Framing,
    filters: &mut Filters,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Result<(), Lost> {
    let mut source = Source::new(framing, ask.context.config.limits.trailers);
    let pause = match framing {
        Framing::Length(_) => PAUSE_OF_KNOWN,
        Framing::None | Framing::Chunked | Framing::UntilClose => PAUSE,
    };
    let mut turn = Turn::default();
    loop {
        if buffers.out.capacity() < ROOM.bytes() {
            // What was given on whole took its memory along.
            buffers.out.grow(ROOM.bytes());
        }
        if pass(&mut source, filters, buffers, &mut turn, ask, facts).await? {
            return Ok(());
        }
        if is_silent(upstream, filters.holds().then_some(pause)).await {
            let count = filters.flush(&mut buffers.out)?;
            facts.sent.set(facts.sent.get() + count);
            filters.pass_on(buffers, ask, facts).await?;
        }
        if buffers.input.capacity() != RECEIVED.bytes() {
            buffers.input = Buffer::take(RECEIVED);
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

/// Whether a piece has been worked on: others have their turn before the next.
#[derive(Default)]
struct Turn(bool);

impl Turn {
    async fn next(&mut self) {
        if std::mem::replace(&mut self.0, true) {
            give_way().await;
        }
    }
}

/// Pushes all that was received through the filters; true: that was the end of the body.
async fn pass(
    source: &mut Source,
    filters: &mut Filters,
    buffers: &mut Buffers,
    turn: &mut Turn,
    ask: &Ask<'_>,
    facts: &Facts,
) -> Result<bool, Lost> {
    let mut done = PIECE_MOST;
    loop {
        let Buffers { input, out } = buffers;
        if done >= PIECE.bytes() && !input.is_empty() {
            turn.next().await;
            done = 0;
        }
        let most = if input.len() <= PIECE_MOST { PIECE_MOST } else { PIECE.bytes() };
        let piece = source.next(input.data(), most);
        let piece = piece.map_err(|_| Lost::from(Reason::BadResponseBody))?;
        let data = input.data().get(piece.start..piece.end).unwrap_or_default();
        let mut count = if data.is_empty() { 0 } else { filters.push(data, out)? };
        if piece.done {
            count += filters.end(source, out)?;
        }
        facts.sent.set(facts.sent.get() + count);
        input.consume(piece.consumed);
        done += piece.consumed;
        if piece.done {
            return Ok(true);
        }
        if out.len() >= filters.enough() {
            filters.pass_on(buffers, ask, facts).await?;
        }
        if buffers.input.is_empty() {
            return Ok(false);
        }
    }
}

/// Whether the member has nothing to say, for all of a pause where there is one.
async fn is_silent(upstream: &Stream, pause: Option<Duration>) -> bool {
    if !upstream.is_quiet() {
        return false;
    }
    let Some(pause) = pause else { return true };
    let (more, pause) = (pin!(upstream.readable()), pin!(sleep(pause)));
    matches!(race(more, pause).await, Either::Second(()))
}
