//! `protocol = "tcp"`: a connection goes to a member of the pool, and its bytes pass untouched.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::origin::{refusing, unanswering};
use crate::support::proxy::{value_in, wait_lines};
use crate::support::wire::{End, Wire};
use crate::support::{Client, Conn, Origin, PATIENCE, Proxy, Setup, eventually};

/// A listener that relays to these addresses.
fn relaying_to(members: &[SocketAddr], pool: &str) -> Setup {
    let members: Vec<_> = members.iter().map(|member| format!("\"{member}\"")).collect();
    let members = members.join(", ");
    Setup::with_body(format!("[pool.main]\nmembers = [{members}]\n{pool}\n"))
        .listener("protocol = \"tcp\"\npool = \"main\"")
}

fn relaying(origins: &[&Origin], pool: &str) -> Setup {
    let members: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
    relaying_to(&members, pool)
}

fn echo(conn: &mut Conn) -> io::Result<()> {
    loop {
        let part = conn.wire.some(1 << 20)?;
        conn.wire.send(part)?;
    }
}

/// An origin that says its name and then echoes.
fn named(name: &'static str) -> Origin {
    Origin::scripted(move |conn| {
        conn.send(name)?;
        echo(conn)
    })
}

/// How a connection that nobody speaks on ends: with what bytes, and by a reset or not. The reset may
/// be there before the connect returns.
fn fate(address: SocketAddr) -> (Vec<u8>, End) {
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => Wire::new(stream).rest().unwrap(),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (Vec::new(), End::Reset),
        Err(error) => panic!("connecting: {error}"),
    }
}

/// Bytes that do not repeat soon.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn pieces_of_every_size_pass_untouched() {
    let origin = Origin::scripted(echo);
    let proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    let all = noise(3 << 20);
    let sizes = [1, 2, 1000, 1535, 1536, 1537, 4096, 16_384, 65_535, 65_536, 65_537, 300_000];
    for size in sizes.into_iter().chain([1 << 20, 3 << 20, 1, 1536, 7]) {
        client.send(&all[..size]);
        assert!(client.wire.exactly(size).unwrap() == all[..size], "{size} bytes");
    }
    drop(client);
    proxy.wait_idle();
    let stats = proxy.stats();
    assert_eq!(stats.total("relays"), 1);
    assert_eq!(stats.total("bytes_in"), stats.total("bytes_out"));
    assert_eq!(stats.total("exchanges"), 0);
}

#[test]
fn much_passes_both_ways_at_the_same_time() {
    const SIZE: usize = 24 << 20;
    let origin = Origin::scripted(|conn| {
        let mut left = SIZE;
        while left > 0 {
            let part = conn.wire.some(left)?;
            left -= part.len();
            conn.send(part)?;
        }
        Ok(())
    });
    let proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    let mut writer = Wire::new(client.wire.stream().try_clone().unwrap());
    let block = noise(SIZE);
    thread::scope(|scope| {
        scope.spawn(|| writer.send(&block).unwrap());
        assert!(client.wire.exactly(SIZE).unwrap() == block, "the echo is not what was sent");
    });
    client.expect_close();
}

#[test]
fn a_member_may_speak_first() {
    let origin = named("220 ready\r\n");
    let proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.wire.exactly(11).unwrap(), b"220 ready\r\n");
}

#[test]
fn the_client_may_finish_first() {
    let origin = Origin::scripted(|conn| {
        let (bytes, end) = conn.wire.rest()?;
        assert_eq!((bytes.len(), end), (100_000, End::Clean));
        conn.send("the answer")
    });
    let proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    client.send(noise(100_000));
    client.wire.finish().unwrap();
    let (bytes, end) = client.rest();
    assert_eq!((bytes.as_slice(), end), (b"the answer".as_slice(), End::Clean));
    proxy.wait_idle();
}

#[test]
fn a_client_may_finish_without_a_word() {
    let origin = Origin::scripted(|conn| {
        assert_eq!(conn.wire.rest()?, (Vec::new(), End::Clean));
        conn.send("the time")
    });
    let proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    client.wire.finish().unwrap();
    assert_eq!(client.rest(), (b"the time".to_vec(), End::Clean));
}

