//! What the origin does when told to, as the client of this crate and plain sockets see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use loadtest::cli::load::Load;
use loadtest::failure::Failure;
use loadtest::load;
use loadtest::origin::behaviour::{Fault, Pace};
use loadtest::origin::{self, Options, Origin};
use loadtest::tally::Tally;
use loadtest::tls::Server;
use loadtest::units::Spread;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

fn origin(change: &dyn Fn(&mut Options)) -> Origin {
    let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    change(&mut options);
    origin::start(options).unwrap()
}

fn ask(scheme: &str, address: SocketAddr, path: &str, change: &dyn Fn(&mut Load)) -> Tally {
    let mut load = Load {
        url: format!("{scheme}://{address}{path}"),
        connections: 1,
        requests: Some(20),
        duration: Duration::from_secs(60),
        timeout: Duration::from_secs(30),
        crc: Some("same".to_owned()),
        ..Load::default()
    };
    change(&mut load);
    load::run(load.plan(Path::new("")).unwrap()).unwrap().tally
}

fn raw(address: SocketAddr, path: &str) -> (Vec<u8>, Option<ErrorKind>) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut found = Vec::new();
    let error = stream.read_to_end(&mut found).err().map(|error| error.kind());
    (found, error)
}

#[test]
fn answers_are_as_asked() {
    let origin = origin(&|_| ());
    let address = origin.addresses()[0];
    let check = |path: &str, status: u16, length: u64, connections: u64| {
        let found = ask("http", address, path, &|load| {
            (load.status, load.length) = (status, Some(length));
        });
        assert_eq!((found.answers, found.failure_count()), (20, 0), "{path} {found:?}");
        assert_eq!(found.connections, connections, "{path}");
    };
    check("/7?status=503", 503, 7, 1);
    check("/300000?chunked", 200, 300_000, 1);
    check("/9?close", 200, 9, 20);
    check("/7?status=204", 204, 0, 1);
    check("/10?pace=3/1us", 200, 10, 1);
    check("/10?pace=3/1us&chunked", 200, 10, 1);
    check("/?status=nonsense", 400, 20, 20);
    assert_eq!(origin.served(0), 120);
    let (answer, _) = raw(address, "/served");
    assert!(answer.ends_with(b"\r\n\r\n120"), "{}", answer.escape_ascii());
}

#[test]
fn faults_come_where_they_should() {
    let origin = origin(&|_| ());
    let address = origin.addresses()[0];
    let check = |fault: &str, failures: &[Failure], begins: &str, ends: &str| {
        let found = ask("http", address, &format!("/1000?fault={fault}"), &|_| ());
        assert_eq!(found.failure_count(), 20, "{fault} {found:?}");
        let other = found.failures.keys().find(|failure| !failures.contains(failure));
        assert_eq!(other, None, "{fault} {found:?}");
        let (bytes, error) = raw(address, &format!("/1000?fault={fault}"));
        assert_eq!(error, Some(ErrorKind::ConnectionReset), "{fault}");
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(begins) && text.len() < 800, "{fault} {text}");
        assert_eq!(text.contains("\r\n\r\n"), ends == "body", "{fault} {text}");
    };
    check("before", &[Failure::Reset], "", "");
    check("head", &[Failure::Reset], "HTTP/1.1 200", "head");
    check("body", &[Failure::Reset], "HTTP/1.1 200", "body");
    let hang = ask("http", address, "/?fault=hang", &|load| {
        (load.requests, load.timeout) = (Some(2), Duration::from_millis(1));
    });
    assert_eq!(hang.failures.get(&Failure::Timeout), Some(&2), "{hang:?}");
    assert_eq!(origin.served(0), 0);
}

