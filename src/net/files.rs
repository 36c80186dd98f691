//! Work with files, for a few threads that may wait for a disk, as a worker never does. A worker hands
//! a job over and gets what waits for its result, or hears at once that too many wait already.
//!
//! Jobs of one worker may run side by side: who needs an order waits for the one before the other.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::inbox::{Inbox, Ringer, inbox};
use super::pair::{Either, race};
use super::runtime::sleep;
use crate::stats::{Counter, Row};

/// Threads that work with files.
const THREADS: usize = 4;

/// Jobs of one worker that wait or are at the threads; further ones are refused.
pub const FILE_JOBS_MOST: usize = 256;

type Answer = Box<dyn Any + Send>;
type Work = Box<dyn FnOnce() -> Answer + Send>;

struct Job {
    number: u64,
    work: Work,
    reply: Ringer<Done>,
}

/// What became of a job; `None`: it panicked.
struct Done {
    number: u64,
    answer: Option<Answer>,
}

impl Job {
    fn run(self) {
        let answer = catch_unwind(AssertUnwindSafe(self.work)).ok();
        // There is room for the answers of all jobs. A worker that is gone wants to know nothing.
        _ = self.reply.send(Done { number: self.number, answer });
    }
}

/// The threads, seen from the process. They end with the last worker's [`Files`].
pub struct FileThreads {
    jobs: Sender<Job>,
}

impl fmt::Debug for FileThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileThreads")
    }
}

impl FileThreads {
    /// Starts them, for so many workers.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(workers: usize) -> io::Result<Self> {
        // Each worker has its share, so that one of them cannot fill the line for the others.
        let (jobs, line) = bounded(workers.saturating_mul(FILE_JOBS_MOST));
        for number in 0..THREADS {
            let line: Receiver<Job> = line.clone();
            let thread = std::thread::Builder::new().name(format!("ringway-file-{number}"));
            thread.spawn(move || line.iter().for_each(Job::run))?;
        }
        Ok(Self { jobs })
    }

    /// One worker's part.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn seat(&self) -> io::Result<FileSeat> {
        let (reply, inbox) = inbox(FILE_JOBS_MOST)?;
        Ok(FileSeat { jobs: self.jobs.clone(), reply, inbox })
    }
}

/// A worker's part of the threads, on its way to the worker.
pub struct FileSeat {
    jobs: Sender<Job>,
    reply: Ringer<Done>,
    inbox: Inbox<Done>,
}

impl fmt::Debug for FileSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSeat")
    }
}

/// Why there is no result of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrun {
    /// Too many jobs of this worker wait.
    Busy,
    /// It was not done in time. It may yet be, and what it was given is lost.
    Late,
    /// It failed in a way that it should not fail in.
    Panicked,
}

impl fmt::Display for Unrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many operations on files wait",
            Self::Late => "an operation on a file takes too long",
            Self::Panicked => "an operation on a file panicked",
        })
    }
}

impl std::error::Error for Unrun {}

impl From<Unrun> for io::Error {
    fn from(unrun: Unrun) -> Self {
        Self::other(unrun)
    }
}

/// A job that somebody waits for.
#[derive(Default)]
struct Waited {
    answer: Cell<Option<Option<Answer>>>,
    waker: Cell<Option<Waker>>,
    /// Who waited has given it up.
    late: Cell<bool>,
}

/// One worker's way to the threads.
pub struct Files {
    jobs: Sender<Job>,
    reply: Ringer<Done>,
    inbox: RefCell<Option<Inbox<Done>>>,
    next: Cell<u64>,
    /// By number, those under way: at most [`FILE_JOBS_MOST`].
    waited: RefCell<HashMap<u64, Rc<Waited>>>,
    /// Jobs that were given up and are not done yet.
    late: Cell<usize>,
    /// What is to be dropped as soon as a job may be handed over.
    leftover: RefCell<Vec<Work>>,
    row: Arc<Row>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({} under way)", self.waited.borrow().len())
    }
}

