//! Many requests of all kinds for a few URLs that change now and then: whatever the cache does, clients
//! get what the member has, or had before as far as it said that this is good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::support::proxy::Directory;
use crate::support::{Client, Message, Origin, Proxy, Setup, answer_with};

/// xorshift: the same numbers each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const LENGTH: usize = 40;

/// What a version of a URL is: letters that tell both.
fn whole(path: &str, version: usize) -> String {
    let unit = format!("{path}={version:03};");
    unit.chars().cycle().take(LENGTH).collect()
}

/// What a URL begins with, the fields of its answers, and whether old versions may be seen.
type Kind = (&'static str, &'static [(&'static str, &'static str)], bool);

const KINDS: [Kind; 7] = [
    ("fresh", &[("Cache-Control", "max-age=60")], true),
    ("stale", &[("Cache-Control", "max-age=0")], false),
    ("while", &[("Cache-Control", "max-age=0, stale-while-revalidate=60")], true),
    ("check", &[("Cache-Control", "no-cache")], false),
    ("never", &[("Cache-Control", "no-store")], false),
    ("varies", &[("Cache-Control", "max-age=60"), ("Vary", "X-Kind")], true),
    ("old", &[("Cache-Control", "max-age=5, stale-while-revalidate=60"), ("Age", "9")], true),
];

type Versions = Arc<Mutex<HashMap<String, usize>>>;

/// Answers as a careful member does: tags, conditions, ranges.
fn answer(request: &Message, versions: &Versions) -> Vec<u8> {
    let path = request.head.target().to_owned();
    let version = {
        let mut versions = versions.lock().expect("the versions");
        let version = versions.entry(path.clone()).or_default();
        if request.head.method() == "POST" {
            *version += 1;
            return answer_with("200 OK", &[], version.to_string().as_bytes());
        }
        *version
    };
    let kind = KINDS.iter().find(|(name, ..)| path.starts_with(&format!("/{name}")));
    let tag = format!("\"{version}\"");
    // Some have no tag.
    let tagged = !path.ends_with('0');
    let mut fields = kind.expect("a kind").1.to_vec();
    if tagged {
        fields.push(("ETag", &tag));
    }
    let body = whole(&path, version);
    let names = |name: &str| request.head.get(name) == Some(&*tag) && tagged;
    if names("if-none-match") {
        return answer_with("304 Not Modified", &fields, b"");
    }
    let range = request.head.get("range").and_then(|range| range.strip_prefix("bytes="));
    let range = range.and_then(|range| range.split_once('-'));
    let range = range.filter(|_| request.head.get("if-range").is_none() || names("if-range"));
    if let Some((first, last)) = range.filter(|_| request.head.method() == "GET") {
        let (first, last): (usize, usize) =
            (first.parse().expect("one"), last.parse().expect("one"));
        let range = format!("bytes {first}-{last}/{LENGTH}");
        fields.push(("Content-Range", &range));
        return answer_with("206 Partial Content", &fields, &body.as_bytes()[first..=last]);
    }
    let mut answer = answer_with("200 OK", &fields, body.as_bytes());
    if request.head.method() == "HEAD" {
        answer.truncate(answer.len() - LENGTH);
    }
    answer
}

/// What a client saw of a URL since it changed through the proxy.
#[derive(Default)]
struct Seen {
    /// The version that it has had since.
    since: usize,
    tag: Option<String>,
}

