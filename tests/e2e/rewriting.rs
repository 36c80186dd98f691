//! What operators do to fields, names of requests, traces, scripts of other origins. Exact bytes of
//! single heads: `golden`.

use std::collections::BTreeSet;

use super::tls;
use crate::support::certs::Authority;
use crate::support::message::Message;
use crate::support::tls::Tls;
use crate::support::{Client, Origin, Proxy, Setup, answer_with, exchange};

fn ask(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n")
}

/// Waits for a line of the log with this text.
#[track_caller]
fn logged(proxy: &Proxy, text: &str) {
    assert!(proxy.output.wait(0, |line| line.contains(text)).is_some(), "no line has {text}");
}

fn is_made(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("request_id = {}").start();
    let mut client = Client::connect(proxy.address());
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let answer = client.ask(ask("X-Request-Id: of-nobody-trusted\r\n"));
        let echoed = answer.head.get("x-request-id").expect("an id").to_owned();
        assert!(is_made(&echoed), "{echoed}");
        seen.insert(echoed);
    }
    let sent: BTreeSet<_> = origin
        .requests()
        .iter()
        .map(|request| {
            assert_eq!(request.head.all("x-request-id").len(), 1);
            request.head.get("x-request-id").expect("an id").to_owned()
        })
        .collect();
    assert_eq!(seen.len(), 20);
    assert_eq!(sent, seen);
}

#[test]
fn an_id_is_taken_over_where_it_is_one_and_its_sender_is_trusted() {
    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).listener("request_id = {}");
    let proxy = setup.listener("trusted_proxies = [\"127.0.0.1\"]").start();
    let id = |fields: &str| {
        let answer = exchange(proxy.address(), ask(fields));
        answer.head.get("x-request-id").expect("an id").to_owned()
    };
    let longest = "a".repeat(128);
    for good in ["a", "Root=1-67891233-abcdef012345678912345678", &longest] {
        assert_eq!(id(&format!("X-Request-Id: {good}\r\n")), good);
    }
    let longer = "a".repeat(129);
    for bad in ["", "a b", "a,b", "a\"b", "<script>", "\u{e9}", &longer] {
        let id = id(&format!("X-Request-Id: {bad}\r\n"));
        assert!(is_made(&id), "{bad}: {id}");
    }
    assert!(is_made(&id("X-Request-Id: a\r\nX-Request-Id: b\r\n")));
    assert!(is_made(&id("")));
}

#[test]
fn the_id_is_in_the_log_and_in_own_answers() {
    let origin = Origin::saying("ok");
    let setup =
        Setup::to(&[&origin]).listener("request_id = {}").listener("tracing.mode = \"start\"");
    let proxy = setup.server("access_log = \"stdout\"").route("methods = [\"GET\"]").start();
    let answer = exchange(proxy.address(), ask(""));
    let id = answer.head.get("x-request-id").expect("an id").to_owned();
    let request = origin.only_request();
    let parent = request.head.get("traceparent").expect("a trace");
    // A trace that begins here has the name of its request.
    assert!(parent.starts_with(&format!("00-{id}-")) && parent.ends_with("-01"), "{parent}");
    logged(&proxy, &format!(" id={id} trace={id}"));

    let refused = exchange(proxy.address(), "PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(refused.status(), 405);
    logged(&proxy, &format!(" id={}", refused.head.get("x-request-id").expect("an id")));
    let bad = exchange(proxy.address(), "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(bad.status(), 400);
    logged(&proxy, &format!(" id={}", bad.head.get("x-request-id").expect("an id")));
}

#[test]
fn an_id_without_an_echo_stays_inside() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("request_id = { echo = false }").start();
    let answer = exchange(proxy.address(), ask(""));
    assert_eq!(answer.head.get("x-request-id"), None);
    assert!(origin.only_request().head.get("x-request-id").is_some());
}

#[test]
fn an_id_that_only_a_text_asks_for_is_one_and_the_same() {
    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).route("request_headers.set = { X-A = \"{request.id}\" }");
    let proxy = setup.route("response_headers.set = { X-B = \"{request.id}\" }").start();
    let answer = exchange(proxy.address(), ask("X-Request-Id: mine\r\n"));
    let request = origin.only_request();
    assert!(is_made(request.head.get("x-a").expect("an id")));
    assert_eq!(request.head.get("x-a"), answer.head.get("x-b"));
    assert_eq!(request.head.get("x-request-id"), Some("mine"));
}

