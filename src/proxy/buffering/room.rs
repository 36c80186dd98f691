//! What all bodies together may take, over all workers: bytes of memory and of disk, counted exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::config::BuffersConfig;

/// Ticks between two lines in the log on a disk that fails, which every body may find out: 10 s.
const TELL_EVERY: u32 = 100;

/// The room of the process.
#[derive(Debug)]
pub(super) struct Room {
    memory: Tally,
    disk: Tally,
    /// The tick, and one, at which the log was told last that the disk fails; 0: never.
    told: AtomicU32,
}

/// Bytes that are taken, and may be.
#[derive(Debug)]
struct Tally {
    taken: AtomicU64,
    most: u64,
}

/// Which room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Memory,
    Disk,
}

impl Tally {
    const fn new(most: u64) -> Self {
        Self { taken: AtomicU64::new(0), most }
    }

    fn take(&self, bytes: u64) -> bool {
        let grown = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.most);
        // Nothing else is told by the number, so no order is needed.
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }
}

impl Room {
    pub(super) const fn new(config: &BuffersConfig) -> Self {
        let (memory, disk) = (Tally::new(config.memory), Tally::new(config.disk));
        Self { memory, disk, told: AtomicU32::new(0) }
    }

    /// Whether the log may be told now that the disk fails.
    pub(super) fn may_tell(&self, tick: u32) -> bool {
        let (now, told) = (tick.saturating_add(1), self.told.load(Ordering::Relaxed));
        let due = told == 0 || now.saturating_sub(told) >= TELL_EVERY;
        // Of several at once one does.
        let swap =
            |told| self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed);
        due && swap(told).is_ok()
    }

    const fn tally(&self, of: Of) -> &Tally {
        match of {
            Of::Memory => &self.memory,
            Of::Disk => &self.disk,
        }
    }

    /// Bytes of memory and of disk that are taken now.
    pub(super) fn taken(&self) -> (u64, u64) {
        let taken = |tally: &Tally| tally.taken.load(Ordering::Relaxed);
        (taken(&self.memory), taken(&self.disk))
    }
}

/// Some of the room, until dropped.
#[derive(Debug)]
pub(super) struct Charge {
    room: Arc<Room>,
    of: Of,
    bytes: AtomicU64,
}

impl Charge {
    /// Of nothing yet.
    pub(super) fn none(room: &Arc<Room>, of: Of) -> Self {
        Self { room: Arc::clone(room), of, bytes: AtomicU64::new(0) }
    }

    /// Takes more of the room; false: there is not so much left.
    pub(super) fn grow(&self, bytes: u64) -> bool {
        let taken = self.room.tally(self.of).take(bytes);
        self.bytes.fetch_add(if taken { bytes } else { 0 }, Ordering::Relaxed);
        taken
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.tally(self.of).taken.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(memory: u64, disk: u64) -> Arc<Room> {
        Arc::new(Room::new(&BuffersConfig { folder: None, memory, disk }))
    }

    #[test]
    fn what_is_taken_is_given_back() {
        let room = room(100, 10);
        let (first, second) = (Charge::none(&room, Of::Memory), Charge::none(&room, Of::Memory));
        assert!(first.grow(60) && !second.grow(41) && second.grow(40) && !second.grow(1));
        assert_eq!((first.bytes(), second.bytes(), room.taken()), (60, 40, (100, 0)));
        drop(first);
        assert!(second.grow(60) && !second.grow(u64::MAX));
        let disk = Charge::none(&room, Of::Disk);
        assert!(!disk.grow(11) && disk.grow(10));
        assert_eq!(room.taken(), (100, 10));
        drop((second, disk));
        assert_eq!(room.taken(), (0, 0));
    }

    #[test]
    fn the_log_is_told_now_and_then() {
        let room = room(0, 0);
        let told: Vec<_> = (0..250).filter(|tick| room.may_tell(*tick)).collect();
        assert_eq!(told, [0, 100, 200]);
        // Workers' ticks are not quite the same.
        assert!(!room.may_tell(199));
    }

    #[test]
    fn no_more_is_taken_than_there_is_by_however_many() {
        let room = room(1000, 0);
        let most = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut most = 0;
                        for _ in 0..10_000 {
                            let charge = Charge::none(&room, Of::Memory);
                            let _taken = charge.grow(300);
                            most = most.max(room.taken().0);
                        }
                        most
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).max()
        });
        assert!(most.unwrap() <= 1000, "{most:?}");
        assert_eq!(room.taken(), (0, 0));
    }
}
