//! A steady load: clients that each ask again as soon as they have their answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Client, eventually};

/// Between two requests of one client: what makes the load steady, and leaves others some of the
/// machine.
const PACE: Duration = Duration::from_millis(1);

/// Requests of one client at the most.
const MOST: usize = 100_000;

/// Clients at work. Every answer must be a 200.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<Vec<AtomicUsize>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many clients that send `request`, over and over.
    pub(crate) fn start(address: SocketAddr, clients: usize, request: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let done: Arc<Vec<AtomicUsize>> = Arc::new((0..clients).map(|_| 0.into()).collect());
        let work = |index: usize| {
            let (stop, done, request) = (Arc::clone(&stop), Arc::clone(&done), request.to_owned());
            thread::spawn(move || work(address, &request, &stop, &done[index]))
        };
        let threads = (0..clients).map(work).collect();
        Load { stop, done, threads }
    }

    /// Answers so far.
    pub(crate) fn answers(&self) -> usize {
        self.done.iter().map(|done| done.load(Ordering::SeqCst)).sum()
    }

    /// Waits for so many answers more.
    #[track_caller]
    pub(crate) fn pass(&self, count: usize) {
        let target = self.answers() + count;
        eventually("the load goes on", || {
            self.check();
            self.answers() >= target
        });
    }

    /// Waits until every request that is under way has its answer.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let counts = || self.done.iter().map(|done| done.load(Ordering::SeqCst));
        let before: Vec<_> = counts().collect();
        eventually("every client goes on", || {
            self.check();
            counts().zip(&before).all(|(now, before)| now > before + 1)
        });
    }

    /// Fails the test as soon as a client has failed.
    #[track_caller]
    pub(crate) fn check(&self) {
        let ended = self.threads.iter().any(JoinHandle::is_finished);
        assert!(!ended, "a client saw an error");
    }

    /// Ends it; fails the test if a client saw an error. The answers.
    #[track_caller]
    pub(crate) fn stop(self) -> usize {
        self.check();
        self.stop.store(true, Ordering::SeqCst);
        let answers = self.answers();
        for thread in self.threads {
            thread.join().expect("a client saw an error");
        }
        answers
    }
}

fn work(address: SocketAddr, request: &str, stop: &AtomicBool, done: &AtomicUsize) {
    let mut client = Client::connect(address);
    for _ in 0..MOST {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let answer = client.ask(request);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        done.fetch_add(1, Ordering::SeqCst);
        thread::sleep(PACE);
        if answer.head.closes() {
            client = Client::connect(address);
        }
    }
    panic!("the test does not end within {MOST} requests");
}
