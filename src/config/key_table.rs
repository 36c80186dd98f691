//! The one table of every key, and the keys that are to come. Must not know TOML.

use std::time::Duration;

use super::keys::Kind::{
    self, Cap, Choice, Count, Flag, Form, Percent, Size, Switch, Table, Time, TimeCap,
};
use super::keys::Section::{
    self, Balance, Cache, CacheStore, Certificate, ClientAuth, ClientCertificate, Eject, Health,
    Hsts, Keepalive, Limits, Listener, ListenerAccess, ListenerLimits, ListenerRate,
    ListenerTimeouts, Member, Passthrough, Pool, PoolTimeouts, PoolTls, ProxyProtocol, Queue,
    Redirect, Respond, Retry, Rewrite, Root, Route, RouteAccess, RouteLimits, Server, Slow, Split,
    Sticky, SuccessRate, Tickets, Tls,
};
use super::keys::{Key, TIME_MIN};
use super::{key_table_auth, key_table_cache};

const fn secs(seconds: u64) -> Kind {
    Time { default: Duration::from_secs(seconds), min: TIME_MIN }
}

pub(super) const fn key(
    section: Section,
    name: &'static str,
    kind: Kind,
    prose: &'static str,
    example: &'static str,
) -> Key {
    Key { section, name, kind, prose, example }
}

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * 1024;
const HEAD: Kind = Size { default: Some(32 * KIB), min: KIB, max: MIB };
const FIELDS: Kind = Count { default: 100, min: 1, max: 1000 };

const FAILURES: &str = "a list of `\"connect\"`, `\"reset\"`, `\"timeout\"`, `\"bad-answer\"` and statuses, 400 to 599";

const INTERVAL: Kind = Time { default: Duration::from_secs(10), min: Duration::from_secs(1) };
const REQUESTS: Kind = Count { default: 20, min: 1, max: 1_000_000_000 };
const MEMBERS: Kind = Count { default: 3, min: 2, max: 4096 };
const ENOUGH: &str =
    "Requests within the interval, over all workers, below which a member is not looked at.";
const MANY: &str = "Members that must have had so many, itself included; else nobody is compared.";

/// Every key.
pub const KEYS: &[Key] = &joined::<COUNT>(PARTS);

const PARTS: &[&[Key]] = &[TABLE, key_table_auth::KEYS, key_table_cache::KEYS];
const COUNT: usize = TABLE.len() + key_table_auth::KEYS.len() + key_table_cache::KEYS.len();

/// Parts of the table in one; `COUNT` is how many keys they have.
#[allow(clippy::indexing_slicing, reason = "at compile time")]
const fn joined<const COUNT: usize>(parts: &[&[Key]]) -> [Key; COUNT] {
    let mut all = [parts[0][0]; COUNT];
    let (mut part, mut at, mut to) = (0, 0, 0);
    while part < parts.len() {
        if at < parts[part].len() {
            all[to] = parts[part][at];
            (at, to) = (at + 1, to + 1);
        } else {
            (part, at) = (part + 1, 0);
        }
    }
    all
}

