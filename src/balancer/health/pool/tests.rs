//! The rules of a whole pool: who may be ejected, trials, outliers.

use std::time::Duration;

use proptest::prelude::*;

use super::super::evidence::ProbeFailure;
use super::super::member::tests::config;
use super::super::transition::Phase;
use super::*;
use crate::balancer::{Fault, SharedPools};
use crate::config::{Comparison, MemberState, SuccessRateConfig};
use crate::ids::WorkerId;

const RESET: Outcome = Outcome::Failed(Fault::Reset);
const REFUSED: ProbeResult = Err(ProbeFailure::Refused);

fn pool(weights: &[u16], max_share: u8) -> (PoolHealth, Arc<Availability>) {
    let availability = Arc::new(Availability::new(weights.len()));
    let config = config(weights, max_share);
    let pool = PoolHealth::new(&config, Arc::clone(&availability), at(0));
    (pool, availability)
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

/// How many members are ejected when each has failed often enough, in order.
fn ejected(weights: &[u16], max_share: u8) -> usize {
    let (mut pool, _) = pool(weights, max_share);
    let weighty = (0..weights.len()).filter(|member| weights[*member] > 0);
    for member in weighty.map(|member| MemberId(member as u16)) {
        for _ in 0..2 {
            pool.on_outcome(at(0), member, RESET, false);
        }
        pool.check_invariants();
    }
    pool.ejected.len()
}

#[test]
fn a_share_may_be_ejected_and_never_the_last() {
    let cases: [(&[u16], u8, usize); 10] = [
        (&[1], 100, 0),
        (&[1, 1], 50, 1),
        (&[1, 1], 100, 1),
        (&[1, 1, 1], 50, 1),
        (&[1, 1, 1], 10, 1),
        (&[1, 1, 1], 0, 1),
        (&[1; 10], 50, 5),
        (&[1; 10], 100, 9),
        // Members without a weight get nothing, so they are nobody's replacement.
        (&[1, 0], 100, 0),
        (&[1, 1, 0, 0], 100, 1),
    ];
    for (weights, share, expected) in cases {
        assert_eq!(ejected(weights, share), expected, "{weights:?} {share}");
    }
}

#[test]
fn a_member_is_kept_while_the_others_are_out_by_their_probes() {
    let (mut pool, all) = pool(&[1, 1], 50);
    for _ in 0..2 {
        pool.on_probe(at(0), MemberId(0), REFUSED);
        pool.on_outcome(at(0), MemberId(1), RESET, false);
    }
    assert_eq!(all.standing(MemberId(0)), Standing::Out);
    assert_eq!(pool.on_outcome(at(1), MemberId(1), RESET, false), Verdict::Spared);
    assert_eq!((pool.available(), pool.not_in()), (1, 1));
    pool.on_probe(at(2), MemberId(0), Ok(()));
    pool.on_probe(at(4), MemberId(0), Ok(()));
    assert!(matches!(pool.on_outcome(at(5), MemberId(1), RESET, false), Verdict::Moved(_)));
    assert_eq!(all.standing(MemberId(1)), Standing::Out);
    pool.check_invariants();
}

#[test]
fn a_trial_is_one_request_of_the_host_and_a_lost_one_is_offered_again() {
    let (mut pool, all) = pool(&[1, 1], 50);
    let first = MemberId(0);
    for _ in 0..2 {
        pool.on_outcome(at(0), first, RESET, false);
    }
    assert_eq!(pool.due(), Some(at(5)));
    let mut moved = 0;
    pool.on_time(at(5), |_, _| moved += 1);
    assert_eq!((moved, all.standing(first)), (1, Standing::Trial));
    assert!(all.take_trial(first));
    // Twice connect and response: 22 s.
    let mut second = 5;
    while !all.trial_is_free(first) {
        second += 1;
        assert_eq!(pool.due(), Some(at(second)));
        pool.on_time(at(second), |_, _| panic!("no change"));
    }
    assert_eq!(second, 6 + 22);
    assert!(all.take_trial(first));
    let answered = Outcome::Answered { status: 200, first_byte: Duration::ZERO };
    assert!(matches!(pool.on_outcome(at(30), first, answered, true), Verdict::Moved(_)));
    assert_eq!((all.standing(first), all.back_since(first)), (Standing::In, Some(at(30))));
    assert_eq!(pool.due(), None);
    pool.check_invariants();
}

#[test]
fn a_trial_stays_the_only_one_if_probes_take_the_member_out_and_in_meanwhile() {
    let (mut pool, all) = pool(&[1, 1], 50);
    let first = MemberId(0);
    for _ in 0..2 {
        pool.on_outcome(at(0), first, RESET, false);
    }
    pool.on_time(at(5), |_, _| ());
    assert!(all.take_trial(first));
    for (result, standing) in [(REFUSED, Standing::Out), (Ok(()), Standing::Trial)] {
        for _ in 0..2 {
            pool.on_probe(at(5), first, result);
        }
        assert_eq!((all.standing(first), all.trial_is_free(first)), (standing, false));
    }
    // It fails, and the next one begins anew.
    pool.on_outcome(at(6), first, RESET, true);
    pool.on_time(at(16), |_, _| ());
    assert_eq!((all.standing(first), all.trial_is_free(first)), (Standing::Trial, true));
}

#[test]
fn members_that_begin_down_are_published_so() {
    let mut config = config(&[1, 1], 50);
    config.health.as_mut().unwrap().start_down = true;
    let all = Arc::new(Availability::new(2));
    let mut pool = PoolHealth::new(&config, Arc::clone(&all), at(0));
    assert_eq!((all.standing(MemberId(0)), pool.available()), (Standing::Out, 0));
    for second in 1..3 {
        pool.on_probe(at(second), MemberId(0), Ok(()));
    }
    assert_eq!((all.standing(MemberId(0)), pool.available()), (Standing::In, 1));
    pool.check_invariants();
}

#[test]
fn members_begin_as_the_file_wants_them() {
    let mut config = config(&[1, 1, 1], 50);
    config.members[1].state = MemberState::Drain;
    config.members[2].state = MemberState::Maintenance;
    let all = Arc::new(Availability::new(3));
    let mut pool = PoolHealth::new(&config, Arc::clone(&all), at(0));
    let standings = || [0, 1, 2].map(|member| all.standing(MemberId(member)));
    assert_eq!(standings(), [Standing::In, Standing::Drain, Standing::Out]);
    assert_eq!((pool.available(), pool.not_in()), (1, 2));
    for member in 1..3 {
        assert!(pool.administer(at(1), MemberId(member), Admin::Ready).is_some());
    }
    assert_eq!((standings(), pool.available()), ([Standing::In; 3], 3));
    pool.check_invariants();
}

/// A pool that compares shares of failures each second.
fn comparing(weights: &[u16], max_share: u8) -> (PoolHealth, Arc<Records>) {
    let mut config = config(weights, max_share);
    let compare = Comparison { interval: Duration::from_secs(1), requests: 10, members: 2 };
    let eject = config.eject.as_mut().unwrap();
    eject.success_rate = Some(SuccessRateConfig { compare, worse_by: 20 });
    let shared = SharedPools::new(std::slice::from_ref(&config), 1);
    let (availability, records) = (shared.availability(), shared.records().remove(0));
    let pool = PoolHealth::new(&config, Arc::clone(&availability[0]), at(0));
    (pool.with_records(Arc::clone(&records)), records)
}

#[test]
fn outliers_go_out_and_what_they_did_before_does_not_follow_them() {
    let (mut pool, records) = comparing(&[1, 1, 1], 50);
    let add = |failures: usize| {
        for n in 0..30 {
            records.add(WorkerId(0), MemberId(0), n < failures);
            (1..3).for_each(|member| records.add(WorkerId(0), MemberId(member), false));
        }
    };
    let verdicts = |pool: &mut PoolHealth, seconds| {
        let mut verdicts = Vec::new();
        pool.on_time(at(seconds), |member, verdict| verdicts.push((member.0, verdict)));
        pool.check_invariants();
        verdicts
    };
    add(10);
    assert_eq!(pool.due(), Some(at(1)));
    let found = verdicts(&mut pool, 1);
    let [(0, Verdict::Moved(moved))] = found[..] else { panic!("{found:?}") };
    let cause = "10 of 30 requests within 1s failed (33.3 %), 0.0 % of the others' (median)";
    assert_eq!((moved.to, moved.cause.to_string()), (Phase::Ejected, cause.to_owned()));
    // It was sent requests before all workers knew.
    add(30);
    for seconds in 2..6 {
        assert_eq!(verdicts(&mut pool, seconds), []);
    }
    let moved = verdicts(&mut pool, 6);
    assert!(matches!(moved[..], [(0, Verdict::Moved(_))]), "on trial: {moved:?}");
    let answered = Outcome::Answered { status: 200, first_byte: Duration::ZERO };
    pool.on_outcome(at(6), MemberId(0), answered, true);
    assert_eq!(verdicts(&mut pool, 7), [], "what it did before counts no more");
    add(10);
    assert!(matches!(verdicts(&mut pool, 8)[..], [(0, Verdict::Moved(_))]));
    // For twice as long.
    assert_eq!(pool.member(MemberId(0)).unwrap().due(), Some(at(18)));
}

proptest! {
    #[test]
    fn of_outliers_a_share_and_never_the_last(
        weights in proptest::collection::vec(0u16..3, 2..6),
        share in 0u8..=100,
        rounds in proptest::collection::vec((0u16..6, 0u32..=20, 0u8..6), 0..200),
    ) {
        let (mut pool, records) = comparing(&weights, share);
        for (second, (member, failures, what)) in (1..).zip(rounds) {
            match what {
                0 => drop(pool.on_probe(at(second), MemberId(member), REFUSED)),
                1 => drop(pool.administer(at(second), MemberId(member), Admin::Drain)),
                2 => drop(pool.administer(at(second), MemberId(member), Admin::Ready)),
                _ => {
                    for id in 0..weights.len() as u16 {
                        let failures = if id == member { failures } else { 0 };
                        (0..20).for_each(|n| records.add(WorkerId(0), MemberId(id), n < failures));
                    }
                }
            }
            let before = pool.ejected.len();
            pool.on_time(at(second), |_, _| ());
            pool.check_invariants();
            if pool.ejected.len() > before {
                prop_assert!(pool.available() > 0, "the last one was ejected");
            }
        }
    }

    #[test]
    fn what_workers_read_is_what_the_members_are(
        weights in proptest::collection::vec(0u16..3, 1..6),
        share in 0u8..=100,
        steps in proptest::collection::vec((0u64..3, 0u16..6, 0u8..10), 0..300),
    ) {
        let (mut pool, all) = pool(&weights, share);
        let mut now = 0;
        for (gap, member, what) in steps {
            now += gap;
            let member = MemberId(member);
            let before = pool.ejected.len();
            match what {
                0 | 1 => drop(pool.on_probe(at(now), member, Ok(()))),
                2 => drop(pool.on_probe(at(now), member, REFUSED)),
                3 => drop(pool.administer(at(now), member, Admin::Ready)),
                4 => drop(pool.administer(at(now), member, Admin::Drain)),
                5 => drop(pool.administer(at(now), member, Admin::Maintenance)),
                6 => pool.on_time(at(now), |_, _| ()),
                7 => drop(all.take_trial(member)),
                8 => drop(pool.on_outcome(at(now), member, RESET, true)),
                _ => drop(pool.on_outcome(at(now), member, RESET, false)),
            }
            pool.check_invariants();
            if pool.ejected.len() > before {
                prop_assert!(pool.available() > 0, "the last one was ejected");
            }
        }
    }
}
