//! Members by name and by service: they come, change and go as their records do, and no client
//! notices.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::admin::{self, TCP, address};
use crate::support::dns::{Dns, Record};
use crate::support::proxy::{value_in, wait_lines};
use crate::support::{Client, Load, Member, Origin, Proxy, Setup, answer_with, eventually, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

const SERVICE: &str = "_http._tcp.app.test";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A name server at which `localhost.test` is this host, so that services name ports of it.
fn dns() -> Dns {
    let dns = Dns::new();
    dns.set("localhost.test", &[Record::Address(HERE)]);
    dns
}

fn record(address: SocketAddr, priority: u16, weight: u16) -> Record {
    Record::Service(priority, weight, address.port(), "localhost.test".to_owned())
}

fn serve_by(dns: &Dns, members: &[SocketAddr]) {
    let records: Vec<_> = members.iter().map(|member| record(*member, 0, 1)).collect();
    dns.set(SERVICE, &records);
}

/// A pool of one member.
fn pool_of(dns: &Dns, member: &str) -> Setup {
    Setup::to_members(&[member]).server(dns.line())
}

fn by_service(dns: &Dns) -> Setup {
    pool_of(dns, &format!("\"srv:{SERVICE}\""))
}

/// Waits until the log has said so often of an address what has become of it.
#[track_caller]
fn wait_said(proxy: &Proxy, what: &str, address: SocketAddr, times: usize) {
    let address = address.to_string();
    let says = |line: &&String| {
        line.contains(&format!("address {what}")) && value_in(line, "address") == Some(&address)
    };
    eventually(&format!("{address} is {what}"), || {
        proxy.log.all().iter().filter(says).count() == times
    });
}

/// How many lines of the log say `what`.
fn told(proxy: &Proxy, what: &str) -> usize {
    proxy.log.all().iter().filter(|line| line.contains(what)).count()
}

#[test]
fn every_address_of_a_name_is_a_member() {
    let members @ [a, b] = &Member::neighbours(["a", "b"]);
    let (dns, port) = (Dns::new(), a.address().port());
    dns.set_addresses("app.test", &[a.address(), b.address()]);
    let proxy = pool_of(&dns, &format!("\"App.test:{port}\""))
        .server("access_log = \"{directory}/access.log\"")
        .route("host = \"member\"")
        .workers(1)
        .start();
    for member in members {
        wait_said(&proxy, "added", member.address(), 1);
    }
    let mut client = Client::connect(proxy.address());
    let mut said: Vec<_> = (0..4).map(|_| client.get("/").text()).collect();
    said.sort();
    assert_eq!(said, ["a", "a", "b", "b"]);
    let lines = wait_lines(&proxy.directory().join("access.log"), 4);
    let logged = |member: &Member| {
        let address = member.address().to_string();
        lines.iter().filter(|line| value_in(line, "member") == Some(&address)).count()
    };
    assert_eq!((logged(a), logged(b)), (2, 2), "{lines:?}");
}

#[test]
fn a_name_is_what_a_member_may_be_called() {
    let (origin, dns) = (Origin::saying("ok"), Dns::new());
    let port = origin.address().port();
    dns.set_addresses("app.test", &[origin.address()]);
    let member = format!("{{ address = \"app.test.:{port}\", places = 1 }}");
    let proxy = pool_of(&dns, &member).route("host = \"member\"").start();
    wait_said(&proxy, "added", origin.address(), 1);
    Client::connect(proxy.address()).get("/");
    let host = format!("app.test:{port}");
    assert_eq!(origin.only_request().head.get("host"), Some(host.as_str()));
}

#[test]
fn a_name_that_does_not_exist_yet_stops_nobody() {
    let (origin, dns) = (Origin::saying("ok"), dns());
    let proxy = by_service(&dns).start();
    let mut client = Client::connect(proxy.address());
    client.get("/").expect_error(503, "pool", "no_address");
    proxy.wait_stat("names_failing", 1);
    assert_eq!(proxy.stats().total("members_out"), 0, "nobody is there to be out");
    serve_by(&dns, &[origin.address()]);
    wait_said(&proxy, "added", origin.address(), 1);
    eventually("it serves", || client.get("/").status() == 200);
    let all = ["cannot be resolved", "resolved again", "serves"].map(|what| told(&proxy, what));
    assert_eq!(all, [1, 1, 1]);
    proxy.wait_stat("names_failing", 0);
}

/// Members come and leave under load: each client gets every answer, and who has left gets nothing
/// more.
#[track_caller]
fn comings_and_goings(balance: &str, places: u16, steps: &[&[usize]]) {
    let members = ["a", "b", "c"].map(Member::new);
    let at = |step: &[usize]| step.iter().map(|i| members[*i].address()).collect::<Vec<_>>();
    let dns = dns();
    serve_by(&dns, &at(steps[0]));
    let member = format!("{{ address = \"srv:{SERVICE}\", places = {places} }}");
    let proxy = pool_of(&dns, &member).pool(format!("balance = {balance}")).start();
    for address in at(steps[0]) {
        wait_said(&proxy, "added", address, 1);
    }
    let load = Load::start(proxy.address(), 6, GET);
    let mut times = [[0; 3]; 2];
    steps[0].iter().for_each(|member| times[0][*member] += 1);
    for step in steps.windows(2) {
        let (before, now) = (step[0], step[1]);
        serve_by(&dns, &at(now));
        for member in 0..3 {
            let (was, is) = (before.contains(&member), now.contains(&member));
            let what = match (was, is) {
                (false, true) => 0,
                (true, false) => 1,
                _ => continue,
            };
            times[what][member] += 1;
            let word = ["added", "removed"][what];
            wait_said(&proxy, word, members[member].address(), times[what][member]);
        }
        // What was on its way arrives.
        load.settle();
        let served = || [0, 1, 2].map(|member: usize| members[member].served());
        let before = served();
        load.pass(200);
        for (member, (before, after)) in before.iter().zip(served()).enumerate() {
            assert_eq!(after > *before, now.contains(&member), "{member} in {step:?}");
        }
    }
    load.stop();
    let stats = proxy.stats();
    for name in ["upstream_failovers", "ejections", "retries"] {
        assert_eq!(stats.total(name), 0, "{name}");
    }
    proxy.wait_idle();
}

const STEPS: &[&[usize]] = &[&[0], &[0, 1], &[1], &[2, 0], &[0]];

#[test]
fn members_come_and_leave_in_turn() {
    comings_and_goings("\"round-robin\"", 16, STEPS);
}

#[test]
fn members_come_and_leave_by_load() {
    comings_and_goings("\"least-connections\"", 2, STEPS);
}

#[test]
fn members_come_and_leave_by_time() {
    comings_and_goings("\"least-time\"", 3, STEPS);
}

#[test]
fn members_come_and_leave_by_chance() {
    comings_and_goings("\"random-two\"", 16, STEPS);
}

#[test]
fn the_only_place_changes_hands() {
    comings_and_goings("\"round-robin\"", 1, &[&[0], &[1], &[2], &[0]]);
}

#[test]
fn keys_of_those_who_stay_do_not_move() {
    let origins = ["a", "b", "c"].map(Origin::saying);
    let [a, b, c] = [0, 1, 2].map(|at: usize| origins[at].address());
    let (dns, all) = (dns(), [a, b, c]);
    serve_by(&dns, &all);
    let start = || by_service(&dns).pool("balance = { hash = \"path\" }").start();
    let keys = |proxy: &Proxy| {
        let mut client = Client::connect(proxy.address());
        (0..60).map(|key| client.get(&format!("/{key}")).text()).collect::<Vec<_>>()
    };
    let proxy = start();
    all.iter().for_each(|address| wait_said(&proxy, "added", *address, 1));
    let before = keys(&proxy);
    serve_by(&dns, &[c, a]);
    wait_said(&proxy, "removed", b, 1);
    for (before, after) in before.iter().zip(keys(&proxy)) {
        assert!(*before == after || *before == "b" && after != "b", "{before} to {after}");
    }
    // Back, and at a proxy that has never seen it away.
    serve_by(&dns, &[b, c, a]);
    wait_said(&proxy, "added", b, 2);
    assert_eq!(keys(&proxy), before);
    let other = start();
    all.iter().for_each(|address| wait_said(&other, "added", *address, 1));
    assert_eq!(keys(&other), before);
}

#[test]
fn the_last_good_answer_is_kept() {
    let (a, b, dns) = (Member::new("a"), Member::new("b"), dns());
    serve_by(&dns, &[a.address()]);
    let proxy = by_service(&dns).start();
    wait_said(&proxy, "added", a.address(), 1);
    let load = Load::start(proxy.address(), 2, GET);
    let fails_once_more = || {
        let before = proxy.stats().total("resolutions_failed");
        eventually("it fails", || proxy.stats().total("resolutions_failed") > before);
        load.settle();
    };
    dns.forget(SERVICE);
    fails_once_more();
    dns.set(SERVICE, &[]);
    fails_once_more();
    dns.fail(true);
    fails_once_more();
    dns.fail(false);
    dns.be_silent(true);
    let questions = dns.questions();
    eventually("it asks in vain", || dns.questions() > questions);
    load.pass(50);
    serve_by(&dns, &[b.address()]);
    dns.be_silent(false);
    wait_said(&proxy, "removed", a.address(), 1);
    load.settle();
    load.stop();
    assert_eq!(["cannot be resolved", "resolved again"].map(|what| told(&proxy, what)), [1, 1]);
}

#[test]
fn what_is_under_way_ends_where_it_began() {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let old = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold")?;
        released.lock().unwrap().recv().unwrap();
        conn.send("old")?;
        conn.wire.rest().map(drop)
    });
    let (new, dns) = (Origin::saying("new"), dns());
    serve_by(&dns, &[old.address()]);
    let member = format!("{{ address = \"srv:{SERVICE}\", places = 1, max_connections = 2 }}");
    let proxy = pool_of(&dns, &member).start();
    wait_said(&proxy, "added", old.address(), 1);
    let mut slow = Client::connect(proxy.address());
    slow.send(GET);
    let head = slow.head();
    serve_by(&dns, &[new.address()]);
    wait_said(&proxy, "added", new.address(), 1);
    for _ in 0..4 {
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "new");
    }
    release.send(()).unwrap();
    let framing = head.answer_framing("GET");
    assert_eq!(slow.wire.message(head, framing).unwrap().text(), "oldold");
    assert_eq!(slow.get("/").text(), "new");
    old.wait_all_closed();
    assert_eq!(old.connections(), 1);
}

