//! An upgraded connection: bytes both ways, unseen, until both sides have ended theirs.

use std::pin::pin;
use std::time::Duration;

use super::answer::Buffers;
use super::exchange::{Ask, Ending, Facts};
use super::{response, sticky};
use crate::http::ResponseHead;
use crate::net::{Buffer, Failure, Size, Stream, both};
use crate::stats::{Counter, Reason, Row};

/// Passes the 101 on, then everything.
pub(super) async fn run(
    ask: &Ask<'_>,
    upstream: &Stream,
    received: &mut Buffer,
    head: &ResponseHead,
    mut buffers: Buffers,
    facts: &Facts,
) -> Result<Ending, Reason> {
    ask.context.row.add(Counter::Tunnels, 1);
    facts.status.set(101);
    upstream.work_for(None);
    response::write_interim(buffers.out.tail(), head, head.upgrade(), |out| {
        sticky::write(out, ask, facts);
    });
    buffers.send_out(ask, facts).await?;
    let (to_member, to_client) = (std::mem::take(received), std::mem::take(&mut buffers.input));
    drop(buffers);
    let idle = ask.listener.timeouts.tunnel;
    let row = &ask.context.row;
    let up = Direction { from: ask.stream, to: upstream, idle, row, counter: Counter::BytesIn };
    let down = Direction { from: upstream, to: ask.stream, idle, row, counter: Counter::BytesOut };
    let (up, down) = (pin!(up.relay(to_member)), pin!(down.relay(to_client)));
    let (_, sent) = both(up, down).await;
    facts.sent.set(sent);
    Ok(Ending::Close)
}

struct Direction<'a> {
    from: &'a Stream,
    to: &'a Stream,
    idle: Duration,
    row: &'a Row,
    counter: Counter,
}

impl Direction<'_> {
    /// A byte either way keeps both directions alive.
    fn touch(&self) {
        self.from.arm_read(self.idle);
        self.to.arm_read(self.idle);
    }

    /// Moves everything until the end, which is passed on; returns how many bytes.
    async fn relay(&self, mut buffer: Buffer) -> u64 {
        let mut total = 0;
        loop {
            if !buffer.is_empty() {
                total += buffer.len() as u64;
                self.row.add(self.counter, buffer.len() as u64);
                self.touch();
                self.to.arm_write(self.idle);
                if self.to.send(&mut buffer).await.is_err() {
                    // Whatever the peer still says has nowhere to go.
                    self.from.shutdown();
                    return total;
                }
                self.to.disarm_write();
            }
            // Mostly idle: waits without a buffer.
            drop(std::mem::take(&mut buffer));
            self.touch();
            let received = match self.from.readable().await {
                Ok(()) => {
                    buffer = Buffer::take(Size::Medium);
                    self.from.recv(&mut buffer).await.map(|_| ())
                }
                Err(failure) => Err(failure),
            };
            match received {
                Ok(()) => {}
                Err(Failure::Closed) => {
                    self.to.finish().await;
                    return total;
                }
                Err(_) => {
                    self.to.shutdown();
                    return total;
                }
            }
        }
    }
}
