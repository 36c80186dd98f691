//! Stored answers on their way to clients: whole, a part of them, or the word that the client has
//! them already.

use super::super::answer::send_to_client;
use super::super::body::Sink;
use super::super::compress::Coded;
use super::super::encoder::Encoder;
use super::super::exchange::{Ask, Ending, Facts};
use super::super::filtered::Filters;
use super::super::response::{self, BodyField, ConnectionField, Edits};
use super::super::serve::{Serving, To};
use super::super::{compress, guard};
use super::disk;
use super::encodings::{Encodings, Made};
use super::flight::{Begun, Flight};
use super::growing::{Cursor, Read};
use super::hand::CacheHand;
use super::stored::{Body, Label, Stored};
use super::trace::Trace;
use crate::clock;
use crate::http::caching::{CacheField, CacheRequest, Extent, Wanted, wanted};
use crate::http::{
    Coding, FieldRef, Framing, HeadLimits, Method, Name, ResponseHead, Version, encode,
};
use crate::net::{Buffer, Size};
use crate::stats::{Counter, Reason};
use std::sync::Arc;

/// Up to this size a head is taken to be smaller than.
const HEAD_ROOM: u64 = 4 << 10;

/// What of a stored answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    Part(u64, u64),
    NotModified,
    Unsatisfiable,
}

/// An answer that is ready to be sent: its head, and as much of the body as there was room for.
#[derive(Debug)]
pub(in super::super) struct Ready {
    out: Buffer,
    way: Way,
    /// What follows.
    rest: Option<Rest>,
}

/// Some of a stored body.
#[derive(Debug)]
struct Rest {
    stored: Arc<Stored>,
    /// Of its form in this coding.
    coding: Option<Coding>,
    from: u64,
    to: u64,
}

impl Ready {
    /// What is on its way to the client while it is encoded for it alone: of this answer that form
    /// could be kept.
    pub(super) fn unkept(&self) -> Option<(Arc<Stored>, Coding)> {
        let (rest, coding) = (self.rest.as_ref()?, self.way.unkept?);
        self.way.filters.as_ref()?;
        // Nothing is kept beside what is on disk alone.
        (rest.stored.body.opened().is_none()).then_some(())?;
        Some((Arc::clone(&rest.stored), coding))
    }
}

fn body_of(stored: &Stored, coding: Option<Coding>) -> &Body {
    coding.and_then(|coding| stored.encodings.body(coding)).unwrap_or(&stored.body)
}

fn form(
    label: &Label,
    length: Option<u64>,
    request: &CacheRequest<'_>,
    get: bool,
    now: u64,
) -> Form {
    let validators = label.validators();
    if label.status == 200 && validators.are_met_by(request, now) {
        return Form::NotModified;
    }
    match (request.range, length) {
        (Some(range), Some(length))
            if get && label.status == 200 && validators.allow_range(request, now) =>
        {
            match wanted(range, length) {
                Wanted::All => Form::Whole,
                Wanted::Part(first, end) => Form::Part(first, end),
                Wanted::Nothing => Form::Unsatisfiable,
            }
        }
        _ => Form::Whole,
    }
}

/// Reads the head of what is sent into `response`.
fn read_head(label: &Label, form: Form, text: &mut Vec<u8>, response: &mut ResponseHead) {
    let limits = HeadLimits { bytes: label.head.len() + 64, fields: 4096 };
    response.clear();
    // It was written by us.
    _ = response.parse(&label.head, &limits);
    let status = match form {
        Form::Whole => return,
        Form::Part(..) => 206,
        Form::NotModified => 304,
        Form::Unsatisfiable => 416,
    };
    text.clear();
    encode::status_line(text, status, encode::reason_phrase(status).as_bytes());
    let tagged = response.fields().any(|field| is(&field, CacheField::Etag));
    let passes = |field: &FieldRef<'_>| match form {
        Form::Part(..) => !is(field, CacheField::ContentRange),
        // What tells of a body that is not sent is left out (RFC 9110 15.4.5).
        _ => {
            let of_body = match CacheField::of(field.name_bytes) {
                Some(CacheField::ContentEncoding | CacheField::ContentRange) => true,
                Some(CacheField::LastModified) => tagged,
                _ => field.name_bytes.eq_ignore_ascii_case(b"content-language"),
            };
            field.name != Name::ContentType && !of_body
        }
    };
    for field in response.fields().filter(passes) {
        encode::field_as_sent(text, &field);
    }
    text.extend_from_slice(encode::CRLF);
    response.clear();
    _ = response.parse(text, &limits);
}

