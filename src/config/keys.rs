//! What a key is: where it stands, what it may hold, its default, its prose. The table of all of
//! them is in `key_table`.
//!
//! The check reads defaults and bounds from here, unknown keys find their neighbours here, and
//! `docs/configuration.md` is generated from here. Must not know TOML.

use std::fmt;
use std::time::Duration;

use Section::{
    Auth, AuthBasic, AuthCertificate, AuthJwt, AuthRemember, AuthRequest, AuthRequestRemember,
    Balance, BufferRequest, BufferResponse, Buffers, Cache, CacheDisk, CacheStore, Certificate,
    ClientAuth, ClientCertificate, Compress, CompressStored, Cors, Eject, Health, Hsts, Keepalive,
    Limits, Listener, ListenerAccess, ListenerLimits, ListenerRate, ListenerTimeouts, Location,
    Member, Mirror, Passthrough, Pool, PoolTimeouts, PoolTls, ProxyProtocol, Queue, Redirect,
    RequestHeaders, RequestId, Respond, ResponseHeaders, Retry, Rewrite, Root, Route, RouteAccess,
    RouteLimits, RouteRate, RouteRequestHeaders, RouteResponseHeaders, RouteTimeouts, Server,
    SetCookie, Slow, Split, Sticky, SuccessRate, Tickets, Tls, Tracing,
};

pub use super::key_table::FUTURE;
use super::key_table::PARTS;

/// Every key.
pub fn all() -> impl Iterator<Item = &'static Key> {
    PARTS.iter().copied().flatten()
}

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// The top level.
    Root,
    /// `[server]`
    Server,
    /// `cache = {...}` of `[server]`.
    CacheStore,
    /// `disk = {...}` of `cache` of `[server]`.
    CacheDisk,
    /// `buffers = {...}` of `[server]`.
    Buffers,
    /// `[limits]`
    Limits,
    /// `[listener.NAME]`
    Listener,
    /// `timeouts = {...}` of a listener.
    ListenerTimeouts,
    /// `limits = {...}` of a listener.
    ListenerLimits,
    /// `tls = {...}` of a listener.
    Tls,
    /// One of the `certificates` of a listener.
    Certificate,
    /// `client_auth = {...}` of a listener's `tls`.
    ClientAuth,
    /// `tickets = {...}` of a listener's `tls`.
    Tickets,
    /// `hsts = {...}` of a listener: the form that takes more than an age.
    Hsts,
    /// `access = {...}` of a listener.
    ListenerAccess,
    /// One `rate` of a listener.
    ListenerRate,
    /// `proxy_protocol = {...}` of a listener.
    ProxyProtocol,
    /// `[[listener.NAME.passthrough]]`
    Passthrough,
    /// `request_headers = {...}` of a listener.
    RequestHeaders,
    /// `response_headers = {...}` of a listener.
    ResponseHeaders,
    /// `request_id = {...}` of a listener.
    RequestId,
    /// `tracing = {...}` of a listener.
    Tracing,
    /// `[[route]]`
    Route,
    /// One of the pools of `split` of a route.
    Split,
    /// `redirect = {...}` of a route.
    Redirect,
    /// `respond = {...}` of a route.
    Respond,
    /// `rewrite = {...}` of a route.
    Rewrite,
    /// `cache = {...}` of a route.
    Cache,
    /// `buffer_request = {...}` of a route.
    BufferRequest,
    /// `buffer_response = {...}` of a route.
    BufferResponse,
    /// `access = {...}` of a route.
    RouteAccess,
    /// One `rate` of a route.
    RouteRate,
    /// `limits = {...}` of a route.
    RouteLimits,
    /// `timeouts = {...}` of a route.
    RouteTimeouts,
    /// `compress = {...}` of a route.
    Compress,
    /// `stored = {...}` of `compress`.
    CompressStored,
    /// `request_headers = {...}` of a route.
    RouteRequestHeaders,
    /// `response_headers = {...}` of a route.
    RouteResponseHeaders,
    /// `location = {...}` of a route.
    Location,
    /// `set_cookie = {...}` of a route.
    SetCookie,
    /// `cors = {...}` of a route.
    Cors,
    /// `auth = {...}` of a route.
    Auth,
    /// `client_certificate = {...}` of `auth`.
    AuthCertificate,
    /// `jwt = {...}` of `auth`.
    AuthJwt,
    /// `basic = {...}` of `auth`.
    AuthBasic,
    /// `request = {...}` of `auth`.
    AuthRequest,
    /// `remember = {...}` of `jwt` or `basic`.
    AuthRemember,
    /// `remember = {...}` of `request`.
    AuthRequestRemember,
    /// `mirror = {...}` of a route.
    Mirror,
    /// `[pool.NAME]`
    Pool,
    /// `balance = {...}` of a pool: the form that takes a key.
    Balance,
    /// `sticky = {...}` of a pool.
    Sticky,
    /// One of the `members` of a pool, in its table form.
    Member,
    /// `keepalive = {...}` of a pool.
    Keepalive,
    /// `timeouts = {...}` of a pool.
    PoolTimeouts,
    /// `health = {...}` of a pool.
    Health,
    /// `eject = {...}` of a pool.
    Eject,
    /// `success_rate = {...}` of `eject`.
    SuccessRate,
    /// `latency = {...}` of `eject`.
    Slow,
    /// `queue = {...}` of a pool.
    Queue,
    /// `retry = {...}` of a pool.
    Retry,
    /// `tls = {...}` of a pool.
    PoolTls,
    /// `client_certificate = {...}` of a pool's `tls`.
    ClientCertificate,
}

