//! References in answers, such as those of `Location`: which of them name a member by an address that
//! its clients do not know, and what they ought to name.
//!
//! Must not know where a member is.

use super::authority;
use super::bytes::trim_start;
use super::target::Scheme;

/// Whether a text is a host with or without a port.
#[must_use]
pub fn is_authority(text: &[u8]) -> bool {
    authority::host(text).is_some()
}

/// What a client knows of where it is, and how its request was passed on.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// How it asked.
    pub scheme: Scheme,
    /// Whom it asked, as it sent that.
    pub authority: &'a [u8],
    /// How the member was asked.
    pub member_scheme: Scheme,
    /// What was cut from its path, without a final slash; empty: nothing.
    pub prefix: &'a [u8],
}

/// A reference with an authority.
struct Absolute<'a> {
    /// `None`: that of the answer.
    scheme: Option<Scheme>,
    authority: &'a [u8],
    rest: &'a [u8],
}

fn absolute(value: &[u8]) -> Option<Absolute<'_>> {
    let strip = |text: &[u8]| {
        let (start, rest) = value.split_at_checked(text.len())?;
        start.eq_ignore_ascii_case(text).then_some(rest)
    };
    let (scheme, rest) = if let Some(rest) = strip(b"https://") {
        (Some(Scheme::Https), rest)
    } else if let Some(rest) = strip(b"http://") {
        (Some(Scheme::Http), rest)
    } else {
        (None, strip(b"//")?)
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, rest) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    // What is no authority (a user in front of it, say) is left alone.
    authority::host(authority).map(|_| Absolute { scheme, authority, rest })
}

const fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

const fn prefix_of(scheme: Scheme) -> &'static [u8] {
    match scheme {
        Scheme::Http => b"http://",
        Scheme::Https => b"https://",
    }
}