#[test]
fn idle_connections_to_who_has_left_are_closed() {
    let (old, new, dns) = (Origin::saying("old"), Origin::saying("new"), dns());
    serve_by(&dns, &[old.address()]);
    let proxy = by_service(&dns).start();
    wait_said(&proxy, "added", old.address(), 1);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "old");
    assert_eq!(old.open(), 1);
    serve_by(&dns, &[new.address()]);
    old.wait_all_closed();
    assert_eq!(client.get("/").text(), "new");
    proxy.wait_stat("upstream_idle", 1);
}

#[test]
fn a_service_says_ports_weights_and_ranks() {
    let [heavy, light, spare] = ["heavy", "light", "spare"].map(Origin::saying);
    let dns = dns();
    let last = record(spare.address(), 20, 9);
    dns.set(
        SERVICE,
        &[record(light.address(), 10, 0), last.clone(), record(heavy.address(), 10, 3)],
    );
    let proxy = by_service(&dns).workers(1).route("host = \"member\"").start();
    for origin in [&heavy, &light, &spare] {
        wait_said(&proxy, "added", origin.address(), 1);
    }
    let mut client = Client::connect(proxy.address());
    let shares = |client: &mut Client| {
        let said: Vec<_> = (0..40).map(|_| client.get("/").text()).collect();
        ["heavy", "light", "spare"].map(|name| said.iter().filter(|text| *text == name).count())
    };
    assert_eq!(shares(&mut client), [30, 10, 0]);
    let host = format!("localhost.test:{}", heavy.address().port());
    assert_eq!(heavy.requests()[0].head.get("host"), Some(host.as_str()));
    dns.set(
        SERVICE,
        &[record(light.address(), 10, 1), last.clone(), record(heavy.address(), 10, 1)],
    );
    eventually("the weights are others", || told(&proxy, "weights changed") > 0);
    assert_eq!(shares(&mut client), [20, 20, 0]);
    dns.set(SERVICE, &[last]);
    wait_said(&proxy, "removed", heavy.address(), 1);
    assert_eq!(shares(&mut client), [0, 0, 40]);
}