#[test]
fn the_member_may_finish_first() {
    let origin = Origin::scripted(|conn| {
        conn.send("goodbye")?;
        conn.wire.finish()?;
        assert_eq!(conn.wire.rest()?, (b"last words".to_vec(), End::Clean));
        Ok(())
    });
    let proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.rest(), (b"goodbye".to_vec(), End::Clean));
    client.send("last words");
    client.wire.finish().unwrap();
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn a_clients_reset_reaches_the_member_as_one() {
    for size in [9, 200_000] {
        let origin = Origin::scripted(move |conn| {
            conn.wire.exactly(size)?;
            conn.send("seen")?;
            assert_eq!(conn.wire.rest()?.1, End::Reset);
            Ok(())
        });
        let proxy = relaying(&[&origin], "").start();
        let mut client = Client::connect(proxy.address());
        client.send(noise(size));
        client.wire.exactly(4).unwrap();
        client.wire.reset();
        origin.wait_all_closed();
        proxy.wait_idle();
        assert_eq!(proxy.stats().total("error_client_gone"), 1);
    }
}

#[test]
fn a_members_reset_reaches_the_client_as_one() {
    for size in [9, 200_000] {
        let origin = Origin::owning(move |mut conn| {
            conn.send(noise(size))?;
            conn.wire.exactly(4)?;
            conn.wire.reset();
            Ok(())
        });
        let proxy = relaying(&[&origin], "").start();
        let mut client = Client::connect(proxy.address());
        client.wire.exactly(size).unwrap();
        client.send("seen");
        assert_eq!(client.rest(), (Vec::new(), End::Reset));
        proxy.wait_idle();
        assert_eq!(proxy.stats().total("error_member_tunnel_reset"), 1);
    }
}

#[test]
fn a_member_that_refuses_is_passed_over() {
    let (_socket, refused) = refusing();
    let origin = named("here");
    let proxy = relaying_to(&[refused, origin.address()], "").workers(1).start();
    for _ in 0..8 {
        assert_eq!(Client::connect(proxy.address()).wire.exactly(4).unwrap(), b"here");
    }
    let stats = proxy.stats();
    assert!(stats.total("error_member_connect_refused") > 0);
    assert_eq!(stats.total("upstream_failovers"), stats.total("error_member_connect_refused"));
}

#[test]
fn a_member_that_does_not_answer_is_passed_over() {
    let (_socket, _fillers, silent) = unanswering();
    let origin = named("here");
    let pool = "timeouts = { connect = \"2s\" }\neject = { failures = 1 }";
    let proxy = relaying_to(&[silent, origin.address()], pool).workers(1).start();
    for _ in 0..4 {
        assert_eq!(Client::connect(proxy.address()).wire.exactly(4).unwrap(), b"here");
    }
    assert_eq!(proxy.stats().total("ejections"), 1);
}

#[test]
fn where_nobody_takes_it_the_connection_is_reset() {
    let (_socket, refused) = refusing();
    let proxy = relaying_to(&[refused], "").start();
    assert_eq!(fate(proxy.address()), (Vec::new(), End::Reset));
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("error_member_connect_refused"), 1);
    assert_eq!(proxy.stats().total("relays"), 0);
}

#[test]
fn retries_may_be_off() {
    let (_socket, refused) = refusing();
    let origin = Origin::scripted(|conn| conn.send("here"));
    let pool = "retry = \"off\"\neject = \"off\"";
    let proxy = relaying_to(&[refused, origin.address()], pool).workers(1).start();
    let mut fates = [fate(proxy.address()), fate(proxy.address())];
    fates.sort_by_key(|(bytes, _)| bytes.len());
    // In turn: one of two goes to the member that refuses.
    assert_eq!(fates, [(Vec::new(), End::Reset), (b"here".to_vec(), End::Clean)]);
}

