//! Probes against scripted members.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::balancer::Site;

/// Long enough never to be waited for.
const LONG: Duration = Duration::from_secs(20);
/// Waited for to its end.
const SHORT: Duration = Duration::from_millis(60);

/// How a member ends after it has answered.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Hold,
}

/// A member that reads one request head, answers with these bytes one by one or at once, and ends
/// so. Its address, and what it read.
async fn member(answer: &[u8], piece: usize, end: End) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_vec();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap() > 0 {}
        for piece in answer.chunks(piece) {
            // The prober may have seen enough.
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
        if end == End::Hold {
            // Until the prober closes.
            _ = stream.read_buf(&mut Vec::with_capacity(1)).await;
        }
        String::from_utf8(request).unwrap()
    });
    (address, task)
}

fn http() -> Probe {
    Probe::Http {
        method: "GET".to_owned(),
        path: "/healthz?deep=1".to_owned(),
        host: None,
        headers: Vec::new(),
        status: vec![(200, 299)],
        body: None,
    }
}

/// A probe that looks for `text`.
fn looking_for(text: &str) -> Probe {
    let mut probe = http();
    let Probe::Http { body, .. } = &mut probe else { unreachable!() };
    *body = Some(text.to_owned());
    probe
}

fn health(probe: Probe, timeout: Duration) -> HealthConfig {
    let interval = 2 * timeout;
    HealthConfig { probe, interval, timeout, fall: 1, rise: 1, port: None, start_down: false }
}

fn limits() -> LimitsConfig {
    LimitsConfig {
        access_log_queue: 1,
        encoders: 1,
        response_head: 1024,
        response_headers: 10,
        trailers: 100,
    }
}

async fn probe(health: &HealthConfig, address: SocketAddr) -> ProbeResult {
    let host = address.to_string().into();
    let site = Site { address: Address::Ip(address), host, epoch: 0 };
    Prober::new(health, &limits(), &site, None).probe().await.unwrap()
}

/// What a probe makes of an answer, however it is split.
async fn check(probe_with: Probe, answer: &[u8], end: End, expected: ProbeResult) {
    for piece in [answer.len().max(1), 1] {
        if piece == 1 && answer.len() > 4096 {
            continue;
        }
        let (address, task) = member(answer, piece, end).await;
        let result = probe(&health(probe_with.clone(), LONG), address).await;
        let shown = answer.get(..200).unwrap_or(answer).escape_ascii();
        assert_eq!(result, expected, "{shown} by {piece}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn statuses() {
    let text = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let bad = |status| Err(ProbeFailure::Status(status));
    for (status, expected) in [
        ("200 OK", Ok(())),
        ("204 No Content", Ok(())),
        ("299", Ok(())),
        ("199 X", Err(ProbeFailure::Closed)),
        ("300 X", bad(300)),
        ("301 Moved Permanently", bad(301)),
        ("503 Service Unavailable", bad(503)),
        ("101 Switching Protocols", bad(101)),
        ("2000 X", Err(ProbeFailure::BadAnswer)),
    ] {
        check(http(), text(status).as_bytes(), End::Close, expected).await;
    }
    let mut probe = http();
    let Probe::Http { status, .. } = &mut probe else { unreachable!() };
    *status = vec![(200, 200), (401, 403)];
    for (status, expected) in [("200", Ok(())), ("204", bad(204)), ("402", Ok(()))] {
        check(probe.clone(), text(status).as_bytes(), End::Close, expected).await;
    }
}

#[tokio::test]
async fn answers_whole_and_broken() {
    use ProbeFailure::{BadAnswer, Closed};
    let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let cases: [(&str, End, ProbeResult); 13] = [
        // The end of the body is the end, whether or not the member closes.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", End::Hold, Ok(())),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            End::Hold,
            Ok(()),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", End::Hold, Ok(())),
        ("HTTP/1.0 200 OK\r\n\r\nok", End::Close, Ok(())),
        (early, End::Hold, Ok(())),
        ("", End::Close, Err(Closed)),
        ("HTTP/1.1 200 OK\r\nContent-Le", End::Close, Err(Closed)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", End::Close, Err(Closed)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok", End::Close, Err(Closed)),
        ("SSH-2.0-OpenSSH_9.6\r\n", End::Hold, Err(BadAnswer)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", End::Hold, Err(BadAnswer)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            End::Hold,
            Err(BadAnswer),
        ),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", End::Close, Err(Closed)),
    ];
    for (answer, end, expected) in cases {
        check(http(), answer.as_bytes(), end, expected).await;
    }
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2000));
    check(http(), head.as_bytes(), End::Hold, Err(BadAnswer)).await;
}

