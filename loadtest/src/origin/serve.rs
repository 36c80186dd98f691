//! One connection of the origin: its requests, one after the other. Errors of the peer just end it.

use super::answer::Answer;
use super::behaviour::{Fault, Wanted};
use super::member::Post;
use crate::body::Body;
use crate::head::{self, Framing};
use crate::wire::Wire;
use monoio::net::TcpStream;
use socket2::Socket;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The longest head of a request.
const RECEIVE_BYTES: usize = 16 * 1024;
/// Where a member says how many requests it has answered, those not counted.
const SERVED: &[u8] = b"/served";

/// How a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    Close,
    Reset,
    Hang,
}

/// Serves `stream`; `socket` is a second handle of it.
pub(super) async fn serve(post: Rc<Post>, mut stream: TcpStream, socket: Rc<Socket>) {
    let tls = match post.tls() {
        None => None,
        Some(server) => match Box::pin(server.open(&mut stream)).await {
            Ok(tls) => Some(tls),
            Err(_) => return,
        },
    };
    let mut wire = Wire::new(stream, tls, RECEIVE_BYTES);
    let mut talk = Talk { answer: Answer::default(), answered: 0 };
    loop {
        match talk.exchange(&mut wire, &post).await {
            Ok(Next::Request) => {}
            Ok(Next::Close) => return wire.finish().await,
            Ok(Next::Reset) => {
                _ = socket.set_linger(Some(Duration::ZERO)); // the close that follows is a reset
                return;
            }
            Ok(Next::Hang) => {
                while wire.fill().await.is_ok_and(|count| count > 0) {
                    wire.consume(usize::MAX);
                }
                return;
            }
            Err(_) => return,
        }
    }
}

struct Talk {
    answer: Answer,
    answered: u64,
}

impl Talk {
    async fn exchange(&mut self, wire: &mut Wire, post: &Post) -> io::Result<Next> {
        let length = loop {
            if let Some(length) = head::head_length(wire.pending()) {
                break length;
            }
            if wire.fill().await? == 0 {
                return Ok(Next::Close);
            }
        };
        let Some(request) = wire.pending().get(..length).and_then(head::request) else {
            return refuse(wire, "no request").await;
        };
        let (framing, keep_alive) = (request.body, request.keep_alive);
        if request.target == SERVED {
            wire.consume(length);
            let count = post.served().to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", count.len());
            wire.send((head + &count).into_bytes()).await?;
            return Ok(if keep_alive { Next::Request } else { Next::Close });
        }
        let waits = request.expects_continue;
        let mut wanted = match post.wanted(&request) {
            Ok(wanted) => wanted,
            Err(what) => return refuse(wire, &what).await,
        };
        wanted.shape.close |= post.keep_alive().is_some_and(|most| self.answered + 1 >= most);
        wire.consume(length);
        if waits {
            wire.send(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]).await?;
        }
        if !drain(wire, framing).await? {
            return Ok(Next::Close);
        }
        self.respond(wire, post, &wanted).await
    }

    async fn respond(&mut self, wire: &mut Wire, post: &Post, wanted: &Wanted) -> io::Result<Next> {
        if !wanted.delay.is_zero() {
            post.timer().sleep(wanted.delay).await;
        }
        if wanted.fault == Some(Fault::Hang) {
            return Ok(Next::Hang);
        }
        if !self.answer.send(wire, wanted, post.timer()).await? {
            return Ok(Next::Reset);
        }
        self.answered += 1;
        post.count();
        Ok(if wanted.shape.close { Next::Close } else { Next::Request })
    }
}

async fn refuse(wire: &mut Wire, what: &str) -> io::Result<Next> {
    let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: ";
    wire.send(format!("{head}{}\r\n\r\n{what}", what.len()).into_bytes()).await?;
    Ok(Next::Close)
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
