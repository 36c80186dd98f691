//! Names of requests: the id that goes with each through members, answers and logs, and the trace
//! that it is part of.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _};

use super::exchange::Facts;
use super::known::Known;
use crate::config::{ListenerConfig, TracingConfig};
use crate::http::trace::{TraceParent, trace_id};
use crate::http::{FieldRef, Name, RequestHead, encode};
use crate::rng::{Rng, mix};

/// Bytes of an id that is taken over, at the most.
const ID_MOST: usize = 128;

/// A worker's ids: random, so that no two hosts make the same one. Not for secrets.
#[derive(Debug)]
pub(super) struct Ids {
    // Two generators: the state of one is only half as wide as an id.
    halves: RefCell<[Rng; 2]>,
}

impl Ids {
    /// Seeded by chance.
    pub(super) fn new() -> Self {
        // The standard library's hashers have keys of the system's making.
        let seed = || Rng::new(std::hash::RandomState::new().build_hasher().finish());
        Self { halves: RefCell::new([seed(), seed()]) }
    }

    fn next(&self) -> [u8; 16] {
        let [high, low] = &mut *self.halves.borrow_mut();
        // An id of zeros names no trace.
        let id = u128::from(high.next()) << 64 | u128::from(low.next() | 1);
        id.to_be_bytes()
    }
}

/// What a request is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Called {
    /// The id that was made for it, and for the trace that it begins; zeros: none.
    made: [u8; 16],
    /// The id that a trusted peer sent is its id.
    by_peer: bool,
    trace: Trace,
}

impl Called {
    fn made(&self) -> Option<[u8; 16]> {
        (self.made != [0; 16]).then_some(self.made)
    }
}

/// The trace of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trace {
    /// It has none, or what it has is not looked at.
    #[default]
    None,
    /// The request said so.
    Sent,
    /// It begins with the request.
    Begun,
}

/// Decides what a request is called, where its listener wants to know.
pub(super) fn settle(
    ids: &Ids,
    listener: &ListenerConfig,
    head: Option<&RequestHead>,
    facts: &Facts,
) {
    if listener.request_id.is_none() && listener.tracing.is_none() {
        return;
    }
    let mut called = Called::default();
    if let Some(config) = &listener.request_id {
        let sent = head.filter(|_| facts.trusted).and_then(|head| sent_id(head, &config.header));
        called.by_peer = sent.is_some();
        if sent.is_none() {
            called.made = ids.next();
        }
    }
    if let Some(tracing) = listener.tracing
        && let Some(head) = head
    {
        called.trace = match sent_trace(head) {
            Some(_) => Trace::Sent,
            None if tracing.start => Trace::Begun,
            None => Trace::None,
        };
        if called.trace == Trace::Begun {
            called.made = called.made().unwrap_or_else(|| ids.next());
        }
    }
    facts.called.set(called);
}

/// The id that a request has, if it is one word of a bearable length.
fn sent_id<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    let same = |field: &FieldRef<'_>| field.name_bytes.eq_ignore_ascii_case(name.as_bytes());
    let mut fields = head.fields().filter(same);
    let value = fields.next()?.value;
    let good = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~+/=:@".contains(b);
    let sane = (1..=ID_MOST).contains(&value.len()) && value.iter().all(good);
    (sane && fields.next().is_none()).then_some(value)
}

/// The trace that a request names: in one field, and in its form.
fn sent_trace(head: &RequestHead) -> Option<&[u8]> {
    let mut fields = head.fields().filter(|field| is_trace_parent(field.name_bytes));
    let trace = trace_id(fields.next()?.value)?;
    fields.next().is_none().then_some(trace)
}

fn is_trace_parent(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"traceparent")
}