#[test]
fn probes_take_a_member_out_and_bring_it_back() {
    let (socket, refused) = refusing();
    let origin = named("here");
    let pool = "health = { type = \"tcp\", interval = \"1s\", timeout = \"950ms\", fall = 1, rise = 1 }\n\
                eject = \"off\"\nretry = \"off\"";
    let proxy = relaying_to(&[refused, origin.address()], pool).start();
    proxy.wait_stat("members_out", 1);
    for _ in 0..6 {
        assert_eq!(Client::connect(proxy.address()).wire.exactly(4).unwrap(), b"here");
    }
    socket.listen(128).unwrap();
    proxy.wait_stat("members_out", 0);
}

#[test]
fn a_member_takes_no_more_than_it_may_and_others_wait() {
    let origin = named("here");
    let member = origin.address();
    let body = format!(
        "[pool.main]\nmembers = [{{ address = \"{member}\", max_connections = 1 }}]\n\
         queue = {{ length = 1, timeout = \"15s\" }}\n"
    );
    let proxy =
        Setup::with_body(body).listener("protocol = \"tcp\"\npool = \"main\"").workers(1).start();
    let mut first = Client::connect(proxy.address());
    first.wire.exactly(4).unwrap();
    let mut second = Client::connect(proxy.address());
    proxy.wait_stat("queue_waiting", 1);
    assert_eq!(fate(proxy.address()), (Vec::new(), End::Reset));
    assert_eq!(proxy.stats().total("error_pool_queue_full"), 1);
    assert_eq!(origin.connections(), 1);
    drop(first);
    assert_eq!(second.wire.exactly(4).unwrap(), b"here");
    let waiting = Client::connect(proxy.address());
    proxy.wait_stat("queue_waiting", 1);
    waiting.wire.reset();
    proxy.wait_stat("queue_waiting", 0);
}

#[test]
fn one_pool_serves_requests_and_connections() {
    let origin = Origin::saying("hello");
    let member = origin.address();
    let setup = Setup::with_body(format!(
        "[listener.raw]\nbind = \"127.0.0.1:0\"\nprotocol = \"tcp\"\npool = \"main\"\n\
         [[route]]\npool = \"main\"\n\
         [pool.main]\nmembers = [{{ address = \"{member}\", max_connections = 1 }}]\n\
         queue = {{ length = 0 }}\n"
    ));
    let proxy = setup.start();
    let raw = *proxy.listening("raw").first().unwrap();
    let mut relayed = Client::connect(raw);
    let answer = relayed.get("/raw");
    assert_eq!(answer.text(), "hello");
    // Nothing was added to what the client sent.
    assert_eq!(origin.requests()[0].head.get("x-forwarded-for"), None);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").status(), 503, "the one slot is taken by a connection");
    drop(relayed);
    eventually("the slot is free", || client.get("/").status() == 200);
}

#[test]
fn hashing_by_address_keeps_a_client_with_its_member() {
    let origins = [named("a"), named("b"), named("c")];
    let refs: Vec<_> = origins.iter().collect();
    let proxy = relaying(&refs, "balance = { hash = \"client-ip\" }").start();
    let names: Vec<_> =
        (0..12).map(|_| Client::connect(proxy.address()).wire.exactly(1).unwrap()).collect();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}

#[test]
fn an_idle_connection_is_closed() {
    let origin = Origin::scripted(|conn| {
        conn.send("x")?;
        conn.wire.rest().map(drop)
    });
    let proxy = relaying(&[&origin], "").listener("timeouts = { tunnel = \"2s\" }").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.rest(), (b"x".to_vec(), End::Clean));
    origin.wait_all_closed();
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("error_client_tunnel_idle"), 1);
}

#[test]
fn a_byte_either_way_keeps_a_connection_alive() {
    let origin = Origin::scripted(|conn| {
        for _ in 0..12 {
            thread::sleep(Duration::from_millis(400));
            conn.send("x")?;
        }
        conn.wire.rest().map(drop)
    });
    let proxy = relaying(&[&origin], "").listener("timeouts = { tunnel = \"3s\" }").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.wire.exactly(12).unwrap(), b"xxxxxxxxxxxx");
}

