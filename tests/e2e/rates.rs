//! How often: rates of listeners and routes, over all workers; connections and requests per client.

use std::time::{Duration, Instant};

use super::access::client_at;
use crate::support::proxy::Proxy;
use crate::support::{Client, Origin, Setup, eventually, ok};

/// Nothing comes back within a test.
const HOURLY: &str = "rate = \"3/h\"";

fn get_with(field: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\n{field}\r\n\r\n")
}

/// The statuses of so many requests, each on a connection of its own, so that all workers have some.
fn statuses(proxy: &Proxy, last: u8, count: usize) -> Vec<u16> {
    (0..count).map(|_| client_at(last, proxy.address()).get("/").status()).collect()
}

#[test]
fn each_client_has_its_own_rate_over_all_workers() {
    let origin = Origin::saying("ok");
    let proxy =
        Setup::to(&[&origin]).listener(format!("rate = {{ {HOURLY}, burst = 20 }}")).start();
    for last in [5, 6] {
        let statuses = statuses(&proxy, last, 40);
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20);
        assert!(statuses[20..].iter().all(|status| *status == 429), "{statuses:?}");
    }
    let stats = proxy.stats();
    assert_eq!(stats.total("error_client_rate_limited"), 40);
    assert_eq!(stats.total("rule:listener.web.rate.0:passed"), 40);
    assert!(stats.workers("rule:listener.web.rate.0:refused").iter().all(|n| *n > 0));
    assert_eq!(origin.requests().len(), 40);
}

#[test]
fn a_refusal_says_when_to_come_again_and_keeps_the_connection() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener("rate = { rate = \"60/m\", burst = 1, fields = true }")
        .start();
    let mut client = Client::connect(proxy.address());
    let answer = client.get("/");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.get("ratelimit-policy"), Some("\"client\";q=60;w=60"));
    assert_eq!(answer.head.get("ratelimit"), Some("\"client\";r=0;t=1"));
    let mut answer = client.get("/");
    // Where a second has passed, it is let through.
    while answer.status() == 200 {
        answer = client.get("/");
    }
    answer.expect_error(429, "client", "rate_limited");
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    assert_eq!(answer.head.get("ratelimit"), Some("\"client\";r=0;t=1"));
    // It is true.
    eventually("a second passes", || client.get("/").status() == 200);
}