/// Whether two authorities of URLs with this scheme are the same: the host without regard to case
/// and a final dot, the port with its default filled in.
#[must_use]
pub fn is_same_authority(scheme: Scheme, one: &[u8], other: &[u8]) -> bool {
    let parts = |authority| {
        let host = authority::host(authority)?.bytes;
        let port = authority::port(authority).unwrap_or(default_port(scheme));
        Some((host.strip_suffix(b".").unwrap_or(host), port))
    };
    match (parts(one), parts(other)) {
        (Some((one, port)), Some((other, same))) => port == same && one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

/// Appends what a reference ought to be for the client, and returns true; or leaves it alone.
/// `names_member` says whether an authority, of a URL with this scheme, is the member's.
pub fn rewrite(
    out: &mut Vec<u8>,
    value: &[u8],
    place: &Place<'_>,
    names_member: impl Fn(Scheme, &[u8]) -> bool,
) -> bool {
    if place.authority.is_empty() {
        return false;
    }
    let Some(Absolute { scheme, authority, rest }) = absolute(value) else {
        let cut = !place.prefix.is_empty() && value.first() == Some(&b'/');
        if cut {
            out.extend_from_slice(place.prefix);
            out.extend_from_slice(value);
        }
        return cut;
    };
    let asked = scheme.unwrap_or(place.member_scheme);
    if names_member(asked, authority) {
        match (scheme, asked, place.member_scheme, place.scheme) {
            (None, ..) => out.extend_from_slice(b"//"),
            // A member that was asked in plain and sends to TLS means it.
            (_, Scheme::Https, Scheme::Http, _) | (.., Scheme::Https) => {
                out.extend_from_slice(b"https://");
            }
            _ => out.extend_from_slice(b"http://"),
        }
        out.extend_from_slice(place.authority);
        write_rest(out, rest, place.prefix);
        return true;
    }
    // It names whom the client asked, but not how: TLS ended here.
    let plain = (scheme, place.member_scheme, place.scheme);
    let same = is_same_authority(place.scheme, authority, place.authority)
        || is_same_authority(asked, authority, place.authority);
    let secures = plain == (Some(Scheme::Http), Scheme::Http, Scheme::Https);
    if !same || (!secures && place.prefix.is_empty()) {
        return false;
    }
    if let Some(scheme) = scheme {
        out.extend_from_slice(prefix_of(if secures { Scheme::Https } else { scheme }));
    } else {
        out.extend_from_slice(b"//");
    }
    out.extend_from_slice(place.authority);
    write_rest(out, rest, place.prefix);
    true
}

fn write_rest(out: &mut Vec<u8>, rest: &[u8], prefix: &[u8]) {
    out.extend_from_slice(prefix);
    if !prefix.is_empty() && rest.first() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(rest);
}

/// As [`rewrite`], for the reference within a `Refresh`: `5; url=http://a/`.
pub fn rewrite_refresh(
    out: &mut Vec<u8>,
    value: &[u8],
    place: &Place<'_>,
    names_member: impl Fn(Scheme, &[u8]) -> bool,
) -> bool {
    let found = || {
        let seconds = value.iter().position(|byte| matches!(byte, b';' | b','))?;
        let rest = trim_start(value.get(seconds + 1..)?);
        let (word, rest) = rest.split_at_checked(3)?;
        let rest = word.eq_ignore_ascii_case(b"url").then(|| trim_start(rest))?;
        let rest = trim_start(rest.strip_prefix(b"=")?);
        let quoted = matches!(rest.first(), Some(b'"' | b'\''));
        Some((rest.get(usize::from(quoted)..)?, quoted))
    };
    let Some((inside, quoted)) = found() else { return false };
    let start = value.len() - inside.len();
    let quote = value.get(start - 1).filter(|_| quoted);
    let end = quote.and_then(|quote| memchr::memchr(*quote, inside)).unwrap_or(inside.len());
    let (reference, behind) = inside.split_at_checked(end).unwrap_or_default();
    let before = out.len();
    out.extend_from_slice(value.get(..start).unwrap_or_default());
    let rewritten = rewrite(out, reference, place, names_member);
    if rewritten {
        out.extend_from_slice(behind);
    } else {
        out.truncate(before);
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HTTPS: Place<'_> = Place {
        scheme: Scheme::Https,
        authority: b"shop.test",
        member_scheme: Scheme::Http,
        prefix: b"",
    };
    const HTTP: Place<'_> = Place { scheme: Scheme::Http, ..HTTPS };
    const CUT: Place<'_> = Place { prefix: b"/api", ..HTTPS };

    fn names(scheme: Scheme, authority: &[u8]) -> bool {
        is_same_authority(scheme, authority, b"10.0.0.1:8080")
            || is_same_authority(scheme, authority, b"inner.test")
    }

    fn check(place: &Place<'_>, cases: &[(&str, Option<&str>)]) {
        for (value, expected) in cases {
            let mut out = Vec::new();
            let done = rewrite(&mut out, value.as_bytes(), place, names);
            let got = done.then(|| String::from_utf8(out.clone()).unwrap());
            assert_eq!(got.as_deref(), *expected, "{value}");
            assert!(done || out.is_empty(), "{value}");
        }
    }

    #[test]
    fn what_names_the_member_names_us() {
        check(
            &HTTPS,
            &[
                ("http://10.0.0.1:8080/a?b#c", Some("https://shop.test/a?b#c")),
                ("HTTP://INNER.test", Some("https://shop.test")),
                ("http://inner.test:80?x", Some("https://shop.test?x")),
                ("http://inner.test.:80/", Some("https://shop.test/")),
                ("https://inner.test/", Some("https://shop.test/")),
                ("//10.0.0.1:8080/a", Some("//shop.test/a")),
                ("http://10.0.0.1/", None),
                ("http://inner.test:8080/", None),
                ("https://inner.test:80/", None),
                ("http://user@inner.test/", None),
                ("http://inner.test.evil.test/", None),
                ("http://evil.test/http://inner.test/", None),
                ("ftp://inner.test/", None),
                ("http:/inner.test/", None),
                ("/a", None),
                ("a", None),
                ("?x", None),
                ("", None),
            ],
        );
        check(
            &HTTP,
            &[
                ("http://inner.test/", Some("http://shop.test/")),
                // Sent on to TLS: back to plain would be a circle.
                ("https://inner.test/", Some("https://shop.test/")),
                ("https://shop.test/", None),
                ("http://shop.test/", None),
            ],
        );
    }

    #[test]
    fn who_came_by_tls_is_not_sent_to_plain() {
        check(
            &HTTPS,
            &[
                ("http://shop.test/a", Some("https://shop.test/a")),
                ("http://Shop.test:80/a", Some("https://shop.test/a")),
                ("http://shop.test:443/a", Some("https://shop.test/a")),
                ("https://shop.test/a", None),
                ("//shop.test/a", None),
                ("http://shop.test:8080/", None),
            ],
        );
        let sealed = Place { member_scheme: Scheme::Https, ..HTTPS };
        check(
            &sealed,
            &[("http://shop.test/a", None), ("http://inner.test/", Some("https://shop.test/"))],
        );
        let sealed = Place { member_scheme: Scheme::Https, ..HTTP };
        check(&sealed, &[("https://inner.test/", Some("http://shop.test/"))]);
    }

    #[test]
    fn what_was_cut_comes_back() {
        check(
            &CUT,
            &[
                ("/a?b", Some("/api/a?b")),
                ("/", Some("/api/")),
                ("http://inner.test/a", Some("https://shop.test/api/a")),
                ("http://inner.test?a", Some("https://shop.test/api/?a")),
                ("https://shop.test/a", Some("https://shop.test/api/a")),
                ("//shop.test/a", Some("//shop.test/api/a")),
                ("https://other.test/a", None),
                ("a", None),
            ],
        );
    }

    #[test]
    fn the_reference_of_a_refresh() {
        for (value, expected) in [
            ("5; url=http://inner.test/a", Some("5; url=https://shop.test/a")),
            ("0;URL='http://inner.test/a'; x", Some("0;URL='https://shop.test/a'; x")),
            ("0, url = \"http://inner.test/\"", Some("0, url = \"https://shop.test/\"")),
            ("0;url=\"http://inner.test/", Some("0;url=\"https://shop.test/")),
            ("5; url=http://other.test/", None),
            ("5; link=http://inner.test/", None),
            ("5", None),
            ("5;", None),
            ("5;url=", None),
            ("5;url='", None),
        ] {
            let mut out = b"x".to_vec();
            let done = rewrite_refresh(&mut out, value.as_bytes(), &HTTPS, names);
            let got = done.then(|| std::str::from_utf8(&out[1..]).unwrap());
            assert_eq!(got, expected, "{value}");
            assert!(done || out == b"x");
        }
    }

    proptest! {
        #[test]
        fn what_names_nobody_we_know_is_left_alone(value in "[ -~]{0,60}") {
            let mut out = Vec::new();
            prop_assert!(!rewrite(&mut out, value.as_bytes(), &HTTP, |_, _| false));
            prop_assert!(!rewrite_refresh(&mut out, value.as_bytes(), &HTTP, |_, _| false));
            prop_assert!(out.is_empty());
        }
    }
}
