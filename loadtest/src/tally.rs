//! What one thread counts while it runs, and the sum of all threads.

use crate::failure::Failure;
use crate::slots::{SLOWEST_MICROS, Slots};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Counts of a thread, or of all of them.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Good exchanges.
    pub answers: u64,
    /// Payload bytes of the good exchanges.
    pub bytes: u64,
    /// Connections opened, with those before the start and of the warm-up.
    pub connections: u64,
    /// Bad exchanges.
    pub failures: BTreeMap<Failure, u64>,
    /// Answers by status, good or bad.
    pub statuses: BTreeMap<u16, u64>,
    /// From the moment a request was meant to be sent to its last byte received, in microseconds.
    pub latencies: Histogram<u64>,
    /// The same from the moment it was really sent.
    pub service: Histogram<u64>,
    /// How late the tester itself was where a connection was free.
    pub lag: Histogram<u64>,
    /// How long connecting took.
    pub connects: Histogram<u64>,
    /// How long TLS handshakes took.
    pub handshakes: Histogram<u64>,
    /// Handshakes that went on from an earlier session.
    pub resumed: u64,
    /// Requests whose turn came while every connection was busy.
    pub waited: u64,
    /// The longest that one of them waited.
    pub longest_wait: Duration,
    /// Good and bad exchanges of the warm-up.
    pub warm_up: (u64, u64),
    /// By time.
    pub slots: Slots,
    /// By connection.
    pub by_connection: Vec<Portion>,
    /// By request of the mix.
    pub by_request: Vec<Portion>,
}

/// Counts of one connection, or one request of the mix.
#[derive(Clone, Debug)]
pub struct Portion {
    /// Good exchanges.
    pub answers: u64,
    /// Bad exchanges.
    pub errors: u64,
    /// Latencies of the good ones.
    pub latencies: Option<Histogram<u32>>,
    /// Their sum in microseconds.
    pub micros: u64,
}

/// A good exchange.
#[derive(Clone, Copy, Debug)]
pub struct Good {
    /// Which connection, of this thread.
    pub connection: usize,
    /// Which request of the mix.
    pub request: usize,
    /// Payload bytes.
    pub payload: u64,
    /// Since it was meant to be sent.
    pub latency: Duration,
    /// Since it was sent.
    pub service: Duration,
    /// When it ended, after the start of the measurement.
    pub at: Duration,
}

/// Latencies are kept exact to this many digits.
const DIGITS: u8 = 3;

impl Tally {
    /// An empty one.
    ///
    /// # Errors
    /// None in practice: the bounds of the histograms are constants that they accept.
    pub fn new(connections: usize, requests: usize) -> Result<Self, hdrhistogram::CreationError> {
        let histogram = Histogram::<u64>::new_with_bounds(1, SLOWEST_MICROS, DIGITS)?;
        let small = Histogram::<u32>::new_with_bounds(1, SLOWEST_MICROS, 2)?;
        let portion = |latencies| Portion { answers: 0, errors: 0, latencies, micros: 0 };
        Ok(Self {
            answers: 0,
            bytes: 0,
            connections: 0,
            failures: BTreeMap::new(),
            statuses: BTreeMap::new(),
            latencies: histogram.clone(),
            service: histogram.clone(),
            lag: histogram.clone(),
            connects: histogram.clone(),
            handshakes: histogram,
            resumed: 0,
            waited: 0,
            longest_wait: Duration::ZERO,
            warm_up: (0, 0),
            slots: Slots::default(),
            by_connection: vec![portion(None); connections],
            by_request: vec![portion(Some(small)); requests],
        })
    }

    /// Counts a good exchange.
    pub fn answered(&mut self, good: &Good) {
        let latency = micros(good.latency);
        self.answers += 1;
        self.bytes += good.payload;
        self.latencies.saturating_record(latency);
        self.service.saturating_record(micros(good.service));
        if let Some(slot) = self.slots.at(good.at) {
            slot.answers += 1;
            slot.bytes += good.payload;
            slot.latencies.saturating_record(latency);
        }
        if let Some(portion) = self.by_connection.get_mut(good.connection) {
            portion.answers += 1;
            portion.micros += latency;
        }
        if self.by_request.len() > 1
            && let Some(portion) = self.by_request.get_mut(good.request)
        {
            portion.answers += 1;
            portion.micros += latency;
            if let Some(latencies) = &mut portion.latencies {
                latencies.saturating_record(latency);
            }
        }
    }

    /// Counts a bad exchange, `at` after the start of the measurement.
    pub fn failed(&mut self, failure: Failure, connection: usize, request: usize, at: Duration) {
        *self.failures.entry(failure).or_default() += 1;
        if let Some(slot) = self.slots.at(at) {
            slot.errors += 1;
        }
        if let Some(portion) = self.by_connection.get_mut(connection) {
            portion.errors += 1;
        }
        if let Some(portion) = self.by_request.get_mut(request) {
            portion.errors += 1;
        }
    }

    /// All bad exchanges.
    #[must_use]
    pub fn failure_count(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.bytes += other.bytes;
        self.connections += other.connections;
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        // All are of the same bounds.
        _ = self.latencies.add(&other.latencies);
        _ = self.service.add(&other.service);
        _ = self.lag.add(&other.lag);
        _ = self.connects.add(&other.connects);
        _ = self.handshakes.add(&other.handshakes);
        self.resumed += other.resumed;
        self.waited += other.waited;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.warm_up = (self.warm_up.0 + other.warm_up.0, self.warm_up.1 + other.warm_up.1);
        self.slots.add(other.slots);
        self.by_connection.extend(other.by_connection);
        for (mine, other) in self.by_request.iter_mut().zip(other.by_request) {
            mine.answers += other.answers;
            mine.errors += other.errors;
            mine.micros += other.micros;
            if let (Some(mine), Some(other)) = (&mut mine.latencies, &other.latencies) {
                _ = mine.add(other);
            }
        }
    }
}

/// As histograms count: at least one.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up() {
        let millis = Duration::from_millis;
        let one = |connection, latency| {
            let mut tally = Tally::new(2, 2).unwrap();
            let (latency, service) = (millis(latency), millis(1));
            tally.answered(&Good {
                connection,
                request: 1,
                payload: 7,
                latency,
                service,
                at: millis(150),
            });
            tally.failed(Failure::Cut, 0, 0, millis(20));
            tally
        };
        let mut sum = one(0, 2);
        sum.add(one(1, 4));
        assert_eq!((sum.answers, sum.bytes, sum.failure_count()), (2, 14, 2));
        assert_eq!((sum.latencies.min(), sum.service.max()), (2000, 1000));
        let answers: Vec<_> = sum.by_connection.iter().map(|p| (p.answers, p.errors)).collect();
        assert_eq!(answers, [(1, 1), (0, 0), (0, 1), (1, 0)]);
        assert_eq!((sum.by_request[1].answers, sum.by_request[0].errors), (2, 2));
        let slots: Vec<_> = sum.slots.all().iter().map(|s| (s.answers, s.errors)).collect();
        assert_eq!(slots, [(0, 2), (2, 0)]);
    }
}
