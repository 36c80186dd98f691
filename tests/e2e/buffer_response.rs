//! Answers that are taken in at their member's speed: who reads slowly holds no member, and gets the
//! same bytes.

use std::fs;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::buffer_request::{self, one_at_a_time};
use crate::support::certs::Authority;
use crate::support::coding::{decode, json};
use crate::support::message::{Framing, distinct as body};
use crate::support::tls::Tls;
use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Proxy, Setup, answer_with, eventually, ok};

/// More than the sockets on the way hold.
const BIG: usize = 24 << 20;
/// What they may hold at the very most.
const IN_FLIGHT: u64 = 30 << 20;
/// A sender that could not place a byte for this long is taken to be held back.
const SILENCE: Duration = Duration::from_millis(700);

const GET: &str = "GET /big HTTP/1.1\r\nHost: t\r\n\r\n";
/// What each answer may take: nearly all goes to disk.
const ON: &str = "buffer_response = { memory = \"128KiB\", disk = \"64MiB\" }";

/// An origin that answers `/big` with [`BIG`] bytes in the framing that the test names.
fn big(framing: &'static str) -> Origin {
    let body = body(BIG);
    Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() != "/big" {
                conn.send(ok("small"))?;
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\nTrailer: Sum\r\n";
            match framing {
                "length" => conn.send(format!("{head}Content-Length: {BIG}\r\n\r\n"))?,
                "chunked" => conn.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"))?,
                _ => conn.send(format!("{head}\r\n"))?,
            }
            for piece in body.chunks(100_000) {
                if framing == "chunked" {
                    conn.send(format!("{:x}\r\n", piece.len()))?;
                    conn.send(piece)?;
                    conn.send("\r\n")?;
                } else {
                    conn.send(piece)?;
                }
            }
            match framing {
                "chunked" => conn.send("0\r\nSum: 7\r\n\r\n")?,
                "length" => {}
                _ => return Ok(()),
            }
        }
        Ok(())
    })
}

#[track_caller]
fn expect_nothing_left(proxy: &Proxy) {
    buffer_request::expect_nothing_left(proxy);
    let left = fs::read_dir(proxy.directory()).unwrap().count();
    assert!(left <= 3, "only what the test has put there");
}

#[test]
fn who_reads_slowly_holds_no_member() {
    for framing in ["length", "chunked", "close"] {
        let origin = big(framing);
        // So that there is one set of idle connections.
        let proxy = one_at_a_time(&origin, ON).workers(1).start();
        let mut slow = Client::connect(proxy.address());
        slow.send(GET);
        let head = slow.head();
        // Whoever comes now waits for the slot, which is free although nobody has read the answer.
        for _ in 0..3 {
            assert_eq!(Client::connect(proxy.address()).get("/").text(), "small", "{framing}");
        }
        let stats = proxy.stats();
        assert_eq!(stats.total("answers_buffered"), 1, "{framing}");
        assert_eq!(stats.total("bodies_spilled"), 1, "{framing}");
        assert_eq!(stats.total("answers_over_buffer"), 0, "{framing}");
        let told = head.answer_framing("GET");
        let chunked = Framing::Chunked;
        assert_eq!(told, if framing == "length" { Framing::Length(BIG as u64) } else { chunked });
        let answer = slow.wire.message(head, told).unwrap();
        assert!(answer.body == body(BIG), "{framing}");
        assert_eq!(answer.trailers.len(), usize::from(framing == "chunked"), "{framing}");
        // Both connections go on.
        assert_eq!(slow.get("/").text(), "small");
        assert_eq!(origin.connections(), if framing == "close" { 2 } else { 1 });
        expect_nothing_left(&proxy);
    }
}

#[test]
fn older_clients_get_it_by_the_close() {
    let origin = big("chunked");
    let proxy = one_at_a_time(&origin, ON).start();
    let mut slow = Client::connect(proxy.address());
    slow.send("GET /big HTTP/1.0\r\nHost: t\r\n\r\n");
    let head = slow.head();
    assert_eq!(head.answer_framing("GET"), Framing::UntilClose);
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "small");
    let (bytes, end) = slow.rest();
    assert!(bytes == body(BIG) && end == End::Clean);
    expect_nothing_left(&proxy);
}

