//! Encoded forms of a stored body, each made once and kept beside it: by a task of its own, so that no
//! client's pace counts, and at a higher level than what is encoded on its way.
//!
//! Who needs a form that is not there yet claims it. Others that come meanwhile wait where the body is
//! small, and encode for themselves where it is large.

use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::super::context::Context;
use super::super::encoder::{EncodeError, Encoder, Quality};
use super::super::exchange::Ask;
use super::super::filtered::{Active, PIECE};
use super::flight::{Flight, Landing};
use super::hand::CacheHand;
use super::store::Key;
use super::stored::{Body, CHUNK, Stored};
use crate::http::Coding;
use crate::net::{Either, give_way, race, sleep, spawn};
use crate::stats::{Counter, Reason};

/// Bytes of the largest body whose form is waited for.
const WAIT_MOST: u64 = 256 << 10;

/// How long it is waited for at the most: others may have much to do.
const PATIENCE: Duration = Duration::from_millis(500);

/// What became of a form.
#[derive(Debug)]
pub(super) enum Made {
    /// The encoded body.
    Encoded(Body),
    /// It would be no smaller.
    Useless,
}

#[derive(Debug, Default)]
struct Slot {
    form: OnceLock<Box<Made>>,
    /// Who makes it now.
    claim: ArcSwapOption<Flight>,
}

/// The forms of one body.
#[derive(Debug, Default)]
pub(super) struct Encodings([Slot; Coding::ALL.len()]);

impl Encodings {
    fn slot(&self, coding: Coding) -> &Slot {
        let [first, second, third] = &self.0;
        match coding {
            Coding::Gzip => first,
            Coding::Brotli => second,
            Coding::Zstd => third,
        }
    }

    /// The form in this coding, once it was made.
    pub(super) fn get(&self, coding: Coding) -> Option<&Made> {
        self.slot(coding).form.get().map(|form| &**form)
    }

    /// The encoded body, if there is one.
    pub(super) fn body(&self, coding: Coding) -> Option<&Body> {
        match self.get(coding)? {
            Made::Encoded(body) => Some(body),
            Made::Useless => None,
        }
    }

    /// From now on there is a form, for good.
    pub(super) fn keep(&self, coding: Coding, made: Made) {
        // Made by another one already: that is as good.
        _ = self.slot(coding).form.set(Box::new(made));
    }

    /// Bytes of all of them.
    pub(super) fn weight(&self) -> u64 {
        let bodies = Coding::ALL.into_iter().filter_map(|coding| self.body(coding));
        bodies.map(Body::weight).sum()
    }

    /// Claims a form that is to be made, for the task behind `flight`; else who makes it, if it is
    /// not there by now.
    fn claim(&self, coding: Coding, flight: &Arc<Flight>) -> Result<(), Option<Arc<Flight>>> {
        let slot = self.slot(coding);
        let before = slot.claim.compare_and_swap(&None::<Arc<Flight>>, Some(Arc::clone(flight)));
        if let Some(other) = before.as_ref() {
            return Err(Some(Arc::clone(other)));
        }
        // Whoever had the claim until just now has made it first.
        if slot.form.get().is_some() {
            slot.claim.store(None);
            return Err(None);
        }
        Ok(())
    }
}

/// A form in the making; dropped, it is made, or somebody else may try.
struct Making {
    context: Rc<Context>,
    stored: Arc<Stored>,
    key: Key,
    coding: Coding,
    encoder: Encoder,
    flight: Arc<Flight>,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.stored.encodings.slot(self.coding).claim.store(None);
        self.flight.land(Landing::Alone);
        if let Some(hand) = self.context.cache() {
            hand.shared.give_room(self.stored.body.length);
            hand.sleepers.progress(&self.flight);
        }
    }
}

