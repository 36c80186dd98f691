//! `max_connections` and the queue: never too many at a member, and nobody turned away who can wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;

use crate::support::{Client, Message, Origin, PATIENCE, Proxy, Setup, eventually, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// How many requests an origin has at the same time, and a door that holds them back.
#[derive(Default)]
struct Desk {
    now: AtomicUsize,
    most: AtomicUsize,
    open: Mutex<bool>,
    changed: Condvar,
}

impl Desk {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn serve(&self, name: &str) -> Vec<u8> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        let (open, waited) = self.changed.wait_timeout_while(open, PATIENCE, |o| !*o).unwrap();
        assert!(!waited.timed_out(), "the door stays shut");
        drop(open);
        // The others get a chance to be too many.
        thread::yield_now();
        self.now.fetch_sub(1, Ordering::SeqCst);
        ok(name)
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

fn origin(name: &'static str) -> (Origin, Arc<Desk>) {
    let desk = Arc::new(Desk::default());
    let shared = Arc::clone(&desk);
    (Origin::serving(move |_: &Message| shared.serve(name)), desk)
}

/// A pool of these members, each as its TOML without the address.
fn pool(members: &[(&Origin, &str)], queue: &str) -> Setup {
    let list: Vec<_> = members
        .iter()
        .map(|(origin, rest)| format!("{{ address = \"{}\", {rest} }}", origin.address()))
        .collect();
    let list = list.join(", ");
    Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\nmembers = [{list}]\nqueue = {queue}\n"
    ))
}

/// Clients whose requests the proxy has all read, by its count.
fn ask(proxy: &Proxy, count: usize) -> Vec<Client> {
    let before = proxy.stats().total("exchanges");
    let clients = (0..count)
        .map(|_| {
            let mut client = Client::connect(proxy.address());
            client.send(GET);
            client
        })
        .collect();
    proxy.wait_stat("exchanges", before + i64::try_from(count).unwrap());
    clients
}

#[test]
fn never_above_the_maximum_and_nobody_is_turned_away() {
    let (member, desk) = origin("ok");
    let queue = "{ length = 100, timeout = \"60s\" }";
    let proxy = pool(&[(&member, "max_connections = 3")], queue).start();
    let clients = ask(&proxy, 60);
    eventually("three are served", || desk.now.load(Ordering::SeqCst) == 3);
    proxy.wait_stat("queue_waiting", 57);
    assert_eq!(proxy.stats().total("upstream_active"), 3);
    let go = Arc::new(Barrier::new(clients.len()));
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let go = Arc::clone(&go);
            thread::spawn(move || {
                go.wait();
                assert_eq!(client.answer().text(), "ok");
                for _ in 0..20 {
                    assert_eq!(client.ask(GET).text(), "ok");
                }
            })
        })
        .collect();
    desk.open();
    for thread in threads {
        thread.join().expect("every answer is the member's");
    }
    assert_eq!(desk.most(), 3, "all slots are used, and no more than there are");
    assert_eq!(member.requests().len(), 60 * 21);
    proxy.wait_stat("queue_waiting", 0);
    proxy.wait_idle();
    assert!(proxy.stats().total("queued") >= 57);
}

/// Members without a maximum, and one with its own, under a maximum for all.
#[test]
fn never_above_the_pools_maximum() {
    let ((first, one), (second, two), (third, three)) = (origin("ok"), origin("ok"), origin("ok"));
    let queue = "{ length = 100, timeout = \"60s\" }\nmax_connections = 4";
    let members =
        [(&first, "weight = 1"), (&second, "weight = 1"), (&third, "max_connections = 1")];
    let proxy = pool(&members, queue).start();
    let clients = ask(&proxy, 40);
    let now = || [&one, &two, &three].map(|desk| desk.now.load(Ordering::SeqCst));
    eventually("four are served", || now().iter().sum::<usize>() == 4);
    proxy.wait_stat("queue_waiting", 36);
    assert_eq!(proxy.stats().total("upstream_active"), 4);
    assert!(now()[2] <= 1);
    [&one, &two, &three].iter().for_each(|desk| desk.open());
    let most = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                assert_eq!(client.answer().text(), "ok");
                for _ in 0..20 {
                    assert_eq!(client.ask(GET).text(), "ok");
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        most.fetch_max(now().iter().sum(), Ordering::SeqCst);
        thread::yield_now();
    }
    for thread in threads {
        thread.join().expect("every answer is a member's");
    }
    // Read one after the other, so that one exchange may be seen at two members.
    assert!(most.load(Ordering::SeqCst) <= 4 + 2, "{most:?}");
    assert_eq!(three.most(), 1);
    assert!([&one, &two].iter().all(|desk| desk.most() <= 4));
    proxy.wait_stat("queue_waiting", 0);
    proxy.wait_idle();
}

