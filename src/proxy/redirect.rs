//! From plain HTTP to the same under `https`, and the word that clients need not ask again.

use std::io::Write;

use super::auth::Refusal;
use super::context::Context;
use super::exchange::{Client, Ending, Facts};
use super::fields;
use super::known::Known;
use crate::clock;
use crate::config::{HstsConfig, ListenerConfig};
use crate::http::{RequestHead, Version, encode};
use crate::net::{Buffer, Size};
use crate::stats::Counter;

/// Permanent, and with the same method and body.
const STATUS: u16 = 308;

/// Answers with a redirection; says how the connection goes on.
pub(super) async fn to_https(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    head: &RequestHead,
    port: u16,
    facts: &Facts,
) -> Ending {
    let whole = facts.whole.get();
    client.received.consume(whole.unwrap_or(0));
    let keep = whole.is_some() && head.wants_keep_alive() && !context.is_draining();
    let mut out = Buffer::take(Size::Medium);
    let tail = out.tail();
    encode::status_line(tail, STATUS, encode::reason_phrase(STATUS).as_bytes());
    let from = tail.len();
    encode::date(tail, clock::unix().as_secs());
    tail.extend_from_slice(b"Location: https://");
    match head.host() {
        // HTTP/1.0 without Host: what the client connected to is what it asked for.
        [] => match client.stream.local_address() {
            Some(address) if address.is_ipv6() => _ = write!(tail, "[{}]", address.ip()),
            Some(address) => _ = write!(tail, "{}", address.ip()),
            None => {}
        },
        host => tail.extend_from_slice(host),
    }
    if port != 443 {
        // Writing to a vector cannot fail.
        _ = write!(tail, ":{port}");
    }
    // `OPTIONS *` has no path.
    tail.extend_from_slice(if head.path().starts_with(b"/") { head.path() } else { b"/" });
    if let Some(query) = head.query() {
        tail.push(b'?');
        tail.extend_from_slice(query);
    }
    tail.extend_from_slice(encode::CRLF);
    facts.status.set(STATUS);
    if let Some(known) = Known::of_client(context, client, Some(head), facts) {
        fields::edit_own(tail, from, &known);
    }
    tail.extend_from_slice(b"Content-Length: 0\r\n");
    context.row.add(Counter::HttpsRedirects, 1);
    end(context, listener, client, head, out, (STATUS, keep), facts).await
}

/// Answers with the redirection that a service gave; says how the connection goes on.
pub(super) async fn elsewhere(
    context: &Context,
    client: &mut Client,
    head: &RequestHead,
    refusal: &Refusal,
    facts: &Facts,
) -> Ending {
    let Some(listener) = context.listener(client.listener) else { return Ending::Close };
    let whole = facts.whole.get();
    client.received.consume(whole.unwrap_or(0));
    let keep = whole.is_some() && head.wants_keep_alive() && !context.is_draining();
    let status = refusal.redirect.unwrap_or(STATUS);
    let mut out = Buffer::take(Size::Medium);
    let tail = out.tail();
    encode::status_line(tail, status, encode::reason_phrase(status).as_bytes());
    encode::date(tail, clock::unix().as_secs());
    tail.extend_from_slice(&refusal.fields);
    if let Some(hsts) = listener.hsts.as_ref().filter(|_| client.stream.is_tls()) {
        write_hsts(tail, hsts);
    }
    tail.extend_from_slice(b"Content-Length: 0\r\n");
    context.row.add(Counter::AuthRedirects, 1);
    end(context, listener, client, head, out, (status, keep), facts).await
}

/// Ends the head, and sends it.
async fn end(
    context: &Context,
    listener: &ListenerConfig,
    client: &Client,
    head: &RequestHead,
    mut out: Buffer,
    (status, keep): (u16, bool),
    facts: &Facts,
) -> Ending {
    let tail = out.tail();
    match (keep, head.version()) {
        (false, _) => tail.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => tail.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, _) => {}
    }
    tail.extend_from_slice(encode::CRLF);
    let count = out.len() as u64;
    facts.status.set(status);
    facts.begun.set(true);
    match client.stream.send_within(&mut out, listener.timeouts.write).await {
        Ok(()) => context.row.add(Counter::BytesOut, count),
        Err(_) => return Ending::Close,
    }
    if keep { Ending::KeepAlive } else { Ending::Linger }
}

/// The name of the field that [`write_hsts`] appends, in lower case.
pub(super) const HSTS: &[u8] = b"strict-transport-security";

/// Appends `Strict-Transport-Security`.
pub(super) fn write_hsts(out: &mut Vec<u8>, hsts: &HstsConfig) {
    out.extend_from_slice(b"Strict-Transport-Security: max-age=");
    encode::decimal(out, hsts.max_age.as_secs());
    if hsts.subdomains {
        out.extend_from_slice(b"; includeSubDomains");
    }
    if hsts.preload {
        out.extend_from_slice(b"; preload");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a member's field is one that [`write_hsts`] takes the place of.
pub(super) fn is_hsts(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(HSTS)
}