/// Whether a request's field does not go on, since another one takes its place or it means nothing.
pub(super) fn drops(listener: &ListenerConfig, facts: &Facts, entry: &FieldRef<'_>) -> bool {
    if entry.name != Name::Other {
        return false;
    }
    let name = entry.name_bytes;
    if listener.tracing.is_some() && facts.called.get().trace != Trace::Sent {
        let state = name.eq_ignore_ascii_case(b"tracestate");
        if state || is_trace_parent(name) {
            return true;
        }
    }
    let id = listener.request_id.as_ref();
    id.is_some_and(|id| name.eq_ignore_ascii_case(id.header.as_bytes()))
}

/// Appends the fields for a member.
pub(super) fn write_fields(out: &mut Vec<u8>, known: &Known<'_>) {
    if let Some(id) = &known.listener.request_id {
        write_field(out, &id.header, known);
    }
    let called = known.facts.called.get();
    if let (Some(tracing), Trace::Begun, Some(made)) =
        (known.listener.tracing, called.trace, called.made())
    {
        out.extend_from_slice(b"traceparent: ");
        begun(made, tracing).write(out);
        out.extend_from_slice(encode::CRLF);
    }
}

/// A trace that begins here has the name that its request has.
fn begun(made: [u8; 16], tracing: TracingConfig) -> TraceParent {
    let trace = u128::from_be_bytes(made);
    // From the same chance, as it were another draw.
    let chance = mix((trace >> 64) as u64 ^ mix(trace as u64));
    let sampled = chance % 100 < u64::from(tracing.sample);
    TraceParent { trace, parent: mix(chance) | 1, sampled }
}

/// Appends the field with the request's id.
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, known: &Known<'_>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    write(out, known);
    out.extend_from_slice(encode::CRLF);
}

/// Appends the request's id. One that nobody has needed so far is made now.
pub(super) fn write(out: &mut Vec<u8>, known: &Known<'_>) {
    let mut called = known.facts.called.get();
    if let (true, Some(config), Some(head)) =
        (called.by_peer, &known.listener.request_id, known.head)
        && let Some(id) = sent_id(head, &config.header)
    {
        return out.extend_from_slice(id);
    }
    called.made = called.made().unwrap_or_else(|| known.context.ids.next());
    known.facts.called.set(called);
    encode::hex(out, &called.made);
}

/// Appends the id for the access log, if the request has one.
pub(super) fn log_id(
    out: &mut Vec<u8>,
    listener: &ListenerConfig,
    head: Option<&RequestHead>,
    facts: &Facts,
) {
    let called = facts.called.get();
    match (&listener.request_id, head, called.made()) {
        (Some(config), Some(head), _) if called.by_peer => {
            out.extend_from_slice(sent_id(head, &config.header).unwrap_or_default());
        }
        (Some(_), _, Some(made)) => encode::hex(out, &made),
        _ => {}
    }
}

/// Appends the trace for the access log, if the request has one.
pub(super) fn log_trace(out: &mut Vec<u8>, head: Option<&RequestHead>, facts: &Facts) {
    let called = facts.called.get();
    match (called.trace, called.made(), head) {
        (Trace::Sent, _, Some(head)) => {
            out.extend_from_slice(sent_trace(head).unwrap_or_default());
        }
        (Trace::Begun, Some(made), _) => encode::hex(out, &made),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_traces_are_kept_by_their_share() {
        let ids = Ids::new();
        let made: Vec<_> = (0..10_000).map(|_| ids.next()).collect();
        let distinct: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), made.len());
        for (sample, bounds) in [(0, 0..=0), (10, 800..=1200), (100, 10_000..=10_000)] {
            let tracing = TracingConfig { start: true, sample };
            let kept = made.iter().filter(|id| begun(**id, tracing).sampled).count();
            assert!(bounds.contains(&kept), "{sample} %: {kept}");
        }
        let tracing = TracingConfig { start: true, sample: 50 };
        let parents: std::collections::HashSet<_> =
            made.iter().map(|id| begun(*id, tracing).parent).collect();
        assert_eq!(parents.len(), made.len());
    }
}
