//! Who the client is: the fields that tell a member, and whose word on it is believed.
//!
//! What an untrusted peer says about itself is dropped. From a trusted one the chain is kept and
//! walked from right to left: the first address that is not itself trusted is the client.

use std::net::{IpAddr, SocketAddr};

use super::greeting::Ends;
use crate::config::Cidr;
use crate::http::{Name, RequestHead, encode::decimal, encode::field};
use crate::net::{Buffer, Size, Stream};

/// Text of an address, formatted once per connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddressText {
    bytes: [u8; 45],
    length: u8,
}

impl AddressText {
    pub(super) fn new(address: IpAddr) -> Self {
        use std::io::Write;
        let mut bytes = [0; 45];
        let mut rest = &mut bytes[..];
        let before = rest.len();
        // 45 bytes hold every address.
        _ = write!(rest, "{address}");
        let length = u8::try_from(before - rest.len()).unwrap_or(0);
        Self { bytes, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsVersion {
    V12,
    V13,
}

impl TlsVersion {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }
}

/// The peer of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) text: AddressText,
    /// Whether its `X-Forwarded-*` is believed.
    pub(super) trusted: bool,
    /// The port that the client connected to.
    pub(super) port: u16,
    /// The version of TLS that it speaks with us, if it does.
    pub(super) tls: Option<TlsVersion>,
    /// The port that it connected from.
    pub(super) source_port: u16,
    /// Where it connected to, if a header of the PROXY protocol said so.
    // Boxed: rare, and the memory of an idle connection.
    pub(super) destination: Option<Box<SocketAddr>>,
}

impl Peer {
    pub(super) fn new(
        peer: SocketAddr,
        port: u16,
        destination: Option<SocketAddr>,
        trusted: &[Cidr],
    ) -> Self {
        // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d.
        let (address, source_port) = (peer.ip().to_canonical(), peer.port());
        let port = destination.map_or(port, |destination| destination.port());
        let trusted = is_trusted(address, trusted);
        let text = AddressText::new(address);
        let destination = destination.map(Box::new);
        Self { address, text, trusted, port, tls: None, source_port, destination }
    }
}

impl Peer {
    /// Both ends of its connection; `None`: it is gone.
    pub(super) fn ends(&self, stream: &Stream) -> Option<Ends> {
        let client = SocketAddr::new(self.address, self.source_port);
        let destination = self.destination.as_deref().copied().or_else(|| local(stream))?;
        Some(Ends { client, destination })
    }
}

/// Where the client of a connection connected to.
pub(super) fn local(stream: &Stream) -> Option<SocketAddr> {
    let local = stream.local_address()?;
    Some(SocketAddr::new(local.ip().to_canonical(), local.port()))
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[Cidr]) -> bool {
    trusted.iter().any(|block| block.contains(address))
}

/// One entry of a chain: an address, with or without port and brackets.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let text = text.trim_matches('"');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let socket = text.parse::<SocketAddr>().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    socket.map(|s| s.ip()).or_else(bracketed).map(|address| address.to_canonical())
}

/// The client behind a chain whose last entry is the peer that we see.
fn client_of(chain: &[u8], peer: IpAddr, trusted: &[Cidr]) -> IpAddr {
    let mut client = peer;
    for entry in chain.rsplit(|byte| *byte == b',') {
        // What cannot be read cannot be believed, nor anything to its left.
        let Some(address) = parse_entry(entry) else { return client };
        client = address;
        if !is_trusted(address, trusted) {
            return client;
        }
    }
    client
}

/// The client's address alone.
pub(super) fn client(head: &RequestHead, peer: &Peer, trusted: &[Cidr]) -> IpAddr {
    if !peer.trusted {
        return peer.address;
    }
    write(Buffer::take(Size::Small).tail(), head, peer, trusted)
}

/// Appends `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Real-IP`; returns the client's
/// address.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &RequestHead,
    peer: &Peer,
    trusted: &[Cidr],
) -> IpAddr {
    out.extend_from_slice(b"X-Forwarded-For: ");
    let start = out.len();
    if peer.trusted {
        for chain in head.fields().filter(|field| field.name == Name::XForwardedFor) {
            if !chain.value.is_empty() {
                out.extend_from_slice(chain.value);
                out.extend_from_slice(b", ");
            }
        }
    }
    out.extend_from_slice(peer.text.as_bytes());
    let chain = out.get(start..).unwrap_or_default();
    let client = if peer.trusted { client_of(chain, peer.address, trusted) } else { peer.address };
    out.extend_from_slice(b"\r\n");

    let kept = |name| if peer.trusted { head.value(name) } else { None };
    let scheme: &[u8] = if peer.tls.is_some() { b"https" } else { b"http" };
    field(out, b"X-Forwarded-Proto", kept(Name::XForwardedProto).unwrap_or(scheme));
    let host = kept(Name::XForwardedHost).unwrap_or(head.authority());
    if !host.is_empty() {
        field(out, b"X-Forwarded-Host", host);
    }
    match kept(Name::XForwardedPort) {
        Some(port) => field(out, b"X-Forwarded-Port", port),
        None => {
            out.extend_from_slice(b"X-Forwarded-Port: ");
            decimal(out, u64::from(peer.port));
            out.extend_from_slice(b"\r\n");
        }
    }
    if client == peer.address {
        field(out, b"X-Real-IP", peer.text.as_bytes());
    } else {
        field(out, b"X-Real-IP", AddressText::new(client).as_bytes());
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        let (network, prefix) = text.split_once('/').expect("a block");
        Cidr { network: network.parse().expect("ip"), prefix: prefix.parse().expect("number") }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        let trusted = [cidr("10.0.0.0/8"), cidr("fd00::/8")];
        let peer: IpAddr = "10.0.0.1".parse().expect("ip");
        for (chain, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("1.2.3.4, 10.0.0.1", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2, 10.0.0.1", "1.2.3.4"),
            ("1.2.3.4:567,10.0.0.1", "1.2.3.4"),
            ("[2001:db8::1]:443, fd00::1, 10.0.0.1", "2001:db8::1"),
            ("::ffff:9.9.9.9, 10.0.0.1", "9.9.9.9"),
            ("6.6.6.6, unknown, 10.0.0.2, 10.0.0.1", "10.0.0.2"),
            ("10.0.0.3, 10.0.0.1", "10.0.0.3"),
            ("6.6.6.6, , 10.0.0.1", "10.0.0.1"),
        ] {
            let client = client_of(chain.as_bytes(), peer, &trusted);
            assert_eq!(client, expected.parse::<IpAddr>().expect("ip"), "{chain}");
        }
    }

    #[test]
    fn every_address_fits_its_text() {
        for text in ["1.2.3.4", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"] {
            let address: IpAddr = text.parse().expect("ip");
            assert_eq!(AddressText::new(address).as_bytes(), text.as_bytes());
        }
    }
}
