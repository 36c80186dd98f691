//! Requests that must be refused, each for the reason that it was written for. Most are known
//! ways to smuggle one request within another past a proxy that is lenient.

use super::*;

fn check(text: &[u8], expected: ParseError) {
    let shown = text.escape_ascii();
    assert_eq!(request(text).err(), Some(expected), "{shown}");
}

fn check_lines(cases: &[(&[u8], ParseError)]) {
    for (line, expected) in cases {
        check(&[line, b"\r\nHost: h\r\n\r\n".as_slice()].concat(), *expected);
    }
}

#[test]
fn request_lines() {
    use ParseError::*;
    let cases: &[(&[u8], ParseError)] = &[
        // Separators.
        (b"GET  / HTTP/1.1", BadTarget),
        (b"GET /  HTTP/1.1", BadVersion),
        (b"GET\t/ HTTP/1.1", BadMethod),
        (b"GET /\tHTTP/1.1", BadTarget),
        (b"GET / HTTP/1.1 ", BadVersion),
        (b"GET / HTTP/1.1\t", BadVersion),
        (b" GET / HTTP/1.1", BadMethod),
        (b"GET\x0b/ HTTP/1.1", BadMethod),
        (b"GET\xa0/ HTTP/1.1", BadMethod),
        (b"GET /a b HTTP/1.1", BadVersion),
        (b"GET / x HTTP/1.1", BadVersion),
        (b"GET / HTTP/1.1 HTTP/1.1", BadVersion),
        // Methods.
        (b"G\0T / HTTP/1.1", BadMethod),
        (b"GET: / HTTP/1.1", BadMethod),
        (b"(GET) / HTTP/1.1", BadMethod),
        (b"G\xc3\xa9T / HTTP/1.1", BadMethod),
        (b"GET", BadMethod),
        (b"/ HTTP/1.1", BadMethod),
        (b"\x00", BadMethod),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1", MethodTooLong),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA: HTTP/1.1", BadMethod),
        // Versions.
        (b"GET /", BadVersion),
        (b"GET / ", BadVersion),
        (b"GET / HTTP", BadVersion),
        (b"GET / HTTP/", BadVersion),
        (b"GET / HTTP/1", BadVersion),
        (b"GET / HTTP/1.", BadVersion),
        (b"GET / http/1.1", BadVersion),
        (b"GET / HTTP/1,1", BadVersion),
        (b"GET / HTTP/1.11", BadVersion),
        (b"GET / HTTP/01.1", BadVersion),
        (b"GET / HTTP/+1.1", BadVersion),
        (b"GET / HTTP /1.1", BadVersion),
        (b"GET / HTTP/1.1x", BadVersion),
        (b"GET / HTTP/1.1\0", BadVersion),
        (b"GET / ICY/1.1", BadVersion),
        (b"GET / HTTPS/1.1", BadVersion),
        (b"GET / HTTP/0.9", UnsupportedVersion),
        (b"GET / HTTP/0.1", UnsupportedVersion),
        (b"GET / HTTP/2.0", UnsupportedVersion),
        (b"GET / HTTP/9.9", UnsupportedVersion),
        (b"PRI * HTTP/2.0", UnsupportedVersion),
        // Line ends.
        (b"GET /\r HTTP/1.1", BareCr),
        (b"GET / HTTP/1.1\r", BareCr),
        (b"GET\r / HTTP/1.1", BareCr),
        (b"GET /\nHTTP/1.1", BareLf),
        (b"GET\n/ HTTP/1.1", BareLf),
    ];
    check_lines(cases);
}

