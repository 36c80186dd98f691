//! Idle connections to members: kept, bounded, let go in time, and never kept against their will.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use crate::support::{Client, Origin, Proxy, Setup, answer_with, eventually, ok};

#[track_caller]
fn ask_many(proxy: &Proxy, count: usize) {
    let mut client = Client::connect(proxy.address());
    for _ in 0..count {
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn a_thousand_requests_take_few_connections() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    ask_many(&proxy, 1000);
    assert_eq!(origin.connections(), 1);
    let stats = proxy.stats();
    assert_eq!(stats.total("upstream_opens"), 1);
    assert_eq!(stats.total("upstream_reuses"), 999);
}

#[test]
fn client_connections_share_what_is_idle() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    for _ in 0..50 {
        ask_many(&proxy, 1);
    }
    // One for each worker.
    assert!(origin.connections() <= 2, "{} connections", origin.connections());
}

#[test]
fn bodies_of_every_framing_leave_a_usable_connection() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/chunked" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n"
                .to_vec()
        }
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n".to_vec(),
        "/big" => ok(vec![b'.'; 300_000]),
        "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_vec(),
        _ => ok(&request.body),
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for path in ["/chunked", "/204", "/304", "/big", "/empty"] {
        client.get(path);
    }
    client.send("HEAD /head HTTP/1.1\r\nHost: t\r\n\r\n");
    client.answer_to("HEAD");
    let chunked = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(format!("{chunked}2\r\nhi\r\n0\r\nX: y\r\n\r\n")).text(), "hi");
    assert_eq!(origin.connections(), 1);
}

/// An origin may answer so fast that its answer and the news that the upload is through come
/// together. That is no early answer: both connections go on.
#[test]
fn a_fast_answer_to_an_upload_closes_nothing() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(proxy.address());
                for number in 0..1500 {
                    let answer = client.ask(format!("{head}3\r\nabc\r\n0\r\n\r\n"));
                    assert!(!answer.head.closes(), "closed after {number} uploads");
                }
            });
        }
    });
    assert!(origin.connections() <= 4, "{} connections", origin.connections());
}

#[test]
fn idle_zero_keeps_none() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).pool("keepalive = { idle = 0 }").start();
    ask_many(&proxy, 10);
    assert_eq!(origin.connections(), 10);
    assert_eq!(proxy.stats().total("upstream_reuses"), 0);
    origin.wait_all_closed();
}

#[test]
fn no_more_than_the_cap_are_kept() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).workers(1).pool("keepalive = { idle = 2 }").start();
    // Eight at the same time: a head without its body holds its upstream connection.
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(proxy.address())).collect();
    for client in &mut clients {
        client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nh");
    }
    eventually("all eight are upstream", || origin.connections() == 8);
    for client in &mut clients {
        assert_eq!(client.ask("i").text(), "ok");
    }
    eventually("two are kept", || origin.open() == 2);
    ask_many(&proxy, 20);
    assert_eq!(origin.connections(), 8);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).pool("keepalive = { idle_timeout = \"2s\" }").start();
    ask_many(&proxy, 3);
    assert_eq!(origin.connections(), 1);
    origin.wait_all_closed();
    ask_many(&proxy, 3);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_connection_serves_as_many_as_it_may() {
    for (max, connections) in [(1, 10), (3, 4), (10, 1)] {
        let origin = Origin::saying("ok");
        let pool = format!("keepalive = {{ max_requests = {max} }}");
        let proxy = Setup::to(&[&origin]).workers(1).pool(pool).start();
        ask_many(&proxy, 10);
        assert_eq!(origin.connections(), connections, "{max}");
        let stats = proxy.stats();
        assert_eq!(stats.total("upstream_retired"), 10 / max);
        assert_eq!(stats.total("upstream_stale") + stats.total("upstream_retries"), 0);
        eventually("only what is kept is open", || origin.open() == usize::from(10 % max > 0));
    }
}