#[rustfmt::skip]
const TABLE: &[Key] = &[
    key(Root, "server", Table(Server), "The process.", "[server]"),
    key(Root, "limits", Table(Limits), "Bounds that belong to no listener and no pool.", "[limits]"),
    key(Root, "listener", Form("tables with a name each", ""), "Where clients connect. At least one.", "[listener.web]"),
    key(Root, "route", Form("a list of tables", ""), "Which requests go where. At least one.", "[[route]]"),
    key(Root, "pool", Form("tables with a name each", ""), "The members that answer, and how one is chosen.", "[pool.api]"),

    key(Server, "workers", Form("`\"auto\"`, a number from 1 to 1024, or a list of core ids", "\"auto\""),
        "Worker threads, each pinned to a core: one per core that the process may use, this many on the first such cores, or one on each of the listed cores.",
        "workers = \"auto\""),
    key(Server, "admin", Form("`\"IP:PORT\"` or `\"unix:/PATH\"`", "none"),
        "Where the [admin interface](admin.md) listens: counters, metrics, members and their states. It asks for no password: keep it on loopback or on a Unix socket.",
        "admin = \"127.0.0.1:9901\""),
    key(Server, "access_log", Form("`\"off\"`, `\"stdout\"` or the path of a file (with a `/` in it)", "\"off\""),
        "Where a line per exchange goes. A file is appended to. Lines are written off the workers; when the writer falls behind, lines are dropped and counted.",
        "access_log = \"/var/log/ringway/access.log\""),
    key(Server, "access_log_format", Choice(&["common", "json"]),
        "The form of a line: the \"combined\" form of Apache and nginx followed by ringway's own columns, or a JSON object.",
        "access_log_format = \"json\""),
    key(Server, "resolvers", Form("`\"system\"`, or a list of `\"IP:PORT\"` or `\"IP\"`", "\"system\""),
        "Name servers for members by name. `\"system\"`: those of `/etc/resolv.conf`, with its search domains. `/etc/hosts` is read in any case.",
        "resolvers = [\"10.0.0.53:53\"]"),
    key(Server, "drain_timeout", secs(30), "How long exchanges may take to end after SIGTERM.", "drain_timeout = \"30s\""),
    key(Server, "spread", Flag { default: true },
        "Whether a worker gives connections to another that has clearly fewer of them (as soon as they are accepted) or much less to do (between two requests, without TLS). The kernel deals connections out by a hash, so a few busy ones may meet on one worker.", "spread = false"),

    key(Limits, "access_log_queue", Count { default: 65_536, min: 1, max: 1 << 24 },
        "Lines that wait for the access log's writer, over all workers; more are dropped and counted.", "access_log_queue = 65536"),
    key(Limits, "encoders", Count { default: 64, min: 1, max: 4096 },
        "Answers that a worker encodes at a time (`compress`); further ones go as they are. An encoder takes 0.3 to 4 MiB, by coding and level.", "encoders = 32"),
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

    key(Listener, "slashes", Choice(&["keep", "merge"]),
        "Whether several slashes in a row of a path stay, or are one: for routes and members alike.", "slashes = \"merge\""),
    key(Listener, "error_pages", Form("a table of statuses (`404`) or classes (`4xx`, `5xx`) and files, and `intercept`", "none"),
        "Files that are sent in place of ringway's own words with answers of these statuses; with `intercept = true` also in place of members' bodies. A status of its own comes before its class, a page of the route before one of the listener. Files are read at the start, up to 64 KiB each.",
        "error_pages = { \"404\" = \"404.html\", \"5xx\" = \"oops.html\" }"),

    key(Listener, "tls", Switch { section: Tls, on: false },
        "TLS with clients: every connection of this listener begins with a handshake.",
        "tls = { certificates = [{ chain = \"shop.crt\", key = \"shop.key\" }] }"),
    key(Listener, "redirect_https", Form("`\"off\"`, `true`, or the port that clients know", "\"off\""),
        "Answers every request with a redirection (308) to the same host, path and query under `https`: at the port 443 for `true`. Not on a listener with `tls`.",
        "redirect_https = true"),
    key(Listener, "hsts", Form("`\"off\"`, an age such as `\"365d\"`, or `{ max_age, subdomains, preload }`", "\"off\""),
        "Adds `Strict-Transport-Security` to every answer, in place of the members' own: clients then refuse plain HTTP for so long. Only on a listener with `tls`.",
        "hsts = \"365d\""),

    key(Listener, "access", Switch { section: ListenerAccess, on: false },
        "Which clients may come, by their address; see [limits](limits.md).", "access = { deny = [\"192.0.2.0/24\"] }"),
    key(Listener, "rate", Form("a table or a list of tables, see `[[listener.NAME.rate]]`", "none"),
        "How many requests may come in a time.", "rate = { rate = \"100/s\", burst = 20 }"),

    key(ListenerAccess, "allow", Form("a list of addresses, address blocks and `\"file:PATH\"`", "everybody"),
        "Who may come; everybody else may not. A file has an address or a block a line, and comments that begin with `#`. Of the blocks of both lists that hold an address, the most specific has the word; of equal ones `deny`.",
        "allow = [\"10.0.0.0/8\", \"file:/etc/ringway/partners.txt\"]"),
    key(ListenerAccess, "deny", Form("a list of addresses, address blocks and `\"file:PATH\"`", "nobody"),
        "Who may not come.", "deny = [\"192.0.2.0/24\", \"10.9.0.0/16\"]"),
    key(ListenerAccess, "status", Form("`403`, `404` or `\"drop\"`", "403"),
        "How a request of one who may not come is answered. `\"drop\"`: its connection is closed without a word, where nobody's word on the client is believed before TLS and the first request. Connections that are relayed are always dropped.",
        "status = \"drop\""),
    key(ListenerAccess, "dry_run", Flag { default: false }, "Only count and log whom it would refuse.", "dry_run = true"),

    key(ListenerRate, "per", Form("`\"client\"`, `\"client-net/24\"`, `\"header:NAME\"`, `\"cookie:NAME\"`, `\"listener\"`, `\"route\"`", "\"client\""),
        "Who has a rate of its own: each client (of IPv6 each block of 64 bits), each block of clients (the bits of IPv4, and after a further `/` those of IPv6), each value of a header or cookie (a request without it counts for its client), or all requests together.",
        "per = \"header:X-Api-Key\""),
    key(ListenerRate, "rate", Form("a number and `/s`, `/m` or `/h`", ""), "The requests that may come in a second, a minute, an hour, evenly spread.", "rate = \"100/s\""),
    key(ListenerRate, "burst", Form("a number, 1 to 1000000", "the number of `rate`"), "The requests that may come at once after a while without any.", "burst = 20"),
    key(ListenerRate, "mode", Choice(&["reject", "delay"]),
        "With `delay`, requests of a burst wait until they are due by `rate`; those beyond it are refused all the same.", "mode = \"delay\""),
    key(ListenerRate, "status", Count { default: 429, min: 400, max: 599 }, "The status of a refusal; it comes with `Retry-After`.", "status = 503"),
    key(ListenerRate, "keys", Count { default: 65_536, min: 1, max: 4_194_304 },
        "How many of `per` are told apart at a time, over all workers, at 64 bytes each. One counts until its burst is whole again. Those that find no room share one burst among a few.", "keys = 1000000"),
    key(ListenerRate, "fields", Flag { default: false }, "Whether answers say what is left, in `RateLimit` and `RateLimit-Policy`.", "fields = true"),
    key(ListenerRate, "dry_run", Flag { default: false }, "Only count and log what it would refuse.", "dry_run = true"),

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

    key(ListenerTimeouts, "head", secs(10), "For a whole request head, from its first byte, or from accept for the first request. For a header of the PROXY protocol, for a ClientHello that may pass through, and for a TLS handshake as much again each.", "head = \"10s\""),
    key(ListenerTimeouts, "body", secs(30), "Between two reads of a request body.", "body = \"30s\""),
    key(ListenerTimeouts, "idle", secs(60), "Between two requests of a connection.", "idle = \"60s\""),
    key(ListenerTimeouts, "write", secs(30), "For a client that takes no byte of its answer.", "write = \"30s\""),
    key(ListenerTimeouts, "slow", secs(10), "How much longer than `limits.min_rate` says a request or an answer may take.", "slow = \"10s\""),
    key(ListenerTimeouts, "tunnel", secs(600), "For a connection that is relayed byte by byte (upgraded such as WebSocket, `tcp`, passed through) without a byte in either direction.", "tunnel = \"10m\""),
    key(ListenerTimeouts, "session", secs(30), "With `udp`: for a flow without a datagram in either direction.", "session = \"30s\""),

    key(ListenerLimits, "head", HEAD, "Bytes of a request head: the request line and the fields.", "head = \"32KiB\""),
    key(ListenerLimits, "headers", FIELDS, "Fields of a request head.", "headers = 100"),
    key(ListenerLimits, "connections", Count { default: 100_000, min: 1, max: 10_000_000 },
        "Open connections of this listener, over all workers.", "connections = 100000"),
    key(ListenerLimits, "connections_per_client", Cap { min: 1, max: 1_000_000 },
        "Open connections of one client, over all workers; of IPv6 a client is a block of 64 bits. Not of `trusted_proxies`. Further ones are closed at once.", "connections_per_client = 100"),
    key(ListenerLimits, "requests_per_client", Cap { min: 1, max: 1_000_000 },
        "Requests of one client under way at a time, over all workers. Further ones are answered with 429.", "requests_per_client = 20"),
    key(ListenerLimits, "uri", Size { default: None, min: 1, max: MIB }, "Bytes of a request's target (the path and the query); beyond it 414.", "uri = \"8KiB\""),
    key(ListenerLimits, "min_rate", Form("`\"none\"` or a size and `/s`", "\"none\""),
        "The bytes a second that a client must send of a body, and take of an answer, while it is waited for. One that stays behind for `timeouts.slow` is cut off: 408, or a reset.", "min_rate = \"1KiB/s\""),
    key(ListenerLimits, "sessions", Count { default: 10_000, min: 1, max: 1_000_000 },
        "With `udp`: flows at a time, per worker. Datagrams of further ones are dropped.", "sessions = 50000"),
    key(ListenerLimits, "body", Size { default: None, min: 0, max: 1 << 50 }, "Bytes of a request body.", "body = \"10MiB\""),

    key(Tls, "certificates", Form("a list of `{ chain, key, ocsp }`", "none"),
        "What is shown to clients, by the name that they ask for (SNI): an exact name of a certificate beats a wildcard. The first one is the default. Files that are replaced are loaded within seconds, for all cores at once; bad ones change nothing and are reported in the log. This or `certificates_dir` is needed.",
        "certificates = [{ chain = \"shop.crt\", key = \"shop.key\" }]"),
    key(Tls, "certificates_dir", Form("the path of a directory", "none"),
        "Further certificates: every `NAME.crt` or `NAME.pem` with a `NAME.key` beside it, in the order of their names. Files that come and go are noticed.",
        "certificates_dir = \"/etc/ringway/certs\""),
    key(Tls, "min_version", Choice(&["1.2", "1.3"]), "The oldest version of TLS that clients may use.", "min_version = \"1.3\""),
    key(Tls, "ciphers", Form("a list of names such as `\"TLS13_AES_128_GCM_SHA256\"`", "all that are good"),
        "The cipher suites that clients may use. There are no bad ones to leave out: without this key it is AES-GCM and ChaCha20-Poly1305, always with forward secrecy.",
        "ciphers = [\"TLS13_AES_256_GCM_SHA384\", \"TLS13_CHACHA20_POLY1305_SHA256\"]"),
    key(Tls, "unknown_sni", Choice(&["default", "reject"]),
        "What becomes of clients that ask for a name that no certificate has, or for none: they get the first certificate, or no connection.",
        "unknown_sni = \"reject\""),
    key(Tls, "client_auth", Switch { section: ClientAuth, on: false },
        "Certificates of clients. What a verified one says is passed to members in `X-Client-Cert-*`, which no client can send itself.",
        "client_auth = { ca = \"clients.pem\" }"),
    key(Tls, "tickets", Table(Tickets), "Session tickets, with which clients resume on any core.", "tickets = { keys = \"tickets.key\" }"),

    key(Certificate, "chain", Form("the path of a file", ""),
        "PEM: the certificate first, then those between it and the root.", "chain = \"shop.crt\""),
    key(Certificate, "key", Form("the path of a file", ""),
        "PEM: its key, RSA, ECDSA or Ed25519 (PKCS#8, PKCS#1 or SEC1).", "key = \"shop.key\""),
    key(Certificate, "ocsp", Form("the path of a file", "none"),
        "DER: a response of the issuer's OCSP server that is sent along (a staple).", "ocsp = \"shop.ocsp\""),

    key(ClientAuth, "ca", Form("the path of a file", ""), "PEM: who may have issued the certificates of clients.", "ca = \"clients.pem\""),
    key(ClientAuth, "mode", Choice(&["required", "optional"]),
        "Whether a client must have a certificate. One that it shows must be good in either case.", "mode = \"optional\""),

    key(Tickets, "keys", Form("the path of a file", "keys of the process"),
        "Keys for tickets, so that they are good after a restart and on other hosts: a line of 64 hexadecimal digits a key. The first one makes tickets, all of them open tickets; put a new one on top every day. The file is read again when it changes. Without it, keys are random and change every six hours.",
        "keys = \"tickets.key\""),

    key(Hsts, "max_age", Form("an age such as `\"365d\"`", ""), "For how long.", "max_age = \"365d\""),
    key(Hsts, "subdomains", Flag { default: false }, "For all names below the host, too.", "subdomains = true"),
    key(Hsts, "preload", Flag { default: false }, "The host may be put on the lists that browsers come with.", "preload = true"),

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
    key(Route, "headers", Form("a table of names and texts, `\"~ REGEX\"`, `true` or `false`", "any headers"),
        "What headers must be: a text (exactly), something that a regular expression is found in, there at all (`true`), or not there (`false`). Of a header that comes more than once, one must be it.",
        "headers = { \"X-Version\" = \"2\", \"X-Debug\" = true, \"User-Agent\" = \"~ ^curl/\" }"),
    key(Route, "cookies", Form("a table of names and texts, `\"~ REGEX\"`, `true` or `false`", "any cookies"),
        "What cookies must be, in the same way.", "cookies = { beta = \"1\" }"),
    key(Route, "query", Form("a table of names and texts, `\"~ REGEX\"`, `true` or `false`", "any query"),
        "What parameters of the query must be, in the same way. Names and values are compared as what they mean: `%41` is `A`, `+` is a space.", "query = { version = \"~ ^2\", debug = false }"),
    key(Route, "clients", Form("a list of addresses and address blocks", "any client"),
        "Where clients must come from: their address as derived with `trusted_proxies`.", "clients = [\"10.0.0.0/8\", \"2001:db8::/32\"]"),
    key(Route, "pool", Form("the name of a pool", "this, `split`, `redirect` or `respond`"), "The pool that serves the requests.", "pool = \"api\""),
    key(Route, "split", Form("a list of `{ pool, weight }`", "none"),
        "Several pools, each with its share of the requests.", "split = [{ pool = \"api\", weight = 95 }]"),
    key(Route, "split_by", Form("`\"client-ip\"`, `\"request\"`, `\"path\"`, `\"header:NAME\"`, `\"cookie:NAME\"` or `\"query:NAME\"`", "the client's address"),
        "What decides which pool of a `split` a request goes to: the same key goes to the same pool, on every core and host, until weights change; without the header, cookie or parameter the client's address is the key. `\"request\"`: chance, for each request anew.",
        "split_by = \"cookie:sid\""),
    key(Route, "redirect", Form("a URL, or `{ to, status, query }`", "none"),
        "Sends clients on to another URL.", "redirect = \"https://new.example.com{path}\""),
    key(Route, "respond", Form("`\"livez\"`, `\"readyz\"`, or a table", "none"),
        "Answers by itself: as the table says, or how ringway is. `livez` is 200 as long as the process serves; `readyz` is 200 unless it drains or a pool has no member that may serve, else 503.",
        "respond = \"readyz\""),
    key(Route, "strip", Form("a path, `\"/x\"`", "none"),
        "Taken off the front of the path that members see, by whole segments: `/x/y` becomes `/y`, `/x` becomes `/`.", "strip = \"/api\""),
    key(Route, "rewrite", Form("`{ match, to }`", "none"),
        "Another path for members, by a regular expression; after `strip`.", "rewrite = { match = \"^/old/(.*)$\", to = \"/new/$1\" }"),
    key(Route, "error_pages", Form("a table of statuses or classes and files, and `intercept`", "those of the listener"),
        "Pages for errors of requests that this route took, before those of the listener.", "error_pages = { \"503\" = \"sorry.html\", intercept = true }"),
    key(Route, "host", Form("`\"preserve\"`, `\"member\"`, or the text to send", "\"preserve\""),
        "What the member gets as `Host`: what the client asked for, the member's address or name with its port, or this text.", "host = \"internal.example.com\""),
    key(Route, "access", Switch { section: RouteAccess, on: false },
        "Which clients may come, by their address, beyond what the listener says.", "access = { allow = [\"10.0.0.0/8\"], status = 404 }"),
    key(Route, "rate", Form("a table or a list of tables, see `[[route.rate]]`", "none"),
        "How many requests may come in a time.", "rate = [{ rate = \"10/s\" }, { per = \"route\", rate = \"1000/s\" }]"),
    key(Route, "limits", Table(RouteLimits), "Bounds on its requests.", "limits = { body = \"1GiB\" }"),
    key(RouteLimits, "body", Form("`\"none\"` or size, 0B to 1048576GiB", "as the listener says"),
        "Bytes of a request body, in place of `limits.body` of the listener.", "body = \"1GiB\""),
    key(Route, "via", Flag { default: false }, "Whether to add `Via` to requests and answers.", "via = true"),
    key(Route, "compress", Form("`\"off\"`, a list of `\"zstd\"`, `\"br\"` and `\"gzip\"`, or a table, see `[route.compress]`", "\"off\""),
        "Encodes answers for clients that accept it, see [compression](compression.md). What members have encoded goes on as it is.",
        "compress = [\"zstd\", \"br\", \"gzip\"]"),


    key(Split, "pool", Form("the name of a pool", ""), "The pool.", "pool = \"api\""),
    key(Split, "weight", Count { default: 1, min: 0, max: 1_000_000 }, "Its share, in proportion to the others.", "weight = 95"),

    key(Redirect, "to", Form("a URL with `{scheme}`, `{host}`, `{path}` and `{query}`", ""),
        "Where to: `https://` or `http://` and a host, or a path. The names in braces stand for what the client asked for, `{path}` in normal form and as `strip` and `rewrite` leave it; `{{` and `}}` are braces.",
        "to = \"https://{host}/new{path}\""),
    key(Redirect, "status", Form("301, 302, 303, 307 or 308", "308"),
        "The status: 301 and 308 are permanent, 302, 303 and 307 are not; with 307 and 308 clients keep method and body.", "status = 302"),
    key(Redirect, "query", Choice(&["keep", "drop"]), "Whether the client's query is added. A `to` with `{query}` has it where it says.", "query = \"drop\""),

    key(Respond, "status", Form("a status, 200 to 599", "200"), "The status.", "status = 503"),
    key(Respond, "body", Form("a text", "none"), "The body.", "body = \"User-agent: *\\nDisallow: /\\n\""),
    key(Respond, "file", Form("the path of a file", "none"), "The body, from a file of up to 1 MiB, read at the start.", "file = \"maintenance.html\""),
    key(Respond, "content_type", Form("a text", "by the file's extension, else plain text"), "The type of the body.", "content_type = \"text/html; charset=utf-8\""),
    key(Respond, "headers", Form("a table of names and texts", "none"), "Further fields of the answer.", "headers = { \"Retry-After\" = \"120\" }"),
    key(Respond, "ready", Form("a list of names of pools", "none"), "Answers as `\"readyz\"` does, for these pools only; without the other keys.", "ready = [\"api\"]"),

    key(Rewrite, "match", Form("a regular expression", ""), "What a path must match to be rewritten; other paths stay.", "match = \"^/old/(.*)$\""),
    key(Rewrite, "to", Form("a path with `$1`, `${name}` and `$$`", ""),
        "The new path, with what the groups of the expression took; `$$` is a dollar sign. With a `?` it begins a query, before the client's own. The path is put in normal form; a request whose path has none then is answered with 400.",
        "to = \"/new/$1\""),

    key(Route, "cache", Switch { section: Cache, on: false },
        "Keeps answers and gives them to later requests, see [caching](caching.md). `{}` keeps to what answers say of themselves (RFC 9111).",
        "cache = { max_age = { 200 = \"10m\" } }"),


    key(Server, "cache", Table(CacheStore), "The store of all routes that have a `cache`.", "cache = { memory = \"1GiB\" }"),

    key(Pool, "balance", Form("`\"round-robin\"`, `\"least-connections\"`, `\"least-time\"`, `\"random-two\"`, or `{ hash = \"...\" }`", "\"round-robin\""),
        "How a member is chosen: in turn (smooth and by weight); the one with the fewest exchanges in flight for its weight, counted over all workers; the one with the best latency for its load and weight; the less loaded of two drawn by weight; or by a hash, so that the same key goes to the same member.",
        "balance = \"least-connections\""),
    key(Pool, "members", Form("a list of addresses or of `{ address, places, weight, max_connections, backup }`", ""),
        "The servers that answer: 1 to 4096 addresses (the `places` of names counted), each once, at least one with a weight above 0, and at least one that is no backup.",
        "members = [\"10.0.1.11:8080\", { address = \"10.0.1.12:8080\", weight = 2 }]"),
    key(Pool, "max_connections", Cap { min: 1, max: 1_000_000 },
        "Exchanges that all members together may have in flight, exact over all workers, in addition to what each may have. Further requests wait in the queue.",
        "max_connections = 500"),
    key(Pool, "sticky", Switch { section: Sticky, on: false },
        "A signed cookie that keeps a client on its member: over reloads and restarts, on every host with the same key, and whatever other members come and go. Works with every `balance`, which chooses for clients without the cookie.",
        "sticky = { key_file = \"/etc/ringway/sticky.key\", max_age = \"8h\" }"),
    key(Pool, "keepalive", Table(Keepalive), "Idle connections to members, per worker and member.", "keepalive = { idle = 128 }"),
    key(Pool, "timeouts", Table(PoolTimeouts), "Deadlines on the member's side.", "timeouts = { connect = \"500ms\" }"),
    key(Pool, "health", Switch { section: Health, on: false },
        "Probes: requests or connections of our own that take a member out and bring it back. One prober for the whole host. `{}` probes with the defaults.",
        "health = { path = \"/healthz\", interval = \"5s\" }"),
    key(Pool, "eject", Switch { section: Eject, on: true },
        "Ejection: failures of real requests that take a member out for a time.", "eject = { failures = 3, for = \"30s\" }"),
    key(Pool, "queue", Table(Queue), "Requests that wait while every member is at its `max_connections`, or the pool at its own.", "queue = { timeout = \"500ms\" }"),
    key(Pool, "retry", Switch { section: Retry, on: true },
        "Sending a request again, to another member. Only where that is safe: the method is idempotent, or it is certain that the member got nothing of the request; and nothing of an answer has gone to the client.",
        "retry = { on = [\"connect\", \"reset\", 503], attempts = 1 }"),
    key(Pool, "panic", Choice(&["refuse", "use-all"]),
        "What happens when every member is out: answer 503 at once, or choose as if none were out, but those that an operator took out. With `refuse`, ejected members whose time out is over serve all the same: one of their requests is the trial, and the others would fail for certain.", "panic = \"use-all\""),
    key(Pool, "proxy_protocol", Choice(&["off", "v1", "v2"]),
        "The PROXY protocol in front of every connection to a member: it says who the client is. Connections are then not used for other requests. Probes send it, too, without a client.",
        "proxy_protocol = \"v2\""),
    key(Pool, "slow_start", Time { default: Duration::ZERO, min: Duration::ZERO },
        "How long a member that came back takes to get its full share. `\"0s\"`: it gets it at once.", "slow_start = \"30s\""),

    key(Pool, "tls", Switch { section: PoolTls, on: false },
        "TLS to members. They must prove who they are; one that does not is not spoken to: 502, and counted as its failure (`connect`).",
        "tls = { ca = \"internal.pem\" }"),

    key(Balance, "hash", Form("`\"client-ip\"`, `\"path\"`, `\"header:NAME\"`, `\"cookie:NAME\"` or `\"query:NAME\"`", ""),
        "What is hashed. The same key goes to the same member, on every core, after a restart and on every host with the same members; when a member comes or goes, few keys move. `client-ip` is the address derived from trusted proxies, `path` is without the query. A request without the header, cookie or parameter is hashed by client address.",
        "hash = \"cookie:session\""),

    key(Sticky, "cookie", Form("the name of a cookie", "\"ringway\""), "Its name. Pools that share a host name need one each.", "cookie = \"ringway\""),
    key(Sticky, "key_file", Form("the path of a file", "none: `key` is given"),
        "The file with the key that signs the cookie, 32 to 4096 bytes, as `openssl rand -base64 32` gives; white space at its end does not count. The same file on all hosts that are to know each other's cookies; a new key forgets every cookie.",
        "key_file = \"/etc/ringway/sticky.key\""),
    key(Sticky, "key", Form("a text of at least 32 bytes", "none: `key_file` is given"),
        "The key itself, for those who keep this file secret; `--effective` shows it.", "key = \"4wEoiKpY6vMSwJbGF5Vv2kwH4mB6FYS5\""),
    key(Sticky, "max_age", Form("a duration, 1s to 9600h, or `\"session\"`: until the browser is closed", "\"session\""),
        "How long browsers keep it, from when it was set.", "max_age = \"8h\""),
    key(Sticky, "path", Form("a path", "\"/\""), "The paths that it is sent for.", "path = \"/\""),
    key(Sticky, "same_site", Choice(&["lax", "strict", "none"]),
        "Whether browsers send it with requests that other sites cause: only with links that are followed, never, or always.", "same_site = \"lax\""),
    key(Sticky, "secure", Flag { default: false }, "Whether browsers send it by https only. `same_site = \"none\"` needs it.", "secure = true"),

    key(Member, "address", Form("`\"IP:PORT\"`, `\"NAME:PORT\"`, `\"srv:NAME\"` or `\"unix:/PATH\"`", ""),
        "Where it listens: an IP address; a name, each of whose addresses is a member of its own; a service, whose SRV records say addresses, ports and shares; or a Unix socket. Names are resolved again as their records run out; see [members by name](operations.md#members-by-name).",
        "address = \"api.internal:8080\""),
    key(Member, "places", Form("a number, 1 to 4096", "16 for a name or a service, else 1"),
        "Addresses of a name that are used at the most. They count toward the 4096 of a pool whether they are used or not; further addresses are logged and get nothing.",
        "places = 4"),
    key(Member, "weight", Count { default: 1, min: 0, max: 65_535 },
        "Its share of the requests, relative to the other members; of a name, the share of each address. 0 gets none.", "weight = 2"),
    key(Member, "max_connections", Cap { min: 1, max: 1_000_000 },
        "Exchanges that it may have in flight, exact over all workers. Further requests go to other members, or wait in the queue.", "max_connections = 200"),
    key(Member, "backup", Flag { default: false },
        "It serves only when every member that is no backup is out, or, for one request, when all of them failed it; not when they are merely full.", "backup = true"),
    key(Member, "state", Choice(&["ready", "drain", "maintenance"]),
        "What is wanted of it, whatever its health. `drain`: no requests but those of clients that stay on it (`sticky`); what is under way goes on. `maintenance`: none.", "state = \"drain\""),

    key(Keepalive, "idle", Count { default: 64, min: 0, max: 65_535 }, "Idle connections kept; 0 keeps none.", "idle = 64"),
    key(Keepalive, "idle_timeout", secs(60), "How long one may stay idle. Keep it below the members' own timeout.", "idle_timeout = \"60s\""),
    key(Keepalive, "max_age", secs(3600),
        "The age from which a connection is not used again; an exchange that is under way ends first.", "max_age = \"10m\""),
    key(Keepalive, "max_requests", Cap { min: 1, max: 1_000_000_000 },
        "Exchanges that one connection serves; then it is closed.", "max_requests = 10000"),

    key(PoolTimeouts, "connect", secs(1), "For a connection to be established.", "connect = \"1s\""),
    key(PoolTimeouts, "response", secs(30), "Silence of the member: before its answer's head, and between two parts of its body.", "response = \"30s\""),

    key(Health, "type", Choice(&["http", "tcp"]), "A request and its answer, or only a connection.", "type = \"http\""),
    key(Health, "method", Form("a method", "\"GET\""), "Method of the request.", "method = \"GET\""),
    key(Health, "path", Form("a path, with or without a query", "\"/\""), "What is requested.", "path = \"/healthz\""),
    key(Health, "host", Form("a host, with or without a port", "the member's address or name"), "`Host` of the request.", "host = \"shop.example.com\""),
    key(Health, "headers", Form("a table of texts", "{}"), "Further fields of the request.", "headers = { X-Probe = \"ringway\" }"),
    key(Health, "status", Form("a list of statuses and ranges of them, 200 to 599, or one of them", "[\"200-299\"]"),
        "Statuses that are a success. Redirections are not followed.", "status = [200, \"300-399\"]"),
    key(Health, "body", Form("a text", "any body"), "What the first 64 KiB of the answer's body must contain.", "body = \"ok\""),
    key(Health, "interval", Time { default: Duration::from_secs(2), min: Duration::from_millis(10) },
        "From one probe of a member to its next, give or take a tenth.", "interval = \"5s\""),
    key(Health, "timeout", secs(1), "For one probe as a whole. Shorter than `interval`.", "timeout = \"500ms\""),
    key(Health, "fall", Count { default: 3, min: 1, max: 100 }, "Failures in a row that take a member out.", "fall = 3"),
    key(Health, "rise", Count { default: 2, min: 1, max: 100 }, "Successes in a row that bring it back.", "rise = 2"),
    key(Health, "port", Form("a number, 1 to 65535", "the member's port"), "Another port to probe, at the member's address. Without meaning for a Unix socket.", "port = 9000"),
    key(Health, "start", Choice(&["up", "down"]),
        "How members begin: in, or out until `rise` probes succeeded.", "start = \"down\""),

    key(Eject, "failures", Form("a number, 1 to 10000, or `\"none\"`", "5"), "Failures within `window` that take a member out. `\"none\"`: their number alone takes nobody out.", "failures = 3"),
    key(Eject, "window", secs(10), "The time in which they count.", "window = \"30s\""),
    key(Eject, "for", secs(10), "How long it is out before one real request tries it.", "for = \"30s\""),
    key(Eject, "on", Form(FAILURES, "[\"connect\", \"reset\", \"timeout\", \"bad-answer\"]"), "What counts as a failure.",
        "on = [\"connect\", \"timeout\", 503]"),
    key(Eject, "max_share", Percent { default: 50 },
        "The share of the members that may be ejected at a time. One may always be, if another one is left.", "max_share = \"30%\""),

    key(Eject, "success_rate", Switch { section: SuccessRate, on: false },
        "Takes out a member whose requests fail more often than those of the others.", "success_rate = { worse_by = \"10%\" }"),
    key(Eject, "latency", Switch { section: Slow, on: false },
        "Takes out a member whose answers take longer than those of the others.", "latency = { factor = 5 }"),

    key(SuccessRate, "worse_by", Percent { default: 20 },
        "How many percentage points the share of its requests that failed (as `on` says) lies above the median of the others' shares, or more.", "worse_by = \"10%\""),
    key(SuccessRate, "interval", INTERVAL, "From one look at the members to the next. Each counts for itself.", "interval = \"30s\""),
    key(SuccessRate, "requests", REQUESTS, ENOUGH, "requests = 50"),
    key(SuccessRate, "members", MEMBERS, MANY, "members = 5"),

    key(Slow, "factor", Count { default: 3, min: 2, max: 1000 },
        "How many times the median of the others' times its own is longer than. A member's time is the median time to the first byte of its answers below 500, of about the last ten seconds.", "factor = 5"),
    key(Slow, "intervals", Count { default: 3, min: 1, max: 1000 }, "In so many intervals in a row.", "intervals = 2"),
    key(Slow, "least", Time { default: Duration::from_millis(50), min: TIME_MIN }, "A member that takes less is never too slow.", "least = \"100ms\""),
    key(Slow, "interval", INTERVAL, "From one look at the members to the next.", "interval = \"30s\""),
    key(Slow, "requests", REQUESTS, ENOUGH, "requests = 50"),
    key(Slow, "members", MEMBERS, MANY, "members = 5"),

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
    key(Retry, "try_timeout", TimeCap { min: TIME_MIN },
        "How long a member may take from the sent request to its answer's head while the request could still go to another member; then it does, and the failure is a `\"timeout\"`. The last attempt has `timeouts.response`.",
        "try_timeout = \"2s\""),
    key(Retry, "idempotency_key", Flag { default: false },
        "Whether a POST or PATCH with an `Idempotency-Key` counts as idempotent. Only where members honour it.", "idempotency_key = true"),
    key(Retry, "deadline", secs(10), "From the whole request head to the begin of the last attempt.", "deadline = \"5s\""),
    key(Retry, "body", Size { default: Some(64 * KIB), min: 0, max: 16 * MIB },
        "Bytes of a request body that are kept to be sent again, while it goes on to the member. Once more was sent there is no retry.", "body = \"16KiB\""),

    key(PoolTls, "ca", Form("the path of a file", "the roots of the system"),
        "PEM: who may have issued the certificates of members.", "ca = \"internal.pem\""),
    key(PoolTls, "server_name", Form("a host name or an address", "the member's name or address"),
        "What members are asked for (SNI), and what their certificates must be for.", "server_name = \"api.internal\""),
    key(PoolTls, "verify", Flag { default: true },
        "Whether members must prove who they are. Without that anybody on the way can read and change everything.", "verify = true"),
    key(PoolTls, "client_certificate", Switch { section: ClientCertificate, on: false },
        "What is shown to members that ask for a certificate.", "client_certificate = { chain = \"ringway.crt\", key = \"ringway.key\" }"),

    key(ClientCertificate, "chain", Form("the path of a file", ""),
        "PEM: the certificate first, then those between it and the root.", "chain = \"ringway.crt\""),
    key(ClientCertificate, "key", Form("the path of a file", ""), "PEM: its key.", "key = \"ringway.key\""),
];

/// Keys that a later version brings, with the section each will stand in.
#[rustfmt::skip]
pub const FUTURE: &[(Section, &str)] = &[
    (Listener, "http2"),
    (Pool, "protocol"),
];