fn is(field: &FieldRef<'_>, which: CacheField) -> bool {
    CacheField::of(field.name_bytes) == Some(which)
}

/// How the body of `length` bytes goes out, and whether the connection may go on.
fn framing(
    ask: &Ask<'_>,
    status: u16,
    length: Option<u64>,
    keep: bool,
) -> (BodyField, Framing, bool) {
    let modern = ask.head.version() == Version::Http11;
    if matches!(status, 204 | 304) {
        return (BodyField::AsSent, Framing::None, keep);
    }
    let (body, framing) = match length {
        Some(length) => (BodyField::Length(length), Framing::Length(length)),
        None if modern => (BodyField::Chunked, Framing::Chunked),
        None => (BodyField::Close, Framing::UntilClose),
    };
    let framing = if ask.head.method() == Method::Head { Framing::None } else { framing };
    (body, framing, keep && framing != Framing::UntilClose)
}

/// How an answer goes on behind its head.
#[derive(Debug)]
pub(super) struct Way {
    framing: Framing,
    keep: bool,
    filters: Option<Box<Filters>>,
    /// The body is its kept form in this coding.
    kept: Option<Coding>,
    /// The body is encoded for this client alone, as there is no kept form in this coding.
    unkept: Option<Coding>,
}

/// How a body goes out.
#[derive(Default)]
struct Encoding {
    coded: Option<Coded>,
    encoder: Option<Box<Encoder>>,
    /// How it is kept, and of how many bytes.
    kept: Option<(Coding, u64)>,
    unkept: Option<Coding>,
}

/// Whether and how a body of `length` bytes is encoded: from what is kept in `encodings`, if that is
/// there.
fn encoding(
    ask: &Ask<'_>,
    response: &ResponseHead,
    length: Option<u64>,
    encodings: Option<&Encodings>,
) -> Encoding {
    let Some(config) = &ask.route.compress else { return Encoding::default() };
    let coming = length.map_or(Framing::Chunked, Framing::Length);
    let decision = compress::decide(ask, config, response, coming);
    let encodings = encodings.filter(|_| config.stored.is_some());
    let wanted = decision.coding().zip(encodings);
    match wanted.map(|(coding, encodings)| (coding, encodings.get(coding))) {
        Some((coding, Some(Made::Encoded(body)))) => {
            let kept = Some((coding, body.length));
            Encoding { coded: decision.coded(), kept, ..Encoding::default() }
        }
        Some((_, Some(Made::Useless))) => {
            ask.context.row.add(Counter::CompressUseless, 1);
            Encoding { coded: decision.plain(), ..Encoding::default() }
        }
        missing => {
            let (coded, encoder) = decision.take(ask, config);
            let unkept = missing.map(|(coding, _)| coding);
            Encoding { coded, encoder, kept: None, unkept }
        }
    }
}

/// Appends a whole head; `more` appends fields of our own.
pub(super) fn write_head(
    ask: &Ask<'_>,
    out: &mut Vec<u8>,
    response: &ResponseHead,
    length: Option<u64>,
    encodings: Option<&Encodings>,
    facts: &Facts,
    more: impl FnOnce(&mut Vec<u8>),
) -> Way {
    let keep = To::from(ask).may_keep(facts);
    let Encoding { coded, encoder, kept, unkept } = encoding(ask, response, length, encodings);
    // What comes out of an encoder has no length that is known before.
    let length = kept.map(|(_, length)| length).or(length.filter(|_| encoder.is_none()));
    let (mut body, framing, keep) = framing(ask, response.status(), length, keep);
    if framing == Framing::None && kept.is_none() && coded.is_some_and(|coded| coded.encodes()) {
        body = BodyField::AsSent;
    }
    let connection = match (keep, ask.head.version()) {
        (true, Version::Http11) => ConnectionField::Silent,
        (true, Version::Http10) => ConnectionField::KeepAlive,
        (false, _) => ConnectionField::Close,
    };
    facts.status.set(response.status());
    response::write(
        out,
        response,
        body,
        connection,
        Edits { coded, ..Edits::of(ask, facts) },
        |out| {
            more(out);
            guard::write_quota(out, ask.context, facts);
            if let (Some(trace), Some(cache)) = (facts.cache.get(), &ask.route.cache)
                && cache.status_header
            {
                trace.write(out);
            }
        },
    );
    let sink = if framing == Framing::Chunked { Sink::Chunked } else { Sink::Raw };
    let kept = kept.map(|(coding, _)| coding);
    Way { framing, keep, filters: Filters::of(sink, encoder, None), kept, unkept }
}

