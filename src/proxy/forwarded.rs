//! Who the client is: the fields that tell a member, and whose word on it is believed.
//!
//! What an untrusted peer says about itself is dropped. From a trusted one the chain is kept and
//! walked from right to left: the first address that is not itself trusted is the client.

use std::net::{IpAddr, SocketAddr};

use super::greeting::Ends;
use crate::config::{Cidr, ListenerConfig};
use crate::http::encode::{decimal, field};
use crate::http::forwarded::{Hop, Hops, listed_address, write_for, write_pair};
use crate::http::location::is_authority;
use crate::http::{Name, RequestHead, Scheme};
use crate::net::Stream;

/// Text of an address, formatted once per connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddressText {
    bytes: [u8; 45],
    length: u8,
}

impl AddressText {
    pub(super) fn new(address: IpAddr) -> Self {
        use std::io::Write;
        let mut text = Self { bytes: [0; 45], length: 0 };
        match address {
            IpAddr::V4(address) => text.write_octets(address.octets()),
            IpAddr::V6(address) => {
                let mut rest = &mut text.bytes[..];
                let before = rest.len();
                // 45 bytes hold every address.
                _ = write!(rest, "{address}");
                text.length = u8::try_from(before - rest.len()).unwrap_or(0);
            }
        }
        text
    }

    /// Without the formatter of the standard library, which takes longer than all else that is done
    /// for a new connection.
    fn write_octets(&mut self, octets: [u8; 4]) {
        for (place, octet) in octets.into_iter().enumerate() {
            if place > 0 {
                self.push(b'.');
            }
            if octet > 99 {
                self.push(b'0' + octet / 100);
            }
            if octet > 9 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte;
            self.length += 1;
        }
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
    /// What its certificate says of it, as whole fields for members.
    pub(super) identity: Option<Box<[u8]>>,
}

impl Peer {
    pub(super) fn new(
        peer: SocketAddr,
        port: u16,
        destination: Option<SocketAddr>,
        listener: Option<&ListenerConfig>,
    ) -> Self {
        // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d.
        let (address, source_port) = (peer.ip().to_canonical(), peer.port());
        let port = destination.map_or(port, |destination| destination.port());
        let trusted = listener.is_some_and(|listener| believes(listener, address));
        let text = AddressText::new(address);
        let destination = destination.map(Box::new);
        Self { address, text, trusted, port, tls: None, source_port, destination, identity: None }
    }
}

impl Peer {
    /// How it speaks with us.
    const fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

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

fn is_trusted(address: IpAddr, trusted: &[Cidr]) -> bool {
    trusted.iter().any(|block| block.contains(address))
}

/// Whether this peer's word is believed.
pub(super) fn believes(listener: &ListenerConfig, peer: IpAddr) -> bool {
    let trusted = &listener.trusted_proxies;
    is_trusted(peer, trusted) || (trusted.is_empty() && listener.forwarded.hops > 0)
}

/// What a trusted peer says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claimed<'a> {
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Option<&'a [u8]>,
}

/// The addresses that the peer names, from the client on; `None`: what stands there is none.
fn named_hops<'a>(
    head: &'a RequestHead,
    listener: &ListenerConfig,
) -> impl Iterator<Item = Option<Hop<'a>>> {
    let wanted = match listener.forwarded.by_forwarded {
        true => Name::Forwarded,
        false => Name::XForwardedFor,
    };
    let fields = head.fields().filter(move |field| field.name == wanted && !field.value.is_empty());
    fields.flat_map(move |field| {
        let (hops, list): (_, &[u8]) = match wanted {
            Name::Forwarded => (Some(Hops::new(field.value)), b""),
            _ => (None, field.value),
        };
        let listed = list.split(|byte| *byte == b',').map(|entry| {
            let address = listed_address(entry)?;
            Some(Hop { address: Some(address), ..Hop::default() })
        });
        // Of the empty list one would come that nobody sent.
        hops.into_iter().flatten().chain(listed.filter(move |_| !list.is_empty()))
    })
}

/// The hop that the client made, as a trusted peer tells it; `None`: the peer is the client.
fn client_hop<'a>(head: &'a RequestHead, listener: &ListenerConfig) -> Option<Hop<'a>> {
    let known = |hop: Option<Hop<'a>>| hop.filter(|hop| hop.address.is_some());
    let hops = listener.forwarded.hops as usize;
    if hops > 0 {
        let count = named_hops(head, listener).count();
        return known(named_hops(head, listener).nth(count.checked_sub(hops)?)?);
    }
    // From the right, the first that is not trusted; what stands left of what cannot be read is not
    // believed. From the left that is: the last that is not trusted, or the first of those that are.
    let trusted = &listener.trusted_proxies;
    named_hops(head, listener).fold(None, |client, hop| {
        let hop = known(hop)?;
        let stays = client.is_some() && hop.address.is_some_and(|at| is_trusted(at, trusted));
        if stays { client } else { Some(hop) }
    })
}

