//! A connection with its receive buffer. Knows bytes, not messages.

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use std::io;

/// A stream, and what was received on it but not consumed yet.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    consumed: usize,
}

impl Wire {
    /// A wire that holds at most `capacity` received bytes.
    #[must_use]
    pub fn new(stream: TcpStream, capacity: usize) -> Self {
        Self { stream, buffer: Vec::with_capacity(capacity), consumed: 0 }
    }

    /// What was received and not consumed.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// Marks the first `count` pending bytes as dealt with.
    pub fn consume(&mut self, count: usize) {
        self.consumed = self.buffer.len().min(self.consumed + count);
    }

    /// Receives more; returns how many bytes came, 0 if the peer has closed.
    ///
    /// # Errors
    /// Those of the socket; `OutOfMemory` if the buffer is full of bytes that nobody consumed.
    pub async fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.drain(..self.consumed);
        self.consumed = 0;
        let (start, end) = (buffer.len(), buffer.capacity());
        if start == end {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let (result, slice) = self.stream.read(buffer.slice_mut(start..end)).await;
        self.buffer = slice.into_inner();
        result
    }

    /// Sends all of `bytes` and gives them back.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send<T: IoBuf + 'static>(&mut self, bytes: T) -> io::Result<T> {
        let (result, bytes) = self.stream.write_all(bytes).await;
        result.map(|_| bytes)
    }
}
