//! A fast keep-alive HTTP/1.1 origin: answers every request with as many bytes as its path says.

use crate::body::Body;
use crate::head::{self, Framing, Request};
use crate::runtime::{self, Driver};
use crate::wire::Wire;
use monoio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How the origin answers.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Bytes of an answer whose path is not a number.
    pub size: u64,
    /// Answer in chunks instead of with a Content-Length.
    pub chunked: bool,
    /// Wait this long before each answer.
    pub delay: Duration,
}

const BACKLOG: i32 = 4096;
/// The longest head of a request.
const RECEIVE_BYTES: usize = 16 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Answers up to this size go out in one send; larger ones in pieces of it.
const PIECE: usize = 256 * 1024;
static FILLER: [u8; PIECE] = [b'x'; PIECE];

/// Where the origin says how many requests it has answered, those not counted.
const SERVED: &[u8] = b"/served";

/// Serves for ever on the calling thread; `listening` is told the address first.
///
/// # Errors
/// If the core, the runtime or the address cannot be had.
pub fn run(
    options: Options,
    core: Option<usize>,
    listening: impl FnOnce(SocketAddr, Driver),
) -> io::Result<()> {
    runtime::block_on(core, |driver| async move {
        let listener = listen(options.bind, driver)?;
        listening(listener.local_addr()?, driver);
        let served: Rc<Cell<u64>> = Rc::default();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(monoio::spawn(serve(stream, options, Rc::clone(&served)))),
                Err(_) => runtime::sleep(ACCEPT_PAUSE).await, // out of descriptors: do not spin
            }
        }
    })?
}

fn listen(bind: SocketAddr, driver: Driver) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?; // inherited by what is accepted
    socket.set_nonblocking(driver == Driver::Epoll)?;
    socket.bind(&bind.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The requests of one connection, one after the other. Errors of the peer just end it.
async fn serve(stream: TcpStream, options: Options, served: Rc<Cell<u64>>) {
    let mut wire = Wire::new(stream, None, RECEIVE_BYTES);
    let mut answer = Answer::default();
    while let Ok(true) = exchange(&mut wire, &mut answer, options, &served).await {}
}

/// One request and its answer; false if the connection ends after it.
async fn exchange(
    wire: &mut Wire,
    answer: &mut Answer,
    options: Options,
    served: &Cell<u64>,
) -> io::Result<bool> {
    let length = loop {
        if let Some(length) = head::head_length(wire.pending()) {
            break length;
        }
        if wire.fill().await? == 0 {
            return Ok(false);
        }
    };
    let request = wire.pending().get(..length).and_then(head::request);
    let Some(request) = request else {
        wire.send(
            &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"[..],
        )
        .await?;
        return Ok(false);
    };
    if request.target == SERVED {
        let count = served.get().to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", count.len());
        let keep_alive = request.keep_alive;
        wire.consume(length);
        wire.send((head + &count).into_bytes()).await?;
        return Ok(keep_alive);
    }
    let wanted = Wanted::new(&request, options);
    let (framing, keep_alive, waits) = (request.body, request.keep_alive, request.expects_continue);
    wire.consume(length);
    if waits {
        wire.send(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]).await?;
    }
    if !drain(wire, framing).await? {
        return Ok(false);
    }
    if !options.delay.is_zero() {
        runtime::sleep(options.delay).await;
    }
    answer.send(wire, wanted).await?;
    served.set(served.get() + 1);
    Ok(keep_alive)
}

/// Receives a body and forgets it; false if it was cut or broken.
async fn drain(wire: &mut Wire, framing: Framing) -> io::Result<bool> {
    let mut body = Body::new(framing);
    while !body.is_done() {
        if wire.pending().is_empty() && wire.fill().await? == 0 {
            return Ok(false);
        }
        let Ok(taken) = body.take(wire.pending()) else { return Ok(false) };
        wire.consume(taken);
    }
    Ok(true)
}

/// What an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    size: u64,
    chunked: bool,
    head_only: bool,
    close: bool,
}

impl Wanted {
    fn new(request: &Request<'_>, options: Options) -> Self {
        let named = request.target.strip_prefix(b"/").and_then(|path| {
            let digits = path.split(|b| matches!(b, b'?' | b'/')).next()?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        Self {
            size: named.unwrap_or(options.size),
            chunked: options.chunked,
            head_only: request.method == b"HEAD",
            close: !request.keep_alive,
        }
    }

    fn head(self) -> Vec<u8> {
        let mut head =
            b"HTTP/1.1 200 OK\r\nServer: loadtest\r\nContent-Type: text/plain\r\n".to_vec();
        if self.close {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        let framing = if self.chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", self.size)
        };
        head.extend_from_slice(framing.as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}

/// The bytes of the last answer, kept because the next one is nearly always the same.
#[derive(Default)]
struct Answer {
    built: Option<Wanted>,
    bytes: Vec<u8>,
}

impl Answer {
    async fn send(&mut self, wire: &mut Wire, wanted: Wanted) -> io::Result<()> {
        let bodiless = wanted.head_only || wanted.size == 0 && !wanted.chunked;
        if !bodiless && wanted.size > PIECE as u64 {
            return stream_pieces(wire, wanted).await;
        }
        if self.built != Some(wanted) {
            self.bytes = wanted.head();
            if !bodiless {
                append(&mut self.bytes, filler(wanted.size), wanted.chunked)?;
                append_end(&mut self.bytes, wanted.chunked);
            }
            self.built = Some(wanted);
        }
        self.bytes = wire.send(std::mem::take(&mut self.bytes)).await?;
        Ok(())
    }
}

async fn stream_pieces(wire: &mut Wire, wanted: Wanted) -> io::Result<()> {
    wire.send(wanted.head()).await?;
    let mut left = wanted.size;
    let mut bytes = Vec::new();
    while left > 0 {
        let piece = filler(left);
        if wanted.chunked {
            bytes.clear();
            append(&mut bytes, piece, true)?;
            bytes = wire.send(bytes).await?;
        } else {
            wire.send(piece).await?;
        }
        left -= piece.len() as u64;
    }
    bytes.clear();
    append_end(&mut bytes, wanted.chunked);
    if !bytes.is_empty() {
        wire.send(bytes).await?;
    }
    Ok(())
}

fn filler(size: u64) -> &'static [u8] {
    usize::try_from(size).ok().and_then(|size| FILLER.get(..size)).unwrap_or(&FILLER)
}

fn append(bytes: &mut Vec<u8>, piece: &[u8], chunked: bool) -> io::Result<()> {
    if chunked && !piece.is_empty() {
        write!(bytes, "{:x}\r\n", piece.len())?;
    }
    bytes.extend_from_slice(piece);
    if chunked && !piece.is_empty() {
        bytes.extend_from_slice(b"\r\n");
    }
    Ok(())
}

fn append_end(bytes: &mut Vec<u8>, chunked: bool) {
    if chunked {
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_how_much() {
        let options = Options {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            size: 7,
            chunked: false,
            delay: Duration::ZERO,
        };
        let check = |target: &str, expected: u64| {
            let head = format!("GET {target} HTTP/1.1\r\n\r\n");
            let request = head::request(head.as_bytes()).unwrap();
            assert_eq!(Wanted::new(&request, options).size, expected, "{target}");
        };
        check("/", 7);
        check("/102400", 102_400);
        check("/10?x=1", 10);
        check("/10/more", 10);
        check("/10x", 7);
        check("*", 7);
    }
}
