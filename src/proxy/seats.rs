//! How many connections, or requests, each client has now, exact over all workers.

use std::hash::Hasher;

use super::keyed::{Keyed, Seat, Step};

/// Bits of a number that count; those above tell one use of a place from the next.
const COUNT: u64 = 0xFFFF_FFFF;

/// What clients have.
#[derive(Debug)]
pub(super) struct Seats {
    most: u32,
    table: Keyed,
}

/// A client that has as many as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Seats {
    /// `most` for each of so many clients.
    pub(super) fn new(most: u32, clients: usize) -> Self {
        Self { most, table: Keyed::new(clients) }
    }

    /// The hash of what `write` puts in.
    pub(super) fn key(&self, write: impl FnOnce(&mut dyn Hasher)) -> u64 {
        self.table.hash(write)
    }

    /// One more for a client; to be given back by [`Seats::leave`].
    pub(super) fn enter(&self, key: u64) -> Result<Seat, Full> {
        let counted =
            self.table.change(key, |number| number & COUNT == 0, |number| self.step(number));
        let counted = counted.ok_or(Full)?;
        counted.result.then_some(counted.seat).ok_or(Full)
    }

    /// One less.
    pub(super) fn leave(&self, seat: Seat) {
        self.table.leave(seat);
    }

    fn step(&self, number: u64) -> Step<bool> {
        let count = number & COUNT;
        let use_of_place =
            if count == 0 { (number & !COUNT).wrapping_add(COUNT + 1) } else { number & !COUNT };
        if count >= u64::from(self.most) {
            return Step { next: None, result: false };
        }
        Step { next: Some(use_of_place | (count + 1)), result: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_count() {
        let seats = Seats::new(2, 100);
        let (one, other) = (seats.key(|h| h.write_u8(1)), seats.key(|h| h.write_u8(2)));
        let first = seats.enter(one).unwrap();
        let second = seats.enter(one).unwrap();
        assert_eq!(seats.enter(one), Err(Full));
        let third = seats.enter(other).unwrap();
        seats.leave(first);
        seats.enter(one).unwrap();
        assert_eq!(seats.enter(one), Err(Full));
        seats.leave(second);
        seats.leave(third);
        assert!(seats.enter(other).is_ok() && seats.enter(one).is_ok());
    }

    #[test]
    fn who_finds_no_room_shares_a_count() {
        let seats = Seats::new(3, 1);
        let keys: Vec<_> = (0..20).map(|n| seats.key(|h| h.write_u8(n))).collect();
        // One set: seven places, and one count for the other thirteen.
        let entered: Vec<_> = keys.iter().filter_map(|key| seats.enter(*key).ok()).collect();
        assert_eq!(entered.len(), 7 + 3);
        assert_eq!(entered.iter().filter(|seat| seat.is_spare()).count(), 3);
        entered.into_iter().for_each(|seat| seats.leave(seat));
        // All of it was given back.
        for key in keys {
            let seat = seats.enter(key).unwrap();
            assert!(!seat.is_spare());
            seats.leave(seat);
        }
    }
}
