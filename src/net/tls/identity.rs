//! What a client's certificate says of it, as fields for members. Must not know requests.
//!
//! What stands in a certificate is its issuer's word, but not its spelling: values are escaped, so
//! that no name can pass for two, nor end a field.

use std::fmt::Write;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use super::certificates;

/// Bytes of a value at the most: what does not fit is left out as a whole.
const VALUE_MOST: usize = 2048;

/// Appends `text` with everything in `%XX` that is not visible ASCII or is in `special`.
fn escape(out: &mut String, text: &str, special: &[u8]) {
    for byte in text.bytes() {
        let plain = matches!(byte, b' '..=b'~') && byte != b'%' && !special.contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `CN=name,O=organisation`, in the order of the certificate.
fn name(name: &X509Name<'_>) -> String {
    let mut parts = Vec::new();
    for attribute in name.iter_rdn().flat_map(|rdn| rdn.iter()) {
        let oid = attribute.attr_type();
        let mut part = match oid2abbrev(oid, oid_registry()) {
            Ok(short) => short.to_owned(),
            Err(_) => oid.to_id_string(),
        };
        part.push('=');
        match attribute.as_str() {
            Ok(text) => escape(&mut part, text, b",=+\"\\<>;"),
            Err(_) => {
                part.push('#');
                for byte in attribute.as_slice() {
                    _ = write!(part, "{byte:02x}");
                }
            }
        }
        parts.push(part);
    }
    join(parts)
}

fn join(parts: impl IntoIterator<Item = String>) -> String {
    let mut out = String::new();
    for part in parts {
        if out.len() + part.len() + 1 > VALUE_MOST {
            break;
        }
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&part);
    }
    out
}

fn other_names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return String::new() };
    join(extension.value.general_names.iter().filter_map(|name| {
        let (kind, text) = match name {
            GeneralName::DNSName(name) => ("DNS", (*name).to_owned()),
            GeneralName::URI(uri) => ("URI", (*uri).to_owned()),
            GeneralName::RFC822Name(mail) => ("email", (*mail).to_owned()),
            GeneralName::IPAddress(bytes) => ("IP", certificates::ip(bytes)?),
            _ => return None,
        };
        let mut part = format!("{kind}:");
        escape(&mut part, &text, b",");
        Some(part)
    }))
}

/// The fields, each ended by CRLF: `X-Client-Cert-Subject`, `-San` (if there are such names),
/// `-Issuer`, `-Serial` and `-Fingerprint` (SHA-256).
pub(super) fn fields(certificate: &CertificateDer<'_>) -> Option<Box<[u8]>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut out = String::new();
    let mut field = |field: &str, value: &str| {
        if !value.is_empty() {
            _ = write!(out, "X-Client-Cert-{field}: {value}\r\n");
        }
    };
    field("Subject", &name(parsed.subject()));
    field("San", &other_names(&parsed));
    field("Issuer", &name(parsed.issuer()));
    let hex =
        |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    field("Serial", &hex(parsed.raw_serial()));
    field("Fingerprint", &hex(digest::digest(&digest::SHA256, certificate).as_ref()));
    Some(out.into_bytes().into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    #[test]
    fn no_name_can_pass_for_another() {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "eve,O=Admins\r\nX-Forged: 1");
        params.distinguished_name.push(DnType::OrganizationName, "Müller & Söhne 100%");
        params.subject_alt_names.push(SanType::URI("spiffe://a/b,DNS:c.test".try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let fields = String::from_utf8(fields(certificate.der()).unwrap().to_vec()).unwrap();
        let lines: Vec<_> = fields.split_terminator("\r\n").collect();
        assert_eq!(
            lines[..2],
            [
                "X-Client-Cert-Subject: CN=eve%2CO%3DAdmins%0D%0AX-Forged: 1,\
                 O=M%C3%BCller & S%C3%B6hne 100%25",
                "X-Client-Cert-San: DNS:a.test,URI:spiffe://a/b%2CDNS:c.test",
            ],
            "{fields}"
        );
        assert!(lines[4].starts_with("X-Client-Cert-Fingerprint: "));
        assert_eq!(lines[4].len(), "X-Client-Cert-Fingerprint: ".len() + 64);
        assert_eq!(lines.len(), 5);
    }
}
