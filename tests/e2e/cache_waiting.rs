//! One fetch for many, over both workers, whatever becomes of the first client.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::cache::{cached, status};
use crate::support::message::{Message, answer_with};
use crate::support::origin::Conn;
use crate::support::{Client, Origin, Proxy, eventually};

const GET: &str = "GET /a HTTP/1.1\r\nHost: t\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// An origin that asks the test before each step: it waits for a word, which is what it sends.
fn told() -> (Origin, Sender<Vec<u8>>) {
    let (sender, receiver) = channel::<Vec<u8>>();
    let receiver: Arc<Mutex<Receiver<Vec<u8>>>> = Arc::new(Mutex::new(receiver));
    let origin = Origin::scripted(move |conn: &mut Conn| -> io::Result<()> {
        while conn.request()?.is_some() {
            loop {
                let word = receiver.lock().expect("the words").recv();
                let Ok(word) = word else { return Ok(()) };
                match &word[..] {
                    b"next" => break,
                    b"close" => return Ok(()),
                    // All of an answer.
                    [b'!', bytes @ ..] => {
                        conn.send(bytes)?;
                        break;
                    }
                    bytes => conn.send(bytes)?,
                }
            }
        }
        Ok(())
    });
    (origin, sender)
}

/// So many clients ask at once; their answers.
fn ask_all(proxy: &Proxy, clients: usize) -> Vec<thread::JoinHandle<Message>> {
    let address = proxy.address();
    (0..clients).map(|_| thread::spawn(move || Client::connect(address).ask(GET))).collect()
}

fn say(words: &Sender<Vec<u8>>, word: impl AsRef<[u8]>) {
    words.send(word.as_ref().to_vec()).expect("the origin");
}

#[track_caller]
fn wait_for_waiters(proxy: &Proxy, count: i64) {
    eventually("all wait", || proxy.stats().total("cache_collapsed") >= count);
}

#[test]
fn many_clients_cost_one_request() {
    let (origin, words) = told();
    let proxy = cached(&origin, "");
    let clients = ask_all(&proxy, 30);
    wait_for_waiters(&proxy, 29);
    let workers = proxy.stats().workers("cache_collapsed").to_vec();
    assert!(workers.iter().all(|count| *count > 0), "one worker had them all: {workers:?}");
    say(&words, format!("{HEAD}Content-Length: 2\r\n\r\nok"));
    say(&words, "next");
    let answers: Vec<_> =
        clients.into_iter().map(|client| client.join().expect("a client")).collect();
    assert!(answers.iter().all(|answer| answer.text() == "ok"));
    let collapsed = answers.iter().filter(|answer| status(answer).contains("; collapsed"));
    assert_eq!(collapsed.count(), 29);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(proxy.stats().total("cache_stored"), 1);
    proxy.wait_idle();
}

