//! What can be wrong with a message: closed enums, one variant for each mistake that can be told.

use std::error::Error;
use std::fmt;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseError {
    /// The path climbs above its root.
    AboveRoot,
    /// The target's authority is not a host with an optional port.
    BadAuthority,
    /// A percent sign in the path is not followed by two hex digits.
    BadEscape,
    /// The Host field is not a host with an optional port.
    BadHost,
    /// The method is not a token followed by one space.
    BadMethod,
    /// A field name holds a byte that no name may hold.
    BadName,
    /// The reason phrase holds a control character.
    BadReason,
    /// The status is not three digits from 100 to 999.
    BadStatus,
    /// The answer does not begin with a status line.
    BadStatusLine,
    /// The request target holds a byte that no target may hold.
    BadTarget,
    /// The request target has a form that its method does not allow.
    BadTargetForm,
    /// A field value holds a control character.
    BadValue,
    /// The request line does not end in an HTTP version.
    BadVersion,
    /// A CR is not followed by LF.
    BareCr,
    /// A line ends in LF without CR.
    BareLf,
    /// A field has no name.
    EmptyName,
    /// The path holds an encoded NUL.
    EncodedNul,
    /// The head is larger than allowed.
    HeadTooLarge,
    /// More than two empty lines precede the request.
    LeadingEmptyLines,
    /// The method is longer than 32 bytes.
    MethodTooLong,
    /// An HTTP/1.1 request has no Host field.
    MissingHost,
    /// A field line has no colon.
    NoColon,
    /// A field value holds a NUL.
    Nul,
    /// A field line begins with whitespace.
    ObsFold,
    /// The request has more than one Host field.
    RepeatedHost,
    /// Whitespace stands between a field name and its colon.
    SpaceBeforeColon,
    /// The request line is longer than the whole head may be.
    TargetTooLong,
    /// A TLS handshake was sent to a plain-text port.
    TlsOnPlain,
    /// The head has more fields than allowed.
    TooManyFields,
    /// The Connection fields name more than 32 other fields.
    TooManyOptions,
    /// The HTTP version is not 1.x.
    UnsupportedVersion,
}

impl ParseError {
    /// Every variant, in order.
    pub const ALL: [Self; 31] = [
        Self::AboveRoot,
        Self::BadAuthority,
        Self::BadEscape,
        Self::BadHost,
        Self::BadMethod,
        Self::BadName,
        Self::BadReason,
        Self::BadStatus,
        Self::BadStatusLine,
        Self::BadTarget,
        Self::BadTargetForm,
        Self::BadValue,
        Self::BadVersion,
        Self::BareCr,
        Self::BareLf,
        Self::EmptyName,
        Self::EncodedNul,
        Self::HeadTooLarge,
        Self::LeadingEmptyLines,
        Self::MethodTooLong,
        Self::MissingHost,
        Self::NoColon,
        Self::Nul,
        Self::ObsFold,
        Self::RepeatedHost,
        Self::SpaceBeforeColon,
        Self::TargetTooLong,
        Self::TlsOnPlain,
        Self::TooManyFields,
        Self::TooManyOptions,
        Self::UnsupportedVersion,
    ];

