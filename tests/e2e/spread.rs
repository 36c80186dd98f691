//! Connections go where fewer of them are.

use crate::support::{Client, Origin, Proxy, Setup, eventually, ok};

/// Clients that the first worker serves: others are let go. Ends when `enough` says so of how many
/// there are.
fn gather(proxy: &Proxy, enough: impl Fn(usize) -> bool) -> Vec<Client> {
    let mut clients = Vec::new();
    // The kernel sends one in two to the first worker.
    for _ in 0..400 {
        if enough(clients.len()) {
            return clients;
        }
        let mut client = Client::connect(proxy.address());
        assert_eq!(client.get("/").text(), "/");
        let stats = proxy.stats();
        if stats.workers("connections_active")[1] == 0 {
            clients.push(client);
        } else {
            drop(client);
            eventually("it is gone", || proxy.stats().workers("connections_active")[1] == 0);
        }
    }
    panic!("never enough");
}

fn echo() -> Origin {
    Origin::serving(|request| ok(request.head.target()))
}

#[test]
fn a_new_connection_goes_to_the_worker_that_has_fewer() {
    let origin = echo();
    let proxy = Setup::to(&[&origin]).start();
    let clients = gather(&proxy, |_| proxy.stats().total("connections_moved") > 0);
    assert!(clients.len() >= 3, "few connections stay where they are: {}", clients.len());
    assert!(clients.len() <= 12, "{}", clients.len());
    drop(clients);
    eventually("all are gone", || proxy.stats().total("connections_active") == 0);
}

#[test]
fn workers_keep_their_connections_where_they_are_told_to() {
    let origin = echo();
    let proxy = Setup::to(&[&origin]).server("spread = false").start();
    let clients = gather(&proxy, |count| count == 24);
    let stats = proxy.stats();
    assert_eq!(stats.total("connections_moved"), 0);
    assert_eq!(stats.workers("connections_of_web"), [24, 0]);
    assert_eq!(stats.total("imbalance_percent_of_web"), 200);
    drop(clients);
}

/// Those of the first worker are left over when the others leave; they move while they are used.
#[test]
fn a_connection_in_use_moves_between_two_requests() {
    let origin = Origin::serving(|request| {
        let port = request.head.get("x-forwarded-port").unwrap_or_default();
        ok(format!("{} {port}", request.head.target()))
    });
    let mut proxy = Setup::to(&[&origin]).start();
    let mut clients: Vec<_> = (0..64).map(|_| Client::connect(proxy.address())).collect();
    let mut left = Vec::new();
    for mut client in clients.drain(..) {
        let before = proxy.stats().workers("exchanges")[0];
        client.get("/");
        if proxy.stats().workers("exchanges")[0] > before {
            left.push(client);
        }
    }
    // Now and then one of those that are left has moved already, as its worker had more to do.
    eventually("those of the other worker are gone", || {
        proxy.stats().total("connections_of_web") == left.len() as i64
    });
    assert!(left.len() > 16, "both had some: {}", left.len());
    let port = proxy.address().port();
    eventually("some have moved", || {
        for client in &mut left {
            assert_eq!(client.get("/a").text(), format!("/a {port}"));
        }
        proxy.stats().workers("connections_of_web")[1] > 2
    });
    let stats = proxy.stats();
    assert_eq!(stats.total("connections_of_web"), left.len() as i64);
    for client in &mut left {
        assert_eq!(client.get("/b").text(), format!("/b {port}"));
    }
    assert_eq!(proxy.stats().total("panics"), 0);
    proxy.signal(libc::SIGTERM);
    left.iter_mut().for_each(Client::expect_close);
    assert_eq!(proxy.wait_exit(), Some(0));
}
