//! Streams of events, long polls and WebSocket: as silent as their route lets them be, and untouched by
//! whatever else a route does.

use std::sync::{Arc, Mutex, mpsc};

use crate::support::{Client, Conn, Origin, PATIENCE, Setup, ok};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n\r\n";

fn ask(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n")
}

fn ask_to_switch(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
}

/// Routes and their pool, whose members may be silent for `response`.
fn routes(origin: &Origin, routes: &str, response: &str) -> Setup {
    let member = origin.address();
    Setup::with_body(format!(
        "{routes}\n[[route]]\npool = \"a\"\n\
         [pool.a]\nmembers = [\"{member}\"]\ntimeouts.response = \"{response}\"\neject = \"off\"\n"
    ))
}

/// An origin that goes on at `/patient` when it is told to, and never at other paths.
fn silent(begin: &'static str, end: &'static str) -> (Origin, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let origin = Origin::scripted(move |conn: &mut Conn| {
        let request = conn.expect_request()?;
        if request.head.target() == "/patient" {
            conn.send(begin)?;
            wait.lock().unwrap().recv_timeout(PATIENCE).expect("the others have ended");
            conn.send(end)?;
        }
        conn.wire.rest().map(|_| ())
    });
    (origin, go)
}

#[test]
fn a_member_may_be_silent_as_long_as_the_route_says() {
    let patient = "[[route]]\npath = \"/patient\"\npool = \"a\"\ntimeouts.response = \"10m\"";
    for (more, begin, end) in [
        // A long poll, a stream of events, and one that is stored on its way.
        ("", "", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews"),
        ("", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "news"),
        (
            "cache.max_age = { 200 = \"1m\" }",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
            "news",
        ),
    ] {
        let (origin, go) = silent(begin, end);
        let proxy = routes(&origin, &format!("{patient}\n{more}"), "200ms").start();
        let mut first = Client::connect(proxy.address());
        first.send(ask("/patient"));
        while origin.requests().is_empty() {
            std::thread::yield_now();
        }
        // Asked later, and given up for its pool's sake.
        let refused = Client::connect(proxy.address()).ask(ask("/"));
        refused.expect_error(504, "member", "response_timeout");
        go.send(()).unwrap();
        assert_eq!(first.answer().text(), "news");
    }
}

#[test]
fn a_route_may_have_less_patience_than_its_pool() {
    let (origin, _go) = silent("", "");
    let hasty = "[[route]]\npath = \"/hasty\"\npool = \"a\"\ntimeouts = { response = \"100ms\" }";
    let proxy = routes(&origin, hasty, "100h").start();
    let refused = Client::connect(proxy.address()).ask(ask("/hasty"));
    refused.expect_error(504, "member", "response_timeout");
}

/// An origin that switches and sends back what it gets.
fn echoing() -> Origin {
    Origin::scripted(|conn: &mut Conn| {
        conn.wire.head()?;
        conn.send(SWITCH)?;
        loop {
            let bytes = conn.wire.some(100)?;
            if bytes.is_empty() {
                return Ok(());
            }
            conn.send(&bytes)?;
        }
    })
}

fn echoes(client: &mut Client) {
    client.send("ping");
    assert_eq!(client.wire.exactly(4).unwrap(), b"ping");
}

#[test]
fn a_tunnel_may_be_idle_as_long_as_the_route_says() {
    let origin = echoing();
    let patient = "[[route]]\npath = \"/patient\"\npool = \"a\"\ntimeouts.tunnel = \"10m\"";
    let setup = routes(&origin, patient, "30s").listener("timeouts.tunnel = \"200ms\"");
    let proxy = setup.start();
    let mut first = Client::connect(proxy.address());
    first.send(ask_to_switch("/patient"));
    assert_eq!(first.head().status(), 101);
    echoes(&mut first);
    let mut other = Client::connect(proxy.address());
    other.send(ask_to_switch("/"));
    assert_eq!(other.head().status(), 101);
    other.expect_end();
    assert_eq!(proxy.stats().total("error_client_tunnel_idle"), 1);
    echoes(&mut first);
}

/// All that a route can do to requests and answers.
fn all(origin: &Origin, shadow: &Origin) -> Setup {
    let (member, shadow) = (origin.address(), shadow.address());
    Setup::with_body(format!(
        "[[route]]\npool = \"a\"\ncache = {{ status_header = true }}\ncompress = [\"gzip\"]\n\
         buffer_request = {{}}\nbuffer_response = {{}}\naccess.allow = \"127.0.0.0/8\"\n\
         rate = {{ rate = \"100/s\", fields = true }}\nmirror = {{ pool = \"shadow\" }}\n\
         auth.request = {{ pool = \"login\" }}\ncors.origins = \"*\"\nvia = true\n\
         response_headers = {{ set = {{ \"X-A\" = \"{{request.id}}\" }} }}\nset_cookie.secure = true\n\
         error_pages = {{ \"5xx\" = \"page.html\", intercept = true }}\n\
         [pool.a]\nmembers = [\"{member}\"]\nretry.body = \"64KiB\"\n\
         [pool.login]\nmembers = [\"{member}\"]\n[pool.shadow]\nmembers = [\"{shadow}\"]\n"
    ))
    .beside("page.html", "oops")
    .listener("request_id = {}\ntracing = { mode = \"start\" }\nlimits.min_rate = \"1KiB/s\"")
}

#[test]
fn a_websocket_passes_a_route_that_does_everything() {
    let origin = Origin::scripted(|conn: &mut Conn| {
        let head = conn.wire.head()?.expect("a request");
        if head.get("upgrade").is_none() {
            return conn.send(ok(""));
        }
        conn.send(SWITCH)?;
        let (bytes, _) = conn.wire.rest()?;
        assert_eq!(bytes, b"\x81\x00HTTP/1.1 200 OK\r\n\r\n");
        Ok(())
    });
    let shadow = Origin::saying("");
    let proxy = all(&origin, &shadow).start();
    let mut client = Client::connect(proxy.address());
    client.send(ask_to_switch("/"));
    assert_eq!(client.head().status(), 101);
    client.send(b"\x81\x00HTTP/1.1 200 OK\r\n\r\n");
    client.wire.finish().unwrap();
    client.expect_end();
    proxy.wait_idle();
}

#[test]
fn events_pass_a_route_that_does_everything() {
    let (seen, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn: &mut Conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() != "/events" {
                conn.send(ok(""))?;
                continue;
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for number in 0..5 {
                conn.send(format!("9\r\ndata: {number}\n\n\r\n"))?;
                wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees the event");
            }
            conn.send("0\r\n\r\n")?;
        }
        Ok(())
    });
    let shadow = Origin::saying("");
    let proxy = all(&origin, &shadow).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status(), head.get("content-type")), (200, Some("text/event-stream")));
    for number in 0..5 {
        assert_eq!(client.wire.chunk().unwrap(), format!("data: {number}\n\n").as_bytes());
        seen.send(()).unwrap();
    }
    assert_eq!(client.wire.chunk().unwrap(), b"");
}
