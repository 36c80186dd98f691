//! From start to end: exit codes, signals, and a drain that loses nothing.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::proxy::{Directory, Ended};
use crate::support::system::Confinement;
use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Proxy, Setup, eventually, ok, run_to_end};

/// An origin that answers `/held` when the sender is used or dropped, and the rest at once.
fn holding() -> (Origin, mpsc::Sender<()>) {
    let (release, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() == "/held" {
                wait.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_default();
            }
            conn.send(ok(request.head.target()))?;
        }
        Ok(())
    });
    (origin, release)
}

/// A client whose request the origin holds.
fn held(proxy: &Proxy, origin: &Origin) -> Client {
    let before = origin.requests().len();
    let mut client = Client::connect(proxy.address());
    client.send("GET /held HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the origin holds the request", || origin.requests().len() > before);
    client
}

/// Waits until new connections are refused.
#[track_caller]
fn wait_refused(proxy: &Proxy) {
    eventually("new connections are refused", || {
        TcpStream::connect_timeout(&proxy.address(), Duration::from_secs(1)).is_err()
    });
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let (origin, release) = holding();
        let mut proxy = Setup::to(&[&origin]).start();
        let mut client = held(&proxy, &origin);
        let mut idle = Client::connect(proxy.address());
        assert_eq!(idle.get("/").text(), "/");
        proxy.signal(signal);
        wait_refused(&proxy);
        idle.expect_close();
        assert!(proxy.runs());
        release.send(()).unwrap();
        let answer = client.answer();
        assert_eq!(answer.text(), "/held");
        assert!(answer.head.closes(), "{:?}", answer.head);
        client.expect_close();
        assert_eq!(proxy.wait_exit(), Some(0));
    }
}

#[test]
fn a_drain_finishes_bodies_both_ways() {
    let origin = Origin::serving(|request| ok(&request.body));
    let mut proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n");
    eventually("the request is upstream", || origin.connections() == 1);
    proxy.signal(libc::SIGTERM);
    wait_refused(&proxy);
    client.send(vec![b'.'; 2_000_000]);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.body.len()), (200, 2_000_000));
    client.expect_close();
    assert_eq!(proxy.wait_exit(), Some(0));
}

/// An answer whose head is out already cannot say that the connection closes, so the request that
/// comes behind it must be served, with an answer that says so.
#[test]
fn a_request_behind_an_answer_that_began_before_the_drain_is_served() {
    let (release, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() == "/begun" {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")?;
                wait.lock().unwrap().recv_timeout(PATIENCE).expect("the test's word");
                conn.send("def")?;
            } else {
                conn.send(ok("behind"))?;
            }
        }
        Ok(())
    });
    let mut proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET /begun HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head();
    assert!(!head.closes());
    proxy.signal(libc::SIGTERM);
    wait_refused(&proxy);
    client.send("GET /behind HTTP/1.1\r\nHost: t\r\n\r\n");
    release.send(()).unwrap();
    assert_eq!(client.wire.exactly(6).unwrap(), b"abcdef");
    let answer = client.answer();
    assert_eq!(answer.text(), "behind");
    assert!(answer.head.closes(), "{:?}", answer.head);
    client.expect_close();
    assert_eq!(proxy.wait_exit(), Some(0));
}

#[test]
fn a_drain_with_nothing_to_do_ends_soon() {
    let origin = Origin::saying("ok");
    let mut proxy = Setup::to(&[&origin]).start();
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(proxy.address())).collect();
    for client in &mut clients {
        client.get("/");
    }
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
    for client in &mut clients {
        client.expect_close();
    }
}

#[test]
fn a_drain_has_a_deadline() {
    let (origin, _release) = holding();
    let mut proxy = Setup::to(&[&origin]).server("drain_timeout = \"300ms\"").start();
    let mut client = held(&proxy, &origin);
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
    client.expect_end();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (origin, _release) = holding();
    let mut proxy = Setup::to(&[&origin]).server("drain_timeout = \"1h\"").start();
    let mut client = held(&proxy, &origin);
    proxy.signal(libc::SIGTERM);
    wait_refused(&proxy);
    assert!(proxy.runs());
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
    client.expect_end();
}

/// What one client saw while it asked again and again.
#[derive(Debug, Default)]
struct Seen {
    answers: usize,
    faults: Vec<String>,
}

/// Asks until the proxy refuses connections. A connection may end between two answers, cleanly.
fn hammer(proxy: &Proxy, seen: &Mutex<Seen>) {
    while let Ok(stream) = TcpStream::connect(proxy.address()) {
        let mut client = Client { wire: crate::support::wire::Wire::new(stream) };
        loop {
            let result = one_more(&mut client);
            let mut seen = seen.lock().unwrap();
            match result {
                Ok(closes) => {
                    seen.answers += 1;
                    if closes {
                        break;
                    }
                }
                Err(fault) if fault.is_empty() => break,
                Err(fault) => {
                    seen.faults.push(fault);
                    break;
                }
            }
        }
    }
}

