//! The header of the PROXY protocol, versions 1 and 2, as a load balancer in front sends it
//! (HAProxy's `proxy-protocol.txt`).
//!
//! Strict: one spelling of every address, sums that add up, a checksum that is right. What says
//! nothing of a client (LOCAL, UNKNOWN, other families) is understood as such.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::crc32c;

/// What a header of version 2 begins with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What a header of version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// The longest header of version 1, its line end included.
const LINE_MOST: usize = 107;

/// Bytes of a version 2 header behind its first 16: addresses and extensions.
const REST_MOST: usize = 4096;

/// Bytes of a header at the most.
pub const HEADER_MOST: usize = 16 + REST_MOST;

/// The extension that holds a checksum of the header.
pub(super) const CRC32C: u8 = 0x03;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The sender's own (a probe of its), or it does not know: the connection speaks for itself.
    Own,
    /// A client's.
    Client {
        /// The client.
        client: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its bytes.
    pub length: usize,
    /// What it says.
    pub source: Source,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// There must come more, to know.
    Partial,
    /// The connection begins with something else.
    Absent,
    /// A whole header.
    Complete(Header),
}

/// Why what begins like a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// A line of version 1 that is not as it must be.
    Line,
    /// A line of version 1 without its end in 107 bytes.
    LongLine,
    /// Neither version 2, nor a command of it.
    Version,
    /// A family or transport that does not exist.
    Family,
    /// More than 4 KiB.
    TooLong,
    /// Too short for its addresses, or its extensions do not add up.
    Lengths,
    /// The checksum is wrong.
    Checksum,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "the line of version 1 is malformed",
            Self::LongLine => "the line of version 1 does not end",
            Self::Version => "neither version 2 nor a command of it",
            Self::Family => "an unknown family or transport",
            Self::TooLong => "it has more than 4 KiB",
            Self::Lengths => "its lengths do not add up",
            Self::Checksum => "its checksum is wrong",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Looks for a header at the begin of `bytes`.
///
/// # Errors
/// It begins like one, and is none.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let begins_with = |mark: &[u8]| {
        let common = mark.len().min(bytes.len());
        bytes.get(..common) == mark.get(..common)
    };
    if bytes.is_empty() {
        Ok(Parsed::Partial)
    } else if begins_with(&SIGNATURE) {
        if bytes.len() < SIGNATURE.len() { Ok(Parsed::Partial) } else { binary(bytes) }
    } else if begins_with(WORD) {
        if bytes.len() < WORD.len() { Ok(Parsed::Partial) } else { line(bytes) }
    } else {
        Ok(Parsed::Absent)
    }
}

fn line(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let window = bytes.get(..bytes.len().min(LINE_MOST)).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', window) else {
        let partial = window.len() < LINE_MOST;
        return if partial { Ok(Parsed::Partial) } else { Err(HeaderError::LongLine) };
    };
    let text = window.get(WORD.len()..end).and_then(|text| text.strip_suffix(b"\r"));
    let text = text.and_then(|text| std::str::from_utf8(text).ok()).ok_or(HeaderError::Line)?;
    let source = fields(text).ok_or(HeaderError::Line)?;
    Ok(Parsed::Complete(Header { length: end + 1, source }))
}

/// What stands behind `PROXY `.
fn fields(text: &str) -> Option<Source> {
    let (family, rest) = text.split_once(' ').unwrap_or((text, ""));
    let address: fn(&str) -> Option<IpAddr> = match family {
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Some(Source::Own),
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let mut words = rest.split(' ');
    let (from, to) = (address(words.next()?)?, address(words.next()?)?);
    let (from_port, to_port) = (port(words.next()?)?, port(words.next()?)?);
    let client = SocketAddr::new(from.to_canonical(), from_port);
    let destination = SocketAddr::new(to.to_canonical(), to_port);
    words.next().is_none().then_some(Source::Client { client, destination })
}

/// A port in its one spelling.
fn port(text: &str) -> Option<u16> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn binary(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(&[command, family, high, low]) = bytes.get(12..16).and_then(|b| b.first_chunk())
    else {
        return Ok(Parsed::Partial);
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    // Said at once, not after waiting for the rest.
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Version),
    };
    let addresses = match (family >> 4, family & 0xF) {
        (_, 3..) | (4.., _) => return Err(HeaderError::Family),
        (1, 1 | 2) => 12,
        (2, 1 | 2) => 36,
        (3, 1 | 2) => 216,
        _ => 0,
    };
    if rest > REST_MOST {
        return Err(HeaderError::TooLong);
    }
    let length = 16 + rest;
    let Some(header) = bytes.get(..length) else { return Ok(Parsed::Partial) };
    let body = header.get(16..).unwrap_or_default();
    // Without a family there are no addresses, whatever there is.
    if local || addresses == 0 {
        return Ok(Parsed::Complete(Header { length, source: Source::Own }));
    }
    let (addresses, extensions) = body.split_at_checked(addresses).ok_or(HeaderError::Lengths)?;
    check_extensions(header, extensions)?;
    let source = match addresses.len() {
        12 => pair::<4>(addresses, |ip| IpAddr::V4(Ipv4Addr::from(ip))),
        36 => pair::<16>(addresses, |ip| IpAddr::V6(Ipv6Addr::from(ip))),
        // The sockets of another host's file system name nobody.
        _ => Some(Source::Own),
    };
    let source = source.ok_or(HeaderError::Lengths)?;
    Ok(Parsed::Complete(Header { length, source }))
}

/// Both addresses, then both ports.
fn pair<const N: usize>(bytes: &[u8], address: fn([u8; N]) -> IpAddr) -> Option<Source> {
    let (from, rest) = bytes.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let to_port = rest.first_chunk::<2>()?;
    let socket = |ip, port| SocketAddr::new(address(ip).to_canonical(), u16::from_be_bytes(port));
    Some(Source::Client { client: socket(*from, *from_port), destination: socket(*to, *to_port) })
}

/// Extensions that add up, and a checksum, if there is one, that is right.
fn check_extensions(header: &[u8], mut rest: &[u8]) -> Result<(), HeaderError> {
    while !rest.is_empty() {
        let at = header.len() - rest.len();
        let Some((&[kind, high, low], behind)) = rest.split_first_chunk::<3>() else {
            return Err(HeaderError::Lengths);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(HeaderError::Lengths)?;
        if kind == CRC32C {
            let sum = value.try_into().map(u32::from_be_bytes).map_err(|_| HeaderError::Lengths)?;
            // As if the sum were zero.
            let sum_at = at + 3..at + 7;
            let bytes = header.iter().enumerate();
            let blanked = bytes.map(|(i, byte)| if sum_at.contains(&i) { 0 } else { *byte });
            if crc32c(blanked) != sum {
                return Err(HeaderError::Checksum);
            }
        }
        rest = behind;
    }
    Ok(())
}

#[cfg(test)]
#[path = "proxy_header_tests.rs"]
mod tests;
