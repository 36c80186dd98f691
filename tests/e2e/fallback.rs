//! Where the kernel refuses io_uring the proxy says so and serves by epoll, or refuses to start.

use std::fs;

use crate::support::proxy::{Directory, has_word, value_in};
use crate::support::system::Confinement;
use crate::support::{Client, Origin, Setup, ok, run_to_end};

#[test]
fn auto_falls_back_to_epoll_and_says_so() {
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = Setup::to(&[&origin]).driver("auto").without_io_uring().start();
    assert_eq!(proxy.ready_value("driver").as_deref(), Some("epoll"));
    let mut client = Client::connect(proxy.address());
    let body = "x".repeat(300_000);
    for _ in 0..5 {
        assert_eq!(client.get("/").status(), 200);
        let head = format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", body.len());
        assert_eq!(client.ask(head + &body).text(), body);
    }
    assert_eq!(proxy.stats().total("exchanges"), 10);
}

#[test]
fn epoll_may_be_asked_for() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).driver("epoll").start();
    assert_eq!(proxy.ready_value("driver").as_deref(), Some("epoll"));
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
}

#[test]
fn ready_says_how_many_workers() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    assert_eq!(proxy.ready_value("workers").as_deref(), Some("2"));
    let line = proxy.log.all().into_iter().find(|line| has_word(line, "ready")).unwrap();
    let driver = value_in(&line, "driver").expect("the driver");
    assert!(["epoll", "io_uring"].iter().any(|name| driver.starts_with(name)), "{driver}");
}

#[test]
fn io_uring_alone_refuses_to_start_without_it() {
    let origin = Origin::saying("must not be asked");
    let directory = Directory::new();
    let file = directory.path().join("ringway.toml");
    fs::write(&file, Setup::to(&[&origin]).text()).unwrap();
    let file = file.to_string_lossy();
    let arguments = ["run", "--config", &file, "--driver", "io_uring"];
    let refused = Confinement { no_io_uring: true, ..Confinement::default() };
    let ended = run_to_end(&arguments, refused);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("io_uring"), "{}", ended.log);
}
