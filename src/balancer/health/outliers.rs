//! Members that are much worse than the others: by how many of their requests fail, by how long they
//! take. Looked at once in an interval, from counts of the whole host.
//!
//! Two rules, each with an interval of its own. A member is compared with the median of the others,
//! so what troubles all of them ejects nobody. Only members that are in, with enough requests in the
//! interval, are compared, and only if there are enough of them. Whether the pool can do without the
//! member is the caller's to say.

use std::time::Duration;

use super::transition::Cause;
use crate::balancer::Count;
use crate::clock::Instant;
use crate::config::{Comparison, EjectConfig, LatencyConfig, SuccessRateConfig};
use crate::ids::MemberId;

/// By which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    SuccessRate,
    Latency,
}

/// A member that a rule is to eject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) member: MemberId,
    pub(super) rule: Rule,
    /// Times in a row that the rule has ejected it before.
    pub(super) repeats: u32,
    pub(super) cause: Cause,
}

/// What one rule remembers of one member.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// Its counts when the interval began.
    before: Count,
    /// Intervals in a row in which it was worse than the rule allows.
    in_a_row: u32,
    /// Times in a row that the rule ejected it.
    repeats: u32,
}

/// What the rules have in common: an interval, and what is remembered from one to the next.
#[derive(Clone, Debug)]
struct Watch {
    rule: Comparison,
    next: Instant,
    members: Vec<Memory>,
}

impl Watch {
    fn new(rule: Comparison, members: usize, now: Instant) -> Self {
        Self { rule, next: now.after(rule.interval), members: vec![Memory::default(); members] }
    }

    /// If the interval is over: the members that had enough requests in it, with the measure that
    /// `measure` takes of each, the worst first; too few of them are none. Begins the next one.
    fn close(
        &mut self,
        now: Instant,
        look: &impl Fn(MemberId) -> Option<(Count, Option<u32>)>,
        measure: impl Fn(Count, Option<u32>) -> Option<u32>,
    ) -> Vec<Measured> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now.after(self.rule.interval);
        let mut measured = Vec::new();
        for (member, memory) in (0u16..).map(MemberId).zip(&mut self.members) {
            let mut value = None;
            if let Some((count, micros)) = look(member) {
                let count = count.since(std::mem::replace(&mut memory.before, count));
                let enough = count.requests >= self.rule.requests;
                value = measure(count, micros).filter(|_| enough);
                measured.extend(value.map(|value| Measured { member, value, count }));
            }
            if value.is_none() {
                memory.in_a_row = 0;
            }
        }
        if measured.len() < self.rule.members as usize {
            // Nobody was compared.
            self.members.iter_mut().for_each(|memory| memory.in_a_row = 0);
            measured.clear();
        }
        measured.sort_by_key(|one| std::cmp::Reverse(one.value));
        measured
    }

    /// Notes whether the member was worse than allowed; for how many intervals in a row now.
    fn note(&mut self, member: MemberId, worse: bool) -> u32 {
        let Some(memory) = self.members.get_mut(member.index()) else { return 0 };
        memory.in_a_row = if worse { memory.in_a_row.saturating_add(1) } else { 0 };
        if !worse {
            memory.repeats = 0;
        }
        memory.in_a_row
    }

    fn repeats(&self, member: MemberId) -> u32 {
        self.members.get(member.index()).map_or(0, |memory| memory.repeats)
    }
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    member: MemberId,
    value: u32,
    count: Count,
}

/// The median of the others than the one at `but`, of a sorted list; of an even number the mean of
/// the two in the middle.
fn median_of_others(sorted: &[Measured], but: usize) -> u32 {
    let others = sorted.len().saturating_sub(1);
    let value = |at: usize| {
        let at = if at < but { at } else { at + 1 };
        sorted.get(at).map_or(0, |one| u64::from(one.value))
    };
    let (lower, upper) = (others.saturating_sub(1) / 2, others / 2);
    u32::try_from((value(lower) + value(upper)) / 2).unwrap_or(u32::MAX)
}