#[tokio::test]
async fn a_text_is_looked_for_in_the_first_64_kib_of_a_body() {
    let none = Err(ProbeFailure::Body);
    let length =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let closed = |body: &str| format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    let chunked = |body: &str| {
        let (first, second) = body.split_at(body.len() / 2);
        let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{}{}0\r\n\r\n", chunk(first), chunk(second))
    };
    let filled = |before: usize| format!("{}ready{}", ".".repeat(before), ".".repeat(100_000));
    let cases = [
        ("all ready here".to_owned(), Ok(())),
        ("all read here".to_owned(), none),
        (filled(BODY_MOST - 5), Ok(())),
        (filled(BODY_MOST - 4), none),
    ];
    for (body, expected) in cases {
        for answer in [length(&body), closed(&body), chunked(&body)] {
            check(looking_for("ready"), answer.as_bytes(), End::Close, expected).await;
        }
    }
    let in_head = "HTTP/1.1 200 ready\r\nX: ready\r\nContent-Length: 0\r\n\r\n";
    check(looking_for("ready"), in_head.as_bytes(), End::Close, none).await;
}

#[tokio::test]
async fn the_request() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    let (address, request) = member(answer, 99, End::Hold).await;
    let plain = health(
        Probe::Http {
            method: "HEAD".to_owned(),
            path: "/".to_owned(),
            host: Some("shop.test".to_owned()),
            headers: vec![
                ("X-Probe".to_owned(), "1".to_owned()),
                ("user-agent".to_owned(), "me".to_owned()),
            ],
            status: vec![(200, 200)],
            body: None,
        },
        LONG,
    );
    // A HEAD has no body, whatever its head says.
    assert_eq!(probe(&plain, address).await, Ok(()));
    let expected = "HEAD / HTTP/1.1\r\nHost: shop.test\r\nX-Probe: 1\r\nuser-agent: me\r\n\
                    Connection: close\r\n\r\n";
    assert_eq!(request.await.unwrap(), expected);

    // Another port: the member's own address is still its name.
    let (address, request) = member(b"HTTP/1.1 200 OK\r\n\r\n", 99, End::Close).await;
    let other = HealthConfig { port: Some(address.port()), ..health(http(), LONG) };
    assert_eq!(probe(&other, SocketAddr::from(([127, 0, 0, 1], 8080))).await, Ok(()));
    let expected = format!(
        "GET /healthz?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
         User-Agent: ringway-health/{}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(request.await.unwrap(), expected);
}

#[tokio::test]
async fn connections() {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let refusing = bound.local_addr().unwrap().as_socket().unwrap();
    for kind in [http(), Probe::Tcp] {
        assert_eq!(probe(&health(kind, LONG), refusing).await, Err(ProbeFailure::Refused));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(probe(&health(Probe::Tcp, LONG), address).await, Ok(()));
    // Accepted by the kernel, and never answered.
    assert_eq!(probe(&health(http(), SHORT), address).await, Err(ProbeFailure::Timeout));
    // Answered in part.
    let (address, task) = member(b"HTTP/1.1 200 OK\r\n\r\nwait", 99, End::Hold).await;
    assert_eq!(probe(&health(http(), SHORT), address).await, Err(ProbeFailure::Timeout));
    task.await.unwrap();
    // No loopback of the sixth version: nothing to test on this host.
    if let Ok(listener) = TcpListener::bind("[::1]:0").await {
        let address = listener.local_addr().unwrap();
        assert_eq!(probe(&health(Probe::Tcp, LONG), address).await, Ok(()));
    }
}

#[test]
fn want_of_resources_is_not_the_members_fault() {
    for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EADDRNOTAVAIL] {
        let stop = not_connected(io::Error::from_raw_os_error(code));
        assert!(matches!(stop, Stop::Skipped(_)), "{code}");
    }
    for (code, expected) in [
        (libc::ECONNREFUSED, ProbeFailure::Refused),
        (libc::ETIMEDOUT, ProbeFailure::ConnectTimeout),
        (libc::EHOSTUNREACH, ProbeFailure::Unreachable(libc::EHOSTUNREACH)),
    ] {
        let stop = not_connected(io::Error::from_raw_os_error(code));
        assert!(matches!(stop, Stop::Failed(failure) if failure == expected), "{code}");
    }
}