/// Who gets a stored answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Getter<'a> {
    pub(super) ask: &'a Ask<'a>,
    pub(super) request: CacheRequest<'a>,
    pub(super) hand: &'a CacheHand,
    pub(super) facts: &'a Facts,
    pub(super) now: u64,
}

impl<'a> Getter<'a> {
    pub(super) fn new(ask: &'a Ask<'a>, hand: &'a CacheHand, facts: &'a Facts) -> Self {
        let (request, now) = (ask.cache_request(), clock::unix().as_secs());
        Self { ask, request, hand, facts, now }
    }
}

/// Makes the answer of what is stored. Says `trace` to who asks.
pub(super) fn ready(
    getter: &Getter<'_>,
    stored: &Arc<Stored>,
    response: &mut ResponseHead,
    trace: Trace,
) -> Ready {
    let Getter { ask, request, now, .. } = *getter;
    let length = stored.body.length;
    let get = ask.head.method() == Method::Get;
    let form = form(&stored.label, Some(length), &request, get, now);
    make(getter, stored, Extent::whole(length), form, response, trace)
}

/// Makes the answer of what is stored of a whole, which is `extent`, and has all that is wanted.
pub(super) fn ready_part(
    getter: &Getter<'_>,
    stored: &Arc<Stored>,
    extent: Extent,
    wanted: (u64, u64),
    response: &mut ResponseHead,
    trace: Trace,
) -> Ready {
    make(getter, stored, extent, Form::Part(wanted.0, wanted.1), response, trace)
}

fn make(
    getter: &Getter<'_>,
    stored: &Arc<Stored>,
    extent: Extent,
    form: Form,
    response: &mut ResponseHead,
    trace: Trace,
) -> Ready {
    let Getter { ask, hand, facts, now, .. } = *getter;
    facts.cache.set(Some(trace));
    let label = &stored.label;
    let get = ask.head.method() == Method::Get;
    let mut scratch = hand.scratch.borrow_mut();
    read_head(label, form, &mut scratch.text, response);
    let (from, to) = match form {
        Form::Whole => (0, stored.body.length),
        Form::Part(from, to) => (from - extent.first, to - extent.first),
        Form::NotModified | Form::Unsatisfiable => (0, 0),
    };
    let sent = if get { to - from } else { 0 };
    let mut out = Buffer::take(match sent + HEAD_ROOM {
        small if small <= Size::Medium.bytes() as u64 => Size::Medium,
        _ => Size::Large,
    });
    let told = Some(to - from);
    let encodings = Some(&*stored.encodings);
    let way = write_head(ask, out.tail(), response, told, encodings, facts, |out| {
        out.extend_from_slice(b"Age: ");
        encode::decimal(out, label.age(now));
        out.extend_from_slice(encode::CRLF);
        content_range(out, form, extent.total);
    });
    let (body, coding) = (body_of(stored, way.kept), way.kept);
    let (from, to) = if coding.is_some() { (0, body.length) } else { (from, to) };
    if let Some(coding) = coding {
        ask.context.row.add(Counter::CacheEncodedHits, 1);
        facts.coded.set(Some((coding, stored.body.length)));
    }
    let mut rest = None;
    if way.framing != Framing::None {
        let at_hand = stored.body.opened().is_none();
        if at_hand && way.filters.is_none() && out.room() as u64 >= to - from {
            for slice in body.slices(from, to) {
                out.tail().extend_from_slice(slice);
            }
            facts.sent.set(to - from);
        } else {
            rest = Some(Rest { stored: Arc::clone(stored), coding, from, to });
        }
    }
    Ready { out, way, rest }
}

