//! The manual against the check: every default, every example.

use toml::{Table, Value};

use super::*;
use crate::config::check_l4::elsewhere;
use crate::config::keys::Hat;
use crate::config::{effective, load};

const KEY: &str = "sticky.key = \"0123456789abcdef0123456789abcdef\"";
const COMPARES: &str = "eject = { success_rate = {}, latency = {} }";
const ROUTE: &str = "buffer_request = {}\nbuffer_response = {}\nset_cookie.secure = true\ncors.origins = [\"https://a.b\"]";
const RULING: [Section; 6] = [
    Section::AuthCertificate,
    Section::AuthJwt,
    Section::AuthBasic,
    Section::AuthRemember,
    Section::AuthRequestRemember,
    Section::Mirror,
];
const RULES: &str = "tls = { certificates = [{ chain = 'a', key = 'b' }], client_auth.ca = 'c' }
    [[route]]
    mirror.pool = 'app'
    auth.client_certificate.subjects = 'a'
    auth.jwt.jwks = 'https://a/'
    auth.basic = { realm = 'a', users = 'b' }
    auth.request = { pool = 'app', remember = {} }";
const DISK: &str = "[server]\ncache.disk.folder = '/a'";
const GUARDED: &str = "access.deny = \"10.0.0.1\"\nrate = { rate = \"1/s\" }";
const MINIMAL: &str = include_str!("../../examples/minimal.toml");

/// The minimal file with rules for its route.
fn ruled(remember: &str) -> String {
    MINIMAL.replacen("[[route]]", &RULES.replace(", remember = {}", remember), 1)
}

/// The table of a section in an effective configuration.
fn find(file: &Table, section: Section) -> Value {
    let header = section.header().trim_matches(['[', ']']);
    let mut value = Value::Table(file.clone());
    for part in header.split('.') {
        value = match value {
            Value::Table(table) if part == "NAME" => table.values().next().unwrap().clone(),
            Value::Table(table) if part == "METHOD" => table["basic"].clone(),
            Value::Table(table) => table[part].clone(),
            other => panic!("{other} at {part} of {header}"),
        };
        if let Value::Array(items) = value {
            value = items[0].clone();
        }
    }
    value
}

fn shown(text: &str) -> Table {
    effective(&load(text, "minimal").unwrap().config).parse().unwrap()
}

/// A file whose first route does this.
fn acting(action: &str) -> Table {
    let rewrite = "rewrite = { match = \"^/a\", to = \"/b\" }";
    let route = format!("[[route]]\npath = \"/x/*\"\n{action}\n{rewrite}\n[[route]]\n");
    shown(&MINIMAL.replacen("[[route]]\n", &route, 1))
}

/// A file whose listener relays.
fn relaying(more: &str) -> Table {
    let name = "proxy_protocol = { trusted = [\"10.0.0.1\"] }";
    let name = if more.contains("udp") { "" } else { name };
    shown(&format!(
        "[listener.db]\nbind = \"127.0.0.1:0\"\npool = \"db\"\n{more}\n{name}\n\
         [pool.db]\nmembers = [\"10.0.0.1:1\"]\n"
    ))
}

/// The minimal file with more in its pool and its listener, and a first route that does all it can.
fn with(pool: &str, listener: &str) -> Table {
    let text = format!("{MINIMAL}health = {{}}\n{KEY}\n{COMPARES}\n{pool}\n");
    let route = format!(
        "{listener}\n{GUARDED}\n[[route]]\n{GUARDED}\ncompress = {{}}\ncache = {{}}\n{ROUTE}"
    );
    shown(&text.replacen("[[route]]", &route, 1))
}

