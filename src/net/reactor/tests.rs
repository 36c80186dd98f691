//! The loop on both drivers: order, drops, reuse, bounds. Under test a ring has 8 entries and room for 16
//! completions, so that both run out.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::clock;
use crate::net::address::Address;
use crate::net::buffer::{Buffer, Size};
use crate::net::dial::dial;
use crate::net::driver::RingFlags;
use crate::net::pair::{Either, both, race};
use crate::net::stream::{Failure, Stream};
use crate::net::{runtime, socket};
use crate::rng::Rng;

/// Runs `body` on every driver that the host allows.
fn on_each(body: impl Fn(Driver)) {
    body(Driver::Epoll);
    for flags in [RingFlags::Deferred, RingFlags::Cooperative, RingFlags::Plain] {
        if flags.builder().build(8).is_ok() {
            body(Driver::IoUring(flags));
        }
    }
}

/// The same for a body that knows no driver.
fn run_on_each<F: Future>(body: impl Fn() -> F) {
    on_each(|driver| {
        block_on(driver, body()).unwrap();
    });
}

/// One end in the loop, the other one outside.
fn unix_pair() -> (Source, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Source::new(OwnedFd::from(ours)), theirs)
}

fn tcp_pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Stream::new(Source::new(OwnedFd::from(ours))), theirs)
}

/// Waits, as a fresh source may have something until a call says otherwise.
async fn wait_to_read(source: &Source) {
    source.exhausted(Side::Read);
    source.wait(Side::Read).await.unwrap();
}

#[test]
fn tasks_run_in_the_order_in_which_they_came() {
    run_on_each(|| async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        for number in 0..3 {
            let seen = Rc::clone(&seen);
            spawn(async move {
                for round in 0..2 {
                    seen.borrow_mut().push((round, number));
                    give_way().await;
                }
            });
        }
        for _ in 0..3 {
            give_way().await;
        }
        let all = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
        assert_eq!(*seen.borrow(), all);
    });
}

