//! `traceparent` (W3C Trace Context): whether a value is one, and the writing of new ones.

use super::encode::hex;

/// What begins a trace: the identifier of the whole, that of its first part, and whether it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Of the trace; not 0.
    pub trace: u128,
    /// Of the part of it that the request is; not 0.
    pub parent: u64,
    /// Whether those who take part should record it.
    pub sampled: bool,
}

impl TraceParent {
    /// Appends the value of the field.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"00-");
        hex(out, &self.trace.to_be_bytes());
        out.push(b'-');
        hex(out, &self.parent.to_be_bytes());
        out.extend_from_slice(if self.sampled { b"-01" } else { b"-00" });
    }
}

/// The trace that a value names, as 32 hexadecimal digits, if it is one: of version 00, or of a
/// later one that goes on as that does.
#[must_use]
pub fn trace_id(value: &[u8]) -> Option<&[u8]> {
    let digits = |bytes: &[u8]| bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let part = |from: usize, to: usize| value.get(from..to).filter(|part| digits(part));
    let (version, trace) = (part(0, 2)?, part(3, 35)?);
    let (parent, _) = (part(36, 52)?, part(53, 55)?);
    let dash = |at: usize| value.get(at) == Some(&b'-');
    let ends = match value.len() {
        55 => true,
        // What later versions may add.
        56.. => version != b"00" && dash(55),
        _ => false,
    };
    let is_zero = |part: &[u8]| part.iter().all(|digit| *digit == b'0');
    let good = version != b"ff" && !is_zero(trace) && !is_zero(parent);
    (ends && good && dash(2) && dash(35) && dash(52)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn what_is_a_trace_parent() {
        for good in [
            format!("00-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-ff"),
            format!("cc-{TRACE}-00f067aa0ba902b7-01"),
            format!("cc-{TRACE}-00f067aa0ba902b7-01-what.else"),
        ] {
            assert_eq!(trace_id(good.as_bytes()), Some(TRACE.as_bytes()), "{good}");
        }
        let zero = "0".repeat(32);
        for bad in [
            String::new(),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-1"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-"),
            format!("00-{TRACE}-00f067aa0ba902b7-011"),
            format!("cc-{TRACE}-00f067aa0ba902b7-01.x"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{zero}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00_{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}_00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7_01"),
            format!("0g-{TRACE}-00f067aa0ba902b7-01"),
            format!(" 00-{TRACE}-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(trace_id(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_one(trace in 1u128.., parent in 1u64.., sampled: bool) {
            let mut out = Vec::new();
            TraceParent { trace, parent, sampled }.write(&mut out);
            let digits = format!("{trace:032x}");
            prop_assert_eq!(trace_id(&out), Some(digits.as_bytes()));
            let flag = if sampled { b"-01" } else { b"-00" };
            prop_assert!(out.ends_with(flag));
        }
    }
}
