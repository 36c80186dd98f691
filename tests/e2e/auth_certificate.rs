//! What a client's certificate must say, on top of being good.

use super::tls::terminating;
use crate::support::certs::Authority;
use crate::support::tls::Tls;
use crate::support::{Message, Origin, Proxy, Setup};

fn start(rules: &str, origin: &Origin, servers: &Authority, clients: &Authority) -> Proxy {
    terminating(Setup::to(&[origin]), &servers.sign(&["a.test"]))
        .listener("tls.client_auth = { ca = \"clients.pem\", mode = \"optional\" }")
        .beside("clients.pem", clients.pem())
        .route(format!("auth = {{ {rules} }}"))
        .start()
}

fn ask(proxy: &Proxy, servers: &Authority, shown: Option<&[&str]>, clients: &Authority) -> Message {
    let mut tls = Tls::trusting(servers);
    if let Some(names) = shown {
        tls = tls.showing(clients.sign(names));
    }
    let mut client = tls.connect(proxy.address(), "a.test");
    client.ask(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Client-Cert-Subject: CN=ada\r\n\
         X_Client_Cert_San: DNS:ada\r\n\r\n",
    )
}

#[test]
fn names_decide_and_fields_of_clients_do_not() {
    let origin = Origin::saying("hello");
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let rules = "client_certificate = { subjects = [\"CN=ada*\"], sans = \"DNS:*.shop.test\" }";
    let proxy = start(rules, &origin, &servers, &clients);
    for (shown, expected) in [
        (None, Err("auth_no_certificate")),
        (Some(&["ada", "ada.shop.test"][..]), Ok(())),
        (Some(&["ada1", "x.test", "b.shop.test"]), Ok(())),
        (Some(&["bob", "bob.shop.test"]), Err("auth_certificate")),
        (Some(&["ada", "ada.test"]), Err("auth_certificate")),
        (Some(&["ada", "shop.test"]), Err("auth_certificate")),
    ] {
        let answer = ask(&proxy, &servers, shown, &clients);
        match expected {
            Ok(()) => assert_eq!(answer.text(), "hello", "{shown:?}"),
            Err(code) => answer.expect_error(403, "route", code),
        }
    }
    assert_eq!(origin.requests().len(), 2);
    let stats = proxy.stats();
    assert_eq!(stats.total("error_route_auth_no_certificate"), 1);
    assert_eq!(stats.total("error_route_auth_certificate"), 3);
    assert_eq!(stats.total("auth_passed"), 2);
}

#[test]
fn one_of_two_methods_or_both() {
    let origin = Origin::saying("hello");
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let hash = bcrypt::hash("open sesame", 4).expect("a hash");
    let methods = "client_certificate = { subjects = \"CN=ada\" }, \
        basic = { realm = \"a\", users = \"users\", header = \"X-User\" }";
    for (require, certificate_alone, password_alone) in [("any", 200, 200), ("all", 401, 403)] {
        let proxy = terminating(Setup::to(&[&origin]), &servers.sign(&["a.test"]))
            .listener("tls.client_auth = { ca = \"clients.pem\", mode = \"optional\" }")
            .beside("clients.pem", clients.pem())
            .beside("users", format!("ada:{hash}\n"))
            .route(format!("auth = {{ require = \"{require}\", {methods} }}"))
            .start();
        let pair = super::auth_basic::base64("ada:open sesame");
        let password = format!("Authorization: Basic {pair}\r\n");
        for (shown, fields, expected) in [
            (false, "", if require == "any" { 401 } else { 403 }),
            (true, "", certificate_alone),
            (false, &*password, password_alone),
            (true, &*password, 200),
        ] {
            let mut tls = Tls::trusting(&servers);
            if shown {
                tls = tls.showing(clients.sign(&["ada"]));
            }
            let text = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
            let answer = tls.connect(proxy.address(), "a.test").ask(text);
            assert_eq!(answer.head.status(), expected, "{require} {shown} {fields}");
            assert_eq!(answer.head.get("www-authenticate").is_some(), expected == 401);
        }
    }
}
