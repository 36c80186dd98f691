//! The manual of the configuration, written from the table of keys.

use std::fmt::Write as _;

use super::keys::{Key, Kind, Section, TIME_MAX, TIME_MIN};
use super::scalar::{show_duration, show_size};

const INTRODUCTION: &str = "\
# The configuration file

<!-- Written from the table of keys; `UPDATE_GOLDEN=1 cargo test --test config_check` renews it. -->

A file in [TOML](https://toml.io). A listener receives requests, a route says which of them go to
which pool, a pool has the members that answer:

```toml
[listener.web]
bind = [\"0.0.0.0:8080\"]

[[route]]
pool = \"app\"

[pool.app]
members = [\"10.0.1.11:8080\", \"10.0.1.12:8080\"]
```

`ringway check FILE` reports every mistake of a file at once, `ringway check FILE --effective`
prints it with every default filled in. Unknown keys are mistakes. `examples/` has whole files.

- **Duration**: a whole number and `ms`, `s`, `m` or `h`: `\"500ms\"`, `\"10s\"`. From {TIME_MIN} to
  {TIME_MAX}.
- **Size**: a whole number and `B`, `KiB`, `MiB`, `GiB` (powers of 1024) or `KB`, `MB`, `GB` (of
  1000): `\"64KiB\"`; or a plain number of bytes.
- **Share**: a whole number and `%`: `\"20%\"`.
- **Name** of a listener or pool: 1 to 64 letters, digits, `-`, `_` and `.`.
- A list of texts or statuses with one entry may be written as that entry: `bind = \"0.0.0.0:80\"`.
  This does not hold for `members`.
- Any table may be written in either form of TOML: `timeouts = { head = \"5s\" }` within
  `[listener.web]`, or `[listener.web.timeouts]` with `head = \"5s\"`.
";

const PRECEDENCE: &str = "\
## Which route takes a request

A route matches a request if it applies to its listener, its host and its path. Of the routes that
match, the first of this order that also allows the method takes the request:

1. by host: an exact host, then wildcards from the longest to the shortest, then routes without
   `hosts`;
2. then by path: an exact path, then prefixes from the longest to the shortest, then regular
   expressions, then routes without `path`;
3. then by their order in the file.

It follows that

- a host whose routes do not match the path leaves the request to the wildcards, and these to the
  routes without `hosts`;
- a route that does not allow the method leaves the request to the next that matches. If none is
  left, the answer is 405, and its `Allow` has the methods of all routes that matched. If none
  matched in the first place, it is 404;
- `path = \"/*\"` is a prefix, the shortest, and as such comes before every regular expression of
  the same hosts. To catch what the others leave, give no `path`;
- `OPTIONS *` has no path: only a route without `path`, or with a regular expression that matches
  `*`, takes it.

Hosts are compared without case, without the port and without a final dot. Paths are compared in their normal form:
`%41` is `A`, `/a/../b` is `/b`; double slashes stay.
";

/// The text of `docs/configuration.md`.
#[must_use]
pub fn manual() -> String {
    let bounds = |text: &str| {
        text.replace("{TIME_MIN}", &show_duration(TIME_MIN))
            .replace("{TIME_MAX}", &show_duration(TIME_MAX))
    };
    let mut out = bounds(INTRODUCTION);
    for section in Section::ALL {
        if section != Section::Root {
            section_text(&mut out, section);
        }
        if section == Section::Route {
            out.push('\n');
            out.push_str(PRECEDENCE);
        }
    }
    out
}

fn section_text(out: &mut String, section: Section) {
    let level = match section {
        Section::Server | Section::Limits | Section::Listener | Section::Route | Section::Pool => {
            "##"
        }
        _ => "###",
    };
    let hat = match section.hat() {
        super::keys::Hat::Process => String::new(),
        hat => format!(" ({hat})"),
    };
    let prose = Section::ALL.iter().flat_map(|section| section.keys()).find_map(|key| {
        let opens = match key.kind {
            Kind::Table(opened) | Kind::Switch { section: opened, .. } => opened == section,
            _ => key.section == Section::Root && section.header().contains(key.name),
        };
        // `[listener.NAME.limits]` has its own key; the root's `limits` opens `[limits]` alone.
        (opens && (level == "##" || key.section != Section::Root)).then_some(key.prose)
    });
    let prose = prose.unwrap_or(match section {
        Section::Balance => "The form of `balance` for a hash.",
        Section::Certificate => "One of the certificates of a listener.",
        Section::Hsts => "The table form of `hsts`.",
        Section::ListenerRate | Section::RouteRate => "One rate; there may be several, and a request must pass them all.",
        Section::Compress => "The table form of `compress`.",
        Section::Passthrough => {
            "TLS that passes through: which connections, and where. Without `tls` on the listener that is all it does, and keys that need requests are mistakes."
        }
        _ => "The table form of a member.",
    });
    write!(out, "\n{level} `{}`{hat}\n\n{prose}\n\n", section.header()).unwrap_or_default();
    out.push_str("| key | value | default | |\n|---|---|---|---|\n");
    for key in section.keys() {
        let (value, default) = (value(key), default(key));
        writeln!(out, "| `{}` | {value} | {default} | {} |", key.name, key.prose)
            .unwrap_or_default();
    }
    let examples: Vec<_> = section.keys().map(|key| key.example).collect();
    write!(out, "\n```toml\n{}\n{}\n```\n", section.header(), examples.join("\n"))
        .unwrap_or_default();
}

fn value(key: &Key) -> String {
    match key.kind {
        Kind::Time { min: TIME_MIN, .. } => "duration".to_owned(),
        Kind::Time { min, .. } => format!("duration, from {}", show_duration(min)),
        Kind::TimeCap { .. } => "`\"none\"` or duration".to_owned(),
        Kind::Size { default, min, max } => {
            let none = if default.is_none() { "`\"none\"` or " } else { "" };
            format!("{none}size, {} to {}", show_size(min), show_size(max))
        }
        Kind::Count { min, max, .. } => format!("number, {min} to {max}"),
        Kind::Cap { min, max } => format!("`\"none\"` or number, {min} to {max}"),
        Kind::Percent { .. } => "share, `\"0%\"` to `\"100%\"`".to_owned(),
        Kind::Flag { .. } => "`true` or `false`".to_owned(),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`{choice:?}`")).collect::<Vec<_>>().join(" or ")
        }
        Kind::Form(form, _) => form.to_owned(),
        Kind::Table(section) => format!("table, see `{}`", section.header()),
        Kind::Switch { section, .. } => format!("`\"off\"` or table, see `{}`", section.header()),
    }
}

