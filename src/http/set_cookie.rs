//! `Set-Cookie`: its attributes as members send them, and as clients are to get them (RFC 6265 4.1).

use super::bytes::trim;

/// What becomes of the attributes of members' cookies. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieRules {
    /// Domains (without a dot in front) and what takes their place; empty: the attribute is left out.
    pub domain: Vec<(String, String)>,
    /// Beginnings of paths, whole segments, and what takes their place. The first that fits counts.
    pub path: Vec<(String, String)>,
    /// Whether it says `Secure`; `None`: as sent.
    pub secure: Option<bool>,
    /// Whether it says `HttpOnly`; `None`: as sent.
    pub http_only: Option<bool>,
    /// What it says of `SameSite`; `None`: as sent.
    pub same_site: Option<&'static str>,
}

impl CookieRules {
    /// Appends the value of a `Set-Cookie` as a client is to get it.
    pub fn write(&self, out: &mut Vec<u8>, value: &[u8]) {
        let mut parts = value.split(|byte| *byte == b';');
        // The name and the value of the cookie.
        out.extend_from_slice(parts.next().unwrap_or_default());
        let (mut secure, mut http_only) = (false, false);
        for part in parts {
            let equals = memchr::memchr(b'=', part).unwrap_or(part.len());
            let (name, text) = part.split_at_checked(equals).unwrap_or_default();
            let (name, text) = (trim(name), text.get(1..).map(trim));
            let is = |attribute: &[u8]| name.eq_ignore_ascii_case(attribute);
            if is(b"secure") {
                secure = true;
                keep_if(out, part, self.secure != Some(false));
            } else if is(b"httponly") {
                http_only = true;
                keep_if(out, part, self.http_only != Some(false));
            } else if is(b"samesite") {
                keep_if(out, part, self.same_site.is_none());
            } else if let Some(text) = text.filter(|_| is(b"domain")) {
                self.write_domain(out, part, text);
            } else if let Some(text) = text.filter(|_| is(b"path")) {
                self.write_path(out, part, text);
            } else {
                keep_if(out, part, true);
            }
        }
        if !secure && self.secure == Some(true) {
            out.extend_from_slice(b"; Secure");
        }
        if !http_only && self.http_only == Some(true) {
            out.extend_from_slice(b"; HttpOnly");
        }
        if let Some(same_site) = self.same_site {
            out.extend_from_slice(b"; SameSite=");
            out.extend_from_slice(same_site.as_bytes());
        }
    }

    fn write_domain(&self, out: &mut Vec<u8>, part: &[u8], text: &[u8]) {
        let text = text.strip_prefix(b".").unwrap_or(text);
        let same = |from: &String| from.as_bytes().eq_ignore_ascii_case(text);
        match self.domain.iter().find(|(from, _)| same(from)) {
            None => keep_if(out, part, true),
            Some((_, to)) if to.is_empty() => {}
            Some((_, to)) => {
                out.extend_from_slice(b"; Domain=");
                out.extend_from_slice(to.as_bytes());
            }
        }
    }

    fn write_path(&self, out: &mut Vec<u8>, part: &[u8], text: &[u8]) {
        let found = self.path.iter().find_map(|(from, to)| {
            let from = from.strip_suffix('/').unwrap_or(from);
            let rest = text.strip_prefix(from.as_bytes())?;
            matches!(rest, [] | [b'/', ..]).then_some((to, rest))
        });
        let Some((to, rest)) = found else { return keep_if(out, part, true) };
        out.extend_from_slice(b"; Path=");
        let to = to.strip_suffix('/').unwrap_or(to);
        out.extend_from_slice(to.as_bytes());
        out.extend_from_slice(if to.is_empty() && rest.is_empty() { b"/" } else { rest });
    }
}

/// Appends an attribute as it was sent, with the semicolon in front.
fn keep_if(out: &mut Vec<u8>, part: &[u8], keep: bool) {
    if keep {
        out.push(b';');
        out.extend_from_slice(part);
    }
}

/// Whether a field of this name sets a cookie.
#[inline]
#[must_use]
pub fn is_set_cookie(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"set-cookie")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> CookieRules {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
        };
        CookieRules {
            domain: pairs(&[("internal", "example.com"), ("local.test", "")]),
            path: pairs(&[("/app/v2", "/two/"), ("/app", "/"), ("/", "/rest")]),
            secure: Some(true),
            http_only: Some(false),
            same_site: Some("Lax"),
        }
    }

    fn written(rules: &CookieRules, value: &str) -> String {
        let mut out = Vec::new();
        rules.write(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn attributes_are_rewritten() {
        for (value, expected) in [
            ("a=b", "a=b; Secure; SameSite=Lax"),
            ("", "; Secure; SameSite=Lax"),
            ("a=\"x\"; SECURE", "a=\"x\"; SECURE; SameSite=Lax"),
            ("a=b; HttpOnly; samesite=None; Max-Age=1", "a=b; Max-Age=1; Secure; SameSite=Lax"),
            ("a=b; Domain=internal", "a=b; Domain=example.com; Secure; SameSite=Lax"),
            ("a=b; domain = .INTERNAL ", "a=b; Domain=example.com; Secure; SameSite=Lax"),
            ("a=b; Domain=local.test", "a=b; Secure; SameSite=Lax"),
            ("a=b;Domain=x.internal", "a=b;Domain=x.internal; Secure; SameSite=Lax"),
            ("a=b; Path=/app", "a=b; Path=/; Secure; SameSite=Lax"),
            ("a=b; path=/app/x", "a=b; Path=/x; Secure; SameSite=Lax"),
            ("a=b; Path=/app/v2/x", "a=b; Path=/two/x; Secure; SameSite=Lax"),
            ("a=b; Path=/apple", "a=b; Path=/rest/apple; Secure; SameSite=Lax"),
            ("a=b; Path=/", "a=b; Path=/rest/; Secure; SameSite=Lax"),
            ("a=b; Path", "a=b; Path; Secure; SameSite=Lax"),
            ("a=b; Path=x", "a=b; Path=x; Secure; SameSite=Lax"),
        ] {
            assert_eq!(written(&rules(), value), expected, "{value}");
        }
        let plain =
            CookieRules { secure: Some(false), http_only: Some(true), ..CookieRules::default() };
        assert_eq!(written(&plain, "a=b; Secure; SameSite=None"), "a=b; SameSite=None; HttpOnly");
        assert_eq!(written(&plain, "a=b; httponly"), "a=b; httponly");
    }

    proptest! {
        #[test]
        fn without_rules_nothing_changes(value in "[ -~]{0,60}") {
            prop_assert_eq!(written(&CookieRules::default(), &value), value);
        }

        #[test]
        fn the_cookie_itself_never_changes(cookie in "[ -:<-~]{0,20}", rest in "[ -~]{0,40}") {
            let out = written(&rules(), &format!("{cookie};{rest}"));
            prop_assert_eq!(out.split(';').next(), Some(&*cookie));
        }
    }
}
