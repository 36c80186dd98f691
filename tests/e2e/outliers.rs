//! A member that is much worse than the others is taken out, by what the whole host has counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::message::answer_with;
use crate::support::proxy::value_in;
use crate::support::{Client, Load, Message, Origin, Proxy, Setup, eventually, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// Waits until the log has said that a member was ejected, and why.
#[track_caller]
fn wait_for_ejection(proxy: &Proxy, load: &Load, member: &Origin, cause: &str) {
    let address = member.address().to_string();
    let mut line = None;
    eventually("a member is ejected", || {
        load.check();
        line = proxy.log.all().into_iter().find(|line| value_in(line, "to") == Some("ejected"));
        line.is_some()
    });
    let line = line.expect("the line");
    assert_eq!(value_in(&line, "member"), Some(&*address), "{line}");
    assert!(line.contains(cause), "{line}");
}

#[test]
fn a_member_whose_requests_fail_more_often_is_ejected() {
    let count = AtomicUsize::new(0);
    // Every third one: never enough in a row to be noticed otherwise.
    let bad = Origin::serving(move |_: &Message| match count.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => answer_with("500 No", &[], b""),
        _ => ok("bad"),
    });
    let good = [Origin::saying("good"), Origin::saying("good")];
    let proxy = Setup::to(&[&good[0], &bad, &good[1]])
        .pool("eject = { on = [500], failures = \"none\", for = \"60s\", success_rate = { interval = \"1s\", requests = 4 } }")
        .pool("retry = { on = [500], budget = \"100%\" }")
        .start();
    let load = Load::start(proxy.address(), 4, GET);
    wait_for_ejection(&proxy, &load, &bad, "of the others' (median)");
    load.settle();
    let before = bad.requests().len();
    load.pass(200);
    assert_eq!(bad.requests().len(), before, "it is out");
    load.stop();
    assert_eq!((proxy.stats().total("ejections"), proxy.stats().total("members_out")), (1, 1));
}

#[test]
fn a_slow_member_is_ejected() {
    let slow = Origin::serving(|_: &Message| {
        thread::sleep(Duration::from_millis(400));
        ok("slow")
    });
    let fast = [Origin::saying("fast"), Origin::saying("fast")];
    let proxy = Setup::to(&[&fast[0], &fast[1], &slow])
        .pool("eject = { for = \"60s\", latency = { interval = \"1s\", requests = 5, intervals = 2 } }")
        .start();
    let load = Load::start(proxy.address(), 6, GET);
    wait_for_ejection(&proxy, &load, &slow, "in 2 intervals of 1s");
    load.stop();
    assert_eq!((proxy.stats().total("ejections"), proxy.stats().total("members_out")), (1, 1));
}

#[test]
fn if_all_are_as_bad_nobody_is_ejected() {
    let bad = || {
        let count = AtomicUsize::new(0);
        Origin::serving(move |_: &Message| match count.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => answer_with("500 No", &[], b""),
            _ => ok("bad"),
        })
    };
    let members = [bad(), bad(), bad()];
    let proxy = Setup::to(&[&members[0], &members[1], &members[2]])
        .pool("eject = { on = [500], failures = \"none\", success_rate = { interval = \"1s\", requests = 20 } }")
        .pool("retry = \"off\"")
        .start();
    // For some intervals.
    let mut client = Client::connect(proxy.address());
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        let status = client.ask(GET).status();
        assert!(matches!(status, 200 | 500), "{status}");
    }
    assert_eq!(proxy.stats().total("ejections"), 0);
}