#[test]
fn in_tls_it_is_the_same() {
    let origin = big("length");
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test"]);
    let proxy = one_at_a_time(&origin, ON)
        .beside("a.crt", leaf.chain_pem())
        .beside("a.key", leaf.key_pem())
        .listener("tls.certificates = [{ chain = \"a.crt\", key = \"a.key\" }]")
        .start();
    let tls = Tls::trusting(&authority);
    let mut slow = tls.connect(proxy.address(), "a.test");
    slow.send(GET);
    let head = slow.head();
    assert_eq!(tls.connect(proxy.address(), "a.test").get("/").text(), "small");
    let framing = head.answer_framing("GET");
    assert!(slow.wire.message(head, framing).unwrap().body == body(BIG));
    assert_eq!(slow.get("/").text(), "small");
}

#[test]
fn what_is_encoded_waits_encoded() {
    let text = json(BIG);
    let answer = answer_with("200 OK", &[("Content-Type", "application/json")], &text);
    let origin = Origin::serving(move |request| match request.head.target() {
        "/big" => answer.clone(),
        _ => ok("small"),
    });
    let proxy = one_at_a_time(&origin, ON).route("compress = \"gzip\"").start();
    let mut slow = Client::connect(proxy.address());
    slow.send("GET /big HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = slow.head();
    assert_eq!(head.get("content-encoding"), Some("gzip"));
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "small");
    let answer = slow.wire.message(head, Framing::Chunked).unwrap();
    let (decoded, whole) = decode("gzip", &answer.body);
    assert!(decoded == text && whole);
    assert_eq!(proxy.stats().total("compress_gzip_in"), text.len() as i64);
    expect_nothing_left(&proxy);
}

/// An answer for which there is no room is read as fast as its client reads, and nothing of it is lost.
#[track_caller]
fn check_held_back(made: impl Fn(Setup) -> Setup, counted: &[(&str, i64)]) {
    let (told, sent) = mpsc::channel();
    let told = Mutex::new(told);
    let content = body(BIG * 2);
    let total = content.len();
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"))?;
        // Until the client reads.
        conn.wire.stream().set_write_timeout(Some(SILENCE))?;
        let mut at = 0;
        while at < total {
            use std::io::Write as _;
            match conn.wire.stream().write(&content[at..(at + 65_536).min(total)]) {
                Ok(count) => at += count,
                Err(_) => break,
            }
        }
        conn.wire.stream().set_write_timeout(Some(PATIENCE))?;
        told.lock().unwrap().send(at as u64).unwrap();
        conn.send(&content[at..])
    });
    let proxy = made(Setup::to(&[&origin])).start();
    fs::remove_dir_all(proxy.directory().join("bodies")).unwrap_or_default();
    let mut slow = Client::connect(proxy.address());
    slow.send(GET);
    let head = slow.head();
    let sent = sent.recv_timeout(PATIENCE).unwrap();
    assert!(sent < IN_FLIGHT, "{sent} bytes were taken from the member");
    let framing = head.answer_framing("GET");
    assert!(slow.wire.message(head, framing).unwrap().body == body(total));
    let stats = proxy.stats();
    for (name, value) in counted {
        assert_eq!(stats.total(name), *value, "{name}");
    }
    expect_nothing_left(&proxy);
}

#[test]
fn beyond_its_own_bounds_the_member_waits() {
    let held = [("answers_over_buffer", 1), ("buffers_full", 0), ("bodies_spilled", 0)];
    check_held_back(|setup| setup.route("buffer_response = { memory = \"256KiB\" }"), &held);
    let spilled = [("answers_over_buffer", 1), ("buffers_full", 0), ("bodies_spilled", 1)];
    let made = |setup: Setup| {
        setup
            .server("buffers = { folder = \"{directory}\" }")
            .route("buffer_response = { memory = \"64KiB\", disk = \"1MiB\" }")
    };
    check_held_back(made, &spilled);
}

#[test]
fn beyond_the_bounds_of_the_process_the_member_waits() {
    let made = |setup: Setup| {
        setup
            .server("buffers = { folder = \"{directory}\", memory = \"1MiB\", disk = \"1MiB\" }")
            .route("buffer_response = { memory = \"1MiB\", disk = \"1MiB\" }")
    };
    let held = [("answers_over_buffer", 1), ("bodies_spilled", 1), ("spill_failures", 0)];
    check_held_back(made, &held);
}

