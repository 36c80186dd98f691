//! Clients that stay on their member by a signed cookie: over workers and restarts, while it lives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::admin::{TCP, address};
use crate::support::message::answer_with;
use crate::support::proxy::Directory;
use crate::support::{
    Client, Member, Message, Mode, Origin, PATIENCE, Proxy, Setup, eventually, ok,
};

const STICKY: &str = "sticky = { key = \"an end-to-end test has this key!!\" }";

fn get(cookies: &str) -> String {
    let line = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    format!("GET / HTTP/1.1\r\nHost: t\r\n{line}\r\n")
}

/// The `ringway=...` that an answer sets.
fn cookie(answer: &Message) -> Option<String> {
    let set = answer.head.get("set-cookie")?;
    Some(set.split(';').next().expect("a cookie").to_owned())
}

/// A cookie of each member, by what the member says.
#[track_caller]
fn cookies(proxy: &Proxy, members: usize) -> BTreeMap<String, String> {
    let mut cookies = BTreeMap::new();
    let mut client = Client::connect(proxy.address());
    eventually("every member has set its cookie", || {
        let answer = client.ask(get(""));
        cookies.insert(answer.text(), cookie(&answer).expect("a new client gets a cookie"));
        cookies.len() == members
    });
    cookies
}

/// Asks with each member's cookie until every worker was asked: it answers, and sets no other.
#[track_caller]
fn check_stays(proxy: &Proxy, cookies: &BTreeMap<String, String>) {
    let before = proxy.stats().workers("exchanges").to_vec();
    eventually("both workers are asked", || {
        let mut client = Client::connect(proxy.address());
        for (name, cookie) in cookies {
            let answer = client.ask(get(&format!("a=b; {cookie}; ringwa=x")));
            assert_eq!((&answer.text(), answer.head.get("set-cookie")), (name, None));
        }
        let stats = proxy.stats();
        stats.workers("exchanges").iter().zip(&before).all(|(now, before)| now > before)
    });
}

fn setup(members: &[SocketAddr], pool: &str) -> Setup {
    Setup::to_addresses(members).pool(pool)
}

#[test]
fn on_every_worker_and_after_a_restart_with_the_members_in_another_order() {
    let members = ["a", "b", "c"].map(Member::new);
    let mut addresses: Vec<_> = members.iter().map(Member::address).collect();
    let directory = Directory::new();
    let file = directory.path().join("sticky.key");
    std::fs::write(&file, "k2mGm0cE7Yz0mKe0tC4yqM6zQyq0v2r8Zk1v5v1j3n8=\n").expect("the key");
    let pool =
        format!("sticky = {{ key_file = \"{}\" }}\nbalance = \"least-time\"", file.display());
    let proxy = setup(&addresses, &pool).start();
    let cookies = cookies(&proxy, 3);
    check_stays(&proxy, &cookies);
    drop(proxy);
    addresses.rotate_left(1);
    // One more, and another algorithm.
    let more = Member::new("d");
    addresses.insert(0, more.address());
    let pool = pool.replace("\"least-time\"", "{ hash = \"path\" }");
    check_stays(&setup(&addresses, &pool).start(), &cookies);
    // With another key nobody knows them.
    let pool = format!("{STICKY}\nbalance = {{ hash = \"path\" }}");
    let proxy = setup(&addresses, &pool).start();
    let mut client = Client::connect(proxy.address());
    for text in cookies.values() {
        assert!(cookie(&client.ask(get(text))).is_some_and(|new| new != *text));
    }
}

#[test]
fn a_member_that_dies_hands_its_clients_on_and_nobody_notices() {
    let members = ["a", "b"].map(Member::new);
    let addresses: Vec<_> = members.iter().map(Member::address).collect();
    // Until it is out there may be more retries than ten a second.
    let proxy = setup(&addresses, &format!("{STICKY}\nretry = {{ budget = \"100%\" }}")).start();
    let cookies = cookies(&proxy, 2);
    members[0].turn(Mode::Reset);
    let mut client = Client::connect(proxy.address());
    // At first by a retry, then since it is out.
    for round in 0..20 {
        let answer = client.ask(get(&cookies["a"]));
        assert_eq!((answer.status(), answer.text()), (200, "b".to_owned()), "{round}");
        assert_eq!(cookie(&answer).as_ref(), Some(&cookies["b"]), "{round}");
        assert_eq!(client.ask(get(&cookies["b"])).head.get("set-cookie"), None);
    }
    proxy.wait_stat("members_out", 1);
    assert!(proxy.stats().total("retries") >= 5);
}

