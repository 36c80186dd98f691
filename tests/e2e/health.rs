//! Members that probes or real requests take out, and how they come back.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::support::origin::refusing;
use crate::support::proxy::{has_word, value_in};
use crate::support::{Client, Conn, Message, Origin, Proxy, Setup, answer_with, eventually, ok};

/// A switch that a test and an origin share.
type Switch = Arc<AtomicBool>;

/// Probes whose timeout a busy machine keeps.
const PROBES: &str =
    "health = { path = \"/healthz\", interval = \"1s\", timeout = \"950ms\", fall = 3, rise = 2 }";

fn is_probe(request: &Message) -> bool {
    request.head.target() == "/healthz"
}

/// Requests other than probes that came to `origin`.
fn served(origin: &Origin) -> usize {
    origin.requests().iter().filter(|request| !is_probe(request)).count()
}

/// An origin that says `name`, and to probes 200 or 503 as the switch is on or off.
fn probed(name: &'static str, on: bool) -> (Origin, Switch) {
    let switch = Arc::new(AtomicBool::new(on));
    let healthy = Arc::clone(&switch);
    let origin = Origin::serving(move |request| match is_probe(request) {
        true if !healthy.load(Ordering::SeqCst) => {
            answer_with("503 Service Unavailable", &[], b"no")
        }
        _ => ok(name),
    });
    (origin, switch)
}

/// Waits for the line, from number `from` on, that says a member is in state `to` now; the number
/// behind it.
#[track_caller]
fn wait_for(proxy: &Proxy, member: SocketAddr, from: usize, to: &str) -> usize {
    let member = member.to_string();
    let wanted = |line: &str| {
        has_word(line, "member")
            && value_in(line, "member") == Some(&member)
            && value_in(line, "to") == Some(to)
    };
    let found = proxy.log.wait(from, wanted);
    found.unwrap_or_else(|| panic!("{member} is never {to}")) + 1
}

/// Who answers so many requests, each on a connection of its own.
#[track_caller]
fn answers(proxy: &Proxy, count: usize) -> Vec<String> {
    let get = |_| {
        let answer = Client::connect(proxy.address()).get("/");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.text()
    };
    (0..count).map(get).collect()
}

#[test]
fn a_member_that_fails_its_probes_gets_nothing_until_they_succeed() {
    let ((a, a_healthy), (b, _)) = (probed("a", true), probed("b", true));
    let proxy = Setup::to(&[&a, &b]).pool(PROBES).start();
    eventually("both serve", || answers(&proxy, 1) == ["a"]);
    a_healthy.store(false, Ordering::SeqCst);
    let at = wait_for(&proxy, a.address(), 0, "failing");
    let at = wait_for(&proxy, a.address(), at, "unhealthy");
    let before = served(&a);
    assert_eq!(answers(&proxy, 20), ["b"; 20]);
    assert_eq!(served(&a), before);
    let stats = proxy.stats();
    assert_eq!((stats.total("members_out"), stats.total("probe_ejections")), (1, 1));
    assert!(stats.total("probes_failed") >= 3);
    a_healthy.store(true, Ordering::SeqCst);
    let at = wait_for(&proxy, a.address(), at, "recovering");
    wait_for(&proxy, a.address(), at, "healthy");
    assert!(answers(&proxy, 20).contains(&"a".to_owned()));
    assert_eq!(proxy.stats().total("members_out"), 0);
}

#[test]
fn a_probe_that_hangs_counts_as_failed() {
    let hanging = Origin::scripted(|conn: &mut Conn| -> io::Result<()> {
        // Until the prober has had enough.
        while conn.request()?.is_some() {}
        Ok(())
    });
    let proxy = Setup::to(&[&hanging])
        .pool("health = { interval = \"60ms\", timeout = \"40ms\", fall = 2 }")
        .start();
    wait_for(&proxy, hanging.address(), 0, "unhealthy");
    Client::connect(proxy.address()).get("/").expect_error(503, "pool", "no_member");
    // Cut each time, so none is left over but the one under way.
    eventually("no probe piles up", || hanging.connections() > 6 && hanging.open() <= 1);
}

