//! One worker's way to the threads that read, and back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::threads::{Brought, Done, Opened, Read, Wanted};
use super::{Disk, READS};
use crate::net::{Either, Inbox, Ringer, inbox, race, sleep};

/// What was read, on its way to one worker: there is never more of it than reads in the queue and at
/// the threads, of which there are fewer than that.
const BROUGHT: usize = READS * 2;

/// How long a request waits for the beginning of an answer. A disk that takes longer is worse than none.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer that has begun waits for more of it.
const PATIENCE_IN_BODY: Duration = Duration::from_secs(10);

/// How long a stream waits for a place in the queue before it tries again, and how often.
const AGAIN: Duration = Duration::from_millis(5);
const TRIES: usize = 2000;

/// A worker's end of the way back.
#[derive(Debug)]
pub struct DiskSeat {
    inbox: Inbox<Done>,
    reply: Ringer<Done>,
}

impl DiskSeat {
    /// A new one, to be taken by one worker.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new() -> io::Result<Self> {
        let (reply, inbox) = inbox(BROUGHT)?;
        Ok(Self { inbox, reply })
    }
}

/// One worker's reads that are under way.
#[derive(Debug)]
pub(in super::super) struct Desk {
    reply: Ringer<Done>,
    inbox: RefCell<Option<Inbox<Done>>>,
    waited: RefCell<HashMap<u64, Rc<Waited>>>,
    next: Cell<u64>,
}

/// Something that somebody waits for.
#[derive(Debug, Default)]
struct Waited {
    done: RefCell<Option<Done>>,
    waker: RefCell<Option<Waker>>,
}

/// Nobody waits any more, whatever the cause.
struct Waiting<'a>(&'a Desk, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waited.borrow_mut().remove(&self.1);
    }
}

impl Desk {
    pub(in super::super) fn new(DiskSeat { inbox, reply }: DiskSeat) -> Self {
        let inbox = RefCell::new(Some(inbox));
        Self { reply, inbox, waited: RefCell::default(), next: Cell::default() }
    }

    /// Brings what was read to those who wait, until the process ends.
    pub(in super::super) async fn serve(&self) {
        let Some(inbox) = self.inbox.take() else { return };
        let arrived = |done: Done| {
            let Some(waited) = self.waited.borrow_mut().remove(&done.ticket) else { return };
            waited.done.replace(Some(done));
            waited.waker.take().into_iter().for_each(Waker::wake);
        };
        // It ends with the last sender, of which this is one.
        _ = inbox.serve(arrived).await;
    }

    /// Reads; the inner `None`: it cannot be had. Else `wanted` itself: too much waits.
    async fn read(&self, disk: &Disk, wanted: Wanted) -> Result<Option<Brought>, Wanted> {
        let ticket = self.next.replace(self.next.get().wrapping_add(1));
        let waited = Rc::<Waited>::default();
        let begins = matches!(wanted, Wanted::Answer { .. });
        let patience = if begins { PATIENCE } else { PATIENCE_IN_BODY };
        let read = Read { wanted, ticket, reply: self.reply.clone() };
        disk.reads.try_send(read).map_err(|back| back.into_inner().wanted)?;
        self.waited.borrow_mut().insert(ticket, Rc::clone(&waited));
        let _waiting = Waiting(self, ticket);
        let done = pin!(poll_fn(|context| match waited.done.take() {
            Some(done) => Poll::Ready(done.brought),
            None => {
                waited.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        }));
        match race(done, pin!(sleep(patience))).await {
            Either::First(brought) => Ok(brought),
            Either::Second(()) => {
                disk.note_slow();
                Ok(None)
            }
        }
    }

    /// Reads an answer; `None`: it cannot be had, or too much waits.
    pub(super) async fn answer(&self, disk: &Disk, wanted: Wanted) -> Option<Brought> {
        match self.read(disk, wanted).await {
            Ok(brought) => brought,
            Err(_) => {
                disk.tally.busy.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                None
            }
        }
    }

    /// Reads a block of an answer under way; `None`: it cannot be had.
    pub(super) async fn block(
        &self,
        disk: &Disk,
        opened: &Arc<Opened>,
        number: u64,
    ) -> Option<Vec<u8>> {
        let mut wanted = Wanted::Block { opened: Arc::clone(opened), number };
        for _ in 0..TRIES {
            match self.read(disk, wanted).await {
                Ok(Some(Brought::Block(block))) => return Some(block),
                Ok(_) => return None,
                // The head is gone already: it waits.
                Err(back) => wanted = back,
            }
            sleep(AGAIN).await;
        }
        None
    }
}
