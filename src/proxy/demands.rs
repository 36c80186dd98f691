//! What a request asks of every link on the way to its origin: to keep a promise (Expect), to speak
//! another protocol (Upgrade), to go no further (Max-Forwards), to show what its member gets (TRACE).

use super::exchange::{Ask, Ending, Facts};
use super::serve::{Start, To, serve};
use crate::clock;
use crate::config::RouteConfig;
use crate::http::{Framing, Method, RequestHead, ResponseHead, Scheme, encode, upgrade};
use crate::net::Buffer;
use crate::stats::Reason;

/// What OPTIONS is told where no member is asked. Which methods a member serves is not known.
const METHODS: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Whether somebody could keep what the client is promised, and whether what it wants by https came so
/// (RFC 9110 7.4), or from a peer that is trusted to have had it so.
#[inline]
pub(super) fn can_be_met(head: &RequestHead, facts: &Facts) -> Result<(), Reason> {
    match head.scheme() {
        Some(Scheme::Https) if facts.tls.is_none() && !facts.trusted => Err(Reason::Misdirected),
        _ if head.expects_more() => Err(Reason::BadExpectation),
        _ => Ok(()),
    }
}

/// Whether the client wants to switch to another protocol, and that may go on.
pub(super) fn may_upgrade(head: &RequestHead, framing: Framing) -> bool {
    !framing.has_body() && head.upgrade().is_some_and(upgrade::may_pass)
}

/// Whether a member that answers 101 switches to what the client asked for.
pub(super) fn may_switch(ask: &Ask<'_>, answer: &ResponseHead) -> bool {
    let both = ask.upgrade().zip(answer.upgrade());
    both.is_some_and(|(asked, chosen)| upgrade::is_among(chosen, asked))
}

/// Whether the route serves the method. TRACE would show the client what its member is told behind
/// its back, such as fields with credentials that the route adds: only routes that name it serve it.
#[inline]
pub(super) fn is_served(head: &RequestHead, route: Option<&RouteConfig>) -> Result<(), Reason> {
    let is_named = || route.is_some_and(|route| !route.methods.is_empty());
    if head.method() != Method::Trace || is_named() { Ok(()) } else { Err(Reason::NotImplemented) }
}

/// Answers a request that must go no further (RFC 9110 7.6.2); says how the connection goes on.
pub(super) async fn answer(
    to: To<'_>,
    received: &mut Buffer,
    facts: &Facts,
) -> Result<Ending, Reason> {
    if to.head.method() == Method::Trace {
        return Err(Reason::NotImplemented);
    }
    let reason = encode::reason_phrase(200).as_bytes();
    let start = Start { status: 200, reason, length: Some(0), keep: to.may_keep(facts) };
    let fields = |out: &mut Vec<u8>| {
        encode::date(out, clock::unix().as_secs());
        encode::field(out, b"Allow", METHODS);
    };
    serve(to, received, facts, &start, b"", fields).await
}