#[test]
fn the_defaults_of_the_manual_are_those_of_the_check() {
    let file = shown(MINIMAL);
    // What is off by default: as little as it takes, then with its inner tables, too.
    let more = with("tls = {}", "tls.certificates = [{ chain = \"a\", key = \"b\" }]");
    let most = with(
        "tls.client_certificate = { chain = \"a\", key = \"b\" }",
        "hsts.max_age = \"1s\"\nrequest_id = {}\ntracing = {}\ntls = { certificates_dir = \"d\", client_auth.ca = \"c\" }",
    );
    let (ruled, bare) = (shown(&ruled(", remember = {}")), shown(&ruled("")));
    let (tcp, udp) = (relaying("protocol = \"tcp\""), relaying("protocol = \"udp\""));
    let mut compared = 0;
    for section in Section::ALL.into_iter().filter(|section| *section != Section::Root) {
        let table = match section {
            Section::CacheDisk => find(&shown(&format!("{DISK}\n{MINIMAL}")), section),
            // Without defaults that could be written.
            Section::Balance | Section::Passthrough | Section::Respond | Section::Auth => continue,
            Section::RouteTimeouts => continue,
            Section::Split | Section::Rewrite => {
                find(&acting("split = [{ pool = \"app\" }]"), section)
            }
            Section::Redirect => find(&acting("redirect = \"/y\""), section),
            Section::ProxyProtocol => find(&tcp, section),
            Section::AuthRequest => find(&bare, section),
            ruling if RULING.contains(&ruling) => find(&ruled, section),
            Section::Health
            | Section::Sticky
            | Section::SuccessRate
            | Section::Slow
            | Section::PoolTls
            | Section::Tls
            | Section::Certificate
            | Section::ListenerAccess
            | Section::ListenerRate
            | Section::RouteAccess
            | Section::RouteRate
            | Section::Tickets
            | Section::Cache
            | Section::BufferRequest
            | Section::BufferResponse
            | Section::Compress
            | Section::CompressStored => find(&more, section),
            Section::ClientCertificate
            | Section::ClientAuth
            | Section::Hsts
            | Section::RequestId
            | Section::Tracing
            | Section::SetCookie
            | Section::Cors => find(&most, section),
            Section::RequestHeaders
            | Section::ResponseHeaders
            | Section::RouteRequestHeaders
            | Section::RouteResponseHeaders => continue,
            _ => find(&file, section),
        };
        for key in section.keys() {
            let default = default(key);
            if let Some(text) = default.strip_prefix('`').and_then(|d| d.strip_suffix('`')) {
                let expected: Table = format!("x = {text}").parse().unwrap();
                let value = match elsewhere(key) {
                    None => table[key.name].clone(),
                    Some("udp") => find(&udp, section)[key.name].clone(),
                    Some(_) => find(&tcp, section)[key.name].clone(),
                };
                assert_eq!(value, expected["x"], "{} {}", section.header(), key.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

/// The example of a key of TLS, with what must not be missing beside it: in a listener, or in
/// a pool.
fn of_tls(key: &Key) -> (String, String) {
    let line = key.example;
    let inline = |needed: &[&str]| {
        let others = needed.iter().filter(|name| **name != key.name);
        let others: String = others.map(|name| format!(", {name} = \"9d\"")).collect();
        format!("{{ {line}{others} }}")
    };
    let secured = |line: &str| {
        let other = if line.contains("certificates") { "" } else { "certificates_dir = \"d\"" };
        (format!("{line}\n{}", other.replace("cert", "tls.cert")), String::new())
    };
    let pool = |line: String| (String::new(), line);
    match key.section {
        Section::Tls => secured(&format!("tls.{line}")),
        Section::Certificate => {
            secured(&format!("tls.certificates = [{}]", inline(&["chain", "key"])))
        }
        Section::ClientAuth => secured(&format!("tls.client_auth = {}", inline(&["ca"]))),
        Section::Tickets => secured(&format!("tls.tickets.{line}")),
        Section::Hsts => secured(&format!("hsts = {}", inline(&["max_age"]))),
        Section::PoolTls => pool(format!("tls.{line}")),
        Section::ClientCertificate => {
            pool(format!("tls.client_certificate = {}", inline(&["chain", "key"])))
        }
        _ => secured(line),
    }
}

/// The example of a key of what is done to fields, in its listener or route.
fn of_fields(key: &Key) -> String {
    let table = key.section.header().trim_matches(['[', ']']).rsplit('.').next();
    let line = format!("{}.{}", table.unwrap_or_default(), key.example);
    match key.section {
        Section::Cors if key.name != "origins" => {
            format!("cors.origins = [\"https://a.b\"]\n{line}")
        }
        _ => line,
    }
}

/// An example of what comes before the requests, with what else it takes.
fn below_http(key: &Key) -> String {
    let line = key.example;
    match (key.section, key.name) {
        (Section::ProxyProtocol, "mode") => {
            format!("proxy_protocol = {{ trusted = [\"10.0.0.1\"], {line} }}")
        }
        (Section::ProxyProtocol, _) => format!("proxy_protocol.{line}"),
        (_, "sni") => format!("passthrough = [{{ {line}, pool = \"api\" }}]"),
        _ => format!("passthrough = [{{ {line}, sni = [\"a.b\"] }}]"),
    }
}

/// An example of what guards a listener, with what must not be missing beside it.
fn of_guard(key: &Key) -> String {
    let line = key.example;
    match (key.section, key.name) {
        (_, "allow" | "deny") => format!("access = {{ {line} }}"),
        (Section::ListenerAccess, _) => {
            format!("access = {{ {line}, deny = [\"10.0.0.1\"] }}")
        }
        // One that counts for a listener, too.
        (_, "rate") => format!("rate = {{ {line}, per = \"listener\" }}"),
        _ => format!("rate = {{ rate = \"1/s\", {line} }}"),
    }
}

/// The example of a key of a route, with what must not be missing beside it.
fn of_route(key: &Key) -> String {
    let line = key.example;
    match (key.section, key.name) {
        (Section::Route, "split_by" | "split_fallback") => {
            format!("split = [{{ pool = \"api\" }}]\n{line}")
        }
        (Section::Route, "strip") => format!("path = \"/api/*\"\n{line}"),
        (Section::Split, "pool") => format!("split = [{{ {line} }}]"),
        (Section::Split, _) => format!("split = [{{ pool = \"api\", {line} }}]"),
        (Section::Redirect, "to") => format!("redirect.{line}"),
        (Section::Redirect, _) => format!("redirect.to = \"/\"\nredirect.{line}"),
        (Section::Respond, _) => format!("respond.{line}"),
        (Section::RouteLimits, _) => format!("limits.{line}"),
        (Section::RouteTimeouts, _) => format!("timeouts.{line}"),
        (Section::Compress, _) => format!("compress.{line}"),
        (Section::CompressStored, _) => format!("compress.stored.{line}"),
        (Section::Cache, _) => format!("cache.{line}"),
        (Section::BufferRequest, _) => format!("buffer_request.{line}"),
        (Section::BufferResponse, _) => format!("buffer_response.{line}"),
        (Section::Rewrite, "to") => format!("rewrite.match = \"^/old/(.*)$\"\nrewrite.{line}"),
        (Section::Rewrite, _) => format!("rewrite.to = \"/\"\nrewrite.{line}"),
        _ => line.to_owned(),
    }
}

/// Whether [`of_route`] shows its keys.
fn is_of_route(section: Section) -> bool {
    let of_route = section.header().contains("route");
    of_route && !matches!(section, Section::RouteAccess | Section::RouteRate)
}

fn is_of_auth(key: &Key) -> bool {
    let header = key.section.header();
    ["[route.auth", "[route.mirror"].iter().any(|start| header.starts_with(start))
        || key.section == Section::Route && matches!(key.name, "auth" | "mirror")
}

fn is_of_fields(section: Section) -> bool {
    use Section::{
        Cors, Location, RequestHeaders, RequestId, ResponseHeaders, RouteRequestHeaders,
        RouteResponseHeaders, SetCookie, Tracing,
    };
    matches!(
        section,
        RequestHeaders
            | ResponseHeaders
            | RequestId
            | Tracing
            | RouteRequestHeaders
            | RouteResponseHeaders
            | Location
            | SetCookie
            | Cors
    )
}

/// Whether a route says what is done with its requests.
fn acts(route: &str) -> bool {
    ["pool", "split", "redirect", "respond"].iter().any(|action| route.starts_with(action))
}

/// What makes a listener take the key, if it is not one of requests.
fn spoken(key: &Key) -> String {
    match elsewhere(key) {
        Some(word) if key.name == "pool" => format!("protocol = \"{word}\""),
        Some(word) => format!("protocol = \"{word}\"\npool = \"api\""),
        None if key.example == "protocol = \"tcp\"" => "pool = \"api\"".to_owned(),
        None => String::new(),
    }
}

/// An example of `auth` or `mirror` with what else it takes: of the listener, and of the route.
fn of_auth(key: &Key) -> (&'static str, String) {
    const ASKS: &str =
        "tls = { certificates = [{ chain = 'a', key = 'b' }], client_auth = { ca = 'c' } }";
    let (line, pool) = (key.example, [("pool", "'api'")]);
    let users = [("realm", "'a'"), ("users", "'b'")];
    let with = |table: &str, needed: &[(&str, &str)], line: &str| {
        let needed = needed.iter().filter(|(name, _)| *name != key.name);
        let lines = needed.map(|(name, value)| format!("{table}.{name} = {value}\n"));
        format!("{}{table}.{line}", lines.collect::<String>())
    };
    let has_keys = matches!(key.name, "jwks" | "secret_file");
    let keys = [("jwks", "'https://a/'")];
    let route = match key.section {
        Section::Route => line.to_owned(),
        Section::Auth if key.name == "require" => {
            with("auth", &[("basic", "{ realm = 'a', users = 'b' }")], line)
        }
        Section::Auth => with("auth", &[], line),
        Section::AuthCertificate => with("auth.client_certificate", &[], line),
        Section::AuthJwt => with("auth.jwt", if has_keys { &[] } else { &keys }, line),
        Section::AuthBasic => with("auth.basic", &users, line),
        Section::AuthRemember => with("auth.basic", &users, &format!("remember.{line}")),
        Section::AuthRequest => with("auth.request", &pool, line),
        Section::AuthRequestRemember => with("auth.request", &pool, &format!("remember.{line}")),
        _ => with("mirror", &pool, line),
    };
    let route = route.replace("\"login\"", "\"api\"").replace("\"shadow\"", "\"api\"");
    let asks = route.contains("client_certificate");
    (if asks { ASKS } else { "" }, route)
}

/// A file around an example: what it adds to the listener, the route, the pool and the member.
fn file_with(key: &Key, [listener, route, pool, member]: [&str; 4]) -> String {
    let line = key.example;
    let process = if listener.len() + route.len() + pool.len() + member.len() == 0 {
        let folder = key.section == Section::CacheDisk && key.name != "folder";
        let folder = if folder { "folder = '/a'\n" } else { "" };
        format!("{}\n{folder}{line}\n", key.section.header())
    } else {
        String::new()
    };
    let spoken = spoken(key);
    let silent = !spoken.is_empty() || listener.starts_with("passthrough");
    let unless = |written: &str, name: &str, other: &'static str| {
        if written.starts_with(name) { "" } else { other }
    };
    let bind = unless(listener, "bind", "bind = \"127.0.0.1:0\"");
    let to = if silent || acts(route) { "" } else { "pool = \"api\"" };
    let header = if silent { "" } else { "[[route]]\n" };
    let address = unless(member, "address", "address = \"api.internal:80\"");
    let members = unless(pool, "members", "[[pool.api.members]]");
    let fields = if members.is_empty() { String::new() } else { format!("{address}\n{member}") };
    // A pool of backups only is a mistake.
    let other = "backup = true\n[[pool.api.members]]\naddress = \"10.0.0.2:80\"";
    let fields = fields.replace("backup = true", other);
    format!(
        "{process}[listener.web]\n{bind}\n{spoken}\n{listener}\n{header}{to}\n{route}\n\
         [pool.api]\n{pool}\n{members}\n{fields}\n"
    )
}

#[test]
fn every_example_is_understood() {
    for key in Section::ALL.iter().flat_map(|section| section.keys()) {
        let line = key.example;
        let below = |table: &str| format!("{table}.{line}");
        let ((in_listener, in_pool), of_fields, (asks, of_auth)) =
            (of_tls(key), of_fields(key), of_auth(key));
        let (listener, route, pool, member) = match key.section {
            Section::Root => continue,
            section if section.hat() == Hat::Process => ("", "", "", ""),
            Section::Listener if key.name == "hsts" => (&*in_listener, "", "", ""),
            Section::Listener => (line, "", "", ""),
            Section::ListenerTimeouts => (&*below("timeouts"), "", "", ""),
            Section::ListenerLimits => (&*below("limits"), "", "", ""),
            Section::ListenerAccess
            | Section::RouteAccess
            | Section::ListenerRate
            | Section::RouteRate => (&*of_guard(key), "", "", ""),
            Section::ProxyProtocol | Section::Passthrough => (&*below_http(key), "", "", ""),
            section if is_of_fields(section) && section.header().contains("route") => {
                ("", &*of_fields, "", "")
            }
            section if is_of_fields(section) => (&*of_fields, "", "", ""),
            _ if is_of_auth(key) => (asks, &*of_auth, "", ""),
            section if is_of_route(section) => ("", &*of_route(key), "", ""),
            Section::Pool => ("", "", line, ""),
            Section::Balance => ("", "", &*below("balance"), ""),
            Section::Tls
            | Section::Certificate
            | Section::ClientAuth
            | Section::Tickets
            | Section::Hsts
            | Section::PoolTls
            | Section::ClientCertificate => (&*in_listener, "", &*in_pool, ""),
            Section::Sticky if key.name.starts_with("key") => ("", "", &*below("sticky"), ""),
            Section::Sticky => ("", "", &*format!("{KEY}\n{}", below("sticky")), ""),
            Section::Keepalive => ("", "", &*below("keepalive"), ""),
            Section::PoolTimeouts => ("", "", &*below("timeouts"), ""),
            Section::Health => ("", "", &*below("health"), ""),
            Section::Eject => ("", "", &*below("eject"), ""),
            Section::SuccessRate => ("", "", &*below("eject.success_rate"), ""),
            Section::Slow => ("", "", &*below("eject.latency"), ""),
            Section::Queue => ("", "", &*below("queue"), ""),
            Section::Retry => ("", "", &*below("retry"), ""),
            _ => ("", "", "", line),
        };
        let mut text = file_with(key, [listener, route, pool, member]);
        if route.contains("buffer_") {
            // What goes to disk needs a place there.
            text.insert_str(0, "[server]\nbuffers = { folder = \"/f\" }\n");
        }
        load(&text, key.name).unwrap_or_else(|report| panic!("{report}\n{text}"));
    }
}
