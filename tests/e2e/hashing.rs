//! The member of a key: the same on every worker and after a restart, and only the keys of a member
//! that is gone move. And the algorithms that go by chance or by time: they spread.

use std::collections::BTreeMap;

use crate::support::{Client, Load, Member, Mode, Proxy, Setup, eventually};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Keys of a test.
const KEYS: usize = 60;

fn members() -> [Member; 4] {
    NAMES.map(Member::new)
}

fn setup(members: &[Member], pool: &str) -> Setup {
    let addresses: Vec<_> = members.iter().map(Member::address).collect();
    Setup::to_addresses(&addresses).pool(pool)
}

/// A request with this key, where the pool hashes it.
fn request(hash: &str, key: usize) -> String {
    let (target, fields) = match hash {
        // The one behind the untrusted hop counts, whatever the client itself says.
        "client-ip" => ("/".to_owned(), format!("X-Forwarded-For: 6.6.6.6, 203.0.113.{key}\r\n")),
        "header:X-User" => ("/".to_owned(), format!("x-user: user {key}\r\n")),
        "cookie:sid" => ("/".to_owned(), format!("Cookie: other=1; sid=s{key}; more=2\r\n")),
        "query:user" => (format!("/?a=1&user={key}&user=0"), String::new()),
        _ => (format!("/{key}?whatever"), String::new()),
    };
    format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

/// Who serves each key: asked on several connections, so that every worker is asked.
#[track_caller]
fn map(proxy: &Proxy, hash: &str) -> BTreeMap<usize, String> {
    let mut map = BTreeMap::new();
    let asked = |worker: usize| proxy.stats().workers("exchanges")[worker];
    let before = [asked(0), asked(1)];
    let mut rounds = 0;
    eventually("both workers are asked", || {
        let mut client = Client::connect(proxy.address());
        for key in 0..KEYS {
            let answer = client.ask(request(hash, key));
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let first = map.entry(key).or_insert_with(|| answer.text());
            assert_eq!(*first, answer.text(), "key {key} of {hash} has two members");
        }
        rounds += 1;
        rounds >= 2 && asked(0) > before[0] && asked(1) > before[1]
    });
    map
}

fn pool(hash: &str) -> String {
    format!("balance = {{ hash = \"{hash}\" }}\neject = {{ failures = 1, for = \"1s\" }}")
}

#[track_caller]
fn check(hash: &str) {
    let members = members();
    let start = || {
        let trusting = "trusted_proxies = [\"127.0.0.0/8\"]";
        setup(&members, &pool(hash)).listener(trusting).start()
    };
    let first = map(&start(), hash);
    let proxy = start();
    assert_eq!(map(&proxy, hash), first, "after a restart");
    for name in NAMES {
        let share = first.values().filter(|served| *served == name).count();
        assert!((4..=30).contains(&share), "{name} has {share} of {KEYS} keys");
    }
    // One dies.
    members[2].turn(Mode::Reset);
    eventually("it is out", || {
        let mut client = Client::connect(proxy.address());
        for key in 0..KEYS {
            assert_eq!(client.ask(request(hash, key)).status(), 200);
        }
        proxy.stats().total("members_out") == 1
    });
    let mut heirs: Vec<String> = Vec::new();
    for (key, now) in map(&proxy, hash) {
        match first[&key].as_str() {
            "c" => heirs.push(now),
            before => assert_eq!(now, before, "key {key} moved though its member is there"),
        }
    }
    heirs.sort();
    heirs.dedup();
    assert!(heirs.len() > 1 && !heirs.contains(&"c".to_owned()), "its keys went to {heirs:?}");
    // And comes back.
    members[2].turn(Mode::Serving);
    eventually("it is in", || {
        let mut client = Client::connect(proxy.address());
        assert_eq!(client.get("/").status(), 200);
        proxy.stats().total("members_out") == 0
    });
    // A worker that saw it fail a moment ago avoids it a little longer.
    eventually("its keys are back", || map(&proxy, hash) == first);
}

#[test]
fn by_path() {
    check("path");
}

#[test]
fn by_header() {
    check("header:X-User");
}

#[test]
fn by_cookie() {
    check("cookie:sid");
}

#[test]
fn by_query() {
    check("query:user");
}

#[test]
fn by_client_address() {
    check("client-ip");
}

/// Everybody who answers to so many requests.
fn answers(proxy: &Proxy, requests: impl Iterator<Item = String>) -> Vec<String> {
    let mut client = Client::connect(proxy.address());
    let mut answers: Vec<_> = requests.map(|request| client.ask(request).text()).collect();
    answers.sort();
    answers.dedup();
    answers
}

#[test]
fn an_address_that_an_untrusted_client_claims_is_no_key() {
    let members = members();
    let proxy = setup(&members, &pool("client-ip")).start();
    let claims = (0..KEYS).map(|key| request("client-ip", key));
    assert_eq!(answers(&proxy, claims).len(), 1);
}

#[test]
fn without_its_key_a_request_goes_by_the_client() {
    let members = members();
    for hash in ["header:X-User", "cookie:sid", "query:user"] {
        let proxy = setup(&members, &pool(hash)).start();
        let others = (0..KEYS).map(|key| request("path", key));
        assert_eq!(answers(&proxy, others).len(), 1, "{hash}");
    }
}

#[test]
fn chance_and_time_spread() {
    for balance in ["random-two", "least-time"] {
        let members = members();
        let proxy = setup(&members, &format!("balance = \"{balance}\"")).start();
        let load = Load::start(proxy.address(), 4, &request("path", 0));
        eventually("everybody serves", || {
            load.check();
            members.iter().all(|member| member.served() >= 10)
        });
        load.stop();
    }
}

#[test]
fn weight_zero_gets_nothing_by_any_algorithm() {
    for (balance, spreads) in
        [("\"random-two\"", true), ("\"least-time\"", false), ("{ hash = \"path\" }", true)]
    {
        let members = members();
        let list: Vec<_> = members
            .iter()
            .zip([0, 1, 2, 3])
            .map(|(m, weight)| format!("{{ address = \"{}\", weight = {weight} }}", m.address()))
            .collect();
        let proxy = Setup::with_body(format!(
            "[[route]]\npool = \"main\"\n[pool.main]\nbalance = {balance}\nmembers = [{}]\n",
            list.join(", ")
        ))
        .start();
        let mut client = Client::connect(proxy.address());
        for key in 0..200 {
            assert_eq!(client.ask(request("path", key)).status(), 200);
        }
        let served: Vec<_> = members.iter().map(Member::served).collect();
        assert_eq!((served[0], served.iter().sum::<usize>()), (0, 200), "{balance}: {served:?}");
        assert!(!spreads || served[1..].iter().all(|n| *n > 0), "{balance}: {served:?}");
    }
}
