//! The rules of the source tree, as a test: the order of layers, sizes, and what may be named where.
//! Every finding says `path:line` and what to do about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod tidy {
    pub(crate) mod fuzzing;
    pub(crate) mod layers;
    #[cfg(test)]
    mod refusals;
    pub(crate) mod rules;
    pub(crate) mod source;
}

use std::path::Path;
use tidy::source::{Source, tree};
use tidy::{fuzzing, layers, rules};

/// Everything that is compiled.
const ALL: [&str; 5] = ["src", "loadtest", "tests", "benches", "fuzz/fuzz_targets"];
/// `macro_rules!` hides code from readers and tools; the counters need one.
const MACROS: usize = 4;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_clean(folders: &[&str], rule: fn(&Source) -> Vec<String>) {
    let files = tree(root(), folders);
    assert!(!files.is_empty(), "no files in {folders:?}");
    let found: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn layers_import_downwards() {
    assert_clean(&["src"], layers::check);
}

#[test]
fn files_are_small_and_say_what_they_own() {
    assert_clean(&ALL, rules::shape);
}

#[test]
fn functions_are_short() {
    assert_clean(&ALL, rules::function_length);
}

#[test]
fn unsafe_is_confined_and_explained() {
    assert_clean(&["src", "loadtest"], rules::unsafe_code);
}

#[test]
fn names_stay_in_their_place() {
    assert_clean(&["src"], rules::kept_in_place);
}

#[test]
fn pure_parts_are_pure() {
    assert_clean(&["src"], rules::purity);
}

#[test]
fn nothing_is_left_for_later() {
    assert_clean(&["src"], rules::leftovers);
}

#[test]
fn macros_are_few() {
    let found: Vec<String> = tree(root(), &["src"]).iter().flat_map(rules::macros).collect();
    let places = found.join("\n");
    assert!(found.len() <= MACROS, "{} macro_rules!, {MACROS} allowed:\n{places}", found.len());
}

#[test]
fn fuzz_targets_are_run() {
    let found = fuzzing::check(root());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
