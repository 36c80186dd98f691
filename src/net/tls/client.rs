//! TLS to members, as one pool does it: whom to trust, what to ask for, what to show.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificates::{self, FileFault};
use super::server::{provider, roots};
use crate::config::PoolTlsConfig;

/// Sessions that are kept for one member, per worker.
const SESSIONS: usize = 8;

/// Why there is no TLS with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate has expired, or is not valid yet.
    Expired,
    /// Its certificate is for another name.
    WrongName,
    /// Nobody who is trusted issued its certificate.
    UnknownIssuer,
    /// Its certificate is not good for another reason.
    Certificate,
    /// The handshake failed.
    Handshake,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "certificate expired or not valid yet",
            Self::WrongName => "certificate for another name",
            Self::UnknownIssuer => "certificate of an unknown issuer",
            Self::Certificate => "bad certificate",
            Self::Handshake => "TLS handshake failed",
        })
    }
}

impl TlsFault {
    pub(super) fn of(error: &Error) -> Self {
        use CertificateError as C;
        match error {
            Error::InvalidCertificate(
                C::Expired
                | C::ExpiredContext { .. }
                | C::NotValidYet
                | C::NotValidYetContext { .. },
            ) => Self::Expired,
            Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                Self::WrongName
            }
            Error::InvalidCertificate(C::UnknownIssuer) => Self::UnknownIssuer,
            // It vouches for itself, and nobody knows it.
            error if is_own_issuer(error) => Self::UnknownIssuer,
            Error::InvalidCertificate(_) => Self::Certificate,
            _ => Self::Handshake,
        }
    }
}

/// TLS to the members of a pool.
#[derive(Clone, Debug)]
pub struct TlsConnector {
    /// Another one when its files have changed.
    config: Arc<ArcSwap<ClientConfig>>,
    name: Option<ServerName<'static>>,
}

/// TLS to one member, from one worker: it remembers the member's sessions.
#[derive(Clone, Debug)]
pub struct TlsPeer {
    pool: Arc<ArcSwap<ClientConfig>>,
    own: Arc<ArcSwap<Own>>,
    name: ServerName<'static>,
}

/// What a member is spoken to with: that of its pool, with sessions of its own.
#[derive(Debug)]
struct Own {
    of: Arc<ClientConfig>,
    config: Arc<ClientConfig>,
}

impl Own {
    fn new(of: Arc<ClientConfig>) -> Self {
        let mut config = ClientConfig::clone(&of);
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Self { of, config: Arc::new(config) }
    }
}

impl TlsConnector {
    /// Reads and checks every file. Blocks.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(config: &PoolTlsConfig) -> Result<Self, Vec<FileFault>> {
        let client = client_config(config)?;
        let name = config.server_name.as_ref();
        // A name that the configuration let pass.
        let name = name.and_then(|name| ServerName::try_from(name.clone()).ok());
        Ok(Self { config: Arc::new(ArcSwap::from_pointee(client)), name })
    }

    /// Reads every file anew, for all members and workers at once: from the next handshake on. Sessions
    /// that began before are not resumed. Blocks.
    ///
    /// # Errors
    /// All that is wrong with them; what was in use stays so.
    pub fn reload(&self, config: &PoolTlsConfig) -> Result<(), Vec<FileFault>> {
        self.config.store(Arc::new(client_config(config)?));
        Ok(())
    }

    /// To the member that is called `host` (a name or an address, with or without a port), which is
    /// what it must prove to be unless the pool says another name.
    #[must_use]
    pub fn peer(&self, host: &str) -> TlsPeer {
        let own = Arc::new(ArcSwap::from_pointee(Own::new(self.config.load_full())));
        let name = self.name.clone().unwrap_or_else(|| server_name(host));
        TlsPeer { pool: Arc::clone(&self.config), own, name }
    }
}