/// The client's address.
pub(super) fn client(head: &RequestHead, peer: &Peer, listener: &ListenerConfig) -> IpAddr {
    if !peer.trusted {
        return peer.address;
    }
    client_hop(head, listener).and_then(|hop| hop.address).unwrap_or(peer.address)
}

/// How a client asked, and whom, as its trusted peer says.
pub(super) fn claimed<'a>(head: &'a RequestHead, listener: &ListenerConfig) -> Claimed<'a> {
    if listener.forwarded.by_forwarded {
        let hop = client_hop(head, listener).unwrap_or_default();
        return Claimed { scheme: hop.scheme, host: hop.host };
    }
    let scheme = match head.value(Name::XForwardedProto) {
        Some(word) if word.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        Some(word) if word.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        _ => None,
    };
    let host = head.value(Name::XForwardedHost).filter(|host| is_authority(host));
    Claimed { scheme, host }
}

/// Appends what members are told of the client.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &RequestHead,
    peer: &Peer,
    listener: &ListenerConfig,
    client: IpAddr,
) {
    if listener.forwarded.x_forwarded {
        write_x_forwarded(out, head, peer, listener, client);
    }
    if listener.forwarded.rfc7239 {
        write_forwarded(out, head, peer, listener, client);
    }
}

/// Appends `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Real-IP`.
fn write_x_forwarded(
    out: &mut Vec<u8>,
    head: &RequestHead,
    peer: &Peer,
    listener: &ListenerConfig,
    client: IpAddr,
) {
    let by_forwarded = listener.forwarded.by_forwarded;
    let kept = peer.trusted && !by_forwarded;
    out.extend_from_slice(b"X-Forwarded-For: ");
    if kept {
        for chain in head.fields().filter(|field| field.name == Name::XForwardedFor) {
            if !chain.value.is_empty() {
                out.extend_from_slice(chain.value);
                out.extend_from_slice(b", ");
            }
        }
    } else if client != peer.address {
        out.extend_from_slice(AddressText::new(client).as_bytes());
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(peer.text.as_bytes());
    out.extend_from_slice(b"\r\n");

    // In the other family there is nothing but these two.
    let claimed = match peer.trusted && by_forwarded {
        true => claimed(head, listener),
        false => Claimed::default(),
    };
    let value = |name| if kept { head.value(name) } else { None };
    let scheme = claimed.scheme.unwrap_or(peer.scheme()).word();
    field(out, b"X-Forwarded-Proto", value(Name::XForwardedProto).unwrap_or(scheme));
    let host = value(Name::XForwardedHost).or(claimed.host).unwrap_or(head.authority());
    if !host.is_empty() {
        field(out, b"X-Forwarded-Host", host);
    }
    match value(Name::XForwardedPort) {
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
}

/// Appends `Forwarded`: the hops that a trusted peer named, then its own.
fn write_forwarded(
    out: &mut Vec<u8>,
    head: &RequestHead,
    peer: &Peer,
    listener: &ListenerConfig,
    client: IpAddr,
) {
    out.extend_from_slice(b"Forwarded: ");
    if peer.trusted && listener.forwarded.by_forwarded {
        for field in head.fields().filter(|field| field.name == Name::Forwarded) {
            // What nobody can read is not passed on as if it meant something.
            if Hops::new(field.value).next().is_some()
                && Hops::new(field.value).all(|hop| hop.is_some())
            {
                out.extend_from_slice(field.value);
                out.extend_from_slice(b", ");
            }
        }
    } else if client != peer.address {
        let claimed = claimed(head, listener);
        write_for(out, client);
        if let Some(host) = claimed.host {
            write_pair(out, "host", host);
        }
        if let Some(scheme) = claimed.scheme {
            write_pair(out, "proto", scheme.word());
        }
        out.extend_from_slice(b", ");
    }
    write_for(out, peer.address);
    // A name that hides the address: members need not know where a listener is bound.
    out.extend_from_slice(b";by=_");
    out.extend_from_slice(listener.name.as_bytes());
    if !head.authority().is_empty() {
        write_pair(out, "host", head.authority());
    }
    write_pair(out, "proto", peer.scheme().word());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::http::HeadLimits;

    fn client_of(fields: &str, listener: &str) -> IpAddr {
        let text = format!(
            "[listener.web]\nbind = \"127.0.0.1:0\"\n{listener}\n[[route]]\npool = \"a\"\n[pool.a]\nmembers = [\"127.0.0.1:1\"]\n"
        );
        let checked = crate::config::load(&text, "test").expect("a configuration");
        let listener = &checked.config.listeners[0];
        let mut head = RequestHead::new();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &HeadLimits { bytes: 4096, fields: 20 }).expect("a head");
        let peer: SocketAddr = "10.0.0.1:99".parse().expect("an address");
        client(&head, &Peer::new(peer, 80, None, Some(listener)), listener)
    }

    #[track_caller]
    fn check(listener: &str, fields: &str, expected: &str) {
        let client = client_of(&format!("{fields}\r\n"), listener);
        assert_eq!(client, expected.parse::<IpAddr>().expect("ip"), "{fields}");
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        let text = |address: IpAddr| {
            let text = AddressText::new(address);
            String::from_utf8(text.as_bytes().to_vec()).expect("text")
        };
        for octet in 0..=255 {
            let address = IpAddr::from([octet, 0, 255 - octet, octet / 2]);
            assert_eq!(text(address), address.to_string());
        }
        for address in ["::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(text(address.parse().expect("an address")), address);
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        for (chain, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("6.6.6.6, 10.0.0.3, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("1.2.3.4:567", "1.2.3.4"),
            ("[2001:db8::1]:443, fd00::1", "2001:db8::1"),
            ("::ffff:9.9.9.9", "9.9.9.9"),
            ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            ("6.6.6.6, unknown", "10.0.0.1"),
            ("10.0.0.3, 10.0.0.4", "10.0.0.3"),
            ("6.6.6.6, ", "10.0.0.1"),
            ("6.6.6.6\r\nX-Forwarded-For: 10.0.0.2", "6.6.6.6"),
        ] {
            let trusted = "trusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\"]";
            check(trusted, &format!("X-Forwarded-For: {chain}"), expected);
            check("", &format!("X-Forwarded-For: {chain}"), "10.0.0.1");
            check(
                "trusted_proxies = \"11.0.0.0/8\"",
                &format!("X-Forwarded-For: {chain}"),
                "10.0.0.1",
            );
        }
    }

    #[test]
    fn one_field_is_believed_and_the_other_not() {
        let both = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2";
        check("trusted_proxies = \"10.0.0.0/8\"", both, "1.1.1.1");
        let forwarded = "trusted_proxies = \"10.0.0.0/8\"\ntrusted_field = \"forwarded\"";
        check(forwarded, both, "2.2.2.2");
        for (value, expected) in [
            ("for=6.6.6.6, for=\"[2001:db8::1]:80\", for=10.0.0.2", "2001:db8::1"),
            ("for=6.6.6.6, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=6.6.6.6, for=unknown", "10.0.0.1"),
            ("for=6.6.6.6 nonsense", "10.0.0.1"),
            ("for=6.6.6.6;for=7.7.7.7", "10.0.0.1"),
            ("for=6.6.6.6, by=x", "10.0.0.1"),
        ] {
            check(forwarded, &format!("Forwarded: {value}"), expected);
        }
    }

    #[test]
    fn hops_are_counted_from_the_right() {
        let chain = "X-Forwarded-For: 4.4.4.4, 3.3.3.3, unknown\r\nX-Forwarded-For: 1.1.1.1";
        for (hops, expected) in
            [(1, "1.1.1.1"), (2, "10.0.0.1"), (3, "3.3.3.3"), (4, "4.4.4.4"), (5, "10.0.0.1")]
        {
            check(&format!("trusted_hops = {hops}"), chain, expected);
        }
        check("trusted_hops = 1\ntrusted_proxies = \"11.0.0.0/8\"", chain, "10.0.0.1");
        check("trusted_hops = 1\ntrusted_proxies = \"10.0.0.0/8\"", chain, "1.1.1.1");
        check("trusted_hops = 1", "X-A: b", "10.0.0.1");
    }

    #[test]
    fn every_address_fits_its_text() {
        for text in ["1.2.3.4", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"] {
            let address: IpAddr = text.parse().expect("ip");
            assert_eq!(AddressText::new(address).as_bytes(), text.as_bytes());
        }
    }
}
