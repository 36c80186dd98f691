//! A request body on its way to the member while the answer may already be on its way back.

use std::pin::pin;

use super::answer::{Answered, Buffers, SPLICE_FROM, answer};
use super::body::carry;
use super::buffering;
use super::deliver::Lost;
use super::exchange::{Ask, Facts};
use super::patience::Patience;
use super::reasons;
use super::replay::{Body, Upload};
use crate::http::ResponseHead;
use crate::net::{Buffer, Either, Failure, Relayed, Size, Stream, race, splice};
use crate::stats::{Counter, Reason};

/// Sends the head in `buffers.out` and the body behind it, and brings the answer, side by side.
///
/// An answer that is complete before the upload ends it: the rest is not wanted any more.
pub(super) async fn duplex<'a>(
    ask: &'a Ask<'a>,
    upstream: &Stream,
    patience: &Patience,
    body: &mut Body<'_>,
    head: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &'a Facts,
) -> Result<Answered<'a>, Lost> {
    let request = std::mem::replace(&mut buffers.out, Buffer::take(Size::Medium));
    // Dropping the answer half done is safe: the member's connection ends. So is dropping the upload:
    // either the client's connection ends, too, or the request may be sent again, and then no byte of
    // the client is on its way into the upload while it waits.
    let mut pump = pin!(pump(ask, upstream, patience, request, body, facts));
    let mut answer = pin!(answer(ask, upstream, patience, head, buffers, facts));
    // The upload first: where its end and the answer are there together, it was not cut short.
    match race(pump.as_mut(), answer.as_mut()).await {
        Either::First(Ok(())) => answer.await,
        Either::First(Err(reason)) => Err(reason.into()),
        Either::Second(answered) => {
            // The client is not waited for until the next attempt does.
            ask.stream.disarm_read();
            answered
        }
    }
}

/// Moves head and body to the member. That the member takes no more is not an error: its answer
/// will tell; what the client does wrong is.
async fn pump(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: &Patience,
    mut out: Buffer,
    body: &mut Body<'_>,
    facts: &Facts,
) -> Result<(), Reason> {
    let Body { received, upload: Some(upload) } = body else { return Err(Reason::Internal) };
    let mut takes = true;
    if upload.intake.is_some() {
        let stall = patience.to_send(facts);
        // Rare, and large: kept out of what all other uploads hold.
        takes = Box::pin(buffering::resend(upload, upstream, stall, &mut out)).await?;
    }
    takes = takes && replay(upstream, patience, &mut out, upload, facts).await.is_ok();
    let mut can_splice = true;
    while takes {
        fill(ask, upload, received, &mut out, facts)?;
        let stall = patience.to_send(facts);
        if !out.is_empty() && upstream.send_within(&mut out, stall).await.is_err() {
            takes = false;
        } else if upload.done {
            facts.set_uploaded(ask);
            break;
        } else if received.is_empty() {
            if let Some(left) = upload.source.plain_rest()
                && left > SPLICE_FROM
                && can_splice
                && !facts.replayable.get()
                && upload.copy.is_none()
            {
                match splice_rest(ask, upstream, patience, left, facts).await? {
                    true => break,
                    false => can_splice = false,
                }
            }
            receive(ask, received).await?;
        }
    }
    patience.await_head(upstream, facts);
    Ok(())
}

/// Sends what earlier attempts have used up of the body, but for what is left in `out`.
async fn replay(
    upstream: &Stream,
    patience: &Patience,
    out: &mut Buffer,
    upload: &Upload,
    facts: &Facts,
) -> Result<(), Failure> {
    let mut rest = upload.kept();
    while !rest.is_empty() {
        if out.room() == 0 {
            upstream.send_within(out, patience.to_send(facts)).await?;
            *out = Buffer::take(Size::Large);
        }
        let (piece, behind) = rest.split_at(out.room().min(rest.len()));
        out.tail().extend_from_slice(piece);
        rest = behind;
    }
    Ok(())
}

/// Moves what came of the body to `out`, and keeps it if it may have to be sent again.
fn fill(
    ask: &Ask<'_>,
    upload: &mut Upload,
    received: &mut Buffer,
    out: &mut Buffer,
    facts: &Facts,
) -> Result<(), Reason> {
    if upload.done {
        return Ok(());
    }
    let before = out.len();
    upload.done = carry(&mut upload.source, upload.sink, received, out, &mut upload.total)
        .map_err(|_| Reason::BadBody)?;
    let bound = ask.route.limits.body(ask.listener.limits.body);
    if bound.is_some_and(|bound| upload.total > bound) {
        return Err(Reason::BodyTooLarge);
    }
    facts.consumed.set(upload.done);
    if let Some(copy) = &mut upload.copy {
        copy.add(out.data().get(before..).unwrap_or_default());
        if upload.done
            && let Some(copy) = upload.copy.take()
        {
            copy.send(ask.context);
        }
    }
    upload.keep(out.data().get(before..).unwrap_or_default(), facts);
    Ok(())
}

/// Receives more of the body. May be dropped: the request may be sent again.
pub(super) async fn receive(ask: &Ask<'_>, received: &mut Buffer) -> Result<(), Reason> {
    if received.capacity() < Size::Large.bytes() {
        *received = Buffer::take(Size::Large);
    }
    let silence = ask.listener.timeouts.body;
    let result = ask.stream.recv_within(received, silence).await;
    let count = result.map_err(reasons::from_client)?;
    ask.context.row.add(Counter::BytesIn, count as u64);
    Ok(())
}

/// The rest of the body without a copy; false if the kernel does not offer that.
async fn splice_rest(
    ask: &Ask<'_>,
    upstream: &Stream,
    patience: &Patience,
    left: u64,
    facts: &Facts,
) -> Result<bool, Reason> {
    let silence = ask.listener.timeouts.body;
    let relayed = splice((ask.stream, silence), (upstream, patience.silence), left, |count| {
        ask.context.row.add(Counter::BytesIn, count);
    });
    match relayed.await {
        Relayed::Done => facts.set_uploaded(ask),
        Relayed::Unavailable => return Ok(false),
        Relayed::FromFailed(failure) => return Err(reasons::from_client(failure)),
        Relayed::ToFailed { .. } => {}
    }
    Ok(true)
}
