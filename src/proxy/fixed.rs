//! Routes whose requests go to no member: redirections, fixed answers, and how ringway itself is.

use std::io::Write;

use super::exchange::Facts;
use super::path_edit::{Edited, Target};
use super::serve::{Start, To, serve};
use crate::clock;
use crate::config::{Action, ProbeConfig, RedirectConfig, RespondConfig};
use crate::http::{LinkValues, encode};
use crate::ids::PoolId;
use crate::net::{Buffer, Size, Stream};
use crate::stats::{Counter, Reason};

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers a request of such a route; says how the connection goes on.
pub(super) async fn answer(
    to: To<'_>,
    action: &Action,
    edited: Option<&Edited>,
    received: &mut Buffer,
    facts: &Facts,
) -> Result<super::exchange::Ending, Reason> {
    match action {
        Action::Redirect(config) => {
            to.context.row.add(Counter::Redirects, 1);
            let target = edited.map_or_else(|| Target::of(to.head), Edited::target);
            let mut location = Buffer::take(Size::Small);
            let scheme = to.known(facts).scheme().word();
            write_location(location.tail(), config, &to, scheme, target);
            let fields = |out: &mut Vec<u8>| {
                write_date(out);
                encode::field(out, b"Location", location.data());
            };
            serve(to, received, facts, &start(config.status, 0, &to, facts), b"", fields).await
        }
        Action::Respond(config) => {
            to.context.row.add(Counter::FixedAnswers, 1);
            let body = config.bytes();
            let start = start(config.status, body.len(), &to, facts);
            serve(to, received, facts, &start, body, |out| write_fields(out, config)).await
        }
        Action::Probe(config) => {
            to.context.row.add(Counter::FixedAnswers, 1);
            let (status, body) = health(&to, config);
            let fields = |out: &mut Vec<u8>| {
                write_date(out);
                encode::field(out, b"Content-Type", TEXT.as_bytes());
                encode::field(out, b"Cache-Control", b"no-store");
            };
            let start = start(status, body.len(), &to, facts);
            serve(to, received, facts, &start, body.as_bytes(), fields).await
        }
        Action::Pool(_) | Action::Split(_) => Err(Reason::Internal),
    }
}

fn start(status: u16, length: usize, to: &To<'_>, facts: &Facts) -> Start<'static> {
    let reason = encode::reason_phrase(status).as_bytes();
    Start { status, reason, length: Some(length as u64), keep: to.may_keep(facts) }
}

fn write_date(out: &mut Vec<u8>) {
    encode::date(out, clock::unix().as_secs());
}

fn write_fields(out: &mut Vec<u8>, config: &RespondConfig) {
    write_date(out);
    if !config.bytes().is_empty() {
        encode::field(out, b"Content-Type", config.content_type.as_bytes());
    }
    for (name, value) in &config.headers {
        encode::field(out, name.as_bytes(), value.as_bytes());
    }
}

/// What a probe of ringway itself is told.
fn health(to: &To<'_>, config: &ProbeConfig) -> (u16, &'static str) {
    let ProbeConfig::Ready(pools) = config else { return (200, "alive\n") };
    if to.context.is_draining() {
        return (503, "draining\n");
    }
    let serves = |pool: PoolId| to.context.pools.has_member_in(pool);
    let all = match pools {
        Some(pools) => pools.iter().copied().all(serves),
        None => (0u16..).zip(&to.context.config.pools).all(|(id, _)| serves(PoolId(id))),
    };
    if all { (200, "ready\n") } else { (503, "not ready: no member of a pool may serve\n") }
}

fn write_location(
    out: &mut Vec<u8>,
    config: &RedirectConfig,
    to: &To<'_>,
    scheme: &[u8],
    target: Target<'_>,
) {
    let mut own = Buffer::default();
    let host = match to.head.host() {
        [] => {
            write_own_host(own.tail(), to.stream);
            own.data()
        }
        host => host,
    };
    config.to.render(out, &LinkValues { scheme, host, path: target.path, query: target.query });
    let Some(query) = target.query.filter(|_| config.query) else { return };
    // A query stands before the fragment.
    let fragment = memchr::memchr(b'#', out).map(|at| out.split_off(at));
    out.push(if out.contains(&b'?') { b'&' } else { b'?' });
    out.extend_from_slice(query);
    out.extend_from_slice(&fragment.unwrap_or_default());
}

/// What a client without `Host` (HTTP/1.0) connected to is what it asked for.
fn write_own_host(out: &mut Vec<u8>, stream: &Stream) {
    // Writing to a vector cannot fail.
    match stream.local_address() {
        Some(address) if address.is_ipv6() => _ = write!(out, "[{}]", address.ip()),
        Some(address) => _ = write!(out, "{}", address.ip()),
        None => {}
    }
}
