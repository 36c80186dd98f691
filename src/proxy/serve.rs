//! Answers whose bodies come from elsewhere than from a member: head and body to the client, with
//! back-pressure, under the rules of keep-alive.
//!
//! [`serve`] is for a body in hand; [`Serving`] for one that comes piece by piece.

use std::time::Duration;

use super::body::Source;
use super::context::Context;
use super::exchange::{Ask, Ending, Facts};
use super::filtered::{ENOUGH, Filters, PIECE};
use super::known::Known;
use super::{fields, reasons, redirect};
use crate::config::ListenerConfig;
use crate::http::{Framing, Method, RequestHead, Version, encode};
use crate::net::{Buffer, Size, Stream, sleep};
use crate::stats::{Counter, Reason};

/// Pieces that are encoded before others have their turn, and how long that is.
const PIECES_A_TURN: usize = 16;
const TURN: Duration = Duration::from_millis(1);

/// Bytes of a buffer that the frame of a chunk needs.
const CHUNK_OVERHEAD: usize = 32;

/// Who is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct To<'a> {
    pub(super) context: &'a Context,
    pub(super) listener: &'a ListenerConfig,
    pub(super) stream: &'a Stream,
    pub(super) head: &'a RequestHead,
}

impl<'a> From<&Ask<'a>> for To<'a> {
    fn from(ask: &Ask<'a>) -> Self {
        Self { context: ask.context, listener: ask.listener, stream: ask.stream, head: ask.head }
    }
}

impl<'a> To<'a> {
    /// What is known for texts with variables.
    pub(super) fn known(&self, facts: &'a Facts) -> Known<'a> {
        let Self { context, listener, stream, head } = *self;
        Known { context, listener, head: Some(head), stream, identity: None, facts }
    }

    /// Whether the connection may go on behind an answer to a request whose body is dropped.
    pub(super) fn may_keep(&self, facts: &Facts) -> bool {
        (facts.whole.get().is_some() || facts.consumed.get())
            && self.head.wants_keep_alive()
            && !self.context.is_draining()
    }
}

/// What is answered, but for the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
    /// Bytes of the body; `None`: it is not known yet. Also told in answers to HEAD.
    pub(super) length: Option<u64>,
    /// Whether the connection may go on; see [`To::may_keep`].
    pub(super) keep: bool,
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Serving<'a> {
    to: To<'a>,
    facts: &'a Facts,
    out: Buffer,
    framing: Framing,
    keep: bool,
    /// What the body passes through.
    filters: Option<Box<Filters>>,
}

impl<'a> Serving<'a> {
    /// Writes the head, with whole lines by `more`; nothing is sent yet.
    pub(super) fn begin(
        to: To<'a>,
        facts: &'a Facts,
        start: &Start<'_>,
        more: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let modern = to.head.version() == Version::Http11;
        let bodiless = matches!(start.status, 204 | 304);
        let framing = match start.length {
            _ if bodiless || to.head.method() == Method::Head => Framing::None,
            Some(length) => Framing::Length(length),
            None if modern => Framing::Chunked,
            None => Framing::UntilClose,
        };
        let keep = start.keep && framing != Framing::UntilClose;
        let small = start.length.is_some_and(|length| length < 12 << 10);
        let mut out = Buffer::take(if small { Size::Medium } else { Size::Large });
        let tail = out.tail();
        encode::status_line(tail, start.status, start.reason);
        let from = tail.len();
        more(tail);
        if let Some(hsts) = &to.listener.hsts {
            redirect::write_hsts(tail, hsts);
        }
        facts.status.set(start.status);
        fields::edit_own(tail, from, &to.known(facts));
        match start.length {
            _ if bodiless => {}
            Some(length) => encode::content_length(tail, length),
            None if framing == Framing::Chunked => {
                tail.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            None => {}
        }
        match (keep, modern) {
            (false, _) => tail.extend_from_slice(b"Connection: close\r\n"),
            (true, false) => tail.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, true) => {}
        }
        tail.extend_from_slice(encode::CRLF);
        Self { to, facts, out, framing, keep, filters: None }
    }

    /// An answer whose head is written already, and perhaps some of its body.
    pub(super) const fn resume(
        to: To<'a>,
        facts: &'a Facts,
        out: Buffer,
        framing: Framing,
        keep: bool,
        filters: Option<Box<Filters>>,
    ) -> Self {
        Self { to, facts, out, framing, keep, filters }
    }

