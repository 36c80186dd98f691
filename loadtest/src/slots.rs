//! What happened when: counts and latencies by slots of time, a bounded number of them. When they
//! are used up, each two become one of twice the length.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Counts of one slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Good answers that came in it.
    pub answers: u64,
    /// Exchanges that failed in it.
    pub errors: u64,
    /// Payload of the good answers.
    pub bytes: u64,
    /// Latencies of the good answers, in microseconds.
    pub latencies: Histogram<u32>,
}

/// Slots of equal length since the start of the measurement.
#[derive(Clone, Debug)]
pub struct Slots {
    length: Duration,
    most: usize,
    slots: Vec<Slot>,
}

/// Latencies are kept up to this.
pub const SLOWEST_MICROS: u64 = 600_000_000;
const FIRST_LENGTH: Duration = Duration::from_millis(100);
const MOST: usize = 1200;
const DIGITS: u8 = 2;

impl Slot {
    /// An empty slot.
    ///
    /// # Errors
    /// None in practice: the bounds of the histogram are constants that it accepts.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let latencies = Histogram::new_with_bounds(1, SLOWEST_MICROS, DIGITS)?;
        Ok(Self { answers: 0, errors: 0, bytes: 0, latencies })
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.errors += other.errors;
        self.bytes += other.bytes;
        _ = self.latencies.add(&other.latencies); // of the same bounds
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self { length: FIRST_LENGTH, most: MOST, slots: Vec::new() }
    }
}

impl Slots {
    /// How long a slot is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// All slots, the first at the start.
    #[must_use]
    pub fn all(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of the instant `at` after the start.
    pub fn at(&mut self, at: Duration) -> Option<&mut Slot> {
        let mut index = self.index(at);
        while index >= self.most {
            self.widen();
            index = self.index(at);
        }
        while self.slots.len() <= index {
            self.slots.push(Slot::new().ok()?);
        }
        self.slots.get_mut(index)
    }

    fn index(&self, at: Duration) -> usize {
        usize::try_from(at.as_nanos() / self.length.as_nanos()).unwrap_or(usize::MAX)
    }

    fn widen(&mut self) {
        self.length *= 2;
        let mut kept = Vec::with_capacity(self.slots.len() / 2 + 1);
        for slot in self.slots.drain(..).enumerate() {
            match (slot.0 % 2, kept.last_mut()) {
                (1, Some(last)) => Slot::add(last, &slot.1),
                _ => kept.push(slot.1),
            }
        }
        self.slots = kept;
    }

    /// Adds what another thread counted over the same time.
    pub fn add(&mut self, mut other: Self) {
        while self.length < other.length {
            self.widen();
        }
        while other.length < self.length {
            other.widen();
        }
        for (index, slot) in other.slots.iter().enumerate() {
            if let Some(mine) = self.at(self.length * u32::try_from(index).unwrap_or(u32::MAX)) {
                mine.add(slot);
            }
        }
    }

    /// What happened from `from` to `to`, to a slot's length.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Option<Slot> {
        let mut sum = Slot::new().ok()?;
        let nanos = self.length.as_nanos();
        // A slot belongs to the window if its middle does.
        let first = usize::try_from((from.as_nanos() + nanos / 2) / nanos).ok()?;
        let last = usize::try_from((to.as_nanos() + nanos / 2) / nanos).ok()?;
        for slot in self.slots.iter().take(last).skip(first) {
            sum.add(slot);
        }
        Some(sum)
    }

    /// The same in longer slots, of about `length`.
    #[must_use]
    pub fn coarse(&self, length: Duration) -> Self {
        let mut coarse = self.clone();
        let times = (length.as_nanos() / self.length.as_nanos()).max(1);
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        coarse.length = self.length * u32::try_from(times).unwrap_or(u32::MAX);
        coarse.slots = self
            .slots
            .chunks(times)
            .filter_map(|chunk| {
                let mut sum = Slot::new().ok()?;
                chunk.iter().for_each(|slot| sum.add(slot));
                Some(sum)
            })
            .collect();
        coarse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(slots: &Slots) -> Vec<u64> {
        slots.all().iter().map(|slot| slot.answers).collect()
    }

    fn count(slots: &mut Slots, millis: u64) {
        let slot = slots.at(Duration::from_millis(millis)).unwrap();
        slot.answers += 1;
        slot.latencies.saturating_record(millis.max(1));
    }

    #[test]
    fn slots_widen_and_lose_nothing() {
        let mut slots = Slots { most: 4, ..Slots::default() };
        for millis in [0, 99, 100, 350, 399] {
            count(&mut slots, millis);
        }
        assert_eq!(answers(&slots), [2, 1, 0, 2]);
        count(&mut slots, 500);
        assert_eq!((slots.length().as_millis(), answers(&slots)), (200, vec![3, 2, 1]));
        let mut other = Slots { most: 4, ..Slots::default() };
        count(&mut other, 250);
        slots.add(other);
        assert_eq!(answers(&slots), [3, 3, 1]);
        assert_eq!(slots.all()[1].latencies.len(), 3);
    }

    #[test]
    fn windows_and_coarser_slots() {
        let mut slots = Slots::default();
        for millis in (0..1000).step_by(50) {
            count(&mut slots, millis);
        }
        let window = |from, to| {
            let millis = Duration::from_millis;
            slots.between(millis(from), millis(to)).unwrap().answers
        };
        assert_eq!(window(0, 1000), 20);
        assert_eq!(window(200, 400), 4);
        assert_eq!(window(260, 400), 2);
        assert_eq!(window(900, 5000), 2);
        assert_eq!(answers(&slots.coarse(Duration::from_millis(300))), [6, 6, 6, 2]);
    }
}