#[test]
fn there_is_one_stream_of_probes_however_many_workers() {
    let start = Instant::now();
    let (a, _) = probed("a", true);
    let proxy = Setup::to(&[&a])
        .workers(2)
        .pool("health = { path = \"/healthz\", interval = \"100ms\", timeout = \"90ms\" }")
        .start();
    eventually("probes arrive", || a.requests().len() >= 12);
    let probes = a.requests().len();
    // An interval is at least nine tenths of what it is set to: two streams would be over this.
    let most = start.elapsed().as_millis() / 90 + 1;
    assert!(probes as u128 <= most, "{probes} probes, at most {most}");
    let stats = proxy.stats();
    assert_eq!(stats.workers("probes"), [0, 0]);
    // The last one may be under way.
    assert!(stats.total("probes") + 1 >= probes as i64, "{probes}: {stats:?}");
    let first = a.requests().remove(0);
    assert_eq!(first.head.get("host"), Some(a.address().to_string().as_str()));
    assert!(first.head.get("user-agent").unwrap().starts_with("ringway-health/"));
    assert!(first.head.closes());
}

#[test]
fn a_member_that_starts_down_waits_for_its_probes() {
    let (a, healthy) = probed("a", false);
    let pool = PROBES.replace("rise = 2", "rise = 2, start = \"down\"");
    let proxy = Setup::to(&[&a]).pool(pool).start();
    // From the first request on.
    for _ in 0..4 {
        Client::connect(proxy.address()).get("/").expect_error(503, "pool", "no_member");
    }
    assert_eq!(served(&a), 0);
    healthy.store(true, Ordering::SeqCst);
    wait_for(&proxy, a.address(), 0, "healthy");
    assert_eq!(answers(&proxy, 4), ["a"; 4]);
}

#[test]
fn when_all_are_out_requests_are_refused_at_once() {
    let (_first, one) = refusing();
    let (_second, two) = refusing();
    let proxy = Setup::to_addresses(&[one, two])
        .pool("health = { type = \"tcp\", interval = \"100ms\", timeout = \"90ms\" }")
        .start();
    for member in [one, two] {
        wait_for(&proxy, member, 0, "unhealthy");
    }
    for _ in 0..4 {
        Client::connect(proxy.address()).get("/").expect_error(503, "pool", "no_member");
    }
}

#[test]
fn in_panic_all_are_used() {
    let ((a, _), (b, _)) = (probed("a", false), probed("b", false));
    let proxy = Setup::to(&[&a, &b]).pool(PROBES).pool("panic = \"use-all\"").start();
    for member in [&a, &b] {
        wait_for(&proxy, member.address(), 0, "unhealthy");
    }
    let mut seen = answers(&proxy, 20);
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["a", "b"]);
}

#[test]
fn a_member_that_resets_is_ejected_and_tried_with_one_request_at_a_time() {
    let broken: Switch = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&broken);
    let a = Origin::owning(move |mut conn| {
        while conn.request()?.is_some() {
            if switch.load(Ordering::SeqCst) {
                conn.wire.reset();
                return Ok(());
            }
            conn.send(ok("a"))?;
        }
        Ok(())
    });
    let b = Origin::saying("b");
    let proxy = Setup::to(&[&a, &b])
        .pool("eject = { failures = 3, window = \"1m\", for = \"500ms\" }")
        .start();
    let to_a = a.address().to_string();
    let is = |line: &str, to: &str| {
        value_in(line, "member") == Some(to_a.as_str()) && value_in(line, "to") == Some(to)
    };
    let times = |to: &str| proxy.log.all().iter().filter(|line| is(line, to)).count();
    // No client sees any of it.
    while served(&a) < 3 {
        answers(&proxy, 1);
    }
    eventually("a is ejected", || times("ejected") == 1);
    // Sent to the trial until it is ejected again: one request each time.
    eventually("it is tried twice in vain", || {
        answers(&proxy, 4);
        served(&a) >= 3 + 2
    });
    let ejected = 1 + served(&a) - 3;
    eventually("each request ejects it", || times("ejected") == ejected);
    proxy.wait_stat("ejections", ejected as i64);
    broken.store(false, Ordering::SeqCst);
    eventually("it is tried with success", || {
        answers(&proxy, 1);
        times("in") == 1
    });
    assert!(answers(&proxy, 20).contains(&"a".to_owned()));
    assert_eq!(proxy.stats().total("members_out"), 0);
}

#[test]
fn the_only_member_is_never_ejected() {
    let a = Origin::owning(|mut conn| {
        conn.expect_request()?;
        conn.wire.reset();
        Ok(())
    });
    let proxy = Setup::to(&[&a]).pool("eject = { failures = 1, for = \"1h\" }").start();
    for _ in 0..5 {
        Client::connect(proxy.address()).get("/").expect_error(502, "member", "reset");
    }
    eventually("the failures are counted", || proxy.stats().total("ejections_spared") >= 5);
    assert_eq!(proxy.stats().total("members_out"), 0);
}
