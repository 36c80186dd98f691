//! The head that a member gets, built anew from what was parsed.

use super::buffering::Taken;
use super::exchange::{Ask, Facts};
use super::fields::Rules;
use super::known::Known;
use super::{forwarded, named};
use crate::config::HostPolicy;
use crate::http::{FieldRef, Framing, Name, encode, is_client_certificate, is_max_forwards};

/// Appends the whole head for a member that may be called `member` in `Host`.
pub(super) fn write(out: &mut Vec<u8>, ask: &Ask<'_>, member: &str, facts: &Facts) {
    let (head, listener) = (ask.head, ask.listener);
    let rules = Rules::of_request(ask);
    let is_named = listener.request_id.is_some() || listener.tracing.is_some();
    let target = ask.target();
    encode::request_line(out, head.method_bytes(), target.path, target.query);
    write_host(out, ask, member);
    let forwards = head.max_forwards();
    let mut te_trailers = false;
    for entry in head.fields() {
        if entry.name == Name::Te {
            te_trailers |= accepts_trailers(entry.value);
        }
        let taken = (!rules.is_empty() && rules.drop(entry.name_bytes))
            || (is_named && named::drops(listener, facts, &entry))
            || (forwards.is_some() && is_max_forwards(&entry));
        if !taken && passes(ask, &entry, facts) && !claims(ask, &entry) {
            encode::field_as_sent(out, &entry);
        }
    }
    if let Some(part) = ask.cache {
        part.write(out);
    }
    if let Some(count) = forwards {
        encode::field_of_number(out, b"Max-Forwards", count.saturating_sub(1));
    }
    write_framing(out, facts.framing(ask));
    forwarded::write(out, head, ask.peer, listener, facts.client.get());
    if let Some(identity) = &ask.peer.identity {
        out.extend_from_slice(identity);
    }
    if let Some(grant) = &ask.grant {
        grant.write(out);
    }
    if ask.route.via {
        encode::via(out, head.version());
    }
    if is_named {
        named::write_fields(out, &Known::of(ask, facts));
    }
    if !rules.is_empty() {
        rules.write(out, &Known::of(ask, facts));
    }
    match (ask.upgrade(), te_trailers) {
        (Some(protocol), _) => {
            encode::field(out, b"Upgrade", protocol);
            out.extend_from_slice(b"Connection: Upgrade\r\n");
        }
        (None, true) => out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n"),
        (None, false) => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn accepts_trailers(te: &[u8]) -> bool {
    te.split(|byte| *byte == b',')
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether a client's field goes on to the member as it is.
fn passes(ask: &Ask<'_>, entry: &FieldRef<'_>, facts: &Facts) -> bool {
    match entry.name {
        // Announces trailers, which pass where chunks do.
        Name::Trailer => facts.framing(ask) == Framing::Chunked,
        // Where there is something to wait for, and it was not answered here already.
        Name::Expect => {
            ask.framing.has_body()
                && facts.taken.get() == Taken::Nothing
                && ask.head.expects_continue()
        }
        Name::Host | Name::ContentLength | Name::TransferEncoding => false,
        // Written anew; from a trusted peer with its word taken into account.
        Name::XForwardedFor
        | Name::XForwardedProto
        | Name::XForwardedHost
        | Name::XForwardedPort
        | Name::XRealIp
            if ask.listener.forwarded.x_forwarded =>
        {
            false
        }
        Name::Forwarded if ask.listener.forwarded.rfc7239 => false,
        // Whoever has a certificate says so by it, and nobody by a field.
        _ if entry.identity && is_client_certificate(entry.name_bytes) => false,
        _ if entry.identity => ask.peer.trusted,
        _ if ask.cache.is_some_and(|part| !part.passes(entry)) => false,
        _ => !ask.head.is_hop_by_hop(entry),
    }
}

/// Whether it is by this field that members learn who the client is, from us.
#[inline]
fn claims(ask: &Ask<'_>, entry: &FieldRef<'_>) -> bool {
    ask.context.claims(entry.name_bytes)
        || entry.name == Name::Authorization && ask.grant.as_ref().is_some_and(|grant| grant.strips)
}

fn write_host(out: &mut Vec<u8>, ask: &Ask<'_>, member: &str) {
    use std::io::Write;
    let asked = ask.head.authority();
    match &ask.route.host {
        HostPolicy::Preserve if !asked.is_empty() => encode::field(out, b"Host", asked),
        HostPolicy::Literal(host) => encode::field(out, b"Host", host.as_bytes()),
        // HTTP/1.0 without Host: what the client connected to is what it asked for.
        HostPolicy::Preserve => {
            match ask.stream.local_address() {
                // Writing to a vector cannot fail.
                Some(local) => _ = write!(out, "Host: {local}\r\n"),
                None => encode::field(out, b"Host", member.as_bytes()),
            }
        }
        HostPolicy::Member => encode::field(out, b"Host", member.as_bytes()),
    }
}

fn write_framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            encode::content_length(out, length);
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}
