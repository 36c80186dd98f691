//! An origin that fails in a way that the test chooses, and recovers, all at one address.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::message::{answer_with, ok};
use super::origin::fill_backlog;
use super::wire::Wire;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How a member behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answers with its name.
    Serving,
    /// Resets every connection and refuses new ones.
    Reset,
    /// Closes every connection and refuses new ones.
    Refusing,
    /// Reads requests and never answers.
    Silent,
    /// Accepts no connection, which the kernel completes all the same, and closes those that it has.
    Unaccepting,
    /// Begins to answer, and goes silent in the middle of the head.
    Halting,
    /// Answers every request with this status.
    Status(u16),
    /// Closes after reading a request.
    Closing,
    /// Answers nothing, not even a connection attempt.
    Blackholed,
    /// Answers once more on each connection, says that it closes, and refuses new ones.
    Draining,
}

impl Mode {
    fn listens(self) -> bool {
        !matches!(self, Mode::Reset | Mode::Refusing | Mode::Draining)
    }
}

/// The origin; it ends with the test.
pub(crate) struct Member {
    address: SocketAddr,
    inner: Arc<Inner>,
    fillers: Mutex<Vec<TcpStream>>,
    /// Keeps the port from others while nobody listens.
    _port: Socket,
}

struct Inner {
    name: String,
    listener: Socket,
    mode: Mutex<Mode>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    served: AtomicUsize,
}

impl Member {
    /// One that serves, and says `name` to every request.
    pub(crate) fn new(name: &str) -> Member {
        let (port, address) = reserved_port();
        Member::at(name, address, port)
    }

    /// Several at one port, each at an address of its own.
    pub(crate) fn neighbours<const N: usize>(names: [&str; N]) -> [Member; N] {
        // A port that is free here may be taken there.
        let ports = || -> Option<Vec<(Socket, SocketAddr)>> {
            let (first, address) = reserved_port();
            let mut all = vec![(first, address)];
            for host in 2..=names.len() as u8 {
                let address = SocketAddr::from(([127, 0, 0, host], address.port()));
                all.push((try_bound(address).ok()?, address));
            }
            Some(all)
        };
        let all = (0..50).find_map(|_| ports()).expect("a port free everywhere");
        let mut all = all.into_iter().zip(names);
        std::array::from_fn(|_| {
            let ((port, address), name) = all.next().expect("one for each name");
            Member::at(name, address, port)
        })
    }

    fn at(name: &str, address: SocketAddr, port: Socket) -> Member {
        // A socket that stops to listen keeps only a port that it was bound to by number.
        let listener = bound(address);
        listener.listen(BACKLOG).expect("listening");
        let inner = Arc::new(Inner {
            name: name.to_owned(),
            listener,
            mode: Mutex::new(Mode::Serving),
            changed: Condvar::new(),
            open: Mutex::default(),
            served: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || accepting.accept());
        Member { address, inner, fillers: Mutex::default(), _port: port }
    }

    /// Where it listens, or would.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that it has answered with its name.
    pub(crate) fn served(&self) -> usize {
        self.inner.served.load(Ordering::SeqCst)
    }

    /// From now on it behaves like this.
    pub(crate) fn turn(&self, mode: Mode) {
        let before = std::mem::replace(&mut *self.inner.mode.lock().expect("the mode"), mode);
        self.inner.changed.notify_all();
        if before.listens() && !mode.listens() {
            self.inner.listener.shutdown(Shutdown::Both).expect("to stop listening");
        } else if mode.listens() && (!before.listens() || before == Mode::Blackholed) {
            self.inner.listener.listen(BACKLOG).expect("listening");
        }
        self.fillers.lock().expect("the fillers").clear();
        match mode {
            Mode::Reset | Mode::Refusing => self.inner.end_all(mode == Mode::Reset),
            Mode::Blackholed => self.fill(),
            _ => {}
        }
    }

    /// Fills the backlog, so that a connection attempt gets no answer.
    fn fill(&self) {
        let mut fillers = self.fillers.lock().expect("the fillers");
        self.inner.listener.listen(0).expect("a shorter backlog");
        fillers.extend(fill_backlog(&self.inner.listener, self.address));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Refuses for the little time that the process still has.
        self.turn(Mode::Refusing);
    }
}

impl Inner {
    fn mode(&self) -> Mode {
        *self.mode.lock().expect("the mode")
    }

    fn wait_while(&self, condition: impl Fn(Mode) -> bool) {
        let mode = self.mode.lock().expect("the mode");
        drop(self.changed.wait_while(mode, |mode| condition(*mode)).expect("the mode"));
    }

    fn accept(self: &Arc<Inner>) {
        loop {
            // An error says that it does not listen any more, or not yet again.
            let accepted = self.listener.accept();
            self.wait_while(|mode| {
                !mode.listens() || matches!(mode, Mode::Blackholed | Mode::Unaccepting)
            });
            let Ok((socket, _)) = accepted else {
                thread::yield_now();
                continue;
            };
            let stream = TcpStream::from(socket);
            let Ok(watched) = stream.try_clone() else { continue };
            self.open.lock().expect("the connections").push(watched);
            let inner = Arc::clone(self);
            // An I/O error is the end of a connection, and what the client sees decides.
            thread::spawn(move || drop(inner.serve(&mut Wire::new(stream))));
        }
    }

    fn serve(&self, wire: &mut Wire) -> io::Result<()> {
        let result = self.answer_all(wire);
        let here = wire.stream().peer_addr().ok();
        self.open.lock().expect("the connections").retain(|open| open.peer_addr().ok() != here);
        result
    }

    fn answer_all(&self, wire: &mut Wire) -> io::Result<()> {
        while let Some(head) = wire.head()? {
            let framing = head.request_framing();
            wire.message(head, framing)?;
            match self.mode() {
                Mode::Serving => {
                    // Before the client can know.
                    self.served.fetch_add(1, Ordering::SeqCst);
                    wire.send(ok(&self.name))?;
                }
                Mode::Status(status) => {
                    wire.send(answer_with(&format!("{status} No"), &[], b""))?
                }
                Mode::Draining => {
                    return wire.send(answer_with("200 OK", &[("Connection", "close")], b"last"));
                }
                Mode::Silent | Mode::Blackholed => return wire.rest().map(drop),
                Mode::Halting => {
                    wire.send("HTTP/1.1 200 OK\r\nContent-")?;
                    return wire.rest().map(drop);
                }
                Mode::Reset | Mode::Refusing | Mode::Closing | Mode::Unaccepting => return Ok(()),
            }
        }
        Ok(())
    }

    fn end_all(&self, reset: bool) {
        for stream in self.open.lock().expect("the connections").drain(..) {
            // A connection may have ended by itself in the meantime.
            if reset {
                drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
            }
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// A port that nobody gets by chance for as long as the socket lives; servers that set
/// SO_REUSEPORT, as ringway does, can listen there.
pub(crate) fn reserved_port() -> (Socket, SocketAddr) {
    let socket = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = socket.local_addr().expect("its address").as_socket().expect("an address");
    (socket, address)
}

/// A socket bound to `address`, which others may be bound to as well.
fn bound(address: SocketAddr) -> Socket {
    try_bound(address).expect("binding")
}

fn try_bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
