//! The checked configuration of TLS: on listeners, and to members. Immutable.

use std::path::PathBuf;

/// `tls = {...}` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// `certificates`: the first one is the default.
    pub certificates: Vec<CertificateConfig>,
    /// `certificates_dir`: every `NAME.crt` or `NAME.pem` in it with a `NAME.key`.
    pub directory: Option<PathBuf>,
    /// `min_version`. Default 1.2.
    pub min_version: TlsVersion,
    /// `ciphers`, by their names; empty, the default: all that are good.
    pub ciphers: Vec<String>,
    /// `unknown_sni`. Default: the first certificate.
    pub unknown_sni: UnknownSni,
    /// `client_auth`. `None`, the default: clients are not asked for certificates.
    pub client_auth: Option<ClientAuth>,
    /// `tickets.keys`: a file of keys for tickets; `None`, the default: of the process.
    pub ticket_keys: Option<PathBuf>,
}

/// One of the `certificates` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// A PEM file: the certificate, then those that lead to its root.
    pub chain: PathBuf,
    /// A PEM file: its key.
    pub key: PathBuf,
    /// A DER file: a response of the issuer's OCSP server, to send along.
    pub ocsp: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// `"1.2"`
    V12,
    /// `"1.3"`
    V13,
}

/// What happens to a client whose name no certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownSni {
    /// `"default"`: it gets the first certificate.
    Default,
    /// `"reject"`: it is refused, as is one that sends no name.
    Reject,
}

/// `client_auth = {...}` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// A PEM file: who may have issued certificates of clients.
    pub ca: PathBuf,
    /// `mode = "required"`, the default, not `"optional"`.
    pub required: bool,
}

/// `tls = {...}` of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTlsConfig {
    /// A PEM file: who may have issued certificates of members. `None`, the default: the roots of
    /// the system.
    pub ca: Option<PathBuf>,
    /// `server_name`: what members are asked for and must prove to be. `None`, the default: their
    /// name or address, as the pool names them.
    pub server_name: Option<String>,
    /// `verify`. Default true.
    pub verify: bool,
    /// `client_certificate`: what members are shown when they ask.
    pub client_certificate: Option<CertificateConfig>,
}

impl TlsConfig {
    /// Paths that are not absolute are below `folder`.
    pub(super) fn root_at(&mut self, folder: &std::path::Path) {
        for certificate in &mut self.certificates {
            certificate.root_at(folder);
        }
        let paths = [&mut self.directory, &mut self.ticket_keys].into_iter().flatten();
        for path in paths.chain(self.client_auth.iter_mut().map(|auth| &mut auth.ca)) {
            *path = folder.join(&path);
        }
    }
}

impl CertificateConfig {
    fn root_at(&mut self, folder: &std::path::Path) {
        let paths = [&mut self.chain, &mut self.key].into_iter().chain(&mut self.ocsp);
        for path in paths {
            *path = folder.join(&path);
        }
    }
}

impl PoolTlsConfig {
    /// Paths that are not absolute are below `folder`.
    pub(super) fn root_at(&mut self, folder: &std::path::Path) {
        if let Some(path) = &mut self.ca {
            *path = folder.join(&path);
        }
        if let Some(certificate) = &mut self.client_certificate {
            certificate.root_at(folder);
        }
    }
}
