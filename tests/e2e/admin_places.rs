//! Where the admin interface listens: TCP, Unix sockets, and places that others have.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};

use super::admin::{TCP, address, admin_text, expect_refusal, get};
use crate::support::proxy::{has_word, value_in};
use crate::support::system::Confinement;
use crate::support::{Client, Origin, PATIENCE, Setup, exchange, ok, run_to_end};

#[test]
fn the_next_process_takes_the_address_over_from_one_that_drains() {
    let (gate, hold) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (inside, held) = (Arc::clone(&gate), Arc::clone(&hold));
    let slow = Origin::serving(move |_| {
        inside.wait();
        held.wait();
        ok("slow")
    });
    let fast = Origin::saying("fast");
    for place in ["127.0.0.1:0", "unix:{directory}/admin.sock"] {
        let mut first = Setup::to(&[&slow]).server(format!("admin = \"{place}\"")).start();
        let taken = admin_text(&first);
        let mut client = Client::connect(first.address());
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        gate.wait();
        first.signal(libc::SIGTERM);
        let is_draining = |line: &str| line.contains("draining");
        first.log.wait(0, is_draining).expect("a drain");
        let second = Setup::to(&[&fast]).server(format!("admin = \"{taken}\"")).start();
        let waits = |line: &str| line.contains("waits for a process that is draining");
        assert!(second.log.wait(0, waits).is_some());
        assert_eq!(Client::connect(second.address()).get("/").text(), "fast");
        hold.wait();
        assert_eq!(client.answer().text(), "slow");
        assert_eq!(first.wait_exit(), Some(0));
        let listens =
            |line: &str| has_word(line, "interface") && value_in(line, "address") == Some(&taken);
        assert!(second.log.wait(0, |line| listens(line) && !waits(line)).is_some());
        match taken.strip_prefix("unix:") {
            None => assert_eq!(get(&second, "/stats")["counters"]["exchanges"]["total"], 1),
            Some(path) => {
                let request = "GET /readyz HTTP/1.0\r\n\r\n";
                assert!(ask_unix(path.as_ref(), request).contains("\"ready\":true"));
            }
        }
    }
}

/// Asks over a Unix socket; the whole answer.
fn ask_unix(path: &std::path::Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("connecting");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_unix_socket_is_private_replaced_when_stale_and_removed_at_the_end() {
    let origin = Origin::saying("a");
    let setup = || Setup::to(&[&origin]).server("admin = \"unix:{directory}/admin.sock\"");
    let mut proxy = setup().start();
    let path = proxy.directory().join("admin.sock");
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    // Any Host: no browser comes here.
    let answer = ask_unix(&path, "GET /livez HTTP/1.1\r\nHost: ringway\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"),
        "{answer}"
    );
    let answer = ask_unix(&path, "GET /livez HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");

    // Another process wants the same place.
    let config = proxy.directory().join("ringway.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let other = proxy.directory().join("other.toml");
    std::fs::write(&other, &text).unwrap();
    let arguments = ["run", "--config", other.to_str().unwrap()];
    let ended = run_to_end(&arguments, Confinement::default());
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("another process listens there"), "{}", ended.log);
    assert_eq!(ask_unix(&path, "GET /livez HTTP/1.0\r\n\r\n").split(' ').nth(1), Some("200"));

    // Killed, it leaves its file.
    proxy.signal(libc::SIGKILL);
    assert_eq!(proxy.wait_exit(), None);
    assert!(path.exists());
    let line = format!("admin = \"unix:{}\"", path.display());
    let mut second = Setup::to(&[&origin]).server(line).start();
    assert!(ask_unix(&path, "GET /livez HTTP/1.0\r\n\r\n").ends_with("ok\n"));
    second.signal(libc::SIGTERM);
    assert_eq!(second.wait_exit(), Some(0));
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    let ended = run_to_end(&arguments, Confinement::default());
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("a file that is no socket"), "{}", ended.log);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn tcp_addresses_in_use_are_refused_and_open_ones_warned_of() {
    let origin = Origin::saying("a");
    let proxy = Setup::to(&[&origin]).server("admin = \"0.0.0.0:0\"").start();
    let warned = |line: &String| line.contains("server.admin is not loopback");
    assert_eq!(proxy.log.all().iter().filter(|line| warned(line)).count(), 1);
    let here = SocketAddr::from(([127, 0, 0, 1], address(&proxy).port()));
    // By any address, but by no name.
    let ask = |host: &str| exchange(here, format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(ask("192.0.2.9:9901").status(), 200);
    expect_refusal(&ask("evil.example"), 403, "rebinding");
    let text = Setup::to(&[&origin]).server(format!("admin = \"{here}\"")).text();
    let config = proxy.directory().join("other.toml");
    std::fs::write(&config, text).unwrap();
    let arguments = ["run", "--config", config.to_str().unwrap()];
    let ended = run_to_end(&arguments, Confinement::default());
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    let words = format!("the admin interface cannot listen on {here}");
    assert!(ended.log.contains(&words), "{}", ended.log);
    let own = Setup::to(&[&origin]).server(TCP).start();
    assert!(!own.log.all().iter().any(warned));
}