impl Files {
    /// On the worker's own thread. [`Files::serve`] must run, too.
    #[must_use]
    pub fn new(seat: FileSeat, row: Arc<Row>) -> Rc<Self> {
        let FileSeat { jobs, reply, inbox } = seat;
        Rc::new(Self {
            jobs,
            reply,
            inbox: RefCell::new(Some(inbox)),
            next: Cell::new(0),
            waited: RefCell::default(),
            late: Cell::new(0),
            leftover: RefCell::default(),
            row,
        })
    }

    /// Brings results to those who wait, until the process ends.
    pub async fn serve(self: Rc<Self>) {
        let Some(inbox) = self.inbox.take() else { return };
        // It ends with the last sender, of which this is one.
        _ = inbox.serve(|done| self.arrived(done)).await;
    }

    fn arrived(&self, Done { number, answer }: Done) {
        if answer.is_none() {
            self.row.add(Counter::Panics, 1);
        }
        let waited = self.waited.borrow_mut().remove(&number);
        self.row.sub(Counter::FileJobsWaiting, 1);
        if let Some(waited) = waited {
            self.late.set(self.late.get() - usize::from(waited.late.get()));
            waited.answer.set(Some(answer));
            if let Some(waker) = waited.waker.take() {
                waker.wake();
            }
        }
        let left = self.leftover.borrow_mut().pop();
        if let Some(work) = left
            && let Err(work) = self.hand_over(work)
        {
            self.leftover.borrow_mut().push(work);
        }
    }

    /// The work comes back where there is no room for it.
    fn hand_over(&self, work: Work) -> Result<Rc<Waited>, Work> {
        let mut waited = self.waited.borrow_mut();
        if waited.len() >= FILE_JOBS_MOST {
            return Err(work);
        }
        let number = self.next.get();
        let job = Job { number, work, reply: self.reply.clone() };
        self.jobs.try_send(job).map_err(|refused| refused.into_inner().work)?;
        self.next.set(number.wrapping_add(1));
        let one = Rc::<Waited>::default();
        waited.insert(number, Rc::clone(&one));
        self.row.add(Counter::FileJobs, 1);
        self.row.add(Counter::FileJobsWaiting, 1);
        Ok(one)
    }

    /// Whether a job may be handed over now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waited.borrow().len() < FILE_JOBS_MOST
    }

    /// Whether a disk does not answer: a job was given up, and is not done yet.
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        self.late.get() > 0
    }

    /// Hands a job over, which then runs whether or not its result is waited for.
    ///
    /// # Errors
    /// [`Unrun::Busy`]; it is counted.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Pending<T>, Unrun> {
        match self.hand_over(Box::new(move || Box::new(work()) as Answer)) {
            Ok(waited) => Ok(Pending { waited, result: PhantomData }),
            Err(_) => {
                self.row.add(Counter::FileJobsRefused, 1);
                Err(Unrun::Busy)
            }
        }
    }

    /// Hands a job over, and waits for its result, but no longer than `patience`.
    ///
    /// # Errors
    /// There is none.
    pub async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unrun> {
        let mut pending = pin!(self.submit(work)?);
        match race(pending.as_mut(), pin!(sleep(patience))).await {
            Either::First(result) => result,
            Either::Second(()) => {
                pending.waited.late.set(true);
                self.late.set(self.late.get() + 1);
                self.row.add(Counter::FileJobsLate, 1);
                Err(Unrun::Late)
            }
        }
    }

    /// Lets go of something whose end may take the disk a while: a file without a name that is large.
    /// It waits for room where there is none.
    pub fn dispose<T: Send + 'static>(&self, thing: T) {
        let drops = move || {
            drop(thing);
            Box::new(()) as Answer
        };
        if let Err(work) = self.hand_over(Box::new(drops)) {
            // There is none because jobs are under way: each of them looks here when it is done.
            self.leftover.borrow_mut().push(work);
        }
    }
}

