//! Request targets: their four forms, and the one normal form of a path.
//!
//! The normal form both routes and is forwarded, so no origin resolves what we did not.

use super::bytes::{UNRESERVED, is};
use super::error::ParseError;
use super::method::Method;

/// The forms of RFC 9112 3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `http://host/path?query`
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
    /// `host:port`, with CONNECT only.
    Authority,
    /// `/path?query`
    #[default]
    Origin,
}

/// The scheme that an absolute-form target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static [u8] {
        match self {
            Self::Http => b"http",
            Self::Https => b"https",
        }
    }
}

/// A target cut into its parts, none of them decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) form: TargetForm,
    pub(super) scheme: Option<Scheme>,
    /// Of the absolute and authority forms; else empty.
    pub(super) authority: &'a [u8],
    /// As sent; empty where the target has none.
    pub(super) path: &'a [u8],
    /// Without its question mark.
    pub(super) query: Option<&'a [u8]>,
    /// Whether the path is known to be its own normal form.
    pub(super) is_plain: bool,
}

impl Target<'_> {
    /// The bytes before the authority.
    pub(super) fn scheme_len(&self) -> usize {
        match self.scheme {
            None => 0,
            Some(Scheme::Http) => b"http://".len(),
            Some(Scheme::Https) => b"https://".len(),
        }
    }

    /// Appends the normal form of the path to `out`.
    pub(super) fn write_path(&self, method: Method, out: &mut Vec<u8>) -> Result<(), ParseError> {
        match (self.form, self.path) {
            (TargetForm::Authority, _) => {}
            (TargetForm::Asterisk, _) => out.push(b'*'),
            // RFC 9112 3.2.4: the last proxy writes the server-wide OPTIONS with an asterisk.
            (_, []) if method == Method::Options && self.query.is_none() => out.push(b'*'),
            (_, []) => out.push(b'/'),
            (_, path) => normalise(path, out)?,
        }
        Ok(())
    }
}

/// Cuts `target`, whose bytes are known to be allowed ones, and none of its first `plain` bytes a
/// question mark. The authority is not looked into.
pub(super) fn cut(method: Method, target: &[u8], plain: usize) -> Result<Target<'_>, ParseError> {
    if method == Method::Connect {
        let form = TargetForm::Authority;
        return Ok(Target { form, authority: target, ..Target::default() });
    }
    match target {
        [b'/', ..] => {
            let (path, query) = match target.split_at_checked(plain) {
                None | Some((_, [])) => (target, None),
                Some((path, [b'?', query @ ..])) => (path, Some(query)),
                Some(_) => cut_query(target),
            };
            let is_plain = path.len() <= plain || is_plain(path);
            Ok(Target { path, query, is_plain, ..Target::default() })
        }
        b"*" if method == Method::Options => {
            let form = TargetForm::Asterisk;
            Ok(Target { form, path: target, is_plain: true, ..Target::default() })
        }
        _ => cut_absolute(target),
    }
}

fn cut_absolute(target: &[u8]) -> Result<Target<'_>, ParseError> {
    let (scheme, rest) = if let Some(rest) = strip_scheme(target, b"http://") {
        (Scheme::Http, rest)
    } else if let Some(rest) = strip_scheme(target, b"https://") {
        (Scheme::Https, rest)
    } else {
        return Err(ParseError::BadTargetForm);
    };
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).unwrap_or_default();
    let (path, query) = cut_query(rest);
    let is_plain = !path.is_empty() && is_plain(path);
    let (form, scheme) = (TargetForm::Absolute, Some(scheme));
    Ok(Target { form, scheme, authority, path, query, is_plain })
}

fn strip_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn cut_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target).and_then(|at| target.split_at_checked(at)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (target, None),
    }
}

/// Whether `path` is its own normal form as far as one scan can tell: no escape and no segment that
/// begins with a dot.
fn is_plain(path: &[u8]) -> bool {
    let mut last = 0;
    for &byte in path {
        if byte == b'%' || (byte == b'.' && last == b'/') {
            return false;
        }
        last = byte;
    }
    true
}

/// Appends the normal form of `path`, which begins with a slash, to `out`: escapes of unreserved
/// bytes are decoded, the hex digits of the others upper case, dot segments resolved (RFC 3986
/// 6.2.2). `%2F` and `%5C` stay encoded, empty segments stay.
///
/// # Errors
/// A bad escape, an encoded NUL, a path that climbs above `/`.
pub fn normalise(path: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
    let base = out.len();
    let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push(b'/');
        decode_segment(segment, out)?;
        let climbs = match out.get(start..) {
            Some(b"/.") => false,
            Some(b"/..") => true,
            _ => continue,
        };
        out.truncate(start);
        if climbs {
            let parent = out.get(base..).and_then(|done| memchr::memrchr(b'/', done));
            out.truncate(base + parent.ok_or(ParseError::AboveRoot)?);
        }
        // A dot segment at the end names the directory: its slash stays.
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
    Ok(())
}

