//! The one table of every key, and the keys that are to come. Must not know TOML.

use std::time::Duration;

use super::keys::Kind::{self, Cap, Choice, Count, Flag, Form, Percent, Size, Switch, Table, Time};
use super::keys::Section::{
    self, Balance, Eject, Health, Keepalive, Limits, Listener, ListenerLimits, ListenerTimeouts,
    Member, Passthrough, Pool, PoolTimeouts, ProxyProtocol, Queue, Retry, Root, Route, Server,
};
use super::keys::{Key, TIME_MIN};

const fn secs(seconds: u64) -> Kind {
    Time { default: Duration::from_secs(seconds), min: TIME_MIN }
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

const FAILURES: &str = "a list of `\"connect\"`, `\"reset\"`, `\"timeout\"`, `\"bad-answer\"` and statuses, 400 to 599";

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

    key(Listener, "protocol", Choice(&["http", "tcp", "udp"]),
        "What its clients speak. With `tcp` every connection is relayed to the `pool` of the listener, byte by byte, with `udp` every datagram; keys that need requests are mistakes then.",
        "protocol = \"tcp\""),
    key(Listener, "pool", Form("the name of a pool", "required with `tcp` and `udp`"),
        "Where connections or datagrams go. Routes are for `http`.", "pool = \"api\""),
    key(Listener, "replies", Cap { min: 1, max: 1_000_000 },
        "With `udp`: datagrams from the member after which a flow ends, such as 1 for DNS. `\"none\"`: it ends by `timeouts.session` alone.",
        "replies = 1"),
    key(Listener, "proxy_protocol", Switch { section: ProxyProtocol, on: false },
        "The PROXY protocol, versions 1 and 2: a load balancer in front says who the client is. Its word becomes the client's address for everything: forwarded headers, hashing, logs.",
        "proxy_protocol = { trusted = [\"10.0.0.0/8\"] }"),
    key(Listener, "passthrough", Form("a list of tables, see `[[listener.NAME.passthrough]]`", "none"),
        "TLS connections that go to a pool untouched, by the name that the client asks for (SNI).",
        "passthrough = [{ sni = [\"a.example\"], pool = \"api\" }]"),
    key(Listener, "passthrough_default", Form("the name of a pool", "none: they are closed"),
        "Where TLS connections go that no `passthrough` takes.", "passthrough_default = \"api\""),

    key(ListenerTimeouts, "head", secs(10), "For a whole request head, from its first byte, or from accept for the first request. Also for a header of the PROXY protocol, and for a TLS ClientHello.", "head = \"10s\""),
    key(ListenerTimeouts, "body", secs(30), "Between two reads of a request body.", "body = \"30s\""),
    key(ListenerTimeouts, "idle", secs(60), "Between two requests of a connection.", "idle = \"60s\""),
    key(ListenerTimeouts, "write", secs(30), "For a client that takes no byte of its answer.", "write = \"30s\""),
    key(ListenerTimeouts, "tunnel", secs(600), "For a connection that is relayed byte by byte (upgraded such as WebSocket, `tcp`, passed through) without a byte in either direction.", "tunnel = \"10m\""),
    key(ListenerTimeouts, "session", secs(30), "With `udp`: for a flow without a datagram in either direction.", "session = \"30s\""),

    key(ListenerLimits, "head", HEAD, "Bytes of a request head: the request line and the fields.", "head = \"32KiB\""),
    key(ListenerLimits, "headers", FIELDS, "Fields of a request head.", "headers = 100"),
    key(ListenerLimits, "connections", Count { default: 100_000, min: 1, max: 10_000_000 },
        "Open connections of this listener, over all workers.", "connections = 100000"),
    key(ListenerLimits, "sessions", Count { default: 10_000, min: 1, max: 1_000_000 },
        "With `udp`: flows at a time, per worker. Datagrams of further ones are dropped.", "sessions = 50000"),
    key(ListenerLimits, "body", Size { default: None, min: 0, max: 1 << 50 }, "Bytes of a request body.", "body = \"10MiB\""),

    key(ProxyProtocol, "trusted", Form("a list of addresses and address blocks", ""),
        "Peers whose header is believed, and of which it is expected.", "trusted = [\"10.0.0.0/8\"]"),
    key(ProxyProtocol, "mode", Choice(&["required", "optional"]),
        "Whether every connection must begin with a header from a trusted peer, and is closed otherwise; or whether trusted peers may send one and others are clients themselves. `optional` waits for the client to speak first.",
        "mode = \"optional\""),

    key(Passthrough, "sni", Form("a list of host names, exact or `\"*.example.com\"`", ""),
        "The names it applies to. An exact name comes before wildcards, a longer wildcard before a shorter one.",
        "sni = [\"a.example\", \"*.tenant.example\"]"),
    key(Passthrough, "pool", Form("the name of a pool", ""), "Where these connections go.", "pool = \"api\""),

    key(Route, "listeners", Form("a list of listener names", "every listener with requests"), "Where the route applies.", "listeners = [\"web\"]"),
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

    key(Pool, "balance", Form("`\"round-robin\"`, `\"least-connections\"`, `\"least-time\"`, `\"random-two\"`, or `{ hash = \"...\" }`", "\"round-robin\""),
        "How a member is chosen: in turn (smooth and by weight); the one with the fewest exchanges in flight for its weight, counted over all workers; the one with the best latency for its load and weight; the less loaded of two drawn by weight; or by a hash, so that the same key goes to the same member.",
        "balance = \"least-connections\""),
    key(Pool, "members", Form("a list of `\"IP:PORT\"` or of `{ address, weight, max_connections, backup }`", ""),
        "The servers that answer: 1 to 4096, each address once, at least one with a weight above 0, and at least one that is no backup.",
        "members = [\"10.0.1.11:8080\", { address = \"10.0.1.12:8080\", weight = 2 }]"),
    key(Pool, "keepalive", Table(Keepalive), "Idle connections to members, per worker and member.", "keepalive = { idle = 128 }"),
    key(Pool, "timeouts", Table(PoolTimeouts), "Deadlines on the member's side.", "timeouts = { connect = \"500ms\" }"),
    key(Pool, "health", Switch { section: Health, on: false },
        "Probes: requests or connections of our own that take a member out and bring it back. One prober for the whole host. `{}` probes with the defaults.",
        "health = { path = \"/healthz\", interval = \"5s\" }"),
    key(Pool, "eject", Switch { section: Eject, on: true },
        "Ejection: failures of real requests that take a member out for a time.", "eject = { failures = 3, for = \"30s\" }"),
    key(Pool, "queue", Table(Queue), "Requests that wait while every member is at its `max_connections`.", "queue = { timeout = \"500ms\" }"),
    key(Pool, "retry", Switch { section: Retry, on: true },
        "Sending a request again, to another member. Only where that is safe: the method is idempotent, or it is certain that the member got nothing of the request; and nothing of an answer has gone to the client.",
        "retry = { on = [\"connect\", \"reset\", 503], attempts = 1 }"),
    key(Pool, "panic", Choice(&["refuse", "use-all"]),
        "What happens when every member is out: answer 503 at once, or choose as if none were out.", "panic = \"use-all\""),
    key(Pool, "proxy_protocol", Choice(&["off", "v1", "v2"]),
        "The PROXY protocol in front of every connection to a member: it says who the client is. Connections are then not used for other requests. Probes send it, too, without a client.",
        "proxy_protocol = \"v2\""),
    key(Pool, "slow_start", Time { default: Duration::ZERO, min: Duration::ZERO },
        "How long a member that came back takes to get its full share. `\"0s\"`: it gets it at once.", "slow_start = \"30s\""),

    key(Balance, "hash", Form("`\"client-ip\"`, `\"path\"`, `\"header:NAME\"`, `\"cookie:NAME\"` or `\"query:NAME\"`", ""),
        "What is hashed. The same key goes to the same member, on every core, after a restart and on every host with the same members; when a member comes or goes, few keys move. `client-ip` is the address derived from trusted proxies, `path` is without the query. A request without the header, cookie or parameter is hashed by client address.",
        "hash = \"cookie:session\""),

    key(Member, "address", Form("`\"IP:PORT\"`", ""), "Where it listens.", "address = \"10.0.1.11:8080\""),
    key(Member, "weight", Count { default: 1, min: 0, max: 65_535 },
        "Its share of the requests, relative to the other members. 0 gets none.", "weight = 2"),
    key(Member, "max_connections", Cap { min: 1, max: 1_000_000 },
        "Exchanges that it may have in flight, exact over all workers. Further requests go to other members, or wait in the queue.", "max_connections = 200"),
    key(Member, "backup", Flag { default: false },
        "It serves only when every member that is no backup is out, or, for one request, when all of them failed it; not when they are merely full.", "backup = true"),

    key(Keepalive, "idle", Count { default: 64, min: 0, max: 65_535 }, "Idle connections kept; 0 keeps none.", "idle = 64"),
    key(Keepalive, "idle_timeout", secs(60), "How long one may stay idle. Keep it below the members' own timeout.", "idle_timeout = \"60s\""),

    key(PoolTimeouts, "connect", secs(1), "For a connection to be established.", "connect = \"1s\""),
    key(PoolTimeouts, "response", secs(30), "Silence of the member: before its answer's head, and between two parts of its body.", "response = \"30s\""),

    key(Health, "type", Choice(&["http", "tcp"]), "A request and its answer, or only a connection.", "type = \"http\""),
    key(Health, "method", Form("a method", "\"GET\""), "Method of the request.", "method = \"GET\""),
    key(Health, "path", Form("a path, with or without a query", "\"/\""), "What is requested.", "path = \"/healthz\""),
    key(Health, "host", Form("a host, with or without a port", "the member's address"), "`Host` of the request.", "host = \"shop.example.com\""),
    key(Health, "headers", Form("a table of texts", "{}"), "Further fields of the request.", "headers = { X-Probe = \"ringway\" }"),
    key(Health, "status", Form("a list of statuses and ranges of them, 200 to 599, or one of them", "[\"200-299\"]"),
        "Statuses that are a success. Redirections are not followed.", "status = [200, \"300-399\"]"),
    key(Health, "body", Form("a text", "any body"), "What the first 64 KiB of the answer's body must contain.", "body = \"ok\""),
    key(Health, "interval", Time { default: Duration::from_secs(2), min: Duration::from_millis(10) },
        "From one probe of a member to its next, give or take a tenth.", "interval = \"5s\""),
    key(Health, "timeout", secs(1), "For one probe as a whole. Shorter than `interval`.", "timeout = \"500ms\""),
    key(Health, "fall", Count { default: 3, min: 1, max: 100 }, "Failures in a row that take a member out.", "fall = 3"),
    key(Health, "rise", Count { default: 2, min: 1, max: 100 }, "Successes in a row that bring it back.", "rise = 2"),
    key(Health, "port", Form("a number, 1 to 65535", "the member's port"), "Another port to probe, at the member's address.", "port = 9000"),
    key(Health, "start", Choice(&["up", "down"]),
        "How members begin: in, or out until `rise` probes succeeded.", "start = \"down\""),

    key(Eject, "failures", Count { default: 5, min: 1, max: 10_000 }, "Failures within `window` that take a member out.", "failures = 3"),
    key(Eject, "window", secs(10), "The time in which they count.", "window = \"30s\""),
    key(Eject, "for", secs(10), "How long it is out before one real request tries it.", "for = \"30s\""),
    key(Eject, "on", Form(FAILURES, "[\"connect\", \"reset\", \"timeout\", \"bad-answer\"]"), "What counts as a failure.",
        "on = [\"connect\", \"timeout\", 503]"),
    key(Eject, "max_share", Percent { default: 50 },
        "The share of the members that may be ejected at a time. One may always be, if another one is left.", "max_share = \"30%\""),

    key(Queue, "length", Count { default: 1024, min: 0, max: 1_000_000 },
        "Requests that may wait, per worker; further ones are answered with 503. 0: none waits.", "length = 500"),
    key(Queue, "timeout", secs(2), "How long one may wait; then it is answered with 503.", "timeout = \"500ms\""),

    key(Retry, "on", Form(FAILURES, "[\"connect\", \"reset\", \"timeout\"]"),
        "What makes a request go to another member. An answer with a status of this list is thrown away, unless no retry is left.",
        "on = [\"connect\", \"reset\", 502, 503]"),
    key(Retry, "attempts", Count { default: 2, min: 1, max: 8 }, "How many times one request is sent again at the most.", "attempts = 1"),
    key(Retry, "budget", Percent { default: 20 },
        "Retries as a share of the requests of the last ten seconds, over all workers.", "budget = \"10%\""),
    key(Retry, "floor", Count { default: 10, min: 0, max: 1_000_000 }, "Retries a second that are allowed in spite of `budget`.", "floor = 3"),
    key(Retry, "deadline", secs(10), "From the whole request head to the begin of the last attempt.", "deadline = \"5s\""),
    key(Retry, "body", Size { default: Some(64 * KIB), min: 0, max: 16 * MIB },
        "Bytes of a request body that are kept to be sent again. Of a longer one, none is retried once some of it was sent.", "body = \"16KiB\""),
];

/// Keys that a later version brings, with the section each will stand in.
#[rustfmt::skip]
pub const FUTURE: &[(Section, &str)] = &[
    (Server, "admin"),
    (Listener, "tls"), (Listener, "http2"),
    (Route, "headers"), (Route, "cookies"), (Route, "query"), (Route, "redirect"), (Route, "respond"),
    (Route, "cache"), (Route, "compress"),
    (Pool, "protocol"), (Pool, "tls"),
];