    /// A short snake_case word for logs and counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.describe().0
    }

    /// The status that answers a request with this mistake. For the answer of an origin it has no
    /// meaning: that is a 502 whatever the mistake is.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields | Self::TooManyOptions => 431,
            Self::MethodTooLong => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }

    /// The code and the sentence.
    const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::AboveRoot => ("above_root", "the path climbs above its root"),
            Self::BadAuthority => {
                ("bad_authority", "the target's authority is not a host with an optional port")
            }
            Self::BadEscape => {
                ("bad_escape", "a percent sign in the path is not followed by two hex digits")
            }
            Self::BadHost => ("bad_host", "the Host field is not a host with an optional port"),
            Self::BadMethod => ("bad_method", "the method is not a token followed by one space"),
            Self::BadName => ("bad_name", "a field name holds a byte that no name may hold"),
            Self::BadReason => ("bad_reason", "the reason phrase holds a control character"),
            Self::BadStatus => ("bad_status", "the status is not three digits from 100 to 999"),
            Self::BadStatusLine => {
                ("bad_status_line", "the answer does not begin with a status line")
            }
            Self::BadTarget => {
                ("bad_target", "the request target holds a byte that no target may hold")
            }
            Self::BadTargetForm => {
                ("bad_target_form", "the request target has a form that its method does not allow")
            }
            Self::BadValue => ("bad_value", "a field value holds a control character"),
            Self::BadVersion => ("bad_version", "the request line does not end in an HTTP version"),
            Self::BareCr => ("bare_cr", "a CR is not followed by LF"),
            Self::BareLf => ("bare_lf", "a line ends in LF without CR"),
            Self::EmptyName => ("empty_name", "a field has no name"),
            Self::EncodedNul => ("encoded_nul", "the path holds an encoded NUL"),
            Self::HeadTooLarge => ("head_too_large", "the head is larger than allowed"),
            Self::LeadingEmptyLines => {
                ("leading_empty_lines", "more than two empty lines precede the request")
            }
            Self::MethodTooLong => ("method_too_long", "the method is longer than 32 bytes"),
            Self::MissingHost => ("missing_host", "an HTTP/1.1 request has no Host field"),
            Self::NoColon => ("no_colon", "a field line has no colon"),
            Self::Nul => ("nul", "a field value holds a NUL"),
            Self::ObsFold => ("obs_fold", "a field line begins with whitespace"),
            Self::RepeatedHost => ("repeated_host", "the request has more than one Host field"),
            Self::SpaceBeforeColon => {
                ("space_before_colon", "whitespace stands between a field name and its colon")
            }
            Self::TargetTooLong => {
                ("target_too_long", "the request line is longer than the whole head may be")
            }
            Self::TlsOnPlain => ("tls_on_plain", "a TLS handshake was sent to a plain-text port"),
            Self::TooManyFields => ("too_many_fields", "the head has more fields than allowed"),
            Self::TooManyOptions => {
                ("too_many_options", "the Connection fields name more than 32 other fields")
            }
            Self::UnsupportedVersion => ("unsupported_version", "the HTTP version is not 1.x"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().1)
    }
}

impl Error for ParseError {}

/// Why it cannot be told which body follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramingError {
    /// The Content-Length is not one decimal number.
    BadContentLength,
    /// The Transfer-Encoding is malformed.
    BadTransferEncoding,
    /// The Content-Length exceeds 63 bits.
    ContentLengthTooLarge,
    /// Both Content-Length and Transfer-Encoding are present.
    LengthAndEncoding,
    /// A field is spelled almost like Content-Length or Transfer-Encoding.
    LookAlike,
    /// More than one Content-Length field is present.
    RepeatedContentLength,
    /// More than one Transfer-Encoding field is present.
    RepeatedTransferEncoding,
    /// An HTTP/1.0 message has a Transfer-Encoding.
    TransferEncodingInHttp10,
    /// A transfer coding other than chunked is used.
    UnsupportedTransferCoding,
}

impl FramingError {
    /// Every variant, in order.
    pub const ALL: [Self; 9] = [
        Self::BadContentLength,
        Self::BadTransferEncoding,
        Self::ContentLengthTooLarge,
        Self::LengthAndEncoding,
        Self::LookAlike,
        Self::RepeatedContentLength,
        Self::RepeatedTransferEncoding,
        Self::TransferEncodingInHttp10,
        Self::UnsupportedTransferCoding,
    ];

    /// A short snake_case word for logs and counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.describe().0
    }

    /// The status that answers a request with this mistake. For the answer of an origin it has no
    /// meaning: that is a 502 whatever the mistake is.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnsupportedTransferCoding => 501,
            _ => 400,
        }
    }

    /// The code and the sentence.
    const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::BadContentLength => {
                ("bad_content_length", "the Content-Length is not one decimal number")
            }
            Self::BadTransferEncoding => {
                ("bad_transfer_encoding", "the Transfer-Encoding is malformed")
            }
            Self::ContentLengthTooLarge => {
                ("content_length_too_large", "the Content-Length exceeds 63 bits")
            }
            Self::LengthAndEncoding => {
                ("length_and_encoding", "both Content-Length and Transfer-Encoding are present")
            }
            Self::LookAlike => {
                ("look_alike", "a field is spelled almost like Content-Length or Transfer-Encoding")
            }
            Self::RepeatedContentLength => {
                ("repeated_content_length", "more than one Content-Length field is present")
            }
            Self::RepeatedTransferEncoding => {
                ("repeated_transfer_encoding", "more than one Transfer-Encoding field is present")
            }
            Self::TransferEncodingInHttp10 => {
                ("transfer_encoding_in_http_10", "an HTTP/1.0 message has a Transfer-Encoding")
            }
            Self::UnsupportedTransferCoding => {
                ("unsupported_transfer_coding", "a transfer coding other than chunked is used")
            }
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().1)
    }
}

