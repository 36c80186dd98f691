//! The bound in bytes, variants, and what an invalidation or a purge leaves behind.

use super::super::encodings::Made;
use super::super::stored::{Body, Label};
use super::*;
use crate::http::caching::Lifetime;
use crate::http::{Coding, HeadLimits, ResponseHead};

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };

fn request(fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    head.parse(text.as_bytes(), &LIMITS).expect("a request");
    head
}

fn stored(fields: &str, asked: &str, length: usize) -> Arc<Stored> {
    let mut answer = ResponseHead::new();
    let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
    let lifetime = Lifetime { fresh: 60, ..Lifetime::default() };
    let label = Label::new(&answer, &request(asked), lifetime, 1000).expect("a label");
    Arc::new(Stored::new(Arc::new(label), Arc::new(Body::of(vec![Arc::from(vec![0; length])]))))
}

fn put(store: &Store, key: &str, stored: &Arc<Stored>) -> bool {
    store.put(key.as_bytes(), format!("http://{key}").as_bytes(), stored, store.number())
}

#[test]
fn a_flood_of_keys_stays_within_the_memory() {
    let store = Store::new(1 << 20, 1 << 16);
    let hot = stored("", "", 1000);
    assert!(put(&store, "hot", &hot));
    for number in 0..5000 {
        put(&store, &format!("once/{number}"), &stored("", "", 1000));
        assert!(store.get(b"hot").is_some(), "lost after {number}");
        assert!(store.filled().0 <= 1 << 20);
    }
    let left = store.filled().1;
    assert!(left > 100 && store.evicted() + left == 5001);
    // What is replaced is no eviction.
    assert!(put(&store, "hot", &stored("", "", 900)));
    assert_eq!(store.evicted() + left, 5001);
}

#[test]
fn variants_are_kept_apart_and_bounded() {
    let store = Store::new(1 << 22, 1 << 16);
    for number in 0..100 {
        let asked = format!("A: {number}\r\n");
        assert!(put(&store, "k", &stored("Vary: a\r\n", &asked, 10)));
        assert!(put(&store, "k", &stored("Vary: a\r\n", &asked, 20)));
    }
    let resource = store.get(b"k").expect("stored");
    assert_eq!(resource.variants.len(), VARIANTS_MOST);
    let mut scratch = Vec::new();
    let mut find =
        |asked: &str| resource.find(&request(asked), &mut scratch).map(|stored| stored.body.length);
    assert_eq!([find("A: 99\r\n"), find("A: 1\r\n"), find("")], [Some(20), None, None]);
}

#[test]
fn encoded_forms_weigh_as_soon_as_they_are_counted() {
    let store = Store::new(1 << 20, 1 << 16);
    let answer = stored("", "", 10_000);
    assert!(put(&store, "k", &answer));
    let before = store.filled().0;
    let body = Body::of(vec![Arc::from(vec![0; 5000])]);
    answer.encodings.keep(Coding::Gzip, Made::Encoded(body));
    answer.encodings.keep(Coding::Zstd, Made::Useless);
    // What the store sums up stays as it was told.
    assert_eq!(store.filled().0, before);
    store.weigh_again(b"k", &stored("", "", 10_000));
    assert_eq!(store.filled().0, before, "another answer");
    store.weigh_again(b"k", &answer);
    assert_eq!(store.filled().0, before + 5032);
    let left = 2 * store.object_most() - store.filled().0;
    assert!(store.has_room_beside(b"k", left) && !store.has_room_beside(b"k", left + 2));
    assert!(!store.has_room_beside(b"other", 1));
    // A 304 renews the head alone.
    let renewed = Arc::new(answer.with(Arc::clone(&answer.label)));
    assert!(put(&store, "k", &renewed));
    assert_eq!(store.filled().0, before + 5032);
    store.weigh_again(b"k", &answer);
    assert_eq!(store.filled().0, before + 5032);
    store.forget(b"k", &renewed);
    assert!(store.filled().0 < 1000);
}