/// Which half of the configuration a section belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hat {
    /// The process as a whole.
    Process,
    /// What is done to a request because it was terminated here.
    ReverseProxy,
    /// How a member is picked and reached.
    LoadBalancer,
}

impl fmt::Display for Hat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "the process",
            Self::ReverseProxy => "reverse-proxy hat",
            Self::LoadBalancer => "load-balancer hat",
        })
    }
}

impl Section {
    /// All of them, in the order of the manual.
    pub const ALL: [Self; 63] = [
        Root,
        Server,
        CacheStore,
        CacheDisk,
        Buffers,
        Limits,
        Listener,
        ListenerTimeouts,
        ListenerLimits,
        Tls,
        Certificate,
        ClientAuth,
        Tickets,
        Hsts,
        ListenerAccess,
        ListenerRate,
        ProxyProtocol,
        Passthrough,
        RequestHeaders,
        ResponseHeaders,
        RequestId,
        Tracing,
        Route,
        Split,
        Redirect,
        Respond,
        Rewrite,
        Cache,
        BufferRequest,
        BufferResponse,
        RouteAccess,
        RouteRate,
        RouteLimits,
        RouteTimeouts,
        Compress,
        CompressStored,
        RouteRequestHeaders,
        RouteResponseHeaders,
        Location,
        SetCookie,
        Cors,
        Auth,
        AuthCertificate,
        AuthJwt,
        AuthBasic,
        AuthRequest,
        AuthRemember,
        AuthRequestRemember,
        Mirror,
        Pool,
        Balance,
        Sticky,
        Member,
        Keepalive,
        PoolTimeouts,
        Health,
        Eject,
        SuccessRate,
        Slow,
        Queue,
        Retry,
        PoolTls,
        ClientCertificate,
    ];