fn request(chance: &mut Chance, path: &str, seen: &Seen) -> (&'static str, String, bool) {
    let method = *chance.of(&["GET", "GET", "GET", "GET", "HEAD"]);
    let mut fields = format!("X-Kind: {}\r\n", chance.below(3));
    let mut ranged = false;
    if chance.below(3) == 0 {
        let first = chance.below(LENGTH);
        let last = first + chance.below(LENGTH - first);
        fields += &format!("Range: bytes={first}-{last}\r\n");
        ranged = true;
    }
    let tag = seen.tag.as_deref().unwrap_or("\"none\"");
    match chance.below(8) {
        0 if ranged => fields += &format!("If-Range: {tag}\r\n"),
        1 => fields += &format!("If-None-Match: {tag}\r\n"),
        2 => fields += "Cache-Control: no-cache\r\n",
        3 => fields += "Cache-Control: max-stale=60\r\n",
        _ => {}
    }
    (method, format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"), ranged)
}

/// The version of which `text` is the bytes from `first`.
fn version_of(path: &str, text: &str, first: usize, newest: usize) -> Vec<usize> {
    let is = |version: &usize| whole(path, *version).get(first..first + text.len()) == Some(text);
    (0..=newest).filter(is).collect()
}

fn first_of(answer: &Message) -> usize {
    let range = answer.head.get("content-range").and_then(|range| range.strip_prefix("bytes "));
    range.and_then(|range| range.split('-').next()).map_or(0, |first| first.parse().expect("one"))
}

#[test]
fn clients_get_what_the_member_has_or_had() {
    let versions = Versions::default();
    let of_origin = Arc::clone(&versions);
    let origin = Origin::serving(move |request| answer(request, &of_origin));
    let proxy = Setup::to(&[&origin]).route("cache = {}").start();
    // By both workers.
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(proxy.address())).collect();
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut all: HashMap<String, Seen> = HashMap::new();
    for round in 0..3000 {
        let (name, _, lasts) = chance.of(&KINDS);
        let path = format!("/{name}{}", chance.below(3));
        let client = chance.below(clients.len());
        let client = &mut clients[client];
        let newest = *versions.lock().expect("the versions").entry(path.clone()).or_default();
        let seen = all.entry(path.clone()).or_default();
        match chance.below(40) {
            // It changes, and the cache is told, or is not.
            0 => {
                let post = format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
                assert_eq!(client.ask(post).status(), 200);
                seen.since = newest + 1;
                continue;
            }
            1 => {
                *versions.lock().expect("the versions").entry(path.clone()).or_default() += 1;
                continue;
            }
            _ => {}
        }
        let (method, text, ranged) = request(&mut chance, &path, seen);
        client.send(&text);
        let got = client.answer_to(method);
        let oldest = if *lasts || text.contains("max-stale") { seen.since } else { newest };
        let told =
            || format!("round {round}: {text}{got:?} (newest {newest}, since {})", seen.since);
        let tag = got.head.get("etag").map(str::to_owned);
        let tagged = tag.as_deref().map(|tag| tag.trim_matches('"').parse::<usize>().expect("one"));
        match got.status() {
            200 => {
                assert_eq!(got.head.get("content-length"), Some(&*LENGTH.to_string()), "{}", told())
            }
            206 => assert!(ranged && method == "GET", "{}", told()),
            304 => assert!(text.contains("If-None-Match") && tag == seen.tag, "{}", told()),
            _ => panic!("{}", told()),
        }
        let insists = text.contains("no-cache");
        let oldest = if insists { newest } else { oldest };
        if let Some(version) = tagged {
            assert!((oldest..=newest).contains(&version), "{}", told());
        }
        if method == "GET" && got.status() != 304 {
            let found = version_of(&path, &got.text(), first_of(&got), newest);
            let good = |version: &usize| {
                (oldest..=newest).contains(version)
                    && tagged.is_none_or(|tagged| tagged == *version)
            };
            assert!(found.iter().any(good), "{}: {found:?}", told());
        }
        seen.tag = tag.or(seen.tag.take());
    }
    let stats = proxy.stats();
    for counter in
        ["cache_hits", "cache_stale", "cache_revalidated", "cache_misses", "cache_invalidated"]
    {
        assert!(stats.total(counter) > 10, "{counter} {}", stats.total(counter));
    }
    drop(clients);
    proxy.wait_idle();
}

