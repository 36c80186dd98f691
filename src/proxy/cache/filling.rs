//! The body of an answer on its way into the store: received by a task of its own, at the member's pace,
//! for all who read it there.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::body::Source;
use super::super::context::Context;
use super::super::exchange::Ask;
use super::super::patience::silence;
use super::super::reasons;
use super::fetch::Fetch;
use super::fill::Taken;
use super::flight::{Flight, Landing};
use super::growing::Grower;
use super::hand::CacheHand;
use super::parts;
use super::store::Key;
use super::stored::{Body, Stored};
use crate::balancer::{Connection, Lease, Outcome};
use crate::http::{Framing, ResponseHead, response_framing};
use crate::net::{Buffer, Failure, Size};
use crate::stats::{Counter, Reason};

/// Bytes of an answer that will not be stored that its readers may be behind its member.
const WINDOW: u64 = 1 << 20;

/// A body on its way into the store.
pub(super) struct Filling {
    context: Rc<Context>,
    lease: Lease,
    connection: Connection,
    input: Buffer,
    source: Source,
    grower: Grower,
    silence: Duration,
    outcome: Outcome,
    /// The member keeps its connection open behind the answer.
    keep: bool,
    /// For whom it grows, and where they find it.
    pub(super) flight: Option<(Option<Key>, Arc<Flight>)>,
    key: Key,
    url: Box<[u8]>,
    number: u64,
    most: u64,
    /// It is a part of an answer.
    part: bool,
    /// Bytes of room that were taken for it.
    room: u64,
}

/// How a body ended.
enum Fill {
    Complete,
    Broken(Reason),
    /// Nobody reads it, and it will not be stored.
    Unwanted,
}

impl Filling {
    pub(super) fn new(
        ask: &Ask<'_>,
        fetch: &Fetch<'_>,
        taken: Taken,
        head: &ResponseHead,
        outcome: Outcome,
        grower: Grower,
        context: Rc<Context>,
    ) -> Result<Self, Reason> {
        let framing = response_framing(head, ask.head.method()).map_err(|_| Reason::BadResponse)?;
        let room = if let Framing::Length(length) = framing { length } else { 0 };
        let Taken { lease, connection, buffers } = taken;
        // It works for nobody in particular from now on.
        connection.stream.work_for(None);
        Ok(Self {
            silence: silence(ask, &lease),
            source: Source::new(framing, context.config.limits.trailers),
            context,
            lease,
            connection,
            input: buffers.input,
            grower,
            outcome,
            keep: framing != Framing::UntilClose && head.wants_keep_alive(),
            flight: None,
            key: fetch.key.clone(),
            url: fetch.url.clone(),
            number: fetch.number,
            most: fetch.most(),
            part: head.status() == 206,
            room,
        })
    }

    fn hand(&self) -> Option<&CacheHand> {
        self.context.cache()
    }

    /// Takes in what has come with the head; the rest is to be run, if there is any.
    pub(super) fn start(mut self) -> Option<Self> {
        match self.pull() {
            Ok(false) => {
                self.tell();
                Some(self)
            }
            Ok(true) => {
                self.finish(&Fill::Complete);
                None
            }
            Err(reason) => {
                self.finish(&Fill::Broken(reason));
                None
            }
        }
    }

    /// Decodes what was received; true: the body is complete.
    fn pull(&mut self) -> Result<bool, Reason> {
        loop {
            let piece = self.source.next(self.input.data(), usize::MAX);
            let piece = piece.map_err(|_| Reason::BadResponseBody)?;
            let data = self.input.data().get(piece.start..piece.end).unwrap_or_default();
            if !data.is_empty() {
                self.grower.push(data);
            }
            self.input.consume(piece.consumed);
            if piece.done || self.input.is_empty() {
                return Ok(piece.done);
            }
        }
    }

    /// Tells the readers that there is more.
    fn tell(&self) {
        if let (Some(hand), Some((_, flight))) = (self.hand(), &self.flight) {
            hand.sleepers.progress(flight);
        }
    }

