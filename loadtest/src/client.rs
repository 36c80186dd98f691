//! A closed-loop client: each connection sends its next request when the answer to the last is in.
//! Verifies status and length of every answer. Under overload a closed loop waits with the server,
//! so its latencies are those of the requests it did send.

use crate::body::Body;
use crate::head;
use crate::report::{Failure, Report};
use crate::runtime::{self, Driver};
use crate::wire::Wire;
use monoio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What to send, how often, and what to expect.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to connect to.
    pub address: SocketAddr,
    /// The bytes of the request.
    pub request: Vec<u8>,
    /// The request is a HEAD: its answer has no body.
    pub is_head: bool,
    /// Connections that send at the same time.
    pub connections: usize,
    /// When to stop starting exchanges.
    pub duration: Duration,
    /// Stop after this many exchanges, should that come first.
    pub requests: Option<u64>,
    /// The status of a good answer.
    pub status: u16,
    /// The body length of a good answer; `None`: that of the first answer.
    pub length: Option<u64>,
    /// The longest an exchange may take, a connect included.
    pub timeout: Duration,
}

const RECEIVE_BYTES: usize = 64 * 1024;
const SWEEP: Duration = Duration::from_millis(100);
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

struct Run {
    plan: Plan,
    driver: Driver,
    report: RefCell<Report>,
    stopped: Cell<bool>,
    started: Cell<u64>,
    length: Cell<Option<u64>>,
    watches: Vec<Watch>,
}

/// The deadline of a connection, and a second handle of its socket by which the sweep ends it.
#[derive(Default)]
struct Watch {
    deadline: Cell<Option<Instant>>,
    socket: RefCell<Option<Socket>>,
    expired: Cell<bool>,
}

/// Runs `plan` on the calling thread.
///
/// # Errors
/// If the core or the runtime cannot be had; errors of exchanges are counted in the report.
pub fn run(plan: Plan, core: Option<usize>) -> io::Result<Report> {
    let report = Report::new().map_err(io::Error::other)?;
    runtime::block_on(core, |driver| async move {
        let run = Rc::new(Run {
            length: Cell::new(plan.length),
            watches: (0..plan.connections).map(|_| Watch::default()).collect(),
            plan,
            driver,
            report: RefCell::new(report),
            stopped: Cell::new(false),
            started: Cell::new(0),
        });
        let start = runtime::now();
        let connections: Vec<_> = (0..run.plan.connections)
            .map(|index| monoio::spawn(connection(Rc::clone(&run), index)))
            .collect();
        drop(monoio::spawn(stop_after(Rc::clone(&run))));
        drop(monoio::spawn(sweep(Rc::clone(&run))));
        for connection in connections {
            connection.await;
        }
        run.stopped.set(true);
        let empty = Report::new().map_err(io::Error::other)?;
        let mut report = run.report.replace(empty);
        report.elapsed = runtime::now() - start;
        Ok(report)
    })?
}

async fn stop_after(run: Rc<Run>) {
    runtime::sleep(run.plan.duration).await;
    run.stopped.set(true);
}

/// Shuts down the sockets whose time is over: the operation that waits on them then ends by itself.
async fn sweep(run: Rc<Run>) {
    loop {
        runtime::sleep(SWEEP).await;
        let now = runtime::now();
        for watch in &run.watches {
            let over = watch.deadline.get().is_some_and(|deadline| deadline < now);
            if over && let Some(socket) = &*watch.socket.borrow() {
                watch.expired.set(true);
                _ = socket.shutdown(Shutdown::Both); // already gone: all the better
            }
        }
    }
}

