//! What workers share of TLS: certificates that change, tickets, certificates of clients.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustls::HandshakeKind;

use super::admin::{TCP, address, get};
use super::support::certs::{Authority, Leaf, Valid};
use super::support::system::Confinement;
use super::support::tls::Tls;
use super::support::{Client, Message, Origin, Proxy, Setup, eventually, run_to_end};

const LISTENER: &str = "tls.certificates = [{ chain = \"a.crt\", key = \"a.key\" }]";

fn with(leaf: &Leaf, origin: &Origin) -> Setup {
    Setup::to(&[origin])
        .beside("a.crt", leaf.chain_pem())
        .beside("a.key", leaf.key_pem())
        .listener(LISTENER)
}

/// The certificate that a client was shown.
fn shown(client: &mut Client) -> Vec<u8> {
    client.wire.tls().peer_certificates().expect("a certificate")[0].to_vec()
}

fn serves(proxy: &Proxy, tls: &Tls, name: &str, leaf: &Leaf) -> bool {
    let client = tls.try_connect(proxy.address(), name);
    client.is_ok_and(|mut client| shown(&mut client) == leaf.chain()[0].to_vec())
}

#[test]
fn tickets_are_good_on_every_core() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test"]);
    for tls in [Tls::trusting(&authority).only_12(), Tls::trusting(&authority).only_13()] {
        let proxy = with(&leaf, &origin).workers(4).start();
        let tls = tls.remembering();
        let mut resumed = 0;
        for _ in 0..32 {
            let mut client = tls.connect(proxy.address(), "a.test");
            assert_eq!(client.get("/").text(), "hello");
            let kind = client.wire.tls().handshake_kind();
            resumed += i64::from(kind == Some(HandshakeKind::Resumed));
        }
        // All but the first, whichever core they came to.
        assert_eq!(resumed, 31);
        let stats = proxy.stats();
        assert_eq!((stats.total("tls_handshakes"), stats.total("tls_resumed")), (32, 31));
        let cores = stats.workers("tls_resumed").iter().filter(|count| **count > 0).count();
        assert!(cores > 1, "{cores} cores saw a ticket");
    }
}

#[test]
fn tickets_by_a_file_are_good_after_a_restart_and_while_their_key_is_in_it() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test"]);
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let setup = |keys: &str| {
        let setup = with(&leaf, &origin).listener("tls.tickets.keys = \"tickets.key\"");
        setup.beside("tickets.key", keys)
    };
    let tls = Tls::trusting(&authority).remembering();
    let ask = |proxy: &Proxy| {
        let mut client = tls.connect(proxy.address(), "a.test");
        assert_eq!(client.get("/").text(), "hello");
        client.wire.tls().handshake_kind() == Some(HandshakeKind::Resumed)
    };
    let first = setup(&old).start();
    assert!(!ask(&first));
    drop(first);
    let second = setup(&format!("{new}\n{old}\n")).start();
    assert!(ask(&second), "the key is in the file");
    drop(second);
    let third = setup(&new).start();
    assert!(ask(&third), "the last ticket was made by the first key");
    // The file changes in place.
    fs::write(third.directory().join("tickets.key"), &old).expect("writing the keys");
    third.wait_stat("tls_reloads", 1);
    assert!(!ask(&third), "no key opens it any more");
    fs::write(third.directory().join("tickets.key"), "no key").expect("writing the keys");
    third.wait_stat("tls_reloads_refused", 1);
    assert!(ask(&third), "what was in use stays");
}

/// A request as this client; an error is why there is no answer.
fn ask(tls: &Tls, proxy: &Proxy) -> Result<Message, String> {
    let mut client = tls.try_connect(proxy.address(), "a.test")?;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Client-Cert-Subject: CN=forged\r\n\
        x_client_cert_san: DNS:forged\r\nX-Client-Cert-Anything: forged\r\nClient-Cert: :Zm9yZ2Vk:\r\n\r\n";
    client.wire.send(request).map_err(|error| error.to_string())?;
    let head = client.wire.head().map_err(|error| error.to_string())?.ok_or("the end")?;
    let framing = head.answer_framing("GET");
    client.wire.message(head, framing).map_err(|error| error.to_string())
}