fn content_range(out: &mut Vec<u8>, form: Form, total: u64) {
    match form {
        Form::Part(first, end) => Extent { first, end, total }.write(out),
        Form::Unsatisfiable => {
            out.extend_from_slice(b"Content-Range: bytes */");
            encode::decimal(out, total);
            out.extend_from_slice(encode::CRLF);
        }
        Form::Whole | Form::NotModified => {}
    }
}

/// Sends it; says how the connection goes on.
pub(in super::super) async fn send(
    ask: &Ask<'_>,
    mut ready: Ready,
    received: &mut Buffer,
    facts: &Facts,
) -> Result<Ending, Reason> {
    if ready.rest.is_some() {
        // Large: kept out of every connection's memory.
        return Box::pin(send_large(ask, ready, received, facts)).await;
    }
    facts.begun.set(true);
    send_to_client(ask, &mut ready.out).await?;
    received.consume(facts.whole.get().unwrap_or(0));
    Ok(match ready.way.keep {
        true => Ending::KeepAlive,
        false if received.is_empty() && ask.stream.is_read_out() => Ending::Close,
        false => Ending::Linger,
    })
}

async fn send_large(
    ask: &Ask<'_>,
    ready: Ready,
    received: &mut Buffer,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let Ready { mut out, way, rest } = ready;
    if way.filters.is_some() && out.capacity() < Size::Large.bytes() {
        out.grow(Size::Large.bytes());
    }
    let Way { framing, keep, filters, .. } = way;
    let mut serving = Serving::resume(To::from(ask), facts, out, framing, keep, filters);
    if let Some(Rest { stored, coding, from, to }) = rest {
        if let (Some(opened), Some(hand)) = (stored.body.opened(), ask.context.cache()) {
            disk::pump(hand, opened, (from, to), &mut serving).await?;
        } else {
            for slice in body_of(&stored, coding).slices(from, to) {
                serving.push(slice).await?;
            }
        }
    }
    serving.end(received).await
}

/// What an answer that is still growing is sent with.
pub(super) struct Growing<'a> {
    pub(super) hand: &'a CacheHand,
    pub(super) flight: &'a Flight,
    pub(super) begun: &'a Begun,
    /// The head as the member sent it, for the one who fetched.
    pub(super) own: Option<&'a ResponseHead>,
}

/// Whoever stops reading, for whatever cause, holds nobody up any more.
struct Leaving<'a>(&'a CacheHand, &'a Flight);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.sleepers.made_room(self.1);
    }
}

/// Sends an answer while it grows, from where `cursor` reads.
pub(super) async fn send_growing(
    ask: &Ask<'_>,
    growing: &Growing<'_>,
    cursor: Cursor,
    trace: Trace,
    received: &mut Buffer,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let Growing { hand, flight, begun, own } = *growing;
    // Dropped behind the cursor.
    let leaving = Leaving(hand, flight);
    let mut cursor = cursor;
    let (label, now) = (&begun.label, clock::unix().as_secs());
    facts.cache.set(Some(trace));
    let request = ask.cache_request();
    let form = form(label, None, &request, true, now);
    let mut stored = ResponseHead::new();
    let own = own.filter(|_| form == Form::Whole);
    let head = match own {
        Some(own) => own,
        None => {
            read_head(label, form, &mut hand.scratch.borrow_mut().text, &mut stored);
            &stored
        }
    };
    let mut out = Buffer::take(Size::Large);
    let way = write_head(ask, out.tail(), head, begun.length, None, facts, |out| {
        super::super::sticky::write(out, ask, facts);
        if own.is_none() {
            out.extend_from_slice(b"Age: ");
            encode::decimal(out, label.age(now));
            out.extend_from_slice(encode::CRLF);
        }
    });
    let Way { framing, keep, filters, .. } = way;
    let mut serving = Serving::resume(To::from(ask), facts, out, framing, keep, filters);
    while serving.has_body() {
        match cursor.next() {
            Read::Piece(piece) => {
                serving.push(&piece).await?;
                hand.sleepers.made_room(flight);
            }
            Read::Later => {
                serving.pause().await?;
                hand.sleepers.sleep(flight, || cursor.is_ready()).await;
            }
            Read::End => break,
            Read::Broken(reason) => return Err(reason),
        }
    }
    drop(cursor);
    drop(leaving);
    serving.end(received).await
}
