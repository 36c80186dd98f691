//! Where a member is: an address, a name to be resolved, the name of a service, a Unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::address::{self, AddressError};
use super::host::{self, HostError};

/// Bytes of a path that an address of a Unix socket has room for, before its final zero.
const PATH_MOST: usize = 107;

/// `address` of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberAddress {
    /// `"10.0.0.1:80"`, `"[::1]:80"`.
    Ip(SocketAddr),
    /// `"api.internal:8080"`: every address that the name has.
    Name {
        /// As written; with a final dot, no search domain is tried.
        host: String,
        /// On every address.
        port: u16,
    },
    /// `"srv:_http._tcp.api.internal"`: what the SRV records of the name say.
    Srv(String),
    /// `"unix:/run/app.sock"`.
    Unix(PathBuf),
}

impl MemberAddress {
    /// Whether it must be resolved, and may then be several addresses.
    #[must_use]
    pub const fn is_resolved(&self) -> bool {
        matches!(self, Self::Name { .. } | Self::Srv(_))
    }
}

impl fmt::Display for MemberAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Srv(name) => write!(f, "srv:{name}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is no address of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberAddressError {
    /// No IP address with a port, nor anything else.
    Address(AddressError),
    /// No name.
    Name(HostError),
    /// A service with a port: the records say it.
    ServicePort,
    /// The path of a Unix socket does not begin with a slash.
    RelativePath,
    /// It is longer than the system takes.
    LongPath,
    /// It has a zero in it.
    ZeroInPath,
    /// Something behind the address, as nginx and HAProxy have it.
    Options,
    /// A path without `unix:`.
    BarePath,
}

impl fmt::Display for MemberAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => write!(f, "{why}"),
            Self::Name(why) => write!(f, "{why}"),
            Self::ServicePort => f.write_str("the SRV records of a service say its ports"),
            Self::RelativePath => f.write_str("the path of a Unix socket begins with a /"),
            Self::LongPath => write!(f, "the path of a Unix socket has at most {PATH_MOST} bytes"),
            Self::ZeroInPath => f.write_str("no path has a zero in it"),
            Self::Options => f.write_str("there is more than an address in this text"),
            Self::BarePath => f.write_str("a Unix socket begins with unix:"),
        }
    }
}

/// What stands as the address of a member.
///
/// # Errors
/// Anything else, with what is probably wrong.
pub(super) fn parse(text: &str) -> Result<MemberAddress, MemberAddressError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    if text.starts_with('/') {
        return Err(MemberAddressError::BarePath);
    }
    if text.split_once(' ').is_some_and(|(address, _)| parse(address).is_ok()) {
        return Err(MemberAddressError::Options);
    }
    if let Some(name) = text.strip_prefix("srv:") {
        if name.contains(':') {
            return Err(MemberAddressError::ServicePort);
        }
        return dns_name(name).map(|()| MemberAddress::Srv(name.to_owned()));
    }
    let why = match address::socket(text) {
        Ok(address) => return Ok(MemberAddress::Ip(address)),
        Err(why) => why,
    };
    let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
        let named = why == AddressError::Name;
        return Err(MemberAddressError::Address(if named { AddressError::NoPort } else { why }));
    };
    if why == AddressError::Url || !host.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Err(MemberAddressError::Address(why));
    }
    // IPv6 in its different disguises.
    if host.contains([':', '[', ']']) {
        return Err(MemberAddressError::Address(why));
    }
    dns_name(host)?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok(MemberAddress::Name { host: host.to_owned(), port }),
        _ => Err(MemberAddressError::Address(AddressError::Port)),
    }
}

fn unix(path: &str) -> Result<MemberAddress, MemberAddressError> {
    if !path.starts_with('/') {
        return Err(MemberAddressError::RelativePath);
    }
    if path.len() > PATH_MOST {
        return Err(MemberAddressError::LongPath);
    }
    if path.contains('\0') {
        return Err(MemberAddressError::ZeroInPath);
    }
    Ok(MemberAddress::Unix(path.into()))
}

/// A name as DNS has them; one final dot is allowed.
fn dns_name(text: &str) -> Result<(), MemberAddressError> {
    let plain = text.strip_suffix('.').unwrap_or(text);
    if plain.is_empty() {
        return Err(MemberAddressError::Name(HostError::Empty));
    }
    host::name(plain).map_err(MemberAddressError::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_shown() {
        for text in [
            "10.0.0.1:80",
            "[::1]:80",
            "localhost:8080",
            "api.internal:8080",
            "API.internal.:65535",
            "app_1:80",
            "srv:_http._tcp.api.internal",
            "unix:/run/app.sock",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        let named = MemberAddress::Name { host: "a.b".to_owned(), port: 1 };
        assert_eq!(parse("a.b:1"), Ok(named));
    }

    #[test]
    fn mistakes() {
        use AddressError::{Brackets, Malformed, NoPort, OnlyPort, Port, Url};
        use MemberAddressError::{
            Address, BarePath, LongPath, Name, RelativePath, ServicePort, ZeroInPath,
        };
        let long = format!("unix:/{}", "x".repeat(107));
        let cases = [
            ("", Address(Malformed)),
            ("10.0.0.1", Address(NoPort)),
            ("api.internal", Address(NoPort)),
            ("8080", Address(OnlyPort)),
            (":8080", Address(OnlyPort)),
            ("api.internal:", Address(Port)),
            ("api.internal:http", Address(Port)),
            ("api.internal:65536", Address(Port)),
            ("api.internal:+80", Address(Port)),
            ("300.0.0.1:80", Address(Malformed)),
            ("fe80::1:2:3:4:5:6:8080", Address(Brackets)),
            ("[::1]", Address(NoPort)),
            ("http://api.internal:80", Address(Url)),
            ("a..b:80", Name(HostError::EmptyLabel)),
            ("a b:80", Name(HostError::Character(' '))),
            ("10.0.0.1:80 weight=5", MemberAddressError::Options),
            ("*.api:80", Name(HostError::Wildcard)),
            ("srv:", Name(HostError::Empty)),
            ("srv:_http._tcp.api:80", ServicePort),
            ("unix:run/app.sock", RelativePath),
            ("unix:", RelativePath),
            ("/run/app.sock", BarePath),
            ("unix:/a\0b", ZeroInPath),
            (&long, LongPath),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
        assert!(parse(&long[..long.len() - 1]).is_ok());
    }
}