#[test]
fn clients_show_certificates_and_members_are_told() {
    let origin = Origin::saying("hello");
    let (servers, clients, others) =
        (Authority::new("servers"), Authority::new("clients"), Authority::new("others"));
    let leaf = servers.sign(&["a.test"]);
    let setup = |mode: &str| {
        with(&leaf, &origin)
            .listener(format!("tls.client_auth = {{ ca = \"clients.pem\", mode = \"{mode}\" }}"))
            .listener("trusted_proxies = [\"127.0.0.1\"]")
            .beside("clients.pem", clients.pem())
            .start()
    };
    let (required, optional) = (setup("required"), setup("optional"));
    for tls in [Tls::trusting(&servers).only_12(), Tls::trusting(&servers).only_13()] {
        for proxy in [&required, &optional] {
            let tls = tls.clone().showing(clients.sign(&["joe.test"]));
            assert_eq!(ask(&tls, proxy).expect("an answer").text(), "hello");
            let request = origin.requests().pop().expect("a request");
            assert_eq!(request.head.all("x-client-cert-subject"), ["CN=joe.test"]);
            assert_eq!(request.head.all("x-client-cert-san"), ["DNS:joe.test"]);
            assert_eq!(request.head.get("x-client-cert-fingerprint").map(str::len), Some(64));
            assert!(!origin.received().contains("forged"));
            let bad = [
                ("UnknownCA", others.sign(&["joe.test"])),
                ("Expired", clients.sign_with(&["joe.test"], Valid::Past, &rcgen::PKCS_ED25519)),
                ("", clients.sign_with(&["joe.test"], Valid::Future, &rcgen::PKCS_ED25519)),
            ];
            for (says, leaf) in bad {
                let error = ask(&tls.clone().showing(leaf), proxy).expect_err("a refusal");
                assert!(error.contains(says), "{says}: {error}");
            }
        }
        assert!(ask(&tls, &required).is_err());
        let before = origin.requests().len();
        assert_eq!(ask(&tls, &optional).expect("an answer").text(), "hello");
        let request = origin.requests().split_off(before).pop().expect("a request");
        assert_eq!(request.head.get("x-client-cert-subject"), None);
        assert!(!origin.received().contains("forged"));
    }
    required.wait_stat("error_client_tls_certificate", 8);
    optional.wait_stat("error_client_tls_certificate", 6);
}

#[test]
fn a_ticket_is_no_way_around_a_client_certificate() {
    let origin = Origin::saying("hello");
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let leaf = servers.sign(&["a.test"]);
    let open = with(&leaf, &origin)
        .listener("tls.tickets.keys = \"tickets.key\"")
        .beside("tickets.key", "33".repeat(32))
        .start();
    let closed = with(&leaf, &origin)
        .listener("tls.tickets.keys = \"tickets.key\"\ntls.client_auth.ca = \"clients.pem\"")
        .beside("tickets.key", "33".repeat(32))
        .beside("clients.pem", clients.pem())
        .start();
    let anonymous = Tls::trusting(&servers).remembering();
    assert!(ask(&anonymous, &open).is_ok());
    assert!(ask(&anonymous, &closed).is_err());
    // One that has shown its certificate is known again.
    let known = Tls::trusting(&servers).showing(clients.sign(&["joe.test"])).remembering();
    for _ in 0..2 {
        assert!(ask(&known, &closed).is_ok());
        let request = origin.requests().pop().expect("a request");
        assert_eq!(request.head.get("x-client-cert-subject"), Some("CN=joe.test"));
    }
    assert_eq!(closed.stats().total("tls_resumed"), 1);
}

#[test]
fn certificates_are_swapped_under_load_without_a_failed_handshake() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let old = authority.sign(&["a.test"]);
    let proxy = with(&old, &origin).start();
    let address = proxy.address();
    let (done, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let (tls, done, count) =
                (Tls::trusting(&authority), Arc::clone(&done), Arc::clone(&count));
            thread::spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    assert_eq!(tls.connect(address, "a.test").get("/").text(), "hello");
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let tls = Tls::trusting(&authority);
    let path = |name: &str| proxy.directory().join(name);
    let mut current = old;
    for round in 1..=2 {
        let new = authority.sign(&["a.test"]);
        // Not at once: in between they do not belong together.
        fs::write(path("a.crt"), new.chain_pem()).expect("writing");
        fs::write(path("a.key"), new.key_pem()).expect("writing");
        eventually("the new certificate is served", || serves(&proxy, &tls, "a.test", &new));
        assert_eq!(proxy.stats().total("tls_reloads"), round);
        current = new;
    }
    // Bad ones change nothing: a key of another certificate, garbage, one that has expired.
    let other = authority.sign(&["a.test"]);
    let expired = authority.sign_with(&["a.test"], Valid::Past, &rcgen::PKCS_ED25519);
    let bad = [
        (current.chain_pem(), other.key_pem(), "is not the key of the first certificate"),
        ("garbage".to_owned(), other.key_pem(), "has no certificate in it"),
        (expired.chain_pem(), expired.key_pem(), "has expired"),
    ];
    for (refused, (chain, key, says)) in (1..).zip(bad) {
        fs::write(path("a.crt"), chain).expect("writing");
        fs::write(path("a.key"), key).expect("writing");
        proxy.wait_stat("tls_reloads_refused", refused);
        assert!(proxy.log.all().iter().any(|line| line.contains(says)), "{says}");
        assert!(serves(&proxy, &tls, "a.test", &current));
    }
    // A renamed file in place of a file.
    let new = authority.sign(&["a.test"]);
    fs::write(path("new.crt"), new.chain_pem()).expect("writing");
    fs::write(path("new.key"), new.key_pem()).expect("writing");
    fs::rename(path("new.crt"), path("a.crt")).expect("renaming");
    fs::rename(path("new.key"), path("a.key")).expect("renaming");
    eventually("the new certificate is served", || serves(&proxy, &tls, "a.test", &new));
    done.store(true, Ordering::SeqCst);
    for thread in load {
        thread.join().expect("no handshake failed");
    }
    assert!(count.load(Ordering::SeqCst) > 10);
}

