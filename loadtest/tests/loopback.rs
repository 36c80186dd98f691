//! Origin and client against each other, and the client against origins that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use loadtest::client::{self, Plan};
use loadtest::origin::{self, Options};
use loadtest::report::{Failure, Report};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn origin(size: u64, chunked: bool) -> SocketAddr {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { bind, size, chunked, delay: Duration::ZERO };
        origin::run(options, None, |address, _| sender.send(address).unwrap())
    });
    receiver.recv().expect("the origin starts")
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

fn plan(address: SocketAddr, request: &str, requests: u64) -> Plan {
    Plan {
        address,
        request: request.as_bytes().to_vec(),
        is_head: request.starts_with("HEAD"),
        connections: 1,
        duration: Duration::from_secs(60),
        requests: Some(requests),
        status: 200,
        length: None,
        timeout: Duration::from_secs(30),
    }
}

fn run(plan: Plan) -> Report {
    client::run(plan, None).unwrap()
}

#[test]
fn every_answer_is_verified() {
    for chunked in [false, true] {
        let address = origin(1024, chunked);
        let check = |request: &str, length: u64, connections: usize| {
            let mut plan = plan(address, request, 200);
            (plan.length, plan.connections) = (Some(length), connections);
            let report = run(plan);
            assert_eq!((report.answers, report.failure_count()), (200, 0), "{request} {report:?}");
            assert_eq!(report.bytes, 200 * length, "{request}");
            assert_eq!(report.latencies.len(), 200);
            report.connections
        };
        assert_eq!(check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1024, 8), 8);
        assert_eq!(check("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1), 1);
        assert_eq!(check("GET /600000 HTTP/1.1\r\nHost: a\r\n\r\n", 600_000, 4), 4);
        assert_eq!(check("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1), 1);
        let post = "POST /5 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(check(post, 5, 2), 2);
        let post = "POST /5 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        assert_eq!(check(post, 5, 2), 2);
        let close = "GET /5 HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert_eq!(check(close, 5, 4), 200);
    }
}

#[test]
fn bad_answers_are_named() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let check = |answer: &'static [u8], close: bool, failure: Failure| {
        let mut plan = plan(scripted(answer, close), get, 3);
        plan.length = Some(5);
        let report = run(plan);
        assert_eq!(report.answers, 0, "{report:?}");
        assert_eq!(report.failures.get(&failure), Some(&3), "{report:?}");
    };
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", false, Failure::Length);
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", true, Failure::Cut);
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcdef", false, Failure::Malformed);
    check(b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nabcde", false, Failure::Status);
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", false, Failure::Malformed);
    check(b"HTTP/1.1 200 OK\r\nTransfer-Enc", true, Failure::Cut);
    check(b"nonsense\r\n\r\n", false, Failure::Malformed);
    check(b"", true, Failure::Closed);
}

#[test]
fn the_first_answer_sets_the_length() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
    let report = run(plan(scripted(answer, false), "GET / HTTP/1.1\r\n\r\n", 3));
    assert_eq!((report.answers, report.failure_count()), (3, 0), "{report:?}");
}

#[test]
fn refused_and_silent_origins_are_errors() {
    // Bound but not listening: refuses, and nobody else can take the port meanwhile.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let report = run(plan(address, "GET / HTTP/1.1\r\n\r\n", 2));
    assert_eq!(report.failures.get(&Failure::Connect), Some(&2), "{report:?}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(silent.local_addr().unwrap(), "GET / HTTP/1.1\r\n\r\n", 2);
    plan.timeout = Duration::from_millis(1);
    let report = run(plan);
    assert_eq!(report.failures.get(&Failure::Timeout), Some(&2), "{report:?}");
}