    pub(super) async fn run(mut self) {
        let fill = loop {
            self.bound();
            if !self.wait_for_readers().await {
                break Fill::Unwanted;
            }
            if self.input.capacity() < Size::Large.bytes() {
                self.input = Buffer::take(Size::Large);
            }
            match self.connection.stream.recv_within(&mut self.input, self.silence).await {
                Ok(_) => {}
                Err(Failure::Closed) if matches!(self.source, Source::UntilClose) => {
                    break Fill::Complete;
                }
                Err(failure) => break Fill::Broken(reasons::in_body(failure)),
            }
            match self.pull() {
                Ok(true) => break Fill::Complete,
                Ok(false) => self.tell(),
                Err(reason) => break Fill::Broken(reason),
            }
        };
        self.finish(&fill);
    }

    /// An answer that grows beyond what is stored is only passed on.
    fn bound(&mut self) {
        if !self.grower.keeps() {
            return;
        }
        let length = self.grower.length;
        let more = length.saturating_sub(self.room);
        let fits = length <= self.most
            && self.hand().is_some_and(|hand| more == 0 || hand.shared.take_room(more));
        if fits {
            self.room += more;
            return;
        }
        self.grower.let_go();
        if let (Some(hand), Some((key, flight))) = (self.hand(), &self.flight) {
            if let Some(key) = key {
                hand.close(key, flight);
            }
            if let Some(Landing::Begun(begun)) = flight.landing() {
                begun.chain.let_go();
            }
        }
    }

    /// Where nothing is kept, readers must not fall behind too far. False: there are none.
    async fn wait_for_readers(&self) -> bool {
        if self.grower.keeps() {
            return true;
        }
        let (Some(hand), Some((_, flight))) = (self.hand(), &self.flight) else { return false };
        let Some(Landing::Begun(begun)) = flight.landing() else { return false };
        let goes_on = || begun.chain.held() <= WINDOW || self.grower.is_alone();
        while !goes_on() {
            hand.sleepers.sleep(flight, goes_on).await;
        }
        !self.grower.is_alone()
    }

    fn finish(self, fill: &Fill) {
        let context = Rc::clone(&self.context);
        let broken = match fill {
            Fill::Complete => None,
            Fill::Broken(reason) => {
                context.row.error(*reason);
                Some(*reason)
            }
            Fill::Unwanted => Some(Reason::ClientGone),
        };
        let Self { lease, connection, input, grower, .. } = self;
        if let (Some(hand), Some((key, flight))) = (context.cache(), &self.flight) {
            hand.shared.give_room(self.room);
            let stored = match broken {
                None => grower.end().and_then(|pieces| whole(flight, pieces)),
                Some(reason) => {
                    grower.fail(reason);
                    None
                }
            };
            let (shared, number) = (&hand.shared, self.number);
            let whole = |stored: &Arc<Stored>| shared.keep(&self.key, &self.url, stored, number);
            let keep = |stored: &Arc<Stored>| match self.part {
                true => {
                    let place = (&*self.key, &*self.url);
                    parts::keep(&shared.store, place, stored, number, self.most, whole)
                }
                false => whole(stored),
            };
            if let Some(stored) = stored.filter(keep) {
                context.row.add(Counter::CacheStored, 1);
                if let Some(Landing::Begun(begun)) = flight.landing() {
                    _ = begun.stored.set(stored);
                }
            }
            // Behind the store: who comes now finds it there, or asks anew.
            if let Some(key) = key {
                hand.close(key, flight);
            }
            if let Some(Landing::Begun(begun)) = flight.landing() {
                begun.chain.let_go();
            }
            hand.sleepers.progress(flight);
        }
        if self.keep && broken.is_none() && input.is_empty() {
            lease.keep(connection);
        }
        lease.finish(match fill {
            Fill::Broken(reason) => reasons::outcome(*reason, 0),
            Fill::Complete | Fill::Unwanted => self.outcome,
        });
    }
}

/// The answer of a flight with the pieces of its body.
fn whole(flight: &Flight, pieces: Vec<Arc<[u8]>>) -> Option<Arc<Stored>> {
    let Some(Landing::Begun(begun)) = flight.landing() else { return None };
    let body = Arc::new(Body::of(pieces));
    Some(Arc::new(Stored::new(Arc::clone(&begun.label), body)))
}
