//! A request on its way: to which member, how often, and what is learnt of each.

use std::pin::pin;
use std::time::Duration;

use super::answer::{Answered, Buffers, answer};
use super::cache::{self, Part, Taken};
use super::context::Context;
use super::exchange::{Ask, Ending, Facts};
use super::patience::{Patience, silence};
use super::replay::Body;
use super::{buffering, greeting, hash_key, reasons, request, sticky, tunnel, upload};
use crate::balancer::{Attempted, Connection, Lease, LeaseError, Outcome, Refusal, Tried, Wish};
use crate::http::ResponseHead;
use crate::ids::PoolId;
use crate::net::{Buffer, Either, Failure, Size, Stream, TICK, race, sleep};
use crate::stats::{Counter, Reason};

/// Between two attempts to open a connection when no descriptors are left.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(10);

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) reason: Reason,
    /// The member closed the connection without a byte of an answer. On a kept-alive connection
    /// that is no fault: it may have closed before the request came.
    pub(super) unanswered: bool,
    /// The request may be sent again: asked and charged already.
    pub(super) again: bool,
}

impl From<Reason> for Lost {
    fn from(reason: Reason) -> Self {
        Self { reason, unanswered: false, again: false }
    }
}

/// Finds a member that takes the request, and brings its answer to the client.
pub(super) async fn deliver<'a>(
    ask: &'a Ask<'a>,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &'a Facts,
) -> Result<Ending, Reason> {
    let (row, pools, pool) = (&ask.context.row, &ask.context.pools, ask.pool);
    pools.count_request(pool);
    let named = sticky::named(ask);
    let wish =
        Wish { key: hash_key::of(ask, facts.client.get(), pools.hashes_by(pool)), member: named };
    let keeps = pools.is_sticky(pool);
    let mut lost: Option<Reason> = None;
    let mut fresh = false;
    let mut body = Body::new(ask, received, facts);
    if let (Some(config), Some(upload)) = (&ask.route.buffer_request, &mut body.upload) {
        let taken = buffering::take_in(ask, config, body.received, upload, facts);
        Box::pin(taken).await?;
    }
    loop {
        let lease = match lease(ask.context, pool, ask.stream, wish, &facts.tried.get()).await {
            Ok(lease) => lease,
            Err(reason) => {
                return Err(lost
                    .filter(|_| matches!(reason, Reason::NoMember | Reason::NoAddress))
                    .unwrap_or(reason));
            }
        };
        if let Some(reason) = lost.take() {
            // Told nobody but the counters: another member has the request now.
            row.error(reason);
        }
        let member = Some(lease.member());
        facts.member.set(member);
        facts.set_site(lease.site());
        facts.moved_to.set(member.filter(|_| keeps && named != member));
        let mut buffers = Buffers::new();
        let tried = try_member(ask, &lease, &mut body, response, &mut buffers, facts, fresh).await;
        match tried {
            Ok((connection, answered)) => {
                let done = Done { lease, connection, buffers, answered };
                return finish(ask, done, body.received, response, facts).await;
            }
            Err(Stop::Stale) => {
                row.add(Counter::UpstreamRetries, 1);
                row.add(Counter::UpstreamStale, 1);
                fresh = true;
            }
            Err(Stop::Lost(failed)) => {
                let mut tried = facts.tried.get();
                let room = tried.add(lease.member());
                facts.tried.set(tried);
                let outcome = reasons::outcome(failed.reason, facts.status.get());
                lease.finish(outcome);
                // Where nobody else could have it, no retry is asked for, nor charged to the budget.
                let next = || failed.again || has_other(ask, facts) && again(ask, facts, outcome);
                if facts.begun.get() || !room || !next() {
                    return Err(failed.reason);
                }
                row.add(Counter::UpstreamFailovers, 1);
                lost = Some(failed.reason);
            }
        }
    }
}

/// A member, at once if there is one; else waits, unless the client of `stream` leaves.
pub(super) async fn lease(
    context: &Context,
    pool: PoolId,
    stream: &Stream,
    wish: Wish,
    tried: &Tried,
) -> Result<Lease, Reason> {
    match context.pools.lease_now(pool, wish, tried) {
        // Rare, and large: kept out of every connection's memory.
        Err(LeaseError::QueueFull) => Box::pin(wait(context, pool, stream, wish, tried)).await,
        leased => leased.map_err(reasons::unleased),
    }
}