#[test]
fn traces_go_on_or_begin() {
    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).listener("tracing = { mode = \"start\", sample = \"0%\" }");
    let proxy =
        setup.server("access_log = \"stdout\"").server("access_log_format = \"json\"").start();
    let traced = |fields: &str| -> Message {
        exchange(proxy.address(), ask(fields));
        origin.requests().pop().expect("a request")
    };
    let request = traced(&format!("traceparent: {SENT}\r\ntracestate: a=b\r\n"));
    assert_eq!(request.head.all("traceparent"), [SENT]);
    assert_eq!(request.head.get("tracestate"), Some("a=b"));
    logged(&proxy, "\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\"");

    let request = traced(&format!("traceparent: {SENT}x\r\ntracestate: a=b\r\n"));
    let [begun] = request.head.all("traceparent")[..] else { panic!("one trace") };
    assert!(!begun.contains("4bf92f35") && begun.ends_with("-00"), "{begun}");
    assert_eq!(request.head.get("tracestate"), None);
}

#[test]
fn fields_of_answers_are_also_those_of_our_own() {
    let origin = Origin::saying("ok");
    let set = "response_headers.set = { X-Frame-Options = \"DENY\", X-S = \"{response.status}\" }";
    let setup = Setup::to(&[&origin]).listener(set).route("methods = [\"GET\"]");
    let proxy = setup.listener("response_headers.remove = [\"date\", \"Allow\"]").start();
    for (request, status) in [
        (ask(""), 200),
        ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let answer = exchange(proxy.address(), request);
        assert_eq!(answer.status(), status);
        assert_eq!(answer.head.get("x-frame-options"), Some("DENY"), "{status}");
        assert_eq!(answer.head.get("x-s"), Some(&*status.to_string()));
        assert_eq!((answer.head.get("date"), answer.head.get("allow")), (None, None), "{status}");
    }
}

