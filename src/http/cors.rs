//! Origins of scripts (the Fetch standard): which of them a pattern allows.

use std::fmt;

/// Origins that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `"*"`: every one.
    Any,
    /// `"https://a.example"`, `"http://localhost:3000"`.
    Exact(String),
    /// `"https://*.b.example"`: every host below it, at any depth.
    Below {
        /// `https://`
        scheme: String,
        /// `.b.example`, with a port where one is meant.
        suffix: String,
    },
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// Neither `http://` nor `https://` in front.
    Scheme,
    /// Something behind the host and the port.
    Path,
    /// A star elsewhere than as the first label.
    Star,
    /// No host, or a port that is none.
    Host,
    /// The port that the scheme has anyway, or capital letters: browsers never send it so.
    Form,
}

impl OriginPattern {
    /// The pattern that a text says.
    ///
    /// # Errors
    /// It says none.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, port) = match text {
            _ if text.starts_with("https://") => ("https://", ":443"),
            _ if text.starts_with("http://") => ("http://", ":80"),
            _ => return Err(OriginError::Scheme),
        };
        let authority = text.get(scheme.len()..).unwrap_or_default();
        if authority.contains(['/', '?', '#']) {
            return Err(OriginError::Path);
        }
        let named = authority.strip_prefix("*.");
        let host = named.unwrap_or(authority);
        if host.contains('*') {
            return Err(OriginError::Star);
        }
        if super::authority::host(host.as_bytes()).is_none() {
            return Err(OriginError::Host);
        }
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) || host.ends_with(port) {
            return Err(OriginError::Form);
        }
        Ok(match named {
            Some(host) => Self::Below { scheme: scheme.to_owned(), suffix: format!(".{host}") },
            None => Self::Exact(text.to_owned()),
        })
    }

    /// Whether it allows what a browser sent as `Origin`.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => text.as_bytes() == origin,
            Self::Below { scheme, suffix } => {
                let rest = origin.strip_prefix(scheme.as_bytes());
                let name = rest.and_then(|rest| rest.strip_suffix(suffix.as_bytes()));
                let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                name.is_some_and(|name| !name.is_empty() && name.iter().all(good))
            }
        }
    }
}

/// As it was written.
impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Below { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
        }
    }
}

/// Whether a member's field is one of those that say what scripts of other origins may do.
#[must_use]
pub fn is_access_control(name: &[u8]) -> bool {
    const START: &[u8] = b"access-control-";
    name.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_what_they_allow() {
        for (pattern, yes, no) in [
            ("*", &["https://a.example", "null"][..], &[][..]),
            (
                "https://a.example",
                &["https://a.example"],
                &["http://a.example", "https://a.example:8443", "https://x.a.example", "null", ""],
            ),
            ("http://localhost:3000", &["http://localhost:3000"], &["http://localhost"]),
            (
                "https://*.b.example",
                &["https://x.b.example", "https://x.y.b.example"],
                &[
                    "https://b.example",
                    "https://.b.example",
                    "https://evilb.example",
                    "https://x.b.example.evil",
                    "http://x.b.example",
                    "https://evil.example/.b.example",
                    "https://evil.example#.b.example",
                    "https://evil@x.b.example",
                    "https://x.b.example:8443",
                ],
            ),
            ("https://*.b.example:8443", &["https://x.b.example:8443"], &["https://x.b.example"]),
        ] {
            let parsed = OriginPattern::parse(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern);
            for origin in yes {
                assert!(parsed.allows(origin.as_bytes()), "{pattern} {origin}");
            }
            for origin in no {
                assert!(!parsed.allows(origin.as_bytes()), "{pattern} {origin}");
            }
        }
    }

    #[test]
    fn what_is_no_origin() {
        for (text, expected) in [
            ("a.example", OriginError::Scheme),
            ("ftp://a.example", OriginError::Scheme),
            ("HTTPS://a.example", OriginError::Scheme),
            ("https://a.example/", OriginError::Path),
            ("https://a.*.example", OriginError::Star),
            ("https://*", OriginError::Star),
            ("https://*a.example", OriginError::Star),
            ("https://", OriginError::Host),
            ("https://*.", OriginError::Host),
            ("https://a:99999", OriginError::Host),
            ("https://A.example", OriginError::Form),
            ("https://a.example:443", OriginError::Form),
            ("http://a.example:80", OriginError::Form),
        ] {
            assert_eq!(OriginPattern::parse(text), Err(expected), "{text}");
        }
    }
}
