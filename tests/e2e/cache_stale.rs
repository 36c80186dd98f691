//! Answers that serve though they are stale, and purges.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::admin::address;
use super::cache::{cached, counting, status};
use crate::support::message::answer_with;
use crate::support::{Client, Origin, Proxy, Setup, eventually};

fn text(proxy: &Proxy, path: &str) -> String {
    Client::connect(proxy.address()).get(path).text()
}

/// An origin that numbers its answers with this `Cache-Control`; once `broken` it fails with 503, or
/// says nothing.
fn breaking(control: &'static str, broken: &Arc<AtomicUsize>) -> Origin {
    let (count, broken) = (AtomicUsize::new(0), Arc::clone(broken));
    Origin::scripted(move |conn| {
        while conn.request()?.is_some() {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            match broken.load(Ordering::SeqCst) {
                0 => conn.send(answer_with(
                    "200 OK",
                    &[("Cache-Control", control), ("ETag", "\"e\"")],
                    format!("answer {number}").as_bytes(),
                ))?,
                1 => conn.send(answer_with("503 Service Unavailable", &[], b"down"))?,
                _ => return Ok(()),
            }
        }
        Ok(())
    })
}

#[test]
fn a_stale_answer_serves_while_another_one_is_fetched() {
    let origin = counting(&[("Cache-Control", "max-age=0, stale-while-revalidate=60")]);
    let proxy = cached(&origin, "");
    assert_eq!(text(&proxy, "/a"), "answer 1");
    let stale = Client::connect(proxy.address()).get("/a");
    assert_eq!(stale.text(), "answer 1");
    assert!(status(&stale).starts_with("ringway; hit; ttl="), "{stale:?}");
    eventually("the next answer is there", || text(&proxy, "/a") != "answer 1");
    proxy.wait_idle();
    let stats = proxy.stats();
    assert_eq!(stats.total("cache_refreshes"), origin.requests().len() as i64 - 1);
}

#[test]
fn the_background_fetch_is_made_in_the_client_s_name() {
    let origin = counting(&[("Cache-Control", "max-age=0, stale-while-revalidate=60")]);
    let proxy = cached(&origin, "");
    let request = "GET /a HTTP/1.1\r\nHost: t\r\nX-A: b\r\nIf-None-Match: \"x\"\r\n\r\n";
    for _ in 0..2 {
        Client::connect(proxy.address()).ask(request);
    }
    eventually("it was fetched again", || origin.requests().len() == 2);
    for request in origin.requests() {
        let head = &request.head;
        assert_eq!((head.get("x-a"), head.get("if-none-match")), (Some("b"), None));
        assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[test]
fn a_stale_answer_serves_where_there_is_no_better_one() {
    for (control, serves) in [
        ("max-age=0", true),
        ("max-age=0, stale-if-error=60", true),
        ("max-age=0, must-revalidate", false),
        ("max-age=0, proxy-revalidate", false),
        ("s-maxage=0", false),
        ("no-cache", false),
        ("max-age=0, stale-if-error=0", false),
    ] {
        let broken = Arc::new(AtomicUsize::new(0));
        let origin = breaking(control, &broken);
        let proxy = Setup::to(&[&origin])
            .route("cache = { status_header = true }")
            .pool("eject = \"off\"\nretry = \"off\"")
            .start();
        assert_eq!(text(&proxy, "/a"), "answer 1");
        for how in [1, 2] {
            broken.store(how, Ordering::SeqCst);
            let answer = Client::connect(proxy.address()).get("/a");
            if serves {
                assert_eq!(answer.text(), "answer 1", "{control} {how}");
                assert!(status(&answer).starts_with("ringway; fwd=stale; ttl="), "{control} {how}");
            } else {
                let expected = if how == 1 { 503 } else { 502 };
                assert_eq!(answer.status(), expected, "{control} {how}");
            }
        }
        proxy.wait_stat("cache_stale", if serves { 2 } else { 0 });
        proxy.wait_idle();
    }
}

#[test]
fn a_pool_without_members_is_no_better_one_either() {
    let fields = [("Cache-Control", "max-age=0"), ("ETag", "\"e\""), ("Connection", "close")];
    let mut origin = Some(Origin::blurting(answer_with("200 OK", &fields, b"answer 1")));
    let proxy = cached(origin.as_ref().expect("an origin"), "");
    assert_eq!(text(&proxy, "/a"), "answer 1");
    drop(origin.take());
    for _ in 0..8 {
        assert_eq!(text(&proxy, "/a"), "answer 1");
    }
    assert_eq!(Client::connect(proxy.address()).get("/b").status() / 100, 5);
}

pub(crate) fn post(proxy: &Proxy, what: &str) -> String {
    let admin = address(proxy);
    let request = format!(
        "POST /cache/purge?{what} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    Client::connect(admin).ask(request).text()
}

pub(crate) fn ringway(proxy: &Proxy, args: &[&str]) -> String {
    let admin = address(proxy).to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    let output =
        command.args(["purge", "--admin", &admin]).args(args).output().expect("running it");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn purges() {
    let count = AtomicUsize::new(0);
    let changed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&changed);
    let origin = Origin::serving(move |request| {
        if request.head.get("if-none-match").is_some() && !seen.load(Ordering::SeqCst) {
            return b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n".to_vec();
        }
        let tag = if request.head.target().starts_with("/a") { "alpha x" } else { "beta" };
        let fields = [("Cache-Control", "max-age=60"), ("ETag", "\"e\""), ("Surrogate-Key", tag)];
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        answer_with("200 OK", &fields, number.to_string().as_bytes())
    });
    let proxy = Setup::to(&[&origin])
        .server("admin = \"127.0.0.1:0\"")
        .route("cache = { status_header = true }")
        .start();
    let all = || ["/a/1", "/a/2", "/b"].map(|path| text(&proxy, path));
    assert_eq!(all(), ["1", "2", "3"]);
    assert_eq!(ringway(&proxy, &["http://Example.test/a/1"]), "1 answer gone\n");
    assert_eq!(all(), ["4", "2", "3"]);
    assert_eq!(ringway(&proxy, &["--tag", "alpha"]), "2 answers gone\n");
    assert_eq!(all(), ["5", "6", "3"]);
    assert_eq!(
        ringway(&proxy, &["--prefix", "http://example.test/b", "--soft"]),
        "1 answer stale now\n"
    );
    let validated = Client::connect(proxy.address()).get("/b");
    assert_eq!(validated.text(), "3");
    assert!(status(&validated).starts_with("ringway; fwd=stale; fwd-status=304"), "{validated:?}");
    assert!(status(&Client::connect(proxy.address()).get("/b")).starts_with("ringway; hit"));
    changed.store(true, Ordering::SeqCst);
    assert_eq!(post(&proxy, "tag=beta&soft=true"), "{\"purged\":1,\"soft\":true}");
    assert_eq!(all(), ["5", "6", "7"]);
    assert_eq!(ringway(&proxy, &["--all"]), "3 answers gone\n");
    assert_eq!(all(), ["8", "9", "10"]);
    assert!(post(&proxy, "what=x").contains("say url="));
    proxy.wait_stat("cache_purged", 8);
    let view = super::admin::get(&proxy, "/cache");
    assert_eq!(view["memory"], 268_435_456);
    assert!(view["keys"].as_u64() >= Some(3) && view["bytes"].as_u64() > Some(1000), "{view}");
}
