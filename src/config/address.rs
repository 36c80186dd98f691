//! Socket addresses and address blocks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checked::Cidr;

/// Why a text is no `IP:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// There is no port.
    NoPort,
    /// There is nothing but a port.
    OnlyPort,
    /// The port is none.
    Port,
    /// An IPv6 address without its brackets.
    Brackets,
    /// A host name.
    Name,
    /// The path of a Unix socket.
    Unix,
    /// A URL.
    Url,
    /// Anything else.
    Malformed,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "the port is missing",
            Self::OnlyPort => "the IP address is missing",
            Self::Port => "a port is a number from 0 to 65535",
            Self::Brackets => "an IPv6 address with a port is written in brackets",
            Self::Name => "it is a name, not an IP address",
            Self::Unix => "Unix sockets come with a later version",
            Self::Url => "it is a URL",
            Self::Malformed => "it is no IP address with a port",
        })
    }
}

/// `127.0.0.1:8080`, `[::1]:8080`.
///
/// # Errors
/// Anything else, with what is probably wrong.
pub(super) fn socket(text: &str) -> Result<SocketAddr, AddressError> {
    text.parse().map_err(|_| diagnose(text))
}

fn diagnose(text: &str) -> AddressError {
    if text.starts_with("unix:") || text.starts_with('/') {
        return AddressError::Unix;
    }
    if text.contains("://") {
        return AddressError::Url;
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() {
        return AddressError::NoPort;
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host_is_ipv6 = host.contains(':') && host.parse::<Ipv6Addr>().is_ok();
    match (host, port.parse::<u16>().is_ok()) {
        ("" | "*", true) => AddressError::OnlyPort,
        ("", false) if is_name(port) => AddressError::Name,
        (_, true) if host_is_ipv6 => AddressError::Brackets,
        (_, true) if is_name(host) => AddressError::Name,
        (_, false) if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() => AddressError::Port,
        _ => AddressError::Malformed,
    }
}

/// Whether it could be a host name: labels of letters, digits and hyphens, with a letter in them.
fn is_name(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// Why a text is no address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// What stands before the `/` is no IP address.
    Address,
    /// What stands after the `/` is no number of bits of that family.
    Prefix,
    /// Several in one text.
    Several,
    /// A word for everybody.
    Everybody,
    /// Bits beyond the prefix are set; this block was probably meant.
    HostBits(Cidr),
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "it is no IP address and no block of them",
            Self::Prefix => "the prefix is at most 32 bits of an IPv4 and 128 of an IPv6 address",
            Self::Several => "there are several in one text",
            Self::Everybody => "everybody has no word",
            Self::HostBits(_) => "the address has bits beyond its prefix",
        })
    }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address. A block of IPv4-mapped IPv6 addresses is the
/// IPv4 block that it maps.
///
/// # Errors
/// Anything else; also a block whose address has bits beyond the prefix.
pub(super) fn cidr(text: &str) -> Result<Cidr, CidrError> {
    if text.contains([',', ' ']) {
        return Err(CidrError::Several);
    }
    if matches!(text, "all" | "any" | "*" | "everyone" | "everybody") {
        return Err(CidrError::Everybody);
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let mut network: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
    let mut prefix = match prefix {
        None => width(network),
        Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| CidrError::Prefix)?
        }
        Some(_) => return Err(CidrError::Prefix),
    };
    if prefix > width(network) {
        return Err(CidrError::Prefix);
    }
    if let (IpAddr::V6(_), IpAddr::V4(mapped)) = (network, network.to_canonical())
        && let Some(inner) = prefix.checked_sub(96)
    {
        (network, prefix) = (IpAddr::V4(mapped), inner);
    }
    let block = Cidr { network: masked(network, prefix), prefix };
    if block.network == network { Ok(block) } else { Err(CidrError::HostBits(block)) }
}

impl CidrError {
    /// What to do about it; `None`: nothing that its words do not say.
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::HostBits(block) => Some(format!("write \"{block}\"")),
            Self::Several => Some("write a list, as in [\"10.0.0.0/8\", \"192.0.2.7\"]".to_owned()),
            Self::Everybody => Some("write \"0.0.0.0/0\" and \"::/0\"".to_owned()),
            Self::Address | Self::Prefix => None,
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with only its `prefix` leading bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let beyond = u32::from(width(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl Cidr {
    /// Whether the block holds `address`. An IPv4-mapped IPv6 address (the form in which a
    /// dual-stack socket shows its IPv4 peers) is the IPv4 address that it maps.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets() {
        use AddressError::{Brackets, Malformed, Name, NoPort, OnlyPort, Port, Unix, Url};
        for text in ["127.0.0.1:8080", "[::1]:80", "0.0.0.0:0", "[::]:65535"] {
            assert_eq!(socket(text).unwrap().to_string(), text);
        }
        let cases = [
            ("", Malformed),
            ("127.0.0.1", NoPort),
            ("::1", NoPort),
            ("[::1]", NoPort),
            ("8080", OnlyPort),
            (":8080", OnlyPort),
            ("*:8080", OnlyPort),
            ("127.0.0.1:65536", Port),
            ("127.0.0.1:http", Port),
            ("[::1]:", Port),
            ("2001:db8::1:80:90:x", Port),
            ("fe80::1:2:3:4:5:6:8080", Brackets),
            ("localhost:80", Name),
            ("origin-1.example.com:80", Name),
            ("localhost", Name),
            ("unix:/run/x.sock", Unix),
            ("/run/x.sock", Unix),
            ("http://10.0.0.1:80", Url),
            ("10.0.0.1:80 ", Port),
            ("300.0.0.1:80", Malformed),
        ];
        for (text, expected) in cases {
            assert_eq!(socket(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn blocks() {
        use CidrError::{Address, HostBits, Prefix};
        let good = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ];
        for (text, shown) in good {
            assert_eq!(cidr(text).unwrap().to_string(), shown, "{text}");
        }
        let ten = Cidr { network: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), prefix: 8 };
        let bad = [
            ("10.1.0.0/8", HostBits(ten)),
            ("10.0.0.0/33", Prefix),
            ("::/129", Prefix),
            ("10.0.0.0/", Prefix),
            ("10.0.0.0/+8", Prefix),
            ("10.0.0/8", Address),
            ("example.com", Address),
            ("", Address),
        ];
        for (text, expected) in bad {
            assert_eq!(cidr(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_a_block_contains() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "::ffff:10.1.2.3", false),
        ];
        for (block, address, expected) in cases {
            let block = cidr(block).unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), expected, "{block} {address}");
        }
    }
}
