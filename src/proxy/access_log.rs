//! What the access log gets to know of an exchange: gathered here, formatted and written elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use super::cache::Verdict;
use super::context::Context;
use super::exchange::Facts;
use super::forwarded::TlsVersion;
use super::named;
use crate::balancer::Refusal;
use crate::clock;
use crate::http::{Coding, Name, RequestHead, Version};
use crate::ids::{ListenerId, PoolId, RouteId};
use crate::net::Address;
use crate::stats::{Counter, Reason};

/// To the writer's thread; bounded.
pub type Sender = crossbeam_channel::Sender<Record>;

/// One exchange, or one head that could not be read.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it ended, since the Unix epoch.
    pub at: Duration,
    /// From the whole request head to the last byte of the answer.
    pub took: Duration,
    /// The client, as derived from a trusted chain.
    pub client: IpAddr,
    /// The listener.
    pub listener: ListenerId,
    /// The route, if one matched.
    pub route: Option<RouteId>,
    /// Where the exchange or the relayed connection went.
    pub pool: Option<PoolId>,
    /// The member that was tried last.
    pub member: Option<Address>,
    /// The answer's status; 0: none was sent.
    pub status: u16,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// How the body was encoded here, and how many bytes it had before.
    pub coded: Option<(Coding, u64)>,
    /// Of a relayed connection: bytes that its client sent.
    pub received: Option<u64>,
    /// What went wrong.
    pub reason: Option<Reason>,
    /// What a rule that is run dry would have refused it for.
    pub dry_run: Option<Reason>,
    /// Times that the request was sent, or that a member was not reached for it.
    pub tries: u32,
    /// Why it was not sent again.
    pub no_retry: Option<Refusal>,
    /// What the cache did, where the route has one.
    pub cache: Option<&'static str>,
    /// The version of TLS that the client speaks, if it does.
    pub tls: Option<&'static str>,
    /// HTTP/1.1 rather than 1.0.
    pub modern: bool,
    /// The request's texts, one behind the other.
    text: Vec<u8>,
    /// Where each of them ends.
    ends: [usize; 8],
}

/// A text of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The method.
    Method,
    /// The path in normal form.
    Path,
    /// The query, without its question mark.
    Query,
    /// The host asked for, with its port.
    Host,
    /// `Referer`.
    Referer,
    /// `User-Agent`.
    UserAgent,
    /// The request's id, if the listener names requests.
    Id,
    /// The trace that it is part of, if the listener looks at traces.
    Trace,
}

impl Record {
    /// One of the texts; empty if the client sent none.
    #[must_use]
    pub fn text(&self, which: Text) -> &[u8] {
        let index = which as usize;
        let start = index.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(0);
        self.text.get(start..end).unwrap_or_default()
    }
}

fn record(
    context: &Context,
    listener: ListenerId,
    head: Option<&RequestHead>,
    facts: &Facts,
    took: Duration,
) -> Record {
    let value = |name| head.and_then(|head| head.value(name)).unwrap_or_default();
    let texts: [&[u8]; 6] = [
        head.map_or(b"", RequestHead::method_bytes),
        // CONNECT has no path.
        head.map_or(b"", |head| match head.path() {
            b"" => head.target_bytes(),
            path => path,
        }),
        head.and_then(RequestHead::query).unwrap_or_default(),
        head.map_or(b"", RequestHead::authority),
        value(Name::Referer),
        value(Name::UserAgent),
    ];
    let mut text = Vec::with_capacity(texts.iter().map(|text| text.len()).sum());
    let mut ends = [0; 8];
    for (end, part) in ends.iter_mut().zip(texts) {
        text.extend_from_slice(part);
        *end = text.len();
    }
    let [.., id, trace] = &mut ends;
    if let Some(listener) = context.listener(listener) {
        named::log_id(&mut text, listener, head, facts);
    }
    *id = text.len();
    named::log_trace(&mut text, head, facts);
    *trace = text.len();
    Record {
        at: clock::unix(),
        took,
        client: facts.client.get(),
        listener,
        route: facts.route.get(),
        pool: facts.pool.get(),
        member: facts.site().map(|site| site.address.clone()),
        status: facts.status.get(),
        sent: facts.sent.get(),
        coded: facts.coded.get(),
        received: None,
        reason: facts.reason.get(),
        dry_run: facts.noted.get().and_then(|noted| noted.dry_run.get()),
        tries: facts.attempts.get(),
        no_retry: facts.no_retry.get(),
        cache: facts.cache.get().map(|trace| Verdict::word(trace.verdict)),
        tls: facts.tls.map(TlsVersion::word),
        modern: head.is_none_or(|head| head.version() == Version::Http11),
        text,
        ends,
    }
}

fn hand_over(context: &Context, log: &Sender, record: Record) {
    if log.try_send(record).is_err() {
        context.row.add(Counter::AccessLogDropped, 1);
    }
}

/// Hands an exchange to the writer, or counts it as dropped.
pub(super) fn write(
    context: &Context,
    log: &Sender,
    listener: ListenerId,
    head: &RequestHead,
    facts: &Facts,
    took: Duration,
) {
    hand_over(context, log, record(context, listener, Some(head), facts, took));
}

/// The same for a head that could not be read.
pub(super) fn refused(context: &Context, listener: ListenerId, facts: &Facts) {
    if let Some(log) = &context.access_log {
        hand_over(context, log, record(context, listener, None, facts, Duration::ZERO));
    }
}

/// What has become of a relayed connection.
#[derive(Debug)]
pub(super) struct Relayed<'a> {
    pub(super) listener: ListenerId,
    pub(super) client: IpAddr,
    pub(super) pool: Option<PoolId>,
    pub(super) member: Option<Address>,
    /// The name that its client asked for.
    pub(super) server_name: &'a [u8],
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) reason: Option<Reason>,
    pub(super) took: Duration,
}

/// Hands a relayed connection to the writer, or counts it as dropped.
pub(super) fn relayed(context: &Context, log: &Sender, relayed: &Relayed<'_>) {
    let name = relayed.server_name;
    let record = Record {
        at: clock::unix(),
        took: relayed.took,
        client: relayed.client,
        listener: relayed.listener,
        route: None,
        pool: relayed.pool,
        member: relayed.member.clone(),
        status: 0,
        sent: relayed.sent,
        coded: None,
        received: Some(relayed.received),
        reason: relayed.reason,
        dry_run: None,
        tries: 1,
        no_retry: None,
        cache: None,
        tls: None,
        modern: true,
        text: name.to_vec(),
        ends: [0, 0, 0, name.len(), name.len(), name.len(), name.len(), name.len()],
    };
    hand_over(context, log, record);
}