#[test]
fn certificates_of_a_directory_come_and_go() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let (a, b) = (authority.sign(&["a.test"]), authority.sign(&["b.test"]));
    let proxy = Setup::to(&[&origin])
        .beside("certs/a.crt", a.chain_pem())
        .beside("certs/a.key", a.key_pem())
        .listener("tls = { certificates_dir = \"certs\", unknown_sni = \"reject\" }")
        .start();
    let tls = Tls::trusting(&authority);
    assert!(serves(&proxy, &tls, "a.test", &a));
    assert!(tls.try_connect(proxy.address(), "b.test").is_err());
    let path = |name: &str| proxy.directory().join("certs").join(name);
    fs::write(path("b.pem"), b.chain_pem()).expect("writing");
    fs::write(path("b.key"), b.key_pem()).expect("writing");
    eventually("the new certificate is served", || serves(&proxy, &tls, "b.test", &b));
    fs::remove_file(path("a.crt")).expect("removing");
    eventually("the old one is gone", || tls.try_connect(proxy.address(), "a.test").is_err());
    assert!(serves(&proxy, &tls, "b.test", &b));
    // The last one stays in use.
    fs::remove_file(path("b.pem")).expect("removing");
    proxy.wait_stat("tls_reloads_refused", 1);
    assert!(serves(&proxy, &tls, "b.test", &b));
}

