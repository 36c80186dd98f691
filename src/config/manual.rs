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

A route matches a request if it applies to its listener, its host and its path, and if all its
conditions hold: `headers`, `cookies`, `query` and `clients`. Of the routes that match, the first of this order that
also allows the method takes the request:

1. by host: an exact host, then wildcards from the longest to the shortest, then routes without
   `hosts`;
2. then by path: an exact path, then prefixes from the longest to the shortest, then regular
   expressions, then routes without `path`;
3. then by their order in the file.

It follows that

- a host whose routes do not match the path leaves the request to the wildcards, and these to the
  routes without `hosts`;
- conditions put no route before another: of two routes with the same host and path the one with
  conditions must stand first in the file, and the other one takes what it leaves;
- a route that does not allow the method leaves the request to the next that matches. If none is
  left, the answer is 405, and its `Allow` has the methods of all routes that matched. If none
  matched in the first place, it is 404;
- `path = \"/*\"` is a prefix, the shortest, and as such comes before every regular expression of
  the same hosts. To catch what the others leave, give no `path`;
- `OPTIONS *` has no path: only a route without `path`, or with a regular expression that matches
  `*`, takes it.

Hosts are compared without case, without the port and without a final dot. Paths are compared in their normal form:
`%41` is `A`, `/a/../b` is `/b`; double slashes stay, unless the listener says `slashes = \"merge\"`. [Routing](routing.md)
has examples.
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
            // It opens that of routes.
            Kind::Switch { .. } if key.section == Section::Listener && key.name == "auth" => false,
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
        Section::Split => "One of the pools of a `split`.",
        Section::Redirect => "The table form of `redirect`.",
        Section::Respond => "The table form of `respond`: a fixed answer.",
        Section::Rewrite => "What `rewrite` takes.",
        Section::ListenerRate | Section::RouteRate => "One rate; there may be several, and a request must pass them all.",
        Section::Compress => "The table form of `compress`.",
        Section::Auth => "The table form of `auth`, of routes and of listeners.",
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
#[path = "manual_tests.rs"]
mod tests;
