//! The checked configuration: what the running process is built from. Immutable.
//!
//! Every name is resolved to an index, every default filled in, every bound verified.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::admin_address::AdminAddress;
use super::checked_auth::{AuthConfig, RouteAuth};
use super::checked_buffer::{BodyRoom, BufferRequestConfig, BuffersConfig};
use super::checked_cache::{CacheConfig, CacheStoreConfig};
use super::checked_compress::CompressConfig;
use super::checked_guard::{AccessConfig, RateConfig, RouteLimits};
use super::checked_l4::{PassthroughConfig, Protocol, ProxyProtocolConfig};
use super::checked_mirror::MirrorConfig;
use super::checked_pool::PoolConfig;
use super::checked_rewrite::{
    CorsConfig, ForwardedConfig, HeadersConfig, LocationConfig, RequestIdConfig, TracingConfig,
};
use super::checked_route::{Action, Conditions, ErrorPagesConfig, PathEditConfig, RouteTimeouts};
use super::checked_tls::TlsConfig;
use crate::http::set_cookie::CookieRules;
use crate::ids::ListenerId;

/// A whole, consistent configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[listener.*]`, in file order; `ListenerId` is the index.
    pub listeners: Vec<ListenerConfig>,
    /// `[[route]]`, in file order; `RouteId` is the index.
    pub routes: Vec<RouteConfig>,
    /// `[pool.*]`, in file order; `PoolId` is the index.
    pub pools: Vec<PoolConfig>,
}

/// `[server]`: the process.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How many workers, on which cores. Default `"auto"`.
    pub workers: Workers,
    /// Where the admin interface listens. `None`, the default: nowhere.
    pub admin: Option<AdminAddress>,
    /// Where access log lines go. Default off.
    pub access_log: AccessLog,
    /// `access_log_format`: their form. Default `"common"`.
    pub access_log_format: AccessLogFormat,
    /// Name servers for members by name. Default none: those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// How long exchanges may take to end after SIGTERM. Default 30 s.
    pub drain_timeout: Duration,
    /// The store of what routes cache.
    pub cache: CacheStoreConfig,
    /// What all bodies together may take that routes buffer.
    pub buffers: BuffersConfig,
    /// Whether workers give connections to others that have fewer or less to do. Default true.
    pub spread: bool,
}

/// How many workers and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per core that the process may use.
    Auto,
    /// This many, on the first cores that the process may use.
    Count(usize),
    /// One on each of these cores.
    Cores(Vec<usize>),
}

/// Where access log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To the standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// The form of an access log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// The "combined" form of Apache and nginx, followed by ringway's own columns.
    Common,
    /// One JSON object a line.
    Json,
}

/// `[limits]`: bounds of the process that belong to no listener and no pool.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// Lines waiting for the access log's writer, over all workers; more are dropped and counted.
    /// Default 65,536.
    pub access_log_queue: usize,
    /// Answers that a worker encodes at a time. Default 64.
    pub encoders: usize,
    /// Bytes of a member's answer head. Default 32 KiB.
    pub response_head: usize,
    /// Fields of a member's answer head. Default 100.
    pub response_headers: usize,
    /// Bytes of the trailer section of a chunked body, either way. Default 8 KiB.
    pub trailers: usize,
}

/// `[listener.NAME]`: where clients connect, and what one of them may do.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Its name in the file.
    pub name: String,
    /// Addresses to bind.
    pub bind: Vec<SocketAddr>,
    /// What its clients speak. Default HTTP.
    pub protocol: Protocol,
    /// TLS that passes through; without termination, all that the listener does.
    pub passthrough: Option<PassthroughConfig>,
    /// The header of a load balancer in front. Default none.
    pub proxy_protocol: Option<ProxyProtocolConfig>,
    /// Deadlines on the client's side.
    pub timeouts: ListenerTimeouts,
    /// Bounds on the client's side.
    pub limits: ListenerLimits,
    /// Peers whose `X-Forwarded-*` is believed. Default none.
    pub trusted_proxies: Vec<Cidr>,
    /// Wake for a new connection only when it has sent data (TCP_DEFER_ACCEPT). Default false.
    pub defer_accept: bool,
    /// TLS with clients. `None`, the default, or `tls = "off"`: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// `redirect_https`: every request is sent to `https` at this port. `None`: the default.
    pub redirect_https: Option<u16>,
    /// `hsts`: what every answer says to clients. `None`: the default.
    pub hsts: Option<HstsConfig>,
    /// How trusted peers say who the client is, and how members are told.
    pub forwarded: ForwardedConfig,
    /// What is done to the fields of requests. `None`: the default, nothing.
    pub request_headers: Option<HeadersConfig>,
    /// What is done to the fields of answers. `None`: the default, nothing.
    pub response_headers: Option<HeadersConfig>,
    /// Names for requests. `None`: the default.
    pub request_id: Option<RequestIdConfig>,
    /// Traces. `None`, the default: their fields are fields like others.
    pub tracing: Option<TracingConfig>,
    /// `slashes = "merge"`: several slashes in a row of a path are one. Default false.
    pub merge_slashes: bool,
    /// Pages for errors.
    pub error_pages: Option<Box<ErrorPagesConfig>>,
    /// Who may send the requests of routes that do not say it. `None`, the default: everybody.
    pub auth: Option<Box<AuthConfig>>,
    /// `access`: who may come. `None`, the default: everybody.
    pub access: Option<AccessConfig>,
    /// `rate`: how many requests may come. Default none.
    pub rates: Vec<RateConfig>,
}

