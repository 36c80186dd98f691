//! A request's body that is taken in before a member is chosen: the client's speed is nobody's concern
//! then, and the body can be sent as often as it must be.
//!
//! In order: the pieces in memory, what is on disk, what is staged. A body for which there is no room
//! goes on as it comes behind what was taken in, or its request is refused.

use super::super::answer::send_to_client;
use super::super::body::{Sink, append, end_chunks};
use super::super::exchange::{Ask, Facts};
use super::super::mirror;
use super::super::replay::Upload;
use super::super::upload::receive;
use super::memory::{Full, Memory, SMALL};
use super::spill::{NoSpill, Spill};
use super::{BufferHand, count_full};
use crate::config::{BufferRequestConfig, Over};
use crate::http::{Framing, encode};
use crate::net::{Buffer, Size, Stream};
use crate::stats::{Counter, Reason};
use std::time::Duration;

/// What was taken in of a body before a member was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Taken {
    /// Nothing: it goes on as it comes.
    #[default]
    Nothing,
    /// Something. The client was told to send it.
    Some,
    /// All of a chunked body without trailers: so many bytes.
    Whole(u64),
}

/// The bytes that were taken in.
#[derive(Debug)]
pub(in super::super) struct Intake {
    memory: Memory,
    spill: Option<Spill>,
    /// On its way to disk, or without a place there.
    staged: Buffer,
    whole: bool,
}

/// Takes the body in, as far as there is room for it.
pub(in super::super) async fn take_in(
    ask: &Ask<'_>,
    config: &BufferRequestConfig,
    received: &mut Buffer,
    upload: &mut Upload,
    facts: &Facts,
) -> Result<(), Reason> {
    let Some(hand) = ask.context.buffers() else { return Err(Reason::Internal) };
    let most = config.room.memory.saturating_add(config.room.disk);
    if matches!(ask.framing, Framing::Length(length) if length > most) {
        return has_no_room(hand, config.over, Full::Body);
    }
    invite(ask, received).await?;
    facts.taken.set(Taken::Some);
    let mut intake = Intake::new(hand, config);
    let full = intake.take(ask, received, upload, facts).await?;
    if received.is_empty() {
        // While the request waits for a member it needs no buffer.
        *received = Buffer::default();
    }
    if let Some(full) = full.filter(|_| !intake.whole) {
        has_no_room(hand, config.over, full)?;
    }
    if intake.whole {
        is_whole(ask, upload, facts);
    }
    upload.intake = Some(Box::new(intake));
    Ok(())
}

/// Settles how a body goes on that is in hand.
fn is_whole(ask: &Ask<'_>, upload: &mut Upload, facts: &Facts) {
    ask.context.row.add(Counter::RequestsBuffered, 1);
    upload.done = true;
    facts.consumed.set(true);
    facts.replayable.set(true);
    // The client's slowness is not the request's age.
    facts.since.set(Stream::tick());
    let trails = upload.source.decoder().is_some_and(|decoder| decoder.trailers().next().is_some());
    // Trailers pass where chunks do.
    if upload.sink == Sink::Chunked && !trails {
        upload.sink = Sink::Raw;
        facts.taken.set(Taken::Whole(upload.total));
    }
}

fn has_no_room(hand: &BufferHand, over: Over, full: Full) -> Result<(), Reason> {
    count_full(&hand.row, Counter::RequestsOver, full);
    match (over, full) {
        (Over::Stream, _) => Ok(()),
        (Over::Refuse, Full::Body) => Err(Reason::BodyOverBuffer),
        (Over::Refuse, Full::All) => Err(Reason::BuffersFull),
    }
}

/// Tells a client that waits for the word to send its body.
async fn invite(ask: &Ask<'_>, received: &Buffer) -> Result<(), Reason> {
    if !ask.head.expects_continue() || !received.is_empty() {
        return Ok(());
    }
    let mut word = Buffer::take(Size::Small);
    word.tail().extend_from_slice(encode::CONTINUE);
    send_to_client(ask, &mut word).await
}

impl Intake {
    fn new(hand: &BufferHand, config: &BufferRequestConfig) -> Self {
        let (memory, spill) = (hand.memory(config.room, SMALL), hand.spill(config.room));
        Self { memory, spill, staged: Buffer::default(), whole: false }
    }

