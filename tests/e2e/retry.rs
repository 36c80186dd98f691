//! A request that failed at one member and goes to another: which may, how often, and with what.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::origin::refusing;
use crate::support::{Client, Conn, Message, Origin, Proxy, Setup, answer_with, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// Reads one request and resets the connection.
fn resetting() -> Origin {
    Origin::owning(|mut conn| {
        conn.expect_request()?;
        conn.wire.reset();
        Ok(())
    })
}

/// Says this status to everything, and `body`.
fn refusing_with(status: &'static str, body: &'static str) -> Origin {
    Origin::serving(move |_| answer_with(status, &[], body.as_bytes()))
}

/// A pool whose members are never ejected, and whose retries are never too many.
fn patient(origins: &[&Origin]) -> Setup {
    Setup::to(origins).pool("eject = \"off\"").workers(1)
}

fn requests(origins: &[&Origin]) -> usize {
    origins.iter().map(|origin| origin.requests().len()).sum()
}

fn put(length: usize) -> (String, Vec<u8>) {
    let body = (0..length).map(|at| (at * 7 % 251) as u8).collect();
    (format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n"), body)
}

/// Every id that came to these, and how often.
fn ids(origins: &[&Origin]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for request in origins.iter().flat_map(|origin| origin.requests()) {
        let id = request.head.get("x-id").expect("an id").to_owned();
        *ids.entry(id).or_default() += 1;
    }
    ids
}

/// Clients that send POSTs of every framing; the status of each.
fn post_all(proxy: &Proxy, clients: usize, each: usize) -> BTreeMap<String, u16> {
    let address = proxy.address();
    let post = move |client: usize| {
        let mut connection = Client::connect(address);
        let mut answers = Vec::new();
        for number in 0..each {
            let id = format!("{client}-{number}");
            let rest = match number % 3 {
                0 => "Content-Length: 0\r\n\r\n".to_owned(),
                1 => "Content-Length: 4\r\n\r\nbody".to_owned(),
                _ => "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n".to_owned(),
            };
            let answer =
                connection.ask(format!("POST / HTTP/1.1\r\nHost: t\r\nX-Id: {id}\r\n{rest}"));
            answers.push((id, answer.status()));
            if answer.head.closes() {
                connection = Client::connect(address);
            }
        }
        answers
    };
    let threads: Vec<_> = (0..clients).map(|client| thread::spawn(move || post(client))).collect();
    threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
}

#[test]
fn no_post_arrives_twice() {
    let count = AtomicUsize::new(0);
    // One in three is read and then reset, on connections old and new.
    let flaky = Origin::owning(move |mut conn: Conn| {
        while conn.request()?.is_some() {
            if count.fetch_add(1, Ordering::SeqCst) % 3 == 2 {
                conn.wire.reset();
                return Ok(());
            }
            conn.send(ok("a"))?;
        }
        Ok(())
    });
    let good = Origin::saying("b");
    let proxy = Setup::to(&[&flaky, &good]).pool("eject = \"off\"").start();
    let answers = post_all(&proxy, 4, 60);
    let arrived = ids(&[&flaky, &good]);
    assert_eq!(arrived.values().max(), Some(&1), "{arrived:?}");
    for (id, status) in &answers {
        assert!(matches!(status, 200 | 502), "{id}: {status}");
        assert!(*status != 200 || arrived.contains_key(id), "{id} was answered by nobody");
    }
    assert!(answers.values().filter(|status| **status == 502).count() >= 10);
    let stats = proxy.stats();
    assert_eq!((stats.total("retries"), stats.total("upstream_retries")), (0, 0));
    assert!(stats.total("retry_not_idempotent") >= 10);
}

/// Where nobody else could have the request, no retry is granted, counted or charged.
#[test]
fn a_pool_of_one_has_nobody_to_retry_at() {
    let (_socket, down) = refusing();
    let resetting = resetting();
    for (member, reason) in [(down, "connect_refused"), (resetting.address(), "reset")] {
        let proxy = Setup::to_addresses(&[member]).pool("eject = \"off\"").start();
        for _ in 0..3 {
            Client::connect(proxy.address()).get("/").expect_error(502, "member", reason);
        }
        let stats = proxy.stats();
        for counter in ["retries", "retry_budget", "upstream_failovers"] {
            assert_eq!(stats.total(counter), 0, "{counter}");
        }
        assert_eq!(stats.total(&format!("error_member_{reason}")), 3);
    }
}

#[test]
fn a_post_of_which_no_byte_was_sent_goes_on() {
    let (_socket, down) = refusing();
    let good = Origin::saying("good");
    let proxy = Setup::to_addresses(&[down, good.address()])
        .pool("eject = \"off\"\nretry = { floor = 1000 }")
        .start();
    let answers = post_all(&proxy, 2, 30);
    assert_eq!(answers.values().filter(|status| **status == 200).count(), 60);
    let arrived = ids(&[&good]);
    assert_eq!((arrived.len(), arrived.values().max()), (60, Some(&1)));
    let stats = proxy.stats();
    assert!(stats.total("retries") >= 15, "{stats:?}");
    assert_eq!(stats.total("retries"), stats.total("error_member_connect_refused"));
}

#[test]
fn the_budget_bounds_what_a_failing_pool_gets() {
    let members = [resetting(), resetting(), resetting()];
    let all = [&members[0], &members[1], &members[2]];
    let proxy =
        Setup::to(&all).pool("eject = \"off\"\nretry = { budget = \"20%\", floor = 0 }").start();
    let address = proxy.address();
    let get = move || {
        let mut client = Client::connect(address);
        for _ in 0..100 {
            client.ask(GET).expect_error(502, "member", "reset");
        }
    };
    let begun = Instant::now();
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(get)).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a client"));
    let stats = proxy.stats();
    let (seen, retries) = (requests(&all), stats.total("retries"));
    assert_eq!(seen as i64, 400 + retries);
    // A fifth, rounded up by each worker; of ten seconds, so that what began before may count twice.
    let most = if begun.elapsed() < Duration::from_secs(10) { 82 } else { 2 * 82 };
    assert!((40..=most).contains(&retries), "{retries}");
    assert!(stats.total("retry_budget") >= 300, "{stats:?}");
}

#[test]
fn without_retries_the_client_is_told() {
    let (bad, good) = (resetting(), Origin::saying("good"));
    let (_socket, down) = refusing();
    let proxy = Setup::to_addresses(&[bad.address(), good.address(), down])
        .pool("retry = \"off\"\neject = \"off\"")
        .workers(1)
        .start();
    let mut client = Client::connect(proxy.address());
    // What fails is neither ejected nor avoided.
    for _ in 0..10 {
        client.get("/").expect_error(502, "member", "reset");
        assert_eq!(client.get("/").text(), "good");
        client.get("/").expect_error(502, "member", "connect_refused");
    }
    assert_eq!((bad.requests().len(), good.requests().len()), (10, 10));
    let stats = proxy.stats();
    assert_eq!((stats.total("retries"), stats.total("ejections")), (0, 0));
    assert_eq!(stats.total("members_out"), 0);
}

#[test]
fn only_what_is_named_is_tried_again() {
    let (bad, good) = (resetting(), Origin::saying("good"));
    let proxy = patient(&[&bad, &good]).pool("retry = { on = [\"connect\"] }").start();
    let mut client = Client::connect(proxy.address());
    client.get("/").expect_error(502, "member", "reset");
    assert_eq!(client.get("/").text(), "good");
    assert_eq!(good.requests().len(), 1);
}

#[test]
fn attempts_are_bounded_and_go_to_members_not_yet_tried() {
    let members: Vec<_> = (0..5).map(|_| resetting()).collect();
    let all: Vec<_> = members.iter().collect();
    for (attempts, each) in [(1, 2), (3, 4), (8, 5)] {
        let before = requests(&all);
        let retry = format!("retry = {{ attempts = {attempts}, floor = 1000 }}");
        let proxy = patient(&all).pool(retry).start();
        let mut client = Client::connect(proxy.address());
        for _ in 0..5 {
            client.get("/").expect_error(502, "member", "reset");
        }
        assert_eq!(requests(&all) - before, 5 * each);
        let refused = proxy.stats().total("retry_attempts");
        assert_eq!(refused, if each < 5 { 5 } else { 0 });
    }
    // Each request went to a member once at the most.
    assert!(members.iter().all(|member| member.requests().len() <= 15));
}

#[test]
fn behind_the_deadline_there_is_no_other_attempt() {
    let silent = Origin::scripted(|conn| conn.wire.rest().map(drop));
    let good = Origin::saying("good");
    let proxy = patient(&[&silent, &good])
        .pool("retry = { deadline = \"100ms\" }\ntimeouts = { response = \"400ms\" }")
        .start();
    let mut client = Client::connect(proxy.address());
    client.get("/").expect_error(504, "member", "response_timeout");
    assert_eq!(good.requests().len(), 0);
    assert_eq!(proxy.stats().total("retry_deadline"), 1);
}

#[test]
fn a_status_is_passed_over_only_for_another_member() {
    let no = refusing_with("503 Service Unavailable", "no");
    let good = Origin::saying("good");
    let proxy = patient(&[&no, &good]).pool("retry = { on = [\"503\"], floor = 1000 }").start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(good.requests().len(), 10);
    let passed_over = no.requests().len() as i64;
    assert!(passed_over >= 5, "{passed_over}");
    let stats = proxy.stats();
    assert_eq!(stats.total("retries"), passed_over);
    assert_eq!(stats.total("error_member_status"), passed_over);
    // Not for a POST: it may have been done. The answer is the member's own.
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    let mut answers = [client.ask(post).text(), client.ask(post).text()];
    answers.sort();
    assert_eq!(answers, ["good", "no"]);
    assert_eq!(proxy.stats().total("retry_not_idempotent"), 1);
}

#[test]
fn the_last_members_answer_is_passed_on_whatever_it_is() {
    let members =
        ["one", "two", "three"].map(|name| refusing_with("503 Service Unavailable", name));
    let all = [&members[0], &members[1], &members[2]];
    for count in 1..=3 {
        let before = requests(&all);
        let proxy = patient(&all[..count]).pool("retry = { on = [\"503\"] }").start();
        let mut client = Client::connect(proxy.address());
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!(answer.status(), 503);
            assert!(["one", "two", "three"].contains(&answer.text().as_str()), "{answer:?}");
        }
        assert_eq!(requests(&all) - before, 2 * count);
    }
}

