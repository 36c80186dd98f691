//! TLS that passes through: the name in the ClientHello picks the pool, and no byte is changed.

use std::thread;

use crate::support::proxy::{value_in, wait_lines};
use crate::support::wire::{End, Wire};
use crate::support::{Client, Origin, Proxy, Setup};

/// The alert for a name that nobody has.
const UNRECOGNIZED: [u8; 7] = [21, 3, 1, 0, 2, 2, 112];

/// `bytes` behind their length in `size` bytes.
fn vector(size: usize, bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_be_bytes()[8 - size..], bytes].concat()
}

/// A ClientHello that asks for `name`, as a browser writes it: GREASE, an encrypted inner one, a
/// large key share.
fn hello(name: Option<&str>) -> Vec<u8> {
    let extension = |kind: u16, value: &[u8]| [&kind.to_be_bytes()[..], &vector(2, value)].concat();
    let mut extensions = extension(0x1A1A, &[]);
    if let Some(name) = name {
        let entry = [&[0][..], &vector(2, name.as_bytes())].concat();
        extensions.extend(extension(0, &vector(2, &entry)));
    }
    extensions.extend(extension(0xFE0D, &[7; 60]));
    extensions.extend(extension(16, &vector(2, b"\x02h2\x08http/1.1")));
    extensions.extend(extension(51, &[9; 120]));
    extensions.extend(extension(0xEAEA, &[0]));
    let mut body = vec![3, 3];
    body.extend([0x5A; 32]);
    body.extend(vector(1, &[1; 32]));
    body.extend(vector(2, &[0x2A, 0x2A, 0x13, 1, 0x13, 2]));
    body.extend(vector(1, &[0]));
    body.extend(vector(2, &extensions));
    [&[1][..], &vector(3, &body)].concat()
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &vector(2, part)].concat();
    message.chunks(size).flat_map(record).collect()
}

fn asking_for(name: &str) -> Vec<u8> {
    records(&hello(Some(name)), 1 << 14)
}

/// An origin that says its name once a byte came, then echoes.
fn named(name: &'static str) -> Origin {
    Origin::scripted(move |conn| {
        let first = conn.wire.some(1 << 20)?;
        conn.send(name)?;
        conn.send(first)?;
        loop {
            let part = conn.wire.some(1 << 20)?;
            conn.send(part)?;
        }
    })
}

/// `*.tenant.example` goes to `a`, `b.tenant.example` and `*.b.example` to `b`; `more` stands on the
/// listener.
fn between(a: &Origin, b: &Origin, more: &str) -> Setup {
    let (a, b) = (a.address(), b.address());
    Setup::with_body(format!(
        "{more}\n\
         [[listener.web.passthrough]]\nsni = [\"*.tenant.example\"]\npool = \"a\"\n\
         [[listener.web.passthrough]]\nsni = [\"b.tenant.example\", \"*.b.example\"]\npool = \"b\"\n\
         [pool.a]\nmembers = [\"{a}\"]\n[pool.b]\nmembers = [\"{b}\"]\n"
    ))
}

/// Which origin a connection that begins with `bytes` comes to; it must get the same bytes.
fn reached(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut client = Client::connect(proxy.address());
    client.send(bytes);
    let name = client.wire.exactly(1).unwrap();
    assert!(client.wire.exactly(bytes.len()).unwrap() == bytes, "the hello came back changed");
    String::from_utf8(name).unwrap()
}

#[test]
fn the_name_picks_the_pool() {
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "").start();
    for (name, expected) in [
        ("x.tenant.example", "a"),
        ("X.Tenant.EXAMPLE", "a"),
        ("x.y.tenant.example", "a"),
        ("b.tenant.example", "b"),
        ("x.b.tenant.example", "a"),
        ("x.b.example", "b"),
    ] {
        assert_eq!(reached(&proxy, &asking_for(name)), expected, "{name}");
    }
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("relays"), 6);
}

#[test]
fn a_hello_may_be_cut_anywhere() {
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "").start();
    let whole = hello(Some("b.tenant.example"));
    for bytes in [records(&whole, 1 << 14), records(&whole, 40)] {
        // What a client sends behind it at once.
        let bytes = [&bytes[..], &[23, 3, 3, 0, 4], b"more"].concat();
        for cut in 1..bytes.len() {
            let mut client = Client::connect(proxy.address());
            client.send(&bytes[..cut]);
            // Gives the proxy a chance to see the first part alone.
            thread::yield_now();
            client.send(&bytes[cut..]);
            assert_eq!(client.wire.exactly(1).unwrap(), b"b", "cut at {cut}");
            assert!(client.wire.exactly(bytes.len()).unwrap() == bytes, "cut at {cut}");
        }
    }
    // Byte by byte, in records of one byte.
    let bytes = records(&whole, 1);
    let mut client = Client::connect(proxy.address());
    for byte in &bytes {
        client.send([*byte]);
    }
    assert_eq!(client.wire.exactly(1).unwrap(), b"b");
    assert!(client.wire.exactly(bytes.len()).unwrap() == bytes);
}