#[test]
fn a_full_queue_refuses_at_once() {
    let (member, desk) = origin("ok");
    let queue = "{ length = 2, timeout = \"60s\" }";
    let proxy = pool(&[(&member, "max_connections = 1")], queue).workers(1).start();
    let served = ask(&proxy, 1);
    proxy.wait_stat("upstream_active", 1);
    let waiting = ask(&proxy, 2);
    proxy.wait_stat("queue_waiting", 2);
    let mut refused = Client::connect(proxy.address());
    for count in 1..3 {
        let answer = refused.get("/");
        answer.expect_error(503, "pool", "queue_full");
        assert_eq!(answer.head.get("retry-after"), Some("1"));
        assert_eq!(proxy.stats().total("error_pool_queue_full"), count);
    }
    desk.open();
    for mut client in served.into_iter().chain(waiting) {
        assert_eq!(client.answer().text(), "ok");
    }
    // The connection was kept.
    assert_eq!(refused.get("/").text(), "ok");
    assert_eq!(desk.most(), 1);
}

#[test]
fn a_queue_of_no_length_refuses_all_that_would_wait() {
    let (member, desk) = origin("ok");
    let proxy = pool(&[(&member, "max_connections = 1")], "{ length = 0 }").start();
    let served = ask(&proxy, 1);
    proxy.wait_stat("upstream_active", 1);
    Client::connect(proxy.address()).get("/").expect_error(503, "pool", "queue_full");
    desk.open();
    for mut client in served {
        assert_eq!(client.answer().text(), "ok");
    }
}

#[test]
fn who_waits_too_long_is_told() {
    let (member, desk) = origin("ok");
    let queue = "{ length = 100, timeout = \"200ms\" }";
    let proxy = pool(&[(&member, "max_connections = 1")], queue).start();
    let served = ask(&proxy, 1);
    proxy.wait_stat("upstream_active", 1);
    let late = ask(&proxy, 5);
    for mut client in late {
        let answer = client.answer();
        answer.expect_error(503, "pool", "queue_timeout");
        assert_eq!(answer.head.get("retry-after"), Some("1"));
    }
    let stats = proxy.stats();
    assert_eq!(stats.total("error_pool_queue_timeout"), 5);
    assert_eq!((stats.total("queue_waiting"), stats.total("queued")), (0, 5));
    desk.open();
    for mut client in served {
        assert_eq!(client.answer().text(), "ok");
    }
    assert_eq!(member.requests().len(), 1, "who was refused did not reach the member");
}

#[test]
fn who_leaves_while_waiting_frees_its_place() {
    let (member, desk) = origin("ok");
    let queue = "{ length = 1, timeout = \"60s\" }";
    let proxy = pool(&[(&member, "max_connections = 1")], queue).workers(1).start();
    let served = ask(&proxy, 1);
    proxy.wait_stat("upstream_active", 1);
    for resets in [true, false] {
        let leaving = ask(&proxy, 1);
        proxy.wait_stat("queue_waiting", 1);
        for client in leaving {
            if resets {
                client.wire.reset();
            }
        }
        proxy.wait_stat("queue_waiting", 0);
    }
    let next = ask(&proxy, 1);
    proxy.wait_stat("queue_waiting", 1);
    desk.open();
    for mut client in served.into_iter().chain(next) {
        assert_eq!(client.answer().text(), "ok");
    }
    assert_eq!(member.requests().len(), 2, "the members work for nobody");
    proxy.wait_idle();
}

#[test]
fn first_come_first_served() {
    let done = Arc::new(AtomicBool::new(false));
    let (open, paths) = (Arc::clone(&done), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&paths);
    let member = Origin::serving(move |request| {
        seen.lock().unwrap().push(request.head.target().to_owned());
        eventually("the door opens", || open.load(Ordering::SeqCst));
        ok("ok")
    });
    let queue = "{ length = 100, timeout = \"60s\" }";
    let proxy = pool(&[(&member, "max_connections = 1")], queue).workers(1).start();
    let expected: Vec<_> = (0..20).map(|number| format!("/{number}")).collect();
    let mut clients = Vec::new();
    for (number, path) in (0..).zip(&expected) {
        let mut client = Client::connect(proxy.address());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        clients.push(client);
        // The first one is served, the others wait.
        proxy.wait_stat("upstream_active", 1);
        proxy.wait_stat("queue_waiting", number);
    }
    done.store(true, Ordering::SeqCst);
    for mut client in clients {
        assert_eq!(client.answer().text(), "ok");
    }
    assert_eq!(*paths.lock().unwrap(), expected);
}

#[test]
fn a_full_member_leaves_the_rest_to_others_but_not_to_a_backup() {
    let ((slow, slow_desk), (fast, fast_desk)) = (origin("slow"), origin("fast"));
    let spare = Origin::saying("spare");
    let queue = "{ length = 100, timeout = \"60s\" }";
    let members =
        [(&slow, "max_connections = 1"), (&fast, "max_connections = 1"), (&spare, "backup = true")];
    let proxy = pool(&members, queue).start();
    let clients = ask(&proxy, 8);
    proxy.wait_stat("queue_waiting", 6);
    // All six go through the one that is free, while the other holds its one.
    fast_desk.open();
    eventually("the fast one serves the rest", || fast.requests().len() == 7);
    assert_eq!(slow.requests().len(), 1);
    proxy.wait_stat("upstream_active", 1);
    slow_desk.open();
    for mut client in clients {
        assert_ne!(client.answer().text(), "spare", "a backup is for members that are out");
    }
    assert_eq!((slow_desk.most(), fast_desk.most()), (1, 1));
    assert_eq!(spare.connections(), 0);
}
