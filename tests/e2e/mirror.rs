//! Copies of requests for a second pool: what it gets, and that nobody notices what becomes of them.

use std::net::SocketAddr;

use crate::support::{Client, Member, Mode, Origin, Setup, answer_with, eventually, exchange};

fn setup(origin: &Origin, shadow: SocketAddr, mirror: &str) -> Setup {
    Setup::to(&[origin])
        .route(format!("mirror = {{ pool = \"shadow\"{mirror} }}"))
        .pool(format!("[pool.shadow]\nmembers = [\"{shadow}\"]\neject = \"off\""))
}

/// What both have in common of a request.
fn same(origin: &Origin, shadow: &Origin) -> bool {
    let all = |origin: &Origin| {
        let requests = origin.requests().into_iter();
        let mut all: Vec<_> = requests.map(|one| (one.head.raw.clone(), one.body)).collect();
        all.sort();
        all
    };
    all(origin) == all(shadow)
}

#[test]
fn a_second_pool_gets_the_same_and_its_answers_reach_nobody() {
    let origin = Origin::saying("hello");
    let shadow =
        Origin::serving(|_| answer_with("500 Shadow", &[("Set-Cookie", "a=b")], b"shadow"));
    let proxy = setup(&origin, shadow.address(), "").start();
    let mut client = Client::connect(proxy.address());
    let requests = [
        "GET /a?b=c HTTP/1.1\r\nHost: t\r\nCookie: a=b\r\nAuthorization: x\r\n\r\n".to_owned(),
        "POST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody".to_owned(),
        "POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            .to_owned(),
        format!("PUT /d HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n{}", "x".repeat(60_000)),
    ];
    for request in &requests {
        let answer = client.ask(request);
        assert_eq!((answer.head.status(), answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.head.get("set-cookie"), None);
    }
    proxy.wait_stat("mirrored", 4);
    assert!(same(&origin, &shadow), "{}\n---\n{}", origin.received(), shadow.received());
    proxy.wait_stat("mirrors_active", 0);
    let stats = proxy.stats();
    assert_eq!((stats.total("mirror_failed"), stats.total("mirror_dropped")), (0, 0));
    assert_eq!(stats.total("exchanges"), 4);
}

#[test]
fn the_member_is_named_by_its_own_name() {
    let (origin, shadow) = (Origin::saying("hello"), Origin::saying("shadow"));
    let proxy = setup(&origin, shadow.address(), "").route("host = \"member\"").start();
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "hello");
    proxy.wait_stat("mirrored", 1);
    let name = |origin: &Origin| origin.only_request().head.get("host").map(str::to_owned);
    assert_eq!(name(&origin), Some(origin.address().to_string()));
    assert_eq!(name(&shadow), Some(shadow.address().to_string()));
}

#[test]
fn nobody_notices_a_pool_that_fails() {
    let (origin, shadow) = (Origin::saying("hello"), Member::new("shadow"));
    let proxy = setup(&origin, shadow.address(), "").workers(1).start();
    let mut client = Client::connect(proxy.address());
    for (failed, mode) in (1..).zip([Mode::Reset, Mode::Refusing, Mode::Closing]) {
        shadow.turn(mode);
        assert_eq!(client.get("/").text(), "hello", "{mode:?}");
        proxy.wait_stat("mirror_failed", failed);
    }
    for (active, mode) in (1..).zip([Mode::Halting, Mode::Silent]) {
        shadow.turn(mode);
        assert_eq!(client.get("/").text(), "hello", "{mode:?}");
        proxy.wait_stat("mirrors_active", active);
    }
    // A pool that is silent holds no more copies than a worker may have.
    for _ in 0..300 {
        assert_eq!(client.get("/").text(), "hello");
    }
    let stats = proxy.stats();
    assert_eq!(stats.total("mirrors_active"), 256);
    assert_eq!(stats.total("mirror_dropped"), 302 - 256);
    shadow.turn(Mode::Reset);
    proxy.wait_stat("mirrors_active", 0);
    shadow.turn(Mode::Serving);
    assert_eq!(client.get("/").text(), "hello");
    proxy.wait_stat("mirrored", 1);
    assert_eq!(proxy.stats().total("retries"), 0);
}

#[test]
fn bodies_that_are_too_large_or_do_not_end_are_not_copied() {
    let (origin, shadow) = (Origin::saying("hello"), Origin::saying("shadow"));
    let proxy = setup(&origin, shadow.address(), ", body = \"1KiB\"").start();
    let mut client = Client::connect(proxy.address());
    let large = "x".repeat(100_000);
    for request in [
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n{large}"),
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1025\r\n\r\n{}", &large[..1025]),
        format!(
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{large}\r\n0\r\n\r\n"
        ),
    ] {
        assert_eq!(client.ask(request).text(), "hello");
    }
    let mut leaving = Client::connect(proxy.address());
    leaving.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    eventually("its body is on its way", || origin.received().ends_with("1\r\na\r\n"));
    drop(leaving);
    proxy.wait_stat("mirror_too_large", 4);
    let exact =
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1024\r\n\r\n{}", &large[..1024]);
    assert_eq!(client.ask(exact).text(), "hello");
    proxy.wait_stat("mirrored", 1);
    assert_eq!(shadow.only_request().body.len(), 1024);
}

#[test]
fn shares_and_upgrades() {
    let (origin, shadow) = (Origin::saying("hello"), Origin::saying("shadow"));
    let proxy = setup(&origin, shadow.address(), ", share = \"20%\"").workers(1).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..1000 {
        assert_eq!(client.get("/").text(), "hello");
    }
    proxy.wait_stat("mirrors_active", 0);
    let copied = proxy.stats().total("mirrored");
    // Twelve standard deviations.
    assert!((50..350).contains(&copied), "{copied}");
    let none = setup(&origin, shadow.address(), ", share = \"0%\"").start();
    assert_eq!(Client::connect(none.address()).get("/").text(), "hello");
    assert_eq!(none.stats().total("mirrored") + none.stats().total("mirrors_active"), 0);
    let all = setup(&origin, shadow.address(), "").start();
    let upgrade = "GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(exchange(all.address(), upgrade).text(), "hello");
    assert_eq!(all.stats().total("mirrored") + all.stats().total("mirrors_active"), 0);
}

#[test]
fn a_copy_of_what_auth_let_pass_has_what_it_says() {
    let (origin, shadow) = (Origin::saying("hello"), Origin::saying("shadow"));
    let door = Origin::serving(|request| match request.head.get("authorization") {
        Some(_) => answer_with("200 OK", &[("X-User", "ada")], b""),
        None => answer_with("401 Unauthorized", &[], b""),
    });
    let proxy = setup(&origin, shadow.address(), "")
        .route("auth.request = { pool = \"door\", timeout = \"60s\", copy = [\"X-User\"] }")
        .pool(format!("[pool.door]\nmembers = [\"{}\"]", door.address()))
        .start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").head.status(), 401);
    let text = "GET / HTTP/1.1\r\nHost: t\r\nX_User: root\r\nAuthorization: x\r\n\r\n";
    assert_eq!(client.ask(text).text(), "hello");
    proxy.wait_stat("mirrored", 1);
    assert_eq!(shadow.only_request().head.all("x-user"), ["ada"]);
    assert!(!shadow.received().contains("root"));
}