#[test]
fn everything_passes_untouched_both_ways() {
    const SIZE: usize = 5 << 20;
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "").start();
    let mut client = Client::connect(proxy.address());
    let bytes = asking_for("x.tenant.example");
    client.send(&bytes);
    client.wire.exactly(1 + bytes.len()).unwrap();
    let block: Vec<u8> = (0..SIZE).map(|at| ((at * at) >> 7) as u8).collect();
    let mut writer = Wire::new(client.wire.stream().try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.send(&block).unwrap();
            writer.finish().unwrap();
        });
        assert!(client.wire.exactly(SIZE).unwrap() == block, "the echo is not what was sent");
    });
    client.expect_close();
}

#[test]
fn a_name_that_nobody_has_is_turned_away() {
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "").start();
    for bytes in
        [asking_for("other.example"), asking_for("tenant.example"), records(&hello(None), 99)]
    {
        let mut client = Client::connect(proxy.address());
        client.send(bytes);
        assert_eq!(client.rest(), (UNRECOGNIZED.to_vec(), End::Clean));
    }
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("error_route_no_passthrough"), 3);
    assert_eq!(a.connections() + b.connections(), 0);
}

#[test]
fn the_rest_may_go_to_a_default() {
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "passthrough_default = \"b\"").start();
    assert_eq!(reached(&proxy, &asking_for("other.example")), "b");
    assert_eq!(reached(&proxy, &records(&hello(None), 99)), "b");
    assert_eq!(reached(&proxy, &asking_for("x.tenant.example")), "a");
}

#[test]
fn what_is_no_hello_is_refused() {
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "passthrough_default = \"b\"").start();
    let huge = [&[22, 3, 1, 0, 4, 1][..], &[0, 0xFF, 0xFF]].concat();
    let twice = hello(Some("a.example")).repeat(2);
    let cut_short = [&twice[..40], &[0xFF; 400]].concat();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), huge, records(&cut_short, 1000)] {
        let mut client = Client::connect(proxy.address());
        client.send(bytes);
        client.expect_end();
    }
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("error_client_bad_hello"), 3);
    assert_eq!(a.connections() + b.connections(), 0);
}

#[test]
fn a_hello_that_does_not_come_is_not_waited_for() {
    let (a, b) = (named("a"), named("b"));
    let setup = between(&a, &b, "").listener("timeouts = { head = \"300ms\" }");
    let proxy = setup.start();
    for bytes in [&asking_for("x.tenant.example")[..50], b""] {
        let mut client = Client::connect(proxy.address());
        client.send(bytes);
        client.expect_end();
    }
    assert_eq!(proxy.stats().total("error_client_hello_timeout"), 2);
    // Somebody who only looks whether there is a listener is no mistake.
    drop(Client::connect(proxy.address()));
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("error_client_gone"), 0);
}

#[test]
fn members_hear_of_the_client_and_its_name() {
    let origin = Origin::scripted(|conn| {
        let head = conn.wire.exactly(16)?;
        let rest = conn.wire.exactly(usize::from(u16::from_be_bytes([head[14], head[15]])))?;
        assert_eq!(rest[..4], [203, 0, 113, 9]);
        let name = [&[2][..], &vector(2, b"x.tenant.example")].concat();
        assert!(rest.windows(name.len()).any(|part| part == name), "{rest:?}");
        let bytes = asking_for("X.tenant.example");
        assert_eq!(conn.wire.exactly(bytes.len())?, bytes);
        conn.send("seen")
    });
    let member = origin.address();
    let proxy = Setup::with_body(format!(
        "[[listener.web.passthrough]]\nsni = \"*.tenant.example\"\npool = \"a\"\n\
         [pool.a]\nmembers = [\"{member}\"]\nproxy_protocol = \"v2\"\n"
    ))
    .listener("proxy_protocol = { trusted = [\"127.0.0.1\"] }")
    .start();
    let mut client = Client::connect(proxy.address());
    client.send("PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n");
    client.send(asking_for("X.tenant.example"));
    assert_eq!(client.rest(), (b"seen".to_vec(), End::Clean));
}

#[test]
fn the_name_is_logged() {
    let (a, b) = (named("a"), named("b"));
    let proxy = between(&a, &b, "").server("access_log = \"{directory}/access.log\"").start();
    assert_eq!(reached(&proxy, &asking_for("x.tenant.example")), "a");
    let mut client = Client::connect(proxy.address());
    client.send(asking_for("other\"x.example"));
    client.rest();
    drop(client);
    let mut lines = wait_lines(&proxy.directory().join("access.log"), 2);
    lines.sort_by_key(|line| line.contains("no_passthrough"));
    let values = |line: &str| {
        ["host", "pool", "member", "reason"].map(|key| value_in(line, key).unwrap().to_owned())
    };
    assert_eq!(values(&lines[0]), ["x.tenant.example", "a", &a.address().to_string(), "-"]);
    assert_eq!(values(&lines[1]), ["other\\x22x.example", "-", "-", "route_no_passthrough"]);
}