#[test]
fn where_nothing_can_be_written_the_member_waits() {
    let made = |setup: Setup| {
        setup
            .beside("bodies/x", "")
            .server("buffers = { folder = \"{directory}/bodies\" }")
            .route("buffer_response = { memory = \"64KiB\", disk = \"1GiB\" }")
    };
    let held = [("answers_over_buffer", 1), ("bodies_spilled", 0), ("spill_failures", 1)];
    check_held_back(made, &held);
}

#[test]
fn many_that_read_slowly_keep_within_the_bounds_of_the_process() {
    let origin = big("length");
    let proxy = Setup::to(&[&origin])
        .server("buffers = { folder = \"{directory}\", memory = \"1MiB\", disk = \"10MiB\" }")
        .route("buffer_response = { memory = \"512KiB\", disk = \"4MiB\" }")
        // They read one after the other.
        .listener("timeouts.write = \"10m\"")
        .start();
    let mut clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = Client::connect(proxy.address());
            client.send(GET);
            client
        })
        .collect();
    let mut most = (0, 0);
    eventually("all have met the bounds", || {
        let stats = proxy.stats();
        let now = (stats.total("buffer_memory"), stats.total("buffer_disk"));
        most = (most.0.max(now.0), most.1.max(now.1));
        stats.total("answers_over_buffer") == 8
    });
    assert!(proxy.stats().total("buffers_full") > 0);
    for client in &mut clients {
        assert!(client.answer().body == body(BIG));
        let stats = proxy.stats();
        let now = (stats.total("buffer_memory"), stats.total("buffer_disk"));
        most = (most.0.max(now.0), most.1.max(now.1));
    }
    assert!(most.0 <= 1 << 20 && most.1 <= 10 << 20, "{most:?}");
    assert!(most.0 > 0 && most.1 > 4 << 20, "{most:?}");
    expect_nothing_left(&proxy);
}

#[test]
fn who_leaves_leaves_nothing_behind() {
    // The member has sent everything, or is held back.
    for disk in ["64MiB", "1MiB"] {
        let origin = big("length");
        let proxy = Setup::to(&[&origin])
            .server("buffers = { folder = \"{directory}\" }")
            .route(format!("buffer_response = {{ memory = \"64KiB\", disk = \"{disk}\" }}"))
            .start();
        let mut slow = Client::connect(proxy.address());
        slow.send(GET);
        slow.head();
        let over = i64::from(disk == "1MiB");
        proxy.wait_stat("answers_buffered", 1 - over);
        proxy.wait_stat("answers_over_buffer", over);
        assert!(proxy.stats().total("bodies_spilled") == 1);
        slow.wire.reset();
        proxy.wait_idle();
        expect_nothing_left(&proxy);
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "small");
    }
}

#[test]
fn an_answer_that_its_member_cuts_is_cut() {
    for chunked in [false, true] {
        let framing =
            if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 9000000" };
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"))?;
            for _ in 0..40 {
                if chunked {
                    conn.send("186a0\r\n")?;
                }
                conn.send(body(100_000))?;
                if chunked {
                    conn.send("\r\n")?;
                }
            }
            Ok(())
        });
        let proxy = one_at_a_time(&origin, ON).start();
        let mut client = Client::connect(proxy.address());
        client.send(GET);
        let (bytes, end) = client.rest();
        assert_eq!(end, End::Reset);
        assert!(!bytes.ends_with(b"0\r\n\r\n"));
        proxy.wait_stat("error_member_short_body", 1);
        proxy.wait_idle();
        expect_nothing_left(&proxy);
    }
}

#[test]
fn what_is_live_or_declines_is_not_taken_in() {
    for field in ["Content-Type: text/event-stream", "X-Accel-Buffering: no"] {
        let (told, sent) = mpsc::channel();
        let told = Mutex::new(told);
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 99999999\r\n\r\n"))?;
            let sent = conn.wire.send_until_stuck(90_000_000, SILENCE)?;
            told.lock().unwrap().send(sent).unwrap();
            Ok(())
        });
        let proxy = one_at_a_time(&origin, ON).start();
        let mut slow = Client::connect(proxy.address());
        slow.send(GET);
        slow.head();
        let sent = sent.recv_timeout(PATIENCE).unwrap();
        assert!(sent < IN_FLIGHT, "{field}: {sent} bytes");
        let stats = proxy.stats();
        assert_eq!(stats.total("buffer_memory") + stats.total("bodies_spilled"), 0, "{field}");
    }
}

