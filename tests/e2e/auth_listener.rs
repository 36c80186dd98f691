//! `auth` of a listener: the rules of all its routes that have none of their own.

use std::net::SocketAddr;

use super::auth_basic::base64;
use crate::support::system::Confinement;
use crate::support::{Client, Message, Origin, Proxy, Setup, exchange, run_to_end};

/// Two listeners, one of which asks; a route for both, one that lets everybody in, one that asks
/// others, and one without a member.
fn start(origin: &Origin, more: &str) -> Proxy {
    let line = |name: &str, password: &str| {
        format!("{name}:{}\n", bcrypt::hash(password, 4).expect("a hash"))
    };
    let body = format!(
        "[listener.asking]\nbind = \"127.0.0.1:0\"\n\
         auth.basic = {{ realm = \"all\", users = \"all\", header = \"X-User\" }}\n\
         [[route]]\npool = \"app\"\n{more}\n\
         [[route]]\npath = \"/open\"\npool = \"app\"\nauth = \"off\"\n\
         [[route]]\npath = \"/few\"\npool = \"app\"\n\
         auth.basic = {{ realm = \"few\", users = \"few\", header = \"X-Few\" }}\n\
         [[route]]\npath = \"/healthz\"\nrespond = {{ status = 200, body = \"fine\" }}\n\
         [pool.app]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let all = line("ada", "sesame") + &line("bob", "hunter2");
    let setup = Setup::with_body(body).workers(1);
    setup.beside("all", all).beside("few", line("bob", "hunter2")).start()
}

fn ask(address: SocketAddr, path: &str, pair: &str) -> Message {
    let credentials = match pair {
        "" => String::new(),
        pair => format!("Authorization: Basic {}\r\n", base64(pair)),
    };
    let spoofed = "x_user: root\r\nX-Few: root\r\n";
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: t\r\n{credentials}{spoofed}\r\n"))
}

#[test]
fn each_listener_has_its_word_and_each_route_the_last() {
    let origin = Origin::saying("hello");
    let proxy = start(&origin, "");
    let (open, asking) = (proxy.address(), proxy.listening("asking")[0]);
    let challenge = |realm: &str| format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    for (address, path, pair, realm) in [
        (asking, "/", "", Some("all")),
        (asking, "/x", "ada:hunter2", Some("all")),
        (asking, "/healthz", "", Some("all")),
        (asking, "/few", "ada:sesame", Some("few")),
        (open, "/few", "", Some("few")),
        (open, "/few", "ada:sesame", Some("few")),
        (asking, "/", "ada:sesame", None),
        (asking, "/x", "bob:hunter2", None),
        (asking, "/healthz", "ada:sesame", None),
        (asking, "/few", "bob:hunter2", None),
        (open, "/few", "bob:hunter2", None),
        (asking, "/open", "", None),
        (open, "/open", "", None),
        (open, "/", "", None),
        (open, "/healthz", "", None),
    ] {
        let answer = ask(address, path, pair);
        let expected = if realm.is_some() { 401 } else { 200 };
        assert_eq!(answer.status(), expected, "{address} {path} {pair}");
        let told: Vec<String> = realm.map(challenge).into_iter().collect();
        assert_eq!(answer.head.all("www-authenticate"), told, "{path} {pair}");
    }
    // Whom members are told of, and that nobody tells them otherwise.
    let told = |name: &str| {
        let requests = origin.requests();
        requests.iter().map(|it| it.head.all(name).join("+")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told("x-user"), "ada bob     ");
    assert_eq!(told("x-few"), "  bob bob   ");
    assert_eq!(told("x_user"), "      ");
    assert_eq!(origin.requests().len(), 7);
}

#[test]
fn a_verdict_is_remembered_for_all_routes_of_the_listener_and_for_no_other_rules() {
    let origin = Origin::saying("hello");
    let proxy = start(&origin, "");
    let asking = proxy.listening("asking")[0];
    for path in ["/", "/x", "/healthz", "/few", "/few"] {
        assert_eq!(ask(asking, path, "bob:hunter2").status(), 200);
    }
    assert_eq!(proxy.stats().total("auth_passwords"), 2);
    assert_eq!(proxy.stats().total("auth_remembered"), 3);
    assert_eq!(proxy.stats().total("auth_passed"), 5);
}

/// What is stored for who was let in is given to nobody else, unless it says so.
#[test]
fn the_cache_knows_that_somebody_was_asked() {
    let origin = Origin::serving(|_| {
        crate::support::answer_with("200 OK", &[("Cache-Control", "max-age=60")], b"secret")
    });
    let proxy = start(&origin, "cache = { status_header = true }");
    let asking = proxy.listening("asking")[0];
    let mut client = Client::connect(asking);
    for number in 1..=2 {
        let text = format!(
            "GET / HTTP/1.1\r\nHost: t\r\nAuthorization: Basic {}\r\n\r\n",
            base64("ada:sesame")
        );
        assert_eq!(client.ask(text).text(), "secret");
        assert_eq!(origin.requests().len(), number);
    }
    let refused = client.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((refused.status(), refused.head.get("cache-status")), (401, None));
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_listener() {
    let directory = crate::support::proxy::Directory::new();
    std::fs::write(directory.path().join("users"), "ada:plain\n").expect("a file");
    let text = "[listener.web]\nbind = \"127.0.0.1:0\"\nauth.basic = { realm = \"a\", users = \"users\" }\n\
                [[route]]\npool = \"app\"\n[pool.app]\nmembers = [\"127.0.0.1:1\"]\n";
    let file = directory.path().join("ringway.toml");
    std::fs::write(&file, text).expect("a file");
    let ended = run_to_end(&["check", &file.to_string_lossy()], Confinement::default());
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("[listener.web.auth]"), "{}", ended.log);
}
