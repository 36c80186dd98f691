//! A process that runs out of descriptors stops accepting for a while and serves on.

use std::net::TcpStream;

use crate::admin;
use crate::support::{Client, Origin, PATIENCE, Setup, eventually};

const FILES: u64 = 64;

#[test]
fn accepting_pauses_and_resumes() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).workers(1).files(FILES).start();
    let mut steady = Client::connect(proxy.address());
    assert_eq!(steady.get("/").text(), "ok");
    // More than can be accepted; the rest waits in the backlog.
    let crowd: Vec<_> = (0..2 * FILES)
        .map(|_| TcpStream::connect_timeout(&proxy.address(), PATIENCE).unwrap())
        .collect();
    eventually("accepting pauses", || proxy.stats().total("accept_pauses") > 0);
    let active = proxy.stats().total("connections_active");
    assert!(active < FILES.cast_signed(), "{active} connections within {FILES} descriptors");
    // Who is in, is served: its upstream connection is open already.
    for _ in 0..20 {
        assert_eq!(steady.get("/").text(), "ok");
    }
    drop(crowd);
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
    assert_eq!(steady.get("/").text(), "ok");
    drop(steady);
    proxy.wait_idle();
}

#[test]
fn a_request_that_needs_a_descriptor_too_many_is_answered() {
    let origin = Origin::saying("ok");
    // A connection is waited for as long as there is no descriptor for it.
    let pool = "keepalive = { idle = 0 }\ntimeouts.connect = \"1s\"";
    let proxy = Setup::to(&[&origin]).workers(1).files(FILES).pool(pool).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    let crowd: Vec<_> = (0..2 * FILES)
        .map(|_| TcpStream::connect_timeout(&proxy.address(), PATIENCE).unwrap())
        .collect();
    eventually("accepting pauses", || proxy.stats().total("accept_pauses") > 0);
    // The pause leaves none for an upstream connection, or has kept one back.
    let answer = client.get("/");
    match answer.status() {
        200 => assert_eq!(answer.text(), "ok"),
        _ => answer.expect_error(503, "proxy", "no_descriptors"),
    }
    drop(crowd);
    eventually("it recovers", || {
        let mut client = Client::connect(proxy.address());
        client.get("/").status() == 200
    });
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn many_workers_pause_and_resume_too() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).files(FILES).start();
    for _ in 0..3 {
        let crowd: Vec<_> = (0..2 * FILES)
            .map(|_| TcpStream::connect_timeout(&proxy.address(), PATIENCE).unwrap())
            .collect();
        let before = proxy.stats().total("accept_pauses");
        eventually("accepting pauses", || proxy.stats().total("accept_pauses") > before);
        drop(crowd);
        // Of the crowd some may still wait to be accepted, and take descriptors for a moment.
        eventually("it recovers", || Client::connect(proxy.address()).get("/").status() == 200);
        proxy.wait_idle();
    }
}

/// Whoever asks why there are none left is let in.
#[test]
fn the_admin_interface_has_descriptors_of_its_own() {
    let origin = Origin::saying("ok");
    let pool = "keepalive = { idle = 0 }";
    let proxy = Setup::to(&[&origin]).workers(1).files(FILES).pool(pool).server(admin::TCP).start();
    // Those who are in stay, whatever they are answered.
    let crowd: Vec<_> = (0..2 * FILES)
        .map(|_| {
            let mut client = Client::connect(proxy.address());
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
            client
        })
        .collect();
    eventually("accepting pauses", || proxy.stats().total("accept_pauses") > 0);
    for _ in 0..8 {
        let stats = admin::get(&proxy, "/stats");
        assert!(stats["counters"]["accept_pauses"]["total"].as_u64().unwrap() > 0);
    }
    drop(crowd);
}
