//! Certificates from files: read, checked, and what is known of them.
//!
//! Reading blocks: for the start of the process and the control thread.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock;
use crate::config::{CertificateConfig, words_of};

/// Bytes of a file at the most.
const FILE_MOST: u64 = 1 << 20;

/// Names of one certificate that count.
const NAMES_MOST: usize = 1000;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// Which.
    pub path: PathBuf,
    /// What.
    pub what: String,
}

impl FileFault {
    pub(super) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// What an operator wants to know of a certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedCertificate {
    /// The file of its chain.
    pub chain: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// The names that it is for: host names, and addresses for show.
    pub names: Vec<String>,
    /// Who it was issued to.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// The first moment at which it is valid, since the Unix epoch.
    pub not_before: Duration,
    /// The last one.
    pub not_after: Duration,
    /// When it was loaded.
    pub loaded: Duration,
    /// Whether a response of its issuer's OCSP server is sent along.
    pub stapled: bool,
}

/// A certificate that can be served.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) about: LoadedCertificate,
    pub(super) key: Arc<CertifiedKey>,
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileFault> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(FILE_MOST + 1).read_to_end(&mut bytes));
    match read {
        Ok(count) if count as u64 > FILE_MOST => Err(FileFault::new(path, "is larger than 1 MiB")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(FileFault::new(path, format!("cannot be read: {}", words_of(&error)))),
    }
}

/// All certificates of a PEM file, at least one.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    chain_of(path, &read(path)?)
}

/// Those of the file's bytes.
pub(super) fn chain_of(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain =
        chain.map_err(|error| FileFault::new(path, format!("is no good PEM: {}", pem(&error))))?;
    match chain.is_empty() {
        true if mentions(bytes, "PRIVATE KEY-----") => {
            Err(FileFault::new(path, "has a private key in it, but no certificate"))
        }
        true => Err(FileFault::new(path, "has no certificate in it (PEM: BEGIN CERTIFICATE)")),
        false => Ok(chain),
    }
}

/// What is wrong with a PEM file. The library shows lines of it as lists of bytes.
fn pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its END line is missing".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
        other => other.to_string(),
    }
}

fn mentions(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// The private key of a PEM file: PKCS#8, PKCS#1 or SEC1.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileFault> {
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        if mentions(&bytes, "ENCRYPTED") {
            FileFault::new(
                path,
                "is an encrypted key: decrypt it, as there is nobody to ask for the passphrase",
            )
        } else if mentions(&bytes, "BEGIN CERTIFICATE") {
            FileFault::new(path, "has a certificate in it, but no private key")
        } else {
            let why = format!("has no usable private key in it (PEM): {}", pem(&error));
            FileFault::new(path, why)
        }
    })
}

/// A chain and its key, which must belong together.
pub(super) fn certified_key(
    chain_path: &Path,
    key_path: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, FileFault> {
    let chain = chain(chain_path)?;
    let key = private_key(key_path)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => FileFault::new(
            key_path,
            format!("is not the key of the first certificate in {}", chain_path.display()),
        ),
        rustls::Error::InvalidCertificate(_) => {
            FileFault::new(chain_path, format!("its first certificate cannot be used: {error}"))
        }
        _ => FileFault::new(key_path, format!("cannot be used as a key: {error}")),
    })
}

/// Loads a certificate; what is odd about it goes to `warnings`.
pub(super) fn load(
    config: &CertificateConfig,
    provider: &CryptoProvider,
    warnings: &mut Vec<FileFault>,
) -> Result<Certificate, FileFault> {
    let mut key = certified_key(&config.chain, &config.key, provider)?;
    if let Some(path) = &config.ocsp {
        let response = read(path)?;
        if response.first() != Some(&0x30) {
            return Err(FileFault::new(path, "is no OCSP response (DER)"));
        }
        key.ocsp = Some(response);
    }
    let leaf = key.cert.first().map(|leaf| leaf.as_ref().to_vec()).unwrap_or_default();
    let fault = |what: String| FileFault::new(&config.chain, what);
    let (_, parsed) = X509Certificate::from_der(&leaf)
        .map_err(|error| fault(format!("its first certificate cannot be read: {error}")))?;
    let names = names(&parsed);
    if names.is_empty() {
        warnings.push(fault(
            "names no host (no subjectAltName): clients will not accept it, and it is served only as the default"
                .to_owned(),
        ));
    }
    let time = |time: x509_parser::time::ASN1Time| {
        Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
    };
    let about = LoadedCertificate {
        chain: config.chain.clone(),
        key: config.key.clone(),
        names,
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        not_before: time(parsed.validity().not_before),
        not_after: time(parsed.validity().not_after),
        loaded: clock::unix(),
        stapled: config.ocsp.is_some(),
    };
    if let Some(odd) = about.odd_time() {
        warnings.push(fault(odd));
    }
    Ok(Certificate { about, key: Arc::new(key) })
}

impl LoadedCertificate {
    /// Why it is not valid at the moment when it was loaded, if it is not.
    pub(super) fn odd_time(&self) -> Option<String> {
        if self.not_after < self.loaded {
            Some(format!("has expired {}", ago(self.loaded - self.not_after)))
        } else if self.not_before > self.loaded {
            Some("is not valid yet".to_owned())
        } else {
            None
        }
    }
}

fn ago(span: Duration) -> String {
    match span.as_secs() / 86_400 {
        0 => "less than a day ago".to_owned(),
        1 => "a day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// The names that a certificate is for, in lower case.
pub(super) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => ip(bytes),
        _ => None,
    });
    names.take(NAMES_MOST).collect()
}

/// An address as it stands in a certificate.
pub(super) fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}
