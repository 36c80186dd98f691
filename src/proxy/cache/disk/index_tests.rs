//! The bound, variants, and who throws files away.

use std::collections::HashSet;

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::http::caching::Lifetime;
use crate::http::{HeadLimits, ResponseHead};
use crate::rng::Rng;

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };

fn request(fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    head.parse(text.as_bytes(), &LIMITS).expect("a request");
    head
}

fn label(fields: &str, asked: &str, came_at: u64) -> Label {
    let mut answer = ResponseHead::new();
    let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
    Label::new(&answer, &request(asked), Lifetime::default(), came_at).expect("a label")
}

fn index(size: u64, count: usize) -> (Index, Receiver<u64>) {
    let (trash, gone) = unbounded();
    (Index::new(size, count, 4096, trash), gone)
}

fn digest(number: u64) -> Digest {
    u128::from(number).to_be_bytes()
}

/// Takes a written file in.
fn put(index: &Index, id: u64, key: u64, label: &Label, bytes: u64) -> Arc<Entry> {
    let entry = index.entry((id, digest(key)), b"http://a/b", label, (bytes, bytes), Some(0));
    index.put(&entry);
    entry
}

#[test]
fn files_stay_within_both_bounds_and_none_is_lost() {
    for (size, count, bytes) in [(1 << 20, 1_000_000, 5000), (1 << 20, 50, 10), (1 << 20, 20, 9000)]
    {
        let (index, gone) = index(size, count);
        let (plain, mut there) = (label("", "", 1), HashSet::new());
        for id in 0..2000 {
            put(&index, id, id, &plain, bytes);
            there.insert(id);
            for id in gone.try_iter() {
                assert!(there.remove(&id), "{id} is thrown away twice");
            }
            let filled = index.filled();
            assert!(filled.0 <= size && filled.1 <= count as u64, "{filled:?}");
            assert_eq!(filled, (there.len() as u64 * bytes, there.len() as u64));
        }
        assert!(there.len() * 3 > (size / bytes.max(4096)).min(count as u64) as usize);
        assert_eq!(index.evicted() + there.len() as u64, 2000);
        for id in &there {
            assert!(index.files.contains_key(&digest(*id)), "{id} is on disk and unknown");
        }
    }
}

#[test]
fn a_younger_file_takes_the_place_of_its_variant() {
    let (index, gone) = index(1 << 30, 100_000);
    let (one, other) = (("Vary: a\r\n", "A: 1\r\n"), ("Vary: a\r\n", "A: 2\r\n"));
    put(&index, 1, 1, &label(one.0, one.1, 10), 10);
    put(&index, 2, 1, &label(other.0, other.1, 10), 10);
    put(&index, 3, 1, &label(one.0, one.1, 11), 10);
    // Found later, and older.
    put(&index, 4, 1, &label(one.0, one.1, 9), 10);
    assert_eq!(gone.try_iter().collect::<Vec<_>>(), [1, 4]);
    let find = |asked: &str| {
        let found = index.find(&digest(1), &request(asked), &mut Vec::new());
        found.map(|entry| entry.id)
    };
    assert_eq!([find("A: 1\r\n"), find("A: 2\r\n"), find("")], [Some(3), Some(2), None]);
    for number in 0..40 {
        put(&index, 100 + number, 1, &label(one.0, &format!("A: x{number}\r\n"), 10), 10);
    }
    assert_eq!(index.filled().1, VARIANTS_MOST as u64);
    assert_eq!(gone.try_iter().count(), 10);
    assert!(index.remove_all(&digest(1)) && !index.remove_all(&digest(1)));
    assert_eq!((gone.try_iter().count(), index.filled()), (VARIANTS_MOST, (0, 0)));
}

#[test]
fn who_writes_throws_away_what_nobody_wants_any_more() {
    let (index, gone) = index(1 << 30, 1000);
    let entry = |id| {
        let named = (id, digest(id));
        let entry = index.entry(named, b"http://a/b", &label("", "", 1), (9, 9), None);
        index.put(&entry);
        entry
    };
    let find = |id| index.find(&digest(id), &request(""), &mut Vec::new()).is_some();
    let (kept, lost) = (entry(1), entry(2));
    assert!(!find(1) && index.variant(&digest(1), &label("", "", 1)).is_some());
    index.remove(&lost);
    assert!(lost.is_dead() && index.publish(&kept) && !index.publish(&lost));
    assert!(find(1) && !find(2));
    // It never had its name as far as the index knows.
    assert_eq!(gone.try_iter().count(), 0);
    index.remove(&kept);
    index.remove(&kept);
    assert_eq!(gone.try_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn purges_find_what_they_mean() {
    let (index, _gone) = index(1 << 30, 1000);
    for (id, url, tags) in [(1, "http://a/1", "x, y"), (2, "http://a/2", "y"), (3, "http://b/", "")]
    {
        let label = label(&format!("Cache-Tag: {tags}\r\n"), "", 1);
        let named = (id, digest(id));
        index.put(&index.entry(named, url.as_bytes(), &label, (9, 9), Some(0)));
    }
    for (selector, expected) in [
        (Selector::All, &[1, 2, 3][..]),
        (Selector::Url("http://a/2".to_owned()), &[2]),
        (Selector::Prefix("http://a/".to_owned()), &[1, 2]),
        (Selector::Tag("y".to_owned()), &[1, 2]),
        (Selector::Tag("z".to_owned()), &[]),
    ] {
        let mut meant: Vec<_> = index.meant(&selector).iter().map(|entry| entry.id).collect();
        meant.sort_unstable();
        assert_eq!(meant, expected, "{selector:?}");
    }
}

#[test]
fn what_is_used_stays_when_a_flood_passes() {
    let (index, _gone) = index(1 << 20, 1_000_000);
    let plain = label("", "", 1);
    put(&index, 1, 1, &plain, 100);
    let mut rng = Rng::new(1);
    for id in 2..3000 {
        put(&index, id, rng.next() | 2, &plain, 100);
        assert!(index.find(&digest(1), &request(""), &mut Vec::new()).is_some(), "lost at {id}");
    }
}

#[test]
fn keys_that_are_given_up_while_files_come_leave_none_behind() {
    let (index, gone) = index(1 << 30, 1_000_000);
    let plain = label("", "", 1);
    let puts = 20_000;
    std::thread::scope(|scope| {
        let giving_up = scope.spawn(|| {
            for round in 0..puts {
                index.remove_all(&digest(round % 4));
            }
        });
        for id in 0..puts {
            put(&index, id, id % 4, &plain, 10);
        }
        giving_up.join().expect("the other thread");
    });
    let there = index.meant(&Selector::All).len() as u64;
    assert_eq!(index.filled(), (there * 10, there));
    assert_eq!(gone.try_iter().collect::<HashSet<_>>().len() as u64, puts - there);
}
