//! Strategies: heads that are almost right, so that most bytes of a case matter.

use proptest::prelude::*;

/// Pieces that heads are made of, good and bad.
const PIECES: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "/",
    "/a/../b",
    "/%2e%2E/",
    "/.",
    "//",
    "%2f",
    "%7e",
    "%0",
    "?q=1",
    "*",
    "http://H.x:8/p",
    "https://[::1]",
    "h:80",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204\r\n",
    "HTTP/1.0 304 \r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\0",
    "\x0b",
    "Host: h\r\n",
    "host: A.b.:1\r\n",
    "Host",
    ":",
    "Content-Length: 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding:\tchunKed \r\n",
    "Connection: close\r\n",
    "Connection: x, keep-alive\r\n",
    "X: y\r\n",
    "X_Forwarded_For: 1\r\n",
    " folded\r\n",
    "A : b\r\n",
    "é",
    "#",
];

/// Any sequence of pieces and of single bytes.
pub(super) fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(PIECES).prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A good start line, then good fields, then perhaps one byte put somewhere.
pub(super) fn nearly(start: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let field = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}:[ \t]{0,2}[ -~\u{e9}\t]{0,24}\r\n";
    let fields = prop::collection::vec(field, 0..6);
    let damage = prop::option::weighted(0.4, (any::<prop::sample::Index>(), any::<u8>()));
    (start, fields, damage).prop_map(|(start, fields, damage)| {
        let mut text = format!("{start}\r\n{}\r\n", fields.concat()).into_bytes();
        if let Some((at, byte)) = damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text
    })
}

pub(super) fn nearly_request() -> impl Strategy<Value = Vec<u8>> {
    nearly("(GET|POST|PURGE) /[!-~]{0,20}( HTTP/1\\.0| HTTP/1\\.1\r\nHost: [a-z.A-Z]{1,9})")
}

pub(super) fn nearly_response() -> impl Strategy<Value = Vec<u8>> {
    nearly("HTTP/1\\.[01] [1-5][0-9]{2}( [ -~]{0,12})?")
}
