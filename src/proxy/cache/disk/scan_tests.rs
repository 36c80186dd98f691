//! The folder at the start, and what happens meanwhile.

use std::sync::Arc;
use std::thread;

use super::super::super::store::Selector;
use super::super::super::stored::{Body, Label, Stored};
use super::super::folder::tests::{Place, label};
use super::super::folder::{Draft, Folder};
use super::super::{DiskFolder, Name};
use super::*;
use crate::config::CacheDiskConfig;
use crate::http::{HeadLimits, RequestHead};

const ZONE: Digest = [7; 16];

fn name(key: &str) -> Name {
    Name::new(&ZONE, key.as_bytes())
}

/// A folder with files for keys, each with its place in the list as name.
fn filled(place: &Place, files: &[(&Name, &Label)]) {
    let folder = Folder::open(&place.0).expect("a folder");
    let body = Body::of(vec![Arc::from(&b"body"[..])]);
    for ((name, label), id) in files.iter().zip(1..) {
        let draft = Draft { key: &name.key, url: b"u", stale_since: 3, label, body: &body };
        folder.write(id, &draft).expect("written").expect("small enough");
        folder.publish(id).expect("published");
    }
}

fn open(place: &Place) -> Arc<Disk> {
    let folder = place.0.clone();
    let (size, files, max_object) = (1 << 30, 1000, 1 << 20);
    let config = CacheDiskConfig { folder, size, files, max_object, admits_all: true, threads: 1 };
    Disk::new(DiskFolder::open(&config).expect("a folder"))
}

/// Which of the keys are there.
fn there(disk: &Disk, names: &[&Name]) -> Vec<bool> {
    let mut request = RequestHead::new();
    let limits = HeadLimits { bytes: 1000, fields: 9 };
    request.parse(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &limits).expect("a request");
    let find = |name: &&Name| disk.find(name, &request, &mut Vec::new()).is_some();
    names.iter().map(find).collect()
}

#[test]
fn what_is_complete_and_of_a_zone_is_taken_in() {
    let (place, plain) = (Place::new(), label(""));
    let (one, other) = (name("one"), name("other"));
    let stranger = Name::new(&[8; 16], b"one");
    filled(&place, &[(&one, &plain), (&other, &plain), (&stranger, &plain)]);
    let disk = open(&place);
    assert!(!disk.is_open());
    scan(&disk, &[[1; 16], ZONE]);
    assert_eq!(there(&disk, &[&one, &other, &stranger]), [true, true, false]);
    assert!(disk.is_open() && !disk.give_up(&name("none")));
    assert_eq!(disk.filled().1, 2);
    // Its file is gone, too.
    assert!(matches!(disk.folder.front(3), Err(Fault::Gone)));
    let entry = disk.index.variant(&one.digest, &plain).expect("an entry");
    assert_eq!(entry.stale_since(), 3);
}

#[test]
fn what_is_given_up_before_it_is_found_is_not_taken_in() {
    let (place, plain) = (Place::new(), label(""));
    let names = ["invalidated", "forgotten", "newer", "kept"].map(name);
    let [invalidated, forgotten, newer, kept] = &names;
    let files = names.each_ref().map(|name| (name, &plain));
    filled(&place, &files);
    let disk = open(&place);
    assert!(!disk.give_up(invalidated));
    disk.forget(forgotten, &plain);
    // Memory has another one now; nothing is written before all is known.
    let stored = Arc::new(Stored::new(Arc::new(label("A: 1\r\n")), Arc::default()));
    assert!(disk.offer(Name::new(&ZONE, b"newer"), b"u", &stored, true).is_none());
    assert!(disk.offer(Name::new(&ZONE, b"kept"), b"u", &stored, false).is_none());
    scan(&disk, &[ZONE]);
    assert_eq!(there(&disk, &[invalidated, forgotten, newer, kept]), [false, false, false, true]);
}

#[test]
fn when_too_much_is_given_up_all_is() {
    let (place, plain) = (Place::new(), label(""));
    let names = ["one", "other"].map(name);
    filled(&place, &names.each_ref().map(|name| (name, &plain)));
    let disk = open(&place);
    for number in 0..=GIVEN_UP {
        disk.give_up(&name(&number.to_string()));
    }
    scan(&disk, &[ZONE]);
    assert_eq!(there(&disk, &[&names[0], &names[1]]), [false, false]);
}

#[test]
fn keys_are_given_up_while_they_are_found() {
    let (place, plain) = (Place::new(), label(""));
    let names: Vec<_> = (0..200).map(|number| name(&number.to_string())).collect();
    let files: Vec<_> = names.iter().map(|name| (name, &plain)).collect();
    filled(&place, &files);
    let disk = open(&place);
    let scanning = Arc::clone(&disk);
    let thread = thread::spawn(move || scan(&scanning, &[ZONE]));
    for name in &names {
        disk.give_up(name);
    }
    thread.join().expect("the scan");
    assert_eq!(disk.filled(), (0, 0));
    assert!(!there(&disk, &names.iter().collect::<Vec<_>>()).contains(&true));
}

#[test]
fn a_purge_waits_until_all_is_known() {
    let (place, plain) = (Place::new(), label(""));
    let (one, other) = (name("one"), name("other"));
    filled(&place, &[(&one, &plain), (&other, &plain)]);
    let disk = open(&place);
    let purging = Arc::clone(&disk);
    let purge = thread::spawn(move || {
        let purged = purging.purge(&Selector::Url("u".to_owned()), false, 9);
        purging.settle();
        purged.len()
    });
    disk.start(vec![ZONE]).expect("threads");
    assert_eq!(purge.join().expect("the purge"), 2);
    assert_eq!(there(&disk, &[&one, &other]), [false, false]);
    for id in [1, 2] {
        assert!(matches!(disk.folder.front(id), Err(Fault::Gone)));
    }
}

#[test]
fn a_folder_of_another_process_is_taken_over_but_for_what_was_given_up() {
    for purged in [false, true] {
        let (place, plain) = (Place::new(), label(""));
        let (one, other) = (name("one"), name("other"));
        let first = open(&place);
        filled(&place, &[(&one, &plain), (&other, &plain)]);
        let second = open(&place);
        second.give_up(&other);
        if purged {
            // It does not wait: that may take long.
            assert!(second.purge(&Selector::All, false, 9).is_empty());
        }
        let waiting = Arc::clone(&second);
        let thread = thread::spawn(move || {
            wait(&waiting);
            scan(&waiting, &[ZONE]);
        });
        assert!(!second.is_open() && second.filled() == (0, 0));
        drop(first);
        thread.join().expect("the scan");
        assert_eq!(there(&second, &[&one, &other]), [!purged, false]);
    }
}