#[test]
fn forged_and_foreign_cookies_choose_nobody() {
    let members = ["a", "b"].map(Member::new);
    let addresses: Vec<_> = members.iter().map(Member::address).collect();
    // Without a cookie everybody gets the same one of them.
    let pool = format!("{STICKY}\nbalance = {{ hash = \"path\" }}");
    let proxy = setup(&addresses, &pool).start();
    let mut client = Client::connect(proxy.address());
    let chosen = client.ask(get(""));
    let spread = setup(&addresses, STICKY).start();
    let known = cookies(&spread, 2);
    let (_, other) = known.iter().find(|(name, _)| **name != chosen.text()).expect("the other");
    assert_ne!(client.ask(get(other)).text(), chosen.text());
    let mut forged = vec![
        "ringway=".to_owned(),
        "ringway=x".to_owned(),
        format!("ringway={}", "A".repeat(32)),
        format!("ringway={}", "A".repeat(4000)),
        other.replacen("ringway=", "Ringway=", 1),
        other.replacen("ringway=", "ringway =", 1),
        format!("{other}="),
        other[..other.len() - 1].to_owned(),
    ];
    for at in "ringway=".len()..other.len() {
        let mut bytes = other.clone().into_bytes();
        bytes[at] = if bytes[at] == b'Z' { b'Y' } else { b'Z' };
        forged.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for text in forged {
        let answer = client.ask(get(&text));
        assert_eq!(answer.text(), chosen.text(), "{text}");
        assert_eq!(cookie(&answer), cookie(&chosen), "{text}");
    }
    // A forged one in front of it, as a neighbouring site may set, does no harm.
    let answer = client.ask(get(&format!("ringway=x; {other}")));
    assert_eq!((answer.text() == chosen.text(), cookie(&answer)), (false, None));
}

#[test]
fn who_stays_waits_for_its_member_and_holds_up_nobody_else() {
    let (open, door) = mpsc::channel::<()>();
    let door = Mutex::new(door);
    let slow = Origin::serving(move |request: &Message| {
        if request.head.target() == "/hold" {
            door.lock().unwrap().recv_timeout(PATIENCE).expect("the door opens");
        }
        ok("slow")
    });
    let other = Origin::saying("other");
    let proxy = Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\n{STICKY}\nqueue = {{ length = 1, timeout = \"60s\" }}\n\
         members = [{{ address = \"{}\", max_connections = 1 }}, \"{}\"]",
        slow.address(),
        other.address(),
    ))
    .workers(1)
    .start();
    let cookies = cookies(&proxy, 2);
    let ask = |cookie: &str, path: &str| {
        let mut client = Client::connect(proxy.address());
        client.send(get(cookie).replacen("GET /", &format!("GET {path}"), 1));
        client
    };
    let mut holding = ask(&cookies["slow"], "/hold");
    eventually("it is held", || slow.requests().iter().any(|r| r.head.target() == "/hold"));
    let mut waiting = ask(&cookies["slow"], "/");
    proxy.wait_stat("queue_waiting", 1);
    // The others pass, with a cookie or without one.
    for cookie in ["", &cookies["other"], "", ""] {
        assert_eq!(ask(cookie, "/").answer().text(), "other");
    }
    // The line is full.
    ask(&cookies["slow"], "/").answer().expect_error(503, "pool", "queue_full");
    open.send(()).expect("the origin waits");
    for client in [&mut holding, &mut waiting] {
        let answer = client.answer();
        assert_eq!((answer.text().as_str(), cookie(&answer)), ("slow", None));
    }
    drop((holding, waiting));
    proxy.wait_stat("queue_waiting", 0);
    proxy.wait_idle();
}

#[test]
fn clients_that_stay_do_not_keep_new_ones_out_of_a_full_member() {
    let (open, door) = mpsc::channel::<()>();
    let door = Mutex::new(door);
    let origin = Origin::serving(move |request: &Message| {
        if request.head.target() != "/" {
            door.lock().unwrap().recv_timeout(PATIENCE).expect("the door opens");
        }
        ok("it")
    });
    let proxy = Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\n{STICKY}\nqueue = {{ timeout = \"60s\" }}\n\
         members = [{{ address = \"{}\", max_connections = 1 }}]",
        origin.address(),
    ))
    .workers(1)
    .start();
    let cookies = cookies(&proxy, 1);
    let mut clients = Vec::new();
    for (count, target) in
        (0..).zip(["/held", "/own1", "/own2", "/new1", "/new2", "/own3", "/own4"])
    {
        let cookie = if target.starts_with("/new") { "" } else { &cookies["it"] };
        let mut client = Client::connect(proxy.address());
        client.send(get(cookie).replacen("GET /", &format!("GET {target}"), 1));
        match count {
            0 => eventually("it is held", || {
                origin.requests().iter().any(|r| r.head.target() == target)
            }),
            waiting => proxy.wait_stat("queue_waiting", waiting),
        }
        clients.push(client);
    }
    for _ in &clients {
        open.send(()).expect("the origin waits");
    }
    for client in &mut clients {
        assert_eq!(client.answer().status(), 200);
    }
    let targets = origin.requests().iter().map(|r| r.head.target().to_owned()).collect::<Vec<_>>();
    let served: Vec<_> =
        targets.iter().map(String::as_str).filter(|target| *target != "/").collect();
    // In turn, and each line in its order.
    let (own, new) = (
        ["/own1", "/new1", "/own2", "/new2", "/own3", "/own4"],
        ["/new1", "/own1", "/new2", "/own2", "/own3", "/own4"],
    );
    assert!(served[1..] == own || served[1..] == new, "{served:?}");
    proxy.wait_stat("queue_waiting", 0);
    drop(clients);
    proxy.wait_idle();
}

/// The pool is full, not the member: nobody frees a slot of a drained one, which gets no new clients.
#[test]
fn new_clients_do_not_keep_those_who_stay_out_of_a_full_pool() {
    let (open, door) = mpsc::channel::<()>();
    let door = Arc::new(Mutex::new(door));
    let origins = ["a", "b"].map(|name| {
        let door = Arc::clone(&door);
        Origin::serving(move |request: &Message| {
            if request.head.target() != "/" {
                door.lock().unwrap().recv_timeout(PATIENCE).expect("the door opens");
            }
            ok(name)
        })
    });
    let [a, b] = origins.each_ref().map(|origin| origin.address());
    let proxy = Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\n{STICKY}\nqueue = {{ timeout = \"60s\" }}\n\
         members = [\"{a}\", {{ address = \"{b}\", max_connections = 5 }}]\nmax_connections = 1",
    ))
    .server(TCP)
    .workers(1)
    .start();
    let cookies = cookies(&proxy, 2);
    let drain = format!(
        "POST /pools/main/members/{b}/state?state=drain HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    );
    assert_eq!(Client::connect(address(&proxy)).ask(drain).status(), 200);
    let mut clients = Vec::new();
    for (count, target) in (0..).zip(["/held", "/new1", "/new2", "/new3", "/own1"]) {
        let cookie = if target.starts_with("/own") { &cookies["b"] } else { "" };
        let mut client = Client::connect(proxy.address());
        client.send(get(cookie).replacen("GET /", &format!("GET {target}"), 1));
        match count {
            0 => eventually("it is held", || {
                origins[0].requests().iter().any(|r| r.head.target() == target)
            }),
            waiting => proxy.wait_stat("queue_waiting", waiting),
        }
        clients.push(client);
    }
    // All but one of the new ones: who stays is not the last.
    for _ in 0..4 {
        open.send(()).expect("the origin waits");
    }
    assert_eq!(clients[4].answer().text(), "b");
    open.send(()).expect("the origin waits");
    for client in &mut clients[..4] {
        assert_eq!(client.answer().text(), "a");
    }
    drop(clients);
    proxy.wait_idle();
}

#[test]
fn who_waits_for_a_member_that_dies_goes_to_another() {
    let gate = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
    let shared = Arc::clone(&gate);
    // It holds its requests, and then closes without an answer.
    let dying = Origin::owning(move |mut conn| {
        let request = conn.expect_request()?;
        if request.head.target() == "/hold" {
            let (lock, changed) = &*shared;
            let shut = changed.wait_timeout_while(lock.lock().unwrap(), PATIENCE, |open| !*open);
            assert!(!shut.unwrap().1.timed_out(), "the door stays shut");
            return Ok(());
        }
        conn.send(answer_with("200 OK", &[("Connection", "close")], b"dying"))
    });
    let other = Origin::saying("other");
    let proxy = Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\n{STICKY}\nqueue = {{ timeout = \"60s\" }}\n\
         eject = {{ failures = 1, for = \"60s\" }}\nretry = \"off\"\n\
         members = [{{ address = \"{}\", max_connections = 1 }}, \"{}\"]",
        dying.address(),
        other.address(),
    ))
    .start();
    let cookies = cookies(&proxy, 2);
    let mut holding = Client::connect(proxy.address());
    holding.send(get(&cookies["dying"]).replacen("GET /", "GET /hold", 1));
    eventually("it is held", || dying.requests().iter().any(|r| r.head.target() == "/hold"));
    let mut waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut client = Client::connect(proxy.address());
            client.send(get(&cookies["dying"]));
            client
        })
        .collect();
    proxy.wait_stat("queue_waiting", 8);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(holding.answer().status(), 502);
    let mut moved = 0;
    for client in &mut waiting {
        let answer = client.answer();
        // Until the monitor has spoken the member's slot is free, and it still answers these.
        if answer.text() == "other" {
            assert_eq!(cookie(&answer).as_ref(), Some(&cookies["other"]));
            moved += 1;
        } else {
            assert_eq!((answer.status(), answer.text()), (200, "dying".to_owned()));
        }
    }
    proxy.wait_stat("queue_waiting", 0);
    proxy.wait_stat("members_out", 1);
    // From now on all go.
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(get(&cookies["dying"])).text(), "other", "{moved} had moved");
}