#[test]
fn a_body_is_sent_again_byte_for_byte() {
    let failing: [fn() -> Origin; 2] =
        [resetting, || refusing_with("503 Service Unavailable", "no")];
    for failing in failing {
        for length in [0, 1, 8 << 10, 20 << 10, 64 << 10] {
            let (bad, good) = (failing(), Origin::serving(|request| ok(&request.body)));
            let proxy =
                patient(&[&bad, &good]).pool("retry = { on = [\"reset\", \"503\"] }").start();
            let (head, body) = put(length);
            let mut client = Client::connect(proxy.address());
            client.send(&head);
            for part in body.chunks(7_000) {
                client.send(part);
            }
            let answer = client.answer();
            assert_eq!((answer.status(), answer.body == body), (200, true), "{length}");
            let arrived: Vec<Message> = [&bad, &good].map(Origin::only_request).into();
            assert!(arrived.iter().all(|request| request.body == body), "{length}");
            assert_eq!(arrived[0].head.start, arrived[1].head.start);
            assert_eq!(proxy.stats().total("retries"), 1);
            // The connection goes on behind it.
            assert_eq!(client.get("/").text(), "");
        }
    }
}

#[test]
fn a_body_that_was_not_kept_is_not_sent_again() {
    for (length, kept) in [(16 << 10, true), ((16 << 10) + 1, false), (20 << 10, false)] {
        let (head, body) = put(length);
        let whole = [head.as_bytes(), &body].concat();
        let (bad, good) = (resetting(), Origin::saying("good"));
        let proxy = patient(&[&bad, &good]).pool("retry = { body = \"16KiB\" }").start();
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(whole);
        if kept {
            assert_eq!(answer.text(), "good");
        } else {
            answer.expect_error(502, "member", "reset");
        }
        let kept = i64::from(kept);
        assert_eq!((bad.requests().len(), good.requests().len() as i64), (1, kept));
        let stats = proxy.stats();
        assert_eq!((stats.total("retry_body_gone"), stats.total("retries")), (1 - kept, kept));
    }
}