/// What `ringway check` and `ringway run` say of files.
#[test]
fn bad_files_are_named_before_anything_starts() {
    let authority = Authority::new("test");
    let (a, b) = (authority.sign(&["a.test"]), authority.sign(&["b.test"]));
    let old = authority.sign_with(&["a.test"], Valid::Past, &rcgen::PKCS_ED25519);
    let directory = std::env::temp_dir().join(format!("ringway-tls-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let write = |name: &str, text: &str| {
        fs::write(directory.join(name), text).expect("writing");
        directory.join(name).to_string_lossy().into_owned()
    };
    write("a.crt", &a.chain_pem());
    write("a.key", &a.key_pem());
    write("b.key", &b.key_pem());
    write("old.crt", &old.chain_pem());
    write("old.key", &old.key_pem());
    write("empty.crt", "");
    write(
        "sealed.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let cut = |text: String| text[..text.len() / 2].to_owned();
    write("cut.crt", &cut(a.chain_pem()));
    write("cut.key", &cut(a.key_pem()));
    let cases = [
        ("a.crt", "a.key", Some(0), ": ok, "),
        ("old.crt", "old.key", Some(0), "warning: [listener.web]: {}/old.crt: has expired"),
        (
            "a.crt",
            "b.key",
            Some(1),
            "{}/b.key: is not the key of the first certificate in {}/a.crt",
        ),
        ("none.crt", "a.key", Some(1), "{}/none.crt: cannot be read: No such file or directory"),
        ("empty.crt", "a.key", Some(1), "{}/empty.crt: has no certificate in it"),
        ("cut.crt", "a.key", Some(1), "{}/cut.crt: is no good PEM: its END line is missing"),
        ("a.crt", "cut.key", Some(1), "{}/cut.key: has no usable private key in it (PEM): its END"),
        ("a.key", "a.key", Some(1), "{}/a.key: has a private key in it, but no certificate"),
        ("a.crt", "a.crt", Some(1), "{}/a.crt: has a certificate in it, but no private key"),
        ("a.crt", "sealed.key", Some(1), "{}/sealed.key: is an encrypted key"),
    ];
    for (chain, key, code, says) in cases {
        let file = write(
            "ringway.toml",
            &format!(
                "[listener.web]\nbind = \"127.0.0.1:0\"\ntls.certificates = [{{ chain = \"{chain}\", \
                 key = \"{key}\" }}]\n[[route]]\npool = \"p\"\n[pool.p]\nmembers = [\"127.0.0.1:1\"]\n"
            ),
        );
        let ended = run_to_end(&["check", &file], Confinement::default());
        assert_eq!(ended.code, code, "{ended:?}");
        let says = says.replace("{}", &directory.to_string_lossy());
        if says != ": ok, " {
            assert!(ended.log.contains(&says), "{says}\n{}", ended.log);
        }
        if code == Some(1) {
            let ended = run_to_end(&["run", "--config", &file], Confinement::default());
            assert_eq!((ended.code, ended.log.contains(&says)), (code, true), "{ended:?}");
        }
    }
    fs::remove_dir_all(&directory).expect("removing");
}

#[test]
fn operators_can_ask_what_is_in_use() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test", "*.a.test"]);
    // An OCSP response as far as anybody here looks into it: a sequence.
    let proxy = Setup::to(&[&origin])
        .beside("a.crt", leaf.chain_pem())
        .beside("a.key", leaf.key_pem())
        .beside("a.ocsp", [0x30, 0x03, 0x0a, 0x01, 0x06])
        .listener("tls.certificates = [{ chain = \"a.crt\", key = \"a.key\", ocsp = \"a.ocsp\" }]")
        .server(TCP)
        .start();
    let view = get(&proxy, "/certificates");
    let one = &view["certificates"][0];
    assert_eq!(one["listener"], "web");
    assert_eq!(one["default"], true);
    assert_eq!(one["names"], serde_json::json!(["a.test", "*.a.test"]));
    assert_eq!(
        (one["subject"].as_str(), one["issuer"].as_str()),
        (Some("CN=a.test"), Some("CN=test"))
    );
    // 2090-01-01
    assert_eq!(one["not_after"], 3_786_912_000_u64);
    assert_eq!(one["stapled"], true);
    let command = ["certs", "--admin", &address(&proxy).to_string()];
    let ended = run_to_end(&command, Confinement::default());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let fresh = authority.sign(&["b.test"]);
    fs::write(proxy.directory().join("a.crt"), fresh.chain_pem()).expect("writing");
    fs::write(proxy.directory().join("a.key"), fresh.key_pem()).expect("writing");
    eventually("the new one is told of", || {
        get(&proxy, "/certificates")["certificates"][0]["names"] == serde_json::json!(["b.test"])
    });
}

/// What a client is sent along with the certificate.
#[derive(Debug)]
struct Staples(Arc<rustls::client::WebPkiServerVerifier>, std::sync::Mutex<Vec<u8>>);

impl rustls::client::danger::ServerCertVerifier for Staples {
    fn verify_server_cert(
        &self,
        end: &rustls::pki_types::CertificateDer<'_>,
        between: &[rustls::pki_types::CertificateDer<'_>],
        name: &rustls::pki_types::ServerName<'_>,
        staple: &[u8],
        now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.1.lock().expect("the staple") = staple.to_vec();
        self.0.verify_server_cert(end, between, name, &[], now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[test]
fn a_staple_is_sent_along_and_swapped_alone() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test"]);
    let (old, new) = ([0x30, 0x03, 0x0a, 0x01, 0x06], [0x30, 0x03, 0x0a, 0x01, 0x05]);
    let proxy = Setup::to(&[&origin])
        .beside("a.crt", leaf.chain_pem())
        .beside("a.key", leaf.key_pem())
        .beside("a.ocsp", old)
        .listener("tls.certificates = [{ chain = \"a.crt\", key = \"a.key\", ocsp = \"a.ocsp\" }]")
        .start();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        authority.roots(),
        Arc::clone(&provider),
    );
    let staples = Arc::new(Staples(verifier.build().expect("a verifier"), Default::default()));
    let verifier = Arc::clone(&staples);
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let mut config = config;
    config.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(config);
    let seen = || {
        let name = "a.test".try_into().expect("a name");
        let connection = rustls::ClientConnection::new(Arc::clone(&config), name);
        let mut client = Client::connect(proxy.address());
        client.wire.secure(connection.expect("a client")).expect("a handshake");
        staples.1.lock().expect("the staple").clone()
    };
    assert_eq!(seen(), old);
    fs::write(proxy.directory().join("a.ocsp"), new).expect("writing");
    eventually("the new staple is sent", || seen() == new);
}
