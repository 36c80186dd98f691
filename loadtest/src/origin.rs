//! A fast HTTP/1.1 origin for tests, as one member of a pool or as many: answers every request with
//! as many bytes as its path says, and misbehaves as it is told to, in what share it is told to.

pub mod behaviour;

mod answer;
mod control;
mod filler;
mod member;
mod serve;

use crate::runtime::{self, Driver};
use crate::timer::Timer;
use crate::tls::Server;
use behaviour::Behaviour;
use control::{Command, Line};
use member::Doors;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// What the origin is and does.
#[derive(Clone)]
pub struct Options {
    /// The first member's address; port 0 takes free ones, others are counted up from.
    pub bind: SocketAddr,
    /// Members, each with an address of its own.
    pub members: usize,
    /// Cores to run threads on; `None`: one thread on any.
    pub cores: Vec<Option<usize>>,
    /// How requests are answered.
    pub behaviour: Behaviour,
    /// A connection ends with this many answers.
    pub keep_alive: Option<u64>,
    /// TLS is spoken.
    pub tls: Option<Server>,
    /// For what is drawn.
    pub seed: u64,
}

impl Options {
    /// One member on one thread that answers 1024 bytes at once.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        let behaviour = Behaviour::default();
        Self {
            bind,
            members: 1,
            cores: vec![None],
            behaviour,
            keep_alive: None,
            tls: None,
            seed: 1,
        }
    }
}

/// Requests that a member has answered, by one thread. Written by: that thread only.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Served(AtomicU64);

/// What all threads know.
struct Shared {
    options: Options,
    addresses: Vec<SocketAddr>,
    /// By member, then by thread.
    served: Vec<Vec<Served>>,
}

impl Shared {
    fn served(&self, member: usize) -> u64 {
        let threads = self.served.get(member).map(Vec::as_slice).unwrap_or_default();
        threads.iter().map(|served| served.0.load(Ordering::Relaxed)).sum()
    }
}

/// An origin that runs.
pub struct Origin {
    shared: Arc<Shared>,
    lines: Vec<Line>,
    driver: Driver,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
    /// Bound but not listening: the ports stay ours while a member is stopped.
    _reserved: Vec<Socket>,
}

/// Starts an origin.
///
/// # Errors
/// If a core, the runtime or an address cannot be had.
pub fn start(options: Options) -> io::Result<Origin> {
    let reserved = (0..options.members)
        .map(|member| bind(address_of(&options, member)))
        .collect::<io::Result<Vec<_>>>()?;
    let addresses = reserved
        .iter()
        .map(|socket| socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Other.into()))
        .collect::<io::Result<Vec<_>>>()?;
    let threads = options.cores.len();
    let row = || (0..threads).map(|_| Served::default()).collect();
    let served = (0..options.members).map(|_| row()).collect();
    let shared = Arc::new(Shared { options, addresses, served });
    let (sender, receiver) = mpsc::channel();
    let (mut lines, mut handles) = (Vec::new(), Vec::new());
    for index in 0..threads {
        let (line, far_end) = control::pair()?;
        lines.push(line);
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        let body = move || {
            let result = run(&shared, index, far_end, &|driver| _ = sender.send(Ok(driver)));
            if let Err(error) = &result {
                _ = sender.send(Err(io::Error::new(error.kind(), error.to_string())));
            }
            result
        };
        handles.push(thread::Builder::new().name(format!("origin-{index}")).spawn(body)?);
    }
    let mut driver = Driver::Epoll;
    for _ in 0..threads {
        driver = receiver.recv().map_err(io::Error::other)??;
    }
    Ok(Origin { shared, lines, driver, threads: handles, _reserved: reserved })
}

impl Origin {
    /// The members' addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.shared.addresses
    }

    /// What its threads run on.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// How many requests `member` has answered.
    #[must_use]
    pub fn served(&self, member: usize) -> u64 {
        self.shared.served(member)
    }

    /// Takes `member` away as if its process had been killed: its connections are cut, new ones refused.
    ///
    /// # Errors
    /// If there is no such member, or a thread does not answer.
    pub fn stop(&mut self, member: usize) -> io::Result<()> {
        self.tell(Command::Stop, member)
    }

    /// Lets `member` listen again at its address.
    ///
    /// # Errors
    /// If there is no such member, or a thread does not answer or cannot listen.
    pub fn start(&mut self, member: usize) -> io::Result<()> {
        self.tell(Command::Start, member)
    }

    fn tell(&mut self, command: Command, member: usize) -> io::Result<()> {
        if member >= self.shared.addresses.len() {
            let what = format!("there is no member {member}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.lines.iter_mut().try_for_each(|line| line.tell(command, member))
    }

    /// Serves until a thread fails.
    ///
    /// # Errors
    /// Those of the thread.
    pub fn wait(self) -> io::Result<()> {
        for thread in self.threads {
            thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
        }
        Ok(())
    }
}

fn address_of(options: &Options, member: usize) -> SocketAddr {
    let mut address = options.bind;
    if address.port() != 0 {
        let member = u16::try_from(member).unwrap_or(u16::MAX);
        address.set_port(address.port().saturating_add(member));
    }
    address
}

/// A socket at `address` that others of this process may share.
fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?; // inherited by what is accepted
    socket
        .bind(&address.into())
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    Ok(socket)
}

/// One thread: all members, each with a door of its own.
fn run(
    shared: &Arc<Shared>,
    index: usize,
    line: control::FarEnd,
    ready: &dyn Fn(Driver),
) -> io::Result<()> {
    let core = shared.options.cores.get(index).copied().flatten();
    let shared = Arc::clone(shared);
    runtime::block_on(core, |driver| async move {
        let timer = Timer::start()?;
        let doors = Rc::new(Doors::new(shared, index, driver, timer));
        doors.open_all()?;
        ready(driver);
        control::obey(line, &doors).await
    })?
}
