//! When the requests of an open loop are meant to be sent. Pure: a function of the request's number.
//! The time at which a request is really sent plays no part: that keeps coordinated omission out.

use crate::rng::Rng;
use crate::units::Rate;
use std::time::Duration;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    Even,
    /// By chance, as from many independent clients (a Poisson process of the same rate).
    Poisson,
}

/// The intended times of one thread's share of the requests.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate: Rate,
    /// How long a ramp takes; also where the schedule ends.
    length: f64,
    /// This thread takes each `of`-th request, beginning with number `index`.
    index: u64,
    of: u64,
    next: u64,
    upcoming: Option<Duration>,
    limit: u64,
    random: Option<Rng>,
    /// Expected arrivals up to the last one, if they come by chance.
    passed: f64,
}

impl Schedule {
    /// The share of thread `index` (of `of`) in requests at `rate` for `length`, at most `limit` over all.
    #[must_use]
    pub fn new(rate: Rate, length: Duration, (index, of): (u64, u64), limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let (length, passed) = (length.as_secs_f64(), 0.0);
        Self {
            rate,
            length,
            index,
            of: of.max(1),
            next: 0,
            upcoming: None,
            limit,
            random: None,
            passed,
        }
    }

    /// The same with arrivals by chance, of this seed.
    #[must_use]
    pub fn poisson(mut self, seed: u64) -> Self {
        self.random = Some(Rng::new(seed));
        self
    }

    /// The next request's intended time after the start; `None` after the last.
    pub fn peek(&mut self) -> Option<Duration> {
        if self.upcoming.is_none() {
            self.upcoming = self.compute();
        }
        self.upcoming
    }

    /// Goes on to the request after it.
    pub fn advance(&mut self) {
        self.upcoming = None;
    }

    fn compute(&mut self) -> Option<Duration> {
        let number = self.next.checked_mul(self.of)?.checked_add(self.index)?;
        if number >= self.limit {
            return None;
        }
        self.next += 1;
        let expected = match &mut self.random {
            None => number as f64,
            Some(rng) => {
                self.passed += -(1.0 - rng.unit()).ln() * self.of as f64;
                self.passed
            }
        };
        let at = self.time_of(expected)?;
        if at >= self.length {
            self.limit = 0; // no later one is earlier
            return None;
        }
        Some(Duration::from_secs_f64(at))
    }

    /// When the number of arrivals reaches `expected`: the inverse of `from t + (to - from) t² / 2 length`.
    fn time_of(&self, expected: f64) -> Option<f64> {
        let Rate { from, to } = self.rate;
        let slope = (to - from) / self.length;
        if slope.abs() < 1e-12 {
            return Some(expected / from);
        }
        let root = from * from + 2.0 * slope * expected;
        // The form that loses no digits where `from` is large and the slope small.
        (root >= 0.0).then(|| 2.0 * expected / (from + root.sqrt()).max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut schedule: Schedule) -> Vec<f64> {
        let next = || {
            let at = schedule.peek();
            schedule.advance();
            at
        };
        std::iter::from_fn(next).map(|at| at.as_secs_f64()).collect()
    }

    fn schedule(rate: &str, seconds: u64, part: (u64, u64), limit: Option<u64>) -> Schedule {
        Schedule::new(rate.parse().unwrap(), Duration::from_secs(seconds), part, limit)
    }

    #[test]
    fn a_constant_rate_is_even() {
        let times = all(schedule("1000", 2, (0, 1), None));
        assert_eq!(times.len(), 2000);
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.001).abs() < 1e-6));
        assert_eq!(all(schedule("1000", 2, (0, 1), Some(10))).len(), 10);
    }

    #[test]
    fn threads_share_the_schedule_of_one() {
        let whole = all(schedule("100..300", 2, (0, 1), Some(350)));
        let mut parts: Vec<f64> =
            (0..3).flat_map(|index| all(schedule("100..300", 2, (index, 3), Some(350)))).collect();
        parts.sort_by(f64::total_cmp);
        assert_eq!(parts, whole);
    }

    #[test]
    fn a_ramp_speeds_up_or_slows_down() {
        for (rate, first_half) in [("0..1000", 0.25), ("1000..0", 0.75), ("1000..3000", 0.375)] {
            let times = all(schedule(rate, 10, (0, 1), None));
            let mean = if rate == "1000..3000" { 2000.0 } else { 500.0 };
            assert!((times.len() as f64 - mean * 10.0).abs() <= 2.0, "{rate}: {}", times.len());
            assert!(times.is_sorted(), "{rate}");
            let early = times.iter().filter(|at| **at < 5.0).count() as f64 / times.len() as f64;
            assert!((early - first_half).abs() < 0.01, "{rate}: {early}");
        }
    }

    #[test]
    fn chance_keeps_the_rate() {
        let times: Vec<f64> = (0..2)
            .flat_map(|index| all(schedule("1000", 20, (index, 2), None).poisson(index + 5)))
            .collect();
        assert!((19_000..21_000).contains(&times.len()), "{}", times.len());
    }
}
