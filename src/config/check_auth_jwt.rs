//! `jwt` of `auth`: where keys and tokens are, and what a token must say.

use super::check_auth::{AuthError, bad, field, is_target, pairs, path, remember};
use super::check_route::is_token;
use super::checked_auth::{Algorithm, JwksUrl, JwtConfig, KeySource, TokenPlace};
use super::document::{Findings, Table, span_of};
use super::error::Mistake;
use super::host;
use super::nearest::nearest;

/// Claims that are passed on.
const CLAIMS_MAX: usize = 32;

pub(super) fn jwt(auth: &Table<'_>, findings: &mut Findings) -> Option<JwtConfig> {
    let table = auth.switch("jwt", findings)?;
    let keys = keys(&table, findings);
    let secret = matches!(keys, KeySource::Secret(_));
    let texts = |key: &str, findings: &mut Findings| {
        let texts = table.texts(key, true, findings).unwrap_or_default();
        texts.into_iter().map(|text| text.value.to_owned()).collect()
    };
    Some(JwtConfig {
        keys,
        algorithms: algorithms(&table, secret, findings),
        issuers: texts("issuer", findings),
        audiences: texts("audience", findings),
        leeway: table.time("leeway", findings),
        claims: claims(&table, findings),
        from: from(&table, findings),
        forward: table.flag("forward", findings),
        remember: remember(&table, findings),
    })
}

fn keys(table: &Table<'_>, findings: &mut Findings) -> KeySource {
    let secret = path(table, "secret_file", findings);
    let ca = path(table, "ca", findings);
    let refresh = table.time("refresh", findings);
    let jwks = table.text("jwks", findings);
    let is_url = jwks.is_some_and(|text| text.value.contains("://"));
    let misplaced = ["jwks"].into_iter().filter(|_| table.get("secret_file").is_some());
    let of_urls = ["ca", "refresh"].into_iter().filter(|_| !is_url);
    for key in misplaced.chain(of_urls) {
        if let Some((_, value)) = table.get(key) {
            bad(span_of(value), AuthError::TwoKeys, findings);
        }
    }
    if let Some(path) = secret {
        return KeySource::Secret(path);
    }
    let Some(text) = jwks else {
        if table.get("jwks").is_none() && table.get("secret_file").is_none() {
            bad(table.span, AuthError::NoKeys, findings);
        }
        return KeySource::File("".into());
    };
    if !is_url {
        if text.value.is_empty() {
            findings.add(text.span, Mistake::BadPathOfFile);
        }
        return KeySource::File(text.value.into());
    }
    match url(text.value) {
        Ok(url) => KeySource::Url { url, ca, refresh },
        Err(why) => {
            bad(text.span, AuthError::Url(why), findings);
            KeySource::File("".into())
        }
    }
}

fn url(text: &str) -> Result<JwksUrl, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err("its scheme is neither https nor http"),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    if !is_target(path) {
        return Err("its path cannot be requested");
    }
    if !host::is_authority(authority) {
        return Err("its host is none");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().map_err(|_| "its port is none")?)
        }
        _ => (authority, if secure { 443 } else { 80 }),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() || port == 0 {
        return Err("its host or its port is none");
    }
    let (host, path) = (bare.to_owned(), path.to_owned());
    Ok(JwksUrl { secure, host, port, path, text: text.to_owned() })
}

fn algorithms(table: &Table<'_>, secret: bool, findings: &mut Findings) -> Vec<Algorithm> {
    let fits = |algorithm: Algorithm| (algorithm == Algorithm::Hs256) == secret;
    let Some(texts) = table.texts("algorithms", true, findings) else {
        return Algorithm::ALL.iter().map(|(_, one)| *one).filter(|one| fits(*one)).collect();
    };
    let mut algorithms = Vec::new();
    for text in texts {
        match Algorithm::named(text.value) {
            Some(algorithm) if fits(algorithm) => algorithms.push(algorithm),
            Some(algorithm) => bad(text.span, AuthError::WrongAlgorithm(algorithm), findings),
            None => {
                let names = Algorithm::ALL.iter().map(|(name, _)| *name);
                let near = nearest(&text.value.to_ascii_uppercase(), names);
                bad(text.span, AuthError::Algorithm(near), findings);
            }
        }
    }
    algorithms
}

fn claims(table: &Table<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let Some(written) = table.get("claims") else { return Vec::new() };
    let pairs = pairs(written, findings);
    if let Some((name, _)) = pairs.get(CLAIMS_MAX) {
        findings.add(name.span, Mistake::TooMany { max: CLAIMS_MAX });
    }
    let mut claims = Vec::new();
    for (claim, name) in pairs {
        if claim.value.is_empty() {
            bad(claim.span, AuthError::Claim, findings);
        }
        claims.push((claim.value.to_owned(), field(name, findings)));
    }
    claims
}

fn from(table: &Table<'_>, findings: &mut Findings) -> TokenPlace {
    let Some(text) = table.text("from", findings) else { return TokenPlace::Bearer };
    match (text.value, text.value.strip_prefix("cookie:")) {
        ("bearer", _) => return TokenPlace::Bearer,
        (_, Some(name)) if is_token(name) => return TokenPlace::Cookie(name.to_owned()),
        _ => bad(text.span, AuthError::From, findings),
    }
    TokenPlace::Bearer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let good = |text| {
            let url = url(text).unwrap();
            (url.secure, url.host, url.port, url.path)
        };
        let of = |secure, host: &str, port, path: &str| (secure, host.into(), port, path.into());
        assert_eq!(good("https://a.b"), of(true, "a.b", 443, "/"));
        assert_eq!(good("http://a:81/x?y=z"), of(false, "a", 81, "/x?y=z"));
        assert_eq!(good("https://[::1]:8443/k"), of(true, "::1", 8443, "/k"));
        assert_eq!(good("https://[::1]/k"), of(true, "::1", 443, "/k"));
        for bad in [
            "ftp://a/",
            "https://",
            "https:///x",
            "https://u@a/",
            "https://a:x/",
            "https://a:0/",
            "https://a/#x",
            "https://a?x",
            "https://a b/",
            "://a",
            "https://a:70000/",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
