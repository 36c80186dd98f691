//! Hosts with ports, as `Host` fields and request targets carry them.

use std::net::Ipv6Addr;

use super::bytes::{LABEL, run};

/// The host of an authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Host<'a> {
    /// As sent, without the port and with the brackets of an IPv6 address.
    pub(super) bytes: &'a [u8],
    /// Whether it holds upper-case letters.
    pub(super) has_upper: bool,
}

/// The host of `authority`, or `None` when that is not `host [":" port]` (RFC 9110 7.2, RFC 3986
/// 3.2). Stricter than the grammar, where recipients are known to differ: no percent sign, no
/// comma, no empty label within the name, no empty port, no port above 65535, no address of a
/// future version, and no userinfo at all.
pub(super) fn host(authority: &[u8]) -> Option<Host<'_>> {
    let (host, port) = cut(authority)?;
    match port {
        [] => Some(host),
        [b':', digits @ ..] => number(digits).map(|_| host),
        _ => None,
    }
}

/// The port that `authority` names, if it names one.
pub(super) fn port(authority: &[u8]) -> Option<u16> {
    match cut(authority)? {
        (_, [b':', digits @ ..]) => number(digits),
        _ => None,
    }
}

/// The host and what is behind it.
fn cut(authority: &[u8]) -> Option<(Host<'_>, &[u8])> {
    if authority.first() == Some(&b'[') {
        let close = memchr::memchr(b']', authority)?;
        let (bytes, port) = authority.split_at_checked(close + 1)?;
        let has_upper = bytes.iter().any(u8::is_ascii_uppercase);
        return is_ipv6(bytes).then_some((Host { bytes, has_upper }, port));
    }
    let host = name(authority)?;
    Some((host, authority.get(host.bytes.len()..)?))
}

/// The name or IPv4 address that `authority` begins with.
fn name(authority: &[u8]) -> Option<Host<'_>> {
    let (mut rest, mut is_empty_label, mut has_upper) = (authority, true, false);
    loop {
        let len = run(rest, LABEL);
        is_empty_label &= len == 0;
        rest = match rest.get(len..)? {
            [b'.', ..] if is_empty_label => return None,
            [byte @ (b'.' | b'A'..=b'Z'), rest @ ..] => {
                is_empty_label = *byte == b'.';
                has_upper |= !is_empty_label;
                rest
            }
            rest => {
                let bytes = authority.get(..authority.len() - rest.len())?;
                return (!bytes.is_empty()).then_some(Host { bytes, has_upper });
            }
        };
    }
}

fn is_ipv6(host: &[u8]) -> bool {
    let [b'[', address @ .., b']'] = host else { return false };
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// The port that one to five digits write.
fn number(digits: &[u8]) -> Option<u16> {
    if !matches!(digits.len(), 1..=5) {
        return None;
    }
    let number = digits.iter().try_fold(0, |number, digit| match digit.wrapping_sub(b'0') {
        value @ 0..=9 => Some(number * 10 + u32::from(value)),
        _ => None,
    });
    u16::try_from(number?).ok()
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
            ("A.b.C.:80", "A.b.C.", Some(80)),
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
            let host = host(text.as_bytes()).unwrap();
            assert_eq!(host.bytes, expected.as_bytes(), "{text}");
            assert_eq!(host.has_upper, text.bytes().any(|b| b.is_ascii_uppercase()), "{text}");
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
            "A..b",
            "a.B..c",
            ".A",
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
