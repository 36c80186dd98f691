//! Scripted origins: a thread per connection runs what the test gives, and all that came is kept.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::eventually;
use super::message::{Message, ok};
use super::system::backlog_is_full;
use super::wire::Wire;

/// An origin that listens until it is dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    /// In place of the address.
    path: Option<PathBuf>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    requests: Mutex<Vec<Message>>,
    received: Arc<Mutex<Vec<u8>>>,
    failures: Mutex<Vec<String>>,
}

/// One connection that an origin accepted.
pub(crate) struct Conn {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// The bytes.
    pub(crate) wire: Wire,
    shared: Arc<Shared>,
}

impl Conn {
    /// The next whole request, which is also kept; `None` at the end of the connection.
    pub(crate) fn request(&mut self) -> io::Result<Option<Message>> {
        let Some(head) = self.wire.head()? else { return Ok(None) };
        let framing = head.request_framing();
        let request = self.wire.message(head, framing)?;
        self.shared.requests.lock().expect("the requests").push(request.clone());
        Ok(Some(request))
    }

    /// The next whole request; an error at the end of the connection.
    pub(crate) fn expect_request(&mut self) -> io::Result<Message> {
        self.request()?.ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    /// Writes `bytes`.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes)
    }
}

impl Origin {
    /// An origin that runs `script` for each connection. An I/O error ends that connection; a
    /// panic fails the test.
    pub(crate) fn scripted<F>(script: F) -> Origin
    where
        F: Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    {
        Origin::owning(move |mut conn| script(&mut conn))
    }

    /// As [`Origin::scripted`], with the connection given away, so that it can be reset.
    pub(crate) fn owning<F>(script: F) -> Origin
    where
        F: Fn(Conn) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binding an origin");
        let address = listener.local_addr().expect("its address");
        let accept = move || listener.accept().map(|(stream, _)| stream);
        Origin { address, path: None, shared: start(accept, script) }
    }

    /// As [`Origin::scripted`], at a Unix socket that nobody has yet.
    pub(crate) fn at_path<F>(path: &Path, script: F) -> Origin
    where
        F: Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = UnixListener::bind(path).expect("binding a Unix socket");
        // Only the descriptor counts.
        let accept = move || listener.accept().map(|(stream, _)| OwnedFd::from(stream).into());
        let shared = start(accept, move |mut conn| script(&mut conn));
        Origin { address: SocketAddr::from(([0; 4], 0)), path: Some(path.to_owned()), shared }
    }

    /// An origin that answers every request with what `answer` makes of it, and keeps alive.
    pub(crate) fn serving<F>(answer: F) -> Origin
    where
        F: Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    {
        Origin::scripted(move |conn| {
            while let Some(request) = conn.request()? {
                conn.send(answer(&request))?;
            }
            Ok(())
        })
    }

    /// An origin that answers 200 with `body` to everything.
    pub(crate) fn saying(body: &str) -> Origin {
        let answer = ok(body);
        Origin::serving(move |_| answer.clone())
    }

    /// An origin that answers the first request of each connection with these bytes and closes.
    pub(crate) fn blurting(bytes: impl AsRef<[u8]>) -> Origin {
        let bytes = bytes.as_ref().to_vec();
        Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send(&bytes)
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them its scripts still hold.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The whole requests it got so far.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.shared.requests.lock().expect("the requests").clone()
    }

    /// The only request it got.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests at the origin: {requests:?}");
        requests.remove(0)
    }

    /// All bytes it received, over all connections, up to a bound.
    pub(crate) fn received(&self) -> String {
        let received = self.shared.received.lock().expect("the record");
        String::from_utf8_lossy(&received).into_owned()
    }

    /// Waits until its scripts hold no connection.
    #[track_caller]
    pub(crate) fn wait_all_closed(&self) {
        eventually("the origin's connections are closed", || self.open() == 0);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accept loop; when it is gone already there is nothing to wake.
        match &self.path {
            Some(path) => drop(UnixStream::connect(path)),
            None => drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1))),
        }
        let failures = self.shared.failures.lock().map(|list| list.clone()).unwrap_or_default();
        if !failures.is_empty() {
            eprintln!("an origin's script failed: {failures:#?}");
            assert!(thread::panicking(), "an origin's script failed");
        }
    }
}

/// Runs `script` for each connection that `accept` brings.
fn start<A, F>(accept: A, script: F) -> Arc<Shared>
where
    A: Fn() -> io::Result<TcpStream> + Send + 'static,
    F: Fn(Conn) -> io::Result<()> + Send + Sync + 'static,
{
    let shared = Arc::new(Shared::default());
    let (seen, script) = (Arc::clone(&shared), Arc::new(script));
    thread::spawn(move || accept_loop(&accept, &seen, &script));
    shared
}

fn accept_loop<A, F>(accept: &A, shared: &Arc<Shared>, script: &Arc<F>)
where
    A: Fn() -> io::Result<TcpStream>,
    F: Fn(Conn) -> io::Result<()> + Send + Sync + 'static,
{
    loop {
        let stream = accept();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let mut wire = Wire::new(stream.expect("accepting"));
        wire.record_into(Arc::clone(&shared.received));
        shared.open.fetch_add(1, Ordering::SeqCst);
        let index = shared.connections.fetch_add(1, Ordering::SeqCst);
        let conn = Conn { index, wire, shared: Arc::clone(shared) };
        let (shared, script) = (Arc::clone(shared), Arc::clone(script));
        thread::spawn(move || {
            // An I/O error is the end of a connection, and what the client sees decides.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| script(conn))) {
                let text = format!("connection {index}: {}", words(panic.as_ref()));
                shared.failures.lock().expect("the failures").push(text);
            }
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// An address that refuses connections for as long as the socket lives: bound, not listening.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("binding");
    let address = socket.local_addr().expect("its address").as_socket().expect("an IP address");
    (socket, address)
}

/// A listener whose backlog is full, so that a connect gets no answer. Keep what is returned.
pub(crate) fn unanswering() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let (socket, address) = refusing();
    socket.listen(0).expect("listening");
    let fillers = fill_backlog(&socket, address);
    (socket, fillers, address)
}

/// Connects until nobody else can; keep what is returned.
pub(crate) fn fill_backlog(socket: &Socket, address: SocketAddr) -> Vec<TcpStream> {
    let mut fillers = Vec::new();
    eventually("the backlog is full", || {
        if !backlog_is_full(socket) {
            // The last one may be on its way into the backlog, so that this one gets no answer.
            fillers.extend(TcpStream::connect_timeout(&address, Duration::from_millis(300)));
        }
        backlog_is_full(socket)
    });
    fillers
}
