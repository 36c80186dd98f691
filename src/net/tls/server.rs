//! TLS with clients, as one listener does it: what all workers share.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, version};

use super::certificates::{self, Certificate, FileFault, LoadedCertificate};
use super::store::{Store, Unknown};
use super::tickets::Tickets;
use super::watch::{self, Watched};
use crate::config::{TlsConfig, TlsVersion, UnknownSni};

/// What makes a server of an accepted connection.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    /// Another one when others may issue certificates of clients.
    config: Arc<ArcSwap<ServerConfig>>,
}

impl TlsAcceptor {
    pub(super) fn connection(&self) -> Result<ServerConnection, rustls::Error> {
        ServerConnection::new(self.config.load_full())
    }
}

/// TLS of one listener, owned by the control thread: it holds what the acceptors use, and notices
/// files that change.
#[derive(Debug)]
pub struct Termination {
    acceptor: TlsAcceptor,
    pub(super) config: TlsConfig,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) store: Arc<Store>,
    pub(super) tickets: Arc<Tickets>,
    pub(super) watched: Watched,
}

impl Termination {
    /// Reads and checks every file; what is odd goes to `warnings`. Blocks.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(config: &TlsConfig, warnings: &mut Vec<FileFault>) -> Result<Self, Vec<FileFault>> {
        let provider = provider(&config.ciphers);
        let mut faults = Vec::new();
        // Before the files are read, so that nothing that happens meanwhile is missed.
        let watched = Watched::new(config);
        let written = watch::certificates(config).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        let mut certificates: Vec<Certificate> = Vec::new();
        for one in &written {
            match certificates::load(one, &provider, warnings) {
                Ok(certificate) => certificates.push(certificate),
                Err(fault) => faults.push(fault),
            }
        }
        if let (true, [], Some(directory)) = (faults.is_empty(), &*certificates, &config.directory)
        {
            faults.push(FileFault::new(directory, "has no certificate with a key in it"));
        }
        let trust = trust(config, &provider).map_err(|fault| faults.push(fault));
        let (verifier, policy) = trust.unwrap_or_default();
        let tickets = Tickets::new(config.ticket_keys.as_deref(), policy);
        let tickets = tickets.map_err(|fault| faults.push(fault)).ok();
        let (Some(tickets), true) = (tickets, faults.is_empty()) else { return Err(faults) };
        let tickets = Arc::new(tickets);
        let unknown = match config.unknown_sni {
            UnknownSni::Default => Unknown::Default,
            UnknownSni::Reject => Unknown::Reject,
        };
        let store = Arc::new(Store::new(certificates, unknown));
        let server = server_config(config, &provider, verifier, &store, &tickets)
            .map_err(|fault| vec![fault])?;
        let acceptor = TlsAcceptor { config: Arc::new(ArcSwap::from_pointee(server)) };
        let config = config.clone();
        Ok(Self { acceptor, config, provider, store, tickets, watched })
    }

    /// Reads anew who may have issued certificates of clients: from the next handshake on. Sessions
    /// that began under others are not resumed.
    pub(super) fn trust_anew(&mut self) -> Result<(), FileFault> {
        let (verifier, policy) = trust(&self.config, &self.provider)?;
        let tickets = Arc::new(self.tickets.under(&policy));
        let server = server_config(&self.config, &self.provider, verifier, &self.store, &tickets)?;
        self.acceptor.config.store(Arc::new(server));
        self.tickets = tickets;
        Ok(())
    }

    /// For the workers.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// For whoever wants to know what is in use.
    #[must_use]
    pub fn shelf(&self) -> Shelf {
        Shelf(Arc::clone(&self.store))
    }
}

/// The certificates of a listener, as they are at any time.
#[derive(Clone, Debug)]
pub struct Shelf(Arc<Store>);

impl Shelf {
    /// What is in use now, in order: the first is the default.
    #[must_use]
    pub fn certificates(&self) -> Vec<LoadedCertificate> {
        self.0.about()
    }
}

/// The algorithms: those of the library, of the cipher suites those that are wanted.
pub(super) fn provider(ciphers: &[String]) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if !ciphers.is_empty() {
        provider.cipher_suites.retain(|suite| {
            suite.suite().as_str().is_some_and(|name| {
                // The library calls those of TLS 1.3 TLS13_*, as `ciphers` does.
                ciphers.iter().any(|cipher| cipher == name)
            })
        });
    }
    Arc::new(provider)
}

fn server_config(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    store: &Arc<Store>,
    tickets: &Arc<Tickets>,
) -> Result<ServerConfig, FileFault> {
    const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    let has = |modern: bool| {
        let mut suites = provider.cipher_suites.iter();
        suites.any(|suite| matches!(suite, rustls::SupportedCipherSuite::Tls13(_)) == modern)
    };
    let mut versions = Vec::new();
    for version in BOTH {
        let modern = version.version == rustls::ProtocolVersion::TLSv1_3;
        if has(modern) && (modern || config.min_version == TlsVersion::V12) {
            versions.push(version);
        }
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions)
        .map_err(|error| FileFault::new("tls.ciphers".as_ref(), error.to_string()))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(Arc::clone(store) as _);
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.ticketer = Arc::clone(tickets) as _;
    // Sessions are in the tickets, and nowhere else.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(server)
}

/// Who may have issued certificates, by a PEM file.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, FileFault> {
    roots_of(path, certificates::chain(path)?)
}

fn roots_of(
    path: &Path,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, FileFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| FileFault::new(path, format!("cannot be used as a root: {error}")))?;
    }
    Ok(roots)
}

/// How certificates of clients are verified, if they are asked for, and what tickets are bound to by
/// that: a session that began without one, or by another authority, must not go on where one is asked for.
type Trust = (Option<Arc<dyn ClientCertVerifier>>, Vec<u8>);

fn trust(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Trust, FileFault> {
    let Some(auth) = &config.client_auth else { return Ok(Trust::default()) };
    // Read once: both are of the same file.
    let mut bytes = certificates::read(&auth.ca)?;
    let roots = Arc::new(roots_of(&auth.ca, certificates::chain_of(&auth.ca, &bytes)?)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if auth.required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| FileFault::new(&auth.ca, error.to_string()))?;
    bytes.push(u8::from(auth.required));
    Ok((Some(verifier), bytes))
}
