//! Certificates made for a test: an authority, and what it signs.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SignatureAlgorithm, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Somebody who signs certificates.
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Leaf {
    certificate: Certificate,
    key: KeyPair,
}

/// The time at which a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Valid {
    Now,
    Past,
    Future,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        Authority::with(name, Vec::new())
    }

    /// One that is a host itself, and signs for itself.
    pub(crate) fn for_host(name: &str) -> Authority {
        Authority::with(name, vec![name.to_owned()])
    }

    fn with(name: &str, hosts: Vec<String>) -> Authority {
        let mut params = CertificateParams::new(hosts).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names.
    pub(crate) fn sign(&self, names: &[&str]) -> Leaf {
        self.sign_with(names, Valid::Now, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn sign_with(
        &self,
        names: &[&str],
        valid: Valid,
        algorithm: &'static SignatureAlgorithm,
    ) -> Leaf {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("parameters");
        let first = names.first().cloned().unwrap_or_default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, first);
        let years = match valid {
            Valid::Now => (2020, 2090),
            Valid::Past => (2020, 2021),
            Valid::Future => (2089, 2090),
        };
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Leaf { certificate, key }
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.issuer.key().serialize_der()).into()
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its certificate as what a peer trusts.
    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a root");
        Arc::new(roots)
    }
}

impl Leaf {
    pub(crate) fn chain_pem(&self) -> String {
        self.certificate.pem()
    }

    /// PKCS#8.
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The form that stands inside PKCS#8: PKCS#1 for RSA, SEC1 for ECDSA.
    pub(crate) fn inner_key_pem(&self, label: &str) -> String {
        // SEQUENCE { version, algorithm, OCTET STRING { key } }
        let der = self.key.serialize_der();
        let (whole, _) = take(&der);
        let (_, rest) = take(whole);
        let (_, rest) = take(rest);
        let (key, _) = take(rest);
        let lines: Vec<_> = base64(key)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.der().clone()]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// The content of the first DER value, and what stands behind it.
fn take(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=127 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 127);
            let length =
                der[2..2 + count].iter().fold(0, |all, byte| all << 8 | usize::from(*byte));
            (length, 2 + count)
        }
    };
    (&der[start..start + length], &der[start + length..])
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(*three.get(i).unwrap_or(&0)));
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            let filler = digit > three.len();
            out.push(if filler { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    out
}
