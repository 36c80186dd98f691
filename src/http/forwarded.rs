//! `Forwarded` (RFC 7239) and `X-Forwarded-For`: who was at the other end of each hop.
//!
//! Strict: what does not follow the grammar is nobody's word. Must not know whom to believe.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::authority;
use super::bytes::{QUOTED, TEXT, TOKEN, is, is_token, run, trim};
use super::target::Scheme;

/// One hop, as the proxy that it led to describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop<'a> {
    /// `for`; `None`: absent, `unknown`, a name that hides an address, or no node at all.
    pub address: Option<IpAddr>,
    /// `proto`, where it is one that we know.
    pub scheme: Option<Scheme>,
    /// `host`, where it is one.
    pub host: Option<&'a [u8]>,
}

/// The hops of one `Forwarded` field, from the client on. Where the grammar ends, so do the hops,
/// with `None`: what stands behind it may mean anything.
#[derive(Clone, Debug)]
pub struct Hops<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Hops<'a> {
    /// Those of a field with this value.
    #[must_use]
    pub fn new(value: &'a [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for Hops<'a> {
    type Item = Option<Hop<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = trim(self.rest?);
        // A list may have empty elements (RFC 9110 5.6.1).
        let filled = rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'));
        let Some(rest) = filled.and_then(|at| rest.get(at..)) else {
            self.rest = None;
            return None;
        };
        let read = element(rest);
        self.rest = read.and_then(|(_, behind)| match trim(behind) {
            [b',', behind @ ..] => Some(behind),
            _ => None,
        });
        // Something else than a comma behind it: it was no element.
        let hop = read.filter(|(_, behind)| matches!(trim(behind), [] | [b',', ..]));
        Some(hop.map(|(hop, _)| hop))
    }
}

/// Reads pairs up to what cannot belong to them.
fn element(bytes: &[u8]) -> Option<(Hop<'_>, &[u8])> {
    let (mut hop, mut rest) = (Hop::default(), bytes);
    // `for`, `proto`, `host`, `by`: none of them twice.
    let mut seen = [false; 4];
    loop {
        if let [first, ..] = rest
            && is(*first, TOKEN)
        {
            let (name, tail) = rest.split_at_checked(run(rest, TOKEN))?;
            let [b'=', tail @ ..] = tail else { return None };
            let (value, tail) = value(tail)?;
            rest = tail;
            let known = ["for", "proto", "host", "by"].map(str::as_bytes);
            if let Some(at) = known.iter().position(|known| name.eq_ignore_ascii_case(known)) {
                let seen = seen.get_mut(at)?;
                if std::mem::replace(seen, true) {
                    return None;
                }
                match at {
                    0 => hop.address = node(value),
                    1 => hop.scheme = scheme(value),
                    2 => hop.host = authority::host(value).map(|_| value),
                    _ => {}
                }
            }
        }
        match rest {
            [b';', tail @ ..] => rest = tail,
            _ => return Some((hop, rest)),
        }
    }
}

/// A token, or what is between the quotes of a quoted string, as it stands there.
fn value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [b'"', inside @ ..] = bytes else {
        let (value, tail) = bytes.split_at_checked(run(bytes, TOKEN))?;
        return (!value.is_empty()).then_some((value, tail));
    };
    let mut length = 0;
    loop {
        let rest = inside.get(length..)?;
        length += run(rest, QUOTED);
        match inside.get(length..)? {
            [b'"', tail @ ..] => return Some((inside.get(..length)?, tail)),
            [b'\\', escaped, ..] if is(*escaped, TEXT) => length += 2,
            _ => return None,
        }
    }
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    if value.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if value.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// The address of a node: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:_port`.
fn node(value: &[u8]) -> Option<IpAddr> {
    let (name, behind) = match value {
        [b'[', inside @ ..] => {
            let close = memchr::memchr(b']', inside)?;
            let (name, behind) = inside.split_at_checked(close)?;
            let address: std::net::Ipv6Addr = std::str::from_utf8(name).ok()?.parse().ok()?;
            (IpAddr::from(address), behind.get(1..)?)
        }
        _ => {
            let end = memchr::memchr(b':', value).unwrap_or(value.len());
            let (name, behind) = value.split_at_checked(end)?;
            let address: std::net::Ipv4Addr = std::str::from_utf8(name).ok()?.parse().ok()?;
            (IpAddr::from(address), behind)
        }
    };
    let hidden = |port: &[u8]| {
        let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        !port.is_empty() && port.iter().all(good)
    };
    let is_port = match behind {
        [] => true,
        [b':', b'_', port @ ..] => hidden(port),
        [b':', port @ ..] => matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port.then(|| name.to_canonical())
}

/// The address of one entry of `X-Forwarded-For`: with or without port and brackets, as proxies
/// write them.
#[must_use]
pub fn listed_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let text = text.trim_matches('"');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let socket = text.parse::<SocketAddr>().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    socket.map(|s| s.ip()).or_else(bracketed).map(|address| address.to_canonical())
}

