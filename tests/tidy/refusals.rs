//! The checker checked: each rule refuses a bad snippet and lets a good one pass.

use super::rules;
use super::source::Source;

type Rule = fn(&Source) -> Vec<String>;

/// Asserts the lines (counted from 1) on which `rule` finds something.
fn check(rule: Rule, path: &str, text: &str, expected: &[usize]) {
    let found = rule(&Source::new(path, text));
    let lines: Vec<usize> = found
        .iter()
        .map(|finding| {
            let rest = finding.strip_prefix(path).and_then(|rest| rest.strip_prefix(':'));
            rest.and_then(|rest| rest.split(':').next()).and_then(|n| n.parse().ok()).unwrap()
        })
        .collect();
    assert_eq!(lines, expected, "{path}: {text}\n{found:?}");
}

#[test]
fn shape() {
    check(rules::shape, "src/a.rs", "//! Owns a.\n", &[]);
    check(rules::shape, "src/a.rs", "fn f() {}\n", &[1]);
    check(rules::shape, "tests/a.rs", "fn f() {}\n", &[]);
    check(rules::shape, "src/a.rs", &"//! x\n".repeat(13), &[13]);
    check(rules::shape, "tests/a.rs", &"\n".repeat(500), &[]);
    check(rules::shape, "tests/a.rs", &"\n".repeat(501), &[501]);
}

#[test]
fn unsafe_code() {
    let rule = rules::unsafe_code;
    check(rule, "src/http/a.rs", "// SAFETY: no.\nunsafe { f() }", &[2]);
    check(rule, "loadtest/src/a.rs", "// SAFETY: no.\nunsafe { f() }", &[2]);
    check(rule, "src/net/a.rs", "// SAFETY: f is sound.\nlet a =\n    unsafe { f() };", &[]);
    check(rule, "src/net/a.rs", "g();\nlet a = unsafe { f() };", &[2]);
    check(rule, "src/net/a.rs", "// SAFETY: old.\ng();\n\nunsafe { f() }", &[4]);
    check(rule, "src/net/a.rs", "unsafe impl Send for A {}", &[1]);
    check(rule, "src/net/a.rs", "#[allow(unsafe_code)] // unsafe\nfn f() {}", &[]);
    check(rule, "src/clock.rs", "// SAFETY: yes.\nunsafe { f() }\n", &[]);
    check(rule, "src/clock.rs", "// SAFETY: a\nunsafe { f() }\n// SAFETY: b\nunsafe { f() }", &[4]);
}

#[test]
fn kept_in_place() {
    let rule = rules::kept_in_place;
    check(rule, "src/net/a.rs", "use io_uring::IoUring;", &[]);
    check(rule, "src/proxy/a.rs", "use io_uring::IoUring;", &[1]);
    check(rule, "src/netting.rs", "use io_uring::IoUring;", &[1]);
    check(rule, "src/control/a.rs", "use tokio::time;", &[]);
    check(rule, "src/net/a.rs", "use tokio::time;", &[1]);
    check(rule, "src/clock.rs", "SystemTime::now()", &[]);
    check(rule, "src/net/a.rs", "let a = std::time::Instant::now();", &[1]);
    check(rule, "tests/a.rs", "let a = std::time::Instant::now();", &[]);
}

#[test]
fn purity() {
    let rule = rules::purity;
    check(rule, "src/http/a.rs", "use std::net::IpAddr;\nuse crate::clock::Instant;", &[]);
    check(rule, "src/http/a.rs", "use std::net::TcpStream;", &[1]);
    check(rule, "src/http/a.rs", "async fn f() {\n    g().await\n}", &[1, 2]);
    check(
        rule,
        "src/http/a.rs",
        "let t = clock::now();\nuse std::time::{Duration, Instant};",
        &[1, 2],
    );
    check(rule, "src/balancer/selection/a.rs", "crate::clock::coarse()", &[1]);
    check(rule, "src/proxy/a.rs", "async fn f() {}", &[]);
}

#[test]
fn leftovers() {
    let rule = rules::leftovers;
    check(rule, "src/a.rs", "// TODO: later\nfn f() { todo!() }\n// FIXME\n// XXX", &[1, 2, 3, 4]);
    check(rule, "src/a.rs", "unimplemented!(\"x\")\n// \"todo!\" in a comment", &[1]);
    check(rule, "tests/a.rs", "// TODO", &[]);
}

#[test]
fn macros() {
    check(rules::macros, "src/a.rs", "macro_rules! m { () => {} }\n// macro_rules", &[1]);
}

#[test]
fn function_length() {
    let rule = rules::function_length;
    let body =
        |lines: usize| format!("fn f(a: [u8; 4]) {{\n{}}}\n", "    { g(\"}\"); }\n".repeat(lines));
    check(rule, "src/a.rs", &body(68), &[]);
    check(rule, "src/a.rs", &body(69), &[1]);
    let declaration = format!("trait T {{\n    fn f(a: [u8; 4]);\n}}\n{}", "\n".repeat(100));
    check(rule, "src/a.rs", &declaration, &[]);
    let nested = format!(
        "impl A {{\n    pub async fn f<F: Fn(u8)>(f: F) {{\n{}    }}\n}}",
        "g();\n".repeat(70)
    );
    check(rule, "src/a.rs", &nested, &[2]);
}
