//! The cache's tier on disk where things go wrong: a process that is killed, damage, a full disk, a
//! second process; and its bounds.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::cache::{counting, status};
use super::cache_disk::{files, get, settle, setup, start, start_with, stop};
use crate::support::message::answer_with;
use crate::support::proxy::Directory;
use crate::support::{Client, Origin, eventually};

const ALWAYS: &str = ", admission = \"always\"";

/// A body that says which path it is of.
fn body_of(path: &str, length: usize) -> Vec<u8> {
    path.bytes().cycle().take(length).collect()
}

/// An origin with bodies of this length, which counts what it is asked for.
fn sized(length: usize) -> Origin {
    Origin::serving(move |request| {
        let body = body_of(request.head.target(), length);
        answer_with("200 OK", &[("Cache-Control", "max-age=600")], &body)
    })
}

#[test]
fn a_process_that_is_killed_while_it_writes_leaves_nothing_torn() {
    const LENGTH: usize = 700_000;
    const COUNT: usize = 40;
    let (origin, folder) = (sized(LENGTH), Directory::new());
    let mut proxy = start(&origin, &folder, ALWAYS);
    let address = proxy.address();
    let asker = thread::spawn(move || {
        for number in 0..COUNT {
            let text = format!("GET /{number} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
            // It is killed meanwhile: then nothing is to be had any more.
            let Ok(mut client) = TcpStream::connect(address) else { return };
            _ = client.write_all(text.as_bytes());
            _ = client.read_to_end(&mut Vec::new());
        }
    });
    eventually("some are written", || files(&folder).len() >= 3);
    proxy.signal(libc::SIGKILL);
    assert_eq!(proxy.wait_exit(), None);
    asker.join().expect("the client");
    let left = files(&folder).len();
    drop(proxy);
    let proxy = start(&origin, &folder, "");
    let log = proxy.log.all().join("\n");
    assert!(log.contains("damaged=0"), "{log}");
    // What was not finished is gone, and what was is there.
    let there = files(&folder).len();
    assert!(there >= 3 && there == left, "{there} of {left}");
    let unfinished = fs::read_dir(folder.path().join("cache/unfinished")).expect("a folder");
    assert_eq!(unfinished.count(), 0);
    proxy.wait_stat("cache_disk_files", there.try_into().expect("a number"));
    for number in 0..COUNT {
        let path = format!("/{number}");
        assert!(get(&proxy, &path, "").body == body_of(&path, LENGTH), "{path}");
    }
    proxy.wait_stat("cache_disk_hits", there.try_into().expect("a number"));
    assert_eq!(proxy.stats().total("cache_disk_damaged"), 0);
}

/// Changes a byte of the only file, counted from its end.
fn damage(folder: &Directory, from_end: u64) {
    let files = files(folder);
    assert_eq!(files.len(), 1);
    let file = fs::OpenOptions::new().read(true).write(true).open(&files[0]).expect("a file");
    let at = file.metadata().expect("metadata").len() - from_end;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[!byte[0]], at).expect("damage");
}

#[test]
fn a_damaged_file_is_found_counted_and_thrown_away() {
    let (origin, folder) = (counting(&[("Cache-Control", "max-age=600")]), Directory::new());
    let proxy = start(&origin, &folder, ALWAYS);
    assert_eq!(get(&proxy, "/a", "").text(), "answer 1");
    proxy.wait_stat("cache_disk_writes", 1);
    stop(proxy);
    // The last byte of the body: the start does not see that.
    damage(&folder, 1);
    let proxy = start(&origin, &folder, ALWAYS);
    proxy.wait_stat("cache_disk_files", 1);
    let answer = get(&proxy, "/a", "");
    assert_eq!(
        (answer.text().as_str(), &*status(&answer)),
        ("answer 2", "ringway; fwd=uri-miss; stored")
    );
    proxy.wait_stat("cache_disk_damaged", 1);
    proxy.wait_stat("cache_disk_writes", 1);
    settle(&proxy);
    assert_eq!(files(&folder).len(), 1);
    // While the process runs: what it has in memory is not asked for.
    damage(&folder, 1);
    assert_eq!(get(&proxy, "/a", "").text(), "answer 2");
    stop(proxy);
    // The page: the start sees that.
    damage(&folder, 8 + 4 + 1024 + 30);
    let path = files(&folder).remove(0);
    fs::OpenOptions::new().write(true).open(&path).expect("a file").set_len(100).expect("cut");
    let proxy = start(&origin, &folder, ALWAYS);
    proxy.wait_stat("cache_disk_damaged", 1);
    assert_eq!((files(&folder).len(), get(&proxy, "/a", "").text().as_str()), (0, "answer 3"));
    proxy.wait_stat("cache_disk_writes", 1);
    stop(proxy);
    // Another version of the format is no damage.
    let path = files(&folder).remove(0);
    let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
    file.write_all_at(&[99], 8).expect("another version");
    let proxy = start(&origin, &folder, ALWAYS);
    assert!(proxy.log.all().iter().any(|line| line.contains("other_version=1")));
    assert_eq!((files(&folder).len(), proxy.stats().total("cache_disk_damaged")), (0, 0));
}