    /// Whether a body is sent at all: not to HEAD, nor with 204 and 304.
    pub(super) fn has_body(&self) -> bool {
        self.framing != Framing::None
    }

    /// Adds to the body; sends what there is no room for.
    pub(super) async fn push(&mut self, mut data: &[u8]) -> Result<(), Reason> {
        if !self.has_body() {
            return Ok(());
        }
        if self.filters.is_some() {
            return self.push_through(data).await;
        }
        let overhead = if self.framing == Framing::Chunked { CHUNK_OVERHEAD } else { 0 };
        while !data.is_empty() {
            if self.out.room() <= overhead {
                self.flush().await?;
                if self.out.capacity() < Size::Large.bytes() {
                    self.out = Buffer::take(Size::Large);
                }
            }
            let count = data.len().min(self.out.room().saturating_sub(overhead));
            let (now, later) = data.split_at_checked(count).unwrap_or((data, &[]));
            let tail = self.out.tail();
            if self.framing == Framing::Chunked {
                encode::chunk_size_line(tail, now.len());
                tail.extend_from_slice(now);
                tail.extend_from_slice(encode::CRLF);
            } else {
                tail.extend_from_slice(now);
            }
            self.facts.sent.set(self.facts.sent.get() + now.len() as u64);
            data = later;
        }
        Ok(())
    }

    /// The same through the filters.
    async fn push_through(&mut self, data: &[u8]) -> Result<(), Reason> {
        for (number, piece) in (1..).zip(data.chunks(PIECE.bytes())) {
            let Some(filters) = &mut self.filters else { return Err(Reason::Internal) };
            let count = filters.push(piece, &mut self.out).map_err(|lost| lost.reason)?;
            self.facts.sent.set(self.facts.sent.get() + count);
            if self.out.len() >= ENOUGH {
                self.flush().await?;
            } else if number % PIECES_A_TURN == 0 {
                // What becomes very small would not pass through the loop for long.
                sleep(TURN).await;
            }
        }
        Ok(())
    }

    /// Nothing more is there for now: sends all that there is.
    pub(super) async fn pause(&mut self) -> Result<(), Reason> {
        if let Some(filters) = &mut self.filters {
            let count = filters.flush(&mut self.out).map_err(|lost| lost.reason)?;
            self.facts.sent.set(self.facts.sent.get() + count);
        }
        self.flush().await
    }

    /// Sends what waits.
    pub(super) async fn flush(&mut self) -> Result<(), Reason> {
        let count = self.out.len() as u64;
        if count == 0 {
            return Ok(());
        }
        self.facts.begun.set(true);
        let write = self.to.listener.timeouts.write;
        self.to.stream.send_within(&mut self.out, write).await.map_err(reasons::to_client)?;
        self.to.context.row.add(Counter::BytesOut, count);
        Ok(())
    }

    /// Ends the body and sends the rest; says how the connection goes on. The request's own body,
    /// where it has come whole, is dropped from `received`.
    pub(super) async fn end(mut self, received: &mut Buffer) -> Result<Ending, Reason> {
        if let Some(filters) = &mut self.filters {
            let ended = filters.end(&Source::Length(0), &mut self.out);
            let count = ended.map_err(|lost| lost.reason)?;
            self.facts.sent.set(self.facts.sent.get() + count);
            filters.settle(&self.to.context.row, self.facts);
        } else if self.framing == Framing::Chunked {
            self.out.tail().extend_from_slice(encode::LAST_CHUNK);
        }
        self.flush().await?;
        received.consume(self.facts.whole.get().unwrap_or(0));
        Ok(match self.keep {
            true => Ending::KeepAlive,
            // Closing on bytes that nobody read would reset the connection, and the answer with it.
            false if received.is_empty() && self.to.stream.is_read_out() => Ending::Close,
            false => Ending::Linger,
        })
    }
}

/// Answers with a body in hand, which is dropped where there is none to be sent.
pub(super) async fn serve(
    to: To<'_>,
    received: &mut Buffer,
    facts: &Facts,
    start: &Start<'_>,
    body: &[u8],
    fields: impl FnOnce(&mut Vec<u8>),
) -> Result<Ending, Reason> {
    let mut serving = Serving::begin(to, facts, start, fields);
    serving.push(body).await?;
    serving.end(received).await
}