#[test]
fn targets() {
    use ParseError::*;
    let cases: &[(&[u8], ParseError)] = &[
        (b"GET a HTTP/1.1", BadTargetForm),
        (b"GET * HTTP/1.1", BadTargetForm),
        (b"GET ?a HTTP/1.1", BadTargetForm),
        (b"OPTIONS *a HTTP/1.1", BadTargetForm),
        (b"OPTIONS ** HTTP/1.1", BadTargetForm),
        (b"GET a:80 HTTP/1.1", BadTargetForm),
        (b"GET http:/a HTTP/1.1", BadTargetForm),
        (b"GET http:a HTTP/1.1", BadTargetForm),
        (b"GET ftp://a/ HTTP/1.1", BadTargetForm),
        (b"GET ://a/ HTTP/1.1", BadTargetForm),
        (b"GET http:// HTTP/1.1", BadAuthority),
        (b"GET http:///a HTTP/1.1", BadAuthority),
        (b"GET http://u@a/ HTTP/1.1", BadAuthority),
        (b"GET http://u:p@a/ HTTP/1.1", BadAuthority),
        (b"GET http://a:b/ HTTP/1.1", BadAuthority),
        (b"GET http://a:99999/ HTTP/1.1", BadAuthority),
        (b"GET http://a,b/ HTTP/1.1", BadAuthority),
        (b"GET http://[::1/ HTTP/1.1", BadAuthority),
        (b"CONNECT a HTTP/1.1", BadAuthority),
        (b"CONNECT / HTTP/1.1", BadAuthority),
        (b"CONNECT http://a:1/ HTTP/1.1", BadAuthority),
        (b"GET /a#b HTTP/1.1", BadTarget),
        (b"GET /a\\b HTTP/1.1", BadTarget),
        (b"GET \\a HTTP/1.1", BadTarget),
        (b"GET /a\0b HTTP/1.1", BadTarget),
        (b"GET /a\x7fb HTTP/1.1", BadTarget),
        (b"GET /a\x0bb HTTP/1.1", BadTarget),
        (b"GET /\xc3\xa9 HTTP/1.1", BadTarget),
        (b"GET /a?\xff HTTP/1.1", BadTarget),
        (b"GET /%zz HTTP/1.1", BadEscape),
        (b"GET /%4 HTTP/1.1", BadEscape),
        (b"GET /% HTTP/1.1", BadEscape),
        (b"GET /%/41 HTTP/1.1", BadEscape),
        (b"GET /%u0041 HTTP/1.1", BadEscape),
        (b"GET /a%00b HTTP/1.1", EncodedNul),
        (b"GET /.. HTTP/1.1", AboveRoot),
        (b"GET /a/../../b HTTP/1.1", AboveRoot),
        (b"GET /%2e%2e/a HTTP/1.1", AboveRoot),
        (b"GET /%2E./a HTTP/1.1", AboveRoot),
        (b"GET http://h/../a HTTP/1.1", AboveRoot),
    ];
    check_lines(cases);
}

