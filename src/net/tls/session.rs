//! The TLS state of one connection: sealed bytes in, plain bytes out, and the other way round.
//! Does no I/O but for calls that never wait.
//!
//! The two directions may be used side by side by the two halves of one task. Nothing here is
//! borrowed while an operation is under way; only the sending half starts operations on what is to
//! be sent. What the receiving half has to say (a key update, a ticket, an alert) goes out with the
//! next bytes of the sending half, or by a direct call while that is not sending: records never
//! interleave.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Write};
use std::os::fd::RawFd;

use rustls::Connection;

use super::records::Records;
use crate::net::buffer::{Buffer, Size};
use crate::net::socket;
use crate::net::stream::Failure;

/// Plain bytes that are sealed into one send: four records of the largest size.
const SEALED_AT_ONCE: usize = 64 << 10;

/// A record's overhead at the most, and the plain bytes in it at the most.
const OVERHEAD: usize = 40;
const RECORD: usize = 16 << 10;

/// The state of one connection.
#[derive(Debug)]
pub(in crate::net) struct Session {
    connection: RefCell<Connection>,
    /// Received and not yet digested.
    incoming: RefCell<Buffer>,
    /// Sealed and not yet sent.
    outgoing: RefCell<Buffer>,
    /// An operation is under way with what was in `outgoing`.
    sending: Cell<bool>,
    /// Where the digested bytes stand.
    records: Cell<Records>,
    /// The peer broke the protocol; nothing can be received any more.
    broken: Cell<bool>,
}

/// What can be received, seen without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Pulled {
    /// Plain bytes.
    Bytes,
    /// Nothing, and no record is outstanding.
    Nothing,
    /// Nothing yet: a part of a record.
    Part,
    /// The end, or an error.
    Over,
}

impl Session {
    pub(super) fn new(connection: impl Into<Connection>, incoming: Buffer) -> Self {
        let mut connection = connection.into();
        // The bound is `SEALED_AT_ONCE`.
        connection.set_buffer_limit(None);
        Self {
            connection: RefCell::new(connection),
            incoming: RefCell::new(incoming),
            outgoing: RefCell::default(),
            sending: Cell::new(false),
            records: Cell::default(),
            broken: Cell::new(false),
        }
    }