/// What a reader that has stopped costs, and how it ends.
#[test]
fn a_client_that_reads_nothing_costs_little_and_is_reset() {
    let origin = Origin::scripted(|conn| {
        let sent = conn.wire.send_until_stuck(1 << 30, Duration::from_millis(500))?;
        assert!(sent < 64 << 20, "{sent} bytes went to a reader that does not read");
        // The reset ends it.
        conn.wire.rest().map(drop)
    });
    let setup = relaying(&[&origin], "").listener("timeouts = { write = \"1s\" }");
    let proxy = setup.start();
    let before = proxy.resident();
    let mut client = Client::connect_narrow(proxy.address(), 8192);
    client.send("go");
    proxy.wait_stat("error_client_write_timeout", 1);
    let after = proxy.resident();
    assert!(after < before + (8 << 20), "{before} to {after} bytes resident");
    let end = loop {
        match client.wire.some(1 << 20) {
            Ok(_) => {}
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(end, io::ErrorKind::ConnectionReset);
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn a_member_that_reads_nothing_is_reset() {
    let origin = Origin::scripted(|conn| {
        eventually("the proxy has had enough", || {
            let mut byte = [0];
            matches!(conn.wire.stream().peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
                || conn.wire.stream().take_error().unwrap().is_some()
        });
        Ok(())
    });
    let proxy = relaying(&[&origin], "timeouts = { response = \"500ms\" }").start();
    let mut client = Client::connect(proxy.address());
    // The kernel's buffers take some of it.
    assert!(client.wire.send_until_stuck(1 << 28, Duration::from_secs(10)).is_err());
    proxy.wait_stat("error_member_write_timeout", 1);
    proxy.wait_idle();
}

#[test]
fn a_drain_lets_connections_end_by_themselves() {
    let origin = named("here");
    let mut proxy = relaying(&[&origin], "").start();
    let mut client = Client::connect(proxy.address());
    client.wire.exactly(4).unwrap();
    proxy.signal(libc::SIGTERM);
    eventually("nobody listens any more", || {
        TcpStream::connect_timeout(&proxy.address(), Duration::from_millis(100)).is_err()
    });
    for _ in 0..3 {
        client.send("still");
        assert_eq!(client.wire.exactly(5).unwrap(), b"still");
    }
    assert!(proxy.runs());
    drop(client);
    assert_eq!(proxy.wait_exit(), Some(0));
}

#[test]
fn a_drain_cuts_what_does_not_end() {
    let origin = named("here");
    let setup = relaying(&[&origin], "").server("drain_timeout = \"300ms\"");
    let mut proxy = setup.start();
    let mut client = Client::connect(proxy.address());
    client.wire.exactly(4).unwrap();
    proxy.signal(libc::SIGTERM);
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_exit(), Some(0));
}

fn logged(proxy: &Proxy) -> String {
    wait_lines(&proxy.directory().join("access.log"), 1)[0].clone()
}

#[test]
fn connections_are_logged() {
    for format in ["common", "json"] {
        let origin = Origin::scripted(|conn| {
            conn.wire.exactly(5)?;
            conn.send("answer")
        });
        let proxy = relaying(&[&origin], "")
            .server("access_log = \"{directory}/access.log\"")
            .server(format!("access_log_format = \"{format}\""))
            .start();
        let mut client = Client::connect(proxy.address());
        client.send("hello");
        client.rest();
        drop(client);
        let line = logged(&proxy);
        let member = origin.address().to_string();
        if format == "json" {
            assert!(line.contains("\"bytes\":6,\"received\":5,\"listener\":\"web\""), "{line}");
            assert!(line.contains(&format!("\"pool\":\"main\",\"member\":\"{member}\"")), "{line}");
        } else {
            assert!(line.contains("] \"-\" 0 6 \"-\" \"-\" host=\"-\" "), "{line}");
            let values = ["listener", "pool", "member", "reason", "in"]
                .map(|key| value_in(&line, key).unwrap_or_default().to_owned());
            assert_eq!(values, ["web", "main", member.as_str(), "-", "5"]);
        }
    }
}

#[test]
fn a_listener_takes_no_more_connections_than_it_may() {
    let origin = named("here");
    let proxy = relaying(&[&origin], "").listener("limits = { connections = 1 }").start();
    let mut first = Client::connect(proxy.address());
    first.wire.exactly(4).unwrap();
    Client::connect(proxy.address()).expect_end();
    assert_eq!(proxy.stats().total("connections_refused"), 1);
}
