//! A client that writes bytes and reads answers. Whatever does not come as expected panics.

use std::net::SocketAddr;
use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::message::{Head, Message};
use super::wire::{End, Wire};

/// One client connection.
pub(crate) struct Client {
    /// The bytes below.
    pub(crate) wire: Wire,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connecting");
        Client { wire: Wire::new(stream) }
    }

    /// Connects with a receive buffer of about `size` bytes.
    pub(crate) fn connect_narrow(address: SocketAddr, size: usize) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(size).expect("SO_RCVBUF");
        socket.connect_timeout(&address.into(), PATIENCE).expect("connecting");
        Client { wire: Wire::new(socket.into()) }
    }

    /// Writes `bytes`.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.send(bytes).expect("sending");
    }

    /// The next head, which may be an interim one.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        self.wire.head().expect("reading a head").expect("a head, not the end")
    }

    /// The next whole answer to a request of `method`.
    #[track_caller]
    pub(crate) fn answer_to(&mut self, method: &str) -> Message {
        let head = self.head();
        let framing = head.answer_framing(method);
        self.wire.message(head, framing).expect("reading a body")
    }

    /// The next whole answer to a request that was not HEAD.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Message {
        self.answer_to("GET")
    }

    /// Sends `bytes` and reads one answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Message {
        self.send(bytes);
        self.answer()
    }

    /// A plain GET of `path`, and its answer.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Message {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: example.test\r\n\r\n"))
    }

    /// What is left until the connection ends, and how it ends.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        self.wire.rest().expect("reading to the end")
    }

    /// The proxy must close, cleanly and without another byte.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) {
        let (bytes, end) = self.rest();
        assert_eq!((String::from_utf8_lossy(&bytes).as_ref(), end), ("", End::Clean));
    }

    /// The proxy must close, in whatever way, without another byte.
    ///
    /// A server that closes with unread bytes of ours in its buffer resets: that is no defect.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let (bytes, _) = self.rest();
        assert_eq!(String::from_utf8_lossy(&bytes), "");
    }
}

/// One connection, one request, one answer.
#[track_caller]
pub(crate) fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Message {
    Client::connect(address).ask(bytes)
}
