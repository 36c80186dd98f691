//! Scenarios from their files to their verdicts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use loadtest::scenario::{self, run::Played};
use std::path::PathBuf;

/// A folder of this test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn play(folder: &Folder, text: &str) -> Played {
    let path = folder.0.join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    scenario::run::play(&scenario::read(&path).unwrap()).unwrap()
}

#[test]
fn a_member_that_stops_is_seen_where_it_should_be() {
    let folder = Folder::new("member");
    let played = play(
        &folder,
        r#"
        assert = [
            "errors == 0 in start..down-100ms",
            "answers > 10 in start..down-100ms",
            "errors > 0 in down..up",
            "answers == 0 in down+300ms..up-100ms",
            "answers > 10 in up+200ms..end",
            "errors == 0",
        ]
        [origin]
        members = 2
        [load]
        url = "http://member-1/100"
        rate = "200"
        connections = 8
        duration = "2s"
        [[event]]
        at = "500ms"
        name = "down"
        stop_member = 1
        [[event]]
        at = "1200ms"
        name = "up"
        start_member = 1
        "#,
    );
    let asserts = played.document["verdict"]["asserts"].as_array().unwrap();
    let held: Vec<bool> = asserts.iter().map(|one| one["held"].as_bool().unwrap()).collect();
    assert_eq!(held, [true, true, true, true, true, false], "{}", played.document);
    assert!(!played.held);
    assert_eq!(played.document["events"][1]["name"], "up");
}

#[test]
fn processes_commands_and_signals() {
    let folder = Folder::new("process");
    let text = |more: &str| {
        format!(
            r#"
            assert = ["errors == 0", "p99 < 20s"]
            [origin]
            [load]
            url = "http://member-0/"
            rate = "100"
            connections = 2
            duration = "300ms"
            [process.helper]
            command = "sh -c 'echo $$ > helper.pid; trap \"echo got > hup\" HUP; while :; do sleep 0.02; done'"
            [[event]]
            at = "50ms"
            run = 'test -n "$MEMBER_0" && while ! test -s helper.pid; do sleep 0.01; done'
            [[event]]
            at = "200ms"
            signal = "HUP"
            pidfile = "helper.pid"
            {more}
            "#
        )
    };
    let played = play(&folder, &text(""));
    assert!(played.held, "{}", played.document);
    let text_of = scenario::run::verdict(&played.document);
    assert!(text_of.contains("verdict       all held"), "{text_of}");
    let played = play(&folder, &text("[[event]]\nat = \"10ms\"\nname = \"bad\"\nrun = \"exit 3\""));
    assert!(!played.held);
    let text_of = scenario::run::verdict(&played.document);
    assert!(text_of.contains("bad  FAILED: exit status: 3"), "{text_of}");
    assert!(text_of.contains("verdict       BROKEN"), "{text_of}");
    let played =
        play(&folder, &text("[[event]]\nat = \"10ms\"\nmay_fail = true\nrun = \"exit 3\""));
    assert!(played.held);
}
