//! `tls = {...}` of listeners and pools. The files are not looked at here.

use std::path::PathBuf;

use toml::de::DeValue;

use super::checked_tls::{
    CertificateConfig, ClientAuth, PoolTlsConfig, TlsConfig, TlsVersion, UnknownSni,
};
use super::document::{Findings, Table, span_of, wrong_type};
use super::error::Mistake;
use super::host;
use super::keys::Section;
use super::nearest::nearest;

/// The ciphers that a listener may choose from, in the order of preference.
pub const CIPHERS: [&str; 9] = [
    "TLS13_AES_256_GCM_SHA384",
    "TLS13_AES_128_GCM_SHA256",
    "TLS13_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Certificates of a listener.
const CERTIFICATES_MAX: usize = 10_000;

pub(super) fn listener(table: &Table<'_>, findings: &mut Findings) -> Option<TlsConfig> {
    let tls = table.switch("tls", findings)?;
    let certificates = certificates(&tls, findings);
    let directory = path(&tls, "certificates_dir", findings);
    if tls.get("certificates").is_none() && directory.is_none() {
        // One of the two is needed; this is the one to start with.
        tls.required("certificates", findings);
    }
    let min_version = match tls.choice("min_version", findings) {
        0 => TlsVersion::V12,
        _ => TlsVersion::V13,
    };
    Some(TlsConfig {
        certificates,
        directory,
        min_version,
        ciphers: ciphers(&tls, min_version, findings),
        unknown_sni: match tls.choice("unknown_sni", findings) {
            0 => UnknownSni::Default,
            _ => UnknownSni::Reject,
        },
        client_auth: client_auth(&tls, findings),
        ticket_keys: path(&tls.table("tickets", findings), "keys", findings),
    })
}

fn path(table: &Table<'_>, key: &str, findings: &mut Findings) -> Option<PathBuf> {
    let text = table.text(key, findings)?;
    if text.value.is_empty() {
        findings.add(text.span, Mistake::BadPathOfFile);
    }
    Some(PathBuf::from(text.value))
}

/// A path without which the table means nothing.
fn needed(table: &Table<'_>, key: &'static str, findings: &mut Findings) -> PathBuf {
    let written = table.required(key, findings).is_some();
    written.then(|| path(table, key, findings)).flatten().unwrap_or_default()
}

fn certificate(table: &Table<'_>, findings: &mut Findings) -> CertificateConfig {
    CertificateConfig {
        chain: needed(table, "chain", findings),
        key: needed(table, "key", findings),
        ocsp: None,
    }
}

fn certificates(tls: &Table<'_>, findings: &mut Findings) -> Vec<CertificateConfig> {
    let mut found = Vec::new();
    let Some((key, value)) = tls.get("certificates") else { return found };
    let DeValue::Array(items) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return found;
    };
    if items.is_empty() {
        findings.add(span_of(value), Mistake::EmptyList { key: key.name });
    }
    if let Some(item) = items.get(CERTIFICATES_MAX) {
        findings.add(span_of(item), Mistake::TooMany { max: CERTIFICATES_MAX });
    }
    for item in items.iter().take(CERTIFICATES_MAX) {
        let DeValue::Table(fields) = item.get_ref() else {
            findings.add(span_of(item), wrong_type(key, item));
            continue;
        };
        let fields = tls.child(Section::Certificate, span_of(item), fields, findings);
        let ocsp = path(&fields, "ocsp", findings);
        found.push(CertificateConfig { ocsp, ..certificate(&fields, findings) });
    }
    found
}

fn ciphers(tls: &Table<'_>, min: TlsVersion, findings: &mut Findings) -> Vec<String> {
    let written = tls.texts("ciphers", true, findings).unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for text in &written {
        if CIPHERS.contains(&text.value) {
            found.push(text.value.to_owned());
        } else {
            let nearest = nearest(text.value, CIPHERS);
            findings.add(text.span, Mistake::BadCipher { word: text.value.to_owned(), nearest });
        }
    }
    let modern = |name: &String| name.starts_with("TLS13_");
    if let Some(first) = written.first()
        && !found.is_empty()
        && min == TlsVersion::V13
        && !found.iter().any(modern)
    {
        findings.add(first.span, Mistake::NoCipher);
    }
    found
}

fn client_auth(tls: &Table<'_>, findings: &mut Findings) -> Option<ClientAuth> {
    let auth = tls.switch("client_auth", findings)?;
    Some(ClientAuth {
        ca: needed(&auth, "ca", findings),
        required: auth.choice("mode", findings) == 0,
    })
}

/// `tls = {...}` of a pool.
pub(super) fn pool(table: &Table<'_>, findings: &mut Findings) -> Option<PoolTlsConfig> {
    let tls = table.switch("tls", findings)?;
    let server_name = tls.text("server_name", findings).and_then(|text| {
        let is_address = text.value.parse::<std::net::IpAddr>().is_ok();
        match host::pattern(text.value) {
            _ if is_address => Some(text.value.to_owned()),
            Ok(super::HostPattern::Exact(name)) => Some(name),
            Ok(super::HostPattern::Wildcard(_)) => {
                findings.add(text.span, Mistake::BadServerName);
                None
            }
            Err(why) => {
                findings.add(text.span, Mistake::BadHost(why));
                None
            }
        }
    });
    let verify = tls.flag("verify", findings);
    if let (false, Some((_, value))) = (verify, tls.get("verify")) {
        findings.add(span_of(value), Mistake::Unverified);
    }
    let own = tls.switch("client_certificate", findings);
    Some(PoolTlsConfig {
        ca: path(&tls, "ca", findings),
        server_name,
        verify,
        client_certificate: own.map(|own| certificate(&own, findings)),
    })
}
