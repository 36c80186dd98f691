//! TLS for scripted peers: how a client or an origin speaks it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion, version,
};

use super::certs::{Authority, Leaf};
use super::client::Client;

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    roots: Arc<RootCertStore>,
    versions: Vec<&'static SupportedProtocolVersion>,
    own: Option<Arc<Leaf>>,
    alpn: Vec<Vec<u8>>,
    config: Option<Arc<ClientConfig>>,
}

impl Tls {
    /// Trusts this authority.
    pub(crate) fn trusting(authority: &Authority) -> Tls {
        Tls {
            roots: authority.roots(),
            versions: vec![&version::TLS13, &version::TLS12],
            own: None,
            alpn: Vec::new(),
            config: None,
        }
    }

    pub(crate) fn only_12(mut self) -> Tls {
        self.versions = vec![&version::TLS12];
        self
    }

    pub(crate) fn only_13(mut self) -> Tls {
        self.versions = vec![&version::TLS13];
        self
    }

    /// Shows this certificate when asked.
    pub(crate) fn showing(mut self, own: Leaf) -> Tls {
        self.own = Some(Arc::new(own));
        self
    }

    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Tls {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Keeps its tickets from connection to connection.
    pub(crate) fn remembering(mut self) -> Tls {
        let mut config = self.build();
        config.resumption = Resumption::in_memory_sessions(32);
        self.config = Some(Arc::new(config));
        self
    }

    fn build(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match &self.own {
            Some(own) => builder.with_client_auth_cert(own.chain(), own.key()).expect("own"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = Resumption::disabled();
        config
    }

    pub(crate) fn connection(&self, name: &str) -> ClientConnection {
        let config = self.config.clone().unwrap_or_else(|| Arc::new(self.build()));
        ClientConnection::new(config, name.to_owned().try_into().expect("a name"))
            .expect("a client")
    }

    /// Connects and completes the handshake; an error is what it failed with.
    pub(crate) fn try_connect(&self, address: SocketAddr, name: &str) -> Result<Client, String> {
        let mut client = Client::connect(address);
        client.wire.secure(self.connection(name)).map_err(|error| error.to_string())?;
        Ok(client)
    }

    #[track_caller]
    pub(crate) fn connect(&self, address: SocketAddr, name: &str) -> Client {
        self.try_connect(address, name).expect("a handshake")
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// How an origin speaks TLS; with `clients` it demands their certificates.
pub(crate) fn server(leaf: &Leaf, clients: Option<&Authority>) -> Arc<ServerConfig> {
    server_of(leaf.chain(), leaf.key(), clients)
}

/// The same with any certificate.
pub(crate) fn server_of(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("versions");
    let builder = match clients {
        Some(authority) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(authority.roots(), provider());
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    Arc::new(builder.with_single_cert(chain, key).expect("a certificate"))
}

pub(crate) fn server_connection(config: &Arc<ServerConfig>) -> ServerConnection {
    ServerConnection::new(Arc::clone(config)).expect("a server")
}
