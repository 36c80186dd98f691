//! What the documents say is there is there: links, files of the code map, configurations,
//! counters and reasons.
//!
//! `UPDATE_GOLDEN=1` writes `docs/counters.md` anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ringway::config::load;
use ringway::stats::{Counter, Reason};

/// A page that explains a code base must stay one that is read.
const ARCHITECTURE_LINES: usize = 360;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents, by path from the root: those at the top and those of `docs/`.
fn documents() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in ["", "docs/"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                paths.push(format!("{folder}{name}"));
            }
        }
    }
    paths.sort();
    assert!(paths.iter().any(|path| path == "README.md"), "{paths:?}");
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// The fenced blocks of a document: language and text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, block)), None) => _ = writeln!(block, "{line}"),
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block without an end");
    found
}

/// The document without its fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in text.lines() {
        let fence = line.starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            _ = writeln!(kept, "{line}");
        }
    }
    kept
}

/// The targets of the links of a document.
fn links(text: &str) -> Vec<String> {
    let parts = prose(text);
    let targets = parts.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchors of the headings of a document, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let parts = prose(text);
    let headings = parts.lines().filter(|line| line.starts_with('#'));
    let slug = |line: &str| -> String {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (path, text) in documents() {
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = root().join(&path).parent().unwrap().to_owned();
            let target = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            assert!(target.exists(), "{path}: {link}");
            if !anchor.is_empty() {
                let headings = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(headings.contains(anchor), "{path}: {link}: no such heading");
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn configurations_load() {
    let mut seen = 0;
    for (path, text) in documents() {
        for (language, block) in blocks(&text) {
            if language == "toml" && block.lines().any(|line| line.starts_with("[listener")) {
                // The manual shows most sections by themselves.
                if path == "docs/configuration.md" && !block.contains("[pool.") {
                    continue;
                }
                let checked = load(&block, &path).unwrap_or_else(|report| panic!("{report}"));
                assert_eq!(checked.warnings.to_string(), "", "{path}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// The files below a folder of the root, by path from the root.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap();
                found.insert(path.replace('\\', "/"));
            }
        }
    }
    found
}

/// The names of a code map: in backticks, below the heading `### src/...` that they belong to. A
/// name that ends in a slash stands for all files below it.
fn mapped(text: &str) -> BTreeSet<String> {
    let map = text.split("\n## Code map\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    for section in map.split("\n### src/").skip(1) {
        let section = section.split("\n### ").next().unwrap();
        let (folder, body) = section.split_once('\n').unwrap();
        for name in body.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") || name.ends_with('/') {
                found.insert(format!("src/{folder}{name}"));
            }
        }
    }
    found
}

#[test]
fn the_code_map_is_that_of_the_tree() {
    let text = read("ARCHITECTURE.md");
    let lines = text.lines().count();
    assert!(lines <= ARCHITECTURE_LINES, "{lines} lines, {ARCHITECTURE_LINES} allowed");
    let (mapped, there) = (mapped(&text), files("src"));
    let covers =
        |name: &str, file: &str| file == name || name.ends_with('/') && file.starts_with(name);
    for file in &there {
        assert!(mapped.iter().any(|name| covers(name, file)), "{file} is not in the code map");
    }
    for name in &mapped {
        assert!(
            there.iter().any(|file| covers(name, file)),
            "the code map names {name}: not there"
        );
    }
}

#[test]
fn paths_that_documents_name_exist() {
    for (path, text) in documents() {
        for name in prose(&text).split('`').skip(1).step_by(2) {
            let starts = ["src/", "tests/", "docs/", "scripts/", "benches/", "examples/"];
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
            if plain && starts.iter().any(|start| name.starts_with(start)) {
                assert!(root().join(name).exists(), "{path}: `{name}` is not there");
            }
        }
    }
}

/// `docs/counters.md`.
fn counters() -> String {
    let mut out = String::from(
        "\
# Counters

<!-- Written from the lists of the code; `UPDATE_GOLDEN=1 cargo test --test docs` renews it. -->

`kill -USR1 PID` writes all counters to the standard error, and `ringway stats` to the standard output, a line each,
ended by `stat end`:

```text
stat NAME total=N w0=N w1=N ...
```

`total` is the sum, `w0` the first worker. What the control thread counted is a last column
`control=N`, where it did. Every counter is listed; an error only once it happened. Gauges rise and
fall, everything else only grows, from the start of the process.

| name | counts |
|---|---|
",
    );
    for counter in Counter::ALL {
        _ = writeln!(out, "| `{}` | {} |", counter.name(), counter.prose());
    }
    out.push_str(
        "\n## Errors\n\nOne counter for each reason, named by side and reason; the access log has the \
         same word without `error_`. The\nstatus is what the client gets while no answer has begun; \
         without one there is nobody to answer.\n[What to do about each](operations.md#what-to-do-about-each-error).\
         \n\n| name | status | means |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let (side, code) = (reason.side().word(), reason.code());
        let status = match reason.status() {
            0 => "-".to_owned(),
            status => status.to_string(),
        };
        _ = writeln!(out, "| `error_{side}_{code}` | {status} | {} |", reason.prose());
    }
    out
}

#[test]
fn counters_are_those_of_the_code() {
    let path = root().join("docs/counters.md");
    let actual = counters();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} is stale: UPDATE_GOLDEN=1 renews it\n{actual}", path.display());
}

#[test]
fn operators_are_told_what_to_do_about_every_reason() {
    let text = read("docs/operations.md");
    let section = text.split("\n## What to do about each error\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: Vec<String> = rows.map(str::to_owned).collect();
    let word = |reason: &Reason| format!("{}_{}", reason.side().word(), reason.code());
    let all: Vec<String> = Reason::ALL.iter().map(word).collect();
    assert_eq!(told, all);
}