#[test]
fn an_old_connection_is_not_kept() {
    let origin = Origin::saying("ok");
    let keepalive = "keepalive = { max_age = \"300ms\", idle_timeout = \"10m\" }";
    let proxy = Setup::to(&[&origin]).workers(1).pool(keepalive).start();
    ask_many(&proxy, 3);
    origin.wait_all_closed();
    let before = proxy.stats().total("upstream_retired");
    assert!((1..=3).contains(&before), "{before}");
    // One that is old before its exchange ends serves it all the same.
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).pool("keepalive = { max_age = \"1ms\" }").start();
    ask_many(&proxy, 5);
    assert_eq!(origin.connections(), 5);
    proxy.wait_stat("upstream_retired", 5);
    origin.wait_all_closed();
}

/// Connections to a member that is out are closed: those that are idle, and those whose exchange ends
/// later.
#[test]
fn a_member_that_is_out_keeps_no_connection() {
    let (open, door) = channel();
    let door = Mutex::new(door);
    let failing = Origin::owning(move |mut conn| {
        while let Some(request) = conn.request()? {
            match request.head.target() {
                "/fail" => {
                    conn.wire.reset();
                    return Ok(());
                }
                "/slow" => door.lock().expect("the door").recv().expect("to be opened"),
                _ => {}
            }
            conn.send(ok("ok"))?;
        }
        Ok(())
    });
    let other = Origin::saying("ok");
    let proxy = Setup::to(&[&failing, &other])
        .workers(1)
        .pool("eject = { failures = 1, for = \"10m\" }\nretry = \"off\"")
        .start();
    let (mut slow, mut client) =
        (Client::connect(proxy.address()), Client::connect(proxy.address()));
    slow.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it is there", || failing.requests().len() == 1);
    assert_eq!(client.get("/").text(), "ok");
    client.get("/fail").expect_error(502, "member", "reset");
    proxy.wait_stat("ejections", 1);
    open.send(()).expect("the door");
    assert_eq!(slow.answer().text(), "ok");
    failing.wait_all_closed();
    proxy.wait_stat("upstream_idle", 1);
}

#[test]
fn an_origin_that_says_close_is_believed() {
    let origin = Origin::scripted(|conn| {
        while conn.request()?.is_some() {
            // It says so and does not do so: it is the proxy that must not use it again.
            conn.send(answer_with("200 OK", &[("Connection", "close")], b"ok"))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    ask_many(&proxy, 10);
    assert_eq!(origin.connections(), 10);
    assert!(origin.requests().iter().all(|request| request.head.target() == "/"));
    origin.wait_all_closed();
}

#[test]
fn the_clients_connection_outlives_the_origins() {
    let origin = Origin::blurting(answer_with("200 OK", &[("Connection", "close")], b"ok"));
    let proxy = Setup::to(&[&origin]).start();
    ask_many(&proxy, 10);
    assert_eq!(proxy.stats().total("accepts"), 1);
}

#[test]
fn an_http_1_0_origin_is_served_by_one_connection_each() {
    let origin = Origin::scripted(|conn| {
        while conn.request()?.is_some() {
            conn.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    ask_many(&proxy, 5);
    assert_eq!(origin.connections(), 5);
}

#[test]
fn an_http_1_0_origin_may_close_to_end_its_body() {
    let origin = Origin::blurting("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nok");
    let proxy = Setup::to(&[&origin]).start();
    for _ in 0..5 {
        let answer = Client::connect(proxy.address()).get("/");
        assert_eq!(answer.head.start, "HTTP/1.1 200 OK");
        assert_eq!(answer.text(), "ok");
    }
}

#[test]
fn close_for_the_client_is_not_close_for_the_origin() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).workers(1).start();
    for _ in 0..10 {
        let mut client = Client::connect(proxy.address());
        client.ask("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        client.expect_close();
    }
    assert_eq!(origin.connections(), 1);
}
