//! Bytes from one connection to another, unseen, until the end: small pieces by copying, floods
//! without a copy.
//!
//! A direction that waits holds a small buffer. What fills it shows that there is more, which is
//! fetched by direct calls into a large one; what fills that one is a flood, and goes by splice(2)
//! until it ebbs. Sending is a direct call, too: mostly the socket takes everything, and an
//! operation of the ring would cost another turn of the loop.

use std::cell::Cell;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use monoio::buf::IoBufMut;

use super::buffer::{Buffer, Size};
use super::splice::{PIPE_BYTES, Pipe, ROUNDS, call};
use super::stream::{Failure, Stream};

/// What a flood brings each time that it is waited for, at the least.
const FLOOD: usize = 32 << 10;

/// Times in a row that it may bring less before it is none any more.
const EBBS: u32 = 4;

/// How one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// The source ended its side, and the destination was told.
    Finished,
    /// The source failed, or was silent for too long.
    From(Failure),
    /// The destination failed, or took nothing for too long.
    To(Failure),
}

/// One direction between two connections.
#[derive(Debug)]
pub struct Flow<'a> {
    /// The source.
    pub from: &'a Stream,
    /// The destination.
    pub to: &'a Stream,
    /// For a byte in either direction.
    pub idle: Duration,
    /// For the destination to take something.
    pub stall: Duration,
    /// Shared by both directions: one of them met a connection that is broken. An end of the
    /// stream is then no clean one.
    pub broken: &'a Cell<bool>,
    /// This direction waits for the destination to take something.
    pub stuck: &'a Cell<bool>,
}

/// How a flood ended.
enum Ebb {
    /// There is less to move, or nothing to move it by.
    Calm,
    Ended(FlowEnd),
}