    /// Receives and keeps the body to its end, or until there is no room. What was received has been
    /// kept in any case.
    async fn take(
        &mut self,
        ask: &Ask<'_>,
        received: &mut Buffer,
        upload: &mut Upload,
        facts: &Facts,
    ) -> Result<Option<Full>, Reason> {
        let bound = ask.route.limits.body(ask.listener.limits.body);
        loop {
            let piece = upload.source.next(received.data(), usize::MAX);
            let piece = piece.map_err(|_| Reason::BadBody)?;
            let data = received.data().get(piece.start..piece.end).unwrap_or_default();
            upload.total += data.len() as u64;
            if bound.is_some_and(|bound| upload.total > bound) {
                return Err(Reason::BodyTooLarge);
            }
            if let Some(copy) = &mut upload.copy {
                add_to_copy(copy, upload.sink, data);
            }
            let mut full = self.push(data).await?;
            received.consume(piece.consumed);
            self.whole = piece.done;
            if piece.done {
                full = self.settle().await?.or(full);
                facts.consumed.set(true);
                end_copy(ask, upload);
            }
            if full.is_some() || piece.done {
                return Ok(full);
            }
            if received.is_empty() {
                receive(ask, received).await?;
            }
        }
    }

    /// Keeps all of `data`; says if that was more than there is room for.
    async fn push(&mut self, mut data: &[u8]) -> Result<Option<Full>, Reason> {
        let mut full = None;
        if self.staged.is_empty() && self.spill.as_ref().is_none_or(|spill| spill.len() == 0) {
            let Err((taken, why)) = self.memory.append(data) else { return Ok(None) };
            data = data.get(taken..).unwrap_or_default();
            full = Some(why);
        }
        while self.spill.is_some() && !data.is_empty() {
            if self.staged.capacity() == 0 {
                self.staged = Buffer::take(Size::Large);
            }
            let (now, later) = data.split_at(data.len().min(self.staged.room()));
            self.staged.tail().extend_from_slice(now);
            data = later;
            full = if self.staged.room() == 0 { self.settle().await? } else { None };
            if full.is_some() {
                break;
            }
        }
        // The last that came stays in hand.
        self.staged.tail().extend_from_slice(data);
        Ok(full)
    }

    /// Writes to disk what is staged for it.
    async fn settle(&mut self) -> Result<Option<Full>, Reason> {
        let Some(spill) = self.spill.as_ref().filter(|_| !self.staged.is_empty()) else {
            return Ok(None);
        };
        match spill.write(&mut self.staged).await {
            Ok(()) => Ok(None),
            Err(NoSpill::Full(full)) => Ok(Some(full)),
            Err(NoSpill::Failed) => Ok(Some(Full::All)),
            Err(NoSpill::Lost(reason)) => Err(reason),
        }
    }
}

fn add_to_copy(copy: &mut mirror::Copy, sink: Sink, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    if sink == Sink::Raw {
        return copy.add(data);
    }
    let mut line = Vec::new();
    encode::chunk_size_line(&mut line, data.len());
    [&line, data, encode::CRLF].into_iter().for_each(|part| copy.add(part));
}

fn end_copy(ask: &Ask<'_>, upload: &mut Upload) {
    let Some(mut copy) = upload.copy.take() else { return };
    if upload.sink == Sink::Chunked {
        let mut end = Buffer::take(Size::Small);
        end_chunks(upload.source.decoder(), &mut end);
        copy.add(end.data());
    }
    copy.send(ask.context);
}

/// The way to a member.
struct Way<'a> {
    upstream: &'a Stream,
    stall: Duration,
    sink: Sink,
    out: &'a mut Buffer,
}

impl Way<'_> {
    /// Sends `data`, but for what is left in `out`; false: the member takes no more.
    async fn send(&mut self, mut data: &[u8]) -> bool {
        loop {
            let count = append(self.sink, data, self.out);
            data = data.get(count..).unwrap_or_default();
            if data.is_empty() {
                return true;
            }
            if self.upstream.send_within(self.out, self.stall).await.is_err() {
                return false;
            }
            if self.out.capacity() < Size::Large.bytes() {
                *self.out = Buffer::take(Size::Large);
            }
        }
    }
}

/// Sends what was taken in behind what `out` has, but for what is left there; false: the member takes
/// no more.
pub(in super::super) async fn resend(
    upload: &Upload,
    upstream: &Stream,
    stall: Duration,
    out: &mut Buffer,
) -> Result<bool, Reason> {
    let Some(intake) = &upload.intake else { return Ok(true) };
    let mut way = Way { upstream, stall, sink: upload.sink, out };
    for piece in intake.memory.pieces() {
        if !way.send(piece).await {
            return Ok(false);
        }
    }
    if let Some(spill) = &intake.spill {
        let (mut at, end) = (spill.start(), spill.start() + spill.len());
        while at < end {
            let read = spill.read(at).await?;
            at += read.len() as u64;
            if !way.send(read.data()).await {
                return Ok(false);
            }
        }
    }
    if !way.send(intake.staged.data()).await {
        return Ok(false);
    }
    if intake.whole && upload.sink == Sink::Chunked {
        end_chunks(upload.source.decoder(), way.out);
    }
    Ok(true)
}
