//! Origin and client against each other, and the client against origins that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use loadtest::cli::load::Load;
use loadtest::failure::Failure;
use loadtest::load;
use loadtest::origin::{self, Options, Origin};
use loadtest::tally::Tally;
use loadtest::units::Spread;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

fn origin(size: u64, chunked: bool) -> Origin {
    let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    (options.behaviour.size, options.behaviour.chunked) = (Spread::Fixed(size as f64), chunked);
    origin::start(options).unwrap()
}

/// An origin that answers each request with `answer`, whatever it is, and closes if told so.
fn scripted(answer: &'static [u8], close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|n| n > 0) {
                if stream.write_all(answer).is_err() || close {
                    break;
                }
            }
        }
    });
    address
}

/// A load of `requests` requests over one connection.
fn plan(address: SocketAddr, path: &str, requests: u64) -> Load {
    Load {
        url: format!("http://{address}{path}"),
        connections: 1,
        duration: Duration::from_secs(60),
        requests: Some(requests),
        timeout: Duration::from_secs(30),
        ..Load::default()
    }
}

fn run(load: Load) -> Tally {
    load::run(load.plan(Path::new("")).unwrap()).unwrap().tally
}

#[test]
fn every_answer_is_verified() {
    for chunked in [false, true] {
        let origin = origin(1024, chunked);
        let address = origin.addresses()[0];
        let check = |path: &str, length: u64, connections: usize, change: &dyn Fn(&mut Load)| {
            let mut load = plan(address, path, 200);
            (load.length, load.connections) = (Some(length), connections);
            load.crc = Some("same".to_owned());
            change(&mut load);
            let found = run(load);
            assert_eq!((found.answers, found.failure_count()), (200, 0), "{path} {found:?}");
            assert_eq!(found.bytes, 200 * length, "{path}");
            assert_eq!(found.latencies.len(), 200);
            found.connections
        };
        assert_eq!(check("/", 1024, 8, &|_| ()), 8);
        assert_eq!(check("/0", 0, 1, &|_| ()), 1);
        assert_eq!(check("/600000", 600_000, 4, &|_| ()), 4);
        assert_eq!(check("/", 0, 1, &|load| load.method = "HEAD".to_owned()), 1);
        let post = |load: &mut Load| {
            (load.method, load.body) = ("POST".to_owned(), Some("body".to_owned()));
        };
        assert_eq!(check("/5", 5, 2, &post), 2);
        let chunked = |load: &mut Load| {
            load.method = "POST".to_owned();
            load.headers = vec!["Transfer-Encoding: chunked".to_owned()];
            load.body = Some("4\r\nbody\r\n0\r\n\r\n".to_owned());
        };
        assert_eq!(check("/5", 5, 2, &chunked), 2);
        assert_eq!(check("/5", 5, 4, &|load| load.close = true), 200);
        assert_eq!(check("/5", 5, 1, &|load| load.reconnect = Some(10)), 20);
        assert_eq!(check("/5", 5, 2, &|load| load.pipeline = 16), 2);
        let both = |load: &mut Load| (load.pipeline, load.reconnect) = (4, Some(10));
        assert_eq!(check("/5", 5, 1, &both), 20);
        assert_eq!(check("/5", 5, 4, &|load| load.threads = Some("2".to_owned())), 4);
    }
}

#[test]
fn bad_answers_are_named() {
    let check = |answer: &'static [u8], close: bool, failure: Failure| {
        let mut plan = plan(scripted(answer, close), "/", 3);
        plan.length = Some(5);
        let report = run(plan);
        assert_eq!(report.answers, 0, "{report:?}");
        assert_eq!(report.failures.get(&failure), Some(&3), "{report:?}");
    };
    let check_crc = |answer: &'static [u8]| {
        let mut plan = plan(scripted(answer, false), "/", 3);
        plan.crc = Some("8587d865".to_owned());
        assert_eq!(run(plan.clone()).failure_count(), 0);
        plan.crc = Some("8587d866".to_owned());
        assert_eq!(run(plan).failures.get(&Failure::Checksum), Some(&3));
    };
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", false, Failure::Length);
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", true, Failure::Cut);
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcdef", false, Failure::Malformed);
    check(b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nabcde", false, Failure::Status);
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", false, Failure::Malformed);
    check(b"HTTP/1.1 200 OK\r\nTransfer-Enc", true, Failure::Cut);
    check_crc(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
    check(b"nonsense\r\n\r\n", false, Failure::Malformed);
    check(b"", true, Failure::Closed);
}

#[test]
fn the_first_answer_sets_the_length() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
    let report = run(plan(scripted(answer, false), "/", 3));
    assert_eq!((report.answers, report.failure_count()), (3, 0), "{report:?}");
}

#[test]
fn refused_and_silent_origins_are_errors() {
    // Bound but not listening: refuses, and nobody else can take the port meanwhile.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let report = run(plan(address, "/", 2));
    assert_eq!(report.failures.get(&Failure::Connect), Some(&2), "{report:?}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(silent.local_addr().unwrap(), "/", 2);
    plan.timeout = Duration::from_millis(1);
    let report = run(plan);
    assert_eq!(report.failures.get(&Failure::Timeout), Some(&2), "{report:?}");
}

#[test]
fn an_open_loop_counts_from_the_moment_meant() {
    // 20 ms for each request, one at a time: 50 per second at most, 200 are asked for.
    let origin = origin(0, false);
    let mut load = plan(origin.addresses()[0], "/0?delay=20ms", 20);
    load.rate = Some("200".to_owned());
    let found = run(load);
    assert_eq!((found.answers, found.failure_count()), (20, 0), "{found:?}");
    // The last one was meant for 95 ms and answered after at least 400.
    assert!(found.latencies.max() >= 300_000, "{}", found.latencies.max());
    assert!(found.longest_wait >= Duration::from_millis(280), "{:?}", found.longest_wait);
    assert!(found.service.min() >= 20_000);
}

#[test]
fn a_backlog_is_bounded_and_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut load = plan(silent.local_addr().unwrap(), "/", 1000);
    load.rate = Some("10k".to_owned());
    load.timeout = Duration::from_millis(100);
    load.backlog = Some(Duration::from_millis(1));
    let found = run(load);
    assert_eq!((found.answers, found.failure_count()), (0, 1000), "{found:?}");
    let (unsent, timeout) = (found.failures[&Failure::Unsent], found.failures[&Failure::Timeout]);
    assert!(timeout >= 1 && unsent > 900 && unsent + timeout == 1000, "{found:?}");
}

#[test]
fn an_open_loop_keeps_its_rate_over_threads_and_a_warm_up_is_not_counted() {
    let origin = origin(10, false);
    let mut load = plan(origin.addresses()[0], "/", 0);
    load.requests = None;
    (load.rate, load.threads) = (Some("1000..3000".to_owned()), Some("2".to_owned()));
    (load.connections, load.duration) = (8, Duration::from_millis(500));
    load.warmup = Duration::from_millis(100);
    let found = run(load);
    assert_eq!((found.answers, found.failure_count()), (1000, 0), "{found:?}");
    assert_eq!(found.warm_up, (100, 0));
}

#[test]
fn a_closed_idle_connection_is_opened_anew() {
    // Closes each connection after its answer without saying so.
    let address = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true);
    let mut load = plan(address, "/", 3);
    load.rate = Some("4".to_owned());
    let found = run(load);
    assert_eq!((found.answers, found.failure_count(), found.connections), (3, 0, 3), "{found:?}");
}
