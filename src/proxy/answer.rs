//! A member's answer on its way to the client: interim heads, the final head, the body.

use std::time::Duration;

use super::body::{Sink, Source, carry, end_chunks};
use super::buffering::{self, Rest};
use super::cache;
use super::compress;
use super::deliver::{self, Lost};
use super::demands;
use super::error_page::{self, Page};
use super::exchange::{Ask, Facts};
use super::filtered::{self, Filters};
use super::guard;
use super::patience::Patience;
use super::reasons;
use super::response::{self, BodyField, ConnectionField, Edits};
use super::sticky;
use crate::http::{
    FieldRef, Framing, HeadLimits, Method, Parsed, ResponseHead, Version, encode, response_framing,
};
use crate::net::{Buffer, Failure, Relayed, Size, Stream, splice};
use crate::stats::{Counter, Reason};

/// More than this of a body still to come goes from socket to socket without a copy.
pub(super) const SPLICE_FROM: u64 = 64 << 10;

/// Interim answers to one request; more are not an answer.
const INTERIM_MOST: usize = 64;

/// How an answer ended.
#[derive(Debug)]
pub(super) enum Answered<'a> {
    /// It is complete; its last bytes are still in `Buffers::out`, or in what is left of it.
    Done {
        /// The client's connection may go on.
        keep_client: bool,
        /// The member's connection may be used again.
        keep_upstream: bool,
        /// What was taken in and has not reached the client yet.
        rest: Option<Rest<'a>>,
    },
    /// The cache takes it, with its body. Nothing was sent yet.
    Taken,
    /// 101: from here on the connections are a tunnel. Nothing was sent yet.
    Upgraded,
}

/// Where an answer passes through.
#[derive(Debug)]
pub(super) struct Buffers {
    /// From the member.
    pub(super) input: Buffer,
    /// To the member first, then to the client.
    pub(super) out: Buffer,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self { input: Buffer::take(Size::Medium), out: Buffer::take(Size::Medium) }
    }

    /// Sends to the client what waits.
    pub(super) async fn send_out(&mut self, ask: &Ask<'_>, facts: &Facts) -> Result<(), Reason> {
        if self.out.is_empty() {
            return Ok(());
        }
        facts.begun.set(true);
        send_to_client(ask, &mut self.out).await
    }
}

pub(super) async fn send_to_client(ask: &Ask<'_>, out: &mut Buffer) -> Result<(), Reason> {
    let count = out.len() as u64;
    let sent = ask.stream.send_within(out, ask.listener.timeouts.write).await;
    sent.map_err(reasons::to_client)?;
    ask.context.row.add(Counter::BytesOut, count);
    Ok(())
}

/// Brings the answer to the client, but for its last bytes.
pub(super) async fn answer<'a>(
    ask: &'a Ask<'a>,
    upstream: &Stream,
    patience: &Patience,
    head: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &'a Facts,
) -> Result<Answered<'a>, Lost> {
    read_final_head(ask, upstream, patience, head, buffers, facts).await?;
    if head.status() == 101 {
        let expected = demands::may_switch(ask, head);
        return if expected { Ok(Answered::Upgraded) } else { Err(Reason::BadResponse.into()) };
    }
    let framing =
        response_framing(head, ask.head.method()).map_err(|_| Lost::from(Reason::BadResponse))?;
    facts.status.set(head.status());
    facts.set_answered();
    if deliver::passes_over(ask, facts, head.status()) {
        return Err(Lost { again: true, ..Reason::BadStatus.into() });
    }
    if let Some(page) = error_page::of_member(ask, head.status()) {
        return Ok(put_in_place(page, ask, framing, head, buffers, facts));
    }
    if let Some(part) = ask.cache {
        if part.takes(ask, head, facts) {
            return Ok(Answered::Taken);
        }
        upstream.work_for(Some(ask.stream));
    }
    let (coded, encoder) = match &ask.route.compress {
        None => (None, None),
        Some(config) => compress::plan(ask, config, head, framing),
    };
    let modern = ask.head.version() == Version::Http11;
    // What comes out of an encoder has no length that is known before.
    let coming = if encoder.is_some() { Framing::UntilClose } else { framing };
    let body = BodyField::of(coming, modern);
    let keep_client = ask.head.wants_keep_alive()
        && !ask.context.is_draining()
        && facts.uploaded.get()
        && body != BodyField::Close;
    let connection = match (keep_client, modern) {
        (true, true) => ConnectionField::Silent,
        (true, false) => ConnectionField::KeepAlive,
        (false, _) => ConnectionField::Close,
    };
    write_head(ask, head, body, connection, coded, buffers.out.tail(), facts);
    let sink = if body == BodyField::Chunked { Sink::Chunked } else { Sink::Raw };
    let silence = patience.silence;
    let place = |room| buffering::hold(ask, room, head, framing, &buffers.input);
    let hold = ask.route.buffer_response.and_then(place);
    let mut rest = None;
    match Filters::of(sink, encoder, hold) {
        None => relay(ask, upstream, silence, framing, sink, buffers, facts).await?,
        Some(mut filters) => {
            let filters = &mut *filters;
            let body = filtered::relay(ask, upstream, silence, framing, filters, buffers, facts);
            rest = Box::pin(body).await?;
        }
    }
    let keep_upstream = framing != Framing::UntilClose
        && head.wants_keep_alive()
        && facts.uploaded.get()
        && !has_excess(ask, buffers);
    // An upload that is still under way when its answer is complete ends the connection, whatever
    // the head said.
    let keep_client = keep_client && facts.uploaded.get();
    Ok(Answered::Done { keep_client, keep_upstream, rest })
}

