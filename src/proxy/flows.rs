//! Datagrams: a flow is what one client sends to one address of ours. Its first datagram picks a
//! member, the others follow, and the member's come back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::access_log;
use super::connection::DRAIN_PATIENCE;
use super::context::Context;
use super::{guard, hash_key, reasons};
use crate::balancer::{Fault, Lease, Outcome, Tried, Wish};
use crate::clock::{self, Instant};
use crate::config::{ListenerConfig, Protocol, UdpConfig};
use crate::ids::ListenerId;
use crate::net::{Address, Buffer, Correspondent, Datagrams, Envelope, Failure, Size, spawn};
use crate::stats::{Counter, Reason};

/// Datagrams taken before others get their turn.
const BATCH: usize = 32;

/// The flows of one address on one worker.
#[derive(Debug)]
pub struct Flows {
    context: Rc<Context>,
    listener: ListenerId,
    socket: Datagrams,
    flows: RefCell<HashMap<Envelope, Rc<Flow>>>,
    closed: Cell<bool>,
}

#[derive(Debug)]
struct Flow {
    envelope: Envelope,
    member: Correspondent,
    /// Until the flow ends.
    lease: RefCell<Option<Lease>>,
    /// Where somebody wants to know how long it, or its first answer, takes.
    begun: Option<Instant>,
    /// Datagrams of the member that are still expected; `None`: any number.
    expected: Cell<Option<u32>>,
    /// What it cost the client and the member, in bytes.
    received: Cell<u64>,
    sent: Cell<u64>,
    answered: Cell<bool>,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It had all its answers.
    Complete,
    /// It was idle.
    Idle,
    /// Nobody listens there, or the like.
    Failed(Reason),
}

impl Flows {
    /// No flows, for a socket of `listener`.
    #[must_use]
    pub fn new(context: &Rc<Context>, listener: ListenerId, socket: Datagrams) -> Self {
        let (context, flows) = (Rc::clone(context), RefCell::default());
        Self { context, listener, socket, flows, closed: Cell::new(false) }
    }

    /// Whether nothing is received any more.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Receives nothing any more, once no flow is left of a worker that drains.
    pub fn close_when_over(&self) {
        if self.flows.borrow().is_empty() && !self.closed.replace(true) {
            self.socket.close();
        }
    }

    /// Takes datagrams of clients until closed.
    pub async fn serve(self: Rc<Self>) {
        while !self.closed.get() {
            // What is wrong with a socket shows in the next call.
            _ = self.socket.ready().await;
            let mut buffer = Buffer::take(Size::Large);
            for _ in 0..BATCH {
                buffer.clear();
                match self.socket.recv(&mut buffer) {
                    Ok(Some(envelope)) => self.forward(envelope, buffer.data()),
                    Ok(None) => break,
                    // An answer that a client did not want comes back as an error.
                    Err(_) => self.context.row.add(Counter::DatagramsUnsent, 1),
                }
            }
        }
    }

    /// What its listener says of flows.
    fn rules(&self) -> Option<(&ListenerConfig, &UdpConfig)> {
        let listener = self.context.listener(self.listener)?;
        match &listener.protocol {
            Protocol::Udp(udp) => Some((listener, udp)),
            _ => None,
        }
    }

    fn measures(&self) -> bool {
        self.rules().is_some_and(|(_, udp)| self.context.pools.measures(udp.pool))
    }

    fn patience(&self) -> Duration {
        let session =
            self.rules().map_or(DRAIN_PATIENCE, |(listener, _)| listener.timeouts.session);
        if self.context.is_draining() { session.min(DRAIN_PATIENCE) } else { session }
    }

    /// Sends a client's datagram to the member of its flow.
    fn forward(self: &Rc<Self>, envelope: Envelope, bytes: &[u8]) {
        let flow = self.flows.borrow().get(&envelope).cloned();
        let mut tried = Tried::default();
        if let Some(flow) = flow {
            match flow.member.send(bytes) {
                Ok(sent) => return self.forwarded(&flow, sent, bytes.len()),
                Err(failure) => {
                    // An earlier datagram did not arrive: this one begins anew elsewhere.
                    if let Some(lease) = &*flow.lease.borrow() {
                        _ = tried.add(lease.member());
                    }
                    self.end(&flow, End::Failed(reasons::connect(failure)));
                }
            }
        }
        self.begin(envelope, bytes, tried);
    }

    fn forwarded(&self, flow: &Flow, sent: bool, bytes: usize) {
        let row = &self.context.row;
        if !sent {
            return row.add(Counter::DatagramsUnsent, 1);
        }
        flow.received.set(flow.received.get() + bytes as u64);
        row.add(Counter::DatagramsIn, 1);
        row.add(Counter::BytesIn, bytes as u64);
        flow.member.arm(self.patience());
    }

