//! Responses: accepted and refused.

use super::*;

#[test]
fn status_lines() {
    let cases: &[(&str, u16, &str)] = &[
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.1 100 Continue", 100, "Continue"),
        ("HTTP/1.1 599 \tx", 599, "\tx"),
        ("HTTP/1.1 404 Not Found é \"#\\", 404, "Not Found é \"#\\"),
        ("HTTP/1.0 302 Found", 302, "Found"),
        ("HTTP/1.2 200 OK", 200, "OK"),
        ("HTTP/1.9 200", 200, ""),
        ("HTTP/1.1 600 x", 600, "x"),
        ("HTTP/1.1 999 Request denied", 999, "Request denied"),
    ];
    for &(line, status, reason) in cases {
        let head = response(format!("{line}\r\nA: b\r\n\r\n").as_bytes()).unwrap();
        assert_eq!((head.status(), head.reason()), (status, reason.as_bytes()), "{line}");
        assert_eq!(head.version() == Version::Http10, line.starts_with("HTTP/1.0"));
        assert_eq!(head.fields().next().unwrap().value, b"b");
    }
}

#[test]
fn refused() {
    use ParseError::*;
    let cases: &[(&[u8], ParseError)] = &[
        (b"HTTP/1.1  200 OK", BadStatus),
        (b"HTTP/1.1 20 OK", BadStatus),
        (b"HTTP/1.1 2000 OK", BadStatus),
        (b"HTTP/1.1 099 OK", BadStatus),
        (b"HTTP/1.1 2x0 OK", BadStatus),
        (b"HTTP/1.1 +20 OK", BadStatus),
        (b"HTTP/1.1 200\tOK", BadStatus),
        (b"HTTP/1.1 200OK", BadStatus),
        (b"HTTP/1.1 OK", BadStatus),
        (b"HTTP/1.1\t200 OK", BadStatusLine),
        (b"http/1.1 200 OK", BadStatusLine),
        (b"HTTP/11 200 OK", BadStatusLine),
        (b" HTTP/1.1 200 OK", BadStatusLine),
        (b"\r\nHTTP/1.1 200 OK", BadStatusLine),
        (b"ICY 200 OK", BadStatusLine),
        (b"<html>", BadStatusLine),
        (b"200 OK", BadStatusLine),
        (b"HTTP/2.0 200 OK", UnsupportedVersion),
        (b"HTTP/0.9 200 OK", UnsupportedVersion),
        (b"HTTP/1.1 200 O\0K", BadReason),
        (b"HTTP/1.1 200 O\x7fK", BadReason),
        (b"HTTP/1.1 200 O\x0bK", BadReason),
        (b"HTTP/1.1 200 OK\nA: b", BareLf),
        (b"HTTP/1.1 200\nA: b", BareLf),
        (b"HTTP/1.1 200 O\rK", BareCr),
        (b"HTTP/1.1 200\rK", BareCr),
        (b"HTTP/1.1 200 OK\r\n A: b", ObsFold),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c", ObsFold),
        (b"HTTP/1.1 200 OK\r\nA b: c", SpaceBeforeColon),
        (b"HTTP/1.1 200 OK\r\nA \r\n", SpaceBeforeColon),
        (b"HTTP/1.1 200 OK\r\nA \x0b: b", SpaceBeforeColon),
        (b"HTTP/1.1 200 OK\r\nA", NoColon),
        (b"HTTP/1.1 200 OK\r\n: b", EmptyName),
        (b"HTTP/1.1 200 OK\r\nA\0: b", BadName),
        (b"HTTP/1.1 200 OK\r\nA: b\0", Nul),
        (b"HTTP/1.1 200 OK\r\nA: b\x01", BadValue),
        // An origin that echoes what it should not: the answer is not split in two.
        (b"HTTP/1.1 200 OK\r\nLocation: /\nSet-Cookie: a=b", BareLf),
        (b"HTTP/1.1 200 OK\r\nLocation: /\rSet-Cookie: a=b", BareCr),
    ];
    for (text, expected) in cases {
        let whole = [text, b"\r\n\r\n".as_slice()].concat();
        assert_eq!(response(&whole).err(), Some(*expected), "{}", text.escape_ascii());
    }
}

/// RFC 9112 5.1: it is removed, and the field is what it is without it.
#[test]
fn whitespace_before_a_colon_is_dropped() {
    let text = b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length\t : 5\r\nB:c\r\n\r\n";
    let head = response(text).unwrap();
    let fields: Vec<_> = head.fields().map(|field| (field.name_bytes, field.value)).collect();
    let expected = [(&b"A"[..], &b"b"[..]), (b"Content-Length", b"5"), (b"B", b"c")];
    assert_eq!(fields, expected);
    assert_eq!(head.value(Name::ContentLength), Some(&b"5"[..]));
    let mut written = Vec::new();
    for field in head.fields() {
        encode::field_as_sent(&mut written, &field);
    }
    assert_eq!(written, b"A: b\r\nContent-Length: 5\r\nB: c\r\n");
    // In pieces, too, and a request is none the better for it.
    let mut head = ResponseHead::new();
    for length in 0..text.len() {
        assert_eq!(head.parse(&text[..length], &LIMITS), Ok(Parsed::Partial), "{length}");
    }
    assert_eq!(head.parse(text, &LIMITS), Ok(Parsed::Complete(text.len())));
}

#[test]
fn bounds() {
    let parse = |text: &[u8], bytes, fields| {
        ResponseHead::new().parse(text, &HeadLimits { bytes, fields }).map(|_| ())
    };
    let text = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\nbody";
    assert_eq!(parse(text, text.len() - 4, 2), Ok(()));
    assert_eq!(parse(text, text.len() - 5, 2), Err(ParseError::HeadTooLarge));
    assert_eq!(parse(text, 100, 1), Err(ParseError::TooManyFields));
}

#[test]
fn a_length_that_must_not_be_there_does_not_go_on() {
    for (status, dropped) in [(100, true), (103, true), (204, true), (200, false), (304, false)] {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\nA: b\r\n\r\n");
        let head = response(text.as_bytes()).unwrap();
        let ends: Vec<bool> = head.fields().map(|field| head.is_hop_by_hop(&field)).collect();
        assert_eq!(ends, [dropped, false], "{status}");
    }
}

#[test]
fn keep_alive_and_upgrade() {
    let keeps = |text: &[u8]| response(text).unwrap().wants_keep_alive();
    assert!(keeps(b"HTTP/1.1 200 OK\r\n\r\n"));
    assert!(!keeps(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
    assert!(!keeps(b"HTTP/1.0 200 OK\r\n\r\n"));
    assert!(keeps(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
    let head = response(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
}
