//! Which member gets a request.

use std::sync::{Arc, Condvar, Mutex};

use crate::support::origin::refusing;
use crate::support::{Client, Origin, PATIENCE, Proxy, Setup, eventually, ok};

/// The members of a pool with their weights, as TOML. Stands for the pool's short form.
fn weighted(members: &[(&Origin, u16)], balance: &str) -> Setup {
    let list: Vec<_> = members
        .iter()
        .map(|(origin, weight)| {
            format!("{{ address = \"{}\", weight = {weight} }}", origin.address())
        })
        .collect();
    Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\nbalance = \"{balance}\"\nmembers = [{}]\n",
        list.join(", ")
    ))
}

#[test]
fn round_robin_is_smooth_and_weighted() {
    let (a, b, c) = (Origin::saying("a"), Origin::saying("b"), Origin::saying("c"));
    let proxy = weighted(&[(&a, 5), (&b, 1), (&c, 1)], "round-robin").workers(1).start();
    let mut client = Client::connect(proxy.address());
    let order: String = (0..21).map(|_| client.get("/").text()).collect();
    assert_eq!(order, "aabacaa".repeat(3));
}

#[test]
fn round_robin_does_not_depend_on_the_connection() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let proxy = Setup::to(&[&a, &b]).workers(1).start();
    let order: String = (0..10).map(|_| Client::connect(proxy.address()).get("/").text()).collect();
    assert_eq!(order, "ababababab");
}

#[test]
fn weight_zero_gets_nothing() {
    for balance in ["round-robin", "least-connections"] {
        let (a, b) = (Origin::saying("a"), Origin::saying("b"));
        let proxy = weighted(&[(&a, 0), (&b, 1)], balance).start();
        let mut client = Client::connect(proxy.address());
        for _ in 0..10 {
            assert_eq!(client.get("/").text(), "b");
        }
        assert_eq!(a.connections(), 0);
    }
}

/// A door that holds every answer of an origin back.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        let (_open, result) = self.changed.wait_timeout_while(open, PATIENCE, |o| !*o).unwrap();
        assert!(!result.timed_out(), "the gate stays shut");
    }
}

fn gated(name: &'static str) -> (Origin, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let shared = Arc::clone(&gate);
    let origin = Origin::serving(move |_| {
        shared.pass();
        ok(name)
    });
    (origin, gate)
}

/// Sends `count` requests on connections of their own, each when the one before has arrived.
fn hold(proxy: &Proxy, origins: &[&Origin], count: usize) -> Vec<Client> {
    let arrived = || origins.iter().map(|origin| origin.requests().len()).sum::<usize>();
    (0..count)
        .map(|_| {
            let before = arrived();
            let mut client = Client::connect(proxy.address());
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
            eventually("the request arrives", || arrived() > before);
            client
        })
        .collect()
}

#[test]
fn least_connections_counts_over_all_workers() {
    let ((a, gate_a), (b, gate_b)) = (gated("a"), gated("b"));
    let proxy = weighted(&[(&a, 1), (&b, 1)], "least-connections").start();
    let held = hold(&proxy, &[&a, &b], 12);
    assert_eq!((a.requests().len(), b.requests().len()), (6, 6));
    assert_eq!(proxy.stats().total("upstream_active"), 12);
    // a is done with its six, b is not: the next six are a's.
    gate_a.set(true);
    proxy.wait_stat("upstream_active", 6);
    gate_a.set(false);
    let more = hold(&proxy, &[&a, &b], 6);
    assert_eq!((a.requests().len(), b.requests().len()), (12, 6));
    gate_a.set(true);
    gate_b.set(true);
    for mut client in held.into_iter().chain(more) {
        assert_eq!(client.answer().status(), 200);
    }
    proxy.wait_stat("upstream_active", 0);
}

#[test]
fn least_connections_weighs() {
    let ((a, gate_a), (b, gate_b)) = (gated("a"), gated("b"));
    let proxy = weighted(&[(&a, 2), (&b, 1)], "least-connections").start();
    let held = hold(&proxy, &[&a, &b], 12);
    assert_eq!((a.requests().len(), b.requests().len()), (8, 4));
    gate_a.set(true);
    gate_b.set(true);
    for mut client in held {
        assert_eq!(client.answer().status(), 200);
    }
}

#[test]
fn a_slow_member_gets_less() {
    let ((slow, gate), fast) = (gated("slow"), Origin::saying("fast"));
    let proxy = weighted(&[(&slow, 1), (&fast, 1)], "least-connections").start();
    let held = hold(&proxy, &[&slow, &fast], 2);
    // While slow holds one request everything goes to fast.
    let mut client = Client::connect(proxy.address());
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "fast");
    }
    gate.set(true);
    for mut client in held {
        assert_eq!(client.answer().status(), 200);
    }
}

#[test]
fn a_refused_connection_goes_to_another_member() {
    for balance in ["round-robin", "least-connections"] {
        let (_socket, down) = refusing();
        let good = Origin::serving(|request| ok(&request.body));
        let proxy = Setup::to_addresses(&[down, good.address()])
            .pool(format!("balance = \"{balance}\""))
            .start();
        let mut client = Client::connect(proxy.address());
        for _ in 0..5 {
            assert_eq!(client.get("/").status(), 200);
            // Not a byte of it was sent, so a POST may go elsewhere too.
            let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
            assert_eq!(client.ask(post).text(), "body");
            let chunked = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
            assert_eq!(client.ask(format!("{chunked}4\r\nbody\r\n0\r\n\r\n")).text(), "body");
        }
    }
}

#[test]
fn when_every_member_refuses_the_answer_is_502() {
    let (_first, one) = refusing();
    let (_second, two) = refusing();
    let proxy = Setup::to_addresses(&[one, two]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        client.get("/").expect_error(502, "member", "connect_refused");
    }
    proxy.wait_stat("upstream_active", 0);
}