    /// Its header, with `NAME` where the name of a listener or pool goes.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Root => "the top level",
            Server => "[server]",
            CacheStore => "[server.cache]",
            CacheDisk => "[server.cache.disk]",
            Buffers => "[server.buffers]",
            Limits => "[limits]",
            Listener => "[listener.NAME]",
            ListenerTimeouts => "[listener.NAME.timeouts]",
            ListenerLimits => "[listener.NAME.limits]",
            Tls => "[listener.NAME.tls]",
            Certificate => "[[listener.NAME.tls.certificates]]",
            ClientAuth => "[listener.NAME.tls.client_auth]",
            Tickets => "[listener.NAME.tls.tickets]",
            Hsts => "[listener.NAME.hsts]",
            ListenerAccess => "[listener.NAME.access]",
            ListenerRate => "[[listener.NAME.rate]]",
            ProxyProtocol => "[listener.NAME.proxy_protocol]",
            Passthrough => "[[listener.NAME.passthrough]]",
            RequestHeaders => "[listener.NAME.request_headers]",
            ResponseHeaders => "[listener.NAME.response_headers]",
            RequestId => "[listener.NAME.request_id]",
            Tracing => "[listener.NAME.tracing]",
            Route => "[[route]]",
            Split => "[[route.split]]",
            Redirect => "[route.redirect]",
            Respond => "[route.respond]",
            Rewrite => "[route.rewrite]",
            Cache => "[route.cache]",
            BufferRequest => "[route.buffer_request]",
            BufferResponse => "[route.buffer_response]",
            RouteAccess => "[route.access]",
            RouteRate => "[[route.rate]]",
            RouteLimits => "[route.limits]",
            RouteTimeouts => "[route.timeouts]",
            Compress => "[route.compress]",
            CompressStored => "[route.compress.stored]",
            RouteRequestHeaders => "[route.request_headers]",
            RouteResponseHeaders => "[route.response_headers]",
            Location => "[route.location]",
            SetCookie => "[route.set_cookie]",
            Cors => "[route.cors]",
            Auth => "[route.auth]",
            AuthCertificate => "[route.auth.client_certificate]",
            AuthJwt => "[route.auth.jwt]",
            AuthBasic => "[route.auth.basic]",
            AuthRequest => "[route.auth.request]",
            AuthRemember => "[route.auth.METHOD.remember]",
            AuthRequestRemember => "[route.auth.request.remember]",
            Mirror => "[route.mirror]",
            Pool => "[pool.NAME]",
            Balance => "[pool.NAME.balance]",
            Sticky => "[pool.NAME.sticky]",
            Member => "[[pool.NAME.members]]",
            Keepalive => "[pool.NAME.keepalive]",
            PoolTimeouts => "[pool.NAME.timeouts]",
            Health => "[pool.NAME.health]",
            Eject => "[pool.NAME.eject]",
            SuccessRate => "[pool.NAME.eject.success_rate]",
            Slow => "[pool.NAME.eject.latency]",
            Queue => "[pool.NAME.queue]",
            Retry => "[pool.NAME.retry]",
            PoolTls => "[pool.NAME.tls]",
            ClientCertificate => "[pool.NAME.tls.client_certificate]",
        }
    }

    /// The hat it belongs to.
    #[must_use]
    pub const fn hat(self) -> Hat {
        match self {
            Root | Server | CacheStore | CacheDisk | Buffers | Limits => Hat::Process,
            Listener | ListenerTimeouts | ListenerLimits | Tls | Certificate | ClientAuth
            | Tickets | Hsts | ListenerAccess | ListenerRate | ProxyProtocol | Passthrough
            | RequestHeaders | ResponseHeaders | RequestId | Tracing | Route | Split | Redirect
            | Respond | Rewrite | RouteAccess | RouteRate | RouteLimits | Compress
            | CompressStored | RouteRequestHeaders | RouteResponseHeaders | Location
            | SetCookie | Cors | Auth | AuthCertificate | AuthJwt | AuthBasic | AuthRequest
            | AuthRemember | AuthRequestRemember | Mirror | Cache | BufferRequest
            | BufferResponse | RouteTimeouts => Hat::ReverseProxy,
            Pool | Balance | Sticky | Member | Keepalive | PoolTimeouts | Health | Eject
            | SuccessRate | Slow | Queue | Retry | PoolTls | ClientCertificate => Hat::LoadBalancer,
        }
    }

    /// Its keys, in the order of the manual.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        let listed = match self {
            // They take the same keys.
            RouteAccess => ListenerAccess,
            RouteRate => ListenerRate,
            own => own,
        };
        all().filter(move |key| key.section == listed)
    }

    /// Its key of this name.
    #[must_use]
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// What a key may hold, its default and its bounds (both ends included).
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A duration, up to 7 days.
    Time {
        /// When the key is absent.
        default: Duration,
        /// The least; mostly [`TIME_MIN`].
        min: Duration,
    },
    /// A duration, up to 7 days, or `"none"`, the default.
    TimeCap {
        /// The least.
        min: Duration,
    },
    /// Bytes; a default of `None` reads `"none"`, and then `"none"` may be written, too.
    Size {
        /// When the key is absent.
        default: Option<u64>,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number of things.
    Count {
        /// When the key is absent.
        default: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number of things, or `"none"`, the default: no bound.
    Cap {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A share, `"0%"` to `"100%"`.
    Percent {
        /// When the key is absent.
        default: u8,
    },
    /// `true` or `false`.
    Flag {
        /// When the key is absent.
        default: bool,
    },
    /// One of these words; the first is the default.
    Choice(&'static [&'static str]),
    /// A form of its own, as described, with its default as text; an empty default: required.
    Form(&'static str, &'static str),
    /// A table with keys of its own.
    Table(Section),
    /// A table with keys of its own, or `"off"`.
    Switch {
        /// The table.
        section: Section,
        /// When the key is absent: as an empty table, or as `"off"`.
        on: bool,
    },
}

/// The shortest duration that a key may hold.
pub const TIME_MIN: Duration = Duration::from_millis(1);
/// The longest duration that a key may hold.
pub const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table it stands in.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What it means, for the manual.
    pub prose: &'static str,
    /// A line that uses it.
    pub example: &'static str,
}