#[test]
fn damage_in_a_large_body_is_met_before_its_bytes_go_out() {
    const LENGTH: usize = 3 << 20;
    for (from_end, whole) in [(LENGTH as u64, true), (1, false)] {
        let (origin, folder) = (sized(LENGTH), Directory::new());
        let proxy = start(&origin, &folder, ALWAYS);
        get(&proxy, "/large", "");
        proxy.wait_stat("cache_disk_writes", 1);
        drop(proxy);
        damage(&folder, from_end);
        let proxy = start(&origin, &folder, "");
        let mut client = Client::connect(proxy.address());
        client.send("GET /large HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let (bytes, _) = client.rest();
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        let good = body_of("/large", LENGTH);
        assert!(good.starts_with(&bytes[head..]), "a damaged byte went out");
        // Found at once, a member is asked; in the middle, the client sees that it is cut.
        assert_eq!(bytes.len() - head == LENGTH, whole);
        proxy.wait_stat("cache_disk_damaged", 1);
        assert!(get(&proxy, "/large", "").body == good);
        assert_eq!(origin.requests().len(), 2);
        let errors = proxy.stats().total("error_proxy_cache_disk");
        assert_eq!(errors, if whole { 0 } else { 1 });
    }
}

#[test]
fn files_stay_within_their_bounds() {
    let (origin, folder) = (sized(30_000), Directory::new());
    for (bounds, most_bytes, most_files) in
        [(", size = \"1MiB\"", 1 << 20, 1000), (", size = \"64MiB\", files = 20", 64 << 20, 20)]
    {
        let proxy = start(&origin, &folder, &format!("{ALWAYS}{bounds}"));
        for number in 0..150 {
            get(&proxy, &format!("/{number}"), "");
            let sizes = files(&folder).into_iter().filter_map(|path| fs::metadata(path).ok());
            let sizes: Vec<u64> = sizes.map(|file| file.len()).collect();
            assert!(sizes.iter().sum::<u64>() <= most_bytes, "{sizes:?}");
            // One more may be in the making.
            assert!(sizes.len() <= most_files + 1, "{}", sizes.len());
        }
        settle(&proxy);
        let there = files(&folder).len() as i64;
        assert!(there >= most_files.min(20) as i64 / 2, "{there}");
        proxy.wait_stat("cache_disk_files", there);
        assert!(proxy.stats().total("cache_disk_evicted") > 80);
        stop(proxy);
    }
    // A smaller bound holds from the start.
    let proxy = start(&origin, &folder, ", size = \"1MiB\", files = 16");
    settle(&proxy);
    assert!(files(&folder).len() <= 16);
}

#[test]
fn a_disk_that_is_full_is_counted_and_left_alone() {
    let (origin, folder) = (sized(50_000), Directory::new());
    let proxy = start_with(setup(&origin, &folder, ALWAYS, "").file_size(20_000));
    let begun = Instant::now();
    for number in 0..10 {
        let path = format!("/{number}");
        assert!(get(&proxy, &path, "").body == body_of(&path, 50_000));
        assert!(get(&proxy, &path, "").body == body_of(&path, 50_000));
        if number == 0 {
            proxy.wait_stat("cache_disk_errors", 1);
        }
    }
    settle(&proxy);
    // After a refusal nothing else is tried for 30 seconds.
    let stats = proxy.stats();
    let most = 1 + begun.elapsed().as_secs() as i64 / 30;
    assert!((1..=most).contains(&stats.total("cache_disk_errors")), "{stats:?}");
    assert_eq!(stats.total("cache_disk_writes"), 0);
    assert_eq!(files(&folder).len(), 0);
    proxy.wait_stat("cache_disk_files", 0);
    assert!(proxy.log.all().iter().any(|line| line.contains("writes nothing for 30 s")));
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn a_second_process_leaves_the_folder_alone() {
    let (origin, folder) = (counting(&[("Cache-Control", "max-age=600")]), Directory::new());
    let first = start(&origin, &folder, ALWAYS);
    assert_eq!(get(&first, "/a", "").text(), "answer 1");
    first.wait_stat("cache_disk_writes", 1);
    let second = setup(&origin, &folder, ALWAYS, "").start();
    let said = "the cache runs without its folder until the other process that uses it ends";
    assert!(second.log.all().iter().any(|line| line.contains(said)), "{:?}", second.log.all());
    assert_eq!(get(&second, "/b", "").text(), "answer 2");
    assert_eq!(get(&second, "/b", "").text(), "answer 2");
    assert_eq!(files(&folder).len(), 1);
    assert_eq!(get(&first, "/b", "").text(), "answer 3");
    first.wait_stat("cache_disk_writes", 2);
    stop(first);
    // It takes the folder over, but for what it knows better.
    assert!(second.log.wait(0, |line| line.contains("cache folder read")).is_some());
    assert_eq!(files(&folder).len(), 1);
    assert_eq!(get(&second, "/a", "").text(), "answer 1");
    // And it writes: this one is used again, and that one is new.
    assert_eq!(get(&second, "/b", "").text(), "answer 2");
    second.wait_stat("cache_disk_writes", 1);
    get(&second, "/c", "");
    second.wait_stat("cache_disk_writes", 2);
    drop(second);
    let third = start(&origin, &folder, ALWAYS);
    for (path, expected) in [("/a", "answer 1"), ("/b", "answer 2"), ("/c", "answer 4")] {
        assert_eq!(get(&third, path, "").text(), expected);
    }
}

#[test]
fn many_who_ask_for_the_same_file_cost_one_read() {
    let count = AtomicUsize::new(0);
    let origin = Origin::serving(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!("{number} {}", "x".repeat(500_000));
        answer_with("200 OK", &[("Cache-Control", "max-age=600")], body.as_bytes())
    });
    let folder = Directory::new();
    let proxy = start(&origin, &folder, ALWAYS);
    get(&proxy, "/a", "");
    proxy.wait_stat("cache_disk_writes", 1);
    drop(proxy);
    let proxy = start(&origin, &folder, "");
    let address = proxy.address();
    let ask = move || Client::connect(address).ask("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    let clients: Vec<_> = (0..32).map(|_| thread::spawn(ask)).collect();
    for client in clients {
        let answer = client.join().expect("a client");
        assert!(answer.status() == 200 && answer.text().starts_with("1 xxx"));
    }
    assert_eq!(origin.requests().len(), 1);
    proxy.wait_idle();
}

#[test]
fn a_disk_that_hangs_holds_nobody_up_for_long() {
    let (origin, folder) = (counting(&[("Cache-Control", "max-age=600")]), Directory::new());
    let proxy = start(&origin, &folder, ALWAYS);
    get(&proxy, "/a", "");
    get(&proxy, "/b", "");
    proxy.wait_stat("cache_disk_writes", 2);
    drop(proxy);
    let proxy = start(&origin, &folder, ALWAYS);
    proxy.wait_stat("cache_disk_files", 2);
    for path in files(&folder) {
        fs::remove_file(&path).expect("a file");
        // Whoever opens it waits for somebody who writes.
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
    }
    assert_eq!(get(&proxy, "/a", "").text(), "answer 3");
    // After the first time nobody waits.
    assert_eq!(get(&proxy, "/b", "").text(), "answer 4");
    proxy.wait_stat("cache_disk_errors", 1);
    assert!(proxy.log.all().iter().any(|line| line.contains("reads nothing for 30 s")));
}
