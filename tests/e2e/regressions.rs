//! Defects that drills with live peers found, each in the smallest form that showed it.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{panic, thread};

use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Setup, ok};

/// Both directions of an exchange may go from socket to socket at once. When one is done, a silent
/// peer of the other must not hold up the worker.
#[test]
fn an_upload_that_ends_leaves_a_download_beside_it_waiting_without_the_worker() {
    const UP: usize = 600_000;
    let (uploaded, wait) = mpsc::channel();
    let (uploaded, wait) = (Mutex::new(uploaded), Mutex::new(wait));
    let origin = Origin::scripted(move |conn| {
        let head = conn.wire.head()?.expect("a request");
        if head.method() == "GET" {
            return conn.send(ok("quick"));
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")?;
        conn.send(vec![b'd'; 300_000])?;
        conn.wire.exactly(UP)?;
        conn.send("e")?;
        uploaded.lock().unwrap().send(()).expect("the test waits");
        // Silent until the client leaves.
        conn.wire.rest().map(drop)
    });
    let proxy = Setup::to(&[&origin]).workers(1).start();
    let mut both = Client::connect(proxy.address());
    both.send(format!("POST /both HTTP/1.1\r\nHost: t\r\nContent-Length: {UP}\r\n\r\n"));
    both.send(vec![b'u'; 200_000]);
    assert_eq!(both.head().status(), 200);
    both.wire.exactly(300_000).unwrap();
    both.send(vec![b'u'; UP - 200_000]);
    wait.lock().unwrap().recv_timeout(PATIENCE).expect("the origin has the upload");
    assert_eq!(both.wire.exactly(1).unwrap(), b"e");
    for _ in 0..3 {
        let answer = Client::connect(proxy.address()).get("/quick");
        assert_eq!(answer.text(), "quick");
    }
}

/// A client of HTTP/1.0 takes the connection for closing unless it is told otherwise.
#[test]
fn an_error_keeps_the_connection_of_an_older_client_only_if_it_says_so() {
    let origin = Origin::saying("fine");
    let body = format!(
        "[[route]]\npath = \"/here\"\npool = \"main\"\n[pool.main]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).start();
    let mut client = Client::connect(proxy.address());
    let ask = |path| format!("GET {path} HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.ask(ask("/nowhere"));
    assert_eq!((answer.status(), answer.head.get("connection")), (404, Some("keep-alive")));
    assert_eq!(client.ask(ask("/here")).text(), "fine");
    let answer = client.ask("GET /nowhere HTTP/1.0\r\nHost: t\r\n\r\n");
    assert_eq!((answer.status(), answer.head.get("connection")), (404, Some("close")));
    client.expect_close();
}

/// A client that has nothing more to ask may say so at once, however long its answer takes.
#[test]
fn a_client_that_finished_asking_gets_all_of_a_long_answer() {
    const PIECES: usize = 18;
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {PIECES}\r\n\r\n"))?;
        for _ in 0..PIECES {
            conn.send("x")?;
            thread::sleep(Duration::from_millis(250));
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    client.wire.finish().unwrap();
    assert_eq!(client.answer().text(), "x".repeat(PIECES));
}

/// A large send buffer drains for longer than `timeouts.write` before the kernel calls the socket
/// writable again.
#[test]
fn a_slow_reader_that_goes_on_reading_is_not_cut() {
    const BODY: usize = 12 << 20;
    let origin = Origin::serving(|_| ok(vec![b'x'; BODY]));
    let proxy = Setup::to(&[&origin]).listener("timeouts = { write = \"3s\" }").start();
    let mut client = Client::connect_narrow(proxy.address(), 16 << 10);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.head();
    let (begun, mut got) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(9) {
        got += client.wire.some(4096).unwrap().len();
        thread::sleep(Duration::from_millis(20));
    }
    client.wire.exactly(BODY - got).unwrap();
}

/// The close must not take an answer along because of what came behind its request.
#[test]
fn an_answer_survives_what_came_behind_the_last_request() {
    let body = "x".repeat(200_000);
    let origin = Origin::saying(&body);
    let proxy = Setup::to(&[&origin]).start();
    for _ in 0..20 {
        let mut client = Client::connect_narrow(proxy.address(), 8 << 10);
        let last = "GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        client.send(format!("{last}{}", "GET /unread HTTP/1.1\r\nHost: t\r\n\r\n".repeat(100)));
        assert_eq!(client.answer().body.len(), body.len());
        client.expect_end();
    }
    assert!(origin.requests().iter().all(|request| request.head.target() == "/last"));
}

/// One client's endless pipeline, answered without a member, must leave the worker to others too.
#[test]
fn a_pipeline_of_refused_requests_leaves_room_for_others() {
    let origin = Origin::saying("fine");
    let body = format!(
        "[[route]]\npath = \"/here\"\npool = \"main\"\n[pool.main]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    for driver in ["auto", "epoll"] {
        let proxy = Setup::with_body(&body).workers(1).driver(driver).start();
        let (address, served) = (proxy.address(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                let (mut out, mut back) = flooding(address);
                let served = &served;
                scope.spawn(move || {
                    let many = "GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n".repeat(5000);
                    while !served.load(Ordering::SeqCst) {
                        out.write_all(many.as_bytes()).expect("the proxy reads on");
                    }
                    out.shutdown(Shutdown::Both).expect("open");
                });
                scope.spawn(move || io::copy(&mut back, &mut io::sink()).map_or(0, |count| count));
            }
            thread::sleep(Duration::from_millis(300));
            // In the middle of what does not end before.
            let answers = panic::catch_unwind(|| {
                let get = |_| Client::connect(address).get("/here").text();
                (0..5).map(get).collect::<Vec<_>>()
            });
            served.store(true, Ordering::SeqCst);
            assert_eq!(answers.expect("others are served"), ["fine"; 5], "{driver}");
        });
    }
}

/// A connection to write to and to read from, on two threads.
fn flooding(address: SocketAddr) -> (TcpStream, TcpStream) {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connecting");
    (stream.try_clone().expect("a second handle"), stream)
}

/// What the end of the process cuts short must not look complete, not even where only the close
/// ends an answer.
#[test]
fn an_answer_that_the_drain_cuts_is_reset() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")?;
        conn.wire.rest().map(drop)
    });
    for twice in [false, true] {
        let patience = if twice { "1h" } else { "300ms" };
        let setup = Setup::to(&[&origin]).server(format!("drain_timeout = \"{patience}\""));
        let mut proxy = setup.start();
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.0\r\nHost: t\r\n\r\n");
        assert_eq!(client.head().status(), 200);
        assert_eq!(client.wire.exactly(4).unwrap(), b"half");
        proxy.signal(libc::SIGTERM);
        if twice {
            proxy.log.wait(0, |line| line.contains("draining")).expect("the drain begins");
            proxy.signal(libc::SIGTERM);
        }
        assert_eq!(proxy.wait_exit(), Some(0));
        assert_eq!(client.rest(), (Vec::new(), End::Reset));
    }
}

/// Clients must not take the descriptors that their own requests need.
#[test]
fn more_clients_than_descriptors_are_served_one_after_the_other() {
    const FILES: u64 = 100;
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).workers(1).files(FILES).start();
    let address = proxy.address();
    thread::scope(|scope| {
        for _ in 0..2 * FILES {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..10 {
                    assert_eq!(client.get("/").text(), "ok");
                }
            });
        }
    });
    assert_eq!(proxy.stats().total("error_proxy_no_descriptors"), 0);
}
