//! Secondary keys (RFC 9111 4.1): what of a request an answer depends on, normalised where requests
//! mean the same.

use super::super::fields::FieldRef;
use super::super::request::RequestHead;
use super::super::response::ResponseHead;
use super::answer::values;
use super::fields::CacheField;

/// Names in a `Vary` that are looked at; an answer that names more is not stored.
pub const NAMES_MOST: usize = 16;

/// The names of all `Vary` fields of an answer, in lower case, sorted, each once, with a line end
/// behind each. `None`: there are too many.
#[must_use]
pub fn names(head: &ResponseHead) -> Option<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for value in values(head, CacheField::Vary) {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if !name.is_empty() {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    let ended = names.iter().flat_map(|name| name.iter().copied().chain([b'\n'])).collect();
    (names.len() <= NAMES_MOST).then_some(ended)
}

/// Appends what `head` has in the fields that [`names`] gave.
pub fn select(names: &[u8], head: &RequestHead, out: &mut Vec<u8>) {
    for name in names.split(|byte| *byte == b'\n').filter(|name| !name.is_empty()) {
        let start = out.len();
        let mut there = false;
        for field in head.fields().filter(|field| field.name_bytes.eq_ignore_ascii_case(name)) {
            out.push(if there { b',' } else { b'=' });
            there = true;
            append(name, &field, out);
        }
        if matches!(name, b"accept-language" | b"accept-encoding" | b"accept-charset") {
            sort(out, start + 1);
        }
        // No field value has one.
        out.push(b'\n');
    }
}

/// White space around commas means nothing in lists. What is no list is compared as it is.
fn append(name: &[u8], field: &FieldRef<'_>, out: &mut Vec<u8>) {
    if matches!(name, b"cookie" | b"authorization" | b"user-agent" | b"referer" | b"origin") {
        out.extend_from_slice(field.value);
        return;
    }
    for (at, member) in field.value.split(|byte| *byte == b',').enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member.trim_ascii());
    }
}

/// In lists with weights neither order nor case mean anything (RFC 9110 12.5.2 to 12.5.4).
fn sort(out: &mut Vec<u8>, start: usize) {
    let Some(list) = out.get(start..) else { return };
    let small: Vec<u8> = list
        .iter()
        .filter(|byte| !matches!(byte, b' ' | b'\t'))
        .map(u8::to_ascii_lowercase)
        .collect();
    let mut members: Vec<&[u8]> = small.split(|byte| *byte == b',').collect();
    members.retain(|member| !member.is_empty());
    members.sort_unstable();
    members.dedup();
    out.truncate(start);
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::head::HeadLimits;
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 50 };

    fn selected(vary: &str, request: &str) -> Option<String> {
        let mut answer = ResponseHead::new();
        let text = format!("HTTP/1.1 200 OK\r\n{vary}\r\n");
        answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
        let mut head = RequestHead::new();
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{request}\r\n");
        head.parse(text.as_bytes(), &LIMITS).expect("a request");
        let mut out = Vec::new();
        select(&names(&answer)?, &head, &mut out);
        Some(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn requests_that_mean_the_same_are_the_same() {
        let same = |vary: &str, one: &str, other: &str| {
            assert_eq!(selected(vary, one), selected(vary, other), "{vary} {one} {other}");
        };
        same("Vary: Foo\r\n", "foo: 1, 2\r\n", "Foo:  1,2\r\nBar: 3\r\n");
        same("Vary: Foo\r\n", "foo: 1, 2\r\n", "Foo: 1\r\nFoo: 2\r\n");
        same("Vary: Foo\r\nVary: bar,foo\r\n", "Bar: 2\r\nFoo: 1\r\n", "Foo: 1\r\nBar: 2\r\n");
        same(
            "Vary: Accept-Language\r\n",
            "Accept-Language: en, de\r\n",
            "accept-language: De ,eN\r\n",
        );
        let other = |vary: &str, one: &str, other: &str| {
            assert_ne!(selected(vary, one), selected(vary, other), "{vary} {one} {other}");
        };
        other("Vary: Foo\r\n", "Foo: 1\r\n", "Foo: 2\r\n");
        other("Vary: Foo\r\n", "Foo: 1\r\n", "");
        other("Vary: Foo\r\n", "Foo:\r\n", "");
        other("Vary: Foo, Bar\r\n", "Foo: 1\r\n", "Bar: 1\r\n");
        other("Vary: Cookie\r\n", "Cookie: a=1, 2\r\n", "Cookie: a=1,2\r\n");
        other("Vary: Foo\r\n", "Foo: a\r\n", "Foo: A\r\n");
        other(
            "Vary: Accept-Language\r\n",
            "Accept-Language: en;q=0.5, de\r\n",
            "Accept-Language: en, de;q=0.5\r\n",
        );
        let many: String = (0..NAMES_MOST + 1).map(|n| format!("Vary: n{n}\r\n")).collect();
        assert_eq!(selected(&many, ""), None);
    }
}
