//! The latencies of a run by interval, in the log format of HdrHistogram that its tools read.

use crate::load::Outcome;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

const INTERVAL: Duration = Duration::from_secs(1);
/// Latencies are in microseconds; the column of maxima is in milliseconds.
const MAXIMA_DIVISOR: f64 = 1000.0;

/// Writes the log of a run that was measured from `start` on.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut dyn Write, outcome: &Outcome, start: SystemTime) -> io::Result<()> {
    let slots = outcome.tally.slots.coarse(INTERVAL);
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("ringway-loadtest; latencies in microseconds")
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAXIMA_DIVISOR);
    let mut out = out;
    let mut log = builder.begin_log_with(&mut out, &mut serializer)?;
    for (index, slot) in slots.all().iter().enumerate() {
        let at = slots.length() * u32::try_from(index).unwrap_or(u32::MAX);
        log.write_histogram(&slot.latencies, at, slots.length(), None)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::outcome;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Vec::new();
        write(&mut out, &outcome(), SystemTime::UNIX_EPOCH).unwrap();
        let mut read = 0;
        let mut starts = Vec::new();
        for entry in IntervalLogIterator::new(&out) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = base64(interval.encoded_histogram());
                let found: Histogram<u64> =
                    Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                read += found.len();
                starts.push(interval.start_timestamp().as_secs());
            }
        }
        assert_eq!((read, starts), (1000, vec![0, 1]));
    }

    fn base64(text: &str) -> Vec<u8> {
        let digit = |b: u8| match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let mut bits = 0_u32;
        let mut out = Vec::new();
        for (index, byte) in text.bytes().filter(|b| *b != b'=').enumerate() {
            bits = bits << 6 | u32::from(digit(byte));
            if index % 4 != 0 {
                out.push((bits >> (6 - 2 * (index % 4))) as u8);
            }
        }
        out
    }
}