#[test]
fn probes_follow_the_addresses() {
    let healthy = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&healthy);
    let (a, dns) = (Origin::saying("a"), dns());
    let b = Origin::serving(move |_| match switch.load(Ordering::SeqCst) {
        true => ok("b"),
        false => answer_with("503 Service Unavailable", &[], b""),
    });
    serve_by(&dns, &[a.address(), b.address()]);
    let health = "health = { path = \"/up\", interval = \"150ms\", timeout = \"140ms\", rise = 1, fall = 1, start = \"down\" }";
    let proxy = by_service(&dns).pool(health).start();
    let mut client = Client::connect(proxy.address());
    eventually("a is in", || client.get("/").status() == 200);
    proxy.wait_stat("members_out", 1);
    serve_by(&dns, &[a.address()]);
    wait_said(&proxy, "removed", b.address(), 1);
    proxy.wait_stat("members_out", 0);
    let probes = |origin: &Origin| {
        origin.requests().iter().filter(|request| request.head.target() == "/up").count()
    };
    // The last one of b may have been under way.
    eventually("only a is probed", || {
        let before = probes(&b);
        let enough = probes(&a) + 5;
        eventually("a is still probed", || probes(&a) >= enough);
        probes(&b) == before
    });
    healthy.store(true, Ordering::SeqCst);
    serve_by(&dns, &[a.address(), b.address()]);
    eventually("b serves", || client.get("/").text() == "b");
}

