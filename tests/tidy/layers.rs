//! The layer order: a file imports its own folder and folders further left.

use super::source::Source;

/// Lowest first.
pub(crate) const ORDER: [&str; 14] = [
    "clock", "ids", "rng", "wire", "http", "config", "stats", "net", "balancer", "proxy",
    "control", "server", "cli", "main",
];

/// Every mention of a layer above the file's own.
pub(crate) fn check(source: &Source) -> Vec<String> {
    if source.path == "src/lib.rs" {
        return declared_in_order(source);
    }
    let Some(own) = layer_of(&source.path) else { return Vec::new() };
    let Some(level) = rank(own) else {
        let what = format!("`{own}` is no layer: add it to ORDER in tests/tidy/layers.rs");
        return vec![source.at(0, &what)];
    };
    let mut found: Vec<_> = mentions(source)
        .into_iter()
        .filter_map(|(line, name)| {
            let above = rank(&name)?;
            let what = format!(
                "`{own}` may not use `{name}`, a layer above it: pass the value down, or move the code"
            );
            (above > level).then(|| source.at(line, &what))
        })
        .collect();
    found.extend(climbs(source));
    found
}

fn rank(name: &str) -> Option<usize> {
    ORDER.iter().position(|layer| *layer == name)
}

fn layer_of(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split('/').next()?.split('.').next()
}

/// `lib.rs` lists the layers in their order.
fn declared_in_order(source: &Source) -> Vec<String> {
    let mut highest = 0;
    let mut found = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let Some((_, name)) = line.split_once("mod ") else { continue };
        match rank(name.trim_end_matches(';').trim()) {
            Some(level) if level < highest => {
                found
                    .push(source.at(index, "modules stand in the order of the layers: move it up"));
            }
            Some(level) => highest = level,
            None => found.push(source.at(index, "no layer: see ORDER in tests/tidy/layers.rs")),
        }
    }
    found
}

/// The first name after each `crate::`, with the (0-based) line it stands on; a group
/// `crate::{a, b::c}` gives each of its members.
fn mentions(source: &Source) -> Vec<(usize, String)> {
    let text = source.code.join("\n");
    let mut found = Vec::new();
    for (at, path) in text.match_indices("crate::") {
        let start = at + path.len();
        let rest = &text[start..];
        if !rest.trim_start().starts_with('{') {
            found.push((line_of(&text, start), name_at(rest)));
            continue;
        }
        let mut depth = 0_usize;
        let mut expects_name = false;
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => (depth, expects_name) = (depth + 1, depth == 0),
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' => expects_name = depth == 1,
                _ if expects_name && !c.is_whitespace() => {
                    found.push((line_of(&text, start + offset), name_at(&rest[offset..])));
                    expects_name = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count()
}

fn name_at(rest: &str) -> String {
    rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Paths of `super::` that reach the root of the crate: they would hide a layer's name.
fn climbs(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut modules: Vec<bool> = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let inline = modules.iter().filter(|is_module| **is_module).count();
        let supers = longest_climb(line);
        if supers > 0 && supers >= depth_of(&source.path) + inline {
            found.push(
                source.at(index, "`super` reaches the crate's root: write `crate::` instead"),
            );
        }
        let opens_module = line.contains("mod ");
        for c in line.chars() {
            match c {
                '{' => modules.push(opens_module),
                '}' => drop(modules.pop()),
                _ => {}
            }
        }
    }
    found
}

/// How many modules deep the module of a file is: `src/http/parse.rs` is 2, `src/http/mod.rs` 1.
fn depth_of(path: &str) -> usize {
    path.split('/').filter(|part| !matches!(*part, "src" | "mod.rs")).count()
}

fn longest_climb(line: &str) -> usize {
    let mut longest = 0;
    for (at, _) in line.match_indices("super::") {
        let run = line[at..].split("::").take_while(|part| *part == "super").count();
        longest = longest.max(run);
    }
    longest
}

#[test]
fn upward_imports_are_refused() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        let found = check(&Source::new(path, text));
        let places: Vec<_> =
            found.iter().map(|line| line.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(places, expected, "{found:?}");
    };
    check("src/http/parse.rs", "use crate::clock::Instant;\nuse crate::http::Head;", &[]);
    check("src/http/parse.rs", "\nuse crate::net::Stream;", &["src/http/parse.rs:2"]);
    check("src/http/parse.rs", "fn f(x: &crate::proxy::Y) {}", &["src/http/parse.rs:1"]);
    check(
        "src/net/a.rs",
        "use crate::{\n  http::{a, server},\n  server::X,\n};",
        &["src/net/a.rs:3"],
    );
    check("src/ids.rs", "use crate::rng::Rng;", &["src/ids.rs:1"]);
    check("src/balancer/a.rs", "// crate::proxy\nlet a = \"crate::proxy\";", &[]);
    check("src/main.rs", "use crate::server::X;", &[]);
    check("src/odd/a.rs", "", &["src/odd/a.rs:1"]);
    check("src/http/parse.rs", "use super::super::net;", &["src/http/parse.rs:1"]);
    check("src/http/parse.rs", "use super::head;\nmod tests {\n use super::super::head;\n}", &[]);
    check("src/lib.rs", "pub mod clock;\npub mod net;\npub mod http;", &["src/lib.rs:3"]);
}
