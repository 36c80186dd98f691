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

/// The body of a request (RFC 9112 6.3).
///
/// # Errors
/// Anything that another recipient could frame in another way: Content-Length beside
/// Transfer-Encoding, either of them repeated, even with equal values, or malformed.
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
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
    if chunked > 1 {
        return FramingError::BadTransferEncoding;
    }
    FramingError::UnsupportedTransferCoding
}

fn holds_chunked(coding: &[u8]) -> bool {
    coding.windows(b"chunk".len()).any(|part| part.eq_ignore_ascii_case(b"chunk"))
}
