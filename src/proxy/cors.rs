//! Scripts of other origins: preflights answered here, and the fields that let browsers show answers.

use super::conditions::Asked;
use super::context::Context;
use super::exchange::{Client, Ending, Facts};
use super::fields;
use super::known::Known;
use super::route::Found;
use crate::clock;
use crate::config::CorsConfig;
use crate::http::{Method, RequestHead, Version, encode, push_text};
use crate::ids::{ListenerId, RouteId};
use crate::net::{Buffer, Size};
use crate::stats::Counter;

/// The route that would take the request that a preflight announces, if it has a say in that.
pub(super) fn announced<'a>(
    context: &'a Context,
    listener: ListenerId,
    head: &RequestHead,
    facts: &Facts,
) -> Option<(RouteId, &'a CorsConfig)> {
    if head.method() != Method::Options || value(head, b"origin").is_none() {
        return None;
    }
    let method = value(head, b"access-control-request-method")?;
    let client = || facts.client.get();
    let asked = Asked { method, ..Asked::of(head, &client) };
    let found = context.router.find(listener, &asked);
    let Found::Route(id) = found else { return None };
    let route = context.config.routes.get(id.index())?;
    route.cors.as_deref().map(|cors| (id, cors))
}

fn value<'a>(head: &'a RequestHead, name: &[u8]) -> Option<&'a [u8]> {
    let same = |field: &[u8]| field.eq_ignore_ascii_case(name);
    head.fields().find(|field| same(field.name_bytes)).map(|field| field.value)
}

/// Answers a preflight; says how the connection goes on.
pub(super) async fn answer(
    context: &Context,
    client: &mut Client,
    head: &RequestHead,
    cors: &CorsConfig,
    facts: &Facts,
) -> Ending {
    let whole = facts.whole.get();
    client.received.consume(whole.unwrap_or(0));
    let keep = whole.is_some() && head.wants_keep_alive() && !context.is_draining();
    let Some(known) = Known::of_client(context, client, Some(head), facts) else {
        return Ending::Close;
    };
    facts.status.set(204);
    let mut out = Buffer::take(Size::Medium);
    let tail = out.tail();
    encode::status_line(tail, 204, encode::reason_phrase(204).as_bytes());
    let from = tail.len();
    encode::date(tail, clock::unix().as_secs());
    // Whether it is allowed, and the operator's own fields.
    fields::edit_own(tail, from, &known);
    write_terms(tail, cors, head);
    match (keep, head.version()) {
        (false, _) => tail.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => tail.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, _) => {}
    }
    tail.extend_from_slice(encode::CRLF);
    let count = out.len() as u64;
    context.row.add(Counter::CorsPreflights, 1);
    facts.begun.set(true);
    match client.stream.send_within(&mut out, known.listener.timeouts.write).await {
        Ok(()) => context.row.add(Counter::BytesOut, count),
        Err(_) => return Ending::Close,
    }
    if keep { Ending::KeepAlive } else { Ending::Linger }
}

/// Appends what an origin that is allowed may do.
fn write_terms(out: &mut Vec<u8>, cors: &CorsConfig, head: &RequestHead) {
    if !value(head, b"origin").is_some_and(|origin| cors.allows(origin)) {
        return;
    }
    if !cors.methods.is_empty() {
        encode::field(out, b"Access-Control-Allow-Methods", cors.methods.as_bytes());
    }
    match (&*cors.headers, value(head, b"access-control-request-headers")) {
        ("", _) => {}
        // The star itself does not cover Authorization.
        ("*", Some(asked)) if !asked.is_empty() => {
            encode::field(out, b"Access-Control-Allow-Headers", asked);
            out.extend_from_slice(b"Vary: Access-Control-Request-Headers\r\n");
        }
        ("*", _) => {}
        (listed, _) => encode::field(out, b"Access-Control-Allow-Headers", listed.as_bytes()),
    }
    if let Some(age) = cors.max_age {
        out.extend_from_slice(b"Access-Control-Max-Age: ");
        encode::decimal(out, age.as_secs());
        out.extend_from_slice(encode::CRLF);
    }
}

/// Appends the fields of every answer: whether the origin that asks may see it.
pub(super) fn write(out: &mut Vec<u8>, cors: &CorsConfig, head: &RequestHead) {
    if !cors.is_open() {
        out.extend_from_slice(b"Vary: Origin\r\n");
    }
    let Some(origin) = value(head, b"origin").filter(|origin| cors.allows(origin)) else { return };
    out.extend_from_slice(b"Access-Control-Allow-Origin: ");
    push_text(out, if cors.is_open() { b"*" } else { origin });
    out.extend_from_slice(encode::CRLF);
    if cors.credentials {
        out.extend_from_slice(b"Access-Control-Allow-Credentials: true\r\n");
    }
    if !cors.expose.is_empty() && head.method() != Method::Options {
        encode::field(out, b"Access-Control-Expose-Headers", cors.expose.as_bytes());
    }
}
