//! Defects that drills with live peers found, each in the smallest form that showed it.

use std::sync::Mutex;
use std::sync::mpsc;

use crate::support::{Client, Origin, PATIENCE, Setup, ok};

/// Both directions of an exchange may go from socket to socket at once. When one is done, a silent
/// peer of the other must not hold up the worker.
#[test]
fn an_upload_that_ends_leaves_a_download_beside_it_waiting_without_the_worker() {
    const UP: usize = 600_000;
    let (uploaded, wait) = mpsc::channel();
    let (uploaded, wait) = (Mutex::new(uploaded), Mutex::new(wait));
    let origin = Origin::scripted(move |conn| {
        let head = conn.wire.head()?.expect("a request");
        if head.method() == "GET" {
            return conn.send(ok("quick"));
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")?;
        conn.send(vec![b'd'; 300_000])?;
        conn.wire.exactly(UP)?;
        conn.send("e")?;
        uploaded.lock().unwrap().send(()).expect("the test waits");
        // Silent until the client leaves.
        conn.wire.rest().map(drop)
    });
    let proxy = Setup::to(&[&origin]).workers(1).start();
    let mut both = Client::connect(proxy.address());
    both.send(format!("POST /both HTTP/1.1\r\nHost: t\r\nContent-Length: {UP}\r\n\r\n"));
    both.send(vec![b'u'; 200_000]);
    assert_eq!(both.head().status(), 200);
    both.wire.exactly(300_000).unwrap();
    both.send(vec![b'u'; UP - 200_000]);
    wait.lock().unwrap().recv_timeout(PATIENCE).expect("the origin has the upload");
    assert_eq!(both.wire.exactly(1).unwrap(), b"e");
    for _ in 0..3 {
        let answer = Client::connect(proxy.address()).get("/quick");
        assert_eq!(answer.text(), "quick");
    }
}