#[test]
fn what_trickles_arrives_as_it_comes() {
    let (seen, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for number in 0..10 {
            conn.send(format!("6\r\npart {number}\r\n"))?;
            wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees the part");
        }
        conn.send("0\r\n\r\n")
    });
    let proxy = one_at_a_time(&origin, ON).start();
    let mut client = Client::connect(proxy.address());
    client.send(GET);
    client.head();
    for number in 0..10 {
        assert_eq!(client.wire.chunk().unwrap(), format!("part {number}").as_bytes());
        seen.send(()).unwrap();
    }
    assert_eq!(client.wire.exactly(5).unwrap(), b"0\r\n\r\n");
    assert_eq!(proxy.stats().total("bodies_spilled"), 0);
}

#[test]
fn heads_small_answers_and_stored_ones_are_as_ever() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/none" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/big" => answer_with("200 OK", &[("Cache-Control", "max-age=60")], body(300_000)),
        _ => ok("small"),
    });
    let proxy = one_at_a_time(&origin, ON).route("cache = {}").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/none").status(), 204);
    client.send("HEAD /big HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").head.get("content-length"), Some("300000"));
    for _ in 0..2 {
        assert!(client.get("/big").body == body(300_000));
        assert_eq!(client.get("/").text(), "small");
    }
    assert_eq!(proxy.stats().total("cache_hits"), 1);
}

#[test]
fn fast_clients_of_many_answers_get_every_byte() {
    let origin = big("chunked");
    let proxy = Setup::to(&[&origin])
        .server("buffers = { folder = \"{directory}\" }")
        .route("buffer_response = { memory = \"64KiB\", disk = \"2MiB\" }")
        .start();
    let address = proxy.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..2 {
                    assert!(client.get("/big").body == body(BIG));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    expect_nothing_left(&proxy);
}

#[test]
fn a_folder_that_is_not_there_is_made_for_ringway_alone() {
    use std::os::unix::fs::PermissionsExt;
    let above = std::env::temp_dir().join(format!("ringway-bodies-{}", std::process::id()));
    let folder = above.join("inner");
    let setup = Setup::with_body(
        "[[route]]\npool = \"a\"\nbuffer_response = { disk = \"1MiB\" }\n[pool.a]\nmembers = [\"127.0.0.1:1\"]",
    );
    let proxy = setup.server(format!("buffers = {{ folder = {folder:?} }}")).start();
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(proxy);
    fs::remove_dir_all(&above).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_told_at_the_start() {
    let setup = Setup::with_body(
        "[[route]]\npool = \"a\"\nbuffer_response = { disk = \"1MiB\" }\n[pool.a]\nmembers = [\"127.0.0.1:1\"]",
    );
    let text = setup.server("buffers = { folder = \"/dev/null/bodies\" }").text();
    let file = std::env::temp_dir().join(format!("ringway-buffers-{}.toml", std::process::id()));
    fs::write(&file, text).unwrap();
    let ended = crate::support::run_to_end(
        &["run", "--config", &file.to_string_lossy()],
        crate::support::system::Confinement::default(),
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.log.contains("cannot write in server.buffers.folder /dev/null/bodies"),
        "{}",
        ended.log
    );
}

#[test]
fn who_takes_nothing_of_what_waits_is_cut_off() {
    let origin = big("length");
    // All of it is to be here before.
    let proxy = one_at_a_time(&origin, ON)
        .listener("limits.min_rate = \"10KB/s\"\ntimeouts = { slow = \"8s\", write = \"60s\" }")
        .start();
    let mut slow = Client::connect_narrow(proxy.address(), 4096);
    slow.send(GET);
    slow.head();
    proxy.wait_stat("answers_buffered", 1);
    proxy.wait_stat("error_client_slow_reader", 1);
    proxy.wait_idle();
    expect_nothing_left(&proxy);
    assert!(slow.rest().0.len() < BIG);
}

#[test]
fn a_drain_waits_for_what_is_left() {
    let origin = big("chunked");
    let mut proxy = one_at_a_time(&origin, ON).start();
    let mut slow = Client::connect(proxy.address());
    slow.send(GET);
    let head = slow.head();
    proxy.wait_stat("answers_buffered", 1);
    proxy.signal(libc::SIGTERM);
    assert!(proxy.log.wait(0, |line| line.contains("draining")).is_some());
    assert!(slow.wire.message(head, Framing::Chunked).unwrap().body == body(BIG));
    slow.expect_close();
    assert_eq!(proxy.wait_exit(), Some(0));
}
