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

use super::buffer::{Buffer, Size};
use super::socket;
use super::splice::{PIPE_BYTES, Pipe, ROUNDS, Short, call};
use super::stream::{Failure, Stream};

/// What a flood brings each time that it is waited for, at the least.
const FLOOD: usize = 32 << 10;

/// Times in a row that it may bring less before it is none any more.
const EBBS: u32 = 4;

/// How one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectionEnd {
    /// The source ended its side, and the destination was told.
    Finished,
    /// The source failed, or was silent for too long.
    From(Failure),
    /// The destination failed, or took nothing for too long.
    To(Failure),
}

/// One direction between two connections.
#[derive(Debug)]
pub struct Direction<'a> {
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
    Ended(DirectionEnd),
}

impl Direction<'_> {
    /// Moves what is in `buffer`, then everything until the end, which is passed on; `moved` is
    /// told of bytes that the destination took.
    pub async fn run(&self, mut buffer: Buffer, moved: impl Fn(u64)) -> DirectionEnd {
        // Whatever protocol it is may have urgent bytes, behind which a receive ends early.
        self.from.reads_in_pieces();
        if self.from.is_tls() || self.to.is_tls() {
            return Box::pin(self.run_sealed(buffer, moved)).await;
        }
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
                return self.ended(failure).await;
            }
            if buffer.room() > 0 {
                continue;
            }
            // There may be more, which goes in one piece with it.
            buffer.grow(Size::Large.bytes());
            let more = self.from.receive_now(&mut buffer);
            let flood = buffer.room() == 0 && floods;
            if let Err(end) = self.send(&mut buffer, &moved).await {
                return end;
            }
            match more {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    // It is told only once.
                    return self.ended(self.from.explain(Failure::of(&error))).await;
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

    /// The same where the bytes of one side at least are sealed: nothing goes past the session.
    async fn run_sealed(&self, mut buffer: Buffer, moved: impl Fn(u64)) -> DirectionEnd {
        loop {
            let count = buffer.len() as u64;
            if count > 0 {
                self.stuck.set(true);
                let sent = self.to.send_within(&mut buffer, self.stall).await;
                self.stuck.set(false);
                if let Err(failure) = sent {
                    return self.to_failed(failure);
                }
                moved(count);
            }
            // Mostly idle: waits without a buffer.
            drop(std::mem::take(&mut buffer));
            self.touch();
            let received = match self.from.readable().await {
                Ok(()) => {
                    buffer = Buffer::take(Size::Medium);
                    self.from.recv(&mut buffer).await
                }
                Err(failure) => Err(failure),
            };
            if let Err(failure) = received {
                return self.ended(failure).await;
            }
        }
    }

    /// A byte either way keeps both directions alive.
    fn touch(&self) {
        self.from.arm_read(self.idle);
        self.to.arm_read(self.idle);
    }

    async fn ended(&self, failure: Failure) -> DirectionEnd {
        match failure {
            Failure::Closed if self.broken.get() => DirectionEnd::From(Failure::Reset),
            Failure::Closed => {
                self.to.finish().await;
                DirectionEnd::Finished
            }
            failure => DirectionEnd::From(failure),
        }
    }

    fn to_failed(&self, failure: Failure) -> DirectionEnd {
        self.broken.set(true);
        DirectionEnd::To(failure)
    }

    async fn send(&self, buffer: &mut Buffer, moved: &impl Fn(u64)) -> Result<(), DirectionEnd> {
        if buffer.is_empty() {
            return Ok(());
        }
        let count = buffer.len() as u64;
        match socket::send_now(self.to.fd(), buffer.data()) {
            Ok(sent) => buffer.consume(sent),
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
        let Some(pipe) = Pipe::take().ok() else {
            *floods = false;
            return Ebb::Calm;
        };
        let _short = Short::new(self.to);
        let mut flood = Flood { pipe, inside: 0, since: 0, failed: None };
        let (mut rounds, mut ebbs) = (0, 0);
        loop {
            match flood.fill(self.from) {
                Fill::Some => {}
                Fill::Nothing => {
                    ebbs = if flood.since < FLOOD { ebbs + 1 } else { 0 };
                    if ebbs >= EBBS {
                        flood.pipe.keep();
                        return Ebb::Calm;
                    }
                    (flood.since, rounds) = (0, 0);
                    self.touch();
                    if let Err(failure) = self.from.readable().await {
                        return Ebb::Ended(self.ended(failure).await);
                    }
                    continue;
                }
                Fill::Over(failure) => {
                    flood.pipe.keep();
                    return Ebb::Ended(self.ended(failure).await);
                }
                Fill::Unavailable => {
                    *floods = false;
                    return Ebb::Calm;
                }
            }
            match flood.drain(self.to) {
                Ok(0) => rounds = ROUNDS,
                Ok(sent) => {
                    moved(sent);
                    rounds += 1;
                }
                Err(failure) => return Ebb::Ended(self.to_failed(failure)),
            }
            if rounds >= ROUNDS {
                rounds = 0;
                if let Err(end) = self.wait_writable().await {
                    return Ebb::Ended(end);
                }
            }
        }
    }

    async fn wait_writable(&self) -> Result<(), DirectionEnd> {
        self.touch();
        self.stuck.set(true);
        self.to.arm_write(self.stall);
        let writable = self.to.writable().await;
        self.to.disarm_write();
        self.stuck.set(false);
        writable.map_err(|failure| self.to_failed(failure))
    }
}

/// Bytes on their way through a pipe.
struct Flood {
    pipe: Pipe,
    inside: usize,
    /// Bytes since they were last waited for.
    since: usize,
    /// The source's failure, which the kernel tells only once: behind what is in the pipe.
    failed: Option<Failure>,
}

/// What filling a pipe came to.
enum Fill {
    /// There is something to pass on.
    Some,
    /// There is nothing yet, here or at the source.
    Nothing,
    /// The source ended, or failed, and the pipe is empty.
    Over(Failure),
    /// Not for these sockets.
    Unavailable,
}

impl Flood {
    fn fill(&mut self, from: &Stream) -> Fill {
        if self.inside < PIPE_BYTES && self.failed.is_none() {
            match call(from.fd(), self.pipe.write.as_raw_fd(), PIPE_BYTES - self.inside) {
                Ok(0) => self.failed = Some(from.explain(Failure::Closed)),
                Ok(got) => {
                    self.inside += got;
                    self.since += got;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) && self.inside == 0 => {
                    return Fill::Unavailable;
                }
                Err(error) => self.failed = Some(from.explain(Failure::of(&error))),
            }
        }
        match self.failed {
            _ if self.inside > 0 => Fill::Some,
            Some(failure) => Fill::Over(failure),
            None => Fill::Nothing,
        }
    }

    /// Passes on what the destination takes at once; 0: it must be waited for.
    fn drain(&mut self, to: &Stream) -> Result<u64, Failure> {
        match call(self.pipe.read.as_raw_fd(), to.fd(), self.inside) {
            Ok(sent) => {
                self.inside -= sent.min(self.inside);
                Ok(sent as u64)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(to.explain(Failure::of(&error))),
        }
    }
}
