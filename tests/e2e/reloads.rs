//! Files that change while they are in use: lists of addresses, authorities of clients and of members.
//! What is good is taken, what is not changes nothing.

use std::fs;

use crate::access::client_at;
use crate::support::certs::Authority;
use crate::support::tls::{Tls, server, server_connection};
use crate::support::{Origin, Proxy, Setup, exchange, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

fn put(proxy: &Proxy, name: &str, content: impl AsRef<[u8]>) {
    fs::write(proxy.directory().join(name), content).unwrap();
}

#[test]
fn lists_of_addresses_are_taken_when_they_change() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .beside("deny.txt", "127.0.0.9\n")
        .listener("access = { allow = [\"127.0.0.8/29\"], deny = [\"file:deny.txt\"] }")
        .start();
    let mut kept = client_at(10, proxy.address());
    let status = |last: u8| client_at(last, proxy.address()).get("/").status();
    assert_eq!((status(9), status(10), kept.get("/").status()), (403, 200, 200));
    put(&proxy, "deny.txt", "# another\n127.0.0.10\n");
    proxy.wait_stat("access_reloads", 1);
    // Also for requests of connections that are there already.
    assert_eq!((status(9), status(10), kept.get("/").status()), (200, 403, 403));
    put(&proxy, "deny.txt", "127.0.0.9\nnonsense\n");
    proxy.wait_stat("access_reloads_refused", 1);
    assert_eq!((status(9), status(10)), (200, 403));
    assert!(proxy.log.all().iter().any(|line| line.contains("line 2 of this file")));
    fs::remove_file(proxy.directory().join("deny.txt")).unwrap();
    proxy.wait_stat("access_reloads_refused", 2);
    assert_eq!((status(9), status(10)), (200, 403));
    put(&proxy, "deny.txt", "");
    proxy.wait_stat("access_reloads", 2);
    assert_eq!((status(9), status(10), status(1)), (200, 200, 403));
}

#[test]
fn other_authorities_of_clients_are_taken_and_end_sessions_of_those_before() {
    let origin = Origin::saying("hello");
    let (servers, old, new) =
        (Authority::new("servers"), Authority::new("old"), Authority::new("new"));
    let leaf = servers.sign(&["a.test"]);
    let proxy = Setup::to(&[&origin])
        .beside("a.crt", leaf.chain_pem())
        .beside("a.key", leaf.key_pem())
        .beside("clients.pem", old.pem())
        .listener("tls.certificates = [{ chain = \"a.crt\", key = \"a.key\" }]")
        .listener("tls.client_auth.ca = \"clients.pem\"")
        .start();
    let client = |authority: &Authority| {
        Tls::trusting(&servers).showing(authority.sign(&["joe.test"])).remembering()
    };
    let (old_client, new_client) = (client(&old), client(&new));
    let ask = |tls: &Tls| {
        let mut client = tls.try_connect(proxy.address(), "a.test").ok()?;
        client.wire.send(GET).ok()?;
        let head = client.wire.head().ok()??;
        let framing = head.answer_framing("GET");
        client.wire.message(head, framing).ok().map(|answer| answer.text())
    };
    for _ in 0..3 {
        assert_eq!(ask(&old_client).as_deref(), Some("hello"));
    }
    assert!(proxy.stats().total("tls_resumed") > 0);
    assert_eq!(ask(&new_client), None);
    put(&proxy, "clients.pem", "no certificate");
    proxy.wait_stat("tls_reloads_refused", 1);
    assert_eq!(ask(&old_client).as_deref(), Some("hello"));
    put(&proxy, "clients.pem", new.pem());
    proxy.wait_stat("tls_reloads", 1);
    assert_eq!(ask(&new_client).as_deref(), Some("hello"));
    assert_eq!(ask(&old_client), None, "by its ticket");
    assert_eq!(ask(&client(&old)), None);
}

#[test]
fn other_authorities_of_members_are_taken_and_end_sessions_of_those_before() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let config = server(&old.sign(&["127.0.0.1"]), None);
    let origin = Origin::scripted(move |conn| {
        conn.wire.secure(server_connection(&config))?;
        while conn.request()?.is_some() {
            conn.send(ok("hello"))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin])
        .workers(1)
        .beside("ca.pem", old.pem())
        .pool("tls = { ca = \"ca.pem\" }\nkeepalive.idle = 0\nretry = \"off\"\neject = \"off\"")
        .start();
    let ask = || exchange(proxy.address(), GET);
    // The second one resumes.
    assert_eq!((ask().text(), ask().text()), ("hello".to_owned(), "hello".to_owned()));
    put(&proxy, "ca.pem", "no certificate");
    proxy.wait_stat("tls_reloads_refused", 1);
    assert_eq!(ask().text(), "hello");
    put(&proxy, "ca.pem", new.pem());
    proxy.wait_stat("tls_reloads", 1);
    ask().expect_error(502, "member", "tls_unknown_issuer");
    put(&proxy, "ca.pem", format!("{}{}", new.pem(), old.pem()));
    proxy.wait_stat("tls_reloads", 2);
    assert_eq!(ask().text(), "hello");
}
