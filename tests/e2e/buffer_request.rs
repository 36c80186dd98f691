//! Bodies of requests that are taken in whole before a member is chosen: who sends slowly holds none,
//! and the body can be sent again.

use std::sync::{Mutex, mpsc};

use crate::support::message::{Message, distinct as body};
use crate::support::{Client, Member, Mode, Origin, PATIENCE, Proxy, Setup, eventually, ok};

const ON: &str = "buffer_request = { memory = \"128KiB\", disk = \"64MiB\" }";

/// In chunks of odd sizes, with these lines behind the last one.
fn in_chunks(body: &[u8], trailers: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in body.chunks(30_011) {
        all.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        all.extend(piece);
        all.extend(b"\r\n");
    }
    all.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    all
}

/// An origin that says how many bytes it got.
fn counting() -> Origin {
    Origin::serving(|request| ok(request.body.len().to_string()))
}

/// Of one member that serves one at a time, where bodies may go to disk, and a route with this line.
pub(crate) fn one_at_a_time(origin: &Origin, route: &str) -> Setup {
    let address = origin.address();
    Setup::to_members(&[format!("{{ address = \"{address}\", max_connections = 1 }}")])
        .server("buffers = { folder = \"{directory}\" }")
        .route(route)
}

#[track_caller]
pub(crate) fn expect_nothing_left(proxy: &Proxy) {
    proxy.wait_stat("buffer_memory", 0);
    proxy.wait_stat("buffer_disk", 0);
    proxy.wait_stat("file_jobs_waiting", 0);
}

fn head(fields: &str) -> String {
    format!("PUT /put HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n")
}

fn of_length(length: usize) -> String {
    head(&format!("Content-Length: {length}"))
}

/// The last request that the origin got.
fn last(origin: &Origin) -> Message {
    origin.requests().pop().expect("a request")
}

