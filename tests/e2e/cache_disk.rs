//! The cache's tier on disk: what is there after a restart, what comes from it, and what does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::admin::{TCP, get as admin};
use super::cache::{counting, status};
use super::cache_stale::ringway;
use crate::support::coding::decode;
use crate::support::message::{Message, answer_with};
use crate::support::proxy::Directory;
use crate::support::{Client, Origin, Proxy, Setup, client::exchange, eventually};

/// Everything goes to `origin` through a cache with a folder, which has been read.
pub(crate) fn start(origin: &Origin, folder: &Directory, disk: &str) -> Proxy {
    start_with(setup(origin, folder, disk, ""))
}

pub(crate) fn setup(origin: &Origin, folder: &Directory, disk: &str, route: &str) -> Setup {
    let path = folder.path().join("cache");
    let cache = format!("disk = {{ folder = \"{}\"{disk} }}", path.display());
    Setup::to(&[origin])
        .server(format!("cache = {{ memory = \"64MiB\", {cache} }}\n{TCP}"))
        .route(format!("cache = {{ status_header = true{route} }}"))
}

pub(crate) fn start_with(setup: Setup) -> Proxy {
    let proxy = setup.start();
    assert!(proxy.log.wait(0, |line| line.contains("cache folder read")).is_some());
    proxy
}

/// Ends it as an operator does.
#[track_caller]
pub(crate) fn stop(mut proxy: Proxy) {
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
}

