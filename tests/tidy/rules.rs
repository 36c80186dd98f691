//! The rules for one file at a time. Each returns its findings as `path:line: what to do`.

use super::source::{Source, has_word, words};

const LINES_PER_FILE: usize = 500;
const LINES_PER_FUNCTION: usize = 70;
const LINES_PER_MODULE_DOC: usize = 12;

/// Parts of the library that take bytes and times as arguments and give values back.
const PURE: [&str; 9] = [
    "src/wire",
    "src/http",
    "src/balancer/selection",
    "src/balancer/selection.rs",
    "src/balancer/pool",
    "src/balancer/pool.rs",
    "src/balancer/retry.rs",
    "src/balancer/health",
    "src/balancer/health.rs",
];
/// What a pure part may not name, and what to do instead.
const IMPURE: [(&str, &str); 10] = [
    ("async", "no tasks here: the caller drives it"),
    ("await", "no tasks here: the caller drives it"),
    ("TcpStream", "no sockets here: take bytes, return values"),
    ("TcpListener", "no sockets here: take bytes, return values"),
    ("UdpSocket", "no sockets here: take bytes, return values"),
    ("UnixStream", "no sockets here: take bytes, return values"),
    ("SystemTime", "time is a parameter here: take a clock::Instant or a Duration"),
    ("clock::unix", "time is a parameter here: take it as an argument"),
    ("clock::now", "time is a parameter here: take it as an argument"),
    ("clock::coarse", "time is a parameter here: take it as an argument"),
];
/// Names that belong to certain places of the library.
const KEPT_IN: [(&str, &[&str]); 7] = [
    ("io_uring", &["src/net"]),
    ("rustls", &["src/net"]),
    ("tokio", &["src/control", "src/server"]),
    ("axum", &["src/control/admin"]),
    ("hyper", &["src/control/admin"]),
    ("Instant::now", &["src/clock.rs"]),
    ("SystemTime::now", &["src/clock.rs"]),
];

/// A file has a size one can read, and says what it owns.
pub(crate) fn shape(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.raw.len() > LINES_PER_FILE {
        let what = format!("{} lines, {LINES_PER_FILE} allowed: split it", source.raw.len());
        found.push(source.at(LINES_PER_FILE, &what));
    }
    if source.is_in("src") || source.is_in("loadtest/src") {
        let doc = source.raw.iter().take_while(|line| line.starts_with("//!")).count();
        if doc == 0 {
            found.push(source.at(0, "begin with `//!`: what the module owns and must not know"));
        }
        if doc > LINES_PER_MODULE_DOC {
            let what = format!("a module doc of {doc} lines, {LINES_PER_MODULE_DOC} allowed");
            found.push(source.at(LINES_PER_MODULE_DOC, &what));
        }
    }
    found
}

/// `unsafe` is confined, and each block or impl says why it is sound.
pub(crate) fn unsafe_code(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = 0;
    for (index, line) in source.code.iter().enumerate().filter(|(_, l)| has_word(l, "unsafe")) {
        seen += words(line, "unsafe").count();
        let allowed = source.is_in("src/net") || source.path == "src/clock.rs" && seen == 1;
        if !allowed {
            found.push(source.at(index, "`unsafe` belongs in src/net: call a safe function of it"));
        }
        let after = line.split("unsafe").nth(1).unwrap_or_default().trim_start();
        if (after.is_empty() || after.starts_with('{') || after.starts_with("impl"))
            && !explained(source, index)
        {
            found.push(source.at(index, "say above it why it is sound: `// SAFETY: ...`"));
        }
    }
    found
}

/// True if a `SAFETY:` comment stands directly above the statement that contains line `index`.
fn explained(source: &Source, index: usize) -> bool {
    for above in (0..=index).rev() {
        if source.raw[above].contains("SAFETY:") {
            return true;
        }
        let code = source.code[above].trim_end();
        let blank = source.raw[above].trim().is_empty();
        if above < index && (blank || code.ends_with([';', '{', '}'])) {
            return false;
        }
    }
    false
}

/// Names that are the business of one folder stay in it.
pub(crate) fn kept_in_place(source: &Source) -> Vec<String> {
    if !source.is_in("src") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, places) in KEPT_IN {
        if places.iter().any(|place| source.is_in(place)) {
            continue;
        }
        for (index, _) in source.code.iter().enumerate().filter(|(_, l)| has_word(l, name)) {
            let what = format!("`{name}` is named only in {}: go through it", places.join(", "));
            found.push(source.at(index, &what));
        }
    }
    found
}

/// Pure parts name no socket, no clock, no task.
pub(crate) fn purity(source: &Source) -> Vec<String> {
    if !PURE.iter().any(|place| source.is_in(place)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        for (name, instead) in IMPURE {
            if has_word(line, name) {
                found.push(source.at(index, &format!("`{name}`: {instead}")));
            }
        }
        if line.contains("std::time") && has_word(line, "Instant") {
            found.push(source.at(index, "time is a parameter here: take a clock::Instant"));
        }
    }
    found
}

/// Nothing is left for later in the tree: it is done, or it is in the issue tracker.
pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    if !source.is_in("src") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, (raw, code)) in source.raw.iter().zip(&source.code).enumerate() {
        for word in ["TODO", "FIXME", "XXX"] {
            if has_word(raw, word) {
                found.push(source.at(index, &format!("`{word}`: do it, or open an issue for it")));
            }
        }
        for call in ["todo!", "unimplemented!"] {
            if code.contains(call) {
                found.push(source.at(index, &format!("`{call}`: write it, or leave it out")));
            }
        }
    }
    found
}

/// The places where a macro is declared.
pub(crate) fn macros(source: &Source) -> Vec<String> {
    let lines = source.code.iter().enumerate();
    lines.filter(|(_, line)| has_word(line, "macro_rules")).map(|(i, _)| source.at(i, "")).collect()
}

/// A function fits on a screen. Counts from the line of `fn` to that of the closing brace.
pub(crate) fn function_length(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let Some(at) = words(line, "fn").next() else { continue };
        let name: String = line[at + 2..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() {
            continue; // the type `fn(...)`
        }
        let length = body_lines(&source.code[index..], at);
        if length > LINES_PER_FUNCTION {
            let what = format!(
                "`{name}` has {length} lines, {LINES_PER_FUNCTION} allowed: give a part of it a name"
            );
            found.push(source.at(index, &what));
        }
    }
    found
}

/// Lines from the first to the one that closes the function; 1 for a declaration without a body.
fn body_lines(lines: &[String], column: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_i32);
    for (index, line) in lines.iter().enumerate() {
        for c in line[if index == 0 { column } else { 0 }..].chars() {
            match c {
                '(' | '[' => others += 1,
                ')' | ']' => others -= 1,
                '{' => braces += 1,
                '}' if braces <= 1 => return index + 1,
                '}' => braces -= 1,
                ';' if braces == 0 && others == 0 => return 1,
                _ => {}
            }
        }
    }
    lines.len()
}