#[test]
fn field_lines() {
    use ParseError::*;
    let cases: &[(&[u8], ParseError)] = &[
        // Line ends.
        (b"A: b\nC: d\r\n", BareLf),
        (b"A: b\n\r\n", BareLf),
        (b"\nA: b\r\n", BareLf),
        (b"A\n: b\r\n", BareLf),
        (b"A:\nb\r\n", BareLf),
        (b"\n", BareLf),
        (b"A: b\rC: d\r\n", BareCr),
        (b"A: b\r\r\n", BareCr),
        (b"A: \rb\r\n", BareCr),
        (b"\rA: b\r\n", BareCr),
        (b"\r\rA: b\r\n", BareCr),
        (b"A: b\r \r\n", BareCr),
        (b"Foo: bar\rTransfer-Encoding: chunked\r\n", BareCr),
        (b"Foo: bar\nTransfer-Encoding: chunked\r\n", BareLf),
        // Folding.
        (b" A: b\r\n", ObsFold),
        (b"\tA: b\r\n", ObsFold),
        (b"A: b\r\n c\r\n", ObsFold),
        (b"A: b\r\n\tc\r\n", ObsFold),
        (b"A: b\r\n \r\n", ObsFold),
        (b"Transfer-Encoding:\r\n chunked\r\n", ObsFold),
        // The colon.
        (b"Content-Length : 5\r\n", SpaceBeforeColon),
        (b"Content-Length\t: 5\r\n", SpaceBeforeColon),
        (b"Transfer-Encoding : chunked\r\n", SpaceBeforeColon),
        (b"Transfer-Encoding chunked\r\n", SpaceBeforeColon),
        (b"A \r\n", SpaceBeforeColon),
        (b"A\r\n", NoColon),
        (b": b\r\n", EmptyName),
        (b":\r\n", EmptyName),
        (b":authority: a\r\n", EmptyName),
        // Names.
        (b"A\0: b\r\n", BadName),
        (b"\0A: b\r\n", BadName),
        (b"Content-Length\x0b: 5\r\n", BadName),
        (b"\x0bContent-Length: 5\r\n", BadName),
        (b"Content-Length\xa0: 5\r\n", BadName),
        (b"A(B): c\r\n", BadName),
        (b"A/B: c\r\n", BadName),
        (b"\"A\": c\r\n", BadName),
        (b"A;B: c\r\n", BadName),
        (b"A@B: c\r\n", BadName),
        (b"[A]: c\r\n", BadName),
        (b"A,B: c\r\n", BadName),
        (b"\xef\xbb\xbfA: c\r\n", BadName),
        (b"GET /evil HTTP/1.1\r\n", SpaceBeforeColon),
        // Values.
        (b"A: b\0c\r\n", Nul),
        (b"A: \0\r\n", Nul),
        (b"A:\0\r\n", Nul),
        (b"A: b\x0bc\r\n", BadValue),
        (b"A: b\x0c\r\n", BadValue),
        (b"A: b\x7f\r\n", BadValue),
        (b"A: b\x08c\r\n", BadValue),
        (b"A: \x1b[0m\r\n", BadValue),
        (b"Transfer-Encoding: \x0bchunked\r\n", BadValue),
        (b"Transfer-Encoding: chunked\x0b\r\n", BadValue),
        (b"Transfer-Encoding: chunked\0\r\n", Nul),
    ];
    for (lines, expected) in cases {
        check(&[b"GET / HTTP/1.1\r\n", *lines, b"Host: h\r\n\r\n"].concat(), *expected);
        check(&[b"GET / HTTP/1.1\r\nHost: h\r\n", *lines, b"\r\n"].concat(), *expected);
    }
}

