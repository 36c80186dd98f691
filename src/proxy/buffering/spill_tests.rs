//! Bodies on a real disk.

use std::future::Future;
use std::path::PathBuf;

use super::*;
use crate::config::BuffersConfig;
use crate::net::{Driver, FileThreads, block_on, spawn};
use crate::rng::Rng;

/// What a body is made with.
struct Shop {
    files: Rc<Files>,
    folder: Arc<Path>,
    room: Arc<Room>,
    row: Arc<Row>,
}

impl Shop {
    fn spill(&self, most: u64) -> Spill {
        Spill::new((&self.files, &self.folder), &self.room, most, &self.row)
    }
}

fn on_a_worker<F: Future>(folder: PathBuf, disk: u64, body: impl FnOnce(Rc<Shop>) -> F) {
    let (threads, row) = (FileThreads::start(1).unwrap(), Arc::<Row>::default());
    let room = Arc::new(Room::new(&BuffersConfig { folder: None, memory: 0, disk }));
    let files = Files::new(threads.seat().unwrap(), Arc::clone(&row));
    let serve = Rc::clone(&files).serve();
    let shop = Rc::new(Shop { files, folder: folder.into(), room, row });
    block_on(Driver::Epoll, async move {
        spawn(serve, || ());
        body(shop).await;
    })
    .unwrap();
}

fn buffer(bytes: &[u8]) -> Buffer {
    let mut buffer = Buffer::holding(bytes.len());
    buffer.tail().extend_from_slice(bytes);
    buffer
}

/// What is written comes out in order, however the file's end falls, and it never takes more.
#[test]
fn a_file_is_used_round_and_round() {
    on_a_worker(std::env::temp_dir(), 1 << 30, |shop| async move {
        let mut rng = Rng::new(7);
        for most in [1u64, 1000, 65_536, 100_001] {
            let spill = shop.spill(most);
            let (mut put, mut got) = (0u32, 0u32);
            for _ in 0..300 {
                let count = rng.below(most.min(3000) + 1) as u32;
                let bytes: Vec<u8> = (put..put + count).map(|n| n as u8).collect();
                let mut data = buffer(&bytes);
                if spill.write(&mut data).await.is_ok() {
                    assert!(data.is_empty());
                    put += count;
                } else {
                    assert_eq!(data.data(), bytes, "what has no room stays in hand");
                }
                while spill.len() > most / 2 {
                    let read = spill.read(spill.start()).await.unwrap();
                    for byte in read.data() {
                        assert_eq!(*byte, got as u8);
                        got += 1;
                    }
                    spill.consume(read.len() as u64);
                }
                assert!(shop.room.taken().1 <= most);
            }
            assert!(u64::from(got) > most, "{got}");
        }
        assert_eq!(shop.row.get(Counter::BodiesSpilled), 4);
        // Behind the files, which are closed elsewhere.
        while shop.room.taken().1 > 0 {
            sleep(PAUSE).await;
        }
    });
}

#[test]
fn who_has_no_room_hears_why() {
    on_a_worker(std::env::temp_dir(), 150, |shop| async move {
        let (first, second) = (shop.spill(100), shop.spill(100));
        assert_eq!(first.write(&mut buffer(&[1; 101])).await, Err(NoSpill::Full(Full::Body)));
        assert_eq!(first.write(&mut buffer(&[1; 100])).await, Ok(()));
        assert_eq!(first.write(&mut buffer(&[1; 1])).await, Err(NoSpill::Full(Full::Body)));
        assert_eq!(second.write(&mut buffer(&[1; 51])).await, Err(NoSpill::Full(Full::All)));
        assert_eq!(second.write(&mut buffer(&[1; 50])).await, Ok(()));
        assert_eq!(shop.room.taken(), (0, 150));
    });
}

#[test]
fn a_folder_that_is_gone_is_told_once() {
    on_a_worker("/nowhere/at/all".into(), 1 << 20, |shop| async move {
        let spill = shop.spill(1000);
        for _ in 0..3 {
            let mut data = buffer(b"abc");
            assert_eq!(spill.write(&mut data).await, Err(NoSpill::Failed));
            assert_eq!(data.data(), b"abc");
        }
        assert_eq!(spill.read(0).await.err(), Some(Reason::BufferLost));
        assert_eq!(shop.row.get(Counter::SpillFailures), 1);
    });
}

#[test]
fn a_disk_that_does_not_answer_ends_the_body_and_is_left_alone_until_it_does() {
    on_a_worker(std::env::temp_dir(), 1 << 20, |shop| async move {
        let mut body = shop.spill(1000);
        assert_eq!(body.write(&mut buffer(b"abc")).await, Ok(()));
        body.patience = Duration::from_millis(1);
        // All threads hang.
        let (go, gate) = crossbeam_channel::bounded::<()>(0);
        let hung: Vec<_> = (0..4)
            .map(|_| {
                let gate = gate.clone();
                shop.files.submit(move || gate.recv().is_err()).unwrap()
            })
            .collect();
        assert_eq!(body.read(0).await.err(), Some(Reason::BufferStalled));
        assert!(shop.files.is_stuck());
        // What has no bytes there yet is told at once, and keeps them.
        let (other, mut data) = (shop.spill(1000), buffer(b"abc"));
        assert_eq!(other.write(&mut data).await, Err(NoSpill::Failed));
        assert_eq!(data.data(), b"abc");
        drop(go);
        for one in hung {
            assert_eq!(one.await, Ok(true));
        }
        while shop.files.is_stuck() {
            sleep(PAUSE).await;
        }
        assert_eq!(other.write(&mut data).await, Ok(()));
        let late = shop.row.get(Counter::FileJobsLate);
        assert_eq!((late, shop.row.get(Counter::SpillFailures)), (1, 2));
    });
}