/// `hsts = {...}` of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HstsConfig {
    /// For how long clients refuse plain HTTP.
    pub max_age: Duration,
    /// For all names below the host, too.
    pub subdomains: bool,
    /// The host may be put on the lists that browsers come with.
    pub preload: bool,
}

/// `timeouts = {...}` of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerTimeouts {
    /// For a whole request head, from its first byte (or from accept). Default 10 s.
    pub head: Duration,
    /// Between two reads of a request body. Default 30 s.
    pub body: Duration,
    /// Between two requests of a connection. Default 60 s.
    pub idle: Duration,
    /// For a client that takes no byte of its answer. Default 30 s.
    pub write: Duration,
    /// How much longer than `min_rate` says. Default 10 s.
    pub slow: Duration,
    /// For a connection that is relayed (upgraded, TCP, passed through) without a byte in either
    /// direction. Default 10 min.
    pub tunnel: Duration,
    /// For a flow of datagrams without one in either direction. Default 30 s.
    pub session: Duration,
}

/// `limits = {...}` of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Bytes of a request head. Default 32 KiB.
    pub head: usize,
    /// Fields of a request head. Default 100.
    pub headers: usize,
    /// Open connections of this listener, over all workers. Default 100,000.
    pub connections: usize,
    /// Of these, those of one client. Default no bound.
    pub connections_per_client: Option<u32>,
    /// Requests of one client at a time. Default no bound.
    pub requests_per_client: Option<u32>,
    /// Bytes of a request's target. Default no bound of its own.
    pub uri: Option<usize>,
    /// Bytes a second that a client must be fast. Default none.
    pub min_rate: Option<u32>,
    /// Flows of datagrams of this listener, per worker. Default 10,000.
    pub sessions: usize,
    /// Bytes of a request body; `None`: no bound, the default (`"none"`).
    pub body: Option<u64>,
}

/// A block of addresses, `10.0.0.0/8`; a single address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The network's address; bits beyond `prefix` are zero.
    pub network: std::net::IpAddr,
    /// The number of leading bits that count.
    pub prefix: u8,
}

/// `[[route]]`: which requests, and where they go.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// On which listeners; `None`: all of them.
    pub listeners: Option<Vec<ListenerId>>,
    /// For which hosts; empty: any.
    pub hosts: Vec<HostPattern>,
    /// For which paths.
    pub path: PathPattern,
    /// For which methods; empty: any.
    pub methods: Vec<Vec<u8>>,
    /// What else they must have. `None`: nothing.
    pub conditions: Option<Box<Conditions>>,
    /// What is done with them.
    pub action: Action,
    /// The path that members see instead of the client's.
    pub path_edit: Option<Box<PathEditConfig>>,
    /// Pages for errors, before those of the listener.
    pub error_pages: Option<Box<ErrorPagesConfig>>,
    /// What the member gets as `Host`. Default preserve.
    pub host: HostPolicy,
    /// Whether to add `Via` to requests and answers. Default false.
    pub via: bool,
    /// What is done to the fields of requests, behind what the listener does.
    pub request_headers: Option<Box<HeadersConfig>>,
    /// What is done to the fields of answers, behind what the listener does.
    pub response_headers: Option<Box<HeadersConfig>>,
    /// References that name members. `None`: they are left alone.
    pub location: Option<LocationConfig>,
    /// What becomes of members' cookies. `None`: the default, nothing.
    pub set_cookie: Option<Box<CookieRules>>,
    /// Scripts of other origins. `None`, the default: what members say of them.
    pub cors: Option<Box<CorsConfig>>,
    /// Who may send them. By default whom the listener lets in.
    pub auth: RouteAuth,
    /// Who gets copies of them. `None`, the default: nobody.
    pub mirror: Option<Box<MirrorConfig>>,
    /// Which answers are kept. `None`, the default, or `cache = "off"`: none.
    pub cache: Option<Box<CacheConfig>>,
    /// How much of a request's body is taken in before a member is chosen. `None`, the default: none.
    pub buffer_request: Option<BufferRequestConfig>,
    /// How much of an answer is taken in before its client has read it. `None`, the default: none.
    pub buffer_response: Option<BodyRoom>,
    /// `access`: who may come. `None`, the default: everybody.
    pub access: Option<Box<AccessConfig>>,
    /// `rate`: how many requests may come. Default none.
    pub rates: Vec<RateConfig>,
    /// Bounds on its requests.
    pub limits: RouteLimits,
    /// How long they may be silent.
    pub timeouts: RouteTimeouts,
    /// `compress`: which answers are encoded. `None`, the default: none.
    pub compress: Option<Box<CompressConfig>>,
}

/// A host to match, in lower case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Every host below this suffix: `*.example.com` holds `.example.com`.
    Wildcard(String),
}

/// A path to match, in normal form.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// Every path.
    Any,
    /// This path.
    Exact(String),
    /// `/x/*`: `/x` and everything below `/x/`. Holds `/x`, or the empty string for `/*`.
    Prefix(String),
    /// `~ REGEX`, searched for anywhere in the path unless anchored.
    Regex(regex::bytes::Regex),
}

/// What a member gets as `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// What the client asked for.
    Preserve,
    /// The member's address.
    Member,
    /// This text.
    Literal(String),
}

impl RouteConfig {
    /// Whether the route answers to `method` (as sent; methods are case-sensitive).
    #[must_use]
    pub fn allows(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| m == method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_small() {
        // Each request looks at many of its fields: what is rare is behind a pointer.
        let size = size_of::<RouteConfig>();
        assert!(size <= 456, "{size} bytes");
    }
}