#[test]
fn hosts() {
    use ParseError::*;
    let cases: &[(&[u8], ParseError)] = &[
        (b"", MissingHost),
        (b"Hosts: a\r\n", MissingHost),
        (b"Host: a\r\nHost: a\r\n", RepeatedHost),
        (b"Host: a\r\nhOST: b\r\n", RepeatedHost),
        (b"Host: a\r\nA: b\r\nHost: \r\n", RepeatedHost),
        (b"Host:\r\nHost:\r\n", RepeatedHost),
        (b"Host:\r\n", BadHost),
        (b"Host: \t \r\n", BadHost),
        (b"Host: a b\r\n", BadHost),
        (b"Host: a, b\r\n", BadHost),
        (b"Host: a,b\r\n", BadHost),
        (b"Host: u@a\r\n", BadHost),
        (b"Host: a/b\r\n", BadHost),
        (b"Host: http://a\r\n", BadHost),
        (b"Host: a\\b\r\n", BadHost),
        (b"Host: a?b\r\n", BadHost),
        (b"Host: a#b\r\n", BadHost),
        (b"Host: a:b\r\n", BadHost),
        (b"Host: a:\r\n", BadHost),
        (b"Host: :80\r\n", BadHost),
        (b"Host: a:1:2\r\n", BadHost),
        (b"Host: a:70000\r\n", BadHost),
        (b"Host: a\tb\r\n", BadHost),
        (b"Host: \xc3\xa9\r\n", BadHost),
        (b"Host: a%20b\r\n", BadHost),
        (b"Host: [::1\r\n", BadHost),
        (b"Host: ::1\r\n", BadHost),
        (b"Host: [::g]\r\n", BadHost),
        (b"Host: a..b\r\n", BadHost),
        (b"Host: <script>\r\n", BadHost),
    ];
    for (lines, expected) in cases {
        check(&[b"GET / HTTP/1.1\r\n", *lines, b"\r\n"].concat(), *expected);
        // An absolute target does not excuse the Host field.
        check(&[b"GET http://h/ HTTP/1.1\r\n", *lines, b"\r\n"].concat(), *expected);
    }
    check(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", RepeatedHost);
    check(b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", BadHost);
    check(b"GET / HTTP/1.0\r\nHost:\r\n\r\n", BadHost);
}

/// What is hopeless is refused at once: nobody waits for the rest of the head.
#[test]
fn refused_before_the_head_is_complete() {
    use ParseError::*;
    let cases: &[(&[u8], ParseError)] = &[
        (b"\x16\x03\x01\x02\x00", TlsOnPlain),
        (b"\x80\x2e\x01", BadMethod),
        (b"\n", BareLf),
        (b"\nGET / HTTP/1.1\r\n", BareLf),
        (b"\rG", BareCr),
        (b"\r\n\r\n\r\n", LeadingEmptyLines),
        (b"\r\n\nGET", BareLf),
        (b"{\"a\": 1}", BadMethod),
        (&[b'A'; 257], BadMethod),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ", MethodTooLong),
        (b"GET / HTTP/1.1\n", BareLf),
        (b"GET / HTTP/3.0\r\n", UnsupportedVersion),
        (b"GET / HTTP/1.1\r\n Host", ObsFold),
        (b"GET / HTTP/1.1\r\nHost: a\n", BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf),
    ];
    for (text, expected) in cases {
        check(text, *expected);
    }
}

#[test]
fn bounds() {
    let parse = |text: &[u8], bytes, fields| {
        RequestHead::new().parse(text, &HeadLimits { bytes, fields }).map(|_| ())
    };
    let text = b"GET /abc HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nbody";
    let len = text.len() - 4;
    assert_eq!(parse(text, len, 2), Ok(()));
    assert_eq!(parse(text, len - 1, 2), Err(ParseError::HeadTooLarge));
    assert_eq!(parse(text, len, 1), Err(ParseError::TooManyFields));
    assert_eq!(parse(text, 19, 2), Err(ParseError::HeadTooLarge));
    assert_eq!(parse(text, 18, 2), Err(ParseError::TargetTooLong));
    assert_eq!(parse(&text[..18], 18, 2), Err(ParseError::TargetTooLong));
    assert_eq!(parse(&text[..17], 18, 2), Ok(()));
    assert_eq!(parse(text, 0, 2), Err(ParseError::TargetTooLong));

    // Bytes that came before do not delay it, nor do heads that were parsed before confuse it.
    let limits = HeadLimits { bytes: 40, fields: 2 };
    let mut head = RequestHead::new();
    let text = b"GET / HTTP/1.1\r\nHost: h\r\nA: bbbbbbbbbbbbbbbbb";
    assert_eq!(head.parse(&text[..30], &limits), Ok(Parsed::Partial));
    assert_eq!(head.parse(&text[..39], &limits), Ok(Parsed::Partial));
    assert_eq!(head.parse(&text[..40], &limits), Err(ParseError::HeadTooLarge));
    head.clear();
    let text = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(head.parse(text, &limits), Ok(Parsed::Complete(text.len())));
    let text = [b"GET /".as_slice(), &[b'a'; 40]].concat();
    assert_eq!(head.parse(&text, &limits), Err(ParseError::TargetTooLong));
}

/// A mistake is told with the line end that makes it one, not when the client gives up.
#[test]
fn a_bare_line_feed_in_single_bytes() {
    let mut head = RequestHead::new();
    let text = b"GET / HTTP/1.1\r\nHost: h\r\nA: b\n";
    for len in 0..text.len() {
        assert_eq!(head.parse(&text[..len], &LIMITS), Ok(Parsed::Partial));
    }
    assert_eq!(head.parse(text, &LIMITS), Err(ParseError::BareLf));
}