/// A part of 10,000.
fn share(count: Count) -> Option<u32> {
    let share = u64::from(count.failures) * 10_000;
    u32::try_from(share.checked_div(u64::from(count.requests))?).ok()
}

/// The rules of one pool that compare its members.
#[derive(Clone, Debug, Default)]
pub(super) struct Outliers {
    success_rate: Option<(SuccessRateConfig, Watch)>,
    latency: Option<(LatencyConfig, Watch)>,
}

impl Outliers {
    pub(super) fn new(eject: Option<&EjectConfig>, members: usize, now: Instant) -> Self {
        let Some(eject) = eject else { return Self::default() };
        let success_rate = eject.success_rate.map(|rule| (rule, rule.compare));
        let latency = eject.latency.map(|rule| (rule, rule.compare));
        Self {
            success_rate: success_rate.map(|(rule, it)| (rule, Watch::new(it, members, now))),
            latency: latency.map(|(rule, it)| (rule, Watch::new(it, members, now))),
        }
    }

    /// A place has another member, of which nothing is known. `count`: what is counted there now.
    pub(super) fn forget(&mut self, member: MemberId, count: Count) {
        for (_, watch) in self.watches() {
            if let Some(memory) = watch.members.get_mut(member.index()) {
                *memory = Memory { before: count, ..Memory::default() };
            }
        }
    }

    fn watches(&mut self) -> impl Iterator<Item = (Rule, &mut Watch)> {
        let success_rate = self.success_rate.iter_mut().map(|(_, it)| (Rule::SuccessRate, it));
        success_rate.chain(self.latency.iter_mut().map(|(_, it)| (Rule::Latency, it)))
    }

    /// When the next interval is over; `None`: there are no rules.
    pub(super) fn due(&self) -> Option<Instant> {
        let success_rate = self.success_rate.as_ref().map(|(_, watch)| watch.next);
        success_rate.into_iter().chain(self.latency.as_ref().map(|(_, watch)| watch.next)).min()
    }

    /// The member came in, or went: what it did before counts no more.
    pub(super) fn restart(&mut self, member: MemberId, count: Count) {
        for (_, watch) in self.watches() {
            if let Some(memory) = watch.members.get_mut(member.index()) {
                (memory.before, memory.in_a_row) = (count, 0);
            }
        }
    }

    /// The rule has ejected the member.
    pub(super) fn ejected(&mut self, found: &Found) {
        for (_, watch) in self.watches().filter(|(rule, _)| *rule == found.rule) {
            if let Some(memory) = watch.members.get_mut(found.member.index()) {
                memory.repeats = memory.repeats.saturating_add(1);
            }
        }
    }

