//! In steady state an exchange allocates nothing: counted over the whole process, which also runs the
//! client and the origin, written so that they allocate nothing either.
#![allow(unsafe_code)]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Waits until the server listens; there is no ring here to block.
#![allow(clippy::disallowed_methods)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway::net::DriverChoice;
use ringway::server::{self, Options};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nServer: x\r\n\
    Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world";

/// Reads until `end` ends what was read.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> bool {
    let (mut buffer, mut length) = ([0; 4096], 0);
    while !buffer[..length].ends_with(end) {
        match stream.read(&mut buffer[length..]) {
            Ok(0) | Err(_) => return false,
            Ok(count) => length += count,
        }
    }
    true
}

/// Answers on every connection, each on a thread of its own.
fn origin(end: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                while read_until(&mut stream, end) {
                    stream.write_all(ANSWER).expect("an answer is taken");
                }
            });
        }
    });
    address
}

/// A port that was free a moment ago: the server in this process tells its own only to its log.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Routes that look at everything, and change the path.
const MORE: &str = r#"
[[route]]
hosts = ["b.test"]
path = "~ ^/r/[0-9]+/"
headers = { "User-Agent" = "~ ^te", "X-None" = false }
cookies = { a = "b" }
query = { z = "~ 1$" }
clients = ["127.0.0.0/8"]
strip = "/r"
rewrite = { match = "^/([0-9]+)/(.*)$", to = "/$2/$1?from=$1" }
split = [{ pool = "o" }]
split_by = "cookie:a"
[[route]]
hosts = ["b.test"]
path = "~ ^/r/[0-9]/a"
pool = "o"
[[route]]
hosts = ["b.test"]
path = "~ ^/r/[0-9]/b"
pool = "o"
[[route]]
hosts = ["b.test"]
path = "~ ^/r/[0-9]/c"
pool = "o"
"#;

fn proxy(origin: SocketAddr) -> TcpStream {
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let text = format!(
        "[server]\nworkers = 1\n[listener.web]\nbind = \"{listen}\"\n[[route]]\nhosts = [\"a.test\"]\n\
         path = \"/x/*\"\npool = \"o\"\n{MORE}[[route]]\npath = \"/cached/*\"\npool = \"o\"\n\
         cache = {{ max_age = {{ 200 = \"8760h\" }} }}\n[pool.o]\nmembers = [\"{origin}\"]\n"
    );
    let config = ringway::config::load(&text, "test").expect("a good configuration").config;
    std::thread::spawn(|| {
        server::run(Options { config, driver: DriverChoice::Auto }).expect("the server runs");
    });
    for _ in 0..1000 {
        if let Ok(stream) = TcpStream::connect(listen) {
            stream.set_nodelay(true).expect("an option");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
            return stream;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the proxy does not listen");
}

/// Allocations of the process over so many exchanges, after a warm-up.
fn count(request: &[u8], end: &'static [u8], exchanges: u64) -> u64 {
    let mut client = proxy(origin(end));
    let mut run = |exchanges: u64| {
        for _ in 0..exchanges {
            client.write_all(request).expect("a request is taken");
            assert!(read_until(&mut client, b"hello, world"), "an answer");
        }
    };
    run(200);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run(exchanges);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// One test, so that nothing else of this process runs beside it.
#[test]
fn an_exchange_in_steady_state_allocates_nothing() {
    let get = b"GET /x/y?z=1 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: test\r\nAccept: */*\r\n\
        Accept-Encoding: gzip\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let post = b"POST /x/y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    let edited =
        b"GET /r/7/y?z=%31 HTTP/1.1\r\nHost: b.test\r\nUser-Agent: test\r\nCookie: a=b\r\n\r\n";
    let hit = b"GET /cached/y HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n";
    let end = &b"\r\n\r\n"[..];
    let all = [(&get[..], end), (&post[..], &b"hello"[..]), (&edited[..], end), (&hit[..], end)];
    for (request, end) in all {
        let allocations = count(request, end, 2000);
        // The sweep's timer may grow a slab once; an allocation per exchange would be 2,000.
        assert!(allocations < 20, "{allocations} allocations in 2,000 exchanges");
    }
}