/// Waits for a member, unless the client of `stream` leaves.
async fn wait(
    context: &Context,
    pool: PoolId,
    stream: &Stream,
    wish: Wish,
    tried: &Tried,
) -> Result<Lease, Reason> {
    let leased = pin!(context.pools.lease(pool, wish, tried));
    let left = pin!(stream.ended());
    match race(leased, left).await {
        Either::First(leased) => leased.map_err(reasons::unleased),
        Either::Second(()) => Err(Reason::ClientGone),
    }
}

/// Why an attempt did not bring an answer.
enum Stop {
    /// The kept-alive connection had been closed: the member has not seen the request.
    Stale,
    Lost(Lost),
}

/// Whether the request may go to another member; a yes is charged to the budget.
fn again(ask: &Ask<'_>, facts: &Facts, outcome: Outcome) -> bool {
    let attempted = Attempted {
        outcome,
        unsent: matches!(outcome, Outcome::Failed(crate::balancer::Fault::Connect)),
        idempotent: ask.idempotent,
        replayable: facts.replayable.get(),
        attempts: facts.attempts.get(),
        age: age(facts),
    };
    match may_retry(ask.context, ask.pool, &attempted) {
        Ok(()) => true,
        Err(refusal) => {
            if refusal != Refusal::NotCovered {
                facts.no_retry.set(Some(refusal));
            }
            false
        }
    }
}

/// Asks the pool, and counts what it says.
pub(super) fn may_retry(
    context: &Context,
    pool: PoolId,
    attempted: &Attempted,
) -> Result<(), Refusal> {
    let answer = context.pools.may_retry(pool, attempted);
    let counter = match answer {
        Ok(()) => Counter::Retries,
        Err(Refusal::NotCovered) => return answer,
        Err(Refusal::NotIdempotent) => Counter::RetryNotIdempotent,
        Err(Refusal::BodyGone) => Counter::RetryBodyGone,
        Err(Refusal::Attempts) => Counter::RetryAttempts,
        Err(Refusal::Deadline) => Counter::RetryDeadline,
        Err(Refusal::Budget) => Counter::RetryBudget,
    };
    context.row.add(counter, 1);
    answer
}

fn age(facts: &Facts) -> Duration {
    TICK * Stream::tick().saturating_sub(facts.since.get())
}

/// Whether another member could serve than those that were tried and the one that has the request.
fn has_other(ask: &Ask<'_>, facts: &Facts) -> bool {
    ask.context.pools.has_other(ask.pool, &facts.tried.get(), facts.member.get())
}

/// How long the member may take: less where another one could still get the request.
fn patience(ask: &Ask<'_>, lease: &Lease, facts: &Facts) -> Patience {
    let attempts = facts.attempts.get();
    let attempt = ask.context.pools.try_timeout(ask.pool, attempts, || age(facts));
    let attempt = attempt.filter(|_| ask.idempotent && has_other(ask, facts));
    Patience::new(silence(ask, lease), attempt)
}

/// Whether an answer with this status is passed over for another member's. Nothing of it may have
/// been passed on.
pub(super) fn passes_over(ask: &Ask<'_>, facts: &Facts, status: u16) -> bool {
    let (pools, pool) = (&ask.context.pools, ask.pool);
    pools.retries_status(pool, status)
        && has_other(ask, facts)
        && again(ask, facts, Outcome::Answered { status, first_byte: facts.first_byte() })
}

async fn try_member<'a>(
    ask: &'a Ask<'a>,
    lease: &Lease,
    body: &mut Body<'_>,
    response: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &'a Facts,
    fresh: bool,
) -> Result<(Connection, Answered<'a>), Stop> {
    facts.attempts.set(facts.attempts.get() + 1);
    let connection = match reach(ask, lease, fresh).await {
        Ok(connection) => connection,
        Err(failure) => return Err(Stop::Lost(reasons::connect(failure).into())),
    };
    // What is fetched for the cache is for others, too.
    let is_for_client = ask.cache.is_none_or(Part::is_for_client);
    connection.stream.work_for(Some(ask.stream).filter(|_| is_for_client));
    match attempt(ask, lease, &connection, body, response, buffers, facts).await {
        Ok(answered) => Ok((connection, answered)),
        Err(lost) => {
            if !facts.uploaded.get() {
                // A request cut short must not look complete to the member.
                connection.stream.reset_on_drop();
            }
            let replayable = facts.replayable.get() && ask.idempotent;
            if lost.unanswered && connection.reused && replayable {
                return Err(Stop::Stale);
            }
            Err(Stop::Lost(lost))
        }
    }
}

