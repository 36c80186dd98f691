//! The admin interface: what it answers, whom it answers, and what an operator's word does.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::Value;

use crate::support::proxy::{has_word, value_in};
use crate::support::system::wait_asleep;
use crate::support::{
    Client, Load, Message, Origin, PATIENCE, Proxy, Setup, eventually, exchange, ok,
};

pub(crate) const TCP: &str = "admin = \"127.0.0.1:0\"";

/// Where the admin interface of `proxy` listens.
#[track_caller]
pub(crate) fn address(proxy: &Proxy) -> SocketAddr {
    admin_text(proxy).parse().unwrap()
}

/// The same as text, also of a Unix socket.
pub(crate) fn admin_text(proxy: &Proxy) -> String {
    let lines = proxy.log.all();
    let line = lines.iter().find(|line| line.contains("admin interface"));
    value_in(line.expect("a line"), "address").unwrap().to_owned()
}

fn ask(proxy: &Proxy, method: &str, path: &str) -> Message {
    let to = address(proxy);
    // What it counts is to be counted.
    wait_asleep(proxy.pid());
    let answer = exchange(to, format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    assert!(answer.head.closes(), "{:?}", answer.head);
    answer
}

#[track_caller]
fn json(answer: &Message) -> Value {
    assert_eq!(answer.head.get("content-type"), Some("application/json"), "{}", answer.text());
    assert_eq!(answer.head.get("cache-control"), Some("no-store"));
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[track_caller]
pub(crate) fn get(proxy: &Proxy, path: &str) -> Value {
    let answer = ask(proxy, "GET", path);
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    json(&answer)
}

/// Says what the operator wants of a member of the pool `main`.
#[track_caller]
fn set(proxy: &Proxy, member: &Origin, state: &str) -> Value {
    let path = format!("/pools/main/members/{}/state?state={state}", member.address());
    let answer = ask(proxy, "POST", &path);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    json(&answer)
}

/// The answer must be a refusal in words.
#[track_caller]
pub(crate) fn expect_refusal(answer: &Message, status: u16, words: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    let error = json(answer)["error"].as_str().expect("an error").to_owned();
    assert!(error.contains(words), "{error}");
}

#[test]
fn counters_in_three_forms() {
    let origin = Origin::saying("a");
    let proxy = Setup::to(&[&origin]).route("path = \"/here\"").server(TCP).start();
    let mut client = Client::connect(proxy.address());
    for path in ["/here", "/here", "/there"] {
        client.get(path);
    }
    let stats = get(&proxy, "/stats");
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&stats["workers"], &stats["draining"]), (&2.into(), &false.into()));
    assert!(stats["uptime_seconds"].is_u64());
    let exchanges = &stats["counters"]["exchanges"];
    assert_eq!(exchanges["total"], 3);
    let workers: u64 =
        exchanges["workers"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(workers, 3);
    assert_eq!(stats["errors"]["route_no_route"]["total"], 1);
    assert_eq!(stats["errors"]["member_reset"]["total"], 0);
    let text = ask(&proxy, "GET", "/stats?format=text").text();
    let dumped = crate::support::stats::Stats::parse(text.lines());
    assert_eq!(dumped.total("exchanges"), 3);
    assert_eq!(
        dumped.names().filter(|name| !name.starts_with("error_") && !name.contains("_of_")).count(),
        ringway::stats::Counter::COUNT
    );
    // One connection, on one of two workers.
    assert_eq!(dumped.total("connections_of_web"), 1);
    assert_eq!(dumped.total("imbalance_percent_of_web"), 200);
    let listener = &stats["listeners"][0];
    assert_eq!((&listener["name"], &listener["imbalance"]), (&"web".into(), &2.0.into()));
    let metrics = ask(&proxy, "GET", "/metrics").text();
    assert!(metrics.contains("ringway_listener_imbalance{listener=\"web\"} 2\n"), "{metrics}");
    assert!(text.ends_with("stat end\n"));
    expect_refusal(&ask(&proxy, "GET", "/stats?format=xml"), 400, "json or text");
    // A HEAD is a GET without its body.
    let mut head = Client::connect(address(&proxy));
    head.send("HEAD /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(head.answer_to("HEAD").status(), 200);
    head.expect_close();
}

#[test]
fn pools_members_and_evidence() {
    let broken = Origin::owning(|mut conn| {
        conn.expect_request()?;
        conn.wire.reset();
        Ok(())
    });
    let good = Origin::saying("good");
    let body = format!(
        "[[route]]\npool = \"main\"\n[pool.main]\nbalance = \"least-time\"\n\
         eject = {{ failures = 2, for = \"1h\" }}\n\
         members = [{{ address = \"{}\", weight = 300 }}, \
         {{ address = \"{}\", weight = 3, max_connections = 7 }}]\n",
        // Of a weight that makes it the first choice.
        broken.address(),
        good.address()
    );
    let proxy = Setup::with_body(body).server(TCP).start();
    let path = format!("/pools/main/members/{}", broken.address());
    eventually("it is ejected", || {
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "good");
        get(&proxy, &path)["requests"] == "ejected"
    });
    let member = get(&proxy, &path);
    assert_eq!(member["address"], broken.address().to_string());
    assert_eq!((&member["standing"], &member["admin"]), (&"out".into(), &"ready".into()));
    assert_eq!((&member["probes"], &member["max_connections"]), (&Value::Null, &Value::Null));
    assert!(
        member["ejected_until"].as_f64().unwrap()
            > member["last_transition"]["at"].as_f64().unwrap()
    );
    assert_eq!(member["last_transition"]["to"], "ejected");
    assert_eq!(member["last_transition"]["cause"], "2 requests within 10s failed: reset");
    let evidence = member["evidence"].as_array().unwrap();
    assert!(evidence.len() >= 2);
    assert_eq!(
        (&evidence[0]["kind"], &evidence[0]["outcome"]),
        (&"request".into(), &"reset".into())
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - evidence[0]["at"].as_f64().unwrap();
    assert!((0.0..PATIENCE.as_secs_f64()).contains(&(age + 0.002)), "{age}");
    let pool = get(&proxy, "/pools/main");
    assert_eq!(
        (&pool["name"], &pool["available"], &pool["waiting"]),
        (&"main".into(), &1.into(), &0.into())
    );
    let second = &pool["members"][1];
    assert_eq!((&second["weight"], &second["max_connections"]), (&3.into(), &7.into()));
    assert_eq!((&second["in_flight"], &second["slots_in_use"]), (&0.into(), &0.into()));
    eventually("latency is measured", || {
        get(&proxy, "/pools/main")["members"][1]["latency_us"].is_u64()
    });
    assert_eq!(get(&proxy, "/pools")["pools"].as_array().unwrap().len(), 1);
    let config = ask(&proxy, "GET", "/config").text();
    let checked =
        ringway::config::load(&config, "config").unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(ringway::config::effective(&checked.config), config);
}

#[test]
fn what_is_in_flight_is_seen() {
    let (gate, opened) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (here, there) = (Arc::clone(&gate), Arc::clone(&opened));
    let origin = Origin::serving(move |_| {
        here.wait();
        there.wait();
        ok("late")
    });
    let body = format!(
        "[[route]]\npool = \"main\"\n[pool.main]\nmembers = [{{ address = \"{}\", max_connections = 1 }}]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).server(TCP).start();
    let mut first = Client::connect(proxy.address());
    first.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    gate.wait();
    let mut second = Client::connect(proxy.address());
    second.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the second one waits", || get(&proxy, "/pools/main")["waiting"] == 1);
    let member = &get(&proxy, "/pools/main")["members"][0];
    assert_eq!((&member["in_flight"], &member["slots_in_use"]), (&1.into(), &1.into()));
    // What is under way on a drained member goes on to its end; who waits is not sent there.
    set(&proxy, &origin, "drain");
    second.answer().expect_error(503, "pool", "no_member");
    opened.wait();
    assert_eq!(first.answer().text(), "late");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_member_is_drained_and_brought_back_under_load_without_an_error() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let proxy = Setup::to(&[&a, &b]).server(TCP).start();
    let load = Load::start(proxy.address(), 6, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    load.pass(200);
    assert!(a.requests().len() > 50 && b.requests().len() > 50);
    for (state, standing) in [("drain", "drain"), ("maintenance", "out")] {
        let change = set(&proxy, &a, state);
        assert_eq!(change["changed"], true);
        assert_eq!(change["member"]["admin"], state);
        assert_eq!(change["member"]["standing"], standing);
        let last = &change["member"]["last_transition"];
        assert_eq!((&last["to"], &last["cause"]), (&state.into(), &"an operator said so".into()));
        // Those that had been chosen before the answer.
        load.settle();
        let before = a.requests().len();
        // Idle connections are closed.
        a.wait_all_closed();
        load.pass(300);
        assert_eq!(a.requests().len(), before, "{state}");
        assert_eq!(set(&proxy, &a, state)["changed"], false);
        let change = set(&proxy, &a, "ready");
        assert_eq!(change["member"]["standing"], "in");
        eventually("it serves again", || a.requests().len() > before + 20);
    }
    load.stop();
    let told = |line: &String| {
        value_in(line, "member") == Some(&a.address().to_string()) && has_word(line, "operator")
    };
    assert_eq!(proxy.log.all().iter().filter(|line| told(line)).count(), 4);
}

#[test]
fn an_operator_s_word_holds_when_everybody_is_out() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let proxy = Setup::to(&[&a, &b]).pool("panic = \"use-all\"").server(TCP).start();
    for member in [&a, &b] {
        set(&proxy, member, "maintenance");
    }
    let ready = ask(&proxy, "GET", "/readyz");
    assert_eq!(ready.status(), 503);
    assert_eq!(json(&ready)["pools_without_member"], serde_json::json!(["main"]));
    Client::connect(proxy.address()).get("/").expect_error(503, "pool", "no_member");
    set(&proxy, &b, "ready");
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "b");
    assert_eq!(get(&proxy, "/readyz")["ready"], true);
    assert!(a.requests().is_empty());
}

#[test]
fn states_by_body_and_what_is_refused() {
    let origin = Origin::saying("a");
    let proxy = Setup::to(&[&origin]).server(TCP).start();
    let to = address(&proxy);
    let state = format!("/pools/main/members/{}/state", origin.address());
    let post = |path: &str, body: &str| {
        let length = body.len();
        exchange(
            to,
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    assert_eq!(json(&post(&state, "state=drain\n"))["member"]["admin"], "drain");
    for (path, body) in [(&state, "state=off"), (&state, ""), (&format!("{state}?state=Ready"), "")]
    {
        expect_refusal(&post(path, body), 400, "state=ready");
    }
    expect_refusal(&post("/pools/none/members/x/state", "state=drain"), 404, "no such pool");
    expect_refusal(&post("/pools/main/members/x/state", "state=drain"), 404, "no such member");
    expect_refusal(&post("/pools/%FF/members/x/state", "state=drain"), 400, "UTF-8");
    expect_refusal(&post("/stats", ""), 405, "GET");
    for path in ["/", "/pools/", "/pools/main/members", "/favicon.ico"] {
        expect_refusal(&ask(&proxy, "GET", path), 404, "/pools/NAME");
    }
    // A change by GET would be a link away.
    let by_get = ask(&proxy, "GET", &format!("{state}?state=ready"));
    expect_refusal(&by_get, 405, "POST");
    assert_eq!(by_get.head.get("allow"), Some("POST"));
    assert_eq!(get(&proxy, "/pools/main")["members"][0]["admin"], "drain");
}

#[test]
fn what_web_pages_could_send_is_refused() {
    let origin = Origin::saying("a");
    let proxy = Setup::to(&[&origin]).server(TCP).start();
    let to = address(&proxy);
    let drain = format!("POST /pools/main/members/{}/state?state=drain", origin.address());
    for request in ["GET /config", "GET /livez", drain.as_str()] {
        for (host, more, status, words) in [
            ("evil.example", "", 403, "rebinding"),
            ("192.0.2.1", "", 403, "rebinding"),
            ("127.0.0.1", "Origin: http://evil.example\r\n", 403, "Origin"),
            ("127.0.0.1", "Origin: null\r\n", 403, "Origin"),
            ("127.0.0.1", "Host: evil.example\r\n", 403, "exactly one"),
        ] {
            let answer = exchange(to, format!("{request} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
            expect_refusal(&answer, status, words);
            assert_eq!(answer.head.get("access-control-allow-origin"), None);
        }
        expect_refusal(&exchange(to, format!("{request} HTTP/1.1\r\n\r\n")), 403, "one Host");
    }
    assert_eq!(get(&proxy, "/pools/main")["members"][0]["admin"], "ready");
    assert_eq!(exchange(to, "GET /livez HTTP/1.0\r\n\r\n").text(), "ok\n");
}

#[test]
fn requests_that_are_too_large_or_too_slow_end() {
    let origin = Origin::saying("a");
    let proxy = Setup::to(&[&origin]).server(TCP).start();
    let to = address(&proxy);
    let state = format!("/pools/main/members/{}/state", origin.address());
    let long = "x".repeat(20_000);
    let answer =
        exchange(to, format!("GET /stats HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"));
    assert_eq!(answer.status(), 431);
    let fields: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(exchange(to, format!("GET /stats HTTP/1.1\r\n{fields}\r\n")).status(), 431);
    let answer = exchange(
        to,
        format!("POST {state} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n{long}"),
    );
    expect_refusal(&answer, 413, "1 KiB");
    let mut body = Client::connect(to);
    body.send(format!("POST {state} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsta"));
    // As many as are served at a time, without a whole head.
    let mut first = Client::connect(to);
    first.send("GET /stats HTTP/1.1\r\nHost: loc");
    let mut silent: Vec<_> = (1..63).map(|_| Client::connect(to)).collect();
    silent.push(first);
    expect_refusal(&body.answer(), 408, "did not come");
    // It waits until there is a place.
    assert_eq!(get(&proxy, "/readyz")["ready"], true);
    for client in &mut silent {
        client.expect_end();
    }
    // None of it is seen by those whom the proxy is for.
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "a");
    assert_eq!(get(&proxy, "/pools/main")["members"][0]["admin"], "ready");
}

#[test]
fn health_of_the_process() {
    let (gate, here) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (inside, hold) = (Arc::clone(&gate), Arc::clone(&here));
    let origin = Origin::serving(move |_| {
        inside.wait();
        hold.wait();
        ok("done")
    });
    let mut proxy = Setup::to(&[&origin]).server(TCP).start();
    assert_eq!(ask(&proxy, "GET", "/livez").text(), "ok\n");
    let expected =
        serde_json::json!({"ready": true, "draining": false, "pools_without_member": []});
    assert_eq!(get(&proxy, "/readyz"), expected);
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    gate.wait();
    proxy.signal(libc::SIGTERM);
    eventually("it is not ready", || ask(&proxy, "GET", "/readyz").status() == 503);
    assert_eq!(json(&ask(&proxy, "GET", "/readyz"))["draining"], true);
    assert_eq!(ask(&proxy, "GET", "/livez").status(), 200);
    assert_eq!(get(&proxy, "/stats")["draining"], true);
    here.wait();
    assert_eq!(client.answer().text(), "done");
    assert_eq!(proxy.wait_exit(), Some(0));
}

#[test]
fn four_thousand_members_are_no_burden() {
    let members: Vec<_> =
        (0..4096).map(|n| format!("\"127.1.{}.{}:9\"", n / 256, n % 256)).collect();
    let body =
        format!("[[route]]\npool = \"main\"\n[pool.main]\nmembers = [{}]\n", members.join(", "));
    let proxy = Setup::with_body(body).server(TCP).start();
    let pools = get(&proxy, "/pools?all");
    let shown = pools["pools"][0]["members"].as_array().unwrap();
    assert_eq!((shown.len(), &pools["pools"][0]["available"]), (4096, &4096.into()));
    let last = shown[4095]["address"].as_str().unwrap();
    assert_eq!(get(&proxy, &format!("/pools/main/members/{last}"))["address"], last);
    let metrics = ask(&proxy, "GET", "/metrics").text();
    let standings = metrics.lines().filter(|line| line.starts_with("ringway_member_standing{"));
    assert_eq!(standings.count(), 4 * 4096);
    // Many at a time.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(get(&proxy, "/pools")["pools"][0]["available"], 4096));
        }
    });
}