#[test]
fn what_holds_for_all_requests_is_kept() {
    let origin = origin(&|options| {
        options.behaviour.size = Spread::Uniform(100.0, 200.0);
        options.behaviour.statuses = vec![(503, 0.5)];
        options.behaviour.faults = vec![(Fault::Before, 0.1)];
        options.behaviour.delay = Some(Spread::Fixed(0.002));
        options.behaviour.pace = Some(Pace { bytes: 150, each: Duration::from_micros(10) });
        options.keep_alive = Some(5);
        options.cores = vec![None, None];
    });
    let found = ask("http", origin.addresses()[0], "/", &|load| {
        (load.requests, load.connections, load.crc) = (Some(400), 8, None);
    });
    let (good, bad) = (found.statuses[&200], found.statuses[&503]);
    assert!((120..240).contains(&good) && (120..240).contains(&bad), "{found:?}");
    let resets = found.failures[&Failure::Reset];
    assert!((20..70).contains(&resets) && good + bad + resets == 400, "{found:?}");
    assert!(found.connections >= 80, "{}", found.connections);
    assert!(found.service.min() >= 2000, "{}", found.service.min());
    assert_eq!(origin.served(0), good + bad);
}

#[test]
fn members_stop_and_start_by_themselves() {
    let mut origin = origin(&|options| (options.members, options.cores) = (3, vec![None, None]));
    let addresses = origin.addresses().to_vec();
    let answers = |address| ask("http", address, "/", &|_| ()).answers;
    let mut kept = TcpStream::connect(addresses[1]).unwrap();
    kept.write_all(b"GET /0 HTTP/1.1\r\n\r\n").unwrap();
    assert!(kept.read(&mut [0; 1000]).unwrap() > 0);
    origin.stop(1).unwrap();
    assert_eq!(kept.read(&mut [0; 1]).unwrap_or(0), 0, "its connections are cut");
    assert_eq!(answers(addresses[1]), 0);
    assert_eq!((answers(addresses[0]), answers(addresses[2])), (20, 20));
    origin.start(1).unwrap();
    origin.start(1).unwrap();
    assert_eq!(answers(addresses[1]), 20);
    assert_eq!([origin.served(0), origin.served(1), origin.served(2)], [20, 21, 20]);
    assert!(origin.stop(3).is_err());
}

#[test]
fn tls_with_full_and_resumed_handshakes() {
    let (server, pem) = Server::generated().unwrap();
    let folder = std::env::temp_dir().join(format!("loadtest-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.pem"), pem).unwrap();
    let origin = origin(&move |options| options.tls = Some(server.clone()));
    let address = origin.addresses()[0];
    let trusting = |load: &mut Load| load.ca = Some(folder.join("ca.pem"));
    let found = ask("https", address, "/600000", &trusting);
    assert_eq!((found.answers, found.failure_count(), found.connections), (20, 0, 1), "{found:?}");
    assert_eq!((found.bytes, found.handshakes.len()), (20 * 600_000, 1));
    let close = |handshakes: &'static str| {
        let found = ask("https", address, "/5", &|load| {
            trusting(load);
            (load.close, load.handshakes) = (true, handshakes.to_owned());
        });
        assert_eq!((found.answers, found.failure_count()), (20, 0), "{found:?}");
        (found.handshakes.len(), found.resumed)
    };
    assert_eq!(close("full"), (20, 0));
    assert_eq!(close("resumed"), (20, 19));
    let classical = ask("https", address, "/5", &|load| {
        trusting(load);
        (load.close, load.key_exchange) = (true, "x25519".to_owned());
    });
    assert_eq!((classical.answers, classical.failure_count()), (20, 0), "{classical:?}");
    let insecure = ask("https", address, "/5", &|load| (load.insecure, load.pipeline) = (true, 4));
    assert_eq!((insecure.answers, insecure.failure_count()), (20, 0), "{insecure:?}");
    let doubting = ask("https", address, "/5", &|load| {
        (load.ca, load.requests) = (Some(folder.join("ca.pem")), Some(2));
        load.sni = Some("elsewhere".to_owned());
    });
    assert_eq!(doubting.failures.get(&Failure::Handshake), Some(&2), "{doubting:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn short_delays_are_not_cut_short() {
    let origin = origin(&|options| options.behaviour.delay = Some(Spread::Fixed(0.0003)));
    let found = ask("http", origin.addresses()[0], "/", &|load| load.requests = Some(100));
    assert_eq!(found.answers, 100);
    assert!(found.service.min() >= 300, "{}", found.service.min());
}