/// Whether more came than belongs to the answer: it is nobody's, and neither is what follows.
fn has_excess(ask: &Ask<'_>, buffers: &Buffers) -> bool {
    let excess = !buffers.input.is_empty();
    if excess {
        ask.context.row.add(Counter::UpstreamExcess, 1);
    }
    excess
}

/// Appends the head for the client.
// No part of `answer`: what is done to the fields would stand in the memory of every connection.
fn write_head(
    ask: &Ask<'_>,
    head: &ResponseHead,
    body: BodyField,
    connection: ConnectionField,
    coded: Option<compress::Coded>,
    out: &mut Vec<u8>,
    facts: &Facts,
) {
    let edits = Edits { coded, ..Edits::of(ask, facts) };
    response::write(out, head, body, connection, edits, |out| {
        sticky::write(out, ask, facts);
        cache::write_status(out, ask, facts);
        guard::write_quota(out, ask.context, facts);
    });
}

/// Writes a page in place of the member's body, of which no more is read.
fn put_in_place<'a>(
    page: Page<'_>,
    ask: &Ask<'_>,
    framing: Framing,
    head: &ResponseHead,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Answered<'a> {
    let keep_client =
        ask.head.wants_keep_alive() && !ask.context.is_draining() && facts.uploaded.get();
    let connection = match (keep_client, ask.head.version() == Version::Http11) {
        (true, true) => ConnectionField::Silent,
        (true, false) => ConnectionField::KeepAlive,
        (false, _) => ConnectionField::Close,
    };
    let edits = Edits::of(ask, facts);
    let drops = |field: &FieldRef<'_>| {
        error_page::is_of_body(field) || edits.drops.is_some_and(|drops| drops(field))
    };
    let edits = Edits { drops: Some(&drops), ..edits };
    let body = BodyField::Length(page.bytes.len() as u64);
    response::write(buffers.out.tail(), head, body, connection, edits, |out| {
        if !edits.take(b"content-type") {
            encode::field(out, b"Content-Type", page.content_type.as_bytes());
        }
        sticky::write(out, ask, facts);
        guard::write_quota(out, ask.context, facts);
    });
    if ask.head.method() != Method::Head {
        buffers.out.tail().extend_from_slice(page.bytes);
        facts.sent.set(page.bytes.len() as u64);
    }
    ask.context.row.add(Counter::ErrorPages, 1);
    // A body that has come whole is dropped; one that is still to come takes its connection along.
    let whole = match framing {
        Framing::None => Some(0),
        Framing::Length(length) => {
            usize::try_from(length).ok().filter(|length| *length <= buffers.input.len())
        }
        Framing::Chunked | Framing::UntilClose => None,
    };
    buffers.input.consume(whole.unwrap_or(0));
    let keep_upstream = whole.is_some()
        && head.wants_keep_alive()
        && facts.uploaded.get()
        && buffers.input.is_empty();
    Answered::Done { keep_client, keep_upstream, rest: None }
}