#[test]
fn a_post_with_an_idempotency_key_is_repeated_where_members_honour_it() {
    let rest = "Content-Length: 4\r\n\r\nbody";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    for (honours, method, fields, rest, again) in [
        (true, "POST", "Idempotency-Key: \"k-1\"\r\n", rest, true),
        (true, "PATCH", "idempotency-key: k\r\n", rest, true),
        (true, "POST", "Idempotency-Key: k\r\n", chunked, true),
        (true, "POST", "", rest, false),
        (true, "POST", "Idempotency-Key:  \r\n", rest, false),
        // Not for a method that nobody knows, nor with a key that the member does not get.
        (true, "LOCK", "Idempotency-Key: k\r\n", rest, false),
        (true, "POST", "Idempotency-Key: k\r\nConnection: idempotency-key\r\n", rest, false),
        (false, "POST", "Idempotency-Key: k\r\n", rest, false),
    ] {
        let (bad, good) = (resetting(), Origin::saying("good"));
        let retry = format!("retry = {{ idempotency_key = {honours} }}");
        let proxy = patient(&[&bad, &good]).pool(retry).start();
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(format!("{method} / HTTP/1.1\r\nHost: t\r\n{fields}{rest}"));
        let case = format!("{method} {fields:?} {honours}");
        if again {
            assert_eq!(answer.text(), "good", "{case}");
            assert_eq!(good.only_request().text(), "body", "{case}");
        } else {
            answer.expect_error(502, "member", "reset");
            assert_eq!(proxy.stats().total("retry_not_idempotent"), 1, "{case}");
        }
        assert_eq!(bad.requests().len(), 1, "{case}");
        assert_eq!(proxy.stats().total("retries"), i64::from(again), "{case}");
    }
}

