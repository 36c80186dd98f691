//! An answer that is taken in as fast as its member sends it, and sent on as fast as its client reads.
//! What lies between is in memory, then on disk; where neither has room the member waits.
//!
//! In order: the pieces in memory, what is on disk, the last bytes. As long as something is on disk,
//! what comes goes there, too.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::super::answer::send_to_client;
use super::super::deliver::Lost;
use super::super::exchange::{Ask, Facts};
use super::count_full;
use super::memory::{Full, LARGE, Memory, Piece};
use super::spill::{NoSpill, Spill};
use crate::config::BodyRoom;
use crate::http::{Framing, ResponseHead, may_be_buffered};
use crate::net::{Buffer, Either, race};
use crate::stats::{Counter, Reason, Row};

/// What a client has not got yet of an answer, as it will be sent.
#[derive(Debug)]
pub(in super::super) struct Hold {
    memory: RefCell<Memory>,
    spill: Option<Spill>,
    /// The end of the answer, for which no room is asked.
    last: RefCell<Buffer>,
    complete: Cell<bool>,
    /// Something came in.
    used: Cell<bool>,
    /// There was no room for all of it.
    over: Cell<bool>,
    came: Signal,
    went: Signal,
    row: Arc<Row>,
}

/// Something that one half of a task waits for, and the other one does.
#[derive(Default)]
struct Signal {
    times: Cell<u32>,
    waker: Cell<Option<Waker>>,
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.times.get())
    }
}

