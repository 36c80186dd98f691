//! User names and passwords: verified off the workers, remembered, and changed while in use.

use std::fs;
use std::time::Instant;

use crate::support::{Client, Message, Origin, Proxy, Setup, eventually, exchange, run_to_end};

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).expect("a hash")
}

pub(super) fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = text.as_bytes();
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let n =
            group.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let six = n >> (18 - 6 * at) & 63;
            out.push(if at > group.len() { '=' } else { char::from(ALPHABET[six]) });
        }
    }
    out
}

fn get(pair: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\nAuthorization: Basic {}\r\n\r\n", base64(pair))
}

fn ask(proxy: &Proxy, pair: &str) -> Message {
    exchange(proxy.address(), get(pair))
}

fn setup(origin: &Origin, more: &str) -> Setup {
    let users = format!("# users\nada:{}\nbob:{}\n", hash("open sesame"), hash("hunter2"));
    Setup::to(&[origin]).beside("users", users).route(format!(
        "auth.basic = {{ realm = \"the shop\", users = \"users\", header = \"X-User\"{more} }}"
    ))
}

#[test]
fn who_may_come_in() {
    let origin = Origin::saying("hello");
    let proxy = setup(&origin, "").start();
    let mut client = Client::connect(proxy.address());
    let refused = client.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    refused.expect_error(401, "route", "auth_missing");
    let challenge = "Basic realm=\"the shop\", charset=\"UTF-8\"";
    assert_eq!(refused.head.all("www-authenticate"), [challenge]);
    for (pair, code) in [
        ("ada:open sesam", "auth_password"),
        ("ada:", "auth_password"),
        ("bob:open sesame", "auth_password"),
        ("eve:open sesame", "auth_password"),
        ("Ada:open sesame", "auth_password"),
        (":open sesame", "auth_malformed"),
        ("ada", "auth_malformed"),
        ("ada:open sesame\n", "auth_malformed"),
    ] {
        let answer = client.ask(get(pair));
        answer.expect_error(401, "route", code);
        assert_eq!(answer.head.all("www-authenticate"), [challenge], "{pair}");
    }
    for value in ["Bearer a", "Basic", "Basic !!!!", "Negotiate x"] {
        let text = format!("GET / HTTP/1.1\r\nHost: t\r\nAuthorization: {value}\r\n\r\n");
        assert_eq!(client.ask(text).head.status(), 401, "{value}");
    }
    let twice = get("ada:open sesame").replace("\r\n\r\n", "\r\nAuthorization: Basic eA==\r\n\r\n");
    client.ask(twice).expect_error(401, "route", "auth_malformed");
    assert_eq!(origin.connections(), 0);
    assert_eq!(client.ask(get("ada:open sesame")).text(), "hello");
    let spoofed = get("bob:hunter2").replace("Host", "x_user: root\r\nX-USER: root\r\nHost");
    assert_eq!(client.ask(spoofed.replace("Basic", "bASIC")).text(), "hello");
    let requests = origin.requests();
    assert_eq!(requests[0].head.all("x-user"), ["ada"]);
    assert_eq!(requests[1].head.all("x-user"), ["bob"]);
    assert_eq!(requests[1].head.get("x_user"), None);
    assert!(requests.iter().all(|request| request.head.get("authorization").is_none()));
}

#[test]
fn the_word_may_be_passed_on() {
    let origin = Origin::saying("hello");
    let proxy = setup(&origin, ", forward = true").start();
    assert_eq!(ask(&proxy, "ada:open sesame").text(), "hello");
    let value = format!("Basic {}", base64("ada:open sesame"));
    assert_eq!(origin.only_request().head.get("authorization"), Some(&*value));
}

#[test]
fn a_password_is_verified_once_and_a_wrong_one_is_remembered_too() {
    let origin = Origin::saying("hello");
    let proxy = setup(&origin, "").workers(1).start();
    let mut client = Client::connect(proxy.address());
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.ask(get("ada:open sesame")).text(), "hello");
        assert_eq!(client.ask(get("ada:wrong")).head.status(), 401);
    }
    let stats = proxy.stats();
    // A wrong one for ten seconds.
    let passwords = stats.total("auth_passwords");
    assert!((2..=2 + begun.elapsed().as_secs() as i64 / 10).contains(&passwords), "{passwords}");
    assert_eq!(stats.total("auth_remembered"), 40 - passwords);
    assert_eq!(stats.total("error_route_auth_password"), 20);
    let proxy = setup(&origin, ", remember = \"off\"").workers(1).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..5 {
        assert_eq!(client.ask(get("ada:open sesame")).text(), "hello");
    }
    assert_eq!(proxy.stats().total("auth_passwords"), 5);
}