#[test]
fn a_route_has_rates_of_its_own_and_all_must_be_passed() {
    let origin = Origin::saying("ok");
    let body = format!(
        "[[route]]\npool = \"a\"\npath = \"/slow\"\n\
         rate = [{{ rate = \"5/h\", per = \"header:X-Key\" }}, {{ rate = \"8/h\", per = \"route\", status = 503 }}]\n\
         [[route]]\npool = \"a\"\n[pool.a]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).start();
    let mut client = Client::connect(proxy.address());
    let mut ask = |key: &str| {
        let answer = client.ask(format!("GET /slow HTTP/1.1\r\nHost: t\r\n{key}\r\n\r\n"));
        answer.status()
    };
    let mut asked = |key: &str, count: usize| (0..count).map(|_| ask(key)).collect::<Vec<_>>();
    assert_eq!(asked("X-Key: a", 6), [200, 200, 200, 200, 200, 429]);
    // The other key has three left of what the route has.
    assert_eq!(asked("x-key: b", 5), [200, 200, 200, 503, 503]);
    // Without a key it is the client's own.
    assert_eq!(asked("X-Other: a", 1), [503]);
    // The other route has none.
    assert!((0..10).all(|_| client.get("/").status() == 200));
}

#[test]
fn clients_may_be_counted_by_cookie_and_by_block() {
    let origin = Origin::saying("ok");
    let proxy =
        Setup::to(&[&origin]).route("rate = { rate = \"1/h\", per = \"cookie:sid\" }").start();
    let mut client = Client::connect(proxy.address());
    let mut ask = |cookie: &str| client.ask(get_with(cookie)).status();
    assert_eq!(ask("Cookie: a=b; sid=1"), 200);
    assert_eq!(ask("Cookie: sid=1"), 429);
    assert_eq!(ask("Cookie: sid=2"), 200);
    let trusted = "trusted_proxies = [\"127.0.0.1\"]";
    let proxy = Setup::to(&[&origin])
        .listener(trusted)
        .listener("rate = { rate = \"1/h\", per = \"client-net/24\" }")
        .start();
    let mut client = Client::connect(proxy.address());
    let mut ask =
        |address: &str| client.ask(get_with(&format!("X-Forwarded-For: {address}"))).status();
    assert_eq!(ask("192.0.2.1"), 200);
    assert_eq!(ask("192.0.2.200"), 429);
    assert_eq!(ask("192.0.3.1"), 200);
    assert_eq!(ask("2001:db8::1"), 200);
    assert_eq!(ask("2001:db8::ffff"), 429);
    assert_eq!(ask("2001:db8:0:1::1"), 200);
}

#[test]
fn a_delayed_request_comes_when_it_is_due() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener("rate = { rate = \"1/s\", burst = 4, mode = \"delay\" }")
        .start();
    let begin = Instant::now();
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let address = proxy.address();
            std::thread::spawn(move || Client::connect(address).get("/").status())
        })
        .collect();
    let mut statuses: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let took = begin.elapsed();
    statuses.sort_unstable();
    // Unless this machine needed a second to bring them, two are too many.
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused <= 2, "{statuses:?}");
    // The last of four that came together was due three seconds after the first.
    assert!(took >= Duration::from_secs(3) || refused < 2, "{took:?}");
    let delayed = proxy.stats().total("requests_delayed");
    assert_eq!(delayed, proxy.stats().total("rule:listener.web.rate.0:delayed"));
    assert!(delayed >= 3, "{delayed}");
}

#[test]
fn who_leaves_while_it_is_delayed_is_let_go() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener("rate = { rate = \"1/m\", burst = 1000, mode = \"delay\" }")
        .start();
    let mut first = Client::connect(proxy.address());
    assert_eq!(first.get("/").status(), 200);
    // A minute is more than anybody waits.
    first.get("/").expect_error(429, "client", "rate_limited");
    let proxy = Setup::to(&[&origin])
        .listener("rate = { rate = \"3/m\", burst = 3, mode = \"delay\" }")
        .start();
    let mut first = Client::connect(proxy.address());
    assert_eq!(first.get("/").status(), 200);
    first.send(get_with("X: y"));
    proxy.wait_stat("requests_delayed", 1);
    drop(first);
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("error_client_gone"), 1);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_dry_run_refuses_nobody() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("rate = { rate = \"1/h\", dry_run = true }").start();
    let mut client = Client::connect(proxy.address());
    assert!((0..4).all(|_| client.get("/").status() == 200));
    let stats = proxy.stats();
    assert_eq!(stats.total("rule:listener.web.rate.0:dry_run"), 3);
    assert_eq!(stats.total("dry_run_refusals"), 3);
    assert_eq!(stats.total("error_client_rate_limited"), 0);
}

#[test]
fn a_client_has_only_so_many_connections_over_all_workers() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener("limits.connections_per_client = 5")
        .listener("trusted_proxies = [\"127.0.0.3\"]")
        .start();
    let connect = |last: u8| {
        let mut client = client_at(last, proxy.address());
        // Refused ones see the end instead.
        client.send(get_with("X: y"));
        let answered = matches!(client.wire.head(), Ok(Some(_)));
        (client, answered)
    };
    for round in 0..3 {
        let mut held: Vec<_> = (0..5).map(|_| connect(5)).collect();
        assert!(held.iter().all(|(_, answered)| *answered), "round {round}");
        assert!((0..4).all(|_| !connect(5).1), "round {round}");
        // Another client has its own; those of a trusted proxy are of many.
        assert!(connect(6).1);
        let many: Vec<_> = (0..8).map(|_| connect(3)).collect();
        assert!(many.iter().all(|(_, answered)| *answered));
        drop(many);
        // One for one.
        held.pop();
        eventually("one is free", || {
            let (client, answered) = connect(5);
            held.push((client, answered));
            answered
        });
        assert!(!connect(5).1, "round {round}");
        drop(held);
        proxy.wait_idle();
    }
    assert!(proxy.stats().total("error_client_too_many_connections") >= 15);
}