#[test]
fn a_stale_connection_is_no_matter_to_a_post_with_a_key() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send(ok("fresh"))?;
        conn.wire.head().map(drop)
    });
    let proxy = Setup::to(&[&origin]).pool("retry = { idempotency_key = true }").workers(1).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        let post =
            "POST / HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(client.ask(post).text(), "fresh");
    }
    assert_eq!(proxy.stats().total("upstream_retries"), 2);
}

/// Reads everything and says nothing.
fn silent() -> Origin {
    Origin::scripted(|conn| {
        conn.request()?;
        conn.wire.rest().map(drop)
    })
}

#[test]
fn a_member_that_takes_too_long_loses_the_request_to_another() {
    let (slow, good) = (silent(), Origin::saying("good"));
    let pool = "timeouts = { response = \"60s\" }\nretry = { try_timeout = \"2s\" }\n\
                eject = { failures = 1 }";
    let proxy = Setup::to(&[&slow, &good]).pool(pool).workers(1).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "good");
    let stats = proxy.stats();
    assert_eq!(stats.total("error_member_response_timeout"), 1);
    assert_eq!(stats.total("retries"), 1);
    proxy.wait_stat("ejections", 1);
    slow.wait_all_closed();
}

/// The last attempt, and a request that may not be repeated, have the whole `timeouts.response`.
#[test]
fn the_last_try_has_all_the_time() {
    let response = Duration::from_millis(800);
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    for (request, attempts, failures) in [(GET, 8, 2), (GET, 1, 2), (post, 8, 1)] {
        let (one, two) = (silent(), silent());
        let pool = format!(
            "timeouts = {{ response = \"800ms\" }}\n\
             retry = {{ try_timeout = \"100ms\", attempts = {attempts} }}"
        );
        let proxy = patient(&[&one, &two]).pool(pool).start();
        let mut client = Client::connect(proxy.address());
        let begun = Instant::now();
        client.ask(request).expect_error(504, "member", "response_timeout");
        assert!(begun.elapsed() >= response, "{:?}", begun.elapsed());
        assert_eq!(proxy.stats().total("error_member_response_timeout"), failures);
    }
}
