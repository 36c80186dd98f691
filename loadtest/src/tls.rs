//! TLS over a stream, for both ends: rustls driven by hand, so that each flight is one send.
//! Knows certificates and records; must not know what is said over them.

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, HandshakeKind,
    RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whom a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Every certificate, whoever signed it. Its signatures are checked all the same: they cost time.
    Anyone,
    /// What these authorities signed.
    Authorities(PathBuf),
}

/// How a client does TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Whose certificates are good.
    pub trust: Trust,
    /// The name that the certificate must have, sent as SNI.
    pub name: String,
    /// Connections after the first resume its session.
    pub resume: bool,
    /// Offers X25519MLKEM768 and X25519 rather than X25519 alone.
    pub hybrid: bool,
}

const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const RECORDS: usize = 64 * 1024;

impl Trust {
    /// The authorities that Debian and most others install.
    #[must_use]
    pub fn system() -> Self {
        Self::Authorities(SYSTEM_AUTHORITIES.into())
    }
}

/// What the connections of one thread share, their sessions included.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// Makes one of `settings`.
    ///
    /// # Errors
    /// If the authorities cannot be read, or the name is none.
    pub fn new(settings: &ClientTls) -> io::Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = match settings.hybrid {
            true => vec![kx_group::X25519MLKEM768, kx_group::X25519],
            false => vec![kx_group::X25519],
        };
        provider.kx_groups.extend([kx_group::SECP256R1, kx_group::SECP384R1]);
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let mut config = match &settings.trust {
            Trust::Anyone => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
                .with_no_client_auth(),
            Trust::Authorities(path) => {
                builder.with_root_certificates(authorities(path)?).with_no_client_auth()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = if settings.resume {
            Resumption::in_memory_sessions(256)
        } else {
            Resumption::disabled()
        };
        let name = ServerName::try_from(settings.name.clone()).map_err(io::Error::other)?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// Opens a session over `stream`.
    ///
    /// # Errors
    /// Those of the handshake.
    pub async fn open(&self, stream: &mut TcpStream) -> io::Result<Tls> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        Tls::open(Connection::Client(connection.map_err(io::Error::other)?), stream).await
    }
}

/// The certificate of an origin.
#[derive(Clone)]
pub struct Server(Arc<ServerConfig>);

impl Server {
    /// With a certificate and a key of PEM files.
    ///
    /// # Errors
    /// If they cannot be read or do not belong together.
    pub fn of_files(certificate: &Path, key: &Path) -> io::Result<Self> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
        Self::new(chain, key)
    }

    /// With a certificate made now, for `localhost`, 127.0.0.1 and ::1, signed by itself; and that, as PEM.
    ///
    /// # Errors
    /// If there is no randomness to make a key of.
    pub fn generated() -> io::Result<(Self, String)> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Ok((Self::new(vec![made.cert.der().clone()], key)?, made.cert.pem()))
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> io::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(io::Error::other)?;
        Ok(Self(Arc::new(config)))
    }

    /// Answers the handshake of a client.
    ///
    /// # Errors
    /// Those of the handshake.
    pub async fn open(&self, stream: &mut TcpStream) -> io::Result<Tls> {
        let connection = ServerConnection::new(Arc::clone(&self.0)).map_err(io::Error::other)?;
        Tls::open(Connection::Server(connection), stream).await
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let named = |error| io::Error::other(format!("{}: {error}", path.display()));
    let found = CertificateDer::pem_file_iter(path).map_err(named)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(named)?;
    if found.is_empty() {
        return Err(io::Error::other(format!("{}: no certificate in it", path.display())));
    }
    Ok(found)
}

fn authorities(path: &Path) -> io::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates(path)?);
    Ok(store)
}

/// A session whose handshake is done.
pub struct Tls {
    connection: Connection,
    received: Vec<u8>,
    /// So many of the received bytes were given to rustls, which holds one record of plain text.
    taken: usize,
    records: Vec<u8>,
}

impl Tls {
    async fn open(connection: Connection, stream: &mut TcpStream) -> io::Result<Self> {
        let received = Vec::with_capacity(RECORDS);
        let mut tls = Self { connection, received, taken: 0, records: Vec::new() };
        tls.connection.set_buffer_limit(None); // what is written goes out at once
        tls.flush(stream).await?;
        while tls.connection.is_handshaking() {
            if tls.receive(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(tls)
    }

    /// Whether the handshake went on from an earlier session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Appends what was received to `buffer`, up to its capacity; returns how much, 0 at the proper end.
    ///
    /// # Errors
    /// Those of the socket and of TLS; `UnexpectedEof` at an end that the peer did not announce.
    pub async fn fill(
        &mut self,
        stream: &mut TcpStream,
        buffer: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let start = buffer.len();
        loop {
            let room = buffer.capacity() - buffer.len();
            let mut reader = self.connection.reader();
            match reader.fill_buf() {
                Ok(plain) => {
                    let count = plain.len().min(room);
                    buffer.extend_from_slice(plain.get(..count).unwrap_or_default());
                    reader.consume(count);
                    if count == 0 || count == room {
                        return Ok(buffer.len() - start); // the end, or no more room
                    }
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if buffer.len() > start && self.taken == self.received.len() => {
                    return Ok(buffer.len() - start);
                }
                Err(_) => _ = self.receive(stream).await?,
            }
        }
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)?;
        self.flush(stream).await
    }

    /// Says that nothing more comes.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn finish(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.connection.send_close_notify();
        self.flush(stream).await
    }

    /// Some records, received now or before, and what they ask to be sent; 0 at the end of the stream.
    async fn receive(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
            let (result, received) = stream.read(std::mem::take(&mut self.received)).await;
            self.received = received;
            result?;
        }
        let mut rest = self.received.get(self.taken..).unwrap_or_default();
        let count = self.connection.read_tls(&mut rest)?; // with nothing there: tells it of the end
        self.taken += count;
        if let Err(error) = self.connection.process_new_packets() {
            _ = self.flush(stream).await; // the alert; the peer may be gone
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.flush(stream).await?;
        Ok(count)
    }

    async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.records)?;
        }
        if self.records.is_empty() {
            return Ok(());
        }
        let (result, mut records) = stream.write_all(std::mem::take(&mut self.records)).await;
        records.clear();
        self.records = records;
        result.map(|_| ())
    }
}

/// Takes every certificate, but checks that the peer has its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
