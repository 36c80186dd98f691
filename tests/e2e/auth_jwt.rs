//! Signed tokens: keys from files and URLs, what a token must say, and keys that change.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::support::certs::Authority;
use crate::support::tls::server;
use crate::support::{
    Client, Message, Origin, Proxy, Setup, answer_with, eventually, exchange, ok,
};

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let six = |start: usize| (start..start + 6).fold(0, |n, at| n * 2 + usize::from(bit(at)));
    (0..bytes.len() * 8).step_by(6).map(|at| char::from(ALPHABET[six(at)])).collect()
}

/// A pair of keys for ES256.
struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &str) -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Key { id: id.to_owned(), pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256",
            "x": base64(&point[1..33]), "y": base64(&point[33..]) })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" });
        let text = unsigned(&header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature");
        format!("{text}.{}", base64(signature.as_ref()))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now").as_secs();
    json!({ "iss": "login", "aud": ["shop", "x"], "sub": "ada", "exp": now + 600, "iat": now,
        "realm": { "roles": ["a", "b"] } })
}

fn get(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n\r\n")
}

fn ask(proxy: &Proxy, token: &str) -> Message {
    exchange(proxy.address(), get(token))
}

const RULES: &str = "issuer = \"login\", audience = \"shop\", \
    claims = { sub = \"X-User\", \"realm.roles\" = \"X-Roles\" }";

fn setup(origin: &Origin, keys: &str, more: &str) -> Setup {
    Setup::to(&[origin]).route(format!("auth = {{ jwt = {{ {keys}, {RULES}{more} }} }}"))
}

#[test]
fn tokens_pass_and_members_learn_of_whom() {
    let (origin, key) = (Origin::saying("hello"), Key::new("one"));
    let proxy =
        setup(&origin, "jwks = \"keys.json\"", "").beside("keys.json", set(&[&key])).start();
    let token = key.sign(&claims());
    let spoofed =
        get(&token).replace("Host", "x_user: root\r\nX-ROLES: root\r\nx.roles: root\r\nHost");
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.ask(&spoofed).text(), "hello");
    }
    for request in origin.requests() {
        assert_eq!(request.head.all("x-user"), ["ada"]);
        assert_eq!(request.head.all("x-roles"), ["a,b"]);
        assert!(request.head.get("authorization").is_some());
    }
    assert!(!origin.received().contains("root"));
    let stats = proxy.stats();
    assert_eq!((stats.total("auth_tokens"), stats.total("auth_remembered")), (1, 2));
}

