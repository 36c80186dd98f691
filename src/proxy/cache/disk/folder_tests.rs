//! The folder on a real file system: what was written comes back, what was not finished does not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::super::stored::{Body, Label};
use super::super::format::BLOCK;
use super::*;
use crate::http::caching::Lifetime;
use crate::http::{HeadLimits, RequestHead, ResponseHead};

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };

/// A folder that goes with the test.
pub(in super::super) struct Place(pub(in super::super) PathBuf);

impl Place {
    pub(in super::super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-folder-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

pub(in super::super) fn label(fields: &str) -> Label {
    let (mut answer, mut request) = (ResponseHead::new(), RequestHead::new());
    let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
    request.parse(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &LIMITS).expect("a request");
    Label::new(&answer, &request, Lifetime { fresh: 9, ..Lifetime::default() }, 5).expect("a label")
}

fn write(folder: &Folder, id: u64, body: &Body) -> u64 {
    let label = label("ETag: \"a\"\r\n");
    let draft = Draft { key: b"k", url: b"u", stale_since: 0, label: &label, body };
    let length = folder.write(id, &draft).expect("written").expect("small enough");
    folder.publish(id).expect("published");
    length
}

fn body(length: usize) -> Body {
    let bytes: Vec<u8> = (0..length).map(|at| (at / 100) as u8).collect();
    Body::of(bytes.chunks(40_000).map(std::sync::Arc::from).collect())
}

fn read(folder: &Folder, id: u64) -> Result<(Page, Vec<u8>), Fault> {
    let (blocks, page) = Blocks::of(folder.front(id)?)?;
    let mut body = Vec::new();
    for number in 0..blocks.plan.blocks() {
        body.extend_from_slice(&blocks.read(number)?);
    }
    Ok((page, body))
}

#[test]
fn what_was_written_is_read_and_thrown_away() {
    let place = Place::new();
    let folder = Folder::open(&place.0).expect("a folder");
    for (id, length) in [(1, 0), (0x102, 1), (3, BLOCK), (0xFFFF_FFFF_FFFF_FFFF, 200_000)] {
        let body = body(length);
        let written = write(&folder, id, &body);
        assert_eq!(fs::metadata(folder.file(id)).expect("a file").len(), written);
        let (page, read) = read(&folder, id).expect("what was written");
        assert_eq!(read, body.slices(0, body.length).collect::<Vec<_>>().concat());
        assert_eq!((&*page.key, &*page.url, page.label.lifetime.fresh), (&b"k"[..], &b"u"[..], 9));
        assert_eq!(folder.list(id % PARTS).expect("a list"), [id]);
        folder.remove(id).expect("removed");
        folder.remove(id).expect("gone already");
        folder.settle(id % PARTS).expect("settled");
        assert!(matches!(folder.front(id), Err(Fault::Gone)));
    }
}

#[test]
fn nobody_else_reads_or_writes() {
    let place = Place::new();
    let folder = Folder::open(&place.0).expect("a folder");
    write(&folder, 1, &body(10));
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!((mode(&place.0), mode(&folder.part(1))), (0o700, 0o700));
    assert_eq!((mode(&folder.file(1)), mode(&place.0.join(LOCK))), (0o600, 0o600));
    let other = Folder::open(&place.0).expect("the same folder");
    assert!(folder.take().expect("taken") && !other.take().expect("not taken"));
    drop(folder);
    assert!(other.take().expect("free again"));
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o777)).expect("chmod");
    assert!(matches!(Folder::open(&place.0), Err(FolderError::Open)));
    let file = place.0.join("file");
    fs::write(&file, "").expect("a file");
    assert!(matches!(Folder::open(&file), Err(FolderError::System(_))));
}

#[test]
fn damage_a_copy_and_a_stranger() {
    let place = Place::new();
    let folder = Folder::open(&place.0).expect("a folder");
    write(&folder, 1, &body(100_000));
    let good = fs::read(folder.file(1)).expect("a file");
    let with = |bytes: &[u8]| {
        fs::write(folder.file(1), bytes).expect("written");
        read(&folder, 1)
    };
    assert!(with(&good).is_ok());
    assert!(matches!(with(&good[..good.len() - 1]), Err(Fault::Bad(Bad::Damaged))));
    assert!(matches!(with(&[&good[..], b"x"].concat()), Err(Fault::Bad(Bad::Damaged))));
    assert!(matches!(with(b""), Err(Fault::Bad(Bad::Damaged))));
    for at in [0, 20, 60, good.len() - 1, good.len() - 100_000 - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        assert!(matches!(with(&damaged), Err(Fault::Bad(Bad::Damaged))), "byte {at}");
    }
    let mut older = good.clone();
    older[8] = 0;
    assert!(matches!(with(&older), Err(Fault::Bad(Bad::OtherVersion))));
    fs::write(folder.file(0x101), &good).expect("a copy");
    assert!(matches!(read(&folder, 0x101), Err(Fault::Bad(Bad::Damaged))));
    // Not ours: left alone.
    for name in ["x", "000000000000000", "0000000000000002", "zzzzzzzzzzzzzzzz"] {
        fs::write(folder.part(1).join(name), "").expect("a stranger");
    }
    let mut listed = folder.list(1).expect("a list");
    listed.sort_unstable();
    assert_eq!(listed, [1, 0x101]);
}

#[test]
fn what_was_not_finished_is_swept() {
    let place = Place::new();
    let folder = Folder::open(&place.0).expect("a folder");
    let (label, body) = (label(""), body(10));
    let draft = Draft { key: b"k", url: b"u", stale_since: 0, label: &label, body: &body };
    assert!(folder.write(1, &draft).expect("written").is_some());
    assert!(matches!(folder.front(1), Err(Fault::Gone)));
    assert!(folder.list(1).expect("a list").is_empty());
    folder.sweep().expect("swept");
    assert!(folder.publish(1).is_err());
    let long = vec![b'x'; 200 << 10];
    let draft = Draft { key: &long, ..draft };
    assert!(folder.write(1, &draft).expect("not written").is_none());
}

#[test]
fn pages_are_renewed_in_place() {
    let place = Place::new();
    let folder = Folder::open(&place.0).expect("a folder");
    let length = write(&folder, 1, &body(70_000));
    for round in 1..10 {
        let renewed = label(&format!("ETag: \"{round}\"\r\n"));
        assert!(folder.renew(1, Some(&renewed), round).expect("renewed"));
        let (page, read) = read(&folder, 1).expect("what was renewed");
        assert_eq!((page.stale_since, read.len(), &*page.key), (round, 70_000, &b"k"[..]));
        assert_eq!(page.label.head, renewed.head);
    }
    assert!(folder.renew(1, None, 77).expect("made stale"));
    let (page, _) = read(&folder, 1).expect("what was made stale");
    assert_eq!((page.stale_since, page.label.etag.as_deref()), (77, Some(&b"\"9\""[..])));
    let large = label(&format!("A: {}\r\n", "x".repeat(4000)));
    assert!(!folder.renew(1, Some(&large), 0).expect("too large"));
    assert_eq!(fs::metadata(folder.file(1)).expect("a file").len(), length);
    assert!(matches!(folder.renew(2, None, 0), Err(Fault::Gone)));
}
