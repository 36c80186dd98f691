//! A request body on its way to the member while the answer may already be on its way back.

use std::pin::pin;
use std::time::Duration;

use super::answer::{Answered, Buffers, SPLICE_FROM, answer};
use super::body::{Sink, Source, carry};
use super::context::Context;
use super::deliver::Lost;
use super::exchange::{Ask, Facts};
use super::reasons;
use crate::config::ListenerConfig;
use crate::http::{Framing, ResponseHead};
use crate::net::{Buffer, Either, Relayed, Size, Stream, race, splice};
use crate::stats::{Counter, Reason};

/// Sends the head in `buffers.out` and the body behind it, and brings the answer, side by side.
///
/// An answer that is complete before the upload ends it: the rest is not wanted any more.
pub(super) async fn duplex(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    received: &mut Buffer,
    head: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Result<Answered, Lost> {
    let request = std::mem::replace(&mut buffers.out, Buffer::take(Size::Medium));
    // Dropping either one half done is safe: in every such case both connections end.
    let mut pump = pin!(pump(ask, upstream, patience, request, received, facts));
    let mut answer = pin!(answer(ask, upstream, patience, head, buffers, facts));
    // The upload first: where its end and the answer are there together, it was not cut short.
    match race(pump.as_mut(), answer.as_mut()).await {
        Either::First(Ok(())) => answer.await,
        Either::First(Err(reason)) => Err(reason.into()),
        Either::Second(answered) => answered,
    }
}

/// Moves head and body to the member. That the member takes no more is not an error: its answer
/// will tell; what the client does wrong is.
async fn pump(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    mut out: Buffer,
    received: &mut Buffer,
    facts: &Facts,
) -> Result<(), Reason> {
    let mut source = Source::new(ask.framing, ask.context.config.limits.trailers);
    let sink = if ask.framing == Framing::Chunked { Sink::Chunked } else { Sink::Raw };
    let (mut can_splice, mut total) = (true, 0);
    loop {
        let done = carry(&mut source, sink, received, &mut out, &mut total)
            .map_err(|_| Reason::BadBody)?;
        if ask.listener.limits.body.is_some_and(|bound| total > bound) {
            return Err(Reason::BodyTooLarge);
        }
        if !out.is_empty() && upstream.send_within(&mut out, patience).await.is_err() {
            upstream.arm_read(patience);
            return Ok(());
        }
        if done {
            facts.set_uploaded(ask);
            upstream.arm_read(patience);
            return Ok(());
        }
        if !received.is_empty() {
            continue;
        }
        if let Some(left) = source.plain_rest()
            && left > SPLICE_FROM
            && can_splice
        {
            match splice_rest(ask, upstream, patience, left, facts).await? {
                true => return Ok(()),
                false => can_splice = false,
            }
        }
        receive(ask, received).await?;
    }
}

async fn receive(ask: &Ask<'_>, received: &mut Buffer) -> Result<(), Reason> {
    if received.capacity() < Size::Large.bytes() {
        *received = Buffer::take(Size::Large);
    }
    receive_some(ask.context, ask.listener, ask.stream, received).await
}

/// Receives more of a request body, for which `received` must have room.
pub(super) async fn receive_some(
    context: &Context,
    listener: &ListenerConfig,
    client: &Stream,
    received: &mut Buffer,
) -> Result<(), Reason> {
    let result = client.recv_within(received, listener.timeouts.body).await;
    let count = result.map_err(reasons::from_client)?;
    context.row.add(Counter::BytesIn, count as u64);
    Ok(())
}

/// The rest of the body without a copy; false if the kernel does not offer that.
async fn splice_rest(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: Duration,
    left: u64,
    facts: &Facts,
) -> Result<bool, Reason> {
    let silence = ask.listener.timeouts.body;
    let relayed = splice((ask.stream, silence), (upstream, patience), left, |count| {
        ask.context.row.add(Counter::BytesIn, count);
    });
    match relayed.await {
        Relayed::Done => facts.set_uploaded(ask),
        Relayed::Unavailable => return Ok(false),
        Relayed::FromFailed(failure) => return Err(reasons::from_client(failure)),
        Relayed::ToFailed { .. } => {}
    }
    upstream.arm_read(patience);
    Ok(true)
}
