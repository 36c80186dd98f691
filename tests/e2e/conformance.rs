//! What RFC 9110 and 9112 ask of an intermediary, seen from outside: versions, names that pass for
//! others, expectations, how far a request may go, dates. Framing: `framing_and_smuggling`.

use crate::support::wire::End;
use crate::support::{Client, Origin, Proxy, Setup, answer_with, exchange, ok};

/// Asks on a connection of its own; the refusal must close it, and nothing more may come.
#[track_caller]
fn refused(proxy: &Proxy, request: impl AsRef<[u8]>, status: u16, code: &str) {
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(&request);
    let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
    assert_eq!(answer.status(), status, "{shown:?}: {}", answer.text());
    assert!(answer.text().starts_with(&format!("ringway: client {code}: ")), "{}", answer.text());
    assert!(answer.head.closes(), "{shown:?} is refused without closing");
    client.expect_end();
}

#[test]
fn a_later_minor_version_is_read_as_1_1() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/later" => b"HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        _ => ok("ok"),
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for path in ["/", "/later", "/"] {
        let answer = client.ask(format!("GET {path} HTTP/1.2\r\nHost: t\r\n\r\n"));
        assert_eq!((answer.head.start.as_str(), answer.text().as_str()), ("HTTP/1.1 200 OK", "ok"));
    }
    for request in origin.requests() {
        assert!(request.head.start.ends_with(" HTTP/1.1"), "{}", request.head.start);
    }
    assert_eq!(origin.connections(), 1);
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0"] {
        let request = format!("GET / {version}\r\nHost: t\r\n\r\n");
        refused(&proxy, request, 505, "unsupported_version");
    }
}

#[test]
fn a_name_that_passes_for_a_length_is_refused() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: t\r\n\r\n";
    let fields = [
        "Transfer_Encoding: chunked\r\n",
        "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\ntransfer.encoding: identity\r\n",
        "Content_Length: 50\r\nContent-Length: 5\r\n",
        "CONTENT_LENGTH: 0\r\n",
    ];
    for fields in fields {
        let head = format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
        refused(&proxy, format!("{head}0\r\n\r\n{hidden}"), 400, "bad_framing");
    }
    assert_eq!(origin.received(), "");
}

#[test]
fn names_that_pass_for_others_do_not_go_on() {
    let origin = Origin::serving(|_| {
        let fields = "Content_Length: 9\r\nTransfer_Encoding: chunked\r\nX-Stays: 1\r\n";
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok").into_bytes()
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(
        "POST / HTTP/1.1\r\nHost: t\r\nProxy: http://evil\r\nKeep_Alive: 1\r\nProxy_Connection: a\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy_Authorization: Basic eDp5\r\nX-Stays: 2\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nContent_Length: 9\r\nX-Sum: 3\r\n\r\n",
    );
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.head.all("content_length"), Vec::<&str>::new());
    assert_eq!(answer.head.all("transfer_encoding"), Vec::<&str>::new());
    assert_eq!(answer.head.get("x-stays"), Some("1"));
    let request = origin.only_request();
    for name in ["proxy", "keep_alive", "proxy_connection", "http2-settings", "proxy_authorization"]
    {
        assert_eq!(request.head.get(name), None, "{name}");
    }
    assert_eq!((request.head.get("x-stays"), request.text().as_str()), (Some("2"), "hi"));
    assert_eq!(request.trailers, [("X-Sum".to_owned(), "3".to_owned())]);
}

#[test]
fn what_is_wanted_by_https_must_come_so() {
    let origin = Origin::saying("ok");
    let request = "GET https://t/a HTTP/1.1\r\nHost: t\r\n\r\n";
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.ask(request).expect_error(421, "client", "misdirected");
    assert_eq!(client.ask(request.replace("https:", "http:")).status(), 200);
    assert_eq!(origin.requests().len(), 1);
    let proxy = Setup::to(&[&origin]).listener("trusted_proxies = [\"127.0.0.0/8\"]").start();
    assert_eq!(exchange(proxy.address(), request).status(), 200);
}

#[test]
fn an_empty_host_is_none() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    for start in ["GET / HTTP/1.1", "GET http://t/ HTTP/1.1", "GET / HTTP/1.0"] {
        refused(&proxy, format!("{start}\r\nHost: \r\n\r\n"), 400, "bad_head");
    }
    assert_eq!(origin.received(), "");
}

#[test]
fn no_body_follows_a_head_request_that_is_refused() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    for rest in [
        "/ HTTP/1.1\r\n\r\n",
        "/ HTTP/1.1\r\nHost: t\r\nX : y\r\n\r\n",
        "/ HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
        "/ HTTP/3.0\r\nHost: t\r\n\r\n",
        "/ HTTP/1.1\r\nHost: t\r\nExpect: x\r\nConnection: close\r\n\r\n",
    ] {
        for before in ["", "\r\n"] {
            let mut client = Client::connect(proxy.address());
            client.send(format!("{before}HEAD {rest}"));
            let answer = client.answer_to("HEAD");
            assert!([400, 417, 505].contains(&answer.status()), "{rest:?}: {}", answer.head.start);
            assert!(answer.head.get("content-length").is_some_and(|length| length != "0"));
            client.expect_end();
        }
    }
    assert_eq!(origin.received(), "");
}