async fn reach(ask: &Ask<'_>, lease: &Lease, fresh: bool) -> Result<Connection, Failure> {
    if !fresh && let Some(connection) = lease.reuse() {
        return Ok(connection);
    }
    // Rare, and large: kept out of every connection's memory.
    Box::pin(async { dial(lease, header(ask, lease).data(), || lease.reuse()).await }).await
}

/// A new connection, which begins with `header`. Where no descriptors are left it waits for one, or
/// for a connection that is `given_back`, as long as it would wait for the member.
pub(super) async fn dial(
    lease: &Lease,
    header: &[u8],
    given_back: impl Fn() -> Option<Connection>,
) -> Result<Connection, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        match lease.dial(header).await {
            Err(Failure::NoDescriptors) if waited < lease.timeouts().connect => {}
            other => return other,
        }
        sleep(DESCRIPTOR_PAUSE).await;
        waited += DESCRIPTOR_PAUSE;
        if let Some(connection) = given_back() {
            return Ok(connection);
        }
    }
}

/// The header of the PROXY protocol that the member expects in front of the connection.
fn header(ask: &Ask<'_>, lease: &Lease) -> Buffer {
    let mut header = Buffer::default();
    if let Some(version) = lease.announces()
        && let Some(ends) = ask.peer.ends(ask.stream)
    {
        header = Buffer::take(Size::Small);
        ask.stream.look_at_tls(|tls| greeting::announce(header.tail(), version, ends, tls));
    }
    header
}

/// Sends the request and brings the answer, but for its last bytes, which stay in `buffers.out`.
async fn attempt<'a>(
    ask: &'a Ask<'a>,
    lease: &Lease,
    connection: &Connection,
    body: &mut Body<'_>,
    response: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &'a Facts,
) -> Result<Answered<'a>, Lost> {
    let (upstream, patience) = (&connection.stream, &patience(ask, lease, facts));
    buffers.out.clear();
    facts.uploaded.set(false);
    facts.forget_sent();
    request::write(buffers.out.tail(), ask, &lease.site().host, facts);
    let Some(whole) = facts.whole.get() else {
        let duplex = upload::duplex(ask, upstream, patience, body, response, buffers, facts);
        return Box::pin(duplex).await;
    };
    buffers.out.tail().extend_from_slice(body.received.data().get(..whole).unwrap_or_default());
    match upstream.send_within(&mut buffers.out, patience.to_send(facts)).await {
        Ok(()) => facts.set_uploaded(ask),
        // The answer to a request that the member did not read to its end may be on its way.
        Err(Failure::Reset | Failure::Closed) if !connection.reused => {}
        Err(failure) => {
            let unanswered = matches!(failure, Failure::Reset | Failure::Closed);
            let reason = reasons::before_head(failure);
            return Err(Lost { unanswered, ..reason.into() });
        }
    }
    answer(ask, upstream, patience, response, buffers, facts).await
}

/// What an attempt that succeeded leaves to be done.
struct Done<'a> {
    lease: Lease,
    connection: Connection,
    buffers: Buffers,
    answered: Answered<'a>,
}

/// Gives the member free, then sends what is left of the answer.
async fn finish(
    ask: &Ask<'_>,
    done: Done<'_>,
    received: &mut Buffer,
    response: &ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let Done { lease, connection, mut buffers, answered } = done;
    received.consume(facts.whole.get().unwrap_or(0));
    let outcome = Outcome::Answered { status: response.status(), first_byte: facts.first_byte() };
    if let (Answered::Taken, Some(Part::Fetch(fetch))) = (&answered, ask.cache) {
        let taken = Taken { lease, connection, buffers };
        return Box::pin(cache::take(ask, fetch, taken, received, response, facts)).await;
    }
    let Answered::Done { keep_client, keep_upstream, rest } = answered else {
        let upstream = (&connection.stream, silence(ask, &lease));
        let tunnel = tunnel::run(ask, upstream, received, response, buffers, facts);
        let ending = Box::pin(tunnel).await;
        lease.finish(outcome);
        return ending;
    };
    connection.stream.work_for(None);
    if keep_upstream {
        lease.keep(connection);
    } else {
        drop(connection);
    }
    lease.finish(outcome);
    drop(std::mem::take(&mut buffers.input));
    buffers.send_out(ask, facts).await?;
    if let Some(rest) = rest {
        rest.send().await?;
    }
    Ok(match (keep_client, facts.uploaded.get()) {
        (true, _) => Ending::KeepAlive,
        // Closing on bytes that nobody read would reset the connection, and the answer with it.
        (false, true) if received.is_empty() && ask.stream.is_read_out() => Ending::Close,
        (false, _) => Ending::Linger,
    })
}