impl Making {
    async fn run(mut self) {
        let row = Arc::clone(&self.context.row);
        let active = Active::new(&row);
        let Ok(form) = self.encode().await else { return };
        drop(active);
        let length = match &form {
            Made::Encoded(body) => Some(body.length),
            Made::Useless => None,
        };
        // First there, then counted: what is put into the store from now on counts it anyway.
        self.stored.encodings.keep(self.coding, form);
        if let Some(length) = length {
            row.add(Counter::CacheEncodings, 1);
            row.add(Counter::CacheEncodingBytes, length);
        }
        if let Some(hand) = self.context.cache() {
            hand.shared.store.weigh_again(&self.key, &self.stored);
        }
    }

    /// Encodes all of the body, a piece at a time.
    async fn encode(&mut self) -> Result<Made, EncodeError> {
        let Self { stored, encoder, .. } = self;
        let length = stored.body.length;
        let (mut done, mut made) = (0, 0);
        let (mut open, mut chunks) = (Vec::new(), Vec::new());
        for piece in stored.body.slices(0, length).flat_map(|slice| slice.chunks(PIECE.bytes())) {
            encoder.push(piece, &mut open)?;
            done += piece.len() as u64;
            if made + open.len() as u64 >= length {
                return Ok(Made::Useless);
            }
            if open.len() >= CHUNK {
                made += open.len() as u64;
                chunks.push(Arc::from(open.as_slice()));
                open.clear();
            }
            if done < length {
                give_way().await;
            }
        }
        encoder.end(&mut open)?;
        made += open.len() as u64;
        if made >= length {
            return Ok(Made::Useless);
        }
        if !open.is_empty() {
            chunks.push(Arc::from(open.as_slice()));
        }
        Ok(Made::Encoded(Body::of(chunks)))
    }
}

/// Sees to it that the form in `coding` is made, and waits for it where that is worth it.
pub(super) async fn prepare(
    ask: &Ask<'_>,
    hand: &CacheHand,
    key: Key,
    stored: &Arc<Stored>,
    coding: Coding,
) -> Result<(), Reason> {
    let Some(flight) = begin(ask, hand, key, stored, coding) else { return Ok(()) };
    if stored.body.length > WAIT_MOST {
        return Ok(());
    }
    let landed = pin!(async {
        while flight.landing().is_none() {
            hand.sleepers.sleep(&flight, || flight.landing().is_some()).await;
        }
    });
    let over = pin!(async { race(pin!(ask.stream.ended()), pin!(sleep(PATIENCE))).await });
    match race(landed, over).await {
        Either::Second(Either::First(())) => Err(Reason::ClientGone),
        Either::First(()) | Either::Second(Either::Second(())) => Ok(()),
    }
}

/// Who makes the form; `None`: nobody does, for want of room or of an encoder.
fn begin(
    ask: &Ask<'_>,
    hand: &CacheHand,
    key: Key,
    stored: &Arc<Stored>,
    coding: Coding,
) -> Option<Arc<Flight>> {
    let levels = ask.route.compress.as_ref()?.stored.as_ref()?;
    let (encodings, length) = (&stored.encodings, stored.body.length);
    if let Some(other) = encodings.slot(coding).claim.load_full() {
        return Some(other);
    }
    let context = ask.context.itself()?;
    if !hand.shared.store.has_room_beside(&key, length) {
        return None;
    }
    let quality = Quality { coding, level: levels.level(coding) };
    let encoder = Encoder::take(quality, context.config.limits.encoders)?;
    if !hand.shared.take_room(length) {
        return None;
    }
    let flight = hand.flight(hand.shared.store.number());
    if let Err(other) = encodings.claim(coding, &flight) {
        hand.shared.give_room(length);
        return other;
    }
    let (stored, row) = (Arc::clone(stored), Arc::clone(&ask.context.row));
    let making = Making { context, stored, key, coding, encoder, flight: Arc::clone(&flight) };
    spawn(making.run(), move || row.add(Counter::Panics, 1));
    Some(flight)
}
