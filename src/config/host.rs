//! Host names to match, and literals to send as `Host`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::checked::HostPattern;

/// Why a text is no host to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is nothing.
    Empty,
    /// What nginx takes for any host, or means so.
    Any,
    /// There is a port; hosts are matched without it.
    Port,
    /// There is a scheme or a path.
    Url,
    /// A `*` that is not the whole leftmost label, or stands over a single label only.
    Wildcard,
    /// A character that no host name has.
    Character(char),
    /// A label is empty, or the name ends with a dot.
    EmptyLabel,
    /// A label has over 63 characters, or the name over 253.
    TooLong,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Any => f.write_str("no host has this name"),
            Self::Port => f.write_str("hosts are matched without their port"),
            Self::Url => f.write_str("it is a URL"),
            Self::Wildcard => {
                f.write_str("`*` may only be the whole leftmost label, as in \"*.example.com\"")
            }
            Self::Character(c) => write!(f, "no host name has the character {c:?}"),
            Self::EmptyLabel => f.write_str("two dots in a row, or a dot at an end"),
            Self::TooLong => f.write_str("a label has at most 63 characters, a name 253"),
        }
    }
}

/// A host of a route, put in lower case: a name, `*.` and a name, an IPv4 address, or an IPv6
/// address in brackets (which is put in its canonical form).
///
/// # Errors
/// Anything else.
pub(super) fn pattern(text: &str) -> Result<HostPattern, HostError> {
    if text.is_empty() {
        return Err(HostError::Empty);
    }
    if matches!(text, "_" | "default") {
        return Err(HostError::Any);
    }
    if text.contains('/') {
        return Err(HostError::Url);
    }
    if let Some(inner) = text.strip_prefix('[') {
        return literal_v6(inner).map(HostPattern::Exact);
    }
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("*.") {
        Some(rest) => name(rest).map(|()| HostPattern::Wildcard(format!(".{rest}"))),
        None => name(&lower).map(|()| HostPattern::Exact(lower)),
    }
}

fn literal_v6(inner: &str) -> Result<String, HostError> {
    let (address, rest) = inner.split_once(']').ok_or(HostError::Character('['))?;
    if rest.starts_with(':') {
        return Err(HostError::Port);
    }
    match address.parse::<Ipv6Addr>() {
        Ok(address) if rest.is_empty() => Ok(format!("[{address}]")),
        _ => Err(HostError::Character('[')),
    }
}

/// A name, without port and wildcard.
pub(super) fn name(text: &str) -> Result<(), HostError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(HostError::Character(':'));
    }
    if text.contains(':') {
        return Err(HostError::Port);
    }
    if text.contains('*') {
        return Err(HostError::Wildcard);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if let Some(c) = text.chars().find(|&c| !allowed(c)) {
        return Err(HostError::Character(c));
    }
    if text.len() > 253 || text.split('.').any(|label| label.len() > 63) {
        return Err(HostError::TooLong);
    }
    if text.split('.').any(str::is_empty) {
        return Err(HostError::EmptyLabel);
    }
    Ok(())
}

/// Whether `text` may be sent as `Host`: a host, and a port if it has one (RFC 9110 section 7.2).
#[must_use]
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_is_good = port
        .is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let bare_v6 = text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
    !bare_v6 && port_is_good && matches!(pattern(host), Ok(HostPattern::Exact(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let exact = |s: &str| Ok(HostPattern::Exact(s.to_owned()));
        let wildcard = |s: &str| Ok(HostPattern::Wildcard(s.to_owned()));
        let long = format!("{}.com", "a".repeat(64));
        let cases = [
            ("example.com", exact("example.com")),
            ("EXAMPLE.com", exact("example.com")),
            ("localhost", exact("localhost")),
            ("127.0.0.1", exact("127.0.0.1")),
            ("[::1]", exact("[::1]")),
            ("[0:0::1]", exact("[::1]")),
            ("my_host", exact("my_host")),
            ("*.Example.com", wildcard(".example.com")),
            ("*.com", wildcard(".com")),
            ("", Err(HostError::Empty)),
            ("*", Err(HostError::Wildcard)),
            ("a.*.com", Err(HostError::Wildcard)),
            ("*a.com", Err(HostError::Wildcard)),
            ("*.*.com", Err(HostError::Wildcard)),
            ("*.", Err(HostError::EmptyLabel)),
            ("example.com:80", Err(HostError::Port)),
            ("*.example.com:80", Err(HostError::Port)),
            ("[::1]:80", Err(HostError::Port)),
            ("::1", Err(HostError::Character(':'))),
            ("http://example.com", Err(HostError::Url)),
            ("example.com/x", Err(HostError::Url)),
            ("exa mple.com", Err(HostError::Character(' '))),
            ("bücher.example", Err(HostError::Character('ü'))),
            ("a..b", Err(HostError::EmptyLabel)),
            ("example.com.", Err(HostError::EmptyLabel)),
            (".example.com", Err(HostError::EmptyLabel)),
            (&long, Err(HostError::TooLong)),
        ];
        for (text, expected) in cases {
            assert_eq!(pattern(text), expected, "{text}");
        }
    }

    #[test]
    fn authorities() {
        for good in ["example.com", "example.com:8080", "10.0.0.1:80", "[::1]", "[::1]:80"] {
            assert!(is_authority(good), "{good}");
        }
        for bad in ["", ":80", "a:b", "a:99999", "::1", "*.a.com", "a b", "a\r\nX: y", "a:+1"] {
            assert!(!is_authority(bad), "{bad}");
        }
    }
}