impl Signal {
    fn give(&self) {
        self.times.set(self.times.get().wrapping_add(1));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until it was given more often than `times`.
    async fn after(&self, times: u32) {
        poll_fn(|context| {
            if self.times.get() != times {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// What is to be sent next.
enum Next {
    Piece(Piece),
    Read(Buffer),
}

/// A place for an answer; `None`: it is sent on as it comes.
pub(in super::super) fn hold(
    ask: &Ask<'_>,
    room: BodyRoom,
    head: &ResponseHead,
    framing: Framing,
    received: &Buffer,
) -> Option<Rc<Hold>> {
    let hand = ask.context.buffers()?;
    let has_come = match framing {
        Framing::None => true,
        Framing::Length(length) => length <= received.len() as u64,
        Framing::Chunked | Framing::UntilClose => false,
    };
    if has_come || !may_be_buffered(head) {
        return None;
    }
    Some(Rc::new(Hold::new(hand.memory(room, LARGE), hand.spill(room), &hand.row)))
}

impl Hold {
    fn new(memory: Memory, spill: Option<Spill>, row: &Arc<Row>) -> Self {
        Self {
            memory: RefCell::new(memory),
            spill,
            last: RefCell::default(),
            complete: Cell::new(false),
            used: Cell::new(false),
            over: Cell::new(false),
            came: Signal::default(),
            went: Signal::default(),
            row: Arc::clone(row),
        }
    }

    fn on_disk(&self) -> u64 {
        self.spill.as_ref().map_or(0, Spill::len)
    }

    /// Bytes that the client has still to be sent.
    fn len(&self) -> u64 {
        self.memory.borrow().len() + self.on_disk() + self.last.borrow().len() as u64
    }

    /// Takes all of `out`, and waits where there is no room for it.
    pub(in super::super) async fn put(&self, out: &mut Buffer) -> Result<(), Reason> {
        while !out.is_empty() {
            self.used.set(true);
            let went = self.went.times.get();
            let mut full = self.to_memory(out);
            if full.is_some() && self.spill.is_some() {
                full = self.to_disk(out).await?;
            }
            match full {
                None => self.came.give(),
                Some(full) => {
                    if !self.over.replace(true) {
                        count_full(&self.row, Counter::AnswersOver, full);
                    }
                    self.went.after(went).await;
                }
            }
        }
        Ok(())
    }

    /// Takes some of `out`, unless there is no room.
    fn to_memory(&self, out: &mut Buffer) -> Option<Full> {
        if self.on_disk() > 0 {
            return Some(Full::Body);
        }
        let mut memory = self.memory.borrow_mut();
        let (taken, full) = match memory.append(out.data()) {
            Ok(()) => (out.len(), Full::Body),
            Err((0, full)) => (memory.hand_over(out.data()), full),
            Err(partly) => partly,
        };
        out.consume(taken);
        (taken == 0).then_some(full)
    }

    async fn to_disk(&self, out: &mut Buffer) -> Result<Option<Full>, Reason> {
        let Some(spill) = &self.spill else { return Ok(Some(Full::Body)) };
        match spill.write(out).await {
            Ok(()) => Ok(None),
            Err(NoSpill::Full(full)) => Ok(Some(full)),
            Err(NoSpill::Failed) => Ok(Some(Full::Body)),
            Err(NoSpill::Lost(reason)) => Err(reason),
        }
    }

    /// The member has sent all; `out` has the last bytes. False: it has all of the answer, of which
    /// nothing was put in before.
    pub(in super::super) fn end(&self, out: &mut Buffer) -> bool {
        if !self.used.get() {
            return false;
        }
        self.last.replace(std::mem::take(out));
        self.complete.set(true);
        self.came.give();
        self.row.add(Counter::AnswersBuffered, 1);
        true
    }

    /// What the client is sent next; `None`: it has been sent all.
    async fn next(&self) -> Result<Option<Next>, Reason> {
        loop {
            let came = self.came.times.get();
            if let Some(piece) = self.memory.borrow_mut().pop() {
                return Ok(Some(Next::Piece(piece)));
            }
            if let Some(spill) = self.spill.as_ref().filter(|spill| spill.len() > 0) {
                let read = spill.read(spill.start()).await?;
                spill.consume(read.len() as u64);
                return Ok(Some(Next::Read(read)));
            }
            if self.complete.get() {
                let last = self.last.take();
                return Ok((!last.is_empty()).then_some(Next::Read(last)));
            }
            self.came.after(came).await;
        }
    }

    /// This has been sent: its room is free, and the member may go on.
    fn sent(&self, next: Next) {
        drop(next);
        self.memory.borrow_mut().dropped();
        self.went.give();
    }

    /// Sends all to the client.
    async fn drain(self: Rc<Self>, ask: &Ask<'_>, facts: &Facts) -> Result<(), Reason> {
        while let Some(mut next) = self.next().await? {
            let (Next::Piece(Piece { buffer, .. }) | Next::Read(buffer)) = &mut next;
            facts.begun.set(true);
            if let Err(reason) = send_to_client(ask, buffer).await {
                let unsent = self.len() + buffer.len() as u64;
                facts.sent.set(facts.sent.get().saturating_sub(unsent));
                return Err(reason);
            }
            self.sent(next);
        }
        Ok(())
    }
}

/// The way of what is left of an answer to its client, when the member is free already.
pub(in super::super) struct Rest<'a>(Pin<Box<dyn Future<Output = Result<(), Reason>> + 'a>>);

impl fmt::Debug for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest")
    }
}

impl Rest<'_> {
    pub(in super::super) async fn send(self) -> Result<(), Reason> {
        self.0.await
    }
}

/// Sends an answer on while `fill` puts it in; what is left to be sent behind `fill` is returned.
pub(in super::super) async fn relay<'a>(
    hold: &Rc<Hold>,
    ask: &'a Ask<'a>,
    facts: &'a Facts,
    fill: impl Future<Output = Result<(), Lost>>,
) -> Result<Rest<'a>, Lost> {
    let mut drain = Box::pin(Rc::clone(hold).drain(ask, facts));
    let mut fill = pin!(fill);
    match race(fill.as_mut(), drain.as_mut()).await {
        Either::First(Ok(())) => Ok(Rest(drain)),
        Either::First(Err(lost)) => Err(lost),
        Either::Second(Err(reason)) => Err(reason.into()),
        // It waits for the end, of which it is told behind `fill`.
        Either::Second(Ok(())) => Err(Reason::Internal.into()),
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