    /// Those that the rules are to eject whose interval is over, the worst first. `look` tells a
    /// member's counts so far and its median latency, of one that is in.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        look: impl Fn(MemberId) -> Option<(Count, Option<u32>)>,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some((rule, watch)) = &mut self.success_rate {
            let sorted = watch.close(now, &look, |count, _| share(count));
            for (at, one) in sorted.iter().enumerate() {
                let others = median_of_others(&sorted, at);
                let worse = one.value >= others.saturating_add(u32::from(rule.worse_by) * 100);
                // No share is worse by nothing.
                let worse = worse && one.value > others;
                if watch.note(one.member, worse) > 0 {
                    let Count { requests, failures } = one.count;
                    let within = watch.rule.interval;
                    let cause = Cause::FailureShare { failures, requests, within, others };
                    let repeats = watch.repeats(one.member);
                    found.push(Found {
                        member: one.member,
                        rule: Rule::SuccessRate,
                        repeats,
                        cause,
                    });
                }
            }
        }
        if let Some((rule, watch)) = &mut self.latency {
            let sorted = watch.close(now, &look, |_, micros| micros);
            for (at, one) in sorted.iter().enumerate() {
                let others = median_of_others(&sorted, at);
                let worse = one.value > others.saturating_mul(rule.factor)
                    && Duration::from_micros(u64::from(one.value)) >= rule.least;
                if watch.note(one.member, worse) >= rule.intervals {
                    let (took, intervals) = (one.value, rule.intervals);
                    let every = watch.rule.interval;
                    let cause = Cause::Slow { took, others, intervals, every };
                    let repeats = watch.repeats(one.member);
                    found.push(Found { member: one.member, rule: Rule::Latency, repeats, cause });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Requests, failures, microseconds of each member.
    type Round<'a> = &'a [(u32, u32, u32)];

    fn compare() -> Comparison {
        Comparison { interval: Duration::from_secs(10), requests: 100, members: 3 }
    }

    fn success_rate(worse_by: u8) -> Outliers {
        let rule = SuccessRateConfig { compare: compare(), worse_by };
        let watch = Watch::new(rule.compare, 8, at(0));
        Outliers { success_rate: Some((rule, watch)), latency: None }
    }

    fn latency() -> Outliers {
        let least = Duration::from_millis(50);
        let rule = LatencyConfig { compare: compare(), factor: 3, intervals: 2, least };
        let watch = Watch::new(rule.compare, 8, at(0));
        Outliers { success_rate: None, latency: Some((rule, watch)) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * SECOND)
    }

    /// What is seen of the members: requests, failures, microseconds; those not listed are out.
    fn judge(rules: &mut Outliers, seconds: u64, seen: &[(u32, u32, u32)]) -> Vec<u16> {
        let found = rules.judge(at(seconds), |member| {
            let (requests, failures, micros) = *seen.get(member.index())?;
            Some((Count { requests, failures }, (micros > 0).then_some(micros)))
        });
        found.iter().map(|found| found.member.0).collect()
    }

    #[test]
    fn who_fails_more_than_the_others_by_so_many_points_is_found() {
        let cases: [(Round<'_>, &[u16]); 9] = [
            (&[(100, 20, 0), (100, 0, 0), (100, 0, 0)], &[0]),
            (&[(100, 19, 0), (100, 0, 0), (100, 0, 0)], &[]),
            // The worst first.
            (&[(100, 30, 0), (100, 0, 0), (100, 40, 0), (100, 0, 0), (100, 0, 0)], &[2, 0]),
            // All are bad.
            (&[(100, 90, 0), (100, 80, 0), (100, 85, 0)], &[]),
            // The median of the others, not their mean: one dead one hides no other.
            (&[(100, 25, 0), (100, 100, 0), (100, 0, 0), (100, 0, 0)], &[1, 0]),
            // Of an even number of others the mean of those in the middle: 5 %.
            (&[(100, 25, 0), (100, 0, 0), (100, 10, 0)], &[0]),
            (&[(100, 24, 0), (100, 0, 0), (100, 10, 0)], &[]),
            // Too few requests; too few members with enough.
            (&[(99, 99, 0), (100, 0, 0), (100, 0, 0)], &[]),
            (&[(100, 99, 0), (100, 0, 0), (99, 0, 0)], &[]),
        ];
        for (seen, expected) in cases {
            assert_eq!(judge(&mut success_rate(20), 10, seen), expected, "{seen:?}");
        }
        // No share is worse by nothing.
        assert_eq!(judge(&mut success_rate(0), 10, &[(100, 1, 0); 3]), [0u16; 0]);
    }

    #[test]
    fn each_interval_counts_for_itself() {
        let mut rules = success_rate(20);
        let (a, b) = ((1000, 20, 0), (1000, 0, 0));
        assert_eq!(judge(&mut rules, 9, &[(1000, 1000, 0), b, b]), [0u16; 0], "too early");
        assert_eq!(rules.due(), Some(at(10)));
        assert_eq!(judge(&mut rules, 10, &[a, b, b]), [0u16; 0]);
        assert_eq!(rules.due(), Some(at(20)));
        let later = [(1100, 40, 0), (1100, 0, 0), (1100, 0, 0)];
        assert_eq!(judge(&mut rules, 20, &later), [0]);
        // Nothing new.
        assert_eq!(judge(&mut rules, 30, &later), [0u16; 0]);
        // What came before it was in again counts no more.
        rules.restart(MemberId(0), Count { requests: 1200, failures: 140 });
        let end = [(1300, 140, 0), (1200, 0, 0), (1200, 0, 0)];
        assert_eq!(judge(&mut rules, 40, &end), [0u16; 0]);
    }

    #[test]
    fn who_is_ejected_again_and_again_is_known_to_be() {
        let mut rules = success_rate(20);
        let mut requests = 0;
        let mut repeats = |bad: bool, seconds: u64| {
            requests += 100;
            let failures = if bad { requests } else { 0 };
            let look = |member: MemberId| {
                let failures = if member.0 == 0 { failures } else { 0 };
                (member.0 < 3).then_some((Count { requests, failures }, None))
            };
            let found = rules.judge(at(seconds), look);
            found.iter().for_each(|found| rules.ejected(found));
            rules
                .restart(MemberId(0), Count { requests, failures: if bad { 0 } else { failures } });
            found.first().map(|found| found.repeats)
        };
        assert_eq!([10, 20, 30].map(|at| repeats(true, at)), [Some(0), Some(1), Some(2)]);
        assert_eq!(repeats(false, 40), None);
        assert_eq!(repeats(true, 50), Some(0));
    }

    #[test]
    fn who_is_slower_than_the_others_for_some_intervals_in_a_row_is_found() {
        let rows = |round: u32, micros: [u32; 3]| micros.map(|micros| (round * 100, 0, micros));
        let slow = [300_001, 100_000, 100_000];
        let cases: [(&[[u32; 3]], &[usize]); 6] = [
            (&[slow, slow, slow], &[1, 2]),
            (&[slow, [300_000, 100_000, 100_000], slow, slow], &[3]),
            (&[slow, [0, 100_000, 100_000], slow, slow], &[3]),
            // Faster than `least`, however fast the others are.
            (&[[49_999, 10, 10], [49_999, 10, 10]], &[]),
            (&[[50_000, 10, 10], [50_000, 10, 10]], &[1]),
            (&[[300_001, 100_000, 500_000], [300_001, 100_000, 500_000]], &[]),
        ];
        for (rounds, expected) in cases {
            let mut rules = latency();
            let mut found = Vec::new();
            for (at, micros) in rounds.iter().enumerate() {
                let seen = rows(at as u32 + 1, *micros);
                if !judge(&mut rules, 10 * (at as u64 + 1), &seen).is_empty() {
                    found.push(at);
                }
            }
            assert_eq!(found, expected, "{rounds:?}");
        }
    }

    proptest! {
        /// Against the median taken of a list made anew.
        #[test]
        fn the_median_of_the_others(values in proptest::collection::vec(0u32..1000, 2..12)) {
            let mut values = values;
            values.sort_unstable_by(|a, b| b.cmp(a));
            let member = MemberId(0);
            let one = |value: &u32| Measured { member, value: *value, count: Count::default() };
            let measured: Vec<_> = values.iter().map(one).collect();
            for but in 0..values.len() {
                let mut others = values.clone();
                others.remove(but);
                let middle = others.len() / 2;
                let naive = match others.len() % 2 {
                    0 => (others[middle - 1] + others[middle]) / 2,
                    _ => others[middle],
                };
                prop_assert_eq!(median_of_others(&measured, but), naive);
            }
        }

        /// Against a twin that takes every median anew; and somebody is always left.
        #[test]
        fn equals_its_naive_twin(
            shares in proptest::collection::vec(0u32..=100, 3..8), worse_by in 0u8..=100,
        ) {
            let seen: Vec<_> = shares.iter().map(|share| (100, *share, 0)).collect();
            let mut found = judge(&mut success_rate(worse_by), 10, &seen);
            found.sort_unstable();
            let is_worse = |at: &u16| {
                let mut others = shares.clone();
                let own = others.remove(usize::from(*at));
                others.sort_unstable();
                let twice = others[(others.len() - 1) / 2] + others[others.len() / 2];
                2 * own > twice && 2 * own >= twice + 2 * u32::from(worse_by)
            };
            let expected: Vec<u16> = (0..shares.len() as u16).filter(is_worse).collect();
            prop_assert!(expected.len() < shares.len());
            prop_assert_eq!(found, expected);
        }
    }
}
