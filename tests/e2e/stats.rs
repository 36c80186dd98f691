//! The counters add up, over the workers and with each other.

use std::thread;

use crate::support::{Client, Origin, Setup, eventually, ok};

#[test]
fn counters_add_up() {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let proxy = Setup::to(&[&origin]).start();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(proxy.address());
                for number in 0..25 {
                    assert_eq!(client.get(&format!("/{number}")).status(), 200);
                }
            });
        }
    });
    proxy.wait_idle();
    let stats = proxy.stats();
    assert_eq!(stats.total("accepts"), 8);
    assert_eq!(stats.total("exchanges"), 200);
    assert_eq!(stats.total("upstream_opens") + stats.total("upstream_reuses"), 200);
    assert_eq!(stats.total("upstream_opens"), i64::try_from(origin.connections()).unwrap());
    assert_eq!(stats.total("panics"), 0);
    assert_eq!(stats.total("tunnels"), 0);
    assert_eq!(stats.total("access_log_dropped"), 0);
    // The runtime's own numbers are taken over from time to time.
    eventually("completions are counted", || proxy.stats().total("completions") > 0);
    for name in stats.names() {
        let workers = stats.workers(name);
        assert_eq!(workers.len(), 2, "{name}");
        assert_eq!(workers.iter().sum::<i64>(), stats.total(name), "{name}");
    }
    let errors = stats.names().filter(|name| name.starts_with("error_"));
    assert_eq!(errors.map(|name| stats.total(name)).sum::<i64>(), 0);
}

#[test]
fn errors_are_counted_by_side_and_reason() {
    let origin = Origin::blurting("garbage\r\n\r\n");
    let proxy = Setup::to(&[&origin]).route("path = \"/here\"").start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        client.get("/there").expect_error(404, "route", "no_route");
        client.get("/here").expect_error(502, "member", "bad_head");
    }
    client.ask("bad\r\n\r\n").expect_error(400, "client", "bad_head");
    let stats = proxy.stats();
    let errors = stats.names().filter(|name| name.starts_with("error_"));
    let errors: Vec<_> = errors.map(|name| (name, stats.total(name))).collect();
    let expected =
        [("error_client_bad_head", 1), ("error_member_bad_head", 2), ("error_route_no_route", 2)];
    assert_eq!(errors, expected);
}

#[test]
fn bytes_are_counted_both_ways() {
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let body = "x".repeat(200_000);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.answer().body.len(), body.len());
    drop(client);
    proxy.wait_idle();
    let stats = proxy.stats();
    for name in ["bytes_in", "bytes_out"] {
        let bytes = stats.total(name);
        assert!((200_000..202_000).contains(&bytes), "{name} = {bytes}");
    }
}

#[test]
fn gauges_follow_what_is_open() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.wire.rest().map(drop)
    });
    let proxy = Setup::to(&[&origin]).start();
    let idle = Client::connect(proxy.address());
    let mut busy = Client::connect(proxy.address());
    busy.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    proxy.wait_stat("connections_active", 2);
    proxy.wait_stat("upstream_active", 1);
    drop(busy);
    proxy.wait_stat("upstream_active", 0);
    proxy.wait_stat("connections_active", 1);
    drop(idle);
    proxy.wait_idle();
}
