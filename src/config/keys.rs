//! The one table of every key: where it stands, what it may hold, its default, its prose.
//!
//! The check reads defaults and bounds from here, unknown keys find their neighbours here, and
//! `docs/configuration.md` is generated from here. Must not know TOML.

use std::fmt;
use std::time::Duration;

use Kind::{Choice, Count, Flag, Form, Size, Table, Time};
use Section::{
    Keepalive, Limits, Listener, ListenerLimits, ListenerTimeouts, Member, Pool, PoolTimeouts,
    Root, Route, Server,
};

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// The top level.
    Root,
    /// `[server]`
    Server,
    /// `[limits]`
    Limits,
    /// `[listener.NAME]`
    Listener,
    /// `timeouts = {...}` of a listener.
    ListenerTimeouts,
    /// `limits = {...}` of a listener.
    ListenerLimits,
    /// `[[route]]`
    Route,
    /// `[pool.NAME]`
    Pool,
    /// One of the `members` of a pool, in its table form.
    Member,
    /// `keepalive = {...}` of a pool.
    Keepalive,
    /// `timeouts = {...}` of a pool.
    PoolTimeouts,
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
    pub const ALL: [Self; 11] = [
        Root,
        Server,
        Limits,
        Listener,
        ListenerTimeouts,
        ListenerLimits,
        Route,
        Pool,
        Member,
        Keepalive,
        PoolTimeouts,
    ];

    /// Its header, with `NAME` where the name of a listener or pool goes.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Root => "the top level",
            Server => "[server]",
            Limits => "[limits]",
            Listener => "[listener.NAME]",
            ListenerTimeouts => "[listener.NAME.timeouts]",
            ListenerLimits => "[listener.NAME.limits]",
            Route => "[[route]]",
            Pool => "[pool.NAME]",
            Member => "[[pool.NAME.members]]",
            Keepalive => "[pool.NAME.keepalive]",
            PoolTimeouts => "[pool.NAME.timeouts]",
        }
    }

    /// The hat it belongs to.
    #[must_use]
    pub const fn hat(self) -> Hat {
        match self {
            Root | Server | Limits => Hat::Process,
            Listener | ListenerTimeouts | ListenerLimits | Route => Hat::ReverseProxy,
            Pool | Member | Keepalive | PoolTimeouts => Hat::LoadBalancer,
        }
    }

    /// Its keys, in the order of the manual.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.section == self)
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
    /// A duration, 1 ms to 7 days.
    Time {
        /// When the key is absent.
        default: Duration,
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

const fn secs(seconds: u64) -> Kind {
    Time { default: Duration::from_secs(seconds) }
}

const fn key(
    section: Section,
    name: &'static str,
    kind: Kind,
    prose: &'static str,
    example: &'static str,
) -> Key {
    Key { section, name, kind, prose, example }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;
const HEAD: Kind = Size { default: Some(32 * KIB), min: KIB, max: MIB };
const FIELDS: Kind = Count { default: 100, min: 1, max: 1000 };

/// Every key.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key(Root, "server", Table(Server), "The process.", "[server]"),
    key(Root, "limits", Table(Limits), "Bounds that belong to no listener and no pool.", "[limits]"),
    key(Root, "listener", Form("tables with a name each", ""), "Where clients connect. At least one.", "[listener.web]"),
    key(Root, "route", Form("a list of tables", ""), "Which requests go where. At least one.", "[[route]]"),
    key(Root, "pool", Form("tables with a name each", ""), "The members that answer, and how one is chosen.", "[pool.api]"),

    key(Server, "workers", Form("`\"auto\"`, a number from 1 to 1024, or a list of core ids", "\"auto\""),
        "Worker threads, each pinned to a core: one per core that the process may use, this many on the first such cores, or one on each of the listed cores.",
        "workers = \"auto\""),
    key(Server, "access_log", Form("`\"off\"`, `\"stdout\"` or the path of a file (with a `/` in it)", "\"off\""),
        "Where a line per exchange goes. A file is appended to. Lines are written off the workers; when the writer falls behind, lines are dropped and counted.",
        "access_log = \"/var/log/ringway/access.log\""),
    key(Server, "access_log_format", Choice(&["common", "json"]),
        "The form of a line: the \"combined\" form of Apache and nginx followed by ringway's own columns, or a JSON object.",
        "access_log_format = \"json\""),
    key(Server, "drain_timeout", secs(30), "How long exchanges may take to end after SIGTERM.", "drain_timeout = \"30s\""),

    key(Limits, "access_log_queue", Count { default: 65_536, min: 1, max: 1 << 24 },
        "Lines that wait for the access log's writer, over all workers; more are dropped and counted.", "access_log_queue = 65536"),
    key(Limits, "response_head", HEAD, "Bytes of a member's answer head: the status line and the fields.", "response_head = \"64KiB\""),
    key(Limits, "response_headers", FIELDS, "Fields of a member's answer head.", "response_headers = 200"),
    key(Limits, "trailers", Size { default: Some(8 * KIB), min: 0, max: MIB },
        "Bytes of the trailer section of a chunked body, from either side.", "trailers = \"16KiB\""),

    key(Listener, "bind", Form("a list of `\"IP:PORT\"`, or one of them", ""),
        "The addresses to listen on. `0.0.0.0` and `[::]` are all addresses of their family; port 0 takes a free port.",
        "bind = [\"0.0.0.0:8080\", \"[::]:8080\"]"),
    key(Listener, "timeouts", Table(ListenerTimeouts), "Deadlines on the client's side.", "timeouts = { head = \"5s\", idle = \"2m\" }"),
    key(Listener, "limits", Table(ListenerLimits), "Bounds on the client's side.", "limits = { head = \"16KiB\", body = \"10MiB\" }"),
    key(Listener, "trusted_proxies", Form("a list of addresses and address blocks", "[]"),
        "Peers whose `X-Forwarded-*` is believed. Every other peer's is dropped and written anew.",
        "trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\"]"),
    key(Listener, "defer_accept", Flag { default: false },
        "Wake for a new connection only when it has sent data (TCP_DEFER_ACCEPT): cheaper for many short connections.",
        "defer_accept = true"),

    key(ListenerTimeouts, "head", secs(10), "For a whole request head, from its first byte, or from accept for the first request.", "head = \"10s\""),
    key(ListenerTimeouts, "body", secs(30), "Between two reads of a request body.", "body = \"30s\""),
    key(ListenerTimeouts, "idle", secs(60), "Between two requests of a connection.", "idle = \"60s\""),
    key(ListenerTimeouts, "write", secs(30), "For a client that takes no byte of its answer.", "write = \"30s\""),
    key(ListenerTimeouts, "tunnel", secs(600), "For an upgraded connection (WebSocket) without a byte in either direction.", "tunnel = \"10m\""),

    key(ListenerLimits, "head", HEAD, "Bytes of a request head: the request line and the fields.", "head = \"32KiB\""),
    key(ListenerLimits, "headers", FIELDS, "Fields of a request head.", "headers = 100"),
    key(ListenerLimits, "connections", Count { default: 100_000, min: 1, max: 10_000_000 },
        "Open connections of this listener, over all workers.", "connections = 100000"),
    key(ListenerLimits, "body", Size { default: None, min: 0, max: 1 << 50 }, "Bytes of a request body.", "body = \"10MiB\""),

    key(Route, "listeners", Form("a list of listener names", "every listener"), "Where the route applies.", "listeners = [\"web\"]"),
    key(Route, "hosts", Form("a list of host names, exact or `\"*.example.com\"`", "any host"),
        "The hosts it applies to, without a port. `*.example.com` is every name below `example.com`, at any depth, and not `example.com` itself.",
        "hosts = [\"example.com\", \"*.example.com\"]"),
    key(Route, "path", Form("`\"/x\"` exact, `\"/x/*\"` prefix by segment, `\"~ REGEX\"`", "any path"),
        "The paths it applies to, in normal form. `/x/*` is `/x` and everything below `/x/`. A regular expression is searched for anywhere in the path unless it is anchored with `^` and `$`.",
        "path = \"/api/*\""),
    key(Route, "methods", Form("a list of methods", "any method"),
        "The methods it applies to, as sent (upper case). `GET` does not include `HEAD`.", "methods = [\"GET\", \"HEAD\"]"),
    key(Route, "pool", Form("the name of a pool", ""), "The pool that serves the requests.", "pool = \"api\""),
    key(Route, "host", Form("`\"preserve\"`, `\"member\"`, or the text to send", "\"preserve\""),
        "What the member gets as `Host`: what the client asked for, the member's address, or this text.", "host = \"internal.example.com\""),
    key(Route, "via", Flag { default: false }, "Whether to add `Via` to requests and answers.", "via = true"),

    key(Pool, "balance", Choice(&["round-robin", "least-connections"]),
        "How a member is chosen: in turn (smooth and by weight), or the one with the fewest exchanges in flight for its weight, counted over all workers.",
        "balance = \"least-connections\""),
    key(Pool, "members", Form("a list of `\"IP:PORT\"` or of `{ address, weight }`", ""),
        "The servers that answer: 1 to 4096, each address once, at least one with a weight above 0.",
        "members = [\"10.0.1.11:8080\", { address = \"10.0.1.12:8080\", weight = 2 }]"),
    key(Pool, "keepalive", Table(Keepalive), "Idle connections to members, per worker and member.", "keepalive = { idle = 128 }"),
    key(Pool, "timeouts", Table(PoolTimeouts), "Deadlines on the member's side.", "timeouts = { connect = \"500ms\" }"),

    key(Member, "address", Form("`\"IP:PORT\"`", ""), "Where it listens.", "address = \"10.0.1.11:8080\""),
    key(Member, "weight", Count { default: 1, min: 0, max: 65_535 },
        "Its share of the requests, relative to the other members. 0 gets none.", "weight = 2"),

    key(Keepalive, "idle", Count { default: 64, min: 0, max: 65_535 }, "Idle connections kept; 0 keeps none.", "idle = 64"),
    key(Keepalive, "idle_timeout", secs(60), "How long one may stay idle. Keep it below the members' own timeout.", "idle_timeout = \"60s\""),

    key(PoolTimeouts, "connect", secs(1), "For a connection to be established.", "connect = \"1s\""),
    key(PoolTimeouts, "response", secs(30), "Silence of the member: before its answer's head, and between two parts of its body.", "response = \"30s\""),
];

/// Keys that a later version brings, with the section each will stand in.
#[rustfmt::skip]
pub const FUTURE: &[(Section, &str)] = &[
    (Server, "admin"),
    (Listener, "tls"), (Listener, "http2"), (Listener, "protocol"), (Listener, "passthrough"),
    (Route, "headers"), (Route, "cookies"), (Route, "query"), (Route, "redirect"), (Route, "respond"),
    (Route, "cache"), (Route, "compress"),
    (Pool, "health"), (Pool, "eject"), (Pool, "queue"), (Pool, "retry"), (Pool, "panic"),
    (Pool, "protocol"), (Pool, "tls"),
    (Member, "max_connections"), (Member, "backup"),
];

/// Values of `balance` that a later version brings.
pub const FUTURE_BALANCE: &[&str] = &["least-time", "hash", "random-two"];

/// Whether `name` is a key that a later version brings to `section`.
#[must_use]
pub fn is_future(section: Section, name: &str) -> bool {
    FUTURE.iter().any(|&(s, n)| s == section && n == name)
}

/// The section that knows `name`, now or in a later version, for a key that `section` does not know
/// yet: itself, or one of the same hat, if there is one.
#[must_use]
pub fn home(section: Section, name: &str) -> Option<(&'static str, Section)> {
    let known = KEYS.iter().map(|key| (key.section, key.name));
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
        for (i, key) in KEYS.iter().enumerate() {
            let twin = |other: &Key| other.section == key.section && other.name == key.name;
            assert!(!KEYS[i + 1..].iter().any(twin), "{} {}", key.section.header(), key.name);
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
            (Route, "headers", Some(("headers", Route))),
            (Listener, "headers", Some(("headers", ListenerLimits))),
            (Route, "nonsense", None),
        ];
        for (section, name, expected) in cases {
            assert_eq!(home(section, name), expected, "{name}");
        }
    }
}
