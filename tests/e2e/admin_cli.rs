//! The commands that ask a running process: what they print, and their exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use super::admin::address;
use crate::support::system::{Confinement, confine};
use crate::support::{Client, Origin, Proxy, Setup, eventually};

fn ringway(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(args).stdin(Stdio::null()).output().expect("running ringway")
}

/// Runs a command that must end well; what it prints.
#[track_caller]
fn good(args: &[&str]) -> String {
    let output = ringway(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with `code` and say all of `words`.
#[track_caller]
fn bad(args: &[&str], code: i32, words: &[&str]) {
    let output = ringway(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

fn start(members: &[&Origin]) -> Proxy {
    Setup::to(members).server("admin = \"127.0.0.1:0\"").start()
}

#[test]
fn members_are_listed_and_moved() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let proxy = start(&[&a, &b]);
    let (admin, member) = (address(&proxy).to_string(), a.address().to_string());
    let to = ["--admin", admin.as_str()];
    let table = good(&["members", to[0], to[1]]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("POOL  MEMBER ") && lines[0].ends_with("LAST CHANGE"), "{table}");
    let row: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(row, ["main", &member, "1", "in", "ready", "-", "in", "0", "-", "-", "-"]);
    assert_eq!(good(&["members", "main", to[0], to[1]]), table);

    let said = good(&["drain", "main", &member, to[0], to[1]]);
    assert_eq!(said, format!("main {member} is now drain: standing drain, 0 in flight\n"));
    let again = good(&["drain", "main", &member, to[0], to[1]]);
    assert!(again.contains("was already drain"), "{again}");
    for _ in 0..6 {
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "b");
    }
    assert!(good(&["maintenance", "main", &member, to[0], to[1]]).contains("standing out"));
    let one = good(&["members", "main", &member, to[0], to[1]]);
    assert!(one.contains("drain to maintenance: an operator said so"), "{one}");
    assert!(one.ends_with("\nnothing was seen of it: no probe, no failed request\n"), "{one}");
    assert!(good(&["ready", "main", &member, to[0], to[1]]).contains("standing in"));
    let json = good(&["members", "main", &member, "--json", to[0], to[1]]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["address"], &json["admin"]), (&member.as_str().into(), &"ready".into()));

    bad(&["drain", "none", &member, to[0], to[1]], 1, &["there is no such pool"]);
    bad(&["drain", "main", "10.0.0.1:1", to[0], to[1]], 1, &["there is no such member"]);
    bad(&["members", "none", to[0], to[1]], 1, &["there is no such pool"]);
    bad(&["drain", "main"], 1, &["<ADDRESS>"]);
}

#[test]
fn counters_and_rates_are_printed() {
    let origin = Origin::saying("a");
    let proxy = start(&[&origin]);
    Client::connect(proxy.address()).get("/");
    let admin = address(&proxy).to_string();
    let text = good(&["stats", "--admin", &admin]);
    assert!(text.contains("stat exchanges total=1 ") && text.ends_with("stat end\n"), "{text}");
    let json = good(&["stats", "--json", "--admin", &admin]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["counters"]["exchanges"]["total"], 1);
    // Not on a terminal: once.
    let page = good(&["top", "--admin", &admin]);
    assert!(page.starts_with("ringway ") && !page.contains('\u{1b}'), "{page}");
    assert!(page.contains("\nWORKER  REQUESTS/s ") && page.contains("\nall "), "{page}");
    assert!(page.contains("\nmain        1/1          0        0\n"), "{page}");
}

#[test]
fn the_address_comes_from_the_configuration() {
    let origin = Origin::saying("a");
    let proxy = Setup::to(&[&origin]).server("admin = \"unix:{directory}/a.sock\"").start();
    let file = proxy.directory().join("ringway.toml");
    let config = file.to_str().unwrap();
    assert!(good(&["members", "--config", config]).contains(&origin.address().to_string()));
    let socket = format!("unix:{}/a.sock", proxy.directory().display());
    assert!(good(&["stats", "--admin", &socket]).ends_with("stat end\n"));

    let text = std::fs::read_to_string(&file).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("admin")).map(|l| format!("{l}\n")).collect();
    std::fs::write(&file, &without).unwrap();
    bad(&["stats", "--config", config], 1, &["does not set server.admin", "help: ", "--admin"]);
    std::fs::write(&file, without.replace("workers", "admin = \"127.0.0.1:0\"\nworkers")).unwrap();
    bad(&["stats", "--config", config], 1, &["port 0", "--admin IP:PORT"]);
    std::fs::write(&file, "[nonsense]\n").unwrap();
    bad(&["stats", "--config", config], 1, &["has mistakes: ringway check", "--admin"]);
    bad(&["top", "--config", "/no/such/file"], 1, &["cannot read /no/such/file", "--admin"]);
    bad(&["top", "--admin", "localhost:1"], 1, &["it is a name, not an IP address"]);
}

/// A child that ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_demo_has_an_admin_interface_and_says_where() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["demo", "--listen", "127.0.0.1:0"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    confine(&mut command, Confinement::default());
    let mut demo = Demo(command.spawn().expect("starting the demo"));
    let lines = BufReader::new(demo.0.stdout.take().expect("a pipe")).lines();
    let mut lines = lines.map(|line| line.expect("a line"));
    let line = lines.find(|line| line.contains("ringway members --admin ")).expect("advice");
    let admin = line.split_whitespace().nth(3).expect("an address").to_owned();
    // It prints first and starts then.
    let mut table = String::new();
    eventually("it answers", || {
        let output = ringway(&["members", "--admin", &admin]);
        table = String::from_utf8(output.stdout).unwrap();
        output.status.code() == Some(0)
    });
    let pools: Vec<_> = table.lines().skip(1).map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(pools, ["all", "all", "all", "red"]);
}

#[test]
fn a_process_that_cannot_be_reached_is_exit_code_2() {
    let (_socket, nobody) = crate::support::origin::refusing();
    bad(
        &["stats", "--admin", &nobody.to_string()],
        2,
        &["cannot reach the process at", "does it run"],
    );
    bad(&["members", "--admin", "unix:/no/such.sock"], 2, &["unix:/no/such.sock", "does it run"]);
    let stranger = Origin::saying("hello");
    let at = stranger.address().to_string();
    bad(&["members", "--admin", &at], 2, &["does not answer like ringway"]);
    let torn = Origin::blurting("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{");
    bad(&["members", "--admin", &torn.address().to_string()], 2, &["does not answer like ringway"]);
}
