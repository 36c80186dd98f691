//! Which body follows a head (RFC 9112 6), where every doubt is an error.

use super::bytes::{decimal, is_token, trim};
use super::error::FramingError;
use super::fields::Fields;
use super::method::{Method, Version};
use super::name::Name;
use super::request::RequestHead;
use super::response::ResponseHead;

/// The body that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// No body.
    None,
    /// This many bytes; may be 0. At most `i64::MAX`.
    Length(u64),
    /// Chunks, see [`super::ChunkDecoder`].
    Chunked,
    /// Everything up to the end of the connection; responses only.
    UntilClose,
}

impl Framing {
    /// Whether a body of at least one byte may follow.
    #[must_use]
    pub const fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }
}

/// The body of a request (RFC 9112 6.3).
///
/// # Errors
/// Anything that another recipient could frame in another way: Content-Length beside
/// Transfer-Encoding, either of them repeated, even with equal values, or malformed, or a field that
/// origins may take for one of them.
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
    if head.raw_fields().looks_framed() {
        return Err(FramingError::LookAlike);
    }
    Ok(declared(head.raw_fields(), head.version())?.unwrap_or(Framing::None))
}

/// The body of the answer to a request with `method` (RFC 9112 6.3). A 101 has none: what follows
/// is the other protocol. HEAD and 304 may declare a body that does not follow; its declaration
/// must be sound all the same, for it goes on to the client.
///
/// # Errors
/// As for requests.
pub fn response_framing(head: &ResponseHead, method: Method) -> Result<Framing, FramingError> {
    let status = head.status();
    if matches!(status, 100..=199 | 204) {
        return Ok(Framing::None);
    }
    let declared = declared(head.raw_fields(), head.version())?;
    if method == Method::Head || status == 304 || (method == Method::Connect && status < 300) {
        return Ok(Framing::None);
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

/// What the fields declare.
fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, FramingError> {
    let (length, encoding) =
        (fields.value(Name::ContentLength), fields.value(Name::TransferEncoding));
    if length.is_some() && encoding.is_some() {
        return Err(FramingError::LengthAndEncoding);
    }
    if let Some(value) = length {
        if fields.has_repeated(Name::ContentLength) {
            return Err(FramingError::RepeatedContentLength);
        }
        return match decimal(value) {
            Ok(length) => Ok(Some(Framing::Length(length))),
            Err(true) => Err(FramingError::ContentLengthTooLarge),
            Err(false) => Err(FramingError::BadContentLength),
        };
    }
    let Some(value) = encoding else { return Ok(None) };
    if version == Version::Http10 {
        return Err(FramingError::TransferEncodingInHttp10);
    }
    if fields.has_repeated(Name::TransferEncoding) {
        return Err(FramingError::RepeatedTransferEncoding);
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Some(Framing::Chunked));
    }
    Err(wrong_encoding(value))
}

/// A list of codings that we merely do not know is one thing, an attempt to write `chunked` so that
/// not everybody reads it is another.
fn wrong_encoding(value: &[u8]) -> FramingError {
    let mut chunked = 0;
    for coding in value.split(|&byte| byte == b',').map(trim) {
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else if !is_token(coding) || holds_chunked(coding) {
            return FramingError::BadTransferEncoding;
        }
    }
    // Without a final `chunked` nobody knows where a request ends: 400 (RFC 9112 section 6.3). What
    // is only unknown before it is 501 (section 6.1).
    let ends_chunked = value
        .rsplit(|&byte| byte == b',')
        .next()
        .is_some_and(|coding| trim(coding).eq_ignore_ascii_case(b"chunked"));
    if chunked == 1 && ends_chunked {
        FramingError::UnsupportedTransferCoding
    } else {
        FramingError::BadTransferEncoding
    }
}

fn holds_chunked(coding: &[u8]) -> bool {
    coding.windows(b"chunk".len()).any(|part| part.eq_ignore_ascii_case(b"chunk"))
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, Parsed};
    use super::FramingError::*;
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 50 };

    fn request(version: &str, fields: &str) -> Result<Framing, FramingError> {
        let text = format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parsed::Complete(text.len())));
        request_framing(&head)
    }

    fn response(line: &str, fields: &str, method: Method) -> Result<Framing, FramingError> {
        let text = format!("HTTP/{line}\r\n{fields}\r\n");
        let mut head = ResponseHead::new();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parsed::Complete(text.len())));
        response_framing(&head, method)
    }

    /// Declarations and what they mean, in a request and in the answer to a GET alike.
    const DECLARED: &[(&str, Result<Framing, FramingError>)] = &[
        ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
        ("content-length:\t5 \r\n", Ok(Framing::Length(5))),
        ("Content-Length: 005\r\n", Ok(Framing::Length(5))),
        ("Content-Length: 9223372036854775807\r\n", Ok(Framing::Length(i64::MAX as u64))),
        ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
        ("TRANSFER-ENCODING:\t CHUNKed \t\r\n", Ok(Framing::Chunked)),
        // Content-Length.
        ("Content-Length:\r\n", Err(BadContentLength)),
        ("Content-Length: +5\r\n", Err(BadContentLength)),
        ("Content-Length: -5\r\n", Err(BadContentLength)),
        ("Content-Length: 5, 5\r\n", Err(BadContentLength)),
        ("Content-Length: 5,\r\n", Err(BadContentLength)),
        ("Content-Length: 5 5\r\n", Err(BadContentLength)),
        ("Content-Length: 0x5\r\n", Err(BadContentLength)),
        ("Content-Length: a\r\n", Err(BadContentLength)),
        ("Content-Length: 5.0\r\n", Err(BadContentLength)),
        ("Content-Length: 5e1\r\n", Err(BadContentLength)),
        ("Content-Length: \"5\"\r\n", Err(BadContentLength)),
        ("Content-Length: 5;\r\n", Err(BadContentLength)),
        ("Content-Length: 1_000\r\n", Err(BadContentLength)),
        ("Content-Length: \u{b2}\r\n", Err(BadContentLength)),
        ("Content-Length: 9223372036854775808\r\n", Err(ContentLengthTooLarge)),
        ("Content-Length: 18446744073709551616\r\n", Err(ContentLengthTooLarge)),
        ("Content-Length: 99999999999999999999999999999\r\n", Err(ContentLengthTooLarge)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(RepeatedContentLength)),
        ("Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n", Err(RepeatedContentLength)),
        // Both.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(LengthAndEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(LengthAndEncoding)),
        ("Transfer-Encoding: x\r\nContent-Length: 0\r\n", Err(LengthAndEncoding)),
        ("Transfer-Encoding:\r\nContent-Length: 5\r\n", Err(LengthAndEncoding)),
        // Transfer-Encoding.
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Err(RepeatedTransferEncoding),
        ),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", Err(RepeatedTransferEncoding)),
        (
            "Transfer-Encoding: gzip\r\nTransfer-encoding: chunked\r\n",
            Err(RepeatedTransferEncoding),
        ),
        ("Transfer-Encoding:\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: xchunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: chunkedx\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: chunk\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: x chunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: chunked x\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: chunked;q=1\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: gzip;q=1, chunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: \"chunked\"\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: 'chunked'\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: chunked,\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: ,chunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: : chunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: [chunked]\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: \u{ff}chunked\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: gzip\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: identity\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(UnsupportedTransferCoding)),
        ("Transfer-Encoding: chunked, gzip\r\n", Err(BadTransferEncoding)),
        ("Transfer-Encoding: identity, chunked\r\n", Err(UnsupportedTransferCoding)),
        ("Transfer-Encoding: cow\r\n", Err(BadTransferEncoding)),
    ];

    #[test]
    fn declarations() {
        for (fields, expected) in DECLARED {
            assert_eq!(request("1.1", fields), *expected, "{fields}");
            assert_eq!(response("1.1 200 OK", fields, Method::Get), *expected, "{fields}");
            // What may not be passed on is refused where no body follows too.
            let bodiless = expected.map(|_| Framing::None);
            assert_eq!(response("1.1 200 OK", fields, Method::Head), bodiless, "{fields}");
            assert_eq!(response("1.1 304 x", fields, Method::Get), bodiless, "{fields}");
            // These may declare nothing: what they do declare is dropped unread.
            for line in ["1.1 100 x", "1.1 101 x", "1.1 103 x", "1.1 204 x"] {
                assert_eq!(response(line, fields, Method::Get), Ok(Framing::None), "{fields}");
            }
        }
    }

    #[test]
    fn names_that_only_look_like_framing_declare_nothing() {
        for name in ["Content-Lengths", "Content-Lengt", "XContent-Length"] {
            assert_eq!(request("1.1", &format!("{name}: 5\r\n")), Ok(Framing::None), "{name}");
        }
        for name in ["Transfer-Encodin", "XTransfer-Encoding"] {
            let field = format!("{name}: chunked\r\n");
            assert_eq!(request("1.1", &field), Ok(Framing::None), "{name}");
        }
        // Origins take these for the real ones; answers with them lose them.
        for field in ["Content_Length: 5", "content.length: 0", "Transfer_Encoding: chunked"] {
            for length in ["", "Content-Length: 5\r\n"] {
                let fields = format!("{field}\r\n{length}");
                assert_eq!(request("1.1", &fields), Err(LookAlike), "{fields}");
                assert_eq!(request("1.0", &fields), Err(LookAlike), "{fields}");
            }
            let text = format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 5\r\n\r\n");
            let mut head = ResponseHead::new();
            assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parsed::Complete(text.len())));
            assert_eq!(response_framing(&head, Method::Get), Ok(Framing::Length(5)));
            let on: Vec<bool> = head.fields().map(|field| head.is_hop_by_hop(&field)).collect();
            assert_eq!(on, [true, false], "{field}");
        }
    }

    #[test]
    fn nothing_declared() {
        assert_eq!(request("1.1", ""), Ok(Framing::None));
        assert_eq!(request("1.0", ""), Ok(Framing::None));
        for method in [Method::Get, Method::Post, Method::Other] {
            assert_eq!(response("1.1 200 OK", "", method), Ok(Framing::UntilClose));
            assert_eq!(response("1.0 500", "", method), Ok(Framing::UntilClose));
        }
        assert_eq!(response("1.1 200 OK", "", Method::Head), Ok(Framing::None));
        assert_eq!(response("1.1 304", "", Method::Get), Ok(Framing::None));
        assert_eq!(response("1.1 200 OK", "", Method::Connect), Ok(Framing::None));
        assert_eq!(response("1.1 403 No", "", Method::Connect), Ok(Framing::UntilClose));
    }

    #[test]
    fn http_10_knows_lengths_only() {
        let chunked = "Transfer-Encoding: chunked\r\n";
        assert_eq!(request("1.0", "Content-Length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(request("1.0", chunked), Err(TransferEncodingInHttp10));
        assert_eq!(response("1.0 200", chunked, Method::Get), Err(TransferEncodingInHttp10));
    }
}
