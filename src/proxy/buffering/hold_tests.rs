//! Answers through memory and disk, at any speeds and within any bounds: what comes out is what went
//! in, and all the room is given back.

use std::path::Path;

use super::super::room::Room;
use super::*;
use crate::config::BuffersConfig;
use crate::net::{Driver, FileThreads, Files, Size, block_on, both, give_way, sleep, spawn};
use crate::rng::Rng;
use std::time::Duration;

/// What an answer goes through.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    memory: u64,
    disk: u64,
    /// There is no such folder.
    broken: bool,
}

/// Bytes from a number on, of which no two places are alike.
fn bytes(from: u32, count: usize) -> impl Iterator<Item = u8> {
    (from..).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).take(count)
}

/// Now and then gives others their turn, or waits for them.
async fn dawdle(rng: &mut Rng, slow: u64) {
    match rng.below(8) {
        0 => sleep(Duration::from_micros(slow)).await,
        1..4 => give_way().await,
        _ => {}
    }
}

async fn put_all(hold: &Hold, seed: u64, slow: u64) -> u32 {
    let (mut rng, mut count) = (Rng::new(seed), 0u32);
    let mut out = Buffer::take(Size::Large);
    for _ in 0..rng.below(60) + 1 {
        let size = rng.below(60_000) as usize;
        out.tail().extend(bytes(count, size));
        count += size as u32;
        if rng.below(4) > 0 {
            hold.put(&mut out).await.expect("no disk loses anything");
            out = Buffer::take(Size::Large);
        }
        dawdle(&mut rng, slow).await;
    }
    if !hold.end(&mut out) {
        assert_eq!(out.len(), count as usize, "nothing was put in");
        hold.used.set(true);
        hold.end(&mut out);
    }
    count
}

async fn take_all(hold: &Hold, seed: u64, slow: u64, bounds: Bounds) -> u32 {
    let (mut rng, mut count) = (Rng::new(seed), 0u32);
    while let Some(next) = hold.next().await.expect("no disk loses anything") {
        let (Next::Piece(Piece { buffer, .. }) | Next::Read(buffer)) = &next;
        assert!(buffer.data().iter().copied().eq(bytes(count, buffer.len())), "{bounds:?}");
        count += buffer.len() as u32;
        dawdle(&mut rng, slow).await;
        hold.sent(next);
    }
    count
}

#[test]
fn what_comes_out_is_what_went_in() {
    let threads = FileThreads::start(1).unwrap();
    let row = Arc::<Row>::default();
    let files = Files::new(threads.seat().unwrap(), Arc::clone(&row));
    let serve = Rc::clone(&files).serve();
    let all = async {
        spawn(serve, || ());
        let mut rng = Rng::new(20);
        for seed in 0..80 {
            let config = BuffersConfig {
                folder: None,
                memory: rng.below(4) * 100_000,
                disk: [0, 70_000, 1 << 20, 1 << 30][rng.below(4) as usize],
            };
            let room = Arc::new(Room::new(&config));
            let bounds = Bounds {
                memory: 65_536 + rng.below(300_000),
                disk: [0, 1, 60_000, 200_000, 1 << 30][rng.below(5) as usize],
                broken: rng.below(8) == 0,
            };
            let folder = if bounds.broken { "/nowhere".into() } else { std::env::temp_dir() };
            let folder: Arc<Path> = folder.into();
            let spill = || Spill::new((&files, &folder), &room, bounds.disk, &row);
            let memory = Memory::new(&room, bounds.memory, LARGE);
            let hold = Hold::new(memory, (bounds.disk > 0).then(spill), &row);
            let (member, client) = (rng.below(400), rng.below(400));
            let (put, taken) =
                (put_all(&hold, seed, member), take_all(&hold, !seed, client, bounds));
            let (put, taken) = both(pin!(put), pin!(taken)).await;
            assert_eq!(put, taken, "{bounds:?} {config:?}");
            assert_eq!((hold.len(), room.taken().0), (0, 0));
            drop(hold);
            while room.taken().1 > 0 {
                give_way().await;
            }
        }
    };
    block_on(Driver::Epoll, all).unwrap();
    for counter in [Counter::BodiesSpilled, Counter::AnswersOver, Counter::SpillFailures] {
        assert!(row.get(counter) > 2, "{counter:?}: {}", row.get(counter));
    }
    assert_eq!(row.get(Counter::AnswersBuffered), 80);
}