#[test]
fn a_redirection_to_https_has_them_too() {
    let body = "[[route]]\npool = \"a\"\n[pool.a]\nmembers = [\"127.0.0.1:1\"]\n";
    let setup = Setup::with_body(body).listener("redirect_https = true");
    let proxy = setup.listener("response_headers.set = { X-A = \"{request.path}\" }").start();
    let answer = exchange(proxy.address(), "GET /p?q HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.head.get("location"), Some("https://a.test/p?q"));
    assert_eq!(answer.head.get("x-a"), Some("/p"));
}

#[test]
fn no_value_can_end_a_field() {
    let origin = Origin::saying("ok");
    let set = "request_headers.set = { X-Q = \"{query.q}|{request.query}|{request.path}\" }";
    let proxy = Setup::to(&[&origin]).route(set).start();
    let target = "/a%0d%0aX-Evil:1?q=%0d%0aX-Evil:%201";
    exchange(proxy.address(), format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let request = origin.only_request();
    assert_eq!(request.head.get("x-evil"), None);
    let expected = "%0d%0aX-Evil:%201|q=%0d%0aX-Evil:%201|/a%0D%0AX-Evil:1";
    assert_eq!(request.head.get("x-q"), Some(expected));
}

#[test]
fn fixed_answers_and_pages_have_them_too() {
    let body = "[[route]]\npath = \"/fixed\"\nrespond = { status = 200, body = \"hi\" }\n\
                response_headers = { set = { \"Content-Type\" = \"text/{route}\", X-A = \"{listener}\" } }\n\
                cors = { origins = \"*\" }\n\
                [[route]]\npath = \"/to\"\nredirect = { to = \"{scheme}://b.test{path}\" }\n\
                response_headers.add = { Set-Cookie = [\"a=b\", \"c=d\"] }\n";
    let setup = Setup::with_body(body).listener("trusted_hops = 1").listener("request_id = {}");
    let proxy = setup.start();
    let ask = |path: &str| {
        let fields = "X-Forwarded-Proto: https\r\nX-Request-Id: x1\r\nOrigin: https://o.test\r\n";
        exchange(proxy.address(), format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"))
    };
    let answer = ask("/fixed");
    assert_eq!((answer.status(), answer.text()), (200, "hi".into()));
    assert_eq!(answer.head.all("content-type"), ["text/1"]);
    assert_eq!(answer.head.get("x-a"), Some("web"));
    assert_eq!(answer.head.get("x-request-id"), Some("x1"));
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("*"));
    let answer = ask("/to");
    assert_eq!(answer.head.get("location"), Some("https://b.test/to"));
    assert_eq!(answer.head.all("set-cookie"), ["a=b", "c=d"]);
}

const CORS: &str = "cors = { origins = [\"https://a.example\"], methods = [\"GET\", \"PUT\"], \
                    headers = [\"X-A\", \"Content-Type\"], credentials = true, max_age = \"1h\" }";

fn preflight(origin: &str, method: &str, fields: &str) -> String {
    format!(
        "OPTIONS /x HTTP/1.1\r\nHost: shop.test\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: {method}\r\n{fields}\r\n"
    )
}

#[test]
fn preflights_are_answered_here() {
    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).route(CORS).route("methods = [\"GET\", \"PUT\"]");
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(preflight("https://a.example", "PUT", ""));
    assert_eq!(answer.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", Some("https://a.example")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-allow-methods", Some("GET, PUT")),
        ("access-control-allow-headers", Some("X-A, Content-Type")),
        ("access-control-max-age", Some("3600")),
        ("vary", Some("Origin")),
        ("content-length", None),
    ] {
        assert_eq!(answer.head.get(name), value, "{name}");
    }
    // The same connection: another origin, and a method of no route.
    let answer = client.ask(preflight("https://evil.example", "PUT", ""));
    assert_eq!(answer.status(), 204);
    let text = String::from_utf8_lossy(&answer.head.raw).to_ascii_lowercase();
    assert!(!text.contains("access-control") && text.contains("vary: origin"), "{text}");
    assert_eq!(client.ask(preflight("https://a.example", "DELETE", "")).status(), 405);
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(proxy.stats().total("cors_preflights"), 2);
}

#[test]
fn what_is_no_preflight_goes_to_the_member() {
    let origin =
        Origin::serving(|_| answer_with("200 OK", &[("Access-Control-Allow-Origin", "x")], b"m"));
    let proxy = Setup::to(&[&origin]).route(CORS).start();
    for request in [
        "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nAccess-Control-Request-Method: GET\r\n\r\n",
    ] {
        let answer = exchange(proxy.address(), request);
        assert_eq!((answer.status(), answer.text()), (200, "m".into()), "{request}");
        let allowed = answer.head.get("access-control-allow-origin");
        assert_eq!(allowed, request.contains("Origin").then_some("https://a.example"));
    }
}

#[test]
fn a_script_can_see_what_went_wrong() {
    let nobody = "[[route]]\npool = \"a\"\ncors = { origins = [\"https://a.example\"] }\n\
                  [pool.a]\nmembers = [\"127.0.0.1:1\"]\n";
    let proxy = Setup::with_body(nobody).start();
    let answer = exchange(proxy.address(), ask("Origin: https://a.example\r\n"));
    assert!(answer.status() >= 502, "{}", answer.text());
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(answer.head.get("vary"), Some("Origin"));
}

#[test]
fn a_star_for_fields_names_those_that_were_asked_for() {
    let origin = Origin::saying("ok");
    let cors = "cors = { origins = \"*\", headers = \"*\" }";
    let proxy = Setup::to(&[&origin]).route(cors).start();
    let fields = "Access-Control-Request-Headers: authorization,x-b\r\n";
    let answer = exchange(proxy.address(), preflight("https://any.example", "POST", fields));
    assert_eq!(answer.head.get("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.head.get("access-control-allow-methods"), Some("GET, HEAD, POST"));
    assert_eq!(answer.head.get("access-control-allow-headers"), Some("authorization,x-b"));
    assert_eq!(answer.head.get("vary"), Some("Access-Control-Request-Headers"));
}

#[test]
fn by_tls_everything_names_https() {
    let origin = Origin::scripted(|conn| {
        let member = conn.wire.stream().local_addr().expect("an address");
        while let Some(request) = conn.request()? {
            let to = match request.head.target() {
                "/member" => format!("http://{member}/x"),
                "/host" => "http://a.test/x".to_owned(),
                "/port" => "http://a.test:8080/x".to_owned(),
                other => other.to_owned(),
            };
            conn.send(answer_with("302 Found", &[("Location", &to)], b""))?;
        }
        Ok(())
    });
    let (authority, clients) = (Authority::new("test"), Authority::new("clients"));
    let set = "request_headers.set = { X-T = \"{scheme} {tls.version} {tls.sni} {tls.client.subject} \
               {tls.client.san} {tls.client.fingerprint}\" }";
    let setup = tls::with(&authority.sign(&["a.test"]), &origin).listener(set);
    let setup = setup.beside("clients.pem", clients.pem()).listener("forwarded = \"rfc7239\"");
    let proxy = setup.listener("tls.client_auth.ca = \"clients.pem\"").start();
    let mine = clients.sign(&["me.test"]);
    let mut client = Tls::trusting(&authority).showing(mine).connect(proxy.address(), "a.test");
    let mut asked = |target: &str| {
        let answer = client.ask(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        answer.head.get("location").expect("a location").to_owned()
    };
    assert_eq!(asked("/member"), "https://a.test/x");
    assert_eq!(asked("/host"), "https://a.test/x");
    assert_eq!(asked("/port"), "http://a.test:8080/x");
    assert_eq!(asked("/relative"), "/relative");
    let request = origin.requests().remove(0);
    let told = request.head.get("x-t").expect("a field");
    assert!(told.starts_with("https 1.3 a.test CN="), "{told}");
    assert!(told.contains(" DNS:me.test ") && told.len() > 64, "{told}");
    let forwarded = request.head.get("forwarded").expect("a field");
    assert_eq!(forwarded, "for=127.0.0.1;by=_web;host=a.test;proto=https");
    assert_eq!(request.head.get("x-forwarded-for"), None);
}

#[test]
fn the_port_of_a_client_is_known_where_it_connects_itself() {
    let origin = Origin::saying("ok");
    let set = "request_headers.set = { X-P = \"{client.ip}:{client.port}\" }";
    let proxy = Setup::to(&[&origin]).listener(set).start();
    let mut client = Client::connect(proxy.address());
    client.get("/");
    let port = client.wire.stream().local_addr().expect("an address").port();
    assert_eq!(origin.only_request().head.get("x-p"), Some(&*format!("127.0.0.1:{port}")));

    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).listener(set).listener("trusted_hops = 1");
    let proxy = setup.server("access_log = \"stdout\"").start();
    exchange(proxy.address(), ask("X-Forwarded-For: 192.0.2.7\r\n"));
    assert_eq!(origin.only_request().head.get("x-p"), Some("192.0.2.7:"));
    logged(&proxy, "192.0.2.7 - - [");
    // Nothing of it went to a member, and the client is the same.
    let answer = exchange(
        proxy.address(),
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n",
    );
    assert_eq!(answer.status(), 501);
    logged(&proxy, "192.0.2.8 - - [");
}