#[test]
fn requests_in_hand_and_bodies_that_stream() {
    let origin = Origin::saying("hello");
    let proxy = setup(&origin, ", remember = \"off\"").start();
    let mut client = Client::connect(proxy.address());
    client.send([get("ada:open sesame"), get("ada:x"), get("bob:hunter2")].concat());
    let statuses = [(); 3].map(|()| client.answer().head.status());
    assert_eq!(statuses, [200, 401, 200]);
    let head = get("ada:open sesame").replace("GET", "POST");
    let head = head.replace("\r\n\r\n", "\r\nContent-Length: 200000\r\n\r\n");
    client.send(&head);
    client.send(vec![b'x'; 200_000]);
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(origin.requests()[2].body.len(), 200_000);
    // Refused before the body was read: the connection ends behind the answer.
    client.send(head.replace(&base64("ada:open sesame"), &base64("ada:x")));
    let refused = client.answer();
    assert_eq!(refused.head.status(), 401);
    assert!(refused.head.closes());
    proxy.wait_stat("upstream_active", 0);
}

#[test]
fn many_at_a_time_on_every_worker() {
    let origin = Origin::saying("hello");
    let proxy = setup(&origin, ", remember = \"off\"").start();
    let mut clients: Vec<_> = (0..40).map(|_| Client::connect(proxy.address())).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(get(if index % 2 == 0 { "ada:open sesame" } else { "bob:open sesame" }));
    }
    for (index, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.answer().head.status(), if index % 2 == 0 { 200 } else { 401 });
    }
    let passwords = proxy.stats().workers("auth_passwords").to_vec();
    assert_eq!(passwords.iter().sum::<i64>(), 40);
}

#[test]
fn the_file_changes() {
    let origin = Origin::saying("hello");
    let proxy = setup(&origin, "").workers(1).start();
    let file = proxy.directory().join("users");
    assert_eq!(ask(&proxy, "ada:open sesame").text(), "hello");
    fs::write(&file, format!("ada:{}\n", hash("new"))).expect("the users");
    eventually("the new password is good", || ask(&proxy, "ada:new").head.status() == 200);
    assert_eq!(ask(&proxy, "ada:open sesame").head.status(), 401);
    assert_eq!(ask(&proxy, "bob:hunter2").head.status(), 401);
    // What is not good changes nothing.
    let before = proxy.log.all().len();
    fs::write(&file, "ada:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n").expect("the users");
    let told = |line: &str| line.contains("not loaded") && line.contains("htpasswd -B");
    assert!(proxy.log.wait(before, told).is_some());
    assert_eq!(ask(&proxy, "ada:new").text(), "hello");
    let stats = proxy.stats();
    assert_eq!((stats.total("auth_reloads"), stats.total("auth_reloads_refused")), (1, 1));
}

#[test]
fn a_file_that_is_not_good_does_not_start() {
    let directory = crate::support::proxy::Directory::new();
    let (file, users) = (directory.path().join("a.toml"), directory.path().join("users"));
    let text = "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"a\"\n\
        auth.basic = { realm = \"a\", users = \"users\" }\n[pool.a]\nmembers = [\"127.0.0.1:1\"]\n";
    fs::write(&file, text).expect("the file");
    let config = file.to_string_lossy().into_owned();
    for (content, told) in [
        (None, "cannot be read"),
        (Some("ada:$apr1$x$y"), "line 1: the hash is a {SHA} or apr1"),
        (Some("ada:secret"), "line 1: the hash is neither bcrypt nor argon2"),
    ] {
        content.iter().for_each(|content| fs::write(&users, content).expect("the users"));
        for arguments in [vec!["run", "--config", &config], vec!["check", &config]] {
            let ended = run_to_end(&arguments, crate::support::system::Confinement::default());
            assert_eq!(ended.code, Some(1), "{}", ended.log);
            assert!(ended.log.contains(told), "{}", ended.log);
        }
    }
}
