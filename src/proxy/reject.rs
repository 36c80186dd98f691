//! The answers that are ringway's own: what went wrong, on whose side, in one line.

use std::io::Write;

use super::access_log;
use super::context::Context;
use super::error_page::{self, Page};
use super::exchange::{Client, Ending, Facts};
use super::fields;
use super::guard::{self, Manner};
use super::known::Known;
use super::named;
use super::redirect;
use crate::clock;
use crate::config::HstsConfig;
use crate::http::{Method, RequestHead, Version, encode};
use crate::net::{Buffer, Size};
use crate::stats::{Counter, Reason};

/// What to tell.
pub(super) struct Answer<'a> {
    pub(super) reason: Reason,
    pub(super) status: u16,
    /// The connection may go on.
    pub(super) keep: bool,
    /// The methods that would have been allowed.
    pub(super) allow: &'a [u8],
    /// The request, if its head could be read.
    pub(super) head: Option<&'a RequestHead>,
    /// It is a HEAD, as far as it could be read: no body may follow.
    pub(super) is_head: bool,
}

impl<'a> Answer<'a> {
    /// To a request that could be read.
    pub(super) fn to(
        head: &'a RequestHead,
        reason: Reason,
        status: u16,
        keep: bool,
        allow: &'a [u8],
    ) -> Self {
        let is_head = head.method() == Method::Head;
        Self { reason, status, keep, allow, head: Some(head), is_head }
    }
}

fn write(
    out: &mut Vec<u8>,
    context: &Context,
    answer: &Answer<'_>,
    page: Option<Page<'_>>,
    hsts: Option<&HstsConfig>,
    facts: &Facts,
    known: Option<&Known<'_>>,
) {
    let reason = answer.reason;
    let mut words = Vec::new();
    let Page { bytes: body, content_type } = page.unwrap_or_else(|| {
        let (side, code, prose) = (reason.side().word(), reason.code(), reason.prose());
        words.reserve(128);
        // Writing to a vector cannot fail.
        _ = writeln!(words, "ringway: {side} {code}: {prose}");
        Page { bytes: &words, content_type: "text/plain; charset=utf-8" }
    });
    encode::status_line(out, answer.status, encode::reason_phrase(answer.status).as_bytes());
    let from = out.len();
    encode::date(out, clock::unix().as_secs());
    encode::field(out, b"Content-Type", content_type.as_bytes());
    if let Some(hsts) = hsts {
        redirect::write_hsts(out, hsts);
    }
    if !answer.allow.is_empty() {
        encode::field(out, b"Allow", answer.allow);
    }
    if let Some(lines) = facts.extra.get() {
        out.extend_from_slice(lines);
    }
    let after = match facts.noted.get().map(|noted| noted.manner.get()) {
        Some(Manner::Later { after, .. }) => Some(after),
        _ => matches!(reason, Reason::QueueFull | Reason::QueueTimeout).then_some(1),
    };
    if let Some(after) = after {
        _ = write!(out, "Retry-After: {after}\r\n");
    }
    guard::write_quota(out, context, facts);
    if let Some(known) = known {
        fields::edit_own(out, from, known);
    }
    encode::content_length(out, body.len() as u64);
    match answer.head {
        _ if !answer.keep => out.extend_from_slice(b"Connection: close\r\n"),
        // Without it an older client waits for the close.
        Some(head) if head.version() == Version::Http10 => {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        _ => {}
    }
    out.extend_from_slice(b"\r\n");
    if !answer.is_head {
        out.extend_from_slice(body);
    }
}

/// Sends it; says how the connection goes on.
pub(super) async fn send(
    context: &Context,
    client: &Client,
    answer: &Answer<'_>,
    facts: &Facts,
) -> Ending {
    let listener = context.listener(client.listener);
    // Where it is to look as if there were no route, none's page may tell.
    let route = facts.route.get().filter(|_| answer.reason != Reason::NoRoute);
    let page = error_page::own(context, listener, route, answer.status);
    let mut out = match page {
        None => Buffer::take(Size::Small),
        Some(page) => {
            context.row.add(Counter::ErrorPages, 1);
            Buffer::holding(page.bytes.len() + Size::Small.bytes())
        }
    };
    let hsts = listener.and_then(|listener| listener.hsts.as_ref());
    let known = Known::of_client(context, client, answer.head, facts);
    let hsts = hsts.filter(|_| client.stream.is_tls());
    write(out.tail(), context, answer, page, hsts, facts, known.as_ref());
    let count = out.len() as u64;
    facts.begun.set(true);
    if let Some(listener) = listener {
        client.stream.arm_write(listener.timeouts.write);
    }
    let sent = client.stream.send(&mut out).await;
    client.stream.disarm_write();
    match sent {
        Ok(()) => {
            context.row.add(Counter::BytesOut, count);
            if answer.keep { Ending::KeepAlive } else { Ending::Linger }
        }
        Err(_) => Ending::Close,
    }
}

/// A head that could not be read.
pub(super) async fn head(context: &Context, client: &Client, reason: Reason) -> Ending {
    context.row.error(reason);
    let facts = Facts::new(&client.peer);
    facts.reason.set(Some(reason));
    facts.status.set(reason.status());
    if let Some(listener) = context.listener(client.listener) {
        named::settle(&context.ids, listener, None, &facts);
    }
    let ending = if reason.status() == 0 {
        Ending::Close
    } else {
        let status = reason.status();
        let is_head = is_head(client.received.data());
        let answer = Answer { reason, status, keep: false, allow: b"", head: None, is_head };
        send(context, client, &answer, &facts).await
    };
    access_log::refused(context, client.listener, &facts);
    ending
}

/// Whether a request whose head could not be read has the method HEAD. Empty lines may precede it.
fn is_head(mut received: &[u8]) -> bool {
    while let Some(rest) = received.strip_prefix(encode::CRLF) {
        received = rest;
    }
    received.starts_with(b"HEAD ")
}
