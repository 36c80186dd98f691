//! The bytes of one connection: buffered reading, whole bodies, and how the peer ended it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::Connection;
use socket2::SockRef;

use super::PATIENCE;
use super::message::{Framing, Head, Message, field};

/// How much of what an origin receives is kept for inspection.
const RECORDED: usize = 1 << 20;

/// How a peer ended its direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With FIN.
    Clean,
    /// With RST.
    Reset,
    /// With FIN, but without the end that TLS announces.
    Torn,
}

/// A connection and what was read from it but not yet used.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
    tls: Option<Connection>,
}

/// A call that the system may interrupt without a signal that anybody sent: calls with a time do not
/// begin again by themselves, such as when all processes were stopped for a moment.
pub(crate) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Wire {
    /// Wraps a connected stream.
    pub(crate) fn new(stream: TcpStream) -> Wire {
        // A Unix socket is wrapped all the same, and knows no delay.
        if stream.local_addr().is_ok() {
            stream.set_nodelay(true).expect("TCP_NODELAY");
        }
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        Wire { stream, unread: Vec::new(), record: None, tls: None }
    }

    /// Copies everything that is read from now on into `record`, up to a bound.
    pub(crate) fn record_into(&mut self, record: Arc<Mutex<Vec<u8>>>) {
        self.record = Some(record);
    }

    /// The socket itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Speaks TLS from here on; completes the handshake.
    pub(crate) fn secure(&mut self, connection: impl Into<Connection>) -> io::Result<()> {
        let mut connection = connection.into();
        // So that a test may send a lot at once.
        connection.set_buffer_limit(None);
        // What came together with something before it is the beginning of the handshake.
        let mut early = std::mem::take(&mut self.unread);
        while !early.is_empty() {
            let taken = connection.read_tls(&mut early.as_slice())?;
            early.drain(..taken);
            connection.process_new_packets().map_err(io::Error::other)?;
        }
        while connection.is_handshaking() {
            again(|| connection.complete_io(&mut self.stream))?;
        }
        self.tls = Some(connection);
        Ok(())
    }

    /// What is known of the TLS connection.
    pub(crate) fn tls(&mut self) -> &mut Connection {
        self.tls.as_mut().expect("a TLS connection")
    }

    /// Sends what the TLS connection has to say.
    pub(crate) fn flush_tls(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes.as_ref()),
            Some(tls) => {
                tls.writer().write_all(bytes.as_ref())?;
                self.flush_tls()
            }
        }
    }

    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(block) };
        loop {
            match tls.reader().read(block) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            tls.read_tls(&mut self.stream)?;
            let processed = tls.process_new_packets();
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            processed.map_err(io::Error::other)?;
        }
    }

    /// Writes zeros until `total` of them are sent or none was accepted for `silence`; how many.
    pub(crate) fn send_until_stuck(&mut self, total: u64, silence: Duration) -> io::Result<u64> {
        let block = [b'.'; 64 * 1024];
        let mut sent = 0;
        self.stream.set_write_timeout(Some(silence))?;
        while sent < total {
            let part = block.len().min(usize::try_from(total - sent).unwrap_or(usize::MAX));
            match again(|| self.stream.write(&block[..part])) {
                Ok(n) => sent += n as u64,
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE))?;
        Ok(sent)
    }

    /// Ends our direction; the peer sees FIN.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush_tls()?;
        self.stream.shutdown(Shutdown::Write)
    }

    /// Drops the connection with RST.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    /// Reads more into the buffer; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let mut block = [0; 64 * 1024];
        let n = again(|| self.read(&mut block))?;
        self.unread.extend_from_slice(&block[..n]);
        if let Some(record) = &self.record {
            let mut record = record.lock().expect("the record");
            let room = RECORDED.saturating_sub(record.len()).min(n);
            record.extend_from_slice(&block[..room]);
        }
        Ok(n)
    }

    /// Takes everything up to and with `mark`. `None`: the end came before the first byte.
    pub(crate) fn through(&mut self, mark: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|window| window == mark) {
                return Ok(Some(self.unread.drain(..at + mark.len()).collect()));
            }
            if self.fill()? == 0 {
                let torn = io::Error::from(io::ErrorKind::UnexpectedEof);
                return if self.unread.is_empty() { Ok(None) } else { Err(torn) };
            }
        }
    }

    /// Takes between 1 and `max` bytes.
    pub(crate) fn some(&mut self, max: usize) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() && self.fill()? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = self.unread.len().min(max);
        Ok(self.unread.drain(..n).collect())
    }

    /// Takes exactly `n` bytes.
    pub(crate) fn exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(n);
        while bytes.len() < n {
            bytes.extend(self.some(n - bytes.len())?);
        }
        Ok(bytes)
    }

    /// The next head; `None` when the peer ended the connection instead.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        Ok(self.through(b"\r\n\r\n")?.map(|raw| Head::parse(&raw)))
    }

    fn chunk_size(&mut self) -> io::Result<u64> {
        let line = self.through(b"\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let text = String::from_utf8_lossy(&line).into_owned();
        Ok(u64::from_str_radix(text.trim_end(), 16).expect("a plain chunk size"))
    }

    /// One chunk of a chunked body; empty for the last one, whose trailers are left unread.
    pub(crate) fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.chunk_size()?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let data = self.exactly(usize::try_from(size).expect("a chunk that fits"))?;
        assert_eq!(self.exactly(2)?, b"\r\n", "the end of a chunk");
        Ok(data)
    }

    /// The trailer section behind the last chunk.
    pub(crate) fn trailers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            let line = self.through(b"\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match line.strip_suffix(b"\r\n") {
                Some([]) => return Ok(trailers),
                Some(line) => trailers.push(field(&String::from_utf8_lossy(line))),
                None => unreachable!("the mark was found"),
            }
        }
    }

    /// Passes a body to `sink` as it comes; its trailers.
    pub(crate) fn body_into(
        &mut self,
        framing: Framing,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Vec<(String, String)>> {
        match framing {
            Framing::Nothing => {}
            Framing::Length(mut left) => {
                while left > 0 {
                    let part = self.some(usize::try_from(left).unwrap_or(usize::MAX))?;
                    left -= part.len() as u64;
                    sink(&part);
                }
            }
            Framing::Chunked => loop {
                let size = self.chunk_size()?;
                if size == 0 {
                    return self.trailers();
                }
                self.body_into(Framing::Length(size), sink)?;
                assert_eq!(self.exactly(2)?, b"\r\n", "the end of a chunk");
            },
            Framing::UntilClose => {
                let (bytes, end) = self.rest()?;
                assert_eq!(end, End::Clean, "a close-delimited body");
                sink(&bytes);
            }
        }
        Ok(Vec::new())
    }

    /// The message that `head` began.
    pub(crate) fn message(&mut self, head: Head, framing: Framing) -> io::Result<Message> {
        let mut body = Vec::new();
        let trailers = self.body_into(framing, &mut |part| body.extend_from_slice(part))?;
        Ok(Message { head, body, trailers })
    }

    /// Everything up to the end of the connection, and how it ended.
    pub(crate) fn rest(&mut self) -> io::Result<(Vec<u8>, End)> {
        let end = loop {
            match self.fill() {
                Ok(0) => break End::Clean,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break End::Reset,
                Err(error) if self.tls.is_some() && is_torn(&error) => break End::Torn,
                Err(error) => return Err(error),
            }
        };
        Ok((std::mem::take(&mut self.unread), end))
    }

    /// Whether nothing at all arrives for `silence`.
    pub(crate) fn silent_for(&mut self, silence: Duration) -> io::Result<bool> {
        if !self.unread.is_empty() {
            return Ok(false);
        }
        self.stream.set_read_timeout(Some(silence))?;
        let result = self.fill();
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match result {
            Ok(_) => Ok(false),
            Err(error) if is_timeout(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn is_torn(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether a socket timeout ended the call.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
