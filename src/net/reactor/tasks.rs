//! The tasks of a thread, and the line of those that can run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

use super::REACTOR;

/// What a task is.
pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The key of the future that the loop runs for; no task has it.
pub(super) const MAIN: u64 = u64::MAX;

static IDS: AtomicU64 = AtomicU64::new(1);

/// An identity for a loop.
pub(super) fn next_id() -> u64 {
    IDS.fetch_add(1, Ordering::Relaxed)
}

/// Bytes of a task that are fetched ahead, and in what steps.
const PREFETCHED: usize = 2304;
const CACHE_LINE: usize = 64;

/// Who wakes a task: puts it into line, once.
struct Bell {
    /// Of which loop the task is.
    home: u64,
    key: u64,
    /// It stands in line. Only the home thread writes it while its loop runs.
    queued: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // While the thread ends there is no line any more.
        _ = REACTOR.try_with(|reactor| {
            if reactor.id.get() != self.home {
                // Of a loop that has ended. Other threads have no wakers of ours: they ring an inbox.
                return;
            }
            if !self.queued.load(Ordering::Relaxed) {
                self.queued.store(true, Ordering::Relaxed);
                reactor.ready.push(self.key);
            }
        });
    }
}

/// The waker of the future that the loop runs for.
pub(super) struct MainWaker {
    bell: Arc<Bell>,
    waker: Waker,
}

pub(super) fn main_waker(home: u64) -> MainWaker {
    let bell = Arc::new(Bell { home, key: MAIN, queued: AtomicBool::new(false) });
    MainWaker { waker: Waker::from(Arc::clone(&bell)), bell }
}

impl MainWaker {
    pub(super) fn wake_by_ref(&self) {
        self.waker.wake_by_ref();
    }

    /// It has left the line.
    pub(super) fn is_taken(&self) {
        self.bell.queued.store(false, Ordering::Relaxed);
    }

    pub(super) const fn as_ref(&self) -> &Waker {
        &self.waker
    }
}

/// The line of tasks that can run, first come first served.
pub(super) struct Ready(RefCell<VecDeque<u64>>);

impl Ready {
    pub(super) const fn new() -> Self {
        Self(RefCell::new(VecDeque::new()))
    }

    pub(super) fn push(&self, key: u64) {
        self.0.borrow_mut().push_back(key);
    }

    pub(super) fn pop(&self) -> Option<u64> {
        self.0.borrow_mut().pop_front()
    }

    /// Whose turn comes next.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.borrow().front().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// A place for a task.
struct Slot {
    /// How many tasks had it before: a key of one of those is of no use.
    generation: u32,
    /// Not here while it runs.
    task: Option<(Task, Waker)>,
    bell: Option<Arc<Bell>>,
}

/// All tasks of a thread.
pub(super) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

const fn key_of(index: u32, generation: u32) -> u64 {
    (generation as u64) << 32 | index as u64
}

impl Tasks {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Takes a task in; its key. It is taken to stand in line.
    pub(super) fn add(&mut self, home: u64, task: Task) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, task: None, bell: None });
            // Below `u32::MAX` of `MAIN`: a task takes more than a byte.
            (self.slots.len() - 1) as u32
        });
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        let key = key_of(index, generation);
        let bell = Arc::new(Bell { home, key, queued: AtomicBool::new(true) });
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.task = Some((task, Waker::from(Arc::clone(&bell))));
            slot.bell = Some(bell);
        }
        key
    }

    fn slot(&mut self, key: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key as u32 as usize)?;
        (slot.generation == (key >> 32) as u32).then_some(slot)
    }

    /// Lets the processor fetch what a task consists of, which will run soon: of hundreds of them most
    /// is not in its caches.
    pub(super) fn prefetch(&self, key: u64) {
        // Should another task have that place by now, it is fetched for nothing.
        let slot = self.slots.get(key as u32 as usize);
        let Some((task, _)) = slot.and_then(|slot| slot.task.as_ref()) else { return };
        let (at, bytes) = (std::ptr::from_ref(&**task).cast::<u8>(), size_of_val(&**task));
        for line in (0..bytes.min(PREFETCHED)).step_by(CACHE_LINE) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: it reads nothing as far as the program can tell, from within the task or not.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch(at.wrapping_add(line).cast(), _MM_HINT_T0);
            }
        }
    }

    /// Takes a task out so that it can run; it has left the line.
    pub(super) fn take(&mut self, key: u64) -> Option<(Task, Waker)> {
        let slot = self.slot(key)?;
        slot.bell.as_ref()?.queued.store(false, Ordering::Relaxed);
        slot.task.take()
    }

    /// Puts it back until it is woken.
    pub(super) fn put_back(&mut self, key: u64, task: Task, waker: Waker) {
        if let Some(slot) = self.slot(key) {
            slot.task = Some((task, waker));
        }
    }

    /// Gives the place of a task that has ended to another one.
    pub(super) fn end(&mut self, key: u64) {
        if let Some(slot) = self.slot(key) {
            slot.bell = None;
            // After as many tasks as there are numbers a late wake may meet another task, which then
            // runs for nothing.
            slot.generation = slot.generation.wrapping_add(1) & (u32::MAX >> 1);
            self.free.push(key as u32);
        }
    }

    /// Places that there are, taken or not.
    #[cfg(test)]
    pub(super) const fn places(&self) -> usize {
        self.slots.len()
    }

    /// Takes out any task that is left, for good.
    pub(super) fn take_any(&mut self) -> Option<(Task, Waker)> {
        while let Some(mut slot) = self.slots.pop() {
            if let Some(task) = slot.task.take() {
                return Some(task);
            }
        }
        self.free.clear();
        None
    }
}