/// What one of several clients that are busy at the same time sees, and what it does.
fn be_busy(proxy: &Proxy, seed: u64, versions: &Versions, told: &Versions) {
    let mut client = Client::connect(proxy.address());
    let mut chance = Chance(seed);
    let mut tags: HashMap<String, Seen> = HashMap::new();
    for round in 0..600 {
        let path = format!("/{}{}", chance.of(&KINDS).0, chance.below(2));
        // What was changed through the proxy until now nobody may see any more.
        let oldest = told.lock().expect("all").get(&path).copied().unwrap_or_default();
        if chance.below(12) == 0 {
            let post = format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
            let version: usize = client.ask(post).text().parse().expect("a version");
            let mut told = told.lock().expect("all");
            let known = told.entry(path).or_default();
            *known = version.max(*known);
            continue;
        }
        let seen = tags.entry(path.clone()).or_default();
        let (method, text, _) = request(&mut chance, &path, seen);
        client.send(&text);
        let got = client.answer_to(method);
        let newest = versions.lock().expect("the versions").get(&path).copied().unwrap_or_default();
        let tag = got.head.get("etag").map(str::to_owned);
        let tagged = tag.as_deref().map(|tag| tag.trim_matches('"').parse::<usize>().expect("one"));
        let what = || format!("seed {seed}, round {round}: {text}{got:?} ({oldest} to {newest})");
        assert!(matches!(got.status(), 200 | 206 | 304), "{}", what());
        if let Some(version) = tagged {
            assert!((oldest..=newest).contains(&version), "{}", what());
        }
        if method == "GET" && got.status() != 304 {
            let found = version_of(&path, &got.text(), first_of(&got), newest);
            let good = |version: &usize| {
                *version >= oldest && tagged.is_none_or(|tagged| tagged == *version)
            };
            assert!(found.iter().any(good), "{}: {found:?}", what());
        }
        seen.tag = tag.or(seen.tag.take());
    }
}

/// Answers as [`answer`] does, or with more than the memory takes of it for those who fill that.
fn busy_origin(versions: &Versions) -> Origin {
    let versions = Arc::clone(versions);
    Origin::serving(move |request| {
        if request.head.target().starts_with("/fill") {
            return answer_with("200 OK", &[("Cache-Control", "max-age=60")], &[b'f'; 20_000]);
        }
        let answer = answer(request, &versions);
        // Others have their turn between an answer that is made and its way.
        for _ in 0..50 {
            std::thread::yield_now();
        }
        answer
    })
}

/// `fills`: one more client asks for what drives everything else out of memory.
fn let_many_be_busy(proxy: &Proxy, versions: &Versions, fills: bool) {
    let told = Versions::default();
    std::thread::scope(|scope| {
        for seed in 1..=8 {
            let told = &told;
            scope.spawn(move || be_busy(proxy, seed * 0x9E37_79B9, versions, told));
        }
        if fills {
            let mut client = Client::connect(proxy.address());
            for number in 0..2000 {
                let path = format!("GET /fill{} HTTP/1.1\r\nHost: t\r\n\r\n", number % 70);
                assert_eq!(client.ask(path).body.len(), 20_000);
            }
        }
    });
}

#[test]
fn nobody_sees_what_was_changed_before_it_asked() {
    let versions = Versions::default();
    let origin = busy_origin(&versions);
    let proxy = Setup::to(&[&origin]).route("cache = {}").start();
    let_many_be_busy(&proxy, &versions, false);
    let stats = proxy.stats();
    for counter in
        ["cache_hits", "cache_stale", "cache_revalidated", "cache_misses", "cache_collapsed"]
    {
        assert!(stats.total(counter) > 10, "{counter} {}", stats.total(counter));
    }
    proxy.wait_idle();
}

#[test]
fn nobody_sees_it_come_back_from_disk_either() {
    let folder = Directory::new();
    let versions = Versions::default();
    let origin = busy_origin(&versions);
    let disk = format!("disk = {{ folder = \"{}\" }}", folder.path().join("cache").display());
    let setup = Setup::to(&[&origin]).server(format!("cache = {{ memory = \"1MiB\", {disk} }}"));
    let proxy = setup.route("cache = {}").start();
    assert!(proxy.log.wait(0, |line| line.contains("cache folder read")).is_some());
    let_many_be_busy(&proxy, &versions, true);
    let stats = proxy.stats();
    for counter in ["cache_hits", "cache_evicted", "cache_disk_hits", "cache_disk_writes"] {
        assert!(stats.total(counter) > 10, "{counter} {}", stats.total(counter));
    }
    proxy.wait_idle();
}
