//! The way of a password to a thread that may take its time, and of the verdict back: a worker waits
//! for nobody.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::cache::Digest;
use super::users::Users;
use crate::http::UserPass;
use crate::net::{Inbox, Ringer, inbox};

/// Passwords that wait, of all workers; further ones are refused.
const QUEUE: usize = 256;

/// Verdicts on their way to one worker: there are never more than passwords in the queue and at
/// the threads, of which there are fewer than that.
const VERDICTS: usize = QUEUE * 2;

/// A password to be verified.
#[derive(Debug)]
pub struct Job {
    users: Arc<(u64, Users)>,
    pair: UserPass,
    digest: Digest,
    reply: Ringer<Verdict>,
}

impl Job {
    /// Verifies it, and tells its worker. Slow.
    pub fn run(self) {
        let right = self.users.1.verify(self.pair.user(), self.pair.password());
        // A worker that is gone wants to know nothing.
        _ = self.reply.send(Verdict { digest: self.digest, right });
    }
}

/// Where workers put passwords.
pub type Jobs = Sender<Job>;

/// The two ends of the queue.
#[must_use]
pub fn jobs() -> (Jobs, Receiver<Job>) {
    bounded(QUEUE)
}

/// Whether a password is right.
#[derive(Debug)]
pub(super) struct Verdict {
    digest: Digest,
    right: bool,
}

/// A worker's end of the way back.
#[derive(Debug)]
pub struct Seat {
    inbox: Inbox<Verdict>,
    reply: Ringer<Verdict>,
}

impl Seat {
    /// A new one, to be taken by one worker.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new() -> io::Result<Self> {
        let (reply, inbox) = inbox(VERDICTS)?;
        Ok(Self { inbox, reply })
    }
}

/// One worker's passwords that are being verified.
#[derive(Debug)]
pub(super) struct Desk {
    jobs: Jobs,
    reply: Ringer<Verdict>,
    inbox: RefCell<Option<Inbox<Verdict>>>,
    waited: RefCell<HashMap<Digest, Rc<Waited>>>,
}

/// A verdict that somebody waits for, or several requests with the same password.
#[derive(Debug, Default)]
struct Waited {
    right: Cell<Option<bool>>,
    wakers: RefCell<Vec<Waker>>,
}

impl Desk {
    pub(super) fn new(jobs: Jobs, Seat { inbox, reply }: Seat) -> Self {
        Self { jobs, reply, inbox: RefCell::new(Some(inbox)), waited: RefCell::default() }
    }

    /// Brings verdicts to those who wait, until the process ends.
    pub(super) async fn serve(&self) {
        let Some(inbox) = self.inbox.take() else { return };
        let arrived = |verdict: Verdict| {
            let Some(waited) = self.waited.borrow_mut().remove(&verdict.digest) else { return };
            waited.right.set(Some(verdict.right));
            waited.wakers.take().into_iter().for_each(Waker::wake);
        };
        // It ends with the last sender, of which this is one.
        _ = inbox.serve(arrived).await;
    }

    /// Whether a password is right; `None`: too many wait. The same one that is asked for again
    /// meanwhile is verified once.
    pub(super) async fn verify(
        &self,
        users: &Arc<(u64, Users)>,
        pair: UserPass,
        digest: Digest,
    ) -> Option<bool> {
        let known = self.waited.borrow().get(&digest).cloned();
        let waited = match known {
            Some(waited) => waited,
            None => {
                let (users, reply) = (Arc::clone(users), self.reply.clone());
                self.jobs.try_send(Job { users, pair, digest, reply }).ok()?;
                let waited = Rc::<Waited>::default();
                self.waited.borrow_mut().insert(digest, Rc::clone(&waited));
                waited
            }
        };
        let right = poll_fn(|context| match waited.right.get() {
            Some(right) => Poll::Ready(right),
            None => {
                let mut wakers = waited.wakers.borrow_mut();
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        });
        Some(right.await)
    }
}