#[test]
fn a_method_that_nobody_has() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    let long = |length| format!("{} / HTTP/1.1\r\nHost: t\r\n\r\n", "M".repeat(length));
    refused(&proxy, long(33), 501, "not_implemented");
    refused(&proxy, long(100_000), 400, "bad_head");
    // In pieces it is the same one.
    let mut client = Client::connect(proxy.address());
    for piece in long(40).as_bytes().chunks(9) {
        client.send(piece);
    }
    client.answer().expect_error(501, "client", "not_implemented");
    client.expect_end();
    assert_eq!(origin.received(), "");
}

#[test]
fn whitespace_before_colons_of_answers_is_removed() {
    let origin = Origin::serving(|_| {
        b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length \t: 2\r\nConnection : X-B\r\nX-B: 2\r\n\r\nok"
            .to_vec()
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
        assert_eq!((answer.head.get("X-A"), answer.head.get("X-B")), (Some("1"), None));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn statuses_that_mean_nothing_pass() {
    let origin = Origin::serving(|request| {
        let status = request.head.target().trim_start_matches('/');
        format!("HTTP/1.1 {status} Odd\r\nContent-Length: 2\r\n\r\nok").into_bytes()
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for status in [299, 499, 599, 600, 999] {
        let answer = client.get(&format!("/{status}"));
        assert_eq!((answer.status(), answer.text().as_str()), (status, "ok"));
    }
    for status in ["099", "1000", "20"] {
        client.get(&format!("/{status}")).expect_error(502, "member", "bad_head");
    }
}

#[test]
fn expectations_that_nobody_can_meet() {
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let post = |version: &str, fields: &str| {
        format!("POST / HTTP/{version}\r\nHost: t\r\nContent-Length: 5\r\n{fields}\r\nhello")
    };
    for fields in [
        "Expect: 200-ok\r\n",
        "Expect: y 100-continue\r\n",
        "Expect: 100-continue, x\r\n",
        "Expect: 100-continue\r\nExpect: x\r\n",
    ] {
        let answer = client.ask(post("1.1", fields));
        answer.expect_error(417, "client", "bad_expectation");
        assert!(!answer.head.closes(), "the body was read");
    }
    assert_eq!(origin.received(), "");
    // An older client cannot expect anything (RFC 9110 10.1.1).
    let answer = exchange(proxy.address(), post("1.0", "Expect: 100-continue, x\r\n"));
    assert_eq!(answer.text(), "hello");
    assert_eq!(origin.only_request().head.get("expect"), None);
    assert_eq!(proxy.stats().total("error_client_bad_expectation"), 4);
}

#[test]
fn nothing_is_expected_for_a_body_that_is_not_there() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for fields in ["", "Content-Length: 0\r\n", "Expect:\r\n"] {
        let expect = if fields.starts_with("Expect") { "" } else { "Expect: 100-continue\r\n" };
        let answer = client.ask(format!("PUT / HTTP/1.1\r\nHost: t\r\n{expect}{fields}\r\n"));
        assert_eq!(answer.status(), 200);
    }
    assert!(origin.requests().iter().all(|request| request.head.get("expect").is_none()));
}

#[test]
fn how_far_a_request_goes() {
    let origin = Origin::serving(|request| ok(request.head.all("max-forwards").join("+")));
    let proxy = Setup::to(&[&origin]).route("methods = [\"GET\", \"OPTIONS\", \"TRACE\"]").start();
    let mut client = Client::connect(proxy.address());
    let mut ask = |method: &str, value: &str| {
        client.ask(format!("{method} /a HTTP/1.1\r\nHost: t\r\nMax-Forwards: {value}\r\n\r\n"))
    };
    for method in ["OPTIONS", "TRACE"] {
        assert_eq!(ask(method, "5").text(), "4");
        assert_eq!(ask(method, "1").text(), "0");
        assert_eq!(ask(method, "99999999999999999999").text(), (u64::MAX - 1).to_string());
        assert_eq!(ask(method, "x").text(), "x");
    }
    assert_eq!(ask("GET", "0").text(), "0");
    let before = origin.requests().len();
    let answer = ask("OPTIONS", "0");
    assert_eq!((answer.status(), answer.head.get("content-length")), (200, Some("0")));
    assert!(answer.head.get("allow").is_some_and(|allow| allow.contains("OPTIONS")));
    assert!(answer.head.get("date").is_some());
    let trace = "TRACE /a HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n\r\n";
    refused(&proxy, trace, 501, "not_implemented");
    // A body that nobody wants does not become the next request.
    let answer = ask("OPTIONS", "0\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: t");
    assert_eq!(answer.status(), 200);
    assert_eq!(client.answer().text(), "");
    assert_eq!(origin.requests().len(), before + 1);
}

#[test]
fn trace_is_served_where_it_is_named() {
    let origin = Origin::saying("ok");
    let body = format!(
        "[[route]]\npath = \"/named\"\nmethods = [\"TRACE\"]\npool = \"main\"\n\
         [[route]]\npool = \"main\"\n[pool.main]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).start();
    refused(&proxy, "TRACE / HTTP/1.1\r\nHost: t\r\n\r\n", 501, "not_implemented");
    let body = "TRACE / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    refused(&proxy, body, 501, "not_implemented");
    assert_eq!(origin.received(), "");
    let answer = exchange(proxy.address(), "TRACE /named HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(answer.status(), 200);
}

#[test]
fn answers_have_one_date() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/own" => answer_with("200 OK", &[("Date", "Tue, 15 Nov 1994 08:12:31 GMT")], b"ok"),
        "/hint" => [b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), ok("ok")].concat(),
        _ => ok("ok"),
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let own = client.get("/own");
    assert_eq!(own.head.get("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    let added = client.get("/").head.get("date").expect("a date").to_owned();
    assert!(added.len() == 29 && added.ends_with(" GMT") && !added.contains("1994"), "{added}");
    client.send("GET /hint HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().get("date"), None);
    assert!(client.answer().head.get("date").is_some());

    let proxy = Setup::to(&[&origin]).route("response_headers = { remove = [\"Date\"] }").start();
    let mut client = Client::connect(proxy.address());
    for path in ["/", "/own"] {
        assert_eq!(client.get(path).head.get("date"), None, "{path}");
    }
}

#[test]
fn via_says_what_was_received() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/old" => b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        _ => ok("ok"),
    });
    let proxy = Setup::to(&[&origin]).route("via = true").start();
    let ask = |start: &str| {
        let answer = exchange(proxy.address(), format!("{start}\r\nHost: t\r\nVia: 1.1 a\r\n\r\n"));
        answer.head.get("via").map(str::to_owned)
    };
    assert_eq!(ask("GET /new HTTP/1.1").as_deref(), Some("1.1 ringway"));
    assert_eq!(ask("GET /new HTTP/1.0").as_deref(), Some("1.1 ringway"));
    let requests = origin.requests();
    let [new, old] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(new.head.all("via"), ["1.1 a", "1.1 ringway"]);
    assert_eq!(old.head.all("via"), ["1.1 a", "1.0 ringway"]);
}

#[test]
fn protocols_that_would_go_around_the_rules_are_not_switched_to() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let protocols =
        ["h2c", "H2C/1", "websocket, h2c", "\"h2c\"", "h2", "HTTP/2.0", "TLS/1.2", "websocket;h2c"];
    for protocol in protocols {
        let fields = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n");
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        assert_eq!(answer.status(), 200, "{protocol}");
    }
    for request in origin.requests() {
        let fields = (request.head.get("upgrade"), request.head.get("connection"));
        assert_eq!(fields, (None, None), "{:?}", request.head);
    }
}

#[test]
fn a_protocol_that_was_not_asked_for_is_no_answer() {
    let origin = Origin::blurting(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nsecret",
    );
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let fields = "Connection: Upgrade\r\nUpgrade: websocket, other/1\r\n";
    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    answer.expect_error(502, "member", "bad_head");
    assert_eq!(proxy.stats().total("tunnels"), 0);
}

#[test]
fn an_answer_that_wants_an_upgrade_says_which() {
    let origin = Origin::serving(|request| {
        let protocol = request.head.target().trim_start_matches('/');
        let fields = [("Connection", "Upgrade"), ("Upgrade", protocol)];
        answer_with("426 Upgrade Required", &fields, b"no")
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for (protocol, passed) in [("websocket", Some("websocket")), ("h2c", None)] {
        let answer = client.get(&format!("/{protocol}"));
        assert_eq!((answer.status(), answer.head.get("upgrade")), (426, passed));
        assert_eq!(answer.head.get("connection"), passed.map(|_| "Upgrade"));
    }
}

#[test]
fn a_request_with_an_empty_body_may_switch() {
    let origin = Origin::scripted(|conn| {
        let request = conn.expect_request()?;
        assert_eq!(request.head.get("upgrade"), Some("tcp"), "{:?}", request.head);
        let switch = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        conn.send(switch)?;
        let said = conn.wire.exactly(4)?;
        conn.send([b"re-", said.as_slice()].concat())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let fields = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n";
    client.send(format!("POST /attach HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    assert_eq!(client.head().status(), 101);
    client.send("ping");
    let (rest, end) = client.rest();
    assert_eq!((rest.as_slice(), end), (b"re-ping".as_slice(), End::Clean));
}