#[test]
fn relayed_connections_are_counted_per_client_too() {
    let origin = Origin::scripted(|conn| {
        conn.send("hi")?;
        conn.wire.rest().map(|_| ())
    });
    let pool = format!("[pool.tcp]\nmembers = [\"{}\"]\n", origin.address());
    let proxy = Setup::with_body(pool)
        .listener("protocol = \"tcp\"\npool = \"tcp\"\nlimits.connections_per_client = 2")
        .start();
    let mut held: Vec<_> = (0..2).map(|_| client_at(5, proxy.address())).collect();
    for client in &mut held {
        assert_eq!(client.wire.exactly(2).unwrap(), b"hi");
    }
    assert_eq!(client_at(5, proxy.address()).rest().0, b"");
    assert_eq!(client_at(6, proxy.address()).wire.exactly(2).unwrap(), b"hi");
    drop(held);
    proxy.wait_idle();
    assert_eq!(client_at(5, proxy.address()).wire.exactly(2).unwrap(), b"hi");
}

#[test]
fn a_client_has_only_so_many_requests_under_way() {
    let origin = Origin::scripted(|conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() == "/held" {
                // Until the client leaves.
                conn.wire.rest().map(|_| ())?;
                return Ok(());
            }
            conn.send(ok("ok"))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).listener("limits.requests_per_client = 2").start();
    let mut held: Vec<_> = (0..2).map(|_| client_at(5, proxy.address())).collect();
    for client in &mut held {
        client.send("GET /held HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    proxy.wait_stat("upstream_active", 2);
    let mut third = client_at(5, proxy.address());
    let answer = third.get("/");
    answer.expect_error(429, "client", "too_many_requests");
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    assert_eq!(client_at(6, proxy.address()).get("/").status(), 200);
    drop(held);
    proxy.wait_stat("upstream_active", 0);
    for _ in 0..5 {
        assert_eq!(third.get("/").status(), 200);
    }
}

/// A connection that goes to another worker is still one of its client's, and given back there.
#[test]
fn a_connection_that_moves_takes_its_count_along() {
    const MOST: usize = 64;
    let origin = Origin::saying("ok");
    let proxy =
        Setup::to(&[&origin]).listener(format!("limits.connections_per_client = {MOST}")).start();
    let connect = || {
        let mut client = Client::connect(proxy.address());
        client.send(get_with("X: y"));
        let answered = matches!(client.wire.head(), Ok(Some(_)));
        answered.then(|| client.wire.exactly(2).map(|_| client).unwrap())
    };
    // Those of the first worker stay, so that some go to the second one when they ask again.
    let mut left = Vec::new();
    let others: Vec<_> = (0..MOST)
        .filter_map(|_| {
            let before = proxy.stats().workers("exchanges")[0];
            let client = connect().unwrap();
            let first = proxy.stats().workers("exchanges")[0] > before;
            if first {
                left.push(client);
                None
            } else {
                Some(client)
            }
        })
        .collect();
    assert!(connect().is_none());
    drop(others);
    proxy.wait_stat("connections_active", left.len() as i64);
    let before = proxy.stats().total("connections_moved");
    eventually("some have moved", || {
        left.iter_mut().for_each(|client| assert_eq!(client.get("/").status(), 200));
        proxy.stats().total("connections_moved") > before
    });
    while left.len() < MOST {
        left.push(connect().unwrap());
    }
    assert!(connect().is_none());
    drop(left);
    proxy.wait_idle();
    let again: Vec<_> = (0..MOST).map(|_| connect().unwrap()).collect();
    assert!(connect().is_none());
    drop(again);
}