    /// Reads what is known of the connection.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Connection) -> T) -> T {
        look(&self.connection.borrow())
    }

    /// Digests what was received, until plain bytes are there or nothing is left.
    pub(super) fn digest(&self) -> Result<(), rustls::Error> {
        let (mut connection, mut incoming) =
            (self.connection.borrow_mut(), self.incoming.borrow_mut());
        let mut records = self.records.get();
        let mut result = Ok(());
        while !incoming.is_empty() {
            let mut rest = incoming.data();
            let taken = match connection.read_tls(&mut rest) {
                // What comes behind a close_notify does not count.
                Ok(0) if !connection.wants_read() => incoming.len(),
                Ok(taken) => taken,
                Err(_) => 0,
            };
            if taken == 0 {
                // More plain bytes are there than are kept; nothing else should hold it up.
                self.broken.set(connection.reader().fill_buf().is_err());
                break;
            }
            records.pass(incoming.data().get(..taken).unwrap_or_default());
            incoming.consume(taken);
            match connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => break,
                Ok(_) => {}
                Err(error) => {
                    self.broken.set(true);
                    result = Err(error);
                    break;
                }
            }
        }
        self.records.set(records);
        if incoming.is_empty() {
            // The buffer goes back to the free list.
            *incoming = Buffer::default();
        }
        result
    }

    /// Moves plain bytes into the room of `buffer`, as many as there are; `None`: more must be
    /// received first.
    pub(in crate::net) fn open(&self, buffer: &mut Buffer) -> Option<Result<usize, Failure>> {
        let mut total = 0;
        loop {
            {
                let mut connection = self.connection.borrow_mut();
                let mut reader = connection.reader();
                while buffer.room() > 0 {
                    // No more for now, the end, or an unexpected one: asked for below.
                    let Ok(chunk) = reader.fill_buf() else { break };
                    let count = chunk.len().min(buffer.room());
                    if count == 0 {
                        break;
                    }
                    buffer.tail().extend_from_slice(chunk.get(..count).unwrap_or_default());
                    reader.consume(count);
                    total += count;
                }
            }
            if buffer.room() == 0 || self.broken.get() || self.incoming.borrow().is_empty() {
                break;
            }
            let before = self.incoming.borrow().len();
            if let Err(error) = self.digest() {
                tracing::debug!(%error, "TLS");
            } else if self.incoming.borrow().len() == before {
                break;
            }
        }
        if total > 0 {
            return Some(Ok(total));
        }
        if self.is_closed() {
            return Some(Err(Failure::Closed));
        }
        self.broken.get().then_some(Err(Failure::Reset))
    }

    /// Whether the peer said that it sends nothing more.
    fn is_closed(&self) -> bool {
        matches!(self.connection.borrow_mut().reader().fill_buf(), Ok(&[]))
    }

    /// Whether something can be received without receiving anything from the socket.
    pub(in crate::net) fn is_readable(&self) -> bool {
        self.broken.get()
            || !self.incoming.borrow().is_empty()
            // Bytes, or the end.
            || self.connection.borrow_mut().reader().fill_buf().is_ok()
    }

    /// Receives by `receive`, into a buffer of a size that suits the room for plain bytes: that of the
    /// plain bytes itself if there are none, so that there is one and not two.
    pub(in crate::net) fn receive_by(
        &self,
        plain: &mut Buffer,
        receive: impl FnOnce(&mut Buffer) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let lent = plain.is_empty();
        let mut sealed = if lent {
            std::mem::take(plain)
        } else {
            Buffer::take(match plain.room() {
                n if n <= Size::Small.bytes() => Size::Small,
                n if n <= Size::Medium.bytes() => Size::Medium,
                _ => Size::Large,
            })
        };
        let result = receive(&mut sealed);
        if !sealed.is_empty() {
            if lent {
                *plain = Buffer::holding(sealed.capacity());
            }
            self.put(sealed);
        } else if lent {
            *plain = sealed;
        }
        result
    }

    /// Takes what was received.
    pub(in crate::net) fn put(&self, received: Buffer) {
        *self.incoming.borrow_mut() = received;
    }

    /// Looks for plain bytes without waiting. Nothing may be under way in the receiving direction.
    pub(in crate::net) fn pull(&self, fd: RawFd) -> Pulled {
        loop {
            if self.broken.get() {
                return Pulled::Over;
            }
            match self.connection.borrow_mut().reader().fill_buf() {
                Ok(&[]) => return Pulled::Over,
                Ok(_) => return Pulled::Bytes,
                Err(_) => {}
            }
            if self.incoming.borrow().is_empty() {
                let mut buffer = Buffer::take(Size::Medium);
                match socket::receive_now(fd, &mut buffer) {
                    Ok(0) => return Pulled::Over,
                    Ok(_) => self.put(buffer),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let whole = self.records.get().at_boundary();
                        return if whole { Pulled::Nothing } else { Pulled::Part };
                    }
                    Err(_) => return Pulled::Over,
                }
            }
            // An error shows in the next round.
            _ = self.digest();
        }
    }

    /// Seals what is in hand of `plain`, up to a bound, behind whatever waits to be sent; the bytes
    /// to send now, to be given back by [`Session::sent`]. `None`: everything is sent.
    pub(in crate::net) fn seal(&self, plain: &mut Buffer) -> Result<Option<Buffer>, Failure> {
        let mut outgoing = self.outgoing.take();
        if outgoing.is_empty() {
            let count = plain.len().min(SEALED_AT_ONCE);
            outgoing = self.collect(plain.data().get(..count).unwrap_or_default())?;
            plain.consume(count);
        }
        self.sending.set(!outgoing.is_empty());
        Ok((!outgoing.is_empty()).then_some(outgoing))
    }

    /// Takes back what is left of the bytes that were to be sent.
    pub(in crate::net) fn sent(&self, left: Buffer) {
        *self.outgoing.borrow_mut() = left;
        self.sending.set(false);
    }

    /// All that is to be sent: what waits, then `plain`.
    fn collect(&self, plain: &[u8]) -> Result<Buffer, Failure> {
        let mut connection = self.connection.borrow_mut();
        if plain.is_empty() && !connection.wants_write() {
            return Ok(Buffer::default());
        }
        let mut sealed = Buffer::holding(plain.len() + (plain.len() / RECORD + 2) * OVERHEAD);
        // Record by record: each is copied while the processor has it at hand.
        let mut pieces = plain.chunks(RECORD);
        loop {
            let piece = pieces.next();
            if let Some(piece) = piece {
                connection.writer().write_all(piece).map_err(|_| Failure::Reset)?;
            }
            while connection.wants_write() {
                // Into a vector, which takes everything.
                _ = connection.write_tls(sealed.tail());
            }
            if piece.is_none() {
                return Ok(sealed);
            }
        }
    }

    /// Sends what waits as far as that needs no waiting.
    pub(in crate::net) fn flush_now(&self, fd: RawFd) {
        if self.sending.get() {
            return;
        }
        let mut outgoing = self.outgoing.borrow_mut();
        loop {
            if outgoing.is_empty() {
                match self.collect(&[]) {
                    Ok(more) if !more.is_empty() => *outgoing = more,
                    _ => return,
                }
            }
            match socket::send_now(fd, outgoing.data()) {
                Ok(count) if count > 0 => outgoing.consume(count),
                // It goes with the next bytes; on a connection that is gone, nothing does.
                _ => return,
            }
        }
    }

    /// Tells the peer that nothing more will be sent; to be flushed.
    pub(in crate::net) fn close(&self) {
        self.connection.borrow_mut().send_close_notify();
    }

    /// Whether something waits to be sent.
    pub(in crate::net) fn wants_send(&self) -> bool {
        !self.outgoing.borrow().is_empty() || self.connection.borrow().wants_write()
    }

    /// The last word of a connection that ends cleanly, if it can be said without waiting.
    pub(in crate::net) fn farewell(&self, fd: RawFd) {
        // Whoever was cut in the middle of a record, or is reset, must not look complete.
        if self.sending.get() || std::thread::panicking() || socket::resets_on_close(fd) {
            return;
        }
        self.close();
        self.flush_now(fd);
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.borrow().is_handshaking()
    }
}
