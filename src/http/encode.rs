//! What goes on the wire, appended to a buffer. The values come from heads that were parsed, or
//! from us: nothing is checked again here, except by debug assertions.

use super::bytes::{TEXT, is, is_token};
use super::fields::FieldRef;
use super::method::Version;

/// The last chunk and the empty line behind it: the end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// The last chunk alone; trailer fields and an empty line must follow.
pub const LAST_CHUNK_BEFORE_TRAILERS: &[u8] = b"0\r\n";
/// The end of a line, of the data of a chunk, and, on its own line, of a head.
pub const CRLF: &[u8] = b"\r\n";
/// The whole interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The line before `size` bytes of chunk data. A size of 0 would end the body: use
/// [`LAST_CHUNK`] for that.
pub fn chunk_size_line(out: &mut Vec<u8>, size: usize) {
    debug_assert!(size > 0);
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (size >> (place * 4)) & 0xf;
        out.push(char::from_digit(digit as u32, 16).map_or(b'0', |digit| digit as u8));
    }
    out.extend_from_slice(CRLF);
}

/// `number` in decimal.
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    let (mut pairs, mut left, mut first) = ([[b'0'; 2]; 10], number, 20);
    for pair in pairs.iter_mut().rev() {
        let ends = (left % 100) as u8;
        *pair = [b'0' + ends / 10, b'0' + ends % 10];
        left /= 100;
        first -= if left == 0 && ends < 10 { 1 } else { 2 };
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(pairs.as_flattened().get(first..).unwrap_or_default());
}

/// `bytes` as hexadecimal digits, in lower case.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}

/// A field line.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(is_token(name) && value.iter().all(|&byte| is(byte, TEXT)));
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// The line of a field that goes on as it came: its bytes in one piece where they are those that
/// [`field`] would write.
#[inline]
pub fn field_as_sent(out: &mut Vec<u8>, entry: &FieldRef<'_>) {
    let is_tight = entry.line.len() == entry.name_bytes.len() + entry.value.len() + 4;
    match entry.line.get(entry.name_bytes.len()..) {
        Some([b':', b' ', .., b'\r', b'\n']) if is_tight => out.extend_from_slice(entry.line),
        _ => field(out, entry.name_bytes, entry.value),
    }
}

/// The field line of a Content-Length.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    field_of_number(out, b"Content-Length", length);
}

/// The line of a field whose value is a number.
pub fn field_of_number(out: &mut Vec<u8>, name: &[u8], number: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    decimal(out, number);
    out.extend_from_slice(CRLF);
}

/// The field line of a Date, in seconds since 1970 UTC.
pub fn date(out: &mut Vec<u8>, secs: u64) {
    out.extend_from_slice(b"Date: ");
    super::date::write(out, secs);
    out.extend_from_slice(CRLF);
}

/// The field line of a Via: of which version the message was received (RFC 9110 7.6.3).
pub fn via(out: &mut Vec<u8>, received: Version) {
    out.extend_from_slice(b"Via: ");
    out.extend_from_slice(received.digits());
    out.extend_from_slice(b" ringway\r\n");
}

/// `METHOD path?query HTTP/1.1`, with its line end.
#[inline]
pub fn request_line(out: &mut Vec<u8>, method: &[u8], path: &[u8], query: Option<&[u8]>) {
    out.reserve(method.len() + path.len() + query.map_or(0, <[u8]>::len) + 13);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 status reason`, with its line end; always the version that we speak. A status has
/// three digits.
#[inline]
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    debug_assert!((100..=999).contains(&status));
    let digit = |number: u16| b'0' + (number % 10) as u8;
    let mut start = *b"HTTP/1.1 000 ";
    let [.., hundreds, tens, ones, _] = &mut start;
    (*hundreds, *tens, *ones) = (digit(status / 100), digit(status / 10), digit(status));
    out.reserve(start.len() + reason.len() + CRLF.len());
    out.extend_from_slice(&start);
    out.extend_from_slice(reason);
    out.extend_from_slice(CRLF);
}

/// The registered reason phrase of a status; empty for others.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..=499 => client_error_phrase(status),
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

const fn client_error_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::HeadLimits;
    use super::super::request::RequestHead;
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for number in [0, 1, 9, 10, 99, 100, 1023, 65536, u64::MAX - 1, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
        for size in [1, 9, 15, 16, 255, 256, 0xabcdef, usize::MAX] {
            assert_eq!(written(|out| chunk_size_line(out, size)), format!("{size:x}\r\n"));
        }
    }

    #[test]
    fn fields_as_sent() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\nA: b c\r\nB:c\r\nC:\td \r\nD:\r\nE: \r\nF:  g\r\nG: h\t\r\n\r\n";
        let mut head = RequestHead::new();
        head.parse(text, &HeadLimits { bytes: 1000, fields: 10 }).unwrap();
        let (mut as_sent, mut anew) = (Vec::new(), Vec::new());
        for entry in head.fields() {
            field_as_sent(&mut as_sent, &entry);
            field(&mut anew, entry.name_bytes, entry.value);
        }
        assert_eq!(as_sent.escape_ascii().to_string(), anew.escape_ascii().to_string());
    }

    #[test]
    fn lines() {
        assert_eq!(written(|out| field(out, b"A", b"b c")), "A: b c\r\n");
        assert_eq!(written(|out| content_length(out, 120)), "Content-Length: 120\r\n");
        assert_eq!(written(|out| request_line(out, b"GET", b"/a", None)), "GET /a HTTP/1.1\r\n");
        assert_eq!(
            written(|out| request_line(out, b"GET", b"/a", Some(b""))),
            "GET /a? HTTP/1.1\r\n"
        );
        assert_eq!(written(|out| status_line(out, 200, b"OK")), "HTTP/1.1 200 OK\r\n");
        assert_eq!(written(|out| status_line(out, 299, b"")), "HTTP/1.1 299 \r\n");
    }

    #[test]
    fn every_status_that_an_error_answers_with_has_a_phrase() {
        for status in [400, 408, 413, 414, 417, 421, 429, 431, 500, 501, 502, 503, 504, 505] {
            assert_ne!(reason_phrase(status), "", "{status}");
        }
        assert_eq!(reason_phrase(599), "");
    }
}
