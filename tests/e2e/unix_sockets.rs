//! Members at Unix sockets.

use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::proxy::{Directory, value_in, wait_lines};
use crate::support::{Client, Origin, Setup, answer_with, eventually, ok};

/// Above what is moved through buffers.
const LARGE: usize = 3 << 20;

fn member(path: &Path) -> String {
    format!("\"unix:{}\"", path.display())
}

fn echoing(path: &Path) -> Origin {
    Origin::at_path(path, |conn| {
        while let Some(request) = conn.request()? {
            let body = if request.head.method() == "GET" { b"here".to_vec() } else { request.body };
            conn.send(answer_with("200 OK", &[], &body))?;
        }
        Ok(())
    })
}

#[test]
fn it_serves_and_keeps_alive() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let origin = echoing(&path);
    let proxy = Setup::to_members(&[member(&path)])
        .server("access_log = \"{directory}/access.log\"")
        .route("host = \"member\"")
        .workers(1)
        .start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "here");
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.requests()[0].head.get("host"), Some("localhost"));
    let lines = wait_lines(&proxy.directory().join("access.log"), 3);
    let shown = format!("unix:{}", path.display());
    assert_eq!(value_in(&lines[0], "member"), Some(shown.as_str()));
    drop(client);
    proxy.wait_idle();
}

#[test]
fn large_bodies_pass_both_ways() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let _origin = echoing(&path);
    let proxy = Setup::to_members(&[member(&path)]).start();
    let body: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let head = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {LARGE}\r\n\r\n");
        let answer = client.ask([head.as_bytes(), &body].concat());
        assert!(answer.status() == 200 && answer.body == body, "{}", answer.body.len());
    }
    let chunk = format!("{LARGE:x}\r\n");
    let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let all = [head.as_bytes(), chunk.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    assert!(client.ask(all).body == body);
}

#[test]
fn a_body_until_close_passes() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let _origin = Origin::at_path(&path, |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\n")?;
        conn.send(vec![b'x'; LARGE])
    });
    let proxy = Setup::to_members(&[member(&path)]).start();
    let answer = Client::connect(proxy.address()).get("/");
    assert_eq!(answer.body.len(), LARGE);
}

#[test]
fn a_cut_answer_is_seen_as_cut() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let _origin = Origin::at_path(&path, |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let proxy = Setup::to_members(&[member(&path)]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (bytes, end) = client.rest();
    assert_eq!(end, crate::support::wire::End::Reset, "{}", String::from_utf8_lossy(&bytes));
    proxy.wait_stat("error_member_short_body", 1);
}

#[test]
fn without_a_socket_it_is_refused() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let proxy = Setup::to_members(&[member(&path)]).start();
    let mut client = Client::connect(proxy.address());
    client.get("/").expect_error(502, "member", "connect_refused");
    // A socket that nobody listens at any more.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    client.get("/").expect_error(502, "member", "connect_refused");
}

#[test]
fn another_member_takes_over() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let other = Origin::saying("other");
    let members = [member(&path), format!("\"{}\"", other.address())];
    let proxy = Setup::to_members(&members).workers(1).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..4 {
        assert_eq!(
            client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx").text(),
            "other"
        );
    }
    assert!(proxy.stats().total("retries") >= 1);
}

/// A socket that has room for one connection only, which is taken.
fn full(path: &Path) -> (Socket, UnixStream) {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let filler = UnixStream::connect(path).unwrap();
    (socket, filler)
}

#[test]
fn a_full_backlog_is_waited_for() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let (socket, _filler) = full(&path);
    let setup = Setup::to_members(&[member(&path)]);
    let proxy = setup.pool("timeouts = { connect = \"10s\" }").start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    proxy.wait_stat("upstream_active", 1);
    // The filler first.
    drop(socket.accept().unwrap());
    let (stream, _) = socket.accept().unwrap();
    let mut wire = crate::support::wire::Wire::new(std::os::fd::OwnedFd::from(stream).into());
    wire.head().unwrap().unwrap();
    wire.send(ok("at last")).unwrap();
    assert_eq!(client.answer().text(), "at last");
}

#[test]
fn a_full_backlog_is_waited_for_no_longer_than_for_any_connection() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let (_socket, _filler) = full(&path);
    let setup = Setup::to_members(&[member(&path)]);
    let proxy = setup.pool("timeouts = { connect = \"50ms\" }\nretry = \"off\"").start();
    let mut client = Client::connect(proxy.address());
    client.get("/").expect_error(504, "member", "connect_timeout");
}

#[test]
fn probes_reach_it() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let health = "health = { path = \"/up\", interval = \"150ms\", timeout = \"140ms\", rise = 1, start = \"down\" }";
    let proxy = Setup::to_members(&[member(&path)]).pool(health).start();
    let mut client = Client::connect(proxy.address());
    client.get("/").expect_error(503, "pool", "no_member");
    let origin = echoing(&path);
    eventually("it is in", || client.get("/").text() == "here");
    let probe = origin.requests().into_iter().find(|request| request.head.target() == "/up");
    assert_eq!(probe.expect("a probe").head.get("host"), Some("localhost"));
}

#[test]
fn a_tunnel_passes_through() {
    let directory = Directory::new();
    let path = directory.path().join("app.sock");
    let _origin = Origin::at_path(&path, |conn| {
        conn.expect_request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n",
        )?;
        let bytes = conn.wire.exactly(5)?;
        conn.send(bytes)
    });
    let proxy = Setup::to_members(&[member(&path)]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    client.send("hello");
    assert_eq!(client.rest().0, b"hello");
}