#[test]
fn whoever_finds_no_place_is_told_once() {
    let [a, b] = ["a", "b"].map(Origin::saying);
    let dns = dns();
    serve_by(&dns, &[a.address(), b.address()]);
    let member = format!("{{ address = \"srv:{SERVICE}\", places = 1 }}");
    let proxy = pool_of(&dns, &member).start();
    eventually("it is told", || told(&proxy, "more addresses than") > 0);
    let resolutions = proxy.stats().total("resolutions");
    eventually("it is resolved again", || proxy.stats().total("resolutions") > resolutions);
    assert_eq!(told(&proxy, "left_out=1"), 1);
    assert_eq!(Client::connect(proxy.address()).get("/").status(), 200);
}

#[test]
fn the_other_family_counts_only_where_there_is_no_first() {
    let dns = dns();
    let origin = Origin::serving(|_| ok("v4"));
    let port = origin.address().port();
    let v6 = Record::Address("::1".parse().unwrap());
    dns.set("both.test", &[v6.clone(), Record::Address(HERE)]);
    dns.set("six.test", &[v6]);
    let members = [format!("\"both.test:{port}\""), format!("\"six.test:{port}\"")];
    let proxy = Setup::to_members(&members).server(dns.line()).start();
    wait_said(&proxy, "added", origin.address(), 1);
    wait_said(&proxy, "added", format!("[::1]:{port}").parse().unwrap(), 1);
    assert_eq!(proxy.stats().total("addresses_added"), 2);
}

#[test]
fn the_hosts_file_knows_this_host() {
    let (origin, dns) = (Origin::saying("ok"), dns());
    let port = origin.address().port();
    let proxy = pool_of(&dns, &format!("\"localhost:{port}\"")).start();
    wait_said(&proxy, "added", origin.address(), 1);
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
}

#[test]
fn a_drained_address_that_comes_back_is_still_drained() {
    let [a, b] = &Member::neighbours(["a", "b"]);
    let (dns, port) = (Dns::new(), a.address().port());
    let both = [a.address(), b.address()];
    dns.set_addresses("app.test", &both);
    let proxy = pool_of(&dns, &format!("\"app.test:{port}\"")).server(TCP).start();
    wait_said(&proxy, "added", b.address(), 1);
    let path = format!("/pools/main/members/{}", b.address());
    let drain = format!("POST {path}/state?state=drain HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(Client::connect(address(&proxy)).ask(drain).status(), 200);
    dns.set_addresses("app.test", &both[..1]);
    wait_said(&proxy, "removed", b.address(), 1);
    dns.set_addresses("app.test", &both);
    wait_said(&proxy, "added", b.address(), 2);
    eventually("the log says so", || told(&proxy, "what an operator said of it holds") == 1);
    assert_eq!(admin::get(&proxy, &path)["admin"], "drain");
    let mut client = Client::connect(proxy.address());
    assert!((0..8).all(|_| client.get("/").text() == "a"));
    // It forgets with the word.
    let ready = format!("POST {path}/state?state=ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(Client::connect(address(&proxy)).ask(ready).status(), 200);
    dns.set_addresses("app.test", &both[..1]);
    wait_said(&proxy, "removed", b.address(), 2);
    dns.set_addresses("app.test", &both);
    wait_said(&proxy, "added", b.address(), 3);
    assert_eq!(admin::get(&proxy, &path)["admin"], "ready");
}
