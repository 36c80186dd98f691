//! What it takes to send a request again: that doing so is safe, and the bytes.

use super::body::{Sink, Source};
use super::buffering::Intake;
use super::exchange::{Ask, Facts};
use super::mirror;
use crate::http::{Framing, RequestHead};
use crate::net::Buffer;

/// Whether doing the request twice is as good as once: by its method, or, where the pool's members
/// honour it, by its `Idempotency-Key`.
pub(super) fn is_idempotent(head: &RequestHead, honours_key: impl FnOnce() -> bool) -> bool {
    head.method().is_idempotent()
        || matches!(head.method_bytes(), b"POST" | b"PATCH") && honours_key() && has_key(head)
}

/// One that the member does not get says nothing.
fn has_key(head: &RequestHead) -> bool {
    head.fields().any(|field| {
        field.name_bytes.eq_ignore_ascii_case(b"Idempotency-Key")
            && !field.value.is_empty()
            && !head.is_hop_by_hop(&field)
    })
}

/// What a member may be sent of a client's body, attempt after attempt.
#[derive(Debug)]
pub(super) struct Body<'a> {
    /// From the client, not yet used.
    pub(super) received: &'a mut Buffer,
    /// `None`: the body is whole in `received`, or there is none.
    pub(super) upload: Option<Box<Upload>>,
}

impl<'a> Body<'a> {
    pub(super) fn new(ask: &Ask<'_>, received: &'a mut Buffer, facts: &Facts) -> Self {
        let streams = facts.whole.get().is_none();
        let mirror = ask.route.mirror.as_deref();
        let copy = mirror.and_then(|config| mirror::begin(config, ask, received.data(), facts));
        Self { received, upload: streams.then(|| Box::new(Upload::new(ask, copy))) }
    }
}

/// A body that streams. It outlives the attempts to send it: what one has used up of the client's
/// bytes, the next one gets from here.
#[derive(Debug)]
pub(super) struct Upload {
    /// What is still to come from the client.
    pub(super) source: Source,
    /// How members get it.
    pub(super) sink: Sink,
    /// The body's bytes so far.
    pub(super) total: u64,
    /// All of it has come.
    pub(super) done: bool,
    /// What was made of it, in the form that members get, while that is within the bound.
    kept: Buffer,
    bound: usize,
    /// What was taken in of it before a member was chosen; in front of what is kept.
    pub(super) intake: Option<Box<Intake>>,
    /// What becomes a copy for another pool.
    pub(super) copy: Option<Box<mirror::Copy>>,
}

impl Upload {
    fn new(ask: &Ask<'_>, copy: Option<Box<mirror::Copy>>) -> Self {
        let mut source = Source::new(ask.framing, ask.context.config.limits.trailers);
        if ask.context.auth.is_some() {
            // Recipients may take them for fields of the head, and of those some are ours to set.
            source.forget_trailers();
        }
        Self {
            source,
            sink: if ask.framing == Framing::Chunked { Sink::Chunked } else { Sink::Raw },
            total: 0,
            done: false,
            kept: Buffer::default(),
            bound: ask.context.pools.keeps_body(ask.pool),
            intake: None,
            copy,
        }
    }

    /// What earlier attempts were given to send.
    pub(super) fn kept(&self) -> &[u8] {
        self.kept.data()
    }

    /// Keeps what is about to be sent, or nothing from now on.
    pub(super) fn keep(&mut self, bytes: &[u8], facts: &Facts) {
        if !facts.replayable.get() {
            return;
        }
        let length = self.kept.len() + bytes.len();
        if length > self.bound {
            facts.replayable.set(false);
            self.kept = Buffer::default();
            return;
        }
        if self.kept.room() < bytes.len() {
            self.kept.grow(length.max((self.kept.len() * 2).min(self.bound)));
        }
        self.kept.tail().extend_from_slice(bytes);
    }
}