/// Whether `name` is a key that a later version brings to `section`.
#[must_use]
pub fn is_future(section: Section, name: &str) -> bool {
    FUTURE.iter().any(|&(s, n)| s == section && n == name)
}

/// The section that knows `name`, now or in a later version, for a key that `section` does not know
/// yet: itself, or one of the same hat, if there is one.
#[must_use]
pub fn home(section: Section, name: &str) -> Option<(&'static str, Section)> {
    let known = all().map(|key| (key.section, key.name));
    let mut found: Vec<_> =
        known.chain(FUTURE.iter().copied()).filter(|&(_, n)| n == name).collect();
    // The sort is stable: among equals, the order of the table.
    found.sort_by_key(|&(home, _)| (home != section, home.hat() != section.hat()));
    found.first().map(|&(home, name)| (name, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_listed_twice() {
        let keys: Vec<_> = all().collect();
        for (i, key) in keys.iter().enumerate() {
            let twin = |other: &&Key| other.section == key.section && other.name == key.name;
            assert!(!keys[i + 1..].iter().any(twin), "{} {}", key.section.header(), key.name);
            assert!(!is_future(key.section, key.name), "{} is built", key.name);
        }
    }

    #[test]
    fn homes_prefer_the_same_hat() {
        let cases = [
            (Listener, "balance", Some(("balance", Pool))),
            (Pool, "idle", Some(("idle", Keepalive))),
            (Listener, "idle", Some(("idle", ListenerTimeouts))),
            (Pool, "cache", Some(("cache", Route))),
            (Route, "bind", Some(("bind", Listener))),
            (Pool, "fall", Some(("fall", Health))),
            (Keepalive, "attempts", Some(("attempts", Retry))),
            (Route, "headers", Some(("headers", Route))),
            (Listener, "headers", Some(("headers", ListenerLimits))),
            (Route, "nonsense", None),
        ];
        for (section, name, expected) in cases {
            assert_eq!(home(section, name), expected, "{name}");
        }
    }
}
