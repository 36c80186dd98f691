//! Handshakes: with a client, over a connection that was accepted, and with a member.

use std::fmt;
use std::time::Duration;

use rustls::{Connection, Error, HandshakeKind, ProtocolVersion};

use super::client::{TlsFault, TlsPeer};
use super::identity;
use super::server::TlsAcceptor;
use super::session::Session;
use crate::net::buffer::{Buffer, Size};
use crate::net::socket;
use crate::net::stream::{Failure, Stream};
use crate::wire::TlsFacts;

/// Why there is no TLS with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It speaks HTTP without TLS.
    PlainHttp,
    /// The handshake took too long.
    TimedOut,
    /// The client left.
    Gone,
    /// It asked for a name that no certificate has.
    UnknownName,
    /// No version, cipher or protocol that both sides know.
    Incompatible,
    /// It showed no certificate, or none that is accepted.
    Certificate,
    /// It gave up, mostly because it does not accept our certificate.
    Alert,
    /// What it sends is no TLS.
    Protocol,
}

/// A handshake that failed.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The same in words, for the log.
    pub detail: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// What a handshake with a client has brought.
#[derive(Clone, Debug)]
pub struct Shaken {
    /// By a ticket of an earlier connection.
    pub resumed: bool,
    /// TLS 1.3 rather than 1.2.
    pub modern: bool,
    /// What the client's certificate says of it, as whole fields for members; none if it has none.
    pub identity: Option<Box<[u8]>>,
}

/// A fatal alert `unrecognized_name`.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What the rustls resolver's `None` becomes.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

impl Refused {
    fn by(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: detail.into() }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TimedOut => Self::by(Refusal::TimedOut, "the handshake took too long"),
            _ => Self::by(Refusal::Gone, "the client left during the handshake"),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let refusal = match &error {
            Error::General(text) if text == NO_CERTIFICATE => {
                return Self::by(Refusal::UnknownName, "no certificate has the name asked for");
            }
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Refusal::Certificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Refusal::Incompatible,
            Error::AlertReceived(_) => Refusal::Alert,
            _ => Refusal::Protocol,
        };
        Self::by(refusal, error.to_string())
    }
}

impl Stream {
    /// Lets `look` see what the client asked for and agreed on, if it speaks TLS with us.
    pub fn look_at_tls<T>(&self, look: impl FnOnce(Option<&TlsFacts<'_>>) -> T) -> T {
        let Some(session) = &self.tls else { return look(None) };
        session.with(|connection| {
            let name = match connection {
                Connection::Server(server) => server.server_name(),
                Connection::Client(_) => None,
            };
            let version: &[u8] = match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => b"TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => b"TLSv1.2",
                _ => b"",
            };
            look(Some(&TlsFacts {
                server_name: name.unwrap_or_default().as_bytes(),
                alpn: connection.alpn_protocol().unwrap_or_default(),
                version,
            }))
        })
    }

    /// Speaks TLS with a client from here on. The whole handshake must be over within `patience`.
    ///
    /// # Errors
    /// Why there is none; the connection is then as plain as before, and the client was told.
    pub async fn accept_tls(
        &mut self,
        acceptor: &TlsAcceptor,
        first: Buffer,
        patience: Duration,
    ) -> Result<Shaken, Refused> {
        self.arm_read(patience);
        let shaken = self.shake(acceptor, first, patience).await;
        self.disarm_read();
        if shaken.is_err() {
            self.tls = None;
        }
        shaken
    }

    async fn shake(
        &mut self,
        acceptor: &TlsAcceptor,
        mut first: Buffer,
        patience: Duration,
    ) -> Result<Shaken, Refused> {
        if first.is_empty() {
            first = Buffer::take(Size::Medium);
            self.recv(&mut first).await?;
        }
        if first.data().first().is_some_and(u8::is_ascii_uppercase) {
            return Err(Refused::by(Refusal::PlainHttp, "plain HTTP on a port that speaks TLS"));
        }
        self.tls = Some(Box::new(Session::new(acceptor.connection()?, first)));
        let Some(session) = &self.tls else { return Err(Failure::Closed.into()) };
        match self.go_through(session, patience).await {
            Ok(()) => Ok(session.with(|connection| Shaken {
                resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
                modern: connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
                identity: connection
                    .peer_certificates()
                    .and_then(|chain| chain.first())
                    .and_then(identity::fields),
            })),
            Err(Broken::Stream(failure)) => Err(failure.into()),
            Err(Broken::Tls(error)) => {
                let refused = Refused::from(error);
                // It may be told at once or not at all: the connection ends.
                match refused.refusal {
                    Refusal::UnknownName => _ = socket::send_now(self.fd(), &UNRECOGNIZED_NAME),
                    _ => session.flush_now(self.fd()),
                }
                Err(refused)
            }
        }
    }

    /// Speaks TLS with a member from here on. The whole handshake must be over within `patience`.
    ///
    /// # Errors
    /// Why there is none, and the same in words, for the log. The member was told.
    pub async fn connect_tls(
        &mut self,
        peer: &TlsPeer,
        patience: Duration,
    ) -> Result<(), (Failure, String)> {
        self.arm_read(patience);
        let connected = self.go_to(peer, patience).await;
        self.disarm_read();
        let Err(broken) = connected else { return Ok(()) };
        if let Some(session) = self.tls.take() {
            session.flush_now(self.fd());
        }
        Err(match broken {
            Broken::Stream(failure) => (failure, "the member ended the handshake".to_owned()),
            Broken::Tls(error) => (Failure::Tls(TlsFault::of(&error)), error.to_string()),
        })
    }

    async fn go_to(&mut self, peer: &TlsPeer, patience: Duration) -> Result<(), Broken> {
        let connection = peer.connection().map_err(Broken::Tls)?;
        self.tls = Some(Box::new(Session::new(connection, Buffer::default())));
        match &self.tls {
            Some(session) => self.go_through(session, patience).await,
            None => Err(Broken::Stream(Failure::Closed)),
        }
    }

    /// What is left to be said at the end goes out with the first bytes, or before the first wait.
    async fn go_through(&self, session: &Session, patience: Duration) -> Result<(), Broken> {
        loop {
            session.digest().map_err(Broken::Tls)?;
            if !session.is_handshaking() {
                return Ok(());
            }
            let sent = self.send_within(&mut Buffer::default(), patience).await;
            sent.map_err(Broken::Stream)?;
            self.receive_sealed(session).await.map_err(Broken::Stream)?;
        }
    }
}

/// What ended a handshake.
enum Broken {
    Stream(Failure),
    Tls(Error),
}