/// The default for the manual; as TOML, in backquotes, where it can be written.
fn default(key: &Key) -> String {
    match key.kind {
        Kind::Time { default, .. } => format!("`\"{}\"`", show_duration(default)),
        Kind::Size { default: Some(default), .. } => format!("`\"{}\"`", show_size(default)),
        Kind::Size { default: None, .. } | Kind::Cap { .. } | Kind::TimeCap { .. } => {
            "`\"none\"`".to_owned()
        }
        Kind::Percent { default } => format!("`\"{default}%\"`"),
        Kind::Count { default, .. } => format!("`{default}`"),
        Kind::Flag { default } => format!("`{default}`"),
        Kind::Choice(choices) => format!("`{:?}`", choices.first().copied().unwrap_or_default()),
        Kind::Form(_, "") => "required".to_owned(),
        Kind::Form(_, default) if default.starts_with(['"', '[', '{']) => format!("`{default}`"),
        Kind::Form(_, default) => default.to_owned(),
        Kind::Switch { on: false, .. } => "`\"off\"`".to_owned(),
        Kind::Table(_) | Kind::Switch { .. } => "the defaults of its keys".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use toml::{Table, Value};

    use super::*;
    use crate::config::check_l4::elsewhere;
    use crate::config::{effective, load};

    const KEY: &str = "sticky.key = \"0123456789abcdef0123456789abcdef\"";
    const COMPARES: &str = "eject = { success_rate = {}, latency = {} }";
    const GUARDED: &str = "access.deny = \"10.0.0.1\"\nrate = { rate = \"1/s\" }";
    const MINIMAL: &str = include_str!("../../examples/minimal.toml");

    /// The table of a section in an effective configuration.
    fn find(file: &Table, section: Section) -> Value {
        let header = section.header().trim_matches(['[', ']']);
        let mut value = Value::Table(file.clone());
        for part in header.split('.') {
            value = match value {
                Value::Table(table) if part == "NAME" => table.values().next().unwrap().clone(),
                Value::Table(table) => table[part].clone(),
                other => panic!("{other} at {part} of {header}"),
            };
            if let Value::Array(items) = value {
                value = items[0].clone();
            }
        }
        value
    }

    #[test]
    fn the_defaults_of_the_manual_are_those_of_the_check() {
        let shown = |text: &str| {
            effective(&load(text, "minimal").unwrap().config).parse::<Table>().unwrap()
        };
        let file = shown(MINIMAL);
        // What is off by default: as little as it takes, then with its inner tables, too.
        let with = |pool: &str, listener: &str| {
            let text = format!("{MINIMAL}health = {{}}\n{KEY}\n{COMPARES}\n{pool}\n");
            let route = format!(
                "{listener}\n{GUARDED}\n[[route]]\n{GUARDED}\ncompress = {{}}\ncache = {{}}"
            );
            shown(&text.replacen("[[route]]", &route, 1))
        };
        let more = with("tls = {}", "tls.certificates = [{ chain = \"a\", key = \"b\" }]");
        let most = with(
            "tls.client_certificate = { chain = \"a\", key = \"b\" }",
            "hsts.max_age = \"1s\"\ntls = { certificates_dir = \"d\", client_auth.ca = \"c\" }",
        );
        let relaying = |more: &str| {
            let name = "proxy_protocol = { trusted = [\"10.0.0.1\"] }";
            let name = if more.contains("udp") { "" } else { name };
            shown(&format!(
                "[listener.db]\nbind = \"127.0.0.1:0\"\npool = \"db\"\n{more}\n{name}\n\
                 [pool.db]\nmembers = [\"10.0.0.1:1\"]\n"
            ))
        };
        let (tcp, udp) = (relaying("protocol = \"tcp\""), relaying("protocol = \"udp\""));
        let mut compared = 0;
        for section in Section::ALL.into_iter().filter(|section| *section != Section::Root) {
            let table = match section {
                // Not by default, and without a default.
                Section::Balance | Section::Passthrough => continue,
                Section::ProxyProtocol => find(&tcp, section),
                Section::Health
                | Section::Cache
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
                | Section::Compress => find(&more, section),
                Section::ClientCertificate | Section::ClientAuth | Section::Hsts => {
                    find(&most, section)
                }
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

    /// What makes a listener take the key, if it is not one of requests.
    fn spoken(key: &Key) -> String {
        match elsewhere(key) {
            Some(word) if key.name == "pool" => format!("protocol = \"{word}\""),
            Some(word) => format!("protocol = \"{word}\"\npool = \"api\""),
            None if key.example == "protocol = \"tcp\"" => "pool = \"api\"".to_owned(),
            None => String::new(),
        }
    }

    /// An example of a table of a route, or of one that listeners have as well.
    fn of_route(key: &Key) -> String {
        let line = key.example;
        match key.section {
            Section::ListenerAccess | Section::RouteAccess => {
                let table = format!("access = {{ {line}, deny = [\"10.0.0.1\"] }}");
                table.replace("], deny = [\"10.0.0.1\"]", "]")
            }
            Section::ListenerRate | Section::RouteRate if key.name == "rate" => {
                format!("rate = {{ {line} }}")
            }
            Section::ListenerRate | Section::RouteRate => {
                format!("rate = {{ rate = \"1/s\", {line} }}")
            }
            Section::Cache => format!("cache.{line}"),
            Section::Compress => format!("compress.{line}"),
            _ => format!("limits.{line}"),
        }
    }

    #[test]
    fn every_example_is_understood() {
        for key in Section::ALL.iter().flat_map(|section| section.keys()) {
            let line = key.example;
            let below = |table: &str| format!("{table}.{line}");
            let (in_listener, in_pool) = of_tls(key);
            let (listener, route, pool, member) = match key.section {
                Section::Root => continue,
                Section::Server | Section::CacheStore | Section::Limits => ("", "", "", ""),
                Section::Listener if key.name == "hsts" => (&*in_listener, "", "", ""),
                Section::Listener => (line, "", "", ""),
                Section::ListenerTimeouts => (&*below("timeouts"), "", "", ""),
                Section::ListenerLimits => (&*below("limits"), "", "", ""),
                Section::RouteLimits
                | Section::ListenerRate
                | Section::RouteRate
                | Section::RouteAccess
                | Section::Cache
                | Section::Compress => ("", &*of_route(key), "", ""),
                Section::ListenerAccess => (&*of_route(key), "", "", ""),
                Section::ProxyProtocol | Section::Passthrough => (&*below_http(key), "", "", ""),
                Section::Route => ("", line, "", ""),
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
                Section::Member => ("", "", "", line),
            };
            let alone = listener.len() + route.len() + pool.len() + member.len() == 0;
            let process = format!("{}\n{line}\n", key.section.header());
            let process = if alone { process } else { String::new() };
            let spoken = spoken(key);
            let silent = !spoken.is_empty() || listener.starts_with("passthrough");
            let unless = |written: &str, name: &str, other: &'static str| {
                if written.starts_with(name) { "" } else { other }
            };
            let bind = unless(listener, "bind", "bind = \"127.0.0.1:0\"");
            let to = unless(route, "pool", if silent { "" } else { "pool = \"api\"" });
            let header = if silent { "" } else { "[[route]]\n" };
            let address = unless(member, "address", "address = \"api.internal:80\"");
            let members = unless(pool, "members", "[[pool.api.members]]");
            let fields =
                if members.is_empty() { String::new() } else { format!("{address}\n{member}") };
            // A pool of backups only is a mistake.
            let fields = fields.replace(
                "backup = true",
                "backup = true\n[[pool.api.members]]\naddress = \"10.0.0.2:80\"",
            );
            let text = format!(
                "{process}[listener.web]\n{bind}\n{spoken}\n{listener}\n{header}{to}\n{route}\n\
                 [pool.api]\n{pool}\n{members}\n{fields}\n"
            );
            load(&text, key.name).unwrap_or_else(|report| panic!("{report}\n{text}"));
        }
    }
}
