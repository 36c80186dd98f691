//! Clients that trickle, and bounds of bodies and targets per route.

use std::thread;
use std::time::Duration;

use crate::support::wire::End;
use crate::support::{Client, Origin, Setup, answer_with, ok};

/// Of a listener: fast enough is who sends or takes 10,000 bytes a second, or is at most two behind.
const PACE: &str =
    "limits.min_rate = \"10KB/s\"\ntimeouts = { slow = \"2s\", body = \"60s\", write = \"60s\" }";

#[test]
fn an_upload_that_trickles_is_cut_off_and_its_member_sees_a_reset() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.wire.rest().map(|_| ())
    });
    let proxy = Setup::to(&[&origin]).listener(PACE).start();
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut client = Client::connect(proxy.address());
        client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n"));
        // One byte now and then: enough for `timeouts.body`.
        let mut writer = client.wire.stream().try_clone().unwrap();
        let trickle = thread::spawn(move || {
            use std::io::Write as _;
            while writer.write_all(b"1\r\nx\r\n").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let answer = client.answer();
        answer.expect_error(408, "client", "slow_body");
        assert!(answer.head.closes());
        drop(client);
        trickle.join().unwrap();
    }
    assert_eq!(proxy.stats().total("error_client_slow_body"), 2);
    proxy.wait_idle();
    origin.wait_all_closed();
}

#[test]
fn who_does_not_read_is_reset_and_its_member_is_free() {
    for fields in [&[][..], &[("Transfer-Encoding", "chunked")]] {
        let fields = fields.to_vec();
        let chunked = !fields.is_empty();
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            let size = 64 << 20;
            let head = if chunked {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000000\r\n".to_owned()
            } else {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
            };
            conn.send(head)?;
            conn.send(vec![b'x'; size])
        });
        let proxy = Setup::to(&[&origin]).listener(PACE).start();
        let mut client = Client::connect_narrow(proxy.address(), 4096);
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.head().status(), 200);
        proxy.wait_stat("error_client_slow_reader", 1);
        proxy.wait_idle();
        let (_, end) = client.rest();
        assert_eq!(end, End::Reset);
    }
}

#[test]
fn who_is_fast_enough_or_waits_itself_is_left_alone() {
    // The member takes longer than a client may be behind.
    let origin = Origin::scripted(|conn| {
        while let Some(request) = conn.request()? {
            thread::sleep(Duration::from_millis(5500));
            conn.send(ok(request.body.len().to_string()))?;
        }
        Ok(())
    });
    let pace = PACE.replace("slow = \"2s\"", "slow = \"4s\"");
    let proxy = Setup::to(&[&origin]).listener(pace).start();
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n");
    for _ in 0..20 {
        client.send(vec![b'x'; 3000]);
        thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(client.answer().text(), "60000");
    // Between two requests and before a head nobody is slow.
    assert_eq!(client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx").text(), "1");
}

#[test]
fn a_route_has_its_own_bound_of_bodies() {
    let origin = Origin::serving(|request| ok(request.body.len().to_string()));
    let member = origin.address();
    let body = format!(
        "[[route]]\npool = \"a\"\npath = \"/large\"\nlimits = {{ body = \"4KiB\" }}\n\
         [[route]]\npool = \"a\"\npath = \"/any\"\nlimits = {{ body = \"none\" }}\n\
         [[route]]\npool = \"a\"\n[pool.a]\nmembers = [\"{member}\"]\n"
    );
    let proxy = Setup::with_body(body).listener("limits = { body = \"1KiB\" }").start();
    for (path, size, fits) in [
        ("/", 1024, true),
        ("/", 1025, false),
        ("/large", 4096, true),
        ("/large", 4097, false),
        ("/any", 100_000, true),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\n");
        let data = "x".repeat(size);
        let whole = format!("{head}Content-Length: {size}\r\n\r\n{data}");
        let chunked =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{data}\r\n0\r\n\r\n");
        for request in [whole, chunked] {
            let answer = Client::connect(proxy.address()).ask(request);
            if fits {
                assert_eq!(answer.text(), size.to_string(), "{path} {size}");
            } else {
                answer.expect_error(413, "client", "body_too_large");
            }
        }
    }
    proxy.wait_idle();
}

#[test]
fn a_target_has_a_bound_of_its_own() {
    let origin = Origin::serving(|_| answer_with("204 No Content", &[], b""));
    let proxy = Setup::to(&[&origin]).listener("limits = { uri = 10 }").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/12345?789").status(), 204);
    client.get("/12345?7890").expect_error(414, "client", "uri_too_long");
    assert_eq!(client.get("/").status(), 204);
}
