//! The connection of a probe: plain, or in TLS.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::net::tls::{Heard, Talk, TlsFault, TlsPeer};

/// How much is read at a time.
const PIECE: usize = 4096;

/// A connection to a member.
#[derive(Debug)]
pub(super) struct Channel {
    stream: TcpStream,
    talk: Option<Talk>,
}

impl Channel {
    pub(super) const fn plain(stream: TcpStream) -> Self {
        Self { stream, talk: None }
    }

    /// Begins TLS.
    pub(super) async fn secure(stream: TcpStream, peer: &TlsPeer) -> Result<Self, TlsFault> {
        let mut channel = Self { stream, talk: None };
        let mut talk = Talk::new(peer)?;
        while talk.is_beginning() {
            // A member that does not read may have said why.
            _ = channel.stream.write_all(&talk.to_send()).await;
            if !talk.is_beginning() {
                break;
            }
            let mut sealed = Vec::with_capacity(PIECE);
            match channel.stream.read_buf(&mut sealed).await {
                Ok(count) if count > 0 => {}
                _ => return Err(TlsFault::Handshake),
            }
            if let Err(fault) = talk.receive(&sealed) {
                _ = channel.stream.write_all(&talk.to_send()).await;
                return Err(fault);
            }
        }
        // The last word of the handshake.
        _ = channel.stream.write_all(&talk.to_send()).await;
        channel.talk = Some(talk);
        Ok(channel)
    }

    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.talk {
            None => self.stream.write_all(bytes).await,
            Some(talk) => {
                talk.write(bytes);
                self.stream.write_all(&talk.to_send()).await
            }
        }
    }

    /// Appends a piece; 0: the end.
    pub(super) async fn read_buf(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        into.reserve(PIECE);
        let Some(talk) = &mut self.talk else { return self.stream.read_buf(into).await };
        loop {
            match talk.read(into) {
                Heard::Bytes(count) => return Ok(count),
                Heard::End => return Ok(0),
                Heard::Nothing => {}
            }
            let mut sealed = Vec::with_capacity(PIECE);
            if self.stream.read_buf(&mut sealed).await? == 0 {
                // Not announced: something may have been cut off.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            talk.receive(&sealed).map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
}
