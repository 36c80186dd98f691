//! TLS and what goes with it as TOML, with every default filled in.

use std::path::Path;

use super::effective::{line, list, quote, table};
use super::{
    CertificateConfig, ClientAuth, HstsConfig, ListenerConfig, PoolTlsConfig, TlsConfig,
    TlsVersion, UnknownSni,
};

pub(super) fn listener(out: &mut String, listener: &ListenerConfig) {
    let redirect = listener.redirect_https.map(|port| port.to_string());
    line(out, "redirect_https", redirect.unwrap_or_else(off));
    line(out, "hsts", listener.hsts.as_ref().map_or_else(off, hsts));
    line(out, "tls", listener.tls.as_ref().map_or_else(off, tls));
}

pub(super) fn pool(out: &mut String, tls: Option<&PoolTlsConfig>) {
    line(out, "tls", tls.map_or_else(off, to_members));
}

fn off() -> String {
    quote("off")
}

fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn hsts(hsts: &HstsConfig) -> String {
    table([
        ("max_age", quote(&format!("{}s", hsts.max_age.as_secs()))),
        ("subdomains", hsts.subdomains.to_string()),
        ("preload", hsts.preload.to_string()),
    ])
}

fn tls(tls: &TlsConfig) -> String {
    let mut fields = Vec::new();
    if !tls.certificates.is_empty() {
        fields.push(("certificates", list(tls.certificates.iter().map(certificate))));
    }
    if let Some(directory) = &tls.directory {
        fields.push(("certificates_dir", path(directory)));
    }
    let version = match tls.min_version {
        TlsVersion::V12 => "1.2",
        TlsVersion::V13 => "1.3",
    };
    fields.push(("min_version", quote(version)));
    if !tls.ciphers.is_empty() {
        fields.push(("ciphers", list(tls.ciphers.iter().map(|name| quote(name)))));
    }
    let unknown = match tls.unknown_sni {
        UnknownSni::Default => "default",
        UnknownSni::Reject => "reject",
    };
    fields.push(("unknown_sni", quote(unknown)));
    fields.push(("client_auth", tls.client_auth.as_ref().map_or_else(off, client_auth)));
    fields.push(("tickets", table(tls.ticket_keys.iter().map(|keys| ("keys", path(keys))))));
    table(fields)
}

fn certificate(certificate: &CertificateConfig) -> String {
    let mut fields = vec![("chain", path(&certificate.chain)), ("key", path(&certificate.key))];
    fields.extend(certificate.ocsp.iter().map(|ocsp| ("ocsp", path(ocsp))));
    table(fields)
}

fn client_auth(auth: &ClientAuth) -> String {
    let mode = if auth.required { "required" } else { "optional" };
    table([("ca", path(&auth.ca)), ("mode", quote(mode))])
}

fn to_members(tls: &PoolTlsConfig) -> String {
    let mut fields: Vec<_> = tls.ca.iter().map(|ca| ("ca", path(ca))).collect();
    fields.extend(tls.server_name.iter().map(|name| ("server_name", quote(name))));
    fields.push(("verify", tls.verify.to_string()));
    let own = tls.client_certificate.as_ref().map_or_else(off, certificate);
    fields.push(("client_certificate", own));
    table(fields)
}
