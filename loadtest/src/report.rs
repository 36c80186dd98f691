//! What a run found: answers, errors by kind, latencies; as text and as JSON.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Why an exchange was not a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The request could not be sent.
    Send,
    /// The connection was reset while the answer was awaited.
    Reset,
    /// The connection was closed before the answer began.
    Closed,
    /// The connection was closed within the answer.
    Cut,
    /// What came is no HTTP/1 response, or its chunks are broken.
    Malformed,
    /// Another status than expected.
    Status,
    /// Another body length than expected.
    Length,
    /// Nothing came in time.
    Timeout,
}

impl Failure {
    /// The word for it in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Status => "status",
            Self::Length => "length",
            Self::Timeout => "timeout",
        }
    }
}

/// Counts of a run.
#[derive(Debug)]
pub struct Report {
    /// Good exchanges.
    pub answers: u64,
    /// Payload bytes of the good exchanges.
    pub bytes: u64,
    /// Connections opened.
    pub connections: u64,
    /// Bad exchanges.
    pub failures: BTreeMap<Failure, u64>,
    /// From the first byte sent to the last received, of the good exchanges, in microseconds.
    pub latencies: Histogram<u64>,
    /// From the start to the last answer.
    pub elapsed: Duration,
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
/// Latencies are kept exact to this many digits, up to `SLOWEST_MICROS`.
const DIGITS: u8 = 3;
const SLOWEST_MICROS: u64 = 600_000_000;

impl Report {
    /// An empty report.
    ///
    /// # Errors
    /// None in practice: the bounds of the histogram are constants that it accepts.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            answers: 0,
            bytes: 0,
            connections: 0,
            failures: BTreeMap::new(),
            latencies: Histogram::new_with_bounds(1, SLOWEST_MICROS, DIGITS)?,
            elapsed: Duration::ZERO,
        })
    }

    /// Counts a good exchange.
    pub fn answered(&mut self, payload: u64, latency: Duration) {
        self.answers += 1;
        self.bytes += payload;
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros.max(1));
    }

    /// Counts a bad exchange.
    pub fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    /// All bad exchanges.
    #[must_use]
    pub fn failure_count(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Good exchanges per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} answers in {:.2} s over {} connections, {:.0} per second, {} body bytes\n",
            self.answers,
            self.elapsed.as_secs_f64(),
            self.connections,
            self.rate(),
            self.bytes
        );
        out.push_str("latency us ");
        for (name, micros) in self.quantiles() {
            _ = write!(out, " {name} {micros}");
        }
        _ = write!(out, "\nerrors      {}", self.failure_count());
        for (failure, count) in &self.failures {
            _ = write!(out, "  {} {count}", failure.name());
        }
        out
    }

    /// For programs: one object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let list = |items: Vec<(&str, u64)>| {
            let items: Vec<_> = items.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
            format!("{{{}}}", items.join(","))
        };
        format!(
            "{{\"answers\":{},\"errors\":{},\"connections\":{},\"bytes\":{},\"seconds\":{:.6},\
             \"per_second\":{:.1},\"latency_us\":{},\"errors_by_kind\":{}}}",
            self.answers,
            self.failure_count(),
            self.connections,
            self.bytes,
            self.elapsed.as_secs_f64(),
            self.rate(),
            list(self.quantiles()),
            list(self.failures.iter().map(|(kind, count)| (kind.name(), *count)).collect()),
        )
    }

    fn quantiles(&self) -> Vec<(&'static str, u64)> {
        let at = |(name, q): (&'static str, f64)| (name, self.latencies.value_at_quantile(q));
        QUANTILES.into_iter().map(at).chain([("max", self.latencies.max())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_well() {
        let mut report = Report::new().unwrap();
        for micros in 1..=1000 {
            report.answered(10, Duration::from_micros(micros));
        }
        report.failed(Failure::Length);
        report.failed(Failure::Connect);
        report.failed(Failure::Length);
        report.connections = 4;
        report.elapsed = Duration::from_millis(500);
        assert_eq!(
            report.text(),
            "1000 answers in 0.50 s over 4 connections, 2000 per second, 10000 body bytes\n\
             latency us  p50 500 p90 900 p99 990 p99.9 999 max 1000\n\
             errors      3  connect 1  length 2"
        );
        assert_eq!(
            report.json(),
            "{\"answers\":1000,\"errors\":3,\"connections\":4,\"bytes\":10000,\
             \"seconds\":0.500000,\"per_second\":2000.0,\"latency_us\":{\"p50\":500,\"p90\":900,\
             \"p99\":990,\"p99.9\":999,\"max\":1000},\"errors_by_kind\":{\"connect\":1,\"length\":2}}"
        );
    }
}