#[test]
fn who_waits_reads_while_it_grows() {
    let (origin, words) = told();
    let proxy = cached(&origin, "");
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(proxy.address())).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    wait_for_waiters(&proxy, 7);
    say(&words, format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"));
    for client in &mut clients {
        let head = client.head();
        assert_eq!((head.status(), head.get("transfer-encoding")), (200, Some("chunked")));
        let expected = b"3\r\none\r\n";
        assert_eq!(client.wire.exactly(expected.len()).expect("the first part"), expected);
    }
    // Another one, who comes in the middle.
    let mut late = Client::connect(proxy.address());
    late.send(GET);
    assert_eq!(late.head().status(), 200);
    say(&words, "3\r\ntwo\r\n0\r\n\r\n");
    say(&words, "next");
    for client in &mut clients {
        let expected = b"3\r\ntwo\r\n0\r\n\r\n";
        assert_eq!(client.wire.exactly(expected.len()).expect("the rest"), expected);
    }
    let rest = late.wire.exactly(21).expect("the rest");
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(
        rest.contains("one") && rest.contains("two") && rest.ends_with("0\r\n\r\n"),
        "{rest:?}"
    );
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_first_client_that_leaves_does_not_end_the_fetch() {
    for head_first in [false, true] {
        let (origin, words) = told();
        let proxy = cached(&origin, "");
        let mut first = Client::connect(proxy.address());
        first.send(GET);
        eventually("the origin was asked", || origin.requests().len() == 1);
        let clients = ask_all(&proxy, 6);
        wait_for_waiters(&proxy, 6);
        if head_first {
            say(&words, format!("{HEAD}Content-Length: 6\r\n\r\nabc"));
            assert_eq!(first.head().status(), 200);
        }
        first.wire.reset();
        if head_first {
            say(&words, "def");
        } else {
            say(&words, format!("{HEAD}Content-Length: 6\r\n\r\nabcdef"));
        }
        say(&words, "next");
        for client in clients {
            assert_eq!(client.join().expect("a client").text(), "abcdef");
        }
        assert_eq!(origin.requests().len(), 1);
        proxy.wait_stat("cache_stored", 1);
        proxy.wait_idle();
    }
}

#[test]
fn a_first_client_that_does_not_read_holds_nobody_up() {
    let body = vec![b'x'; 6 << 20];
    let whole = answer_with("200 OK", &[("Cache-Control", "max-age=60")], &body);
    let (origin, words) = told();
    let proxy = cached(&origin, "");
    let mut first = Client::connect_narrow(proxy.address(), 4096);
    first.send(GET);
    eventually("the origin was asked", || origin.requests().len() == 1);
    let clients = ask_all(&proxy, 4);
    wait_for_waiters(&proxy, 4);
    say(&words, whole);
    say(&words, "next");
    for client in clients {
        assert!(client.join().expect("a client").body == body);
    }
    assert!(Client::connect(proxy.address()).ask(GET).body == body);
    assert_eq!(origin.requests().len(), 1);
    // It gets all of it, too, when it reads.
    assert!(first.answer().body == body);
}

#[test]
fn an_answer_that_is_not_stored_lets_all_go_alone() {
    let (origin, words) = told();
    let proxy = cached(&origin, "");
    let clients = ask_all(&proxy, 8);
    wait_for_waiters(&proxy, 7);
    for _ in 0..8 {
        say(&words, "!HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nme");
    }
    for client in clients {
        assert_eq!(client.join().expect("a client").text(), "me");
    }
    assert_eq!(origin.requests().len(), 8);
    // From now on nobody waits for nothing.
    let clients = ask_all(&proxy, 4);
    eventually("all four are there", || origin.requests().len() == 12);
    for _ in 0..4 {
        say(&words, "!HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nme");
    }
    clients.into_iter().for_each(|client| drop(client.join().expect("a client")));
    assert_eq!(proxy.stats().total("cache_collapsed"), 7);
}

#[test]
fn a_fetch_that_fails_lets_all_go_alone() {
    let (origin, words) = told();
    let proxy = cached(&origin, "");
    let clients = ask_all(&proxy, 5);
    wait_for_waiters(&proxy, 4);
    say(&words, "HTTP/1.1 junk\r\n\r\n");
    say(&words, "close");
    for _ in 0..4 {
        say(&words, format!("!{HEAD}Content-Length: 2\r\n\r\nok"));
    }
    let answers: Vec<_> =
        clients.into_iter().map(|client| client.join().expect("a client")).collect();
    let good = answers.iter().filter(|answer| answer.text() == "ok").count();
    assert_eq!((good, answers.len()), (4, 5));
}

#[test]
fn a_body_that_breaks_off_is_seen_by_all() {
    let (origin, words) = told();
    let proxy = cached(&origin, "");
    let mut clients: Vec<_> = (0..6).map(|_| Client::connect(proxy.address())).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    wait_for_waiters(&proxy, 5);
    say(&words, format!("{HEAD}Content-Length: 6\r\n\r\nabc"));
    for client in &mut clients {
        assert_eq!(client.head().status(), 200);
    }
    say(&words, "close");
    for client in &mut clients {
        assert_eq!(client.rest().1, crate::support::wire::End::Reset);
    }
    assert_eq!(proxy.stats().total("cache_stored"), 0);
    proxy.wait_idle();
}

#[test]
fn who_waits_too_long_asks_alone() {
    let (origin, words) = told();
    let proxy = cached(&origin, ", wait = \"200ms\"");
    let clients = ask_all(&proxy, 2);
    eventually("the second one asked, too", || origin.requests().len() == 2);
    for _ in 0..2 {
        say(&words, format!("!{HEAD}Content-Length: 2\r\n\r\nok"));
    }
    for client in clients {
        assert_eq!(client.join().expect("a client").text(), "ok");
    }
}

#[test]
fn an_answer_that_outgrows_the_store_still_reaches_all() {
    let (origin, words) = told();
    let proxy = cached(&origin, ", max_object = \"64KiB\"");
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(proxy.address())).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    wait_for_waiters(&proxy, 3);
    say(&words, format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\ny\r\n"));
    // Who comes when its beginning is gone asks anew.
    let heads: Vec<_> = clients.iter_mut().map(Client::head).collect();
    let piece = [b"4000\r\n".to_vec(), vec![b'y'; 0x4000], b"\r\n".to_vec()].concat();
    for _ in 0..256 {
        say(&words, &piece);
    }
    say(&words, "0\r\n\r\n");
    say(&words, "next");
    let readers: Vec<_> = clients
        .into_iter()
        .zip(heads)
        .map(|(mut client, head)| {
            thread::spawn(move || {
                let framing = head.answer_framing("GET");
                client.wire.message(head, framing).expect("a body").body.len()
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.join().expect("a client"), 256 * 0x4000 + 1);
    }
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(proxy.stats().total("cache_stored"), 0);
    proxy.wait_idle();
}
