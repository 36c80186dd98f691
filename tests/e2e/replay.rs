//! Request bodies that stream and whose member dies: the next one gets exactly what the client sent.

use std::thread;
use std::time::Duration;

use crate::support::origin::unanswering;
use crate::support::{Client, Conn, Origin, Setup, answer_with, eventually, ok};

/// Chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % bound
    }

    /// `bytes` in pieces of at most `most`.
    fn pieces(&mut self, mut bytes: &[u8], most: usize) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((1 + self.below(most)).min(bytes.len()));
            pieces.push(piece.to_vec());
            bytes = rest;
        }
        pieces
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251 + at / 251) as u8).collect()
}

/// How a client writes its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Length,
    /// In chunks of up to so many bytes, with a trailer.
    Chunked(usize),
}

impl Form {
    fn head(self, method: &str, length: usize) -> String {
        let framing = match self {
            Form::Length => format!("Content-Length: {length}"),
            Form::Chunked(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        format!("{method} /upload HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n")
    }

    fn body(self, body: &[u8], chance: &mut Chance) -> Vec<u8> {
        let Form::Chunked(most) = self else { return body.to_vec() };
        let mut out = Vec::new();
        for chunk in chance.pieces(body, most) {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(&chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        out
    }
}

/// How a member fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Reset,
    Close,
    Status,
}

const DEATHS: [Death; 3] = [Death::Reset, Death::Close, Death::Status];

/// Reads so many bytes behind the head of a request, or all of it, and fails.
fn dying(after: Option<usize>, death: Death) -> Origin {
    Origin::owning(move |mut conn: Conn| {
        match after {
            None => drop(conn.expect_request()?),
            Some(count) => {
                conn.wire.head()?;
                conn.wire.exactly(count)?;
            }
        }
        match death {
            Death::Reset => conn.wire.reset(),
            Death::Close => {}
            Death::Status => {
                conn.send(answer_with("503 Service Unavailable", &[], b"no"))?;
                conn.wire.rest()?;
            }
        }
        Ok(())
    })
}

fn echo() -> Origin {
    Origin::serving(|request| ok(&request.body))
}

/// Who failed once is out, so that it gets no further request of the test.
const RETRY: &str = "eject = { failures = 1, for = \"10m\", max_share = \"100%\", on = [\"connect\", \"reset\", 503] }\n\
                     retry = { on = [\"connect\", \"reset\", 503], floor = 1000 }";

/// The member that answered got this body, and the client's connection goes on.
#[track_caller]
fn expect_whole(good: &Origin, client: &mut Client, form: Form, body: &[u8], case: &str) {
    let answer = client.answer();
    assert_eq!((answer.status(), answer.body == body), (200, true), "{case}");
    let got = good.only_request();
    assert!(got.body == body, "{case}: {} bytes of {}", got.body.len(), body.len());
    let trailers = usize::from(form != Form::Length);
    assert_eq!(got.trailers.len(), trailers, "{case}");
    // Nothing stands between this request and the next one, on either side.
    assert_eq!(client.get("/next").text(), "", "{case}");
    assert_eq!(good.requests()[1].head.target(), "/next", "{case}");
    assert_eq!(good.connections(), 1, "{case}");
}

/// The client sends half, and the rest only when the next member has the request: the first one died
/// while the proxy waited for the client.
#[test]
fn a_member_that_dies_while_the_client_is_waited_for() {
    for form in [Form::Length, Form::Chunked(700)] {
        for death in DEATHS {
            for seen in [0, 1, 3000] {
                let case = format!("{form:?} {death:?} after {seen}");
                let (bad, good) = (dying(Some(seen), death), echo());
                let proxy = Setup::to(&[&bad, &good]).pool(RETRY).workers(1).start();
                let body = bytes(9000);
                let wire = form.body(&body, &mut Chance(7));
                let (first, rest) = wire.split_at(4000);
                let mut client = Client::connect(proxy.address());
                client.send(form.head("PUT", body.len()));
                client.send(first);
                eventually("the next member has it", || good.connections() == 1);
                for piece in rest.chunks(1500) {
                    client.send(piece);
                }
                expect_whole(&good, &mut client, form, &body, &case);
                let stats = proxy.stats();
                assert_eq!((stats.total("retries"), stats.total("retry_body_gone")), (1, 0));
            }
        }
    }
}

#[test]
fn a_member_that_dies_behind_the_whole_upload() {
    for form in [Form::Length, Form::Chunked(5000)] {
        for death in DEATHS {
            let (bad, good) = (dying(None, death), echo());
            let proxy = Setup::to(&[&bad, &good]).pool(RETRY).workers(1).start();
            let body = bytes(30_000);
            let mut client = Client::connect(proxy.address());
            client.send(form.head("PUT", body.len()));
            client.send(form.body(&body, &mut Chance(8)));
            expect_whole(&good, &mut client, form, &body, &format!("{form:?} {death:?}"));
            assert!(bad.requests().iter().all(|request| request.body == body));
        }
    }
}

/// Wherever members die and however the client trickles: nothing is lost, nothing comes twice.
#[test]
fn whoever_dies_where_ever_the_last_gets_it_all() {
    for seed in 0..40 {
        let chance = &mut Chance(seed);
        let form = [Form::Length, Form::Chunked(1 + chance.below(9000))][chance.below(2)];
        let length = 8193 + chance.below(45_000);
        let mut die = || {
            let death = DEATHS[chance.below(3)];
            let after = [0, chance.below(100), chance.below(8000), chance.below(length)];
            dying((chance.below(6) > 0).then_some(after[chance.below(4)]), death)
        };
        let (first, second, good) = (die(), die(), echo());
        let proxy = Setup::to(&[&first, &second, &good]).pool(RETRY).workers(1).start();
        let body = bytes(length);
        let most = [100, 3000, 30_000][chance.below(3)];
        let wire = form.body(&body, chance);
        let pieces = chance.pieces(&wire, most);
        let mut client = Client::connect(proxy.address());
        client.send(form.head("PUT", length));
        for piece in pieces {
            client.send(piece);
            thread::yield_now();
        }
        expect_whole(&good, &mut client, form, &body, &format!("seed {seed}"));
        assert_eq!(proxy.stats().total("retries"), 2, "seed {seed}");
        assert_eq!(first.connections() + second.connections(), 2, "seed {seed}");
    }
}

#[test]
fn a_stale_connection_costs_a_streaming_body_nothing() {
    for form in [Form::Length, Form::Chunked(100)] {
        let origin = Origin::scripted(|conn| {
            let request = conn.expect_request()?;
            conn.send(ok(request.body))?;
            conn.wire.head().map(drop)
        });
        let proxy = Setup::to(&[&origin]).workers(1).start();
        let mut client = Client::connect(proxy.address());
        assert_eq!(client.get("/").text(), "");
        let body = bytes(20_000);
        let wire = form.body(&body, &mut Chance(9));
        client.send(form.head("PUT", body.len()));
        client.send(&wire[..1000]);
        eventually("it is sent on a fresh connection", || origin.connections() == 2);
        client.send(&wire[1000..]);
        assert!(client.answer().body == body);
        let stats = proxy.stats();
        assert_eq!((stats.total("upstream_retries"), stats.total("retries")), (1, 0));
    }
}

#[test]
fn beyond_the_bound_there_is_no_second_try() {
    for (form, method, counter) in [
        (Form::Length, "PUT", "retry_body_gone"),
        (Form::Chunked(4000), "PUT", "retry_body_gone"),
        (Form::Length, "POST", "retry_not_idempotent"),
        (Form::Chunked(4000), "POST", "retry_not_idempotent"),
    ] {
        let (bad, good) = (dying(Some(17 << 10), Death::Reset), echo());
        let retry = "eject = \"off\"\nretry = { body = \"16KiB\" }";
        let proxy = Setup::to(&[&bad, &good]).pool(retry).workers(1).start();
        let body = bytes(40 << 10);
        let wire = form.body(&body, &mut Chance(10));
        let mut client = Client::connect(proxy.address());
        client.send(form.head(method, body.len()));
        client.send(&wire[..20 << 10]);
        client.answer().expect_error(502, "member", "reset");
        assert_eq!(good.connections(), 0);
        let stats = proxy.stats();
        assert_eq!((stats.total(counter), stats.total("retries")), (1, 0), "{form:?} {method}");
    }
}

#[test]
fn a_long_upload_passes_whether_it_is_kept_or_not() {
    for keep in ["0B", "100KiB", "16MiB"] {
        for form in [Form::Length, Form::Chunked(60_000)] {
            let good = echo();
            let pool = format!("retry = {{ body = \"{keep}\" }}");
            let proxy = Setup::to(&[&good]).pool(pool).start();
            let body = bytes(1_500_000);
            let wire = form.body(&body, &mut Chance(11));
            let mut client = Client::connect(proxy.address());
            client.send(form.head("PUT", body.len()));
            client.send(wire);
            expect_whole(&good, &mut client, form, &body, keep);
        }
    }
}

/// The time that a client may take for its body runs only while it is waited for.
#[test]
fn what_members_take_is_not_charged_to_the_client() {
    let (bad, good) = (dying(Some(0), Death::Reset), echo());
    let (_socket, _fillers, slow) = unanswering();
    let proxy = Setup::to_addresses(&[bad.address(), slow, good.address()])
        .pool(RETRY)
        .pool("timeouts = { connect = \"6s\" }")
        .listener("timeouts = { body = \"4s\" }")
        .workers(1)
        .start();
    let body = bytes(9000);
    let mut client = Client::connect(proxy.address());
    client.send(Form::Length.head("PUT", body.len()));
    client.send(&body[..100]);
    eventually("the last member has it", || good.connections() == 1);
    client.send(&body[100..]);
    expect_whole(&good, &mut client, Form::Length, &body, "");
    assert_eq!(proxy.stats().total("error_member_connect_timeout"), 1);
}

/// A second attempt waits for the client no longer than the first.
#[test]
fn a_client_that_stops_or_leaves_ends_the_second_attempt() {
    for leaves in [true, false] {
        let (bad, good) = (dying(Some(0), Death::Reset), echo());
        let proxy = Setup::to(&[&bad, &good])
            .pool(RETRY)
            .listener("timeouts = { body = \"4s\" }")
            .workers(1)
            .start();
        let mut client = Client::connect(proxy.address());
        client.send(Form::Length.head("PUT", 9000));
        client.send(bytes(100));
        eventually("the next member has it", || good.connections() == 1);
        if leaves {
            drop(client);
            proxy.wait_stat("error_client_gone", 1);
        } else {
            client.answer().expect_error(408, "client", "body_timeout");
        }
        good.wait_all_closed();
        assert_eq!(good.requests().len(), 0, "half an upload was made a whole one");
        proxy.wait_idle();
        assert_eq!(proxy.stats().total("retries"), 1);
    }
}

/// When no member takes it the client is told, and a connection whose body came whole goes on.
#[test]
fn a_body_that_nobody_takes() {
    let (one, two) = (dying(None, Death::Reset), dying(None, Death::Reset));
    let proxy = Setup::to(&[&one, &two])
        .pool("eject = \"off\"\nretry = { floor = 1000 }")
        .workers(1)
        .start();
    let body = bytes(20_000);
    let mut client = Client::connect(proxy.address());
    for form in [Form::Length, Form::Chunked(3000)] {
        client.send(form.head("PUT", body.len()));
        client.send(form.body(&body, &mut Chance(12)));
        client.answer().expect_error(502, "member", "reset");
    }
    assert_eq!((one.requests().len(), two.requests().len()), (2, 2));
    assert_eq!(proxy.stats().total("accepts"), 1);
}

/// A client that waits for a 100 sends its body once, to the member that lasts.
#[test]
fn a_client_that_expects_100_continue() {
    let (bad, good) = (
        dying(Some(0), Death::Reset),
        Origin::scripted(|conn| {
            let head = conn.wire.head()?.expect("a head");
            conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
            let framing = head.request_framing();
            let request = conn.wire.message(head, framing)?;
            conn.send(ok(request.body))
        }),
    );
    let proxy = Setup::to(&[&bad, &good]).pool(RETRY).workers(1).start();
    let mut client = Client::connect(proxy.address());
    client.send("PUT / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    assert_eq!(client.ask("hello").text(), "hello");
    assert_eq!(proxy.stats().total("retries"), 1);
}

/// What is slow about an upload is the client's, not the member's.
#[test]
fn a_slow_client_is_no_reason_for_another_try() {
    let (good, other) = (echo(), echo());
    let pool = "retry = { try_timeout = \"1s\" }";
    let proxy = Setup::to(&[&good, &other]).pool(pool).workers(1).start();
    let body = bytes(9000);
    let mut client = Client::connect(proxy.address());
    client.send(Form::Length.head("PUT", body.len()));
    client.send(&body[..100]);
    assert!(client.wire.silent_for(Duration::from_secs(3)).expect("to listen"));
    client.send(&body[100..]);
    assert!(client.answer().body == body);
    assert_eq!((good.connections(), other.connections()), (1, 0));
}
