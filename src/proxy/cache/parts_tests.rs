//! Parts against a naive twin: for each byte of a whole, whether it is known.

use super::*;
use crate::http::RequestHead;
use crate::http::caching::Lifetime;
use proptest::prelude::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };
const TOTAL: u64 = 40;
const KEY: &[u8] = b"http://h/a";

/// The whole of a version.
fn truth(version: u8) -> Vec<u8> {
    (0..TOTAL as u8).map(|at| version.wrapping_mul(64) + at).collect()
}

fn part(version: u8, first: u64, end: u64, piece: usize) -> Arc<Stored> {
    let (mut answer, mut request) = (ResponseHead::new(), RequestHead::new());
    let text = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"{version}\"\r\nX-End: {end}\r\n\
         Content-Range: bytes {first}-{}/{TOTAL}\r\n\r\n",
        end - 1
    );
    answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
    request.parse(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", &LIMITS).expect("a request");
    let lifetime = Lifetime { fresh: 60, ..Lifetime::default() };
    let label = Label::new(&answer, &request, lifetime, 1000).expect("a label");
    let bytes = truth(version)[first as usize..end as usize].to_vec();
    let chunks = bytes.chunks(piece).map(Arc::from).collect();
    let body = Body::of(chunks);
    Arc::new(Stored::new(Arc::new(label), Arc::new(body)))
}

fn bytes(stored: &Stored) -> Vec<u8> {
    stored.body.slices(0, stored.body.length).flatten().copied().collect()
}

fn parts(store: &Store) -> Vec<(Extent, Arc<Stored>)> {
    let mut head = ResponseHead::new();
    let resource = store.get(&[KEY, MARK].concat());
    let variants = resource.map(|resource| resource.variants.clone()).unwrap_or_default();
    let with_extent = |it: Arc<Stored>| Some((extent_of(&it.label, &mut head)?, it));
    variants.into_iter().filter_map(with_extent).collect()
}

fn keep_it(store: &Store, stored: &Arc<Stored>, most: u64) -> bool {
    keep_at(store, stored, store.number(), most)
}

fn keep_at(store: &Store, stored: &Arc<Stored>, number: u64, most: u64) -> bool {
    let url = b"http://h/a";
    let whole = |whole: &Arc<Stored>| store.put(KEY, url, whole, number);
    keep(store, (KEY, url), stored, number, most, whole)
}

proptest! {
    #[test]
    fn what_is_kept_is_what_came(
        came in prop::collection::vec((0..2_u8, 0..TOTAL, 1..60_u64, 1..8_usize), 1..20),
    ) {
        let store = Store::new(1 << 20, 1 << 16);
        let mut known = [false; TOTAL as usize];
        let mut version = 0;
        for (of, first, length, piece) in came {
            let end = (first + length).min(TOTAL);
            if of != version {
                (version, known) = (of, [false; TOTAL as usize]);
            }
            known[first as usize..end as usize].fill(true);
            prop_assert!(keep_it(&store, &part(version, first, end, piece), TOTAL));
            if known == [true; TOTAL as usize] {
                let whole = store.get(KEY).expect("a whole");
                prop_assert_eq!(bytes(&whole.variants[0]), truth(version));
                prop_assert_eq!(whole.variants[0].label.status, 200);
                let head = String::from_utf8_lossy(&whole.variants[0].label.head).into_owned();
                prop_assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("Range"));
                return Ok(());
            }
            let mut seen = [false; TOTAL as usize];
            for (extent, stored) in parts(&store) {
                let range = extent.first as usize..extent.end as usize;
                prop_assert_eq!(bytes(&stored), &truth(version)[range.clone()]);
                // Of two that meet there is one.
                prop_assert!(!seen[range.start.saturating_sub(1)..(range.end + 1).min(TOTAL as usize)].contains(&true));
                seen[range].fill(true);
            }
            prop_assert_eq!(seen, known);
            prop_assert!(store.get(KEY).is_none());
        }
    }
}

#[test]
fn a_joined_part_has_the_younger_head() {
    let store = Store::new(1 << 20, 1 << 16);
    assert!(
        keep_it(&store, &part(0, 10, 20, 4), TOTAL) && keep_it(&store, &part(0, 5, 10, 4), TOTAL)
    );
    let found = parts(&store);
    assert_eq!((found.len(), found[0].0), (1, Extent { first: 5, end: 20, total: TOTAL }));
    let head = String::from_utf8_lossy(&found[0].1.label.head).into_owned();
    let expected = "HTTP/1.1 206 Partial Content\r\nETag: \"0\"\r\nX-End: 10\r\n\
        Date: Thu, 01 Jan 1970 00:16:40 GMT\r\nContent-Range: bytes 5-19/40\r\n\r\n";
    assert_eq!(head, expected);
    assert!(
        keep_it(&store, &part(0, 0, 39, 40), TOTAL) && keep_it(&store, &part(0, 39, 40, 4), TOTAL)
    );
    let whole = store.get(KEY).expect("a whole");
    let head = String::from_utf8_lossy(&whole.variants[0].label.head).into_owned();
    let expected = "HTTP/1.1 200 OK\r\nETag: \"0\"\r\nX-End: 40\r\n\
        Date: Thu, 01 Jan 1970 00:16:40 GMT\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn parts_are_bounded() {
    let store = Store::new(1 << 20, 1 << 16);
    // Too large together: they stay apart.
    assert!(keep_it(&store, &part(0, 0, 8, 8), 10) && keep_it(&store, &part(0, 8, 16, 8), 10));
    assert_eq!(parts(&store).len(), 2);
    let store = Store::new(1 << 20, 1 << 16);
    for first in (0..TOTAL).step_by(2) {
        assert!(keep_it(&store, &part(0, first, first + 1, 8), 0));
    }
    assert!(parts(&store).len() <= PARTS_MOST);
    // Four of them are more than the room for one key.
    let weight = part(0, 0, 1, 8).weight();
    let store = Store::new(usize::try_from(weight).expect("small") * 14, 1 << 20);
    for first in (0..TOTAL).step_by(2) {
        assert!(keep_it(&store, &part(0, first, first + 1, 8), 0));
    }
    let found = parts(&store);
    assert_eq!((found.len(), found[0].0.first), (3, 38));
}

#[test]
fn what_was_invalidated_is_not_brought_back() {
    let store = Store::new(1 << 20, 1 << 16);
    let number = store.number();
    assert!(!store.invalidate(&[KEY, MARK].concat(), || false));
    assert!(!keep_at(&store, &part(0, 0, 5, 8), number, TOTAL));
    assert!(parts(&store).is_empty());
    assert!(keep_it(&store, &part(0, 0, 5, 8), TOTAL));
}

#[test]
fn which_answers_are_parts() {
    let of = |fields: &str| {
        let mut head = ResponseHead::new();
        let text = format!("HTTP/1.1 206 Partial Content\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &LIMITS).expect("an answer");
        extent(&head).is_some()
    };
    let tag = "ETag: \"a\"\r\n";
    assert!(of(&format!("{tag}Content-Range: bytes 0-4/10\r\n")));
    assert!(!of("Content-Range: bytes 0-4/10\r\n"));
    assert!(!of("ETag: W/\"a\"\r\nContent-Range: bytes 0-4/10\r\n"));
    assert!(!of(tag));
    assert!(!of(&format!("{tag}Content-Range: bytes 0-4/*\r\n")));
    assert!(!of(&format!("{tag}Content-Range: bytes 0-4/10\r\nContent-Range: bytes 0-4/10\r\n")));
    assert!(!of(&format!("{tag}{tag}Content-Range: bytes 0-4/10\r\n")));
}
