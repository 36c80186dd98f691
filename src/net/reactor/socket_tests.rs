//! Sockets on both drivers: drops, reuse, bounds, ends. Under test a ring has 8 entries and room for 16
//! completions, so that both run out.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use super::tests::{on_each, run_on_each, unix_pair, wait_to_read};
use super::*;
use crate::net::address::Address;
use crate::net::buffer::{Buffer, Size};
use crate::net::dial::dial;
use crate::net::pair::{Either, both, race};
use crate::net::socket;
use crate::net::stream::{Failure, Stream};
use crate::rng::Rng;

fn tcp_pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Stream::new(Source::new(OwnedFd::from(ours))), theirs)
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

/// The kernel tells of bytes in two pieces twice, the second time when both have been taken.
#[test]
fn who_waits_for_something_to_read_then_finds_it() {
    run_on_each(|| async {
        let (ours, mut theirs) = tcp_pair();
        let mut buffer = Buffer::default();
        for _ in 0..2 {
            receive_late(&ours, &mut theirs, &mut buffer).await;
        }
        theirs.set_nodelay(true).unwrap();
        for _ in 0..50 {
            let write = |mut peer: &TcpStream| peer.write_all(b"x").unwrap();
            write(&theirs);
            ours.readable().await.unwrap();
            write(&theirs);
            ours.recv(&mut buffer).await.unwrap();
            let (wait, rest) = (pin!(ours.readable()), pin!(sleep(Duration::from_millis(1))));
            assert!(matches!(race(wait, rest).await, Either::Second(())));
            buffer.clear();
        }
    });
}

#[test]
fn who_received_all_there_was_does_not_try_again() {
    run_on_each(|| async {
        let (source, mut theirs) = unix_pair();
        source.exhausted(Side::Read);
        // The first wait is for one change, the others for all that follow.
        for _ in 0..4 {
            let write = async {
                sleep(Duration::from_millis(1)).await;
                theirs.write_all(b"all").unwrap();
            };
            let (waited, ()) = both(pin!(source.wait(Side::Read)), pin!(write)).await;
            waited.unwrap();
            let mut buffer = Buffer::take(Size::Small);
            assert_eq!(socket::receive_now(source.fd(), &mut buffer).unwrap(), 3);
            source.drained();
            assert!(!source.may_read());
        }
    });
}

#[test]
fn urgent_bytes_hide_nothing_behind_them() {
    run_on_each(|| async {
        let (ours, mut theirs) = tcp_pair();
        ours.reads_in_pieces();
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
fn a_connection_that_leaves_is_heard_by_the_loop_that_it_joins() {
    on_each(|driver| {
        let (socket, mut theirs) = block_on(driver, async {
            let (ours, mut theirs) = tcp_pair();
            let mut buffer = Buffer::default();
            for _ in 0..2 {
                receive_late(&ours, &mut theirs, &mut buffer).await;
            }
            {
                let (wait, now) = (pin!(ours.recv(&mut buffer)), pin!(async {}));
                race(wait, now).await;
            }
            let socket = ours.leave().unwrap();
            // Of what comes from now on this loop knows nothing; that the other has it is not told.
            theirs.write_all(b"moved").unwrap();
            sleep(Duration::from_millis(1)).await;
            (socket, theirs)
        })
        .unwrap();
        let joined = std::thread::spawn(move || {
            block_on(driver, async {
                let ours = Stream::join(socket).unwrap();
                let mut buffer = Buffer::default();
                while buffer.len() < 6 {
                    ours.recv(&mut buffer).await.unwrap();
                }
                buffer.data().to_vec()
            })
        });
        theirs.write_all(b"!").unwrap();
        assert_eq!(joined.join().unwrap().unwrap(), b"moved!");
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
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
