//! A connection with its receive buffer, in the clear or over TLS. Knows bytes, not messages.

use crate::tls::Tls;
use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use std::io;

/// A stream, and what was received on it but not consumed yet.
pub struct Wire {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    buffer: Vec<u8>,
    consumed: usize,
}

impl Wire {
    /// A wire that holds at most `capacity` received bytes.
    #[must_use]
    pub fn new(stream: TcpStream, tls: Option<Tls>, capacity: usize) -> Self {
        let buffer = Vec::with_capacity(capacity);
        Self { stream, tls: tls.map(Box::new), buffer, consumed: 0 }
    }

    /// What was received and not consumed.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// Marks the first `count` pending bytes as dealt with.
    pub fn consume(&mut self, count: usize) {
        self.consumed = self.buffer.len().min(self.consumed.saturating_add(count));
    }

    /// Receives more; returns how many bytes came, 0 if the peer has closed.
    ///
    /// # Errors
    /// Those of the socket and of TLS; `OutOfMemory` if the buffer is full of bytes that nobody
    /// consumed; `UnexpectedEof` if TLS ended without saying so.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        let (start, end) = (self.buffer.len(), self.buffer.capacity());
        if start == end {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if let Some(tls) = &mut self.tls {
            return tls.fill(&mut self.stream, &mut self.buffer).await;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let (result, slice) = self.stream.read(buffer.slice_mut(start..end)).await;
        self.buffer = slice.into_inner();
        result
    }

    /// Sends all of `bytes` and gives them back.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send<T: IoBuf + AsRef<[u8]> + 'static>(&mut self, bytes: T) -> io::Result<T> {
        if let Some(tls) = &mut self.tls {
            tls.send(&mut self.stream, bytes.as_ref()).await?;
            return Ok(bytes);
        }
        let (result, bytes) = self.stream.write_all(bytes).await;
        result.map(|_| bytes)
    }

    /// Says, where the protocol has a word for it, that nothing more comes.
    pub async fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            _ = tls.finish(&mut self.stream).await; // the connection ends in either case
        }
    }
}