#[test]
fn without_a_weight_or_as_a_backup_a_member_keeps_its_clients() {
    let members = ["a", "b", "c"].map(Member::new);
    let addresses: Vec<_> = members.iter().map(Member::address).collect();
    let known = cookies(&setup(&addresses, STICKY).start(), 3);
    let [a, b, c] = [addresses[0], addresses[1], addresses[2]];
    let proxy = Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\n{STICKY}\nmembers = [\"{c}\", \
         {{ address = \"{a}\", weight = 0 }}, {{ address = \"{b}\", backup = true }}]"
    ))
    .start();
    check_stays(&proxy, &known);
    let mut client = Client::connect(proxy.address());
    for _ in 0..10 {
        assert_eq!(client.ask(get("")).text(), "c");
    }
}

#[test]
fn drained_a_member_keeps_its_clients_and_under_maintenance_it_does_not() {
    let members = ["a", "b", "c"].map(Member::new);
    let addresses: Vec<_> = members.iter().map(Member::address).collect();
    let known = cookies(&setup(&addresses, STICKY).start(), 3);
    let [a, b, c] = [addresses[0], addresses[1], addresses[2]];
    let start = |sticky: &str| {
        Setup::with_body(format!(
            "[[route]]\npool = \"main\"\n[pool.main]\n{sticky}\nmembers = [\"{a}\", \
             {{ address = \"{b}\", state = \"drain\" }}, {{ address = \"{c}\", state = \"maintenance\" }}]"
        ))
        .start()
    };
    let proxy = start(STICKY);
    let mut client = Client::connect(proxy.address());
    for (cookie, name) in [("", "a"), (&known["a"], "a"), (&known["b"], "b"), (&known["c"], "a")] {
        for _ in 0..5 {
            assert_eq!(client.ask(get(cookie)).text(), name, "{cookie}");
        }
    }
    assert_eq!(proxy.stats().total("members_out"), 2);
    let proxy = start("");
    let mut client = Client::connect(proxy.address());
    for cookie in known.values() {
        assert_eq!(client.ask(get(cookie)).text(), "a", "nobody stays");
    }
}

#[test]
fn a_tunnel_has_its_cookie_too() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    });
    let proxy = Setup::to(&[&origin]).pool(STICKY).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 101);
    assert!(head.get("set-cookie").is_some_and(|set| set.starts_with("ringway=")));
}
