//! The certificates of a listener by name, swapped as a whole for all workers at once.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::{Certificate, LoadedCertificate};

/// What a client gets whose name no certificate has, or that sends none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The first certificate.
    Default,
    /// No handshake.
    Reject,
}

/// The certificates in use.
#[derive(Debug)]
pub(super) struct Store {
    table: ArcSwap<Table>,
    unknown: Unknown,
}

/// Certificates, and which of them have a name: by position, in order.
#[derive(Debug, Default)]
struct Table {
    certificates: Vec<Certificate>,
    exact: HashMap<String, Vec<usize>>,
    /// By what stands behind the star: `*.example.com` is `example.com`.
    wildcard: HashMap<String, Vec<usize>>,
}

impl Table {
    fn new(certificates: Vec<Certificate>) -> Self {
        let mut table = Self::default();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in &certificate.about.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut table.wildcard, rest),
                    None => (&mut table.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(index);
            }
        }
        table.certificates = certificates;
        table
    }

    /// Those for a name: an exact one beats a wildcard, which stands for one label.
    fn find(&self, name: &str) -> Option<&[usize]> {
        let wildcard = || name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
        self.exact.get(name).or_else(wildcard).map(Vec::as_slice)
    }
}

impl Store {
    pub(super) fn new(certificates: Vec<Certificate>, unknown: Unknown) -> Self {
        Self { table: ArcSwap::from_pointee(Table::new(certificates)), unknown }
    }

    /// From the next handshake on, on all workers.
    pub(super) fn swap(&self, certificates: Vec<Certificate>) {
        self.table.store(Arc::new(Table::new(certificates)));
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.table.load().certificates.clone()
    }

    pub(super) fn about(&self) -> Vec<LoadedCertificate> {
        self.table.load().certificates.iter().map(|one| one.about.clone()).collect()
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let found = hello.server_name().and_then(|name| {
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                table.find(&name.to_ascii_lowercase())
            } else {
                table.find(name)
            }
        });
        // Of several certificates for a name the first that the client can verify.
        let suits =
            |one: &&Certificate| one.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let by_index = |index: &usize| table.certificates.get(*index);
        match (found, self.unknown) {
            (None, Unknown::Reject) => None,
            (None, Unknown::Default) => table.certificates.first(),
            (Some(found), _) => found
                .iter()
                .filter_map(by_index)
                .find(suits)
                .or_else(|| found.first().and_then(by_index)),
        }
        .map(|one| Arc::clone(&one.key))
    }
}
