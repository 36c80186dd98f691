//! Methods and protocol versions.

/// A request method (RFC 9110 9.3, RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `CONNECT`
    Connect,
    /// `DELETE`
    Delete,
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// Any other token; the head keeps its bytes.
    Other,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `TRACE`
    Trace,
}

impl Method {
    /// The method that `bytes` names; methods are case-sensitive (RFC 9110 9.1).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            b"HEAD" => Self::Head,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Whether the method only reads (RFC 9110 9.2.1).
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Whether several such requests have the effect of one (RFC 9110 9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// The version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, and any later minor version: who sends that understands 1.1 (RFC 9110 2.5, 6.2).
    #[default]
    Http11,
}

impl Version {
    /// The version that two digits write; `None`: it is none of HTTP/1.
    pub(super) const fn of(major: u8, minor: u8) -> Option<Self> {
        match (major, minor) {
            (b'1', b'0') => Some(Self::Http10),
            (b'1', b'1'..=b'9') => Some(Self::Http11),
            _ => None,
        }
    }

    /// As `Via` writes it, without the name of the protocol.
    #[must_use]
    pub const fn digits(self) -> &'static [u8] {
        match self {
            Self::Http10 => b"1.0",
            Self::Http11 => b"1.1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_with_their_properties() {
        let cases: [(&str, Method, bool, bool); 11] = [
            ("GET", Method::Get, true, true),
            ("HEAD", Method::Head, true, true),
            ("OPTIONS", Method::Options, true, true),
            ("TRACE", Method::Trace, true, true),
            ("PUT", Method::Put, false, true),
            ("DELETE", Method::Delete, false, true),
            ("POST", Method::Post, false, false),
            ("PATCH", Method::Patch, false, false),
            ("CONNECT", Method::Connect, false, false),
            ("get", Method::Other, false, false),
            ("PROPFIND", Method::Other, false, false),
        ];
        for (text, method, safe, idempotent) in cases {
            assert_eq!(Method::of(text.as_bytes()), method, "{text}");
            assert_eq!((method.is_safe(), method.is_idempotent()), (safe, idempotent), "{text}");
        }
    }
}