fn client_config(config: &PoolTlsConfig) -> Result<ClientConfig, Vec<FileFault>> {
    let provider = provider(&[]);
    let mut faults = Vec::new();
    let trusted = match &config.ca {
        Some(path) => roots(path),
        None if config.verify => system_roots(),
        None => Ok(RootCertStore::empty()),
    };
    let trusted = trusted.map_err(|fault| faults.push(fault)).ok();
    let own = config.client_certificate.as_ref().and_then(|own| {
        let key = certificates::certified_key(&own.chain, &own.key, &provider);
        // Checked; taken apart again for the library.
        key.and_then(|_| {
            Ok((certificates::chain(&own.chain)?, certificates::private_key(&own.key)?))
        })
        .map_err(|fault| faults.push(fault))
        .ok()
    });
    let (Some(trusted), true) = (trusted, faults.is_empty()) else { return Err(faults) };
    let library = |error: Error| vec![FileFault::new("tls".as_ref(), error.to_string())];
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(library)?;
    let verifier: Arc<dyn ServerCertVerifier> = if config.verify {
        let pins = config.ca.as_ref().map(|path| certificates::chain(path)).transpose();
        Pinned::new(trusted, pins.map_err(|fault| vec![fault])?.unwrap_or_default(), &provider)
            .map_err(|what| vec![FileFault::new("tls".as_ref(), what)])?
    } else {
        Arc::new(Unverified(provider))
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut client = match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(library)?,
        None => builder.with_no_client_auth(),
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// What stands in `Host` without its port.
fn server_name(host: &str) -> ServerName<'static> {
    let bare = match host.parse::<SocketAddr>() {
        Ok(address) => return ServerName::from(address.ip()),
        Err(_) => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = ServerName::try_from(bare.trim_matches(['[', ']']).to_owned());
    // What no certificate can be for proves nothing: the handshake then fails.
    name.unwrap_or_else(|_| ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

impl TlsPeer {
    pub(super) fn connection(&self) -> Result<ClientConnection, Error> {
        let pool = self.pool.load();
        let mut own = self.own.load_full();
        if !Arc::ptr_eq(&own.of, &pool) {
            own = Arc::new(Own::new(Arc::clone(&pool)));
            self.own.store(Arc::clone(&own));
        }
        ClientConnection::new(Arc::clone(&own.config), self.name.clone())
    }
}

fn system_roots() -> Result<RootCertStore, FileFault> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // The system's own bad ones are its business.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let what = "the system has no roots to trust (package ca-certificates): write ca = \"...\"";
        return Err(FileFault::new("tls".as_ref(), what));
    }
    Ok(roots)
}

/// Takes certificates of trusted issuers, and a server's certificate that stands in the file of
/// those itself: what `openssl req -x509` makes is its own issuer, which the library does not take
/// for a server's.
#[derive(Debug)]
struct Pinned {
    library: Arc<WebPkiServerVerifier>,
    pins: Vec<CertificateDer<'static>>,
}

impl Pinned {
    fn new(
        trusted: RootCertStore,
        pins: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<Self>, String> {
        let (roots, provider) = (Arc::new(trusted), Arc::clone(provider));
        let library = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        Ok(Arc::new(Self { library: library.map_err(|error| error.to_string())?, pins }))
    }
}

/// Whether a certificate is refused because it is its own issuer's.
fn is_own_issuer(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(_)))
        && error.to_string().contains("CaUsedAsEndEntity")
}

/// The name and the time, which are all that is left to be looked at.
fn verify_pin(
    end: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    verify_server_name(&ParsedCertificate::try_from(end)?, name)?;
    let bad = |error| Error::InvalidCertificate(error);
    let (_, parsed) =
        X509Certificate::from_der(end).map_err(|_| bad(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now > validity.not_after.timestamp() {
        return Err(bad(CertificateError::Expired));
    }
    if now < validity.not_before.timestamp() {
        return Err(bad(CertificateError::NotValidYet));
    }
    Ok(ServerCertVerified::assertion())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        staple: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.library.verify_server_cert(end, between, name, staple, now) {
            Err(error) if is_own_issuer(&error) && self.pins.contains(end) => {
                verify_pin(end, name, now)
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

/// Takes any certificate, as `verify = false` says; whoever shows it must have its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
