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

/// Cuts `target`, whose bytes are known to be allowed ones. The authority is not looked into.
pub(super) fn cut(method: Method, target: &[u8]) -> Result<Target<'_>, ParseError> {
    if method == Method::Connect {
        let form = TargetForm::Authority;
        return Ok(Target { form, authority: target, ..Target::default() });
    }
    match target {
        [b'/', ..] => {
            let (path, query) = cut_query(target);
            Ok(Target { path, query, ..Target::default() })
        }
        b"*" if method == Method::Options => {
            Ok(Target { form: TargetForm::Asterisk, path: target, ..Target::default() })
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
    Ok(Target { form: TargetForm::Absolute, scheme: Some(scheme), authority, path, query })
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
pub(super) fn is_plain(path: &[u8]) -> bool {
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
