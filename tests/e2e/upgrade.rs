//! `Upgrade`: after a 101 the connection is a tunnel; without one it stays HTTP.

use std::thread;

use crate::support::wire::{End, Wire};
use crate::support::{Client, Conn, Origin, Setup, answer_with, ok};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

/// An origin that switches and then runs `tunnel` on the bytes.
fn switching<F>(tunnel: F) -> Origin
where
    F: Fn(&mut Wire) -> std::io::Result<()> + Send + Sync + 'static,
{
    Origin::scripted(move |conn: &mut Conn| {
        let head = conn.wire.head()?.expect("a request");
        assert_eq!(head.get("upgrade"), Some("websocket"), "{head:?}");
        let connection = head.get("connection").unwrap_or_default().to_ascii_lowercase();
        assert!(connection.split(',').any(|word| word.trim() == "upgrade"), "{head:?}");
        assert_eq!(head.get("sec-websocket-key"), Some("x"));
        conn.send(SWITCH)?;
        tunnel(&mut conn.wire)
    })
}

/// Asks for the tunnel and checks the 101.
fn tunnel_through(client: &mut Client) {
    client.send(ASK);
    expect_switch(client);
}

fn expect_switch(client: &mut Client) {
    let head = client.head();
    assert_eq!(head.status(), 101);
    assert_eq!(head.get("upgrade"), Some("websocket"));
    assert!(head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(head.get("sec-websocket-accept"), Some("y"));
}

#[test]
fn bytes_pass_both_ways_and_at_once() {
    let origin = switching(|wire| {
        for _ in 0..10 {
            let ping = wire.exactly(4)?;
            wire.send([b"re-", ping.as_slice()].concat())?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    for number in 0..10 {
        client.send(format!("p{number:03}"));
        assert_eq!(client.wire.exactly(7).unwrap(), format!("re-p{number:03}").as_bytes());
    }
    client.expect_close();
    assert_eq!(proxy.stats().total("tunnels"), 1);
    drop(client);
    proxy.wait_idle();
}

#[test]
fn bytes_right_behind_the_heads_are_not_lost() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.send(format!("{SWITCH}from the origin"))?;
        let got = conn.wire.exactly(15)?;
        conn.send([b"got ", got.as_slice()].concat())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send(format!("{ASK}from the client"));
    expect_switch(&mut client);
    let (bytes, end) = client.rest();
    assert_eq!(String::from_utf8_lossy(&bytes), "from the origingot from the client");
    assert_eq!(end, End::Clean);
}

#[test]
fn the_client_may_finish_first() {
    let origin = switching(|wire| {
        let (bytes, end) = wire.rest()?;
        assert_eq!((bytes.as_slice(), end), (b"question".as_slice(), End::Clean));
        wire.send("the answer")
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    client.send("question");
    client.wire.finish().unwrap();
    let (bytes, end) = client.rest();
    assert_eq!((bytes.as_slice(), end), (b"the answer".as_slice(), End::Clean));
    proxy.wait_idle();
}

#[test]
fn the_origin_may_finish_first() {
    let origin = switching(|wire| {
        wire.send("goodbye")?;
        wire.finish()?;
        let (bytes, end) = wire.rest()?;
        assert_eq!((bytes.as_slice(), end), (b"last words".as_slice(), End::Clean));
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    let (bytes, end) = client.rest();
    assert_eq!((bytes.as_slice(), end), (b"goodbye".as_slice(), End::Clean));
    client.send("last words");
    client.wire.finish().unwrap();
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn much_passes_both_ways_at_the_same_time() {
    const SIZE: usize = 8 << 20;
    let origin = switching(|wire| {
        let mut left = SIZE;
        while left > 0 {
            let part = wire.some(left)?;
            left -= part.len();
            wire.send(part)?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    let mut writer = Wire::new(client.wire.stream().try_clone().unwrap());
    let block: Vec<u8> = (0..SIZE / 256).flat_map(|_| 0..=255).collect();
    thread::scope(|scope| {
        scope.spawn(|| writer.send(&block).unwrap());
        assert!(client.wire.exactly(SIZE).unwrap() == block, "the echo is not what was sent");
    });
    client.expect_close();
}

#[test]
fn an_origin_may_refuse() {
    for (status, fields) in
        [("200 OK", [("X-A", "1")]), ("426 Upgrade Required", [("Upgrade", "y")])]
    {
        let origin = Origin::serving(move |request| match request.head.target() {
            "/chat" => answer_with(status, &fields, b"refused"),
            _ => ok("http goes on"),
        });
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(ASK);
        assert_eq!(answer.head.start, format!("HTTP/1.1 {status}"));
        assert_eq!(answer.text(), "refused");
        assert_eq!(client.get("/").text(), "http goes on");
        assert_eq!(proxy.stats().total("tunnels"), 0);
    }
}

#[test]
fn an_idle_tunnel_is_closed() {
    let origin = switching(|wire| wire.rest().map(drop));
    let proxy = Setup::to(&[&origin]).listener("timeouts = { tunnel = \"2s\" }").start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    client.expect_end();
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn a_client_that_leaves_ends_the_tunnel() {
    let origin = switching(|wire| wire.rest().map(drop));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    client.send("something");
    client.wire.reset();
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn an_origin_that_leaves_ends_the_tunnel() {
    let origin = Origin::owning(|mut conn| {
        conn.wire.head()?;
        conn.send(SWITCH)?;
        conn.wire.exactly(4)?;
        conn.wire.reset();
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    tunnel_through(&mut client);
    client.send("ping");
    client.expect_end();
    drop(client);
    proxy.wait_idle();
}

#[test]
fn upgrade_without_its_connection_option_is_not_passed_on() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.ask("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(origin.only_request().head.get("upgrade"), None);
}
