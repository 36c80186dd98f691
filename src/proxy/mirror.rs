//! Copies of requests for a second pool: sent on, and forgotten. No client waits for one, none fails
//! because of one, and there are never more than a bound.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, call};
use super::context::Context;
use super::exchange::{Ask, Facts};
use super::greeting::Ends;
use super::request;
use crate::clock;
use crate::config::{HostPolicy, MirrorConfig};
use crate::http::{Framing, encode};
use crate::ids::PoolId;
use crate::net;
use crate::rng::Rng;
use crate::stats::{Counter, Row};

/// Copies under way, per worker.
const COPIES_MOST: usize = 256;

/// Their bytes together, per worker.
const BYTES_MOST: usize = 16 << 20;

/// For the whole of a copy, its answer included.
const PATIENCE: Duration = Duration::from_secs(30);

/// One worker's copies.
#[derive(Debug)]
pub(super) struct Mirrors {
    /// For the tasks that send them.
    context: RefCell<Weak<Context>>,
    active: Cell<usize>,
    bytes: Cell<usize>,
    rng: RefCell<Rng>,
}

impl Default for Mirrors {
    fn default() -> Self {
        let rng = RefCell::new(Rng::new(clock::now().as_micros()));
        let context = RefCell::default();
        Self { context, active: Cell::default(), bytes: Cell::default(), rng }
    }
}

impl Mirrors {
    /// From now on copies can be sent.
    pub(super) fn open(&self, context: &Rc<Context>) {
        self.context.replace(Rc::downgrade(context));
    }

    fn draws(&self, share: u8) -> bool {
        share >= 100 || self.rng.borrow_mut().below(100) < u64::from(share)
    }
}

/// A copy that is being made.
#[derive(Debug)]
pub(super) struct Copy {
    pool: PoolId,
    /// The request as members get it.
    bytes: Vec<u8>,
    /// Where a member's own name goes, if it goes anywhere.
    host: Option<Range<usize>>,
    key: IpAddr,
    ends: Option<Ends>,
    /// Bytes of the body that may still come; `None`: there were too many.
    room: Option<usize>,
    /// It was sent, or will not be for a reason that is counted.
    settled: bool,
    row: Arc<Row>,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.settled {
            // The body did not come to its end.
            self.row.add(Counter::MirrorTooLarge, 1);
        }
    }
}

/// Begins a copy, if one is wanted. That of a request whose body is in hand goes out at once.
pub(super) fn begin(
    config: &MirrorConfig,
    ask: &Ask<'_>,
    received: &[u8],
    facts: &Facts,
) -> Option<Box<Copy>> {
    let mirrors = &ask.context.mirrors;
    // A protocol that is switched to has two sides.
    if ask.upgrade().is_some() || !mirrors.draws(config.share) {
        return None;
    }
    if mirrors.active.get() >= COPIES_MOST || mirrors.bytes.get() >= BYTES_MOST {
        ask.context.row.add(Counter::MirrorDropped, 1);
        return None;
    }
    if let Framing::Length(length) = ask.framing
        && length > config.body as u64
    {
        ask.context.row.add(Counter::MirrorTooLarge, 1);
        return None;
    }
    let mut bytes = Vec::with_capacity(1024);
    request::write(&mut bytes, ask, "", facts);
    let key = facts.client.get();
    let host = matches!(ask.route.host, HostPolicy::Member).then(|| host_line(&bytes)).flatten();
    let ends = ask.peer.ends(ask.stream);
    let room = Some(config.body);
    let (pool, row, settled) = (config.pool, Arc::clone(&ask.context.row), false);
    let mut copy = Box::new(Copy { pool, bytes, host, key, ends, room, settled, row });
    let Some(whole) = facts.whole.get() else { return Some(copy) };
    copy.add(received.get(..whole).unwrap_or_default());
    copy.send(ask.context);
    None
}

/// The second line, which is that of `Host`.
fn host_line(bytes: &[u8]) -> Option<Range<usize>> {
    let mut ends = memchr::memchr_iter(b'\n', bytes);
    Some(ends.next()? + 1..ends.next()? + 1)
}

impl Copy {
    /// More of the body, in the form that members get.
    pub(super) fn add(&mut self, body: &[u8]) {
        self.room = self.room.and_then(|room| room.checked_sub(body.len()));
        if self.room.is_some() {
            self.bytes.extend_from_slice(body);
        } else {
            self.bytes = Vec::new();
        }
    }

    /// The body is whole: sends the copy, and waits for nothing.
    pub(super) fn send(mut self: Box<Self>, context: &Context) {
        let mirrors = &context.mirrors;
        if self.room.is_none() {
            // Counted where it is dropped.
            return;
        }
        self.settled = true;
        let full = mirrors.active.get() >= COPIES_MOST
            || mirrors.bytes.get() + self.bytes.len() > BYTES_MOST;
        let Some(shared) = mirrors.context.borrow().upgrade().filter(|_| !full) else {
            context.row.add(Counter::MirrorDropped, 1);
            return;
        };
        let place = Place::take(shared, self.bytes.len());
        let row = Arc::clone(&context.row);
        net::spawn(deliver(self, place), move || row.add(Counter::Panics, 1));
    }
}

/// A place among the copies under way, until dropped.
struct Place {
    context: Rc<Context>,
    bytes: usize,
}

impl Place {
    fn take(context: Rc<Context>, bytes: usize) -> Self {
        let mirrors = &context.mirrors;
        mirrors.active.set(mirrors.active.get() + 1);
        mirrors.bytes.set(mirrors.bytes.get() + bytes);
        context.row.add(Counter::MirrorsActive, 1);
        Self { context, bytes }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mirrors = &self.context.mirrors;
        mirrors.active.set(mirrors.active.get().saturating_sub(1));
        mirrors.bytes.set(mirrors.bytes.get().saturating_sub(self.bytes));
        self.context.row.sub(Counter::MirrorsActive, 1);
    }
}

async fn deliver(copy: Box<Copy>, place: Place) {
    let context = &*place.context;
    let one = Call {
        context,
        pool: copy.pool,
        client: None,
        ends: copy.ends,
        key: copy.key,
        until: clock::now().after(PATIENCE),
        retries: false,
    };
    let write = |out: &mut Vec<u8>, host: &str| match &copy.host {
        None => out.extend_from_slice(&copy.bytes),
        Some(line) => {
            out.extend_from_slice(copy.bytes.get(..line.start).unwrap_or_default());
            encode::field(out, b"Host", host.as_bytes());
            out.extend_from_slice(copy.bytes.get(line.end..).unwrap_or_default());
        }
    };
    let mut scratch = context.take_scratch();
    let sent = Box::pin(call(&one, &write, &mut scratch.response)).await;
    context.keep_scratch(scratch);
    let counter = if sent.is_ok() { Counter::Mirrored } else { Counter::MirrorFailed };
    context.row.add(counter, 1);
}
