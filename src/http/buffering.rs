//! Which answers may be kept from their clients for a while.

use super::fields::FieldRef;
use super::name::Name;
use super::response::ResponseHead;

/// Types of bodies that never end, or whose parts are events: to be read as they come.
const LIVE: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];

/// Whether the body of an answer may be taken in before its client reads it: not of one that is live by
/// its type, nor where its server says `X-Accel-Buffering: no`.
#[must_use]
pub fn may_be_buffered(head: &ResponseHead) -> bool {
    !head.fields().any(|field| is_live(&field) || declines(&field))
}

fn is_live(field: &FieldRef<'_>) -> bool {
    if field.name != Name::ContentType {
        return false;
    }
    let essence = field.value.split(|byte| *byte == b';').next().unwrap_or_default();
    LIVE.iter().any(|live| essence.trim_ascii().eq_ignore_ascii_case(live))
}

fn declines(field: &FieldRef<'_>) -> bool {
    field.name == Name::Other
        && field.name_bytes.eq_ignore_ascii_case(b"x-accel-buffering")
        && field.value.eq_ignore_ascii_case(b"no")
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, Parsed};
    use super::*;

    #[test]
    fn live_answers_and_those_that_decline() {
        for (fields, expected) in [
            ("", true),
            ("Content-Type: text/html\r\n", true),
            ("Content-Type: text/event-stream\r\n", false),
            ("content-type: Text/Event-Stream ; charset=utf-8\r\n", false),
            ("Content-Type: text/event-streams\r\n", true),
            ("Content-Type: multipart/x-mixed-replace; boundary=x\r\n", false),
            ("X-Accel-Buffering: no\r\n", false),
            ("x-accel-buffering: NO\r\n", false),
            ("X-Accel-Buffering: yes\r\n", true),
            ("X-Accel-Bufferin: no\r\n", true),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let mut head = ResponseHead::new();
            let limits = HeadLimits { bytes: 1000, fields: 10 };
            assert_eq!(head.parse(text.as_bytes(), &limits), Ok(Parsed::Complete(text.len())));
            assert_eq!(may_be_buffered(&head), expected, "{fields}");
        }
    }
}
