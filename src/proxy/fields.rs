//! What operators do to fields: which do not go on, and which are written.
//!
//! First what the listener says, then what the route says of what comes out: a field that the listener
//! sets may be removed or set again by the route. In each, `remove` is first, then `set`, then `add`.

use super::cors;
use super::exchange::Ask;
use super::known::Known;
use super::named;
use crate::config::{HeaderConfig, HeadersConfig};
use crate::http::encode;

/// The rules of a listener and of a route.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules<'a> {
    listener: Option<&'a HeadersConfig>,
    route: Option<&'a HeadersConfig>,
}

impl<'a> Rules<'a> {
    /// Those for requests.
    pub(super) fn of_request(ask: &Ask<'a>) -> Self {
        let listener = ask.listener.request_headers.as_ref();
        Self { listener, route: ask.route.request_headers.as_deref() }
    }

    /// Those for answers.
    pub(super) fn of_answer(known: &Known<'a>) -> Self {
        let route = known.route().and_then(|route| route.response_headers.as_deref());
        Self { listener: known.listener.response_headers.as_ref(), route }
    }

    /// Whether there are none.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.listener.is_none() && self.route.is_none()
    }

    /// Whether a field that came from elsewhere does not go on.
    pub(super) fn drop(&self, name: &[u8]) -> bool {
        takes(self.listener, name) || takes(self.route, name)
    }

    /// Appends the fields that are written.
    pub(super) fn write(&self, out: &mut Vec<u8>, known: &Known<'_>) {
        for field in self.listener.into_iter().flat_map(written) {
            if !takes(self.route, field.name.as_bytes()) {
                write_field(out, field, known);
            }
        }
        for field in self.route.into_iter().flat_map(written) {
            write_field(out, field, known);
        }
    }
}

fn takes(headers: Option<&HeadersConfig>, name: &[u8]) -> bool {
    headers.is_some_and(|headers| {
        headers.remove.iter().any(|pattern| pattern.matches(name))
            || headers.set.iter().any(|field| name.eq_ignore_ascii_case(field.name.as_bytes()))
    })
}

fn written(headers: &HeadersConfig) -> impl Iterator<Item = &HeaderConfig> {
    headers.set.iter().chain(&headers.add)
}

/// Appends a field, unless its value comes out empty.
fn write_field(out: &mut Vec<u8>, field: &HeaderConfig, known: &Known<'_>) {
    let start = out.len();
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b": ");
    let value = out.len();
    known.render(out, &field.value);
    if out.len() == value {
        return out.truncate(start);
    }
    out.extend_from_slice(encode::CRLF);
}

/// Changes the fields of an answer that is ringway's own, which begin at `from`, and appends those
/// that are written. Nothing that frames it may be among them yet.
pub(super) fn edit_own(out: &mut Vec<u8>, from: usize, known: &Known<'_>) {
    let rules = Rules::of_answer(known);
    let cors = known.route().and_then(|route| route.cors.as_deref());
    let id = known.listener.request_id.as_ref().filter(|id| id.echo);
    if !rules.is_empty() || cors.is_some() || id.is_some() {
        sift(out, from, |name| {
            rules.drop(name)
                || (cors.is_some() && crate::http::cors::is_access_control(name))
                || id.is_some_and(|id| name.eq_ignore_ascii_case(id.header.as_bytes()))
        });
    }
    if let (Some(cors), Some(head)) = (cors, known.head) {
        cors::write(out, cors, head);
    }
    if let Some(id) = id {
        named::write_field(out, &id.header, known);
    }
    if !rules.is_empty() {
        rules.write(out, known);
    }
}

/// Takes the lines out whose names are dropped, in place.
fn sift(out: &mut Vec<u8>, from: usize, drops: impl Fn(&[u8]) -> bool) {
    let (mut read, mut write) = (from, from);
    while let Some(rest) = out.get(read..)
        && !rest.is_empty()
    {
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default();
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if !drops(name) {
            out.copy_within(read..read + length, write);
            write += length;
        }
        read += length;
    }
    out.truncate(write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_out_in_place() {
        let drops = |name: &[u8]| name.starts_with(b"X");
        for (lines, expected) in [
            ("X: 1\r\nA: 1\r\nX-Y: 2\r\nB: X: 2\r\n", "A: 1\r\nB: X: 2\r\n"),
            ("X: 1\r\n", ""),
            ("A: 1\r\n", "A: 1\r\n"),
            ("", ""),
        ] {
            let mut out = format!("start\r\n{lines}").into_bytes();
            sift(&mut out, b"start\r\n".len(), drops);
            assert_eq!(String::from_utf8(out).unwrap(), format!("start\r\n{expected}"));
        }
    }
}
