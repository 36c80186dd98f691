//! The header of the PROXY protocol, as members get it in front of a connection.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::crc32c::crc32c;
use super::proxy_header::{CRC32C, SIGNATURE};

/// The protocol that was negotiated, such as `h2`.
const ALPN: u8 = 0x01;
/// The name that the client asked for.
const AUTHORITY: u8 = 0x02;
/// What is known of the client's TLS.
const SSL: u8 = 0x20;
/// Within it: the version of TLS, as text.
const SSL_VERSION: u8 = 0x21;
/// The connection is over TLS.
const CLIENT_SSL: u8 = 0x01;

/// What a header of version 2 tells of the client's TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts<'a> {
    /// The name that the client asked for (SNI); empty: none.
    pub server_name: &'a [u8],
    /// The protocol agreed on (ALPN); empty: none.
    pub alpn: &'a [u8],
    /// `TLSv1.3` or the like, where TLS was terminated here; empty: it passes through.
    pub version: &'a [u8],
}

/// Both addresses in one family: an IPv4 address beside an IPv6 one is mapped.
fn one_family(client: SocketAddr, destination: SocketAddr) -> (IpAddr, IpAddr) {
    match (client.ip(), destination.ip()) {
        (IpAddr::V4(from), to @ IpAddr::V6(_)) => (IpAddr::V6(from.to_ipv6_mapped()), to),
        (from @ IpAddr::V6(_), IpAddr::V4(to)) => (from, IpAddr::V6(to.to_ipv6_mapped())),
        same => same,
    }
}

/// Appends a header of version 1: `PROXY TCP4 FROM TO PORT PORT`.
pub fn write_v1(out: &mut Vec<u8>, client: SocketAddr, destination: SocketAddr) {
    let (from, to) = one_family(client, destination);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    // Writing to a vector cannot fail.
    _ = write!(out, "PROXY {family} {} {} ", plain(from), plain(to));
    _ = write!(out, "{} {}\r\n", client.port(), destination.port());
}

/// The text of an address; an IPv4 address that is mapped has hexadecimal digits only, as some
/// readers know no other form.
fn plain(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            let [.., high, low] = v6.segments();
            format!("::ffff:{high:x}:{low:x}")
        }
        address => address.to_string(),
    }
}

/// Appends a header of version 1 that names no client: of a probe.
pub fn local_v1(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PROXY UNKNOWN\r\n");
}

/// Appends a header of version 2 that names no client: of a probe.
pub fn local_v2(out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&[0x20, 0, 0, 0]);
}

/// Appends a header of version 2, with a checksum, and what is known of the client's TLS, if it
/// speaks it.
pub fn write_v2(
    out: &mut Vec<u8>,
    client: SocketAddr,
    destination: SocketAddr,
    tls: Option<&TlsFacts<'_>>,
) {
    let start = out.len();
    out.extend_from_slice(&SIGNATURE);
    let (from, to) = one_family(client, destination);
    out.extend_from_slice(&[0x21, if from.is_ipv4() { 0x11 } else { 0x21 }, 0, 0]);
    for address in [from, to] {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    if let Some(tls) = tls {
        write_tls(out, tls);
    }
    extension(out, CRC32C, &[0; 4]);
    let length = u16::try_from(out.len() - start - 16).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start + 14..start + 16) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    let sum = crc32c(out.iter().skip(start).copied());
    if let Some(field) = out.last_chunk_mut::<4>() {
        *field = sum.to_be_bytes();
    }
}

fn write_tls(out: &mut Vec<u8>, tls: &TlsFacts<'_>) {
    if !tls.alpn.is_empty() {
        extension(out, ALPN, tls.alpn);
    }
    if !tls.server_name.is_empty() {
        extension(out, AUTHORITY, tls.server_name);
    }
    if !tls.version.is_empty() {
        // No certificate of the client was asked for, so none was verified: not zero.
        let mut value = vec![CLIENT_SSL, 0, 0, 0, 1];
        extension(&mut value, SSL_VERSION, tls.version);
        extension(out, SSL, &value);
    }
}

/// Appends one extension. Values are of our making and short: names have at most 255 bytes.
fn extension(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = value.get(..value.len().min(1024)).unwrap_or_default();
    out.push(kind);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(value);
}
