//! The table of numbers by key: all interleavings of small worlds, and threads that run free.

use std::sync::atomic;

use super::*;
use crate::balancer::interleave::explore;
use crate::proxy::seats::Seats;
use crate::rng::Rng;

/// Counts up to `most`; never free before it was given back.
fn up_to(most: u64) -> impl Fn(u64) -> Step<bool> {
    move |number| {
        let next = (number < most).then_some(number + 1);
        Step { next, result: next.is_some() }
    }
}

#[test]
fn a_set_has_as_many_places_as_were_said() {
    assert_eq!(size_of::<Set>(), 128);
    assert_eq!(Keyed::new(0).sets.len(), 1);
    assert_eq!(Keyed::new(65_536).sets.len(), 32_768);
    let table = Keyed::new(1000);
    // A key is found again wherever its set is.
    for n in 0..1000u64 {
        let key = table.hash(|h| h.write_u64(n));
        let first = table.change(key, |number| number == 0, up_to(9)).unwrap();
        let second = table.change(key, |number| number == 0, up_to(9)).unwrap();
        assert_eq!(first.seat, second.seat);
    }
    // The ends of the range of hashes have a set, too.
    for key in [1, u64::MAX] {
        assert!(table.change(key, |number| number == 0, up_to(9)).is_some());
    }
}

#[test]
fn few_keys_find_no_place() {
    let table = Keyed::new(10_000);
    let spare = (0..10_000u64).filter(|n| {
        let key = table.hash(|h| h.write_u64(*n));
        table.change(key, |number| number == 0, up_to(9)).unwrap().seat.is_spare()
    });
    let spare = spare.count();
    assert!(spare < 40, "{spare} of 10,000");
}

/// Two workers bring the same key at once, while all places but one are taken: it has one place, or
/// waits so long for the other that it takes the spare number.
#[test]
fn a_key_has_one_place_in_all_orders() {
    let orders = explore(
        2,
        3,
        || {
            let table = Keyed::new(1);
            for key in 2..2 + WAYS as u64 - 1 {
                assert!(table.change(key, |number| number == 0, up_to(1)).unwrap().result);
            }
            table
        },
        |table, _, _| {
            assert!(table.change(1, |number| number == 0, up_to(9)).unwrap().result);
        },
        |table| {
            let set = &table.sets[0];
            let of_key = set.places.iter().filter(|p| p.key.load(Ordering::SeqCst) == 1);
            let numbers: Vec<_> = of_key.map(|p| p.number.load(Ordering::SeqCst)).collect();
            let spare = set.spare.load(Ordering::SeqCst);
            assert_eq!(numbers.len(), 1, "{numbers:?}");
            assert_eq!(numbers[0] + spare, 2);
            assert_eq!(set.lock.load(Ordering::SeqCst), 0);
        },
    );
    assert!(orders > 50, "{orders}");
}

/// A place falls free and is wanted by another key, while its own key comes back: each of them is counted
/// where it sits, and nobody on another's number.
#[test]
fn a_place_changes_hands_in_all_orders() {
    let orders = explore(
        2,
        3,
        || {
            let seats = Seats::new(1, 1);
            // All places taken; the last one is given back.
            let taken: Vec<_> = (1..=WAYS as u64).map(|key| seats.enter(key).unwrap()).collect();
            seats.leave(taken[WAYS - 1]);
            (seats, [const { atomic::AtomicU64::new(0) }; 2])
        },
        |(seats, entered), _, me| {
            // The one whose place it was, and a stranger: one of them gets it, one the spare number.
            let key = WAYS as u64 + me as u64;
            if let Ok(seat) = seats.enter(key) {
                entered[me].store(1 + u64::from(seat.is_spare()), Ordering::SeqCst);
                seats.leave(seat);
                // What was given back can be had again.
                let again = seats.enter(key);
                entered[me].fetch_add(if again.is_ok() { 10 } else { 0 }, Ordering::SeqCst);
                again.into_iter().for_each(|seat| seats.leave(seat));
            }
        },
        |(seats, entered)| {
            let entered = entered.each_ref().map(|cell| cell.load(Ordering::SeqCst));
            // Both were let in somewhere at first: a place and a spare number are there for two.
            assert!(entered.iter().all(|how| *how % 10 > 0), "{entered:?}");
            // Nothing is left of them.
            for key in 100..101 {
                assert!(!seats.enter(key).unwrap().is_spare());
            }
            assert!(seats.enter(200).unwrap().is_spare());
        },
    );
    assert!(orders > 100, "{orders}");
}

/// Threads that run free: no key ever has more than it may, and everything is given back.
#[test]
fn no_client_has_more_than_it_may() {
    const MOST: u32 = 3;
    const CLIENTS: usize = 24;
    let seats = Seats::new(MOST, 8);
    let now: Vec<atomic::AtomicU32> = (0..CLIENTS).map(|_| atomic::AtomicU32::new(0)).collect();
    let keys: Vec<u64> = (0..CLIENTS as u64).map(|n| seats.key(|h| h.write_u64(n))).collect();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (seats, now, keys) = (&seats, &now, &keys);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                let mut held = Vec::new();
                for _ in 0..20_000 {
                    let client = rng.below(CLIENTS as u64) as usize;
                    if rng.below(2) == 0 {
                        if let Ok(seat) = seats.enter(keys[client]) {
                            let others = now[client].fetch_add(1, Ordering::SeqCst);
                            assert!(others < MOST || seat.is_spare(), "{others}");
                            held.push((client, seat));
                        }
                    } else if !held.is_empty() {
                        let at = rng.below(held.len() as u64) as usize;
                        let (client, seat) = held.swap_remove(at);
                        now[client].fetch_sub(1, Ordering::SeqCst);
                        seats.leave(seat);
                    }
                }
                held.into_iter().for_each(|(client, seat)| {
                    now[client].fetch_sub(1, Ordering::SeqCst);
                    seats.leave(seat);
                });
            });
        }
    });
    for key in &keys {
        let all: Vec<_> = std::iter::from_fn(|| seats.enter(*key).ok()).collect();
        assert_eq!(all.len(), MOST as usize);
        all.into_iter().for_each(|seat| seats.leave(seat));
    }
}
