//! The metrics: read by a parser that takes nothing but the text format 0.0.4.

use std::collections::{BTreeMap, BTreeSet};

use super::admin::address;
use crate::support::system::wait_asleep;
use crate::support::{Client, Origin, Proxy, Setup, exchange};

/// One family of metrics.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// By labels, in the order of their names.
    samples: BTreeMap<Vec<(String, String)>, f64>,
}

/// Strict: any line that the format does not know panics, and so does a family that comes in two
/// parts, a sample without its family, a series twice, and a counter that is not called so.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(!help.is_empty() && help.ends_with('.'), "{line}");
            let family = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} twice");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert_eq!(name, current, "TYPE follows HELP");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            let family = families.get_mut(name).unwrap();
            assert!(family.kind.is_empty() && family.samples.is_empty(), "{line}");
            kind.clone_into(&mut family.kind);
        } else {
            let (name, labels, value) = sample(line);
            assert_eq!(name, current, "a sample of another family");
            let family = families.get_mut(&name).unwrap();
            assert!(!family.kind.is_empty(), "{line}");
            assert!(family.samples.insert(labels, value).is_none(), "twice: {line}");
        }
    }
    families
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let name: String =
        line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    assert!(name.starts_with("ringway_"), "{line}");
    let mut rest = &line[name.len()..];
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(label.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            let (value, after) = quoted(after);
            labels.push((label.to_owned(), value));
            match after.as_bytes()[0] {
                b',' => rest = &after[1..],
                b'}' => {
                    rest = &after[1..];
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one space");
    assert!(!value.contains(' '), "no time: {line}");
    labels.sort();
    (name, labels, value.parse().expect("a number"))
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().expect("an escape").1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("an odd escape: {c}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}");
}

#[track_caller]
fn metrics(proxy: &Proxy) -> BTreeMap<String, Family> {
    // What it counts is to be counted.
    wait_asleep(proxy.pid());
    let answer = exchange(address(proxy), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status(), 200);
    let kind = Some("text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.head.get("content-type"), kind);
    parse(&answer.text())
}

fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
    let wanted = |sample: &Vec<(String, String)>| {
        labels.iter().all(|(k, v)| sample.iter().any(|(name, value)| name == k && value == v))
    };
    family.samples.iter().filter(|(sample, _)| wanted(sample)).map(|(_, value)| value).sum()
}

#[test]
fn every_line_is_of_the_format_and_every_counter_is_there() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let body = format!(
        "[[route]]\npath = \"/x\"\npool = \"first.pool\"\n[pool.\"first.pool\"]\nbalance = \"least-time\"\n\
         members = [{{ address = \"{}\", max_connections = 5 }}, {{ address = \"{}\", weight = 4 }}]\n",
        a.address(),
        b.address()
    );
    let proxy = Setup::with_body(body).server("admin = \"127.0.0.1:0\"").start();
    let mut client = Client::connect(proxy.address());
    for path in ["/x", "/x", "/x", "/y"] {
        client.get(path);
    }
    // Nothing of this may be seen again.
    client.ask("GET /evil\"label HTTP/1.1\r\nHost: evil.example\r\nUser-Agent: evil\r\n\r\n");
    let state = format!("/pools/first.pool/members/{}/state?state=drain", a.address());
    let drain = format!("POST {state} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(exchange(address(&proxy), drain).status(), 200);
    let families = metrics(&proxy);
    assert_eq!(value(&families, "ringway_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(value(&families, "ringway_draining", &[]), 0.0);
    for counter in ringway::stats::Counter::ALL {
        let suffix = if counter.is_gauge() { "" } else { "_total" };
        let family = &families[&format!("ringway_{}{suffix}", counter.name())];
        assert_eq!(family.help, counter.prose());
        let workers: BTreeSet<_> =
            family.samples.keys().map(|labels| labels[0].1.as_str()).collect();
        let expected: &[&str] = if counter.is_of_control() { &["control"] } else { &["0", "1"] };
        assert_eq!(workers.into_iter().collect::<Vec<_>>(), expected, "{}", counter.name());
    }
    let errors = &families["ringway_errors_total"];
    assert_eq!(errors.samples.len(), 2 * ringway::stats::Reason::COUNT);
    let no_route = [("side", "route"), ("reason", "no_route")];
    assert_eq!(value(&families, "ringway_errors_total", &no_route), 2.0);
    assert!(value(&families, "ringway_exchanges_total", &[]) >= 4.0);
    let (pool, at_a, at_b) =
        (("pool", "first.pool"), a.address().to_string(), b.address().to_string());
    for (name, member, expected) in [
        ("weight", &at_a, 1.0),
        ("weight", &at_b, 4.0),
        ("max_connections", &at_a, 5.0),
        ("slots_in_use", &at_a, 0.0),
        ("in_flight", &at_b, 0.0),
        ("barred", &at_a, 1.0),
        ("barred", &at_b, 0.0),
    ] {
        let name = format!("ringway_member_{name}");
        let family = &families[&name];
        assert_eq!(value(&families, &name, &[pool, ("member", member)]), expected, "{name}");
        let both = !name.ends_with("_connections") && !name.ends_with("_use");
        assert_eq!(family.samples.len(), 1 + usize::from(both), "{name}");
    }
    for (standing, expected) in [("in", 1.0), ("out", 0.0), ("trial", 0.0), ("drain", 1.0)] {
        let labels = [pool, ("standing", standing)];
        assert_eq!(value(&families, "ringway_member_standing", &labels), expected);
    }
    assert_eq!(value(&families, "ringway_pool_members_available", &[pool]), 1.0);
    assert_eq!(value(&families, "ringway_pool_waiting", &[pool]), 0.0);
    let labels = families.values().flat_map(|family| family.samples.keys().flatten());
    assert!(!labels.into_iter().any(|(_, value)| value.contains("evil")));
}
