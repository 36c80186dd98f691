//! Requests of our own to a pool: whole in one buffer, and of the answer the head alone is wanted.

use std::net::IpAddr;
use std::time::Duration;

use super::body::{Sink, Source, carry};
use super::context::Context;
use super::deliver;
use super::greeting::{self, Ends};
use super::{hash_key, reasons};
use crate::balancer::{Attempted, Connection, Fault, Lease, Outcome, Tried, Wish};
use crate::clock::{self, Instant};
use crate::http::{HeadLimits, Method, Parsed, ResponseHead, response_framing};
use crate::ids::PoolId;
use crate::net::{Buffer, Failure, Size, Stream};
use crate::stats::{Counter, Reason};

/// Bytes of an answer's body that are read, so that its connection can be used again.
const BODY_MOST: u64 = 64 << 10;

/// Interim answers to one request.
const INTERIM_MOST: usize = 16;

/// Whom to call, and until when.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) context: &'a Context,
    pub(super) pool: PoolId,
    /// For whom; if it leaves, nobody wants to know any more. `None`: nobody waits for the answer,
    /// nor does the call for a member.
    pub(super) client: Option<&'a Stream>,
    /// What members are told where the pool announces connections.
    pub(super) ends: Option<Ends>,
    /// The client's address, for pools that hash.
    pub(super) key: IpAddr,
    pub(super) until: Instant,
    /// As the pool says; else the first failure is the last.
    pub(super) retries: bool,
}

/// A failed attempt.
struct Lost {
    reason: Reason,
    /// As in `deliver::Lost`.
    unanswered: bool,
}

impl From<Reason> for Lost {
    fn from(reason: Reason) -> Self {
        Self { reason, unanswered: false }
    }
}

/// Sends the request that `write` writes for a member of this name, and reads the head of the answer.
pub(super) async fn call(
    call: &Call<'_>,
    write: &dyn Fn(&mut Vec<u8>, &str),
    answer: &mut ResponseHead,
) -> Result<(), Reason> {
    let (context, pool) = (call.context, call.pool);
    context.pools.count_request(pool);
    let begun = clock::now();
    let (mut tried, mut attempts, mut fresh) = (Tried::default(), 0, false);
    loop {
        let lease = lease(call, &tried).await?;
        attempts += 1;
        let lost = match attempt(call, &lease, &tried, write, answer, fresh).await {
            Ok((connection, status)) => {
                let first_byte = clock::now().since(begun);
                if let Some(connection) = connection {
                    lease.keep(connection);
                }
                let outcome = Outcome::Answered { status, first_byte };
                lease.finish(outcome);
                return Ok(());
            }
            Err((lost, reused)) => {
                if lost.unanswered && reused && call.retries && !fresh {
                    context.row.add(Counter::UpstreamRetries, 1);
                    context.row.add(Counter::UpstreamStale, 1);
                    fresh = true;
                    continue;
                }
                lost
            }
        };
        let outcome = reasons::outcome(lost.reason, answer.status());
        let room = tried.add(lease.member());
        lease.finish(outcome);
        let attempted = Attempted {
            outcome,
            unsent: matches!(outcome, Outcome::Failed(Fault::Connect)),
            idempotent: true,
            replayable: true,
            attempts,
            age: clock::now().since(begun),
        };
        let again = call.retries && room && call.until > clock::now();
        if !again || deliver::may_retry(context, pool, &attempted).is_err() {
            return Err(lost.reason);
        }
        context.row.error(lost.reason);
        context.row.add(Counter::UpstreamFailovers, 1);
    }
}

async fn lease(call: &Call<'_>, tried: &Tried) -> Result<Lease, Reason> {
    let pools = &call.context.pools;
    let hashes = pools.hashes_by(call.pool).is_some();
    let key = if hashes { hash_key::of_address(call.key) } else { 0 };
    let wish = Wish { key, member: None };
    match call.client {
        Some(client) => deliver::lease(call.context, call.pool, client, wish, tried).await,
        None => pools.lease_now(call.pool, wish, tried).map_err(reasons::unleased),
    }
}

/// What is left of the time; no more than the pool grants.
fn left(call: &Call<'_>, lease: &Lease) -> Duration {
    call.until.since(clock::now()).min(lease.timeouts().response)
}

