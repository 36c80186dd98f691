//! A connection: receive, send, deadlines, and why it failed. Whether of TCP or of a Unix socket makes no
//! difference but for `dial.rs`: all calls are on the descriptor.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

use socket2::SockRef;

use super::buffer::{Buffer, Size};
use super::deadline::{self, Cause, Deadlines};
use super::pace::Pace;
use super::reactor::{self, Side, Source};
use super::tls::TlsFault;
use super::tls::session::{Pulled, Session};
use super::{runtime, socket};

/// Why an operation on a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer ended its side cleanly.
    Closed,
    /// The connection is broken: reset, or written to after the peer closed it.
    Reset,
    /// A deadline passed.
    TimedOut,
    /// The client that the connection works for left.
    Gone,
    /// The peer stayed behind the pace that is asked of it.
    TooSlow,
    /// Nobody listens there.
    Refused,
    /// No file descriptors are left.
    NoDescriptors,
    /// It is not who it should be, or speaks no TLS that we understand.
    Tls(TlsFault),
    /// Anything else: the system's error number.
    Other(i32),
}

impl Failure {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED | libc::ENOTCONN) => {
                Self::Reset
            }
            Some(libc::ETIMEDOUT) => Self::TimedOut,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Self::NoDescriptors,
            Some(errno) => Self::Other(errno),
            None => Self::Other(0),
        }
    }
}

/// A connection. All methods take `&self`: the two directions may be used side by side by the two
/// halves of one task, but each direction by one of them only.
#[derive(Debug)]
pub struct Stream {
    // Dropped first: the sweep must forget the descriptor before it is closed.
    deadlines: Deadlines,
    source: Source,
    /// Fewer bytes than there was room for do not mean that there are no more.
    pieces: Cell<bool>,
    /// What lies between the bytes of the socket and those of the methods, if anything does.
    pub(super) tls: Option<Box<Session>>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            tls.farewell(self.fd());
        }
    }
}

/// How long a peer may take to take the end of our side.
const FAREWELL: Duration = Duration::from_secs(2);

impl Stream {
    pub(super) fn new(source: Source) -> Self {
        let deadlines = Deadlines::new(source.fd());
        Self { deadlines, source, pieces: Cell::new(false), tls: None }
    }

    /// A receive may end where more is there: on a Unix socket at what comes with the bytes, with TCP
    /// at an urgent one. (HTTP has no use for these: who sends one may wait for its own next bytes.)
    pub(super) fn reads_in_pieces(&self) {
        self.pieces.set(true);
    }

    /// Leaves this worker's loop, for another's. No operation may be under way, and nothing may have been
    /// received that was not handed out; with TLS it stays.
    ///
    /// # Errors
    /// The connection: no descriptor is left to take it along with.
    pub fn leave(self) -> Result<OwnedFd, Self> {
        if self.tls.is_some() {
            return Err(self);
        }
        self.source.copy_out().map_err(|_| self)
    }

