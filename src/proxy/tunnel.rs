//! Two connections as one: bytes both ways, unseen, until both sides have ended theirs.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use super::answer::Buffers;
use super::exchange::{Ask, Ending, Facts};
use super::{response, sticky};
use crate::http::ResponseHead;
use crate::net::{Buffer, Direction, DirectionEnd, Either, Failure, Stream, race};
use crate::stats::{Counter, Reason, Row};

/// Passes the 101 on, then everything.
pub(super) async fn run(
    ask: &Ask<'_>,
    (upstream, patience): (&Stream, Duration),
    received: &mut Buffer,
    head: &ResponseHead,
    mut buffers: Buffers,
    facts: &Facts,
) -> Result<Ending, Reason> {
    ask.context.row.add(Counter::Tunnels, 1);
    facts.status.set(101);
    upstream.work_for(None);
    // Whoever waits for the next message is not slow.
    ask.stream.waive_pace();
    response::write_interim(buffers.out.tail(), head, head.upgrade(), |out| {
        sticky::write(out, ask, facts);
    });
    buffers.send_out(ask, facts).await?;
    let (to_member, to_client) = (std::mem::take(received), std::mem::take(&mut buffers.input));
    drop(buffers);
    let tunnel = Tunnel {
        client: ask.stream,
        upstream,
        idle: ask.route.timeouts.tunnel.unwrap_or(ask.listener.timeouts.tunnel),
        write: ask.listener.timeouts.write,
        patience,
        row: &ask.context.row,
        received: Cell::default(),
        sent: Cell::default(),
    };
    let ended = tunnel.run(to_member, to_client).await;
    facts.sent.set(tunnel.sent.get());
    if let Err(reason) = ended {
        ask.context.row.error(reason);
        facts.reason.set(Some(reason));
    }
    Ok(Ending::Close)
}

/// A client's connection and a member's.
pub(super) struct Tunnel<'a> {
    pub(super) client: &'a Stream,
    pub(super) upstream: &'a Stream,
    /// For a byte in either direction.
    pub(super) idle: Duration,
    /// For the client to take something.
    pub(super) write: Duration,
    /// For the member to take something.
    pub(super) patience: Duration,
    pub(super) row: &'a Row,
    /// Bytes of the client that the member took.
    pub(super) received: Cell<u64>,
    /// Bytes of the member that the client took.
    pub(super) sent: Cell<u64>,
}

impl Tunnel<'_> {
    /// Moves everything, first what is in hand. How the one side ends its connection, the other
    /// one gets to see: an end of the stream as such, a reset as a reset.
    pub(super) async fn run(&self, to_member: Buffer, to_client: Buffer) -> Result<(), Reason> {
        let (client, upstream, idle) = (self.client, self.upstream, self.idle);
        let (broken, stuck_up, stuck_down) = (&Cell::default(), &Cell::default(), &Cell::default());
        let stall = self.patience;
        let up = Direction { from: client, to: upstream, idle, stall, broken, stuck: stuck_up };
        let stall = self.write;
        let down = Direction { from: upstream, to: client, idle, stall, broken, stuck: stuck_down };
        let went_up = |bytes| {
            self.row.add(Counter::BytesIn, bytes);
            self.received.set(self.received.get() + bytes);
        };
        let went_down = |bytes| {
            self.row.add(Counter::BytesOut, bytes);
            self.sent.set(self.sent.get() + bytes);
        };
        let mut up = pin!(up.run(to_member, went_up));
        let mut down = pin!(down.run(to_client, went_down));
        // What a broken connection had still to say was received already, and goes on.
        let ended = match race(up.as_mut(), down.as_mut()).await {
            Either::First(DirectionEnd::Finished) => reason_down(down.await),
            Either::Second(DirectionEnd::Finished) => reason_up(up.await),
            Either::First(end @ DirectionEnd::To(Failure::Reset | Failure::Closed)) => {
                down.await;
                reason_up(end)
            }
            Either::Second(end @ DirectionEnd::To(Failure::Reset | Failure::Closed)) => {
                up.await;
                reason_down(end)
            }
            Either::First(end) => reason_up(end),
            Either::Second(end) => reason_down(end),
        };
        match ended {
            None => Ok(()),
            // A deadline ends both directions, and the other one may have been polled first.
            Some(Reason::TunnelIdle) if stuck_down.get() => self.reset(Reason::WriteTimeout),
            Some(Reason::TunnelIdle) if stuck_up.get() => self.reset(Reason::MemberStalled),
            Some(reason @ Reason::TunnelIdle) => Err(reason),
            Some(reason) => self.reset(reason),
        }
    }

    fn reset(&self, reason: Reason) -> Result<(), Reason> {
        self.client.reset_on_drop();
        self.upstream.reset_on_drop();
        Err(reason)
    }
}

const fn reason_up(end: DirectionEnd) -> Option<Reason> {
    match end {
        DirectionEnd::Finished => None,
        DirectionEnd::From(Failure::TimedOut) => Some(Reason::TunnelIdle),
        DirectionEnd::From(_) => Some(Reason::ClientGone),
        DirectionEnd::To(Failure::TimedOut) => Some(Reason::MemberStalled),
        DirectionEnd::To(_) => Some(Reason::TunnelReset),
    }
}

const fn reason_down(end: DirectionEnd) -> Option<Reason> {
    match end {
        DirectionEnd::Finished => None,
        DirectionEnd::From(Failure::TimedOut) => Some(Reason::TunnelIdle),
        DirectionEnd::From(_) => Some(Reason::TunnelReset),
        DirectionEnd::To(Failure::TimedOut) => Some(Reason::WriteTimeout),
        DirectionEnd::To(_) => Some(Reason::ClientGone),
    }
}