async fn connection(run: Rc<Run>, index: usize) {
    let Some(watch) = run.watches.get(index) else { return };
    let mut open: Option<Wire> = None;
    let mut request = run.plan.request.clone();
    while run.claims_one() {
        watch.expired.set(false);
        watch.deadline.set(Some(runtime::now() + run.plan.timeout));
        let mut wire = match open.take() {
            Some(wire) => wire,
            None => match connect(&run, watch).await {
                Ok(wire) => wire,
                Err(_) => {
                    run.failed(Failure::Connect, watch);
                    runtime::sleep(CONNECT_PAUSE).await; // refused: do not spin
                    continue;
                }
            },
        };
        let start = runtime::now();
        match exchange(&run, &mut wire, &mut request).await {
            Ok(answer) => {
                run.answered(&answer, runtime::now() - start, watch);
                if answer.keep_alive {
                    open = Some(wire);
                }
            }
            Err(failure) => {
                run.failed(failure, watch);
                request.clone_from(&run.plan.request);
            }
        }
        if open.is_none() {
            watch.socket.replace(None);
        }
        watch.deadline.set(None);
    }
    watch.socket.replace(None);
}

async fn connect(run: &Run, watch: &Watch) -> io::Result<Wire> {
    let address = run.plan.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
        _ => {}
    }
    watch.socket.replace(Some(socket.try_clone()?));
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable(false).await?;
    let Some(socket) = &*watch.socket.borrow() else { return Err(io::ErrorKind::Other.into()) };
    match SockRef::from(socket).take_error()? {
        Some(error) => return Err(error),
        None if watch.expired.get() => return Err(io::ErrorKind::TimedOut.into()),
        None => socket.set_nonblocking(run.driver == Driver::Epoll)?, // io_uring waits by itself
    }
    run.report.borrow_mut().connections += 1;
    Ok(Wire::new(stream, RECEIVE_BYTES))
}

const EINPROGRESS: i32 = 115;

struct Answered {
    status: u16,
    payload: u64,
    keep_alive: bool,
}

async fn exchange(run: &Run, wire: &mut Wire, request: &mut Vec<u8>) -> Result<Answered, Failure> {
    *request = wire.send(std::mem::take(request)).await.map_err(|_| Failure::Send)?;
    let response = loop {
        let Some(length) = head::head_length(wire.pending()) else {
            match wire.fill().await {
                Ok(0) if wire.pending().is_empty() => return Err(Failure::Closed),
                Ok(0) => return Err(Failure::Cut),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Err(Failure::Malformed);
                }
                Err(_) => return Err(Failure::Reset),
            }
        };
        let head = wire.pending().get(..length).unwrap_or_default();
        let response = head::response(head, run.plan.is_head).ok_or(Failure::Malformed)?;
        wire.consume(length);
        if response.status >= 200 {
            break response;
        }
    };
    let mut body = Body::new(response.body);
    while !body.is_done() {
        if wire.pending().is_empty() {
            match wire.fill().await {
                Ok(0) if body.may_close() => break,
                Ok(0) => return Err(Failure::Cut),
                Ok(_) => {}
                Err(_) => return Err(Failure::Reset),
            }
        }
        let taken = body.take(wire.pending()).map_err(|_| Failure::Malformed)?;
        wire.consume(taken);
    }
    if !wire.pending().is_empty() {
        return Err(Failure::Malformed); // bytes that no request asked for
    }
    let Response { status, keep_alive, .. } = response;
    Ok(Answered { status, payload: body.payload(), keep_alive })
}

use head::Response;

impl Run {
    /// Takes one exchange off what is left to do; false if nothing is.
    fn claims_one(&self) -> bool {
        let started = self.started.get();
        if self.stopped.get() || self.plan.requests.is_some_and(|all| started >= all) {
            return false;
        }
        self.started.set(started + 1);
        true
    }

    fn answered(&self, answer: &Answered, latency: Duration, watch: &Watch) {
        if answer.status != self.plan.status {
            return self.failed(Failure::Status, watch);
        }
        let expected = self.length.get().unwrap_or(answer.payload);
        self.length.set(Some(expected));
        if answer.payload != expected {
            return self.failed(Failure::Length, watch);
        }
        self.report.borrow_mut().answered(answer.payload, latency);
    }

    fn failed(&self, failure: Failure, watch: &Watch) {
        let failure = if watch.expired.get() { Failure::Timeout } else { failure };
        self.report.borrow_mut().failed(failure);
    }
}
