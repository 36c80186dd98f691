//! The files of `examples/loadtest/` and the blocks of the manual are what they should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use loadtest::request::{Mix, read_mix};
use loadtest::scenario;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn examples_load() {
    let folder = root().join("examples/loadtest");
    let mix = read_mix(&folder.join("mix.toml")).unwrap();
    assert_eq!(Mix::new(&mix, "h", &folder).unwrap().requests().len(), 3);
    scenario::read(&folder.join("member-fails.toml")).unwrap();
}

#[test]
fn blocks_of_the_manual_load() {
    let manual = std::fs::read_to_string(root().join("docs/loadtest.md")).unwrap();
    let blocks: Vec<&str> =
        manual.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let folder = std::env::temp_dir().join(format!("loadtest-manual-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("block.toml");
    let (mut mixes, mut scenarios) = (0, 0);
    for block in blocks {
        std::fs::write(&path, block).unwrap();
        if block.contains("assert =") {
            scenario::read(&path).unwrap_or_else(|error| panic!("{error}\n{block}"));
            scenarios += 1;
        } else {
            read_mix(&path).unwrap_or_else(|error| panic!("{error}\n{block}"));
            mixes += 1;
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((mixes, scenarios), (1, 1));
}