fn decode_segment(mut segment: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
    while let Some(at) = memchr::memchr(b'%', segment) {
        let (plain, escape) = segment.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(plain);
        let [_, high, low, rest @ ..] = escape else { return Err(ParseError::BadEscape) };
        match hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low) {
            None => return Err(ParseError::BadEscape),
            Some(0) => return Err(ParseError::EncodedNul),
            Some(byte) if is(byte, UNRESERVED) => out.push(byte),
            Some(_) => {
                out.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
            }
        }
        segment = rest;
    }
    out.extend_from_slice(segment);
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &[u8]) -> Result<Vec<u8>, ParseError> {
        let mut out = b"before".to_vec();
        normalise(path, &mut out)?;
        Ok(out.strip_prefix(b"before").unwrap().to_vec())
    }

    #[test]
    fn normal_forms() {
        let cases = [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//", "//"),
            ("/a//b", "/a//b"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/../../c", "/c"),
            ("/a//../b", "/a/b"),
            ("//..", "/"),
            ("//../a", "/a"),
            ("/...", "/..."),
            ("/.a/..b/c.", "/.a/..b/c."),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%2e", "/"),
            ("/%7Euser/%41%2d%5f", "/~user/A-_"),
            ("/a%2fb%5cc", "/a%2Fb%5Cc"),
            ("/a%2F..%2Fb", "/a%2F..%2Fb"),
            ("/a%2f../b", "/a%2F../b"),
            ("/%25%32%65", "/%252e"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/%c3%a9%0a%0D%20%7f", "/%C3%A9%0A%0D%20%7F"),
            ("/a;b=c/..;/d", "/a;b=c/..;/d"),
            ("/%3b%3f%23", "/%3B%3F%23"),
        ];
        for (path, expected) in cases {
            let normal = normal(path.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&normal), expected, "{path}");
        }
    }

    #[test]
    fn paths_without_a_normal_form() {
        let cases = [
            ("/..", ParseError::AboveRoot),
            ("/../", ParseError::AboveRoot),
            ("/a/../..", ParseError::AboveRoot),
            ("/a/../../b", ParseError::AboveRoot),
            ("/./%2e%2e", ParseError::AboveRoot),
            ("//../..", ParseError::AboveRoot),
            ("/%", ParseError::BadEscape),
            ("/%4", ParseError::BadEscape),
            ("/%4/1", ParseError::BadEscape),
            ("/%zz", ParseError::BadEscape),
            ("/%+1", ParseError::BadEscape),
            ("/% 41", ParseError::BadEscape),
            ("/%%34%31", ParseError::BadEscape),
            ("/%00", ParseError::EncodedNul),
            ("/a%00.html", ParseError::EncodedNul),
        ];
        for (path, expected) in cases {
            assert_eq!(normal(path.as_bytes()), Err(expected), "{path}");
        }
    }

    /// The same in three plain steps, each a pass of its own.
    fn naive(path: &str) -> Option<String> {
        let mut decoded = String::new();
        let mut chars = path.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                decoded.push(c);
                continue;
            }
            let digits: String = chars.by_ref().take(2).collect();
            let valid = digits.len() == 2 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
            let byte = valid.then(|| u8::from_str_radix(&digits, 16).unwrap())?;
            match char::from(byte) {
                '\0' => return None,
                c if c.is_ascii_alphanumeric() || "-._~".contains(c) => decoded.push(c),
                _ => decoded.push_str(&format!("%{byte:02X}")),
            }
        }
        let segments: Vec<&str> = decoded.split('/').skip(1).collect();
        let mut kept = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let is_last = index + 1 == segments.len();
            match *segment {
                "." => {}
                ".." => {
                    kept.pop()?;
                }
                segment => {
                    kept.push(segment);
                    continue;
                }
            }
            if is_last {
                kept.push("");
            }
        }
        Some(kept.iter().map(|segment| format!("/{segment}")).collect())
    }

    proptest! {
        #[test]
        fn normal_form_equals_the_naive_one(
            path in "(/|/\\.|/\\.\\.|a|\\.|%2[eEfF]|%5c|%7[eE]|%4|%zz|%00|%41|[!-~&&[^?#%]]){0,12}",
        ) {
            let path = format!("/{path}");
            let expected = naive(&path);
            let found = normal(path.as_bytes()).ok();
            prop_assert_eq!(&found, &expected.map(String::into_bytes));
            if let Some(found) = found {
                let again = normal(&found);
                prop_assert_eq!(again, Ok(found), "not a fixed point");
            }
        }

        /// Paths that are passed on without a copy are those that a copy would not change.
        #[test]
        fn plain_paths_are_normal(path in "(/|a|\\.|%41|b\\.|[!-~&&[^?#]]){0,12}") {
            let path = format!("/{path}");
            if is_plain(path.as_bytes()) {
                prop_assert_eq!(normal(path.as_bytes()), Ok(path.into_bytes()));
            }
        }
    }
}