/// One request and its answer: whether the connection closes, or what went wrong; an empty fault
/// is a clean end before the answer.
fn one_more(client: &mut Client) -> Result<bool, String> {
    let sent = client.wire.send("GET /body HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = match client.wire.head() {
        Ok(Some(head)) => head,
        Ok(None) => return Err(String::new()),
        Err(error) => return Err(format!("no head: {error} (sending: {sent:?})")),
    };
    let (closes, framing) = (head.closes(), head.answer_framing("GET"));
    let answer = client.wire.message(head, framing).map_err(|error| format!("cut: {error}"))?;
    match (answer.status(), answer.body.len()) {
        (200, 20_000) => Ok(closes),
        other => Err(format!("an odd answer: {other:?}")),
    }
}

#[test]
fn a_drain_under_fire_loses_nothing() {
    let body = vec![b'.'; 20_000];
    let origin = Origin::serving(move |_| ok(&body));
    let mut proxy = Setup::to(&[&origin]).start();
    let seen = Mutex::new(Seen::default());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| hammer(&proxy, &seen));
        }
        eventually("the fire is lit", || seen.lock().unwrap().answers > 300);
        proxy.signal(libc::SIGTERM);
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen.faults.is_empty(), "{:?} after {} answers", seen.faults, seen.answers);
    assert_eq!(proxy.wait_exit(), Some(0));
}

#[test]
fn a_tunnel_does_not_outlive_the_drain() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")?;
        conn.wire.rest().map(drop)
    });
    let mut proxy = Setup::to(&[&origin]).server("drain_timeout = \"300ms\"").start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
    client.expect_end();
}

#[test]
fn hangup_and_usr1_do_no_harm() {
    let (origin, release) = holding();
    let mut proxy = Setup::to(&[&origin]).start();
    let mut client = held(&proxy, &origin);
    for _ in 0..3 {
        proxy.signal(libc::SIGHUP);
        proxy.stats();
    }
    assert!(proxy.runs());
    release.send(()).unwrap();
    assert_eq!(client.answer().text(), "/held");
    assert_eq!(client.get("/again").text(), "/again");
}

/// Runs a file with this text, which must not start.
fn run_text(text: &str) -> Ended {
    let directory = Directory::new();
    let file = directory.path().join("ringway.toml");
    fs::write(&file, text).unwrap();
    run_to_end(&["run", "--config", &file.to_string_lossy()], Confinement::default())
}

#[test]
fn an_address_in_use_is_exit_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let origin = Origin::saying("must not be asked");
    let ended = run_text(&Setup::to(&[&origin]).text().replace("127.0.0.1:0", &address));
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains(&address), "{}", ended.log);
}

#[test]
fn a_log_without_a_directory_is_exit_2_and_named() {
    let origin = Origin::saying("must not be asked");
    let log = "access_log = \"/no/such/directory/access.log\"";
    let ended = run_text(&Setup::to(&[&origin]).server(log).text());
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    let says = "cannot open server.access_log /no/such/directory/access.log: No such file";
    assert!(ended.log.contains(says), "{}", ended.log);
    assert!(ended.log.contains("(its directory must exist)"), "{}", ended.log);
}

#[test]
fn mistakes_are_exit_1() {
    let origin = Origin::saying("must not be asked");
    let good = Setup::to(&[&origin]).text();
    for text in [
        "this is not TOML".to_owned(),
        good.replace("[server]", "[server]\nunknown_key = 1"),
        good.replace("pool = \"main\"", "pool = \"missing\""),
        good.replace("127.0.0.1:0", "not an address"),
        String::new(),
    ] {
        let ended = run_text(&text);
        assert_eq!(ended.code, Some(1), "{text}\n{}", ended.log);
        assert!(ended.log.contains("ringway.toml"), "{}", ended.log);
    }
}

#[test]
fn a_missing_file_and_bad_arguments_are_exit_1() {
    let directory = Directory::new();
    let missing = directory.path().join("missing.toml");
    let missing = missing.to_string_lossy();
    let ended = run_to_end(&["run", "--config", &missing], Confinement::default());
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("missing.toml"), "{}", ended.log);
    for arguments in [&["run", "--what"][..], &["fly"], &["run", "--driver", "kqueue"]] {
        let ended = run_to_end(arguments, Confinement::default());
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.log);
    }
}

#[test]
fn a_process_cut_short_cuts_its_clients() {
    let (origin, _release) = holding();
    let proxy = Setup::to(&[&origin]).start();
    let mut client = held(&proxy, &origin);
    proxy.signal(libc::SIGKILL);
    let (bytes, end) = client.rest();
    assert!(bytes.is_empty());
    assert!(matches!(end, End::Clean | End::Reset));
    wait_refused(&proxy);
}