#[test]
fn what_was_asked_for_before_an_invalidation_is_not_kept() {
    let store = Store::new(1 << 20, 1 << 16);
    let (old, answer) = (store.number(), stored("", "", 10));
    assert!(store.put(b"k", b"u", &answer, old));
    assert!(store.invalidate(b"k", || false));
    assert!(store.get(b"k").is_none());
    assert!(!store.put(b"k", b"u", &answer, old));
    // Whether anything was known of it or not.
    let under_way = store.number();
    assert!(!store.invalidate(b"other", || false));
    assert!(store.get(b"other").is_none());
    assert!(!store.put(b"other", b"u", &answer, under_way));
    assert!(store.put(b"other", b"u", &answer, store.number()));
    store.forget(b"other", &answer);
    assert!(store.get(b"other").is_some_and(|resource| resource.variants.is_empty()));
    store.pass(b"k", 500);
    assert!(store.get(b"k").is_some_and(|resource| resource.pass_until == 500 + PASS_FOR));
    assert!(!store.put(b"k", b"u", &answer, old));
    // What it depends on is still known.
    let varies = stored("Vary: v\r\n", "V: 1\r\n", 10);
    assert!(store.put(b"k", b"u", &varies, store.number()) && store.invalidate(b"k", || false));
    let known = store.get(b"k").expect("its dependence");
    assert!(known.variants.is_empty() && known.vary == varies.label.vary);
}

/// Whatever else happens to a key at the same time, who looks behind an invalidation (or a purge, here
/// each third) does not find what was asked for before. The length of a body is its version.
#[test]
fn no_change_hides_a_key_from_an_invalidation() {
    let store = Store::new(1 << 22, 1 << 16);
    let version = AtomicU64::new(1);
    let over = std::sync::atomic::AtomicBool::new(false);
    let origin = |asked: &str| {
        let length = usize::try_from(version.load(Ordering::SeqCst)).expect("small");
        stored("Vary: v\r\n", asked, length)
    };
    std::thread::scope(|scope| {
        for asked in ["V: 1\r\n", "V: 2\r\n"] {
            let (store, over, origin) = (&store, &over, &origin);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let number = store.number();
                    let answer = origin(asked);
                    store.put(b"k", b"http://k", &answer, number);
                    store.weigh_again(b"k", &answer);
                    // As a 304 does.
                    let renewed = Arc::new(answer.with(Arc::clone(&answer.label)));
                    store.put(b"k", b"http://k", &renewed, number);
                }
            });
        }
        let mut rounds = (0..30_000).map(|round| {
            let newest = version.fetch_add(1, Ordering::SeqCst) + 1;
            if round % 3 == 0 {
                store.purge(&Selector::Url("http://k".to_owned()), false, 0, |_, _| true);
            } else {
                store.invalidate(b"k", || false);
            }
            let found = store.get(b"k");
            let mut all = found.iter().flat_map(|resource| &resource.variants);
            all.find(|stored| stored.body.length < newest).map(|old| (round, old.body.length))
        });
        let seen = rounds.find_map(|old| old);
        over.store(true, Ordering::SeqCst);
        assert_eq!(seen, None, "an old version, at this round");
    });
}

#[test]
fn purges_by_url_prefix_tag_and_all() {
    let fill = |store: &Store| {
        put(store, "a/1", &stored("Cache-Tag: x, y\r\n", "", 10));
        put(store, "a/2", &stored("Vary: v\r\nCache-Tag: y\r\n", "V: 1\r\n", 10));
        put(store, "a/2", &stored("Vary: v\r\n", "V: 2\r\n", 10));
        put(store, "b/1", &stored("", "", 10));
    };
    let left = |store: &Store| {
        let keys = ["a/1", "a/2", "b/1"];
        keys.map(|key| store.get(key.as_bytes()).map_or(0, |resource| resource.variants.len()))
    };
    for (selector, purged, expected) in [
        (Selector::Url("http://a/2".to_owned()), 2, [1, 0, 1]),
        (Selector::Prefix("http://a/".to_owned()), 3, [0, 0, 1]),
        (Selector::Tag("y".to_owned()), 2, [0, 1, 1]),
        (Selector::Tag("z".to_owned()), 0, [1, 2, 1]),
        (Selector::All, 4, [0, 0, 0]),
    ] {
        let store = Store::new(1 << 20, 1 << 16);
        fill(&store);
        let under_way = store.number();
        assert_eq!(store.purge(&selector, true, 1000, |_, _| true), purged);
        assert_eq!(left(&store), [1, 2, 1]);
        assert_eq!(store.purge(&selector, false, 1000, |_, _| true), purged);
        assert_eq!(left(&store), expected, "{selector:?}");
        assert!(!store.put(b"c", b"u", &stored("", "", 1), under_way));
    }
}
