//! A service that is asked who may pass: what it is told, what its answers mean, and that nothing
//! passes without its word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::origin::{refusing, unanswering};
use crate::support::{
    Client, Member, Message, Mode, Origin, Proxy, Setup, answer_with, eventually, exchange, ok,
};

/// Says who comes, by the value of `Authorization`.
fn door() -> Origin {
    Origin::serving(|request| match request.head.get("authorization") {
        Some("ada") => answer_with(
            "200 OK",
            &[("X-User", "ada"), ("X-Groups", "a"), ("x-groups", "b"), ("X-Other", "1")],
            b"welcome",
        ),
        Some("eve") => answer_with("403 Forbidden", &[("X-Why", "eve")], b"no"),
        Some("new") => answer_with("302 Found", &[("Location", "https://login/")], b""),
        Some("odd") => answer_with("500 Oops", &[], b""),
        Some("made") => answer_with("204 No Content", &[], b""),
        _ => answer_with(
            "401 Unauthorized",
            &[
                ("WWW-Authenticate", "Bearer a"),
                ("www-authenticate", "Basic realm=\"b\""),
                ("Set-Cookie", "state=1"),
                ("X-Secret", "1"),
            ],
            b"who are you?",
        ),
    })
}

const RULES: &str = "path = \"/check?x=1\", copy = [\"X-User\", \"X-Groups\"]";

fn setup(origin: &Origin, door: SocketAddr, rules: &str, pool: &str) -> Setup {
    // Of which most tests are not.
    let timeout = if rules.contains("timeout = ") { "" } else { "timeout = \"60s\", " };
    Setup::to(&[origin])
        .route(format!("auth = {{ request = {{ pool = \"door\", {timeout}{rules} }} }}"))
        .pool(format!("[pool.door]\nmembers = [\"{door}\"]\n{pool}"))
}

fn get(fields: &str) -> String {
    format!("GET /a/../b?q=1 HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n")
}

fn ask(proxy: &Proxy, who: &str) -> Message {
    exchange(proxy.address(), get(&format!("Authorization: {who}\r\n")))
}

#[test]
fn what_the_service_is_told_and_what_members_learn() {
    let (origin, door) = (Origin::saying("hello"), door());
    let proxy = setup(&origin, door.address(), RULES, "").start();
    let fields = "Authorization: ada\r\nCookie: a=b\r\nX-Api-Key: secret\r\nContent-Type: x\r\n\
        X-Original-URI: /forged\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: 4\r\n";
    let body = format!("{}body", get(fields).replace("GET", "PUT"));
    assert_eq!(exchange(proxy.address(), body).text(), "hello");
    let asked = door.only_request();
    assert_eq!((asked.head.method(), asked.head.target()), ("GET", "/check?x=1"));
    assert_eq!(asked.body, b"");
    for (name, value) in [
        ("host", Some(door.address().to_string())),
        ("authorization", Some("ada".to_owned())),
        ("cookie", Some("a=b".to_owned())),
        ("x-api-key", None),
        ("content-type", None),
        ("content-length", None),
        ("transfer-encoding", None),
        ("x-original-method", Some("PUT".to_owned())),
        ("x-forwarded-method", Some("PUT".to_owned())),
        ("x-original-uri", Some("/b?q=1".to_owned())),
        ("x-forwarded-uri", Some("/b?q=1".to_owned())),
        ("x-original-host", Some("shop.test".to_owned())),
        ("x-forwarded-host", Some("shop.test".to_owned())),
        ("x-forwarded-for", Some("127.0.0.1".to_owned())),
        ("x-forwarded-proto", Some("http".to_owned())),
    ] {
        assert_eq!(asked.head.all(name), Vec::from_iter(value.as_deref()), "{name}");
    }
    let request = origin.only_request();
    assert_eq!(request.head.all("x-user"), ["ada"]);
    assert_eq!(request.head.all("x-groups"), ["a", "b"]);
    assert_eq!(request.head.get("x-other"), None);
    assert_eq!(request.head.get("authorization"), Some("ada"));
    assert_eq!(request.body, b"body");
}

#[test]
fn a_client_cannot_say_itself_who_it_is() {
    let (origin, door) = (Origin::saying("hello"), door());
    let spellings = ["X-User", "x-user", "X_USER", "X.User", "x_User", "X-uSER", "X~User"];
    let fields: String = spellings.iter().map(|name| format!("{name}: root\r\n")).collect();
    // Another route has no rules, and goes to the same member.
    let body = format!(
        "[[route]]\npool = \"main\"\nauth.request = {{ pool = \"door\", timeout = \"60s\", {RULES} }}\n\
         [[route]]\npath = \"/open\"\npool = \"main\"\n\
         [pool.main]\nmembers = [\"{}\"]\n[pool.door]\nmembers = [\"{}\"]\n",
        origin.address(),
        door.address()
    );
    let proxy = Setup::with_body(body).start();
    for who in ["ada", "made"] {
        let request = get(&format!("{fields}Authorization: {who}\r\nX-Users: 1\r\n"));
        assert_eq!(exchange(proxy.address(), request).text(), "hello");
    }
    let open = format!("GET /open HTTP/1.1\r\nHost: t\r\n{fields}X-Groups: root\r\n\r\n");
    assert_eq!(exchange(proxy.address(), open).text(), "hello");
    // In a trailer, which some take for a field of the head.
    let chunked = "POST /open HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\
        Trailer: X-User\r\n\r\n1\r\na\r\n0\r\nX-User: root\r\nX_Groups: root\r\n\r\n";
    assert_eq!(exchange(proxy.address(), chunked).text(), "hello");
    assert!(!origin.received().contains("root"), "{}", origin.received());
    let requests = origin.requests();
    assert_eq!(requests[0].head.all("x-user"), ["ada"]);
    assert_eq!(requests[0].head.get("x-users"), Some("1"));
    assert_eq!(requests[1].head.get("x-user"), None);
}

