//! What a client's certificate must say: compared with the fields that members get of it.

use crate::config::{CertificateRules, Pattern};
use crate::stats::Reason;

/// Whether the rules let in who has this certificate. `identity`: whole field lines.
pub(super) fn check(rules: &CertificateRules, identity: Option<&[u8]>) -> Result<(), Reason> {
    let identity = identity.ok_or(Reason::AuthNoCertificate)?;
    let text = std::str::from_utf8(identity).map_err(|_| Reason::AuthCertificate)?;
    let value = |field: &str| {
        let mut lines = text.split_terminator("\r\n");
        let line = lines.find_map(|line| line.strip_prefix("X-Client-Cert-")?.strip_prefix(field));
        line.and_then(|line| line.strip_prefix(": ")).unwrap_or_default()
    };
    let any = |patterns: &[Pattern], text: &str| {
        patterns.is_empty()
            || !text.is_empty() && patterns.iter().any(|pattern| pattern.matches(text))
    };
    let mut names = value("San").split(',');
    let good = any(&rules.subjects, value("Subject"))
        && any(&rules.issuers, value("Issuer"))
        && (rules.sans.is_empty() || names.any(|name| any(&rules.sans, name)))
        && (rules.fingerprints.is_empty()
            || rules.fingerprints.iter().any(|one| one == value("Fingerprint")));
    if good { Ok(()) } else { Err(Reason::AuthCertificate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &[u8] = b"X-Client-Cert-Subject: CN=ada,O=Shop\r\n\
        X-Client-Cert-San: DNS:ada.shop.example,URI:spiffe://shop/ada\r\n\
        X-Client-Cert-Issuer: CN=Shop CA\r\nX-Client-Cert-Serial: 01\r\n\
        X-Client-Cert-Fingerprint: 00ff\r\n";

    fn rules(
        subjects: &[&str],
        sans: &[&str],
        issuers: &[&str],
        prints: &[&str],
    ) -> CertificateRules {
        let patterns = |texts: &[&str]| {
            texts.iter().map(|text| Pattern((*text).to_owned())).collect::<Vec<_>>()
        };
        CertificateRules {
            subjects: patterns(subjects),
            sans: patterns(sans),
            issuers: patterns(issuers),
            fingerprints: prints.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn of_each_list_one_must_match() {
        for (rules, expected) in [
            (rules(&["CN=ada,O=Shop"], &[], &[], &[]), true),
            (rules(&["CN=bob,O=Shop", "CN=*,O=Shop"], &[], &[], &[]), true),
            (rules(&["CN=ada"], &[], &[], &[]), false),
            (rules(&["*"], &[], &[], &[]), false),
            (rules(&[], &["DNS:*.shop.example"], &[], &[]), true),
            (rules(&[], &["URI:spiffe://shop/*"], &[], &[]), true),
            (rules(&[], &["DNS:ada"], &[], &[]), false),
            (rules(&[], &[], &["CN=Shop CA"], &["00ff"]), true),
            (rules(&[], &[], &["CN=Shop CA"], &["00fe"]), false),
            (rules(&["CN=*,O=Shop"], &["DNS:x"], &[], &[]), false),
        ] {
            assert_eq!(check(&rules, Some(ADA)).is_ok(), expected, "{rules:?}");
            assert_eq!(check(&rules, None), Err(Reason::AuthNoCertificate));
        }
        let nothing =
            check(&rules(&["*"], &["*"], &[], &[]), Some(b"X-Client-Cert-Serial: 01\r\n"));
        assert_eq!(nothing, Err(Reason::AuthCertificate));
    }
}