    /// A connection that has left another worker's loop.
    ///
    /// # Errors
    /// This loop could not take it.
    pub fn join(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(Source::new(socket)))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.source.fd()
    }

    /// What really happened, if the sweep had a hand in it.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match self.deadlines.cause() {
            Some(Cause::TimedOut) => Failure::TimedOut,
            Some(Cause::Gone) => Failure::Gone,
            Some(Cause::TooSlow) => Failure::TooSlow,
            None => failure,
        }
    }

    /// Receives at least one byte into the room of `buffer`, and says how many. May be dropped at any
    /// time: no byte is taken from the kernel while it waits. An empty buffer has no memory then, and
    /// a small one's behind it if it had none before.
    ///
    /// # Errors
    /// [`Failure::Closed`] at the end of the stream. `buffer` keeps what it had.
    pub async fn recv(&self, buffer: &mut Buffer) -> Result<usize, Failure> {
        if buffer.capacity() == 0 {
            *buffer = Buffer::take(Size::Small);
        }
        debug_assert!(buffer.room() > 0, "receiving into a full buffer reads as an end of file");
        loop {
            // Each time: a peer may send records without end that have nothing in them.
            reactor::share().await;
            if let Some(tls) = &self.tls {
                if let Some(result) = tls.open(buffer) {
                    return result.map_err(|failure| self.explain(failure));
                }
                tls.flush_now(self.fd());
            }
            if !self.source.may_read() {
                let memory = if buffer.is_empty() { buffer.lay_down() } else { 0 };
                let ready = self.source.wait(Side::Read).await;
                if memory > 0 {
                    *buffer = Buffer::holding(memory);
                }
                ready.map_err(|error| self.explain(Failure::of(&error)))?;
            }
            let result = match &self.tls {
                None => self.receive_now(buffer),
                Some(tls) => tls.receive_by(buffer, |sealed| self.receive_now(sealed)),
            };
            match (result, &self.tls) {
                (Ok(0), None) => return Err(self.explain(Failure::Closed)),
                // The peer did not say that this is the end: something may have been cut off.
                (Ok(0), Some(_)) => return Err(self.explain(Failure::Reset)),
                (Ok(count), None) => return Ok(count),
                (Ok(_), Some(_)) => {}
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
                (Err(error), _) => return Err(self.explain(Failure::of(&error))),
            }
        }
    }

    /// Receives without waiting; `WouldBlock`: there is nothing.
    pub(super) fn receive_now(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let result = socket::receive_now(self.fd(), buffer);
        match &result {
            Ok(_) => {
                runtime::completed();
                if buffer.room() > 0 && !self.pieces.get() {
                    self.source.drained();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.source.exhausted(Side::Read);
            }
            Err(_) => {}
        }
        result
    }

    /// Receives at least one byte for the session, which may not be enough for it.
    pub(super) async fn receive_sealed(&self, session: &Session) -> Result<(), Failure> {
        reactor::share().await;
        loop {
            if !self.source.may_read() {
                let ready = self.source.wait(Side::Read).await;
                ready.map_err(|error| self.explain(Failure::of(&error)))?;
            }
            let mut sealed = Buffer::take(Size::Medium);
            match self.receive_now(&mut sealed) {
                Ok(0) => return Err(self.explain(Failure::Closed)),
                Ok(_) => {
                    session.put(sealed);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.explain(Failure::of(&error))),
            }
        }
    }

    /// Sends all bytes in hand of `buffer`, which is then empty.
    ///
    /// # Errors
    /// What the kernel or the sweep said; some bytes may have been sent.
    pub async fn send(&self, buffer: &mut Buffer) -> Result<(), Failure> {
        loop {
            let Some(tls) = &self.tls else {
                while !buffer.is_empty() {
                    self.send_some(buffer).await?;
                }
                return Ok(());
            };
            let Some(mut sealed) = tls.seal(buffer)? else { return Ok(()) };
            let result = self.send_some(&mut sealed).await;
            tls.sent(sealed);
            result?;
        }
    }

    /// Sends what goes without waiting, which mostly is all; false if something is left to be sent.
    fn send_at_once(&self, buffer: &mut Buffer) -> Result<bool, Failure> {
        if self.tls.is_some() || buffer.is_empty() || !reactor::may_go_on() {
            return Ok(false);
        }
        match socket::send_now(self.fd(), buffer.data()) {
            Ok(count) => {
                buffer.consume(count);
                runtime::completed();
                Ok(buffer.is_empty())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(self.explain(Failure::of(&error))),
        }
    }

    /// Sends at least one of the bytes in hand.
    async fn send_some(&self, buffer: &mut Buffer) -> Result<(), Failure> {
        reactor::share().await;
        loop {
            match socket::send_now(self.fd(), buffer.data()) {
                Ok(0) => return Err(self.explain(Failure::Reset)),
                Ok(count) => {
                    buffer.consume(count);
                    runtime::completed();
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.exhausted(Side::Write);
                    let ready = self.source.wait(Side::Write).await;
                    ready.map_err(|error| self.explain(Failure::of(&error)))?;
                }
                Err(error) => return Err(self.explain(Failure::of(&error))),
            }
        }
    }

    /// Waits until something can be received (data, the end, or an error), without a buffer.
    ///
    /// # Errors
    /// What the sweep or the kernel said. May be dropped at any time: it takes no bytes.
    pub async fn readable(&self) -> Result<(), Failure> {
        reactor::share().await;
        if let Some(tls) = &self.tls {
            if tls.is_readable() {
                return Ok(());
            }
            tls.flush_now(self.fd());
        }
        let result = self.source.readable().await;
        runtime::completed();
        self.check(&result)
    }

    /// Waits until the peer has closed its side or is gone. Ends for no other reason: not when it
    /// sends something. May be dropped at any time.
    pub async fn ended(&self) {
        while self.readable().await.is_ok() {
            let over = match &self.tls {
                None => socket::is_over(self.fd()),
                Some(tls) => match tls.pull(self.fd()) {
                    Pulled::Over => true,
                    Pulled::Bytes => false,
                    // Nothing that was meant for us.
                    Pulled::Nothing | Pulled::Part => continue,
                },
            };
            if over {
                return;
            }
            // A further request. What comes behind it is not seen from here.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until something can be sent.
    ///
    /// # Errors
    /// As [`Stream::readable`].
    pub(super) async fn writable(&self) -> Result<(), Failure> {
        reactor::share().await;
        let result = self.source.writable().await;
        runtime::completed();
        self.check(&result)
    }

    fn check(&self, result: &io::Result<()>) -> Result<(), Failure> {
        match (self.deadlines.cause(), result) {
            (None, Ok(())) => Ok(()),
            (_, Err(error)) => Err(self.explain(Failure::of(error))),
            (Some(_), Ok(())) => Err(self.explain(Failure::Closed)),
        }
    }

    /// The peer must let us receive something within `span` from now.
    pub fn arm_read(&self, span: Duration) {
        self.deadlines.arm_read(span);
    }

    /// As [`Stream::arm_read`], for a request that may never come: [`super::hurry_idle`] shortens it.
    pub fn arm_idle(&self, span: Duration) {
        self.deadlines.arm_idle(span);
    }

    /// Receiving may take any time.
    pub fn disarm_read(&self) {
        self.deadlines.disarm_read();
    }

    /// The peer must let us send something within `span` from now.
    pub fn arm_write(&self, span: Duration) {
        self.deadlines.arm_write(span);
    }

    /// Sending may take any time.
    pub fn disarm_write(&self) {
        self.deadlines.disarm_write();
    }

    /// From now on this connection works for `client` (or for nobody): if the client leaves, it is
    /// shut down within about two seconds and its operations fail with [`Failure::Gone`].
    ///
    /// Must be taken back before `client` is closed.
    pub fn work_for(&self, client: Option<&Self>) {
        self.deadlines.work_for(client.map(Self::fd));
    }

    /// Something arrived: the client that this connection works for is being answered.
    pub(super) fn progressed(&self) {
        self.deadlines.progressed();
    }

    /// The peer must send, and take, so many bytes a second while it is waited for, and may stay
    /// behind by `grace`; else its operations fail with [`Failure::TooSlow`].
    pub fn ask_pace(&self, bytes: u32, grace: Duration) {
        self.deadlines.ask_pace(Some(Box::new(Pace::new(bytes, grace))));
    }

    /// The peer may be as slow as deadlines allow.
    pub fn waive_pace(&self) {
        self.deadlines.ask_pace(None);
    }

    /// [`Stream::send`], of which something must be taken every `stall`.
    ///
    /// # Errors
    /// As [`Stream::send`].
    pub async fn send_within(&self, buffer: &mut Buffer, stall: Duration) -> Result<(), Failure> {
        if self.send_at_once(buffer)? {
            return Ok(());
        }
        self.arm_write(stall);
        let sent = self.send(buffer).await;
        self.disarm_write();
        sent
    }

    /// [`Stream::recv`], which must bring something within `silence`. Whoever drops it must call
    /// [`Stream::disarm_read`].
    ///
    /// # Errors
    /// As [`Stream::recv`].
    pub async fn recv_within(
        &self,
        buffer: &mut Buffer,
        silence: Duration,
    ) -> Result<usize, Failure> {
        self.arm_read(silence);
        let received = self.recv(buffer).await;
        self.disarm_read();
        received
    }

    /// Ends our sending side; the peer reads an end of file behind what was sent.
    pub async fn finish(&self) {
        self.say_end().await;
        socket::shutdown_write(self.fd());
    }

    /// Tells the peer, where the protocol has words for it, that nothing more will be sent.
    pub async fn say_end(&self) {
        let Some(tls) = &self.tls else { return };
        tls.close();
        tls.flush_now(self.fd());
        if tls.wants_send() {
            // Rare, and large: kept out of every connection's memory. If it fails, the peer sees
            // an end that was not announced.
            _ = Box::pin(self.send_within(&mut Buffer::default(), FAREWELL)).await;
        }
    }

    /// Whether its bytes are sealed.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Ends both directions at once; pending operations fail.
    pub fn shutdown(&self) {
        socket::shutdown_both(self.fd());
    }

    /// When dropped, the connection is reset rather than ended cleanly.
    pub fn reset_on_drop(&self) {
        socket::reset_on_close(self.fd());
    }

    /// Whether nothing can be received: neither data nor an end. An idle connection is then still
    /// open as far as this host knows.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match &self.tls {
            None => socket::is_quiet(self.fd()),
            Some(tls) => tls.pull(self.fd()) == Pulled::Nothing,
        }
    }

    /// Whether all that the peer sent so far was received, be it still there or not: closing the connection then
    /// does not reset it.
    #[must_use]
    pub fn is_read_out(&self) -> bool {
        match &self.tls {
            None => socket::is_empty(self.fd()),
            Some(tls) => matches!(tls.pull(self.fd()), Pulled::Nothing | Pulled::Over),
        }
    }

    /// As [`Stream::is_quiet`], as far as the kernel has told this worker already, which costs no
    /// system call: what came before whatever the worker is busy with now has been told.
    #[must_use]
    pub fn was_quiet(&self) -> bool {
        (self.tls.is_none() && self.source.is_told_quiet()) || self.is_quiet()
    }

    /// The address that the client connected to.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        SockRef::from(&self.source).local_addr().ok()?.as_socket()
    }

    /// This worker's tick now, to age idle connections by.
    #[must_use]
    pub fn tick() -> u32 {
        deadline::now()
    }

    /// Sets this thread's tick, for the simulation.
    #[cfg(test)]
    pub(crate) fn set_tick(tick: u32) {
        deadline::set_now(tick);
    }
}