#[test]
fn refusals_reach_the_client_and_members_see_nothing() {
    let (origin, door) = (Origin::saying("hello"), door());
    let proxy = setup(&origin, door.address(), RULES, "").start();
    let unknown = exchange(proxy.address(), get(""));
    unknown.expect_error(401, "route", "auth_refused");
    assert_eq!(unknown.head.all("www-authenticate"), ["Bearer a", "Basic realm=\"b\""]);
    assert_eq!((unknown.head.get("set-cookie"), unknown.head.get("x-secret")), (None, None));
    ask(&proxy, "eve").expect_error(403, "route", "auth_forbidden");
    // Redirections were not allowed, and a 500 says nothing.
    ask(&proxy, "new").expect_error(502, "route", "auth_bad_answer");
    ask(&proxy, "odd").expect_error(502, "route", "auth_bad_answer");
    assert_eq!(origin.connections(), 0);
    let stats = proxy.stats();
    for (name, count) in [
        ("error_route_auth_refused", 1),
        ("error_route_auth_forbidden", 1),
        ("error_route_auth_bad_answer", 2),
        ("auth_requests", 4),
        ("auth_passed", 0),
    ] {
        assert_eq!(stats.total(name), count, "{name}");
    }
}

#[test]
fn a_login_page_and_what_else_may_go_with_a_refusal() {
    let (origin, door) = (Origin::saying("hello"), door());
    let rules = format!("{RULES}, redirects = true, pass = [\"Set-Cookie\", \"X-Why\"]");
    let proxy = setup(&origin, door.address(), &rules, "").start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let answer = client.ask(get("Authorization: new\r\n"));
        assert_eq!((answer.head.status(), answer.text().as_str()), (302, ""));
        assert_eq!(answer.head.get("location"), Some("https://login/"));
    }
    assert_eq!(client.ask(get("")).head.get("set-cookie"), Some("state=1"));
    assert_eq!(client.ask(get("Authorization: eve\r\n")).head.get("x-why"), Some("eve"));
    assert_eq!(client.ask(get("Authorization: ada\r\n")).text(), "hello");
    let stats = proxy.stats();
    assert_eq!((stats.total("auth_redirects"), stats.total("error_route_auth_refused")), (2, 1));
    // All on kept-alive connections.
    assert_eq!((door.connections(), origin.connections()), (1, 1));
}

#[test]
fn nothing_passes_while_the_service_is_down() {
    let origin = Origin::saying("hello");
    let door = Member::new("door");
    let rules = "timeout = \"2s\"";
    let proxy = setup(&origin, door.address(), rules, "eject = \"off\"").start();
    assert_eq!(ask(&proxy, "x").text(), "hello");
    let modes = [
        Mode::Reset,
        Mode::Refusing,
        Mode::Silent,
        Mode::Unaccepting,
        Mode::Halting,
        Mode::Closing,
        Mode::Blackholed,
    ];
    for mode in modes {
        door.turn(mode);
        ask(&proxy, "x").expect_error(503, "route", "auth_down");
    }
    door.turn(Mode::Serving);
    assert_eq!(ask(&proxy, "x").text(), "hello");
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(proxy.stats().total("error_route_auth_down"), modes.len() as i64);
}

#[test]
fn nothing_passes_by_garbage() {
    let origin = Origin::saying("hello");
    for (garbage, status, code) in [
        ("HTTP/1.1 200\nOK\n\n", 503, "auth_down"),
        ("HTTP/2 200 OK\r\n\r\n", 503, "auth_down"),
        ("200 OK", 503, "auth_down"),
        ("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 503, "auth_down"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 503, "auth_down"),
        ("HTTP/1.1 100 Continue\r\n\r\n", 503, "auth_down"),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 502, "auth_bad_answer"),
        ("HTTP/1.1 407 Proxy\r\nContent-Length: 0\r\n\r\n", 502, "auth_bad_answer"),
    ] {
        let door = Origin::blurting(garbage);
        let pool = "retry = \"off\"\neject = \"off\"";
        let proxy = setup(&origin, door.address(), "copy = [\"X-User\"]", pool).start();
        ask(&proxy, "x").expect_error(status, "route", code);
    }
    // What its head says counts, whatever its body is like.
    let door =
        Origin::blurting("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-User: a\r\n\r\nzz");
    let proxy = setup(&origin, door.address(), "copy = [\"X-User\"]", "").start();
    assert_eq!(ask(&proxy, "x").text(), "hello");
    assert_eq!(origin.only_request().head.get("x-user"), Some("a"));
}