impl Flow<'_> {
    /// Moves what is in `buffer`, then everything until the end, which is passed on; `moved` is
    /// told of bytes that the destination took.
    pub async fn run(&self, mut buffer: Buffer, moved: impl Fn(u64)) -> FlowEnd {
        let mut floods = true;
        loop {
            if let Err(end) = self.send(&mut buffer, &moved).await {
                return end;
            }
            if buffer.capacity() != Size::Small.bytes() {
                buffer = Buffer::take(Size::Small);
            }
            self.touch();
            if let Err(failure) = self.from.recv(&mut buffer).await {
                return self.ended(failure);
            }
            if buffer.room() > 0 {
                continue;
            }
            // There may be more, which goes in one piece with it.
            buffer.grow(Size::Large.bytes());
            let more = receive_now(self.from, &mut buffer);
            let flood = buffer.room() == 0 && floods;
            if let Err(end) = self.send(&mut buffer, &moved).await {
                return end;
            }
            match more {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    // It is told only once.
                    return self.ended(self.from.explain(Failure::of(&error)));
                }
                // An end of the stream is told again.
                _ if !flood => {}
                _ => {
                    buffer = Buffer::default();
                    // Rare, and large: kept out of every connection's memory.
                    if let Ebb::Ended(end) = Box::pin(self.flood(&mut floods, &moved)).await {
                        return end;
                    }
                }
            }
        }
    }

    /// A byte either way keeps both directions alive.
    fn touch(&self) {
        self.from.arm_read(self.idle);
        self.to.arm_read(self.idle);
    }

    fn ended(&self, failure: Failure) -> FlowEnd {
        match failure {
            Failure::Closed if self.broken.get() => FlowEnd::From(Failure::Reset),
            Failure::Closed => {
                self.to.finish();
                FlowEnd::Finished
            }
            failure => FlowEnd::From(failure),
        }
    }

    fn to_failed(&self, failure: Failure) -> FlowEnd {
        self.broken.set(true);
        FlowEnd::To(failure)
    }

    async fn send(&self, buffer: &mut Buffer, moved: &impl Fn(u64)) -> Result<(), FlowEnd> {
        if buffer.is_empty() {
            return Ok(());
        }
        let count = buffer.len() as u64;
        match send_now(self.to, buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(self.to_failed(self.to.explain(Failure::of(&error)))),
        }
        if !buffer.is_empty() {
            self.stuck.set(true);
            let waited = Box::pin(self.to.send_within(buffer, self.stall)).await;
            self.stuck.set(false);
            waited.map_err(|failure| self.to_failed(failure))?;
        }
        moved(count);
        Ok(())
    }

    /// Moves by splice until the flood ebbs; `floods` becomes false where the kernel will not.
    async fn flood(&self, floods: &mut bool, moved: &impl Fn(u64)) -> Ebb {
        // Without it splice(2) would wait, and the whole worker with it.
        let ready = self.from.make_nonblocking() && self.to.make_nonblocking();
        let Some(pipe) = Pipe::take().ok().filter(|_| ready) else {
            *floods = false;
            return Ebb::Calm;
        };
        let (mut inside, mut rounds, mut ebbs, mut since) = (0usize, 0, 0, 0usize);
        let mut failed = None;
        loop {
            if let (Some(failure), 0) = (failed, inside) {
                return Ebb::Ended(self.ended(failure));
            }
            if inside < PIPE_BYTES && failed.is_none() {
                match call(self.from.fd(), pipe.write.as_raw_fd(), PIPE_BYTES - inside) {
                    Ok(0) if inside == 0 => {
                        pipe.keep();
                        let failure = self.from.explain(Failure::Closed);
                        return Ebb::Ended(self.ended(failure));
                    }
                    // What is in the pipe still goes out; the next round meets the end again.
                    Ok(0) => {}
                    Ok(got) => {
                        inside += got;
                        since += got;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && inside == 0 => {
                        ebbs = if since < FLOOD { ebbs + 1 } else { 0 };
                        if ebbs >= EBBS {
                            pipe.keep();
                            return Ebb::Calm;
                        }
                        (since, rounds) = (0, 0);
                        self.touch();
                        if let Err(failure) = self.from.readable().await {
                            return Ebb::Ended(self.ended(failure));
                        }
                        continue;
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) && inside == 0 => {
                        *floods = false;
                        return Ebb::Calm;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // It is told only once, and what is in the pipe still goes out.
                    Err(error) => {
                        failed = Some(self.from.explain(Failure::of(&error)));
                        continue;
                    }
                }
            }
            match call(pipe.read.as_raw_fd(), self.to.fd(), inside) {
                Ok(sent) => {
                    inside -= sent.min(inside);
                    moved(sent as u64);
                    rounds += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => rounds = ROUNDS,
                Err(error) => {
                    let failure = self.to.explain(Failure::of(&error));
                    return Ebb::Ended(self.to_failed(failure));
                }
            }
            if rounds >= ROUNDS {
                rounds = 0;
                self.touch();
                self.stuck.set(true);
                self.to.arm_write(self.stall);
                if let Err(failure) = self.to.writable().await {
                    return Ebb::Ended(self.to_failed(failure));
                }
                self.to.disarm_write();
                self.stuck.set(false);
            }
        }
    }
}

/// Sends what the socket takes at once.
fn send_now(to: &Stream, buffer: &mut Buffer) -> io::Result<()> {
    let data = buffer.data();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: pointer and length are of one live slice, which the kernel only reads.
    let sent = unsafe { libc::send(to.fd(), data.as_ptr().cast(), data.len(), flags) };
    let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
    buffer.consume(sent);
    Ok(())
}

/// Receives what is there into the room of `buffer`; 0: nothing more will come.
fn receive_now(from: &Stream, buffer: &mut Buffer) -> io::Result<usize> {
    let (room, at) = (buffer.bytes_total(), buffer.write_ptr());
    // SAFETY: `room` bytes from `at` on are writable and belong to `buffer`.
    let got = unsafe { libc::recv(from.fd(), at.cast(), room, libc::MSG_DONTWAIT) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel wrote that many bytes there.
    unsafe { buffer.set_init(got) };
    Ok(got)
}
