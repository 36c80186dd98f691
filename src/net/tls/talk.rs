//! A conversation in TLS with a member for those who move its bytes themselves: the control
//! thread's probes.

use std::io::{BufRead, Write};

use rustls::ClientConnection;

use super::client::{TlsFault, TlsPeer};

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// So many bytes were appended.
    Bytes(usize),
    /// Nothing yet: more must be received.
    Nothing,
    /// The member has said that it says nothing more.
    End,
}

/// A conversation: sealed bytes in and out, plain bytes out and in.
#[derive(Debug)]
pub struct Talk {
    connection: ClientConnection,
}

impl Talk {
    /// Begins one.
    ///
    /// # Errors
    /// The library refused.
    pub fn new(peer: &TlsPeer) -> Result<Self, TlsFault> {
        let mut connection = peer.connection().map_err(|error| TlsFault::of(&error))?;
        connection.set_buffer_limit(None);
        Ok(Self { connection })
    }

    /// Whether there is more to be done before anything is said.
    #[must_use]
    pub fn is_beginning(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes what was received; nothing: the connection has ended.
    ///
    /// # Errors
    /// What is wrong with it. What is still to be sent says so to the member.
    pub fn receive(&mut self, mut sealed: &[u8]) -> Result<(), TlsFault> {
        loop {
            let taken = self.connection.read_tls(&mut sealed);
            self.connection.process_new_packets().map_err(|error| TlsFault::of(&error))?;
            match taken {
                Ok(count) if count > 0 && !sealed.is_empty() => {}
                Ok(_) => return Ok(()),
                // More plain bytes wait than are kept: to be read first.
                Err(_) => return Err(TlsFault::Handshake),
            }
        }
    }

    /// Reads what was said, into `plain`.
    pub fn read(&mut self, plain: &mut Vec<u8>) -> Heard {
        let mut total = 0;
        let mut reader = self.connection.reader();
        loop {
            match reader.fill_buf() {
                Ok(&[]) if total == 0 => return Heard::End,
                Ok(&[]) => return Heard::Bytes(total),
                Ok(chunk) => {
                    let count = chunk.len();
                    plain.extend_from_slice(chunk);
                    reader.consume(count);
                    total += count;
                }
                Err(_) if total == 0 => return Heard::Nothing,
                Err(_) => return Heard::Bytes(total),
            }
        }
    }

    /// Says something.
    pub fn write(&mut self, plain: &[u8]) {
        // A conversation that has failed fails where it is read.
        _ = self.connection.writer().write_all(plain);
    }

    /// What is to be sent.
    pub fn to_send(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.connection.wants_write() {
            // Into a vector, which takes everything.
            _ = self.connection.write_tls(&mut sealed);
        }
        sealed
    }
}