    /// A new flow, whose first datagram this is.
    fn begin(self: &Rc<Self>, envelope: Envelope, bytes: &[u8], mut tried: Tried) {
        let Some((listener, udp)) = self.rules() else { return };
        let (row, pools) = (&self.context.row, &self.context.pools);
        let full = self.flows.borrow().len() >= listener.limits.sessions;
        if full || self.context.is_draining() {
            return row.add(Counter::DatagramsNoFlow, 1);
        }
        let client = envelope.client.ip().to_canonical();
        if let Err(reason) = guard::admits(&self.context, self.listener, client, true) {
            return row.error(reason);
        }
        let key = pools.hashes_by(udp.pool).map_or(0, |_| hash_key::of_address(client));
        let wanted = pools.measures(udp.pool) || self.context.access_log.is_some();
        let begun = wanted.then(clock::now);
        pools.count_request(udp.pool);
        loop {
            let lease = match pools.lease_now(udp.pool, Wish { key, member: None }, &tried) {
                Ok(lease) => lease,
                Err(refusal) => {
                    row.error(reasons::unleased(refusal));
                    return row.add(Counter::DatagramsNoMember, 1);
                }
            };
            // The configuration lets no pool of Unix sockets serve datagrams.
            let Address::Ip(address) = &lease.site().address else { return };
            let failure = match Correspondent::new(*address) {
                Ok(member) => match member.send(bytes) {
                    Ok(sent) => {
                        let flow = Rc::new(Flow {
                            envelope,
                            member,
                            lease: RefCell::new(Some(lease)),
                            begun,
                            expected: Cell::new(udp.replies),
                            received: Cell::default(),
                            sent: Cell::default(),
                            answered: Cell::default(),
                        });
                        return self.begun(flow, sent, bytes.len());
                    }
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            let reason = reasons::connect(failure);
            row.error(reason);
            let room = tried.add(lease.member());
            lease.finish(reasons::outcome(reason, 0));
            if !room || failure == Failure::NoDescriptors {
                return row.add(Counter::DatagramsNoMember, 1);
            }
        }
    }

    fn begun(self: &Rc<Self>, flow: Rc<Flow>, sent: bool, bytes: usize) {
        let row = &self.context.row;
        row.add(Counter::Flows, 1);
        row.add(Counter::FlowsActive, 1);
        flow.member.arm(self.patience());
        self.forwarded(&flow, sent, bytes);
        self.flows.borrow_mut().insert(flow.envelope, Rc::clone(&flow));
        let (here, lost) = (Rc::clone(self), Rc::clone(&flow));
        let panicked = {
            let here = Rc::clone(self);
            move || {
                here.context.row.add(Counter::Panics, 1);
                here.end(&lost, End::Idle);
            }
        };
        spawn(async move { here.answer(&flow).await }, panicked);
    }

    /// Sends the member's datagrams to the client until the flow ends.
    async fn answer(&self, flow: &Flow) {
        loop {
            match flow.member.ready().await {
                Ok(()) => {}
                // Ended already.
                Err(Failure::Closed) => return,
                Err(Failure::TimedOut) => return self.end(flow, End::Idle),
                Err(failure) => return self.end(flow, End::Failed(reasons::connect(failure))),
            }
            let mut buffer = Buffer::take(Size::Large);
            for _ in 0..BATCH {
                buffer.clear();
                match flow.member.recv(&mut buffer) {
                    Ok(true) if self.answered(flow, buffer.data()) => {
                        return self.end(flow, End::Complete);
                    }
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(failure) => {
                        return self.end(flow, End::Failed(reasons::connect(failure)));
                    }
                }
            }
        }
    }

    /// Passes an answer on; true if it was the last one.
    fn answered(&self, flow: &Flow, bytes: &[u8]) -> bool {
        let row = &self.context.row;
        if !flow.answered.replace(true)
            && let Some(lease) = &mut *flow.lease.borrow_mut()
        {
            let took = flow.begun.map_or(Duration::ZERO, |begun| clock::now().since(begun));
            lease.settle(Outcome::Connected { took });
        }
        if matches!(self.socket.send(bytes, &flow.envelope), Ok(true)) {
            flow.sent.set(flow.sent.get() + bytes.len() as u64);
            row.add(Counter::DatagramsOut, 1);
            row.add(Counter::BytesOut, bytes.len() as u64);
        } else {
            row.add(Counter::DatagramsUnsent, 1);
        }
        flow.member.arm(self.patience());
        let left = flow.expected.get().map(|expected| expected.saturating_sub(1));
        flow.expected.set(left);
        left == Some(0)
    }

    /// Ends a flow; the second time nothing happens.
    fn end(&self, flow: &Flow, end: End) {
        let Some(lease) = flow.lease.borrow_mut().take() else { return };
        flow.member.close();
        self.flows.borrow_mut().remove(&flow.envelope);
        let row = &self.context.row;
        row.sub(Counter::FlowsActive, 1);
        let reason = match end {
            End::Failed(reason) => Some(reason),
            // Where answers are expected, silence is a failure.
            End::Idle if flow.expected.get().is_some() && !flow.answered.get() => {
                Some(Reason::ResponseTimeout)
            }
            End::Idle | End::Complete => None,
        };
        if let Some(reason) = reason {
            row.error(reason);
        }
        self.log(flow, &lease, reason);
        if flow.answered.get() {
            // It was told with the first answer.
            if let Some(Outcome::Failed(fault)) = reason.map(|reason| reasons::outcome(reason, 0)) {
                lease.finish(Outcome::Failed(fault));
            }
            return;
        }
        lease.finish(match reason {
            Some(Reason::ResponseTimeout) => Outcome::Failed(Fault::Timeout),
            Some(reason) => reasons::outcome(reason, 0),
            // It took everything in silence, which says nothing of how fast it is.
            None if self.measures() => Outcome::Abandoned,
            None => Outcome::Connected { took: Duration::ZERO },
        });
    }

    fn log(&self, flow: &Flow, lease: &Lease, reason: Option<Reason>) {
        let (Some(log), Some((_, udp))) = (&self.context.access_log, self.rules()) else { return };
        let line = access_log::Relayed {
            listener: self.listener,
            client: flow.envelope.client.ip().to_canonical(),
            pool: Some(udp.pool),
            member: Some(lease.site().address.clone()),
            server_name: b"",
            received: flow.received.get(),
            sent: flow.sent.get(),
            reason,
            took: flow.begun.map_or(Duration::ZERO, |begun| clock::now().since(begun)),
        };
        access_log::relayed(&self.context, log, &line);
    }
}