impl Error for FramingError {}

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkError {
    /// The data of a chunk is not followed by CR LF.
    BadDataEnd,
    /// A chunk extension is malformed.
    BadExtension,
    /// A chunk size line does not end in CR LF.
    BadLineEnd,
    /// A chunk size is not a plain hexadecimal number.
    BadSize,
    /// A trailer field is malformed.
    BadTrailer,
    /// The chunk extensions of the body are larger than allowed.
    ExtensionsTooLarge,
    /// A chunk size line is longer than 4096 bytes.
    LineTooLong,
    /// A chunk size exceeds 63 bits or 16 digits.
    SizeTooLarge,
    /// The trailer section has more than 100 fields.
    TooManyTrailers,
    /// The trailer section is larger than allowed.
    TrailersTooLarge,
}

impl ChunkError {
    /// Every variant, in order.
    pub const ALL: [Self; 10] = [
        Self::BadDataEnd,
        Self::BadExtension,
        Self::BadLineEnd,
        Self::BadSize,
        Self::BadTrailer,
        Self::ExtensionsTooLarge,
        Self::LineTooLong,
        Self::SizeTooLarge,
        Self::TooManyTrailers,
        Self::TrailersTooLarge,
    ];

    /// A short snake_case word for logs and counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.describe().0
    }

    /// The status that answers a request with this mistake. For the answer of an origin it has no
    /// meaning: that is a 502 whatever the mistake is.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooManyTrailers | Self::TrailersTooLarge => 431,
            _ => 400,
        }
    }

    /// The code and the sentence.
    const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::BadDataEnd => ("bad_data_end", "the data of a chunk is not followed by CR LF"),
            Self::BadExtension => ("bad_extension", "a chunk extension is malformed"),
            Self::BadLineEnd => ("bad_line_end", "a chunk size line does not end in CR LF"),
            Self::BadSize => ("bad_size", "a chunk size is not a plain hexadecimal number"),
            Self::BadTrailer => ("bad_trailer", "a trailer field is malformed"),
            Self::ExtensionsTooLarge => {
                ("extensions_too_large", "the chunk extensions of the body are larger than allowed")
            }
            Self::LineTooLong => ("line_too_long", "a chunk size line is longer than 4096 bytes"),
            Self::SizeTooLarge => ("size_too_large", "a chunk size exceeds 63 bits or 16 digits"),
            Self::TooManyTrailers => {
                ("too_many_trailers", "the trailer section has more than 100 fields")
            }
            Self::TrailersTooLarge => {
                ("trailers_too_large", "the trailer section is larger than allowed")
            }
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().1)
    }
}

impl Error for ChunkError {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct_words_and_sentences_differ() {
        let all: Vec<(&str, String, u16)> = ParseError::ALL
            .iter()
            .map(|e| (e.code(), e.to_string(), e.status()))
            .chain(FramingError::ALL.iter().map(|e| (e.code(), e.to_string(), e.status())))
            .chain(ChunkError::ALL.iter().map(|e| (e.code(), e.to_string(), e.status())))
            .collect();
        let codes: HashSet<_> = all.iter().map(|(code, ..)| *code).collect();
        let sentences: HashSet<_> = all.iter().map(|(_, sentence, _)| sentence.as_str()).collect();
        assert_eq!((codes.len(), sentences.len()), (all.len(), all.len()));
        for (code, _, status) in &all {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!([400, 414, 431, 501, 505].contains(status), "{code}");
        }
    }
}