#[test]
fn unreachable_services() {
    let origin = Origin::saying("hello");
    let (_port, refusing) = refusing();
    let (_socket, _fillers, unanswering) = unanswering();
    for door in [refusing, unanswering] {
        let proxy = setup(&origin, door, "timeout = \"200ms\"", "").start();
        ask(&proxy, "x").expect_error(503, "route", "auth_down");
        let body = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nbegin";
        exchange(proxy.address(), body).expect_error(503, "route", "auth_down");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn another_server_of_the_pool_is_asked() {
    let origin = Origin::saying("hello");
    let (bad, good) = (Member::new("bad"), Member::new("good"));
    bad.turn(Mode::Closing);
    let body = format!(
        "[[route]]\npool = \"main\"\nauth.request = {{ pool = \"door\", timeout = \"60s\" }}\n\
         [pool.main]\nmembers = [\"{}\"]\n[pool.door]\nmembers = [\"{}\", \"{}\"]\neject = \"off\"\n",
        origin.address(),
        bad.address(),
        good.address(),
    );
    let proxy = Setup::with_body(body).start();
    for _ in 0..6 {
        assert_eq!(ask(&proxy, "x").text(), "hello");
    }
    assert!(proxy.stats().total("retries") > 0);
    assert_eq!(proxy.stats().total("error_route_auth_down"), 0);
}

#[test]
fn pipelined_requests_are_judged_one_by_one_on_every_worker() {
    let (origin, door) = (Origin::saying("hello"), door());
    let proxy = setup(&origin, door.address(), RULES, "").start();
    let before = proxy.stats().workers("exchanges").to_vec();
    eventually("both workers are asked", || {
        let mut client = Client::connect(proxy.address());
        let whos = ["ada", "eve", "ada", "nobody", "odd", "ada"];
        let all: String =
            whos.iter().map(|who| get(&format!("Authorization: {who}\r\n"))).collect();
        client.send(all);
        let statuses: Vec<_> = whos.iter().map(|_| client.answer().head.status()).collect();
        assert_eq!(statuses, [200, 403, 200, 401, 502, 200]);
        let stats = proxy.stats();
        stats.workers("exchanges").iter().zip(&before).all(|(now, before)| now > before)
    });
    assert!(origin.requests().iter().all(|request| request.head.get("x-user") == Some("ada")));
    proxy.wait_idle();
}

#[test]
fn answers_are_remembered_for_the_same_request_or_the_same_credentials() {
    let origin = Origin::saying("hello");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let door = Origin::serving(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        match request.head.get("authorization") {
            Some("bad") => answer_with("403 Forbidden", &[], b""),
            _ => ok(""),
        }
    });
    let path = |client: &mut Client, path: &str, who: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: {who}\r\n\r\n");
        client.ask(text).head.status()
    };
    for (by, other_path) in [("request", 1), ("credential", 0)] {
        asked.store(0, Ordering::SeqCst);
        let rules = format!("remember = {{ time = \"1h\", by = \"{by}\" }}");
        let proxy = setup(&origin, door.address(), &rules, "").workers(1).start();
        let mut client = Client::connect(proxy.address());
        for _ in 0..3 {
            assert_eq!(path(&mut client, "/a", "ada"), 200);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{by}");
        assert_eq!(path(&mut client, "/b", "ada"), 200);
        assert_eq!(asked.load(Ordering::SeqCst), 1 + other_path, "{by}");
        assert_eq!(path(&mut client, "/a", "bob"), 200);
        assert_eq!(asked.load(Ordering::SeqCst), 2 + other_path, "{by}");
        // A refusal is not.
        for _ in 0..2 {
            assert_eq!(path(&mut client, "/a", "bad"), 403);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 4 + other_path, "{by}");
        assert_eq!(proxy.stats().total("auth_remembered"), 3 - other_path as i64);
        // Nobody's credentials are none.
        if by == "credential" {
            for _ in 0..2 {
                assert_eq!(client.get("/a").head.status(), 200);
            }
            assert_eq!(asked.load(Ordering::SeqCst), 6);
        }
    }
}

#[test]
fn a_client_that_leaves_takes_its_question_along() {
    let origin = Origin::saying("hello");
    let door = Member::new("door");
    door.turn(Mode::Silent);
    let proxy = setup(&origin, door.address(), "timeout = \"1h\"", "").start();
    let mut client = Client::connect(proxy.address());
    client.send(get(""));
    proxy.wait_stat("upstream_active", 1);
    drop(client);
    proxy.wait_idle();
    assert_eq!(origin.connections(), 0);
}