#[test]
fn a_task_that_never_rests_holds_up_neither_sockets_nor_timers() {
    run_on_each(|| async {
        spawn(async {
            loop {
                give_way().await;
            }
        });
        let (source, mut theirs) = unix_pair();
        let writer = std::thread::spawn(move || theirs.write_all(b"x").map(|()| theirs));
        wait_to_read(&source).await;
        sleep(Duration::from_millis(2)).await;
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn thousands_of_tasks_come_and_go_and_their_places_are_used_again() {
    run_on_each(|| async {
        let ended = Rc::new(Cell::new(0));
        for round in 1..=5 {
            for number in 0..2000 {
                let ended = Rc::clone(&ended);
                spawn(async move {
                    for _ in 0..number % 3 {
                        give_way().await;
                    }
                    ended.set(ended.get() + 1);
                });
            }
            while ended.get() < round * 2000 {
                give_way().await;
            }
        }
        let places = REACTOR.with(|reactor| reactor.tasks.borrow().places());
        assert_eq!(places, 2000);
    });
}

#[test]
fn who_wakes_a_task_that_has_ended_wakes_nobody() {
    let kept = RefCell::new(Vec::<Waker>::new());
    run_on_each(|| async {
        // Those of an earlier loop.
        kept.borrow_mut().drain(..).for_each(Waker::wake);
        let (waker, polls) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let keep = Rc::clone(&waker);
        spawn(poll_fn(move |context| {
            *keep.borrow_mut() = Some(context.waker().clone());
            Poll::Ready(())
        }));
        give_way().await;
        let count = Rc::clone(&polls);
        spawn(poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::Pending
        }));
        give_way().await;
        let late = waker.borrow_mut().take().unwrap();
        late.wake_by_ref();
        for _ in 0..3 {
            give_way().await;
        }
        assert_eq!(polls.get(), 1);
        kept.borrow_mut().push(late);
    });
}

#[test]
fn a_waker_rings_once_however_often_it_is_used() {
    run_on_each(|| async {
        let polls = Rc::new(Cell::new(0));
        let (count, waker) = (Rc::clone(&polls), Rc::new(RefCell::new(None)));
        let keep = Rc::clone(&waker);
        spawn(poll_fn(move |context| {
            count.set(count.get() + 1);
            *keep.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        }));
        give_way().await;
        for _ in 0..10 {
            waker.borrow().as_ref().unwrap().wake_by_ref();
        }
        give_way().await;
        give_way().await;
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_panic_ends_one_task() {
    run_on_each(|| async {
        let panics = Rc::new(Cell::new(0));
        for number in 0..4 {
            let count = Rc::clone(&panics);
            let panicked = move || count.set(count.get() + 1);
            runtime::spawn(
                async move {
                    give_way().await;
                    assert!(number % 2 == 0, "on purpose");
                },
                panicked,
            );
        }
        for _ in 0..3 {
            give_way().await;
        }
        assert_eq!(panics.get(), 2);
    });
}

/// Says when it is dropped, and wakes and spawns as it is.
struct Noisy(Rc<Cell<u32>>, Waker);

impl Drop for Noisy {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        self.1.wake_by_ref();
        spawn(async {});
    }
}

#[test]
fn what_was_spawned_is_dropped_with_the_loop() {
    on_each(|driver| {
        let dropped = Rc::new(Cell::new(0));
        block_on(driver, async {
            for _ in 0..3 {
                let dropped = Rc::clone(&dropped);
                spawn(async move {
                    let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
                    let _noisy = Noisy(dropped, waker);
                    std::future::pending::<()>().await;
                });
            }
            give_way().await;
        })
        .unwrap();
        assert_eq!(dropped.get(), 3);
    });
}

#[test]
fn a_thread_has_one_loop_at_a_time() {
    on_each(|driver| {
        let inner = block_on(driver, async { block_on(driver, async {}).is_err() });
        assert!(inner.unwrap());
        assert!(block_on(driver, async {}).is_ok());
    });
}

#[test]
fn sleepers_wake_in_order_and_never_early() {
    run_on_each(|| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for millis in [9_u64, 1, 5, 1] {
            let order = Rc::clone(&order);
            spawn(async move {
                let (before, span) = (clock::now(), Duration::from_millis(millis));
                sleep(span).await;
                assert!(clock::now().since(before) >= span);
                order.borrow_mut().push(millis);
            });
        }
        // One that gives up.
        let long = pin!(sleep(Duration::from_secs(3600)));
        let short = pin!(sleep(Duration::from_millis(12)));
        assert!(matches!(race(long, short).await, Either::Second(())));
        while order.borrow().len() < 4 {
            give_way().await;
        }
        assert_eq!(*order.borrow(), [1, 1, 5, 9]);
    });
    REACTOR.with(|reactor| assert!(reactor.timers.borrow().next().is_none()));
}

#[test]
fn a_dropped_wait_and_a_number_that_is_used_again_confuse_nobody() {
    run_on_each(|| async {
        let mut again = [0; 2];
        for lasting in [false, true].repeat(20) {
            let (first, mut theirs) = unix_pair();
            first.exhausted(Side::Read);
            if lasting {
                theirs.write_all(b"x").unwrap();
                first.wait(Side::Read).await.unwrap();
                first.exhausted(Side::Read);
            }
            {
                // Watched, and given up.
                let (wait, now) = (pin!(first.wait(Side::Read)), pin!(async {}));
                assert!(matches!(race(wait, now).await, Either::Second(())));
            }
            let number = first.fd();
            theirs.write_all(b"for the first").unwrap();
            drop(first);
            // In the same turn, so that the kernel has not been told yet.
            let (second, mut theirs_too) = unix_pair();
            // Other tests open sockets, too.
            again[usize::from(lasting)] += u32::from(second.fd() == number);
            second.exhausted(Side::Read);
            {
                let wait = pin!(second.wait(Side::Read));
                let rest = pin!(sleep(Duration::from_millis(1)));
                assert!(matches!(race(wait, rest).await, Either::Second(())));
            }
            theirs_too.write_all(b"y").unwrap();
            second.wait(Side::Read).await.unwrap();
            let mut buffer = Buffer::take(Size::Small);
            socket::receive_now(second.fd(), &mut buffer).unwrap();
            assert_eq!(buffer.data(), b"y");
        }
        assert!(again.iter().all(|count| *count > 0), "{again:?}");
    });
}

#[test]
fn more_sockets_than_the_queues_have_room_for_are_all_served() {
    const SOCKETS: usize = 300;
    run_on_each(|| async {
        let served = Rc::new(Cell::new(0));
        let mut others = Vec::new();
        for _ in 0..SOCKETS {
            let (source, theirs) = unix_pair();
            others.push(theirs);
            let served = Rc::clone(&served);
            spawn(async move {
                for _ in 0..5 {
                    let mut buffer = Buffer::take(Size::Small);
                    wait_to_read(&source).await;
                    if socket::receive_now(source.fd(), &mut buffer).is_ok() {
                        served.set(served.get() + 1);
                    }
                }
            });
        }
        give_way().await;
        for round in 1..=5 {
            // All at once: far more than there is room for.
            others.iter().for_each(|mut theirs| theirs.write_all(b"x").unwrap());
            while served.get() < round * SOCKETS {
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_seen() {
    run_on_each(|| async {
        for waits in 0..3 {
            let (ours, mut theirs) = tcp_pair();
            let mut buffer = Buffer::default();
            for _ in 0..waits {
                // So that it is watched for all that follows.
                receive_late(&ours, &mut theirs, &mut buffer).await;
            }
            {
                let (wait, now) = (pin!(ours.recv(&mut buffer)), pin!(async {}));
                race(wait, now).await;
            }
            theirs.write_all(b"last").unwrap();
            theirs.shutdown(Shutdown::Write).unwrap();
            sleep(Duration::from_millis(1)).await;
            assert_eq!(ours.recv(&mut buffer).await, Ok(4));
            assert_eq!(ours.recv(&mut buffer).await, Err(Failure::Closed));
        }
    });
}

/// Also where its first bytes come together with the news that the connection is there.
#[test]
fn a_server_that_speaks_first_is_heard() {
    run_on_each(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let (go, gone) = mpsc::channel();
        let server = std::thread::spawn(move || {
            for silent in [false, true] {
                let (mut theirs, _) = listener.accept().unwrap();
                if !silent {
                    theirs.write_all(b"hello").unwrap();
                }
                drop(theirs);
                go.send(()).unwrap();
            }
        });
        for silent in [false, true] {
            let dialed = pin!(dial(&address, Duration::from_secs(10)));
            // The loop looks only when everything has happened.
            let wait = pin!(async { gone.recv().unwrap() });
            let (stream, ()) = both(dialed, wait).await;
            let stream = stream.unwrap();
            let mut buffer = Buffer::default();
            if !silent {
                assert_eq!(stream.recv(&mut buffer).await, Ok(5));
            }
            assert_eq!(stream.recv(&mut buffer).await, Err(Failure::Closed));
        }
        server.join().unwrap();
    });
}

#[test]
fn urgent_bytes_hide_nothing_behind_them() {
    run_on_each(|| async {
        let (ours, mut theirs) = tcp_pair();
        let mut buffer = Buffer::default();
        for _ in 0..2 {
            receive_late(&ours, &mut theirs, &mut buffer).await;
        }
        theirs.write_all(b"before").unwrap();
        // SAFETY: one readable byte.
        let sent =
            unsafe { libc::send(theirs.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
        assert_eq!(sent, 1);
        theirs.write_all(b"behind").unwrap();
        buffer.clear();
        while !buffer.data().ends_with(b"behind") {
            ours.recv(&mut buffer).await.unwrap();
        }
        assert_eq!(buffer.data(), b"beforebehind");
    });
}

#[test]
fn a_closed_connection_ends_for_its_peer_at_once() {
    run_on_each(|| async {
        for waits in 0..3 {
            for last in [false, true] {
                let (ours, mut theirs) = tcp_pair();
                let mut buffer = Buffer::default();
                for _ in 0..waits {
                    receive_late(&ours, &mut theirs, &mut buffer).await;
                }
                {
                    let (wait, now) = (pin!(ours.recv(&mut buffer)), pin!(async {}));
                    race(wait, now).await;
                }
                // The kernel is told to watch.
                sleep(Duration::from_millis(1)).await;
                if last {
                    // What happened is on its way to us as we close.
                    theirs.write_all(b"too late").unwrap();
                }
                let (told, ended) = mpsc::channel();
                std::thread::spawn(move || told.send(theirs.read(&mut [0]).unwrap_or(0)));
                drop(ours);
                // The loop goes on, without anything to do.
                let end = loop {
                    match ended.try_recv() {
                        Ok(end) => break end,
                        Err(_) => sleep(Duration::from_millis(1)).await,
                    }
                };
                assert_eq!(end, 0);
            }
        }
    });
}

/// Receives a byte that comes while it is waited for.
async fn receive_late(ours: &Stream, theirs: &mut TcpStream, buffer: &mut Buffer) {
    let mut peer = theirs.try_clone().unwrap();
    let wait = pin!(ours.recv(buffer));
    let write = pin!(async move {
        sleep(Duration::from_millis(1)).await;
        peer.write_all(b"x").unwrap();
    });
    assert_eq!(both(wait, write).await.0, Ok(1));
}

#[test]
fn a_connection_that_is_open_when_the_loop_ends_ends_with_it() {
    on_each(|driver| {
        let theirs = block_on(driver, async {
            let (ours, theirs) = tcp_pair();
            spawn(async move {
                let mut buffer = Buffer::default();
                while ours.recv(&mut buffer).await.is_ok() {}
            });
            for _ in 0..3 {
                (&theirs).write_all(b"x").unwrap();
                sleep(Duration::from_millis(1)).await;
            }
            theirs
        });
        assert_eq!((&theirs.unwrap()).read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_slow_peer_gets_every_byte() {
    run_on_each(|| async {
        let (ours, mut theirs) = tcp_pair();
        let reader = std::thread::spawn(move || {
            let (mut sum, mut piece) = (Vec::new(), [0; 3000]);
            while let Ok(count @ 1..) = theirs.read(&mut piece) {
                sum.extend_from_slice(&piece[..count]);
            }
            sum
        });
        let mut all = Vec::new();
        for number in 0..200_u8 {
            let mut buffer = Buffer::take(Size::Large);
            buffer.tail().resize(Size::Large.bytes(), number);
            all.extend_from_slice(buffer.data());
            ours.send(&mut buffer).await.unwrap();
        }
        drop(ours);
        // The loop must go round once more to close it.
        sleep(Duration::from_millis(1)).await;
        assert!(reader.join().unwrap() == all);
    });
}

/// Receives are given up at random, buffers change, and the peer writes pieces of all sizes.
#[test]
fn no_byte_is_lost_to_a_receive_that_is_given_up() {
    const BYTES: usize = 1 << 20;
    on_each(|driver| {
        let (sent, received) = block_on(driver, async {
            let mut rng = Rng::new(7);
            let (ours, mut theirs) = tcp_pair();
            let sent: Vec<u8> = (0..BYTES).map(|_| rng.below(256) as u8).collect();
            let (bytes, mut pieces) = (sent.clone(), Rng::new(8));
            let writer = std::thread::spawn(move || {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let most = [1, 40, 2000, 60_000_u64][pieces.below(4) as usize];
                    let (piece, behind) =
                        rest.split_at(rest.len().min(1 + pieces.below(most) as usize));
                    theirs.write_all(piece).unwrap();
                    rest = behind;
                }
            });
            let mut received = Vec::new();
            let mut buffer = Buffer::default();
            loop {
                let patience = Duration::from_micros(rng.below(200));
                let ended = {
                    let receive = pin!(ours.recv(&mut buffer));
                    let enough = pin!(sleep(patience));
                    match race(receive, enough).await {
                        Either::First(Ok(_)) | Either::Second(()) => false,
                        Either::First(Err(failure)) => {
                            assert_eq!(failure, Failure::Closed);
                            true
                        }
                    }
                };
                received.extend_from_slice(buffer.data());
                buffer.clear();
                if rng.below(3) == 0 {
                    buffer = Buffer::take([Size::Small, Size::Medium][rng.below(2) as usize]);
                }
                if ended {
                    break;
                }
            }
            writer.join().unwrap();
            (sent, received)
        })
        .unwrap();
        assert!(sent == received, "{} and {} bytes", sent.len(), received.len());
    });
}
