//! Who a connection is from: the header of the PROXY protocol, read from a load balancer in front
//! and written for members.

use std::net::SocketAddr;

use crate::config::{ListenerConfig, ProxyProtocolConfig, ProxyVersion};
use crate::net::{Buffer, Failure, Size, Stream};
use crate::stats::Reason;
use crate::wire::{self, HEADER_MOST, Parsed, Source, TlsFacts};

/// The two ends of a client's connection, as it sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// Why a connection goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It ended before a byte came: perhaps somebody looks whether there is a listener.
    Silent,
    /// It is counted.
    For(Reason),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::For(reason)
    }
}

/// Reads the header, if one is due; what came behind it stays in `received`. `None`: the
/// connection speaks for itself.
pub(super) async fn receive(
    listener: &ListenerConfig,
    stream: &Stream,
    peer: SocketAddr,
    received: &mut Buffer,
) -> Result<Option<Ends>, Refused> {
    let Some(rules) = &listener.proxy_protocol else { return Ok(None) };
    if !rules.trusted.iter().any(|block| block.contains(peer.ip())) {
        let refused = Refused::For(Reason::ProxyUntrusted);
        return if rules.required { Err(refused) } else { Ok(None) };
    }
    // One deadline for all of it.
    stream.arm_read(listener.timeouts.head);
    let header = read(rules, stream, received).await;
    stream.disarm_read();
    header
}

async fn read(
    rules: &ProxyProtocolConfig,
    stream: &Stream,
    received: &mut Buffer,
) -> Result<Option<Ends>, Refused> {
    loop {
        match wire::proxy_header(received.data()) {
            Ok(Parsed::Complete(header)) => {
                received.consume(header.length);
                return Ok(match header.source {
                    Source::Own => None,
                    Source::Client { client, destination } => Some(Ends { client, destination }),
                });
            }
            Ok(Parsed::Absent) if rules.required => {
                return Err(Refused::For(Reason::NoProxyHeader));
            }
            Ok(Parsed::Absent) => return Ok(None),
            Ok(Parsed::Partial) => {}
            Err(_) => return Err(Refused::For(Reason::BadProxyHeader)),
        }
        if received.capacity() == 0 {
            *received = Buffer::take(Size::Small);
        } else if received.room() == 0 {
            // What is longer was refused.
            received.grow(HEADER_MOST + Size::Small.bytes());
        }
        match stream.recv(received).await {
            Ok(_) => {}
            Err(Failure::TimedOut) => return Err(Refused::For(Reason::ProxyHeaderTimeout)),
            Err(_) if received.is_empty() => return Err(Refused::Silent),
            Err(_) => return Err(Refused::For(Reason::ClientGone)),
        }
    }
}

/// Appends the header that a member gets in front of a client's connection.
pub(super) fn announce(
    out: &mut Vec<u8>,
    version: ProxyVersion,
    ends: Ends,
    tls: Option<&TlsFacts<'_>>,
) {
    match version {
        ProxyVersion::V1 => wire::write_v1(out, ends.client, ends.destination),
        ProxyVersion::V2 => wire::write_v2(out, ends.client, ends.destination, tls),
    }
}