/// The result of a job that was handed over. May be dropped: the job runs all the same.
pub struct Pending<T> {
    waited: Rc<Waited>,
    result: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

impl<T: 'static> Future for Pending<T> {
    type Output = Result<T, Unrun>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.waited.answer.take() {
            Some(answer) => {
                let result = answer.and_then(|answer| answer.downcast().ok());
                Poll::Ready(result.map(|result| *result).ok_or(Unrun::Panicked))
            }
            None => {
                self.waited.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::super::driver::Driver;
    use super::super::runtime::{block_on, spawn};
    use super::*;

    /// Longer than any test.
    const AGES: Duration = Duration::from_secs(1000);

    /// Runs `body` on a worker with threads for files.
    fn on_a_worker<F: Future>(body: impl FnOnce(Rc<Files>, Arc<Row>) -> F) {
        let threads = FileThreads::start(1).unwrap();
        let (row, seat) = (Arc::<Row>::default(), threads.seat().unwrap());
        let files = Files::new(seat, Arc::clone(&row));
        let serve = Rc::clone(&files).serve();
        block_on(Driver::Epoll, async move {
            spawn(serve, || ());
            body(files, row).await;
        })
        .unwrap();
    }

    #[test]
    fn jobs_run_elsewhere_and_their_results_come_back() {
        on_a_worker(|files, row| async move {
            let here = thread::current().id();
            let there = files.run(AGES, || thread::current().id()).await.unwrap();
            assert_ne!(here, there);
            let all: Vec<_> = (0..100u32).map(|n| files.submit(move || n * 2).unwrap()).collect();
            for (n, one) in (0..).zip(all) {
                assert_eq!(one.await, Ok(n * 2));
            }
            assert_eq!(row.get(Counter::FileJobs), 101);
            assert_eq!(row.get(Counter::FileJobsWaiting), 0);
        });
    }

    #[test]
    fn who_asks_for_too_much_is_refused_and_what_is_let_go_waits() {
        on_a_worker(|files, row| async move {
            let (go, gate) = bounded::<()>(0);
            let all: Vec<_> = (0..FILE_JOBS_MOST)
                .map(|_| {
                    let gate = gate.clone();
                    files.submit(move || gate.recv().is_err()).unwrap()
                })
                .collect();
            assert_eq!(files.submit(|| ()).err(), Some(Unrun::Busy));
            assert_eq!(row.get(Counter::FileJobsRefused), 1);
            let (told, dropped) = mpsc::channel::<()>();
            files.dispose(told);
            drop(go);
            for one in all {
                assert_eq!(one.await, Ok(true));
            }
            // Behind a job that was handed over later than it.
            files.run(AGES, move || _ = dropped.recv()).await.unwrap();
            assert_eq!(files.run(AGES, || 1).await, Ok(1));
        });
    }

    #[test]
    fn a_job_that_hangs_is_given_up_and_noticed_until_it_is_done() {
        on_a_worker(|files, row| async move {
            let (go, gate) = bounded::<()>(0);
            let hangs = files.run(Duration::from_millis(1), move || gate.recv().is_err());
            assert_eq!(hangs.await, Err(Unrun::Late));
            assert_eq!((row.get(Counter::FileJobsLate), files.is_stuck()), (1, true));
            // Others go on beside it.
            assert_eq!(files.run(AGES, || 1).await, Ok(1));
            assert_eq!(row.get(Counter::FileJobsWaiting), 1);
            drop(go);
            while files.is_stuck() {
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(row.get(Counter::FileJobsWaiting), 0);
        });
    }

    #[test]
    fn a_job_that_panics_is_counted_and_harms_nobody() {
        on_a_worker(|files, row| async move {
            let panics = files.run(AGES, || assert!(std::hint::black_box(false), "of a test"));
            assert_eq!(panics.await, Err(Unrun::Panicked));
            // Nobody waits for it.
            drop(files.submit(|| 1).unwrap());
            assert_eq!(files.run(AGES, || 2).await, Ok(2));
            assert_eq!(row.get(Counter::Panics), 1);
        });
    }
}
