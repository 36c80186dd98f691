//! The checked form of what is done to fields on their way.

use std::fmt;
use std::time::Duration;

use crate::http::Template;
use crate::http::cors::OriginPattern;

/// `request_headers` or `response_headers`: first `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default)]
pub struct HeadersConfig {
    /// Fields that end here.
    pub remove: Vec<NamePattern>,
    /// Fields that take the place of all of their name.
    pub set: Vec<HeaderConfig>,
    /// Fields in addition to those of their name.
    pub add: Vec<HeaderConfig>,
}

/// A field to write.
#[derive(Clone, Debug)]
pub struct HeaderConfig {
    /// Its name, a token.
    pub name: String,
    /// Its value.
    pub value: Template,
}

/// Which fields, by their names; case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// Those of this name.
    Exact(String),
    /// Those whose names begin so: `X-Int-*` holds `X-Int-`.
    Prefix(String),
}

impl NamePattern {
    /// Whether a name is one of those.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => name.eq_ignore_ascii_case(exact.as_bytes()),
            Self::Prefix(prefix) => name
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
        }
    }
}

/// As it was written.
impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// `request_id = {...}` of a listener.
#[derive(Clone, Debug)]
pub struct RequestIdConfig {
    /// The field. Default `X-Request-Id`.
    pub header: String,
    /// Whether clients get it. Default true.
    pub echo: bool,
}

/// `tracing = {...}` of a listener.
#[derive(Clone, Copy, Debug)]
pub struct TracingConfig {
    /// Whether requests without a trace begin one. Default false.
    pub start: bool,
    /// The share of those, in percent, that are to be recorded. Default 100.
    pub sample: u8,
}

/// `trusted_hops`, `trusted_field` and `forwarded` of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ForwardedConfig {
    /// Proxies in front, at whatever addresses. Default 0: `trusted_proxies` says who they are.
    pub hops: u32,
    /// Whether trusted peers say who the client is in `Forwarded`. Default false: in
    /// `X-Forwarded-For`.
    pub by_forwarded: bool,
    /// Whether members get `X-Forwarded-*` and `X-Real-IP`. Default true.
    pub x_forwarded: bool,
    /// Whether members get `Forwarded`. Default false.
    pub rfc7239: bool,
}

/// `location = {...}` of a route.
#[derive(Clone, Debug, Default)]
pub struct LocationConfig {
    /// Further names of members, with or without a port. Default none.
    pub hosts: Vec<String>,
}

/// `cors = {...}` of a route.
#[derive(Clone, Debug)]
pub struct CorsConfig {
    /// Who may ask.
    pub origins: Vec<OriginPattern>,
    /// With which methods, as they are sent: `GET, PUT`.
    pub methods: String,
    /// With which fields: a list, `*`, or nothing.
    pub headers: String,
    /// Which fields of answers are seen: a list, `*`, or nothing.
    pub expose: String,
    /// Whether with cookies and the like.
    pub credentials: bool,
    /// How long answers to preflights hold.
    pub max_age: Option<Duration>,
}

impl CorsConfig {
    /// Whether every origin may ask, so that answers do not depend on which one does.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }

    /// Whether this origin may ask.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|pattern| pattern.allows(origin))
    }
}