/// Reads heads until the final one (or 101), passing interim ones on.
async fn read_final_head(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: &Patience,
    head: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Result<(), Lost> {
    for interim in 0..INTERIM_MOST {
        let read = read_head(ask, upstream, patience, head, &mut buffers.input, facts).await;
        // An interim answer is an answer: the request is not to be sent again.
        read.map_err(|lost| Lost { unanswered: lost.unanswered && interim == 0, ..lost })?;
        if !matches!(head.status(), 100 | 102..=199) {
            return Ok(());
        }
        // HTTP/1.0 knows no interim answers.
        if ask.head.version() == Version::Http11 {
            let mut interim = Buffer::take(Size::Medium);
            response::write_interim(interim.tail(), head, None, |_| ());
            send_to_client(ask, &mut interim).await?;
        }
    }
    Err(Reason::BadResponse.into())
}

async fn read_head(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: &Patience,
    head: &mut ResponseHead,
    input: &mut Buffer,
    facts: &Facts,
) -> Result<(), Lost> {
    let bounds = &ask.context.config.limits;
    let limits = HeadLimits { bytes: bounds.response_head, fields: bounds.response_headers };
    head.clear();
    loop {
        if !input.is_empty() {
            match head.parse(input.data(), &limits) {
                Ok(Parsed::Complete(length)) => {
                    input.consume(length);
                    return Ok(());
                }
                Ok(Parsed::Partial) => {}
                Err(error) => return Err(reasons::bad_head(error).into()),
            }
            if input.room() == 0 {
                // The parser refuses a head beyond its limit, so this ends.
                input.grow(input.len() * 2);
            }
        }
        // While the request is still on its way the member may well be silent.
        if facts.uploaded.get() {
            patience.await_head(upstream, facts);
        }
        let received = upstream.recv(input).await;
        if let Err(failure) = received {
            let closed = matches!(failure, Failure::Closed | Failure::Reset);
            let unanswered = closed && input.is_empty();
            return Err(Lost { unanswered, ..reasons::before_head(failure).into() });
        }
        upstream.disarm_read();
    }
}

/// Moves the body, leaving its last bytes in `buffers.out`.
async fn relay(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    framing: Framing,
    sink: Sink,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Result<(), Lost> {
    let mut source = Source::new(framing, ask.context.config.limits.trailers);
    let mut can_splice = true;
    loop {
        let mut moved = 0;
        let done = pass(&mut source, sink, buffers, &mut moved)?;
        facts.sent.set(facts.sent.get() + moved);
        if done {
            return Ok(());
        }
        buffers.send_out(ask, facts).await?;
        if !buffers.input.is_empty() {
            continue;
        }
        if let Some(left) = source.plain_rest()
            && left > SPLICE_FROM
            && can_splice
        {
            match Box::pin(splice_rest(ask, upstream, patience, left, facts)).await? {
                true => return Ok(()),
                false => can_splice = false,
            }
        }
        if !receive_body(upstream, patience, &mut buffers.input).await? {
            if !matches!(source, Source::UntilClose) {
                return Err(Reason::ShortBody.into());
            }
            if sink == Sink::Chunked {
                end_chunks(None, &mut buffers.out);
            }
            return Ok(());
        }
    }
}

/// As [`carry`]; where nothing has to be changed or cut, the buffers change places instead.
fn pass(
    source: &mut Source,
    sink: Sink,
    buffers: &mut Buffers,
    moved: &mut u64,
) -> Result<bool, Lost> {
    if buffers.out.is_empty()
        && sink == Sink::Raw
        && let Source::Length(left) = source
        && buffers.input.len() as u64 <= *left
    {
        std::mem::swap(&mut buffers.input, &mut buffers.out);
        *left -= buffers.out.len() as u64;
        *moved += buffers.out.len() as u64;
        return Ok(*left == 0);
    }
    carry(source, sink, &mut buffers.input, &mut buffers.out, moved)
        .map_err(|_| Reason::BadResponseBody.into())
}

/// Receives more of a body, into a large buffer; false at the end of the stream.
async fn receive_body(
    upstream: &Stream,
    patience: Duration,
    input: &mut Buffer,
) -> Result<bool, Lost> {
    if input.capacity() < Size::Large.bytes() {
        *input = Buffer::take(Size::Large);
    }
    match upstream.recv_within(input, patience).await {
        Ok(_) => Ok(true),
        Err(Failure::Closed) => Ok(false),
        Err(failure) => Err(reasons::in_body(failure).into()),
    }
}

/// The rest of a body without a copy; false if the kernel does not offer that.
async fn splice_rest(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    left: u64,
    facts: &Facts,
) -> Result<bool, Lost> {
    let stall = ask.listener.timeouts.write;
    let relayed = splice((upstream, patience), (ask.stream, stall), left, |count| {
        facts.sent.set(facts.sent.get() + count);
        ask.context.row.add(Counter::BytesOut, count);
    });
    match relayed.await {
        Relayed::Done => Ok(true),
        Relayed::Unavailable => Ok(false),
        Relayed::FromFailed(failure) => Err(reasons::in_body(failure).into()),
        Relayed::ToFailed { failure, .. } => Err(reasons::to_client(failure).into()),
    }
}