/// Appends `for=` with an address, in the form that its family asks for.
pub fn write_for(out: &mut Vec<u8>, address: IpAddr) {
    // Writing to a vector cannot fail.
    _ = match address {
        IpAddr::V4(address) => write!(out, "for={address}"),
        IpAddr::V6(address) => write!(out, "for=\"[{address}]\""),
    };
}

/// Appends `;NAME=` and a host or a token, in quotes where it is none.
pub fn write_pair(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(value.iter().all(|&byte| is(byte, QUOTED)));
    for part in [b";", name.as_bytes(), b"="] {
        out.extend_from_slice(part);
    }
    if is_token(value) {
        out.extend_from_slice(value);
    } else {
        out.push(b'"');
        out.extend(value.iter().filter(|byte| is(**byte, QUOTED)));
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(value: &str) -> Vec<Option<String>> {
        let text = |hop: Option<Hop<'_>>| Some(hop?.address?.to_string());
        Hops::new(value.as_bytes()).map(text).collect()
    }

    #[test]
    fn nodes_in_every_form() {
        for (value, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("For=192.0.2.1", Some("192.0.2.1")),
            ("for=\"192.0.2.1\"", Some("192.0.2.1")),
            ("for=\"192.0.2.1:4711\"", Some("192.0.2.1")),
            ("for=\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("for=\"[2001:DB8::1]:80\"", Some("2001:db8::1")),
            ("for=\"[::ffff:192.0.2.1]:_x\"", Some("192.0.2.1")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("for=\"_hidden:80\"", None),
            ("for=\"2001:db8::1\"", None),
            ("for=\"[2001:db8::1\"", None),
            ("for=\"[192.0.2.1]\"", None),
            ("for=\"192.0.2.1:\"", None),
            ("for=\"192.0.2.1:123456\"", None),
            ("for=\"192.0.2.1:_\"", None),
            ("for=\"192.0.2\\.1\"", None),
            ("for=1.2.3.4.5", None),
            ("by=192.0.2.1", None),
            ("for=\"\"", None),
        ] {
            assert_eq!(addresses(value), [expected.map(str::to_owned)], "{value}");
        }
    }

    #[test]
    fn hops_come_in_their_order() {
        let value = "for=192.0.2.1;proto=HTTPS;host=\"a.test:81\";by=_x , ,\
                     for=\"[::1]\";ext=\"a,b;\\\"c\", proto=gopher;host=\"a b\"";
        let hops: Vec<_> = Hops::new(value.as_bytes()).collect();
        let first = Hop {
            address: "192.0.2.1".parse().ok(),
            scheme: Some(Scheme::Https),
            host: Some(b"a.test:81"),
        };
        let second = Hop { address: "::1".parse().ok(), ..Hop::default() };
        assert_eq!(hops, [Some(first), Some(second), Some(Hop::default())]);
        for empty in ["", " ", ",", " , ,"] {
            assert_eq!(Hops::new(empty.as_bytes()).count(), 0, "{empty:?}");
        }
    }

    #[test]
    fn the_hops_end_where_the_grammar_does() {
        for bad in [
            "for",
            "for=",
            "for =1.2.3.4",
            "for= 1.2.3.4",
            "for=1.2.3.4 ;by=x",
            "for=1.2.3.4; by=x",
            "for=1.2.3.4 for=1.2.3.5",
            "for=1.2.3.4;for=1.2.3.5",
            "for=[::1]",
            "for=1.2.3.4:80",
            "for=\"1.2.3.4",
            "for=\"1.2.3.4\\",
            "for=\"1.2.3.4\"x",
            "1.2.3.4",
            "=1.2.3.4",
        ] {
            let value = format!("for=9.9.9.9, {bad}, for=8.8.8.8");
            let found: Vec<_> = Hops::new(value.as_bytes()).collect();
            assert_eq!(found.first().unwrap().unwrap().address, "9.9.9.9".parse().ok(), "{bad}");
            assert!(found[1..].contains(&None), "{bad}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            address in any::<IpAddr>(),
            host in "[a-z0-9.-]{1,20}(:[0-9]{1,4})?",
        ) {
            let mut out = Vec::new();
            write_for(&mut out, address);
            write_pair(&mut out, "host", host.as_bytes());
            write_pair(&mut out, "proto", b"https");
            let read: Vec<_> = Hops::new(&out).collect();
            let expected = Hop {
                address: Some(address.to_canonical()),
                scheme: Some(Scheme::Https),
                host: authority::host(host.as_bytes()).map(|_| host.as_bytes()),
            };
            prop_assert_eq!(read, [Some(expected)]);
        }
    }
}
