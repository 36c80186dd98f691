//! Hosts with ports, as `Host` fields and request targets carry them.

use std::net::Ipv6Addr;

use super::bytes::{HOST, is};

/// The host of `authority`, without the port and with the brackets of an IPv6 address, or `None`
/// when it is not `host [":" port]` (RFC 9110 7.2, RFC 3986 3.2). Stricter than the grammar, where
/// recipients are known to differ: no percent sign, no comma, no empty label within the name, no
/// empty port, no port above 65535, no address of a future version, and no userinfo at all.
pub(super) fn host(authority: &[u8]) -> Option<&[u8]> {
    let (host, port) = if authority.first() == Some(&b'[') {
        let close = memchr::memchr(b']', authority)?;
        let (host, port) = authority.split_at_checked(close + 1)?;
        is_ipv6(host).then_some((host, port))?
    } else {
        let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
        let (host, port) = authority.split_at_checked(end)?;
        is_name(host).then_some((host, port))?
    };
    match port {
        [] => Some(host),
        [b':', digits @ ..] => is_port(digits).then_some(host),
        _ => None,
    }
}

/// The port that `authority` names, if it names one.
pub(super) fn port(authority: &[u8]) -> Option<u16> {
    let host = host(authority)?;
    let digits = authority.get(host.len() + 1..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_name(host: &[u8]) -> bool {
    let mut last = b'.';
    for &byte in host {
        if !is(byte, HOST) || (byte == b'.' && last == b'.') {
            return false;
        }
        last = byte;
    }
    !host.is_empty()
}

fn is_ipv6(host: &[u8]) -> bool {
    let [b'[', address @ .., b']'] = host else { return false };
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_port(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit)
        && digits.len() <= 5
        && std::str::from_utf8(digits).is_ok_and(|text| text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_authorities() {
        let cases = [
            ("a", "a", None),
            ("Shop.Example.com", "Shop.Example.com", None),
            ("example.com.", "example.com.", None),
            ("example.com:80", "example.com", Some(80)),
            ("a:0", "a", Some(0)),
            ("a:65535", "a", Some(65535)),
            ("a:00080", "a", Some(80)),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::7]:443", "[2001:DB8::7]", Some(443)),
            ("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", None),
            ("under_score~-x", "under_score~-x", None),
            ("a!$&'()*+;=b", "a!$&'()*+;=b", None),
        ];
        for (text, expected, number) in cases {
            assert_eq!(host(text.as_bytes()), Some(expected.as_bytes()), "{text}");
            assert_eq!(port(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn bad_authorities() {
        let cases = [
            "",
            ":80",
            "a:",
            "a:65536",
            "a:000080",
            "a:8x",
            "a:+80",
            "a:-1",
            "a: 80",
            "a:80:80",
            "a b",
            " a",
            "a ",
            "a,b",
            "a, b",
            "u@a",
            "u:p@a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%41",
            "a\tb",
            "a\0",
            "a\x7f",
            "é",
            "a..b",
            ".a",
            ".",
            "..",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1]x",
            "[::1]80",
            "[::1]:",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "[a]",
            "<a>",
            "a\"",
            "{a}",
            "a|b",
            "a^b",
            "`a`",
            "[[::1]]",
        ];
        for text in cases {
            assert_eq!(host(text.as_bytes()), None, "{text:?}");
        }
    }
}