#[test]
fn refusals_say_why() {
    let (origin, key, other) = (Origin::saying("hello"), Key::new("one"), Key::new("one"));
    let proxy =
        setup(&origin, "jwks = \"keys.json\"", "").beside("keys.json", set(&[&key])).start();
    let mut client = Client::connect(proxy.address());
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        claims[claim] = value;
        key.sign(&claims)
    };
    let none = format!("{}.", unsigned(&json!({ "alg": "none" }), &claims()));
    let text = unsigned(&json!({ "alg": "HS256", "kid": "one" }), &claims());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, set(&[&key]).as_bytes());
    let confused = format!("{text}.{}", base64(hmac::sign(&secret, text.as_bytes()).as_ref()));
    for (token, code) in [
        (with("exp", json!(1000)), "auth_expired"),
        (with("nbf", json!(4_000_000_000u64)), "auth_early"),
        (with("iss", json!("eve")), "auth_issuer"),
        (with("aud", json!("eve")), "auth_audience"),
        (other.sign(&claims()), "auth_signature"),
        (Key::new("two").sign(&claims()), "auth_unknown_key"),
        (none, "auth_algorithm"),
        (confused, "auth_algorithm"),
        (with("sub", json!("ada\r\nX-Admin: 1")), "auth_token"),
        ("x".to_owned(), "auth_token"),
        (String::new(), "auth_token"),
    ] {
        let answer = client.ask(get(&token));
        answer.expect_error(401, "route", code);
        let challenge = answer.head.get("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    }
    let answer = client.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    answer.expect_error(401, "route", "auth_missing");
    assert_eq!(answer.head.all("www-authenticate"), ["Bearer"]);
    let good = key.sign(&claims());
    let twice = get(&good).replace("Host", "Authorization: Bearer x\r\nHost");
    client.ask(twice).expect_error(401, "route", "auth_malformed");
    assert_eq!(client.ask(get(&good)).text(), "hello");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_secret_a_cookie_and_an_authorization_that_stays_here() {
    let origin = Origin::saying("hello");
    let secret = "0123456789abcdef0123456789abcdef";
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let text = unsigned(&json!({ "alg": "HS256" }), &claims());
    let token = format!("{text}.{}", base64(hmac::sign(&key, text.as_bytes()).as_ref()));
    let proxy =
        setup(&origin, "secret_file = \"secret\"", ", from = \"cookie:sid\", forward = false")
            .beside("secret", format!("{secret}\n"))
            .start();
    let cookies = |cookies: &str| {
        let text =
            format!("GET / HTTP/1.1\r\nHost: t\r\nAuthorization: x\r\nCookie: {cookies}\r\n\r\n");
        exchange(proxy.address(), text)
    };
    assert_eq!(cookies(&format!("a=b; sid={token}")).text(), "hello");
    assert_eq!(origin.only_request().head.get("authorization"), None);
    cookies("a=b").expect_error(401, "route", "auth_missing");
    cookies(&format!("sid={token}; sid=x")).expect_error(401, "route", "auth_malformed");
    ask(&proxy, &token).expect_error(401, "route", "auth_missing");
}

#[test]
fn the_file_of_keys_changes() {
    let (origin, old, new) = (Origin::saying("hello"), Key::new("old"), Key::new("new"));
    let proxy =
        setup(&origin, "jwks = \"keys.json\"", "").beside("keys.json", set(&[&old])).start();
    let (by_old, by_new) = (old.sign(&claims()), new.sign(&claims()));
    assert_eq!(ask(&proxy, &by_old).text(), "hello");
    ask(&proxy, &by_new).expect_error(401, "route", "auth_unknown_key");
    let file = proxy.directory().join("keys.json");
    fs::write(&file, set(&[&new])).expect("the keys");
    eventually("the new key is good", || ask(&proxy, &by_new).head.status() == 200);
    // Also where it was remembered.
    ask(&proxy, &by_old).expect_error(401, "route", "auth_unknown_key");
    fs::write(&file, "{}").expect("the keys");
    let told = |line: &str| line.contains("not loaded") && line.contains("no JWK set");
    assert!(proxy.log.wait(0, told).is_some());
    assert_eq!(ask(&proxy, &by_new).text(), "hello");
}

/// Answers with what the test says at the time.
fn serving(answer: &Arc<Mutex<Vec<u8>>>) -> Origin {
    let answer = Arc::clone(answer);
    Origin::serving(move |_| answer.lock().expect("the answer").clone())
}

#[test]
fn keys_of_a_url_are_fetched_and_fetched_again_for_a_key_that_is_not_known() {
    let (origin, old, new) = (Origin::saying("hello"), Key::new("old"), Key::new("new"));
    let answer = Arc::new(Mutex::new(answer_with("500 Oops", &[], b"")));
    let source = serving(&answer);
    let jwks = format!("jwks = \"http://{}/keys?a=b\"", source.address());
    let proxy = setup(&origin, &jwks, "").start();
    let (by_old, by_new) = (old.sign(&claims()), new.sign(&claims()));
    // Nothing passes before there are keys.
    ask(&proxy, &by_old).expect_error(503, "route", "auth_no_keys");
    *answer.lock().expect("the answer") = ok(set(&[&old]));
    eventually("the keys are fetched", || ask(&proxy, &by_old).head.status() == 200);
    assert_eq!(source.requests()[0].head.target(), "/keys?a=b");
    let host = source.address().to_string();
    assert_eq!(source.requests()[0].head.get("host"), Some(&*host));
    *answer.lock().expect("the answer") = ok(set(&[&old, &new]));
    eventually("the new key is fetched", || {
        let answer = ask(&proxy, &by_new);
        assert!(matches!(answer.head.status(), 200 | 401), "{}", answer.text());
        answer.head.status() == 200
    });
    assert_eq!(ask(&proxy, &by_old).text(), "hello");
    // Tokens with keys that nobody has do not make it fetch more often than in ten seconds.
    let before = source.requests().len();
    for _ in 0..20 {
        let token = Key::new("nobody's").sign(&claims());
        assert_eq!(ask(&proxy, &token).head.status(), 401);
    }
    assert!(source.requests().len() <= before + 1, "{}", source.requests().len() - before);
    assert!(proxy.stats().total("jwks_fetches_failed") > 0);
}

#[test]
fn keys_stay_while_a_fetch_fails() {
    let (origin, key) = (Origin::saying("hello"), Key::new("one"));
    let answer = Arc::new(Mutex::new(ok(set(&[&key]))));
    let source = serving(&answer);
    let jwks = format!("jwks = \"http://{}/\", refresh = \"1s\"", source.address());
    let proxy = setup(&origin, &jwks, ", remember = \"off\"").start();
    let token = key.sign(&claims());
    eventually("the keys are fetched", || ask(&proxy, &token).head.status() == 200);
    for (bad, times) in
        [(answer_with("404 No", &[], b""), 1), (ok("{\"keys\":[]}"), 2), (b"x".to_vec(), 3)]
    {
        *answer.lock().expect("the answer") = bad;
        eventually("a fetch fails", || proxy.stats().total("jwks_fetches_failed") >= times);
        assert_eq!(ask(&proxy, &token).text(), "hello");
    }
}

#[test]
fn keys_of_a_url_in_tls() {
    use crate::support::tls::server_connection;
    use std::io::{Read, Write};
    let (origin, key) = (Origin::saying("hello"), Key::new("one"));
    let authority = Authority::new("test");
    let config = server(&authority.sign(&["127.0.0.1"]), None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let body = ok(set(&[&key]));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut tls = server_connection(&config);
            let mut tls = rustls::Stream::new(&mut tls, &mut stream);
            let mut buffer = [0; 4096];
            // One that does not trust us goes away.
            if tls.read(&mut buffer).is_ok() {
                drop(tls.write_all(&body));
                tls.conn.send_close_notify();
                drop(tls.flush());
            }
        }
    });
    let token = key.sign(&claims());
    let jwks = format!("jwks = \"https://{address}/\", ca = \"ca.pem\"");
    let proxy = setup(&origin, &jwks, "").beside("ca.pem", authority.pem()).start();
    eventually("the keys are fetched", || ask(&proxy, &token).head.status() == 200);
    let other = Authority::new("other");
    let proxy = setup(&origin, &jwks, "").beside("ca.pem", other.pem()).start();
    ask(&proxy, &token).expect_error(503, "route", "auth_no_keys");
    eventually("it was not trusted", || proxy.stats().total("jwks_fetches_failed") > 0);
}