#[test]
fn who_sends_slowly_holds_no_member() {
    // In memory, and on disk; all of it in one piece, or in two.
    for (number, length) in [9_000, 100_000, 131_072, 131_073, 5_000_000].into_iter().enumerate() {
        for chunked in [false, true] {
            let origin = counting();
            // So that there is one set of idle connections.
            let proxy = one_at_a_time(&origin, ON).workers(1).start();
            let body = body(length);
            let (head, sent) = if chunked {
                (head("Transfer-Encoding: chunked\r\nTrailer: Sum"), in_chunks(body, ""))
            } else {
                (of_length(length), body.to_vec())
            };
            let (first, second) = sent.split_at(sent.len() / 2);
            let mut slow = Client::connect(proxy.address());
            slow.send(&head);
            slow.send(first);
            for _ in 0..3 {
                let mut other = Client::connect(proxy.address());
                assert_eq!(other.get("/").text(), "0", "{length} {chunked}");
            }
            assert_eq!(origin.requests().len(), 3, "nothing of it has been sent");
            slow.send(second);
            // The next request is there already.
            slow.send("GET /next HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(slow.answer().text(), length.to_string());
            assert_eq!(slow.answer().text(), "0");
            let requests = origin.requests();
            let got = &requests[3];
            assert!(got.body == body, "{length} {chunked}");
            assert_eq!(got.head.get("content-length"), Some(&*length.to_string()));
            assert_eq!(got.head.get("transfer-encoding"), None);
            assert_eq!(got.head.get("trailer"), None);
            assert_eq!(requests[4].head.target(), "/next");
            assert_eq!(origin.connections(), 1);
            let stats = proxy.stats();
            assert_eq!(stats.total("requests_buffered"), 1);
            let spilled = i64::from(number > 2);
            assert_eq!(stats.total("bodies_spilled"), spilled, "{length} {chunked}");
            assert_eq!(stats.total("requests_over_buffer"), 0);
            expect_nothing_left(&proxy);
        }
    }
}

#[test]
fn trailers_are_kept_where_there_are_some() {
    let origin = counting();
    let proxy = one_at_a_time(&origin, ON).start();
    let mut client = Client::connect(proxy.address());
    for length in [10_000, 300_000] {
        client.send(head("Transfer-Encoding: chunked\r\nTrailer: Sum"));
        client.send(in_chunks(body(length), "Sum: 7\r\n"));
        assert_eq!(client.answer().text(), length.to_string());
        let got = last(&origin);
        assert!(got.body == body(length));
        assert_eq!(got.head.get("content-length"), None);
        assert_eq!(got.head.get("trailer"), Some("Sum"));
        assert_eq!(got.trailers, [("Sum".to_owned(), "7".to_owned())]);
    }
    expect_nothing_left(&proxy);
}

#[test]
fn clients_that_wait_for_the_word_get_it_here() {
    let origin = counting();
    let proxy = one_at_a_time(&origin, ON).start();
    let mut client = Client::connect(proxy.address());
    client.send(head("Expect: 100-continue\r\nContent-Length: 20000"));
    assert_eq!(client.head().status(), 100);
    assert_eq!(origin.connections(), 0);
    client.send(body(20_000));
    assert_eq!(client.answer().text(), "20000");
    assert_eq!(origin.only_request().head.get("expect"), None);
    // Who did not wait is not told.
    client.send(head("Expect: 100-continue\r\nContent-Length: 20000"));
    // Together with its head only where it came so; either is right.
    client.send(body(20_000));
    let mut head = client.head();
    if head.status() == 100 {
        head = client.head();
    }
    assert_eq!(head.status(), 200);
}

#[test]
fn what_is_too_large_goes_on_as_it_comes() {
    for chunked in [false, true] {
        for room in ["memory = \"64KiB\"", "memory = \"64KiB\", disk = \"200KiB\""] {
            let (arrived, wait) = mpsc::channel();
            let arrived = Mutex::new(arrived);
            let origin = Origin::scripted(move |conn| {
                let head = conn.wire.head()?.expect("a request");
                arrived.lock().unwrap().send(()).unwrap();
                let request = conn.wire.message(head.clone(), head.request_framing())?;
                assert!(request.body == body(1_000_000));
                conn.send(ok("all"))
            });
            let proxy = Setup::to(&[&origin])
                .server("buffers = { folder = \"{directory}\" }")
                .route(format!("buffer_request = {{ {room} }}"))
                .start();
            let body = body(1_000_000);
            let (head, sent) = if chunked {
                (head("Transfer-Encoding: chunked"), in_chunks(body, ""))
            } else {
                (of_length(body.len()), body.to_vec())
            };
            let (first, second) = sent.split_at(500_000);
            let mut client = Client::connect(proxy.address());
            client.send(head);
            client.send(first);
            wait.recv_timeout(PATIENCE).expect("it goes on before it is whole");
            client.send(second);
            assert_eq!(client.answer().text(), "all");
            let stats = proxy.stats();
            assert_eq!(stats.total("requests_over_buffer"), 1);
            assert_eq!(stats.total("requests_buffered"), 0);
            expect_nothing_left(&proxy);
        }
    }
}

#[test]
fn what_is_too_large_is_refused_where_that_is_asked_for() {
    let origin = counting();
    let proxy = Setup::to(&[&origin])
        .server("buffers = { folder = \"{directory}\" }")
        .route("buffer_request = { memory = \"64KiB\", disk = \"1MiB\", over = \"refuse\" }")
        .start();
    for request in [
        of_length(2_000_000).into_bytes(),
        [head("Transfer-Encoding: chunked").into_bytes(), in_chunks(body(2_000_000), "")].concat(),
    ] {
        let mut client = Client::connect(proxy.address());
        // It may be refused before all is sent.
        drop(client.wire.send(request));
        client.answer().expect_error(413, "client", "body_over_buffer");
    }
    assert_eq!(origin.connections(), 0);
    assert_eq!(proxy.stats().total("error_client_body_over_buffer"), 2);
    let mut client = Client::connect(proxy.address());
    client.send(of_length(1_000_000));
    client.send(body(1_000_000));
    assert_eq!(client.answer().text(), "1000000");
    expect_nothing_left(&proxy);
}

#[test]
fn who_finds_no_room_in_the_process_is_refused_or_goes_on() {
    for over in ["refuse", "stream"] {
        let origin = counting();
        let proxy = Setup::to(&[&origin])
            .server("buffers = { memory = \"1MiB\" }")
            .route(format!("buffer_request = {{ over = \"{over}\" }}"))
            .start();
        let mut first = Client::connect(proxy.address());
        first.send(of_length(1_000_000));
        first.send(body(900_000));
        eventually("it has nearly all the room", || {
            proxy.stats().total("buffer_memory") >= 900_000
        });
        let mut second = Client::connect(proxy.address());
        second.send(of_length(500_000));
        drop(second.wire.send(body(500_000)));
        if over == "refuse" {
            second.answer().expect_error(503, "proxy", "buffers_full");
        } else {
            assert_eq!(second.answer().text(), "500000");
            assert!(last(&origin).body == body(500_000));
        }
        assert_eq!(proxy.stats().total("buffers_full"), 1);
        first.send(&body(1_000_000)[900_000..]);
        assert_eq!(first.answer().text(), "1000000");
        assert!(last(&origin).body == body(1_000_000));
        expect_nothing_left(&proxy);
    }
}

#[test]
fn where_nothing_can_be_written_it_goes_on_as_it_comes() {
    let origin = counting();
    let proxy = Setup::to(&[&origin])
        .beside("bodies/x", "")
        .server("buffers = { folder = \"{directory}/bodies\" }")
        .route(ON)
        .start();
    std::fs::remove_dir_all(proxy.directory().join("bodies")).unwrap();
    let mut client = Client::connect(proxy.address());
    for chunked in [false, true] {
        if chunked {
            client.send(head("Transfer-Encoding: chunked"));
            client.send(in_chunks(body(1_000_000), ""));
        } else {
            client.send(of_length(1_000_000));
            client.send(body(1_000_000));
        }
        assert_eq!(client.answer().text(), "1000000");
        assert!(last(&origin).body == body(1_000_000));
    }
    let stats = proxy.stats();
    assert_eq!((stats.total("spill_failures"), stats.total("requests_over_buffer")), (2, 2));
    expect_nothing_left(&proxy);
}

#[test]
fn the_whole_body_goes_to_another_member() {
    let (bad, good) = (Member::new("bad"), counting());
    bad.turn(Mode::Closing);
    let members = [format!("\"{}\"", bad.address()), format!("\"{}\"", good.address())];
    let proxy = Setup::to_members(&members)
        .server("buffers = { folder = \"{directory}\" }")
        .route(ON)
        .pool("retry = { body = \"0B\", budget = \"100%\" }\neject = \"off\"")
        .start();
    for length in [50_000, 3_000_000] {
        for _ in 0..4 {
            let mut client = Client::connect(proxy.address());
            client.send(of_length(length));
            client.send(body(length));
            assert_eq!(client.answer().text(), length.to_string());
            assert!(last(&good).body == body(length));
        }
    }
    let stats = proxy.stats();
    assert!(stats.total("retries") > 0);
    assert_eq!(stats.total("retry_body_gone"), 0);
    // Doing it twice is not as good as once.
    for _ in 0..4 {
        let mut client = Client::connect(proxy.address());
        client.send(of_length(50_000).replace("PUT", "POST"));
        client.send(body(50_000));
        let answer = client.answer();
        assert!(matches!(answer.status(), 200 | 502));
    }
    assert!(proxy.stats().total("retry_not_idempotent") > 0);
    expect_nothing_left(&proxy);
}

#[test]
fn what_is_wrong_with_a_body_is_told_before_a_member_is_chosen() {
    let origin = counting();
    let proxy = one_at_a_time(&origin, ON).listener("limits.body = \"100KB\"").start();
    let chunked = head("Transfer-Encoding: chunked");
    let mut client = Client::connect(proxy.address());
    client.send(format!("{chunked}5\r\nabcde\r\nx\r\n"));
    client.answer().expect_error(400, "client", "bad_body");
    let mut client = Client::connect(proxy.address());
    drop(client.wire.send([chunked.into_bytes(), in_chunks(body(200_000), "")].concat()));
    client.answer().expect_error(413, "client", "body_too_large");
    let mut client = Client::connect(proxy.address());
    client.send(of_length(90_000));
    client.send(body(50_000));
    client.wire.reset();
    proxy.wait_stat("error_client_gone", 1);
    proxy.wait_idle();
    assert_eq!(origin.connections(), 0);
    expect_nothing_left(&proxy);
}

#[test]
fn who_is_silent_in_the_middle_is_told_so() {
    let origin = counting();
    let proxy = one_at_a_time(&origin, ON).listener("timeouts.body = \"300ms\"").start();
    let mut client = Client::connect(proxy.address());
    client.send(of_length(90_000));
    client.send(body(50_000));
    client.answer().expect_error(408, "client", "body_timeout");
    assert_eq!(origin.connections(), 0);
    expect_nothing_left(&proxy);
}

#[test]
fn copies_are_whole_too() {
    let (origin, shadow) = (counting(), counting());
    let proxy = Setup::to(&[&origin])
        .server("buffers = { folder = \"{directory}\" }")
        .route(ON)
        .route("mirror = { pool = \"shadow\", body = \"1MiB\" }")
        .pool(format!("[pool.shadow]\nmembers = [\"{}\"]", shadow.address()))
        .start();
    let mut client = Client::connect(proxy.address());
    for length in [50_000, 500_000] {
        client.send(of_length(length));
        client.send(body(length));
        assert_eq!(client.answer().text(), length.to_string());
        client.send(head("Transfer-Encoding: chunked"));
        client.send(in_chunks(body(length), "Sum: 7\r\n"));
        assert_eq!(client.answer().text(), length.to_string());
    }
    proxy.wait_stat("mirrored", 4);
    let mut lengths: Vec<_> = shadow.requests().iter().map(|one| one.body.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [50_000, 50_000, 500_000, 500_000]);
    for copy in shadow.requests() {
        assert!(copy.body == body(copy.body.len()));
    }
}

#[test]
fn an_answer_may_come_before_the_body_is_read() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
        conn.wire.finish()?;
        // What still comes is dropped.
        conn.wire.rest().map(|_| ())
    });
    let proxy = one_at_a_time(&origin, ON).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        client.send(of_length(30_000_000));
        client.send(body(30_000_000));
        let answer = client.answer();
        assert_eq!((answer.status(), &*answer.text()), (403, "no"));
        if answer.head.closes() {
            client = Client::connect(proxy.address());
        }
    }
    proxy.wait_stat("upstream_active", 0);
    expect_nothing_left(&proxy);
}

#[test]
fn both_ways_at_once_and_older_clients() {
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = one_at_a_time(&origin, ON)
        .route("buffer_response = { memory = \"128KiB\", disk = \"64MiB\" }")
        .start();
    for version in ["1.1", "1.0"] {
        let mut client = Client::connect(proxy.address());
        client.send(of_length(20_000_000).replace("1.1", version));
        client.send(body(20_000_000));
        let head = client.head();
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "");
        let framing = head.answer_framing("PUT");
        assert!(client.wire.message(head, framing).unwrap().body == body(20_000_000));
    }
    expect_nothing_left(&proxy);
}
