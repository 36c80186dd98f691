//! Every fuzz target has its file and its corpus, and the smoke run knows it.

use std::fs;
use std::path::Path;

/// What is missing for the targets that `fuzz/Cargo.toml` declares below `root`.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    let smoke = fs::read_to_string(root.join("scripts/fuzz-smoke")).unwrap();
    let targets = targets(&manifest);
    assert!(!targets.is_empty(), "fuzz/Cargo.toml declares no target");
    let exists = |path: &str| root.join(path).exists();
    targets.iter().flat_map(|target| missing(target, &smoke, exists)).collect()
}

fn targets(manifest: &str) -> Vec<String> {
    let binaries = manifest.split("[[bin]]").skip(1);
    let name = |table: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix("name = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    binaries.filter_map(name).collect()
}

fn missing(target: &str, smoke: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in [format!("fuzz/fuzz_targets/{target}.rs"), format!("fuzz/corpus/{target}")] {
        if !exists(&path) {
            found.push(format!("{path}: missing, though fuzz/Cargo.toml declares `{target}`"));
        }
    }
    let listed = smoke
        .lines()
        .find_map(|line| line.strip_prefix("targets=("))
        .is_some_and(|list| list.trim_end_matches(')').split_whitespace().any(|t| t == target));
    if !listed {
        found.push(format!("scripts/fuzz-smoke: add `{target}` to its list of targets"));
    }
    found
}

#[test]
fn a_forgotten_target_is_found() {
    let manifest = "[package]\nname = \"fuzz\"\n[[bin]]\nname = \"a\"\n[[bin]]\nname = \"b\"\n";
    assert_eq!(targets(manifest), ["a", "b"]);
    let smoke = "targets=(a ab)\n";
    assert!(missing("a", smoke, |_| true).is_empty());
    assert_eq!(missing("b", smoke, |_| true).len(), 1);
    assert_eq!(missing("a", smoke, |path| path.ends_with(".rs")).len(), 1);
    assert_eq!(missing("a", "", |_| false).len(), 3);
}