pub(crate) fn get(proxy: &Proxy, path: &str, fields: &str) -> Message {
    exchange(proxy.address(), format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

/// The files of answers below a folder.
pub(crate) fn files(folder: &Directory) -> Vec<PathBuf> {
    let parts = fs::read_dir(folder.path().join("cache")).expect("the folder");
    let parts = parts.map(|part| part.expect("a part").path());
    // Not the lock, nor what is being written.
    let parts = parts.filter(|path| path.file_name().is_some_and(|name| name.len() == 2));
    let in_part = |part: PathBuf| fs::read_dir(part).expect("a part");
    parts.flat_map(in_part).map(|file| file.expect("a file").path()).collect()
}

/// All that was to be written is.
pub(crate) fn settle(proxy: &Proxy) {
    assert_eq!(ringway(proxy, &["--tag", "nobody-has-this"]), "0 answers gone\n");
}

fn hit(answer: &Message, from_disk: bool) -> bool {
    let status = status(answer);
    status.starts_with("ringway; hit; ttl=") && status.ends_with("; detail=disk") == from_disk
}

const FIELDS: &[(&str, &str)] = &[
    ("Cache-Control", "max-age=600"),
    ("Age", "30"),
    ("ETag", "\"a\""),
    ("Content-Type", "text/plain"),
];

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let (origin, folder) = (counting(FIELDS), Directory::new());
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    assert_eq!(get(&proxy, "/a", "").text(), "answer 1");
    assert!(hit(&get(&proxy, "/a", ""), false));
    proxy.wait_stat("cache_disk_writes", 1);
    let view = &admin(&proxy, "/cache")["disk"];
    assert_eq!((&view["files"], &view["read"]), (&1.into(), &true.into()), "{view}");
    stop(proxy);
    for kill in [false, true] {
        let proxy = start(&origin, &folder, "");
        proxy.wait_stat("cache_disk_files", 1);
        let answer = get(&proxy, "/a", "");
        assert_eq!(answer.text(), "answer 1");
        assert!(hit(&answer, true), "{answer:?}");
        assert_eq!(answer.head.get("content-type"), Some("text/plain"));
        let age: u64 = answer.head.get("age").expect("an age").parse().expect("a number");
        assert!((30..600).contains(&age), "{age}");
        // It is in memory again.
        assert!(hit(&get(&proxy, "/a", ""), false));
        proxy.wait_stat("cache_disk_hits", 1);
        assert_eq!(proxy.stats().total("cache_hits"), 2);
        if kill {
            // Dropped: killed.
            drop(proxy);
        } else {
            stop(proxy);
        }
    }
    let proxy = start(&origin, &folder, "");
    let mut client = Client::connect(proxy.address());
    client.send("HEAD /a HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.answer_to("HEAD");
    assert_eq!((head.status(), head.head.get("content-length")), (200, Some("8")));
    assert!(hit(&head, true));
    for (fields, expected, body) in [
        ("Range: bytes=0-1\r\n", 206, "an"),
        ("If-None-Match: \"a\"\r\n", 304, ""),
        ("Cache-Control: only-if-cached\r\n", 200, "answer 1"),
    ] {
        let answer = get(&proxy, "/a", fields);
        assert_eq!((answer.status(), answer.text().as_str()), (expected, body), "{fields}");
    }
    assert_eq!(origin.requests().len(), 1);
    drop(client);
    proxy.wait_idle();
}

#[test]
fn the_first_request_after_a_restart_may_be_for_a_part() {
    for (fields, expected, body) in [
        ("Range: bytes=-2\r\n", 206, " 1"),
        ("If-None-Match: \"a\"\r\n", 304, ""),
        ("Cache-Control: only-if-cached\r\n", 200, "answer 1"),
    ] {
        let (origin, folder) = (counting(FIELDS), Directory::new());
        let proxy = start(&origin, &folder, ", admission = \"always\"");
        get(&proxy, "/a", "");
        proxy.wait_stat("cache_disk_writes", 1);
        drop(proxy);
        let proxy = start(&origin, &folder, "");
        let answer = get(&proxy, "/a", fields);
        assert_eq!((answer.status(), answer.text().as_str()), (expected, body), "{fields}");
        assert!(hit(&answer, true), "{answer:?}");
        assert_eq!(origin.requests().len(), 1);
    }
}

#[test]
fn variants_are_files_of_their_own() {
    let (origin, folder) =
        (counting(&[("Cache-Control", "max-age=60"), ("Vary", "X-A")]), Directory::new());
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    let ask = |proxy: &Proxy, value: &str| get(proxy, "/a", &format!("X-A: {value}\r\n"));
    assert_eq!(ask(&proxy, "1").text(), "answer 1");
    assert_eq!(ask(&proxy, "2").text(), "answer 2");
    proxy.wait_stat("cache_disk_writes", 2);
    drop(proxy);
    let proxy = start(&origin, &folder, "");
    proxy.wait_stat("cache_disk_files", 2);
    assert_eq!(ask(&proxy, "2").text(), "answer 2");
    assert_eq!(ask(&proxy, "1").text(), "answer 1");
    assert_eq!(ask(&proxy, "3").text(), "answer 3");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn what_is_asked_for_once_is_not_written() {
    let (origin, folder) = (counting(&[("Cache-Control", "max-age=60")]), Directory::new());
    let proxy = start(&origin, &folder, "");
    for number in 0..20 {
        get(&proxy, &format!("/once/{number}"), "");
    }
    get(&proxy, "/twice", "");
    assert!(hit(&get(&proxy, "/twice", ""), false));
    proxy.wait_stat("cache_disk_writes", 1);
    settle(&proxy);
    assert_eq!((files(&folder).len(), proxy.stats().total("cache_disk_writes")), (1, 1));
    // Used again and again, it is not written again and again.
    for _ in 0..20 {
        get(&proxy, "/twice", "");
    }
    settle(&proxy);
    assert_eq!(proxy.stats().total("cache_disk_writes"), 1);
    // What memory has lost is known by its key.
    assert_eq!(ringway(&proxy, &["http://t/once/7"]), "1 answer gone\n");
    get(&proxy, "/once/7", "");
    proxy.wait_stat("cache_disk_writes", 2);
}

#[test]
fn purges_and_invalidations_outlive_the_process() {
    let count = AtomicUsize::new(0);
    let origin = Origin::serving(move |request| {
        let tag = if request.head.target().starts_with("/a") { "alpha x" } else { "beta" };
        let fields = [("Cache-Control", "max-age=600"), ("Surrogate-Key", tag)];
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        answer_with("200 OK", &fields, number.to_string().as_bytes())
    });
    let folder = Directory::new();
    let paths = ["/a/1", "/a/2", "/b/1", "/b/2", "/c"];
    let all = |proxy: &Proxy| paths.map(|path| get(proxy, path, "").text());
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    assert_eq!(all(&proxy), ["1", "2", "3", "4", "5"]);
    proxy.wait_stat("cache_disk_writes", 5);
    // In memory and on disk they are the same answers.
    assert_eq!(ringway(&proxy, &["http://t/a/1"]), "1 answer gone\n");
    drop(proxy);
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    assert_eq!(ringway(&proxy, &["--tag", "alpha"]), "1 answer gone\n");
    assert_eq!(get(&proxy, "/b/1", "").text(), "3");
    assert_eq!(ringway(&proxy, &["--prefix", "http://t/b/"]), "2 answers gone\n");
    assert_eq!(files(&folder).len(), 1);
    assert_eq!(get(&proxy, "/c", "").text(), "5");
    let post = "POST /c HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(proxy.address(), post).text(), "6");
    proxy.wait_stat("cache_invalidated", 1);
    settle(&proxy);
    assert_eq!(files(&folder).len(), 0);
    drop(proxy);
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    assert_eq!(all(&proxy), ["7", "8", "9", "10", "11"]);
    proxy.wait_stat("cache_disk_writes", 5);
    drop(proxy);
    // What was never in this process's memory is invalidated, too.
    let proxy = start(&origin, &folder, "");
    assert_eq!(exchange(proxy.address(), post).text(), "12");
    assert_eq!(get(&proxy, "/c", "").text(), "13");
    assert_eq!(ringway(&proxy, &["--all"]), "5 answers gone\n");
    assert_eq!(files(&folder).len(), 0);
    proxy.wait_stat("cache_disk_files", 0);
}

#[test]
fn what_was_validated_is_fresh_after_a_restart() {
    let count = AtomicUsize::new(0);
    let origin = Origin::serving(move |request| {
        if request.head.get("if-none-match").is_some() {
            return b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=600\r\nX-B: new\r\n\r\n"
                .to_vec();
        }
        let fields = [("Cache-Control", "max-age=600"), ("ETag", "\"e\"")];
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        answer_with("200 OK", &fields, number.to_string().as_bytes())
    });
    let folder = Directory::new();
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    get(&proxy, "/a", "");
    get(&proxy, "/b", "");
    proxy.wait_stat("cache_disk_writes", 2);
    assert_eq!(ringway(&proxy, &["--all", "--soft"]), "2 answers stale now\n");
    // Made fresh in memory and on disk; the other one stays stale.
    assert!(status(&get(&proxy, "/a", "")).contains("fwd-status=304"));
    settle(&proxy);
    drop(proxy);
    let proxy = start(&origin, &folder, "");
    let fresh = get(&proxy, "/a", "");
    assert_eq!((fresh.text().as_str(), fresh.head.get("x-b")), ("1", Some("new")));
    assert!(hit(&fresh, true), "{fresh:?}");
    let validated = get(&proxy, "/b", "");
    assert_eq!((validated.text().as_str(), validated.head.get("x-b")), ("2", Some("new")));
    assert!(status(&validated).starts_with("ringway; fwd=stale; fwd-status=304"), "{validated:?}");
    settle(&proxy);
    drop(proxy);
    let proxy = start(&origin, &folder, "");
    assert!(hit(&get(&proxy, "/b", ""), true));
    // Nothing was written anew as a whole.
    assert_eq!((origin.requests().len(), files(&folder).len()), (4, 2));
}

#[test]
fn large_bodies_come_piece_by_piece_and_into_memory_when_they_are_hot() {
    let body: Vec<u8> = (0..5_000_000_u32).map(|at| (at / 7) as u8).collect();
    let answer = answer_with(
        "200 OK",
        &[("Cache-Control", "max-age=600"), ("ETag", "\"e\""), ("Content-Type", "text/plain")],
        &body,
    );
    let origin = Origin::serving(move |_| answer.clone());
    let folder = Directory::new();
    let proxy = start(&origin, &folder, ", admission = \"always\"");
    assert!(get(&proxy, "/a", "").body == body);
    proxy.wait_stat("cache_disk_writes", 1);
    drop(proxy);
    let proxy = start(&origin, &folder, "");
    let part = get(&proxy, "/a", "Range: bytes=65530-200000\r\n");
    assert!(part.status() == 206 && part.body == body[65_530..=200_000]);
    assert_eq!(part.head.get("content-range"), Some("bytes 65530-200000/5000000"));
    let whole = get(&proxy, "/a", "");
    assert!(hit(&whole, true) && whole.body == body);
    // The third use brings it into memory, in the background.
    eventually("it is in memory", || {
        let again = get(&proxy, "/a", "");
        assert!(again.body == body, "{}", again.body.len());
        hit(&again, false)
    });
    // A client that reads nothing of it holds nothing but its piece.
    assert_eq!(origin.requests().len(), 1);
    proxy.wait_idle();
}

#[test]
fn encoded_and_validated_from_disk() {
    let body = "some text that is worth it ".repeat(100_000);
    let text = body.clone();
    let origin = Origin::serving(move |request| {
        if request.head.get("if-none-match").is_some() {
            return b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=600\r\n\r\n".to_vec();
        }
        let fields =
            [("Cache-Control", "max-age=600"), ("ETag", "\"e\""), ("Content-Type", "text/plain")];
        answer_with("200 OK", &fields, text.as_bytes())
    });
    let folder = Directory::new();
    let disk = ", admission = \"always\"";
    let proxy = start(&origin, &folder, disk);
    get(&proxy, "/a", "");
    proxy.wait_stat("cache_disk_writes", 1);
    assert_eq!(ringway(&proxy, &["--all", "--soft"]), "1 answer stale now\n");
    drop(proxy);
    let proxy = start_with(setup(&origin, &folder, disk, "").route("compress = [\"gzip\"]"));
    for expected in ["ringway; fwd=stale; fwd-status=304; stored", "ringway; hit; ttl="] {
        let answer = get(&proxy, "/a", "Accept-Encoding: gzip\r\n");
        assert!(status(&answer).starts_with(expected), "{}", status(&answer));
        assert!(decode("gzip", &answer.body).0 == body.as_bytes());
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn another_zone_is_another_answer() {
    let (origin, folder) = (counting(&[("Cache-Control", "max-age=600")]), Directory::new());
    let begin = |route: &str| {
        let setup = setup(&origin, &folder, ", admission = \"always\"", "");
        start_with(setup.route(route))
    };
    let proxy = begin("host = \"one.test\"");
    assert_eq!(get(&proxy, "/a", "").text(), "answer 1");
    proxy.wait_stat("cache_disk_writes", 1);
    drop(proxy);
    // Its members are asked for something else now.
    let proxy = begin("host = \"two.test\"");
    proxy.wait_stat("cache_disk_files", 0);
    assert_eq!(get(&proxy, "/a", "").text(), "answer 2");
    proxy.wait_stat("cache_disk_writes", 1);
    drop(proxy);
    let proxy = begin("host = \"two.test\"\nvia = true");
    assert_eq!(files(&folder).len(), 0);
    drop(proxy);
    let root = Path::new("/proc");
    let nowhere = Setup::to(&[&origin])
        .server(format!("cache.disk.folder = \"{}/ringway\"", root.display()))
        .route("cache = {}");
    let file = folder.path().join("nowhere.toml");
    fs::write(&file, nowhere.text()).expect("a file");
    let file = file.to_string_lossy();
    let ended = crate::support::proxy::run_to_end(&["run", "--config", &file], Default::default());
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.log.contains("cannot use server.cache.disk.folder /proc/ringway"),
        "{}",
        ended.log
    );
}