/// One attempt: a connection that can be used again, if it can, and the status; or why not, and
/// whether the connection had been used before.
async fn attempt(
    call: &Call<'_>,
    lease: &Lease,
    tried: &Tried,
    write: &dyn Fn(&mut Vec<u8>, &str),
    answer: &mut ResponseHead,
    fresh: bool,
) -> Result<(Option<Connection>, u16), (Lost, bool)> {
    answer.clear();
    let connection = match (!fresh).then(|| lease.reuse()).flatten() {
        Some(connection) => connection,
        None => {
            let dialled = deliver::dial(lease, header(call, lease).data(), || lease.reuse()).await;
            dialled.map_err(|failure| (reasons::connect(failure).into(), false))?
        }
    };
    connection.stream.work_for(call.client);
    match exchange(call, lease, &connection.stream, write, answer).await {
        Ok(_) if is_passed_over(call, tried, lease, answer.status()) => {
            Err((Reason::BadStatus.into(), connection.reused))
        }
        Ok(keep) => {
            connection.stream.work_for(None);
            Ok((keep.then_some(connection), answer.status()))
        }
        Err(lost) => Err((lost, connection.reused)),
    }
}

/// Whether the request goes to another member because of the status.
fn is_passed_over(call: &Call<'_>, tried: &Tried, lease: &Lease, status: u16) -> bool {
    let pools = &call.context.pools;
    call.retries
        && pools.retries_status(call.pool, status)
        && pools.has_other(call.pool, tried, Some(lease.member()))
}

/// The header of the PROXY protocol that the member expects in front of the connection.
fn header(call: &Call<'_>, lease: &Lease) -> Buffer {
    let mut header = Buffer::default();
    if let (Some(version), Some(ends)) = (lease.announces(), call.ends) {
        header = Buffer::take(Size::Small);
        greeting::announce(header.tail(), version, ends, None);
    }
    header
}

/// Whether the connection can be used again.
async fn exchange(
    call: &Call<'_>,
    lease: &Lease,
    upstream: &Stream,
    write: &dyn Fn(&mut Vec<u8>, &str),
    answer: &mut ResponseHead,
) -> Result<bool, Lost> {
    let mut out = Buffer::take(Size::Medium);
    write(out.tail(), &lease.site().host);
    let sent = upstream.send_within(&mut out, left(call, lease)).await;
    match sent {
        Ok(()) => {}
        Err(failure) => {
            let unanswered = matches!(failure, Failure::Reset | Failure::Closed);
            return Err(Lost { unanswered, reason: reasons::before_head(failure) });
        }
    }
    drop(out);
    let mut input = Buffer::take(Size::Medium);
    read_head(call, lease, upstream, answer, &mut input).await?;
    let ended = drain(call, lease, upstream, answer, &mut input).await?;
    Ok(ended && answer.wants_keep_alive() && input.is_empty())
}

/// Reads heads until the final one.
async fn read_head(
    call: &Call<'_>,
    lease: &Lease,
    upstream: &Stream,
    answer: &mut ResponseHead,
    input: &mut Buffer,
) -> Result<(), Lost> {
    let bounds = &call.context.config.limits;
    let limits = HeadLimits { bytes: bounds.response_head, fields: bounds.response_headers };
    let mut interim = 0;
    loop {
        if !input.is_empty() {
            match answer.parse(input.data(), &limits) {
                Ok(Parsed::Complete(length)) => {
                    input.consume(length);
                    match answer.status() {
                        101 => return Err(Reason::BadResponse.into()),
                        100..=199 if interim < INTERIM_MOST => interim += 1,
                        100..=199 => return Err(Reason::BadResponse.into()),
                        _ => return Ok(()),
                    }
                    answer.clear();
                    continue;
                }
                Ok(Parsed::Partial) => {}
                Err(error) => return Err(reasons::bad_head(error).into()),
            }
            if input.room() == 0 {
                // The parser refuses a head beyond its limit, so this ends.
                input.grow(input.len() * 2);
            }
        }
        if let Err(failure) = upstream.recv_within(input, left(call, lease)).await {
            let closed = matches!(failure, Failure::Closed | Failure::Reset);
            let unanswered = closed && input.is_empty() && interim == 0;
            return Err(Lost { unanswered, reason: reasons::before_head(failure) });
        }
    }
}

/// Reads the body, which nobody wants; whether it came to its end within the bound.
async fn drain(
    call: &Call<'_>,
    lease: &Lease,
    upstream: &Stream,
    answer: &ResponseHead,
    input: &mut Buffer,
) -> Result<bool, Lost> {
    let framing =
        response_framing(answer, Method::Get).map_err(|_| Lost::from(Reason::BadResponse))?;
    let mut source = Source::new(framing, call.context.config.limits.trailers);
    if matches!(source, Source::UntilClose) {
        return Ok(false);
    }
    let (mut nowhere, mut moved) = (Buffer::take(Size::Medium), 0);
    loop {
        nowhere.clear();
        match carry(&mut source, Sink::Raw, input, &mut nowhere, &mut moved) {
            Ok(true) => return Ok(true),
            Ok(false) if moved > BODY_MOST => return Ok(false),
            Ok(false) if !input.is_empty() => continue,
            Ok(false) => {}
            // The head is all that counts.
            Err(_) => return Ok(false),
        }
        if upstream.recv_within(input, left(call, lease)).await.is_err() {
            return Ok(false);
        }
    }
}
