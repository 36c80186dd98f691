//! Media types: patterns of them, and whether a `Content-Type` is one of those meant (RFC 9110 8.3).

use std::fmt;

use super::bytes::{is_token, trim};

/// A media type, or several: `text/html`, `text/*`, `application/*+json`, `*/*`. In lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern {
    /// All of it, or what stands before the star of its subtype.
    before: Box<str>,
    /// What stands behind that star.
    after: Option<Box<str>>,
}

impl MediaPattern {
    /// The pattern of a text without white space and parameters; at most one star, in the subtype,
    /// unless it is `*/*`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*/*" {
            return Some(Self { before: "".into(), after: Some("".into()) });
        }
        let (main, sub) = text.split_once('/')?;
        let stars = sub.matches('*').count();
        let tokens = is_token(main.as_bytes()) && is_token(sub.as_bytes());
        if !tokens || main.contains('*') || stars > 1 {
            return None;
        }
        let text = text.to_ascii_lowercase();
        Some(match text.split_once('*') {
            None => Self { before: text.into(), after: None },
            Some((before, after)) => Self { before: before.into(), after: Some(after.into()) },
        })
    }

    /// Whether the value of a `Content-Type` is meant; its parameters do not count.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let name = trim(value.get(..end).unwrap_or_default());
        let (before, after) = (self.before.as_bytes(), self.after.as_deref());
        let Some((head, rest)) = name.split_at_checked(before.len()) else { return false };
        if !head.eq_ignore_ascii_case(before) {
            return false;
        }
        match after.map(str::as_bytes) {
            None => rest.is_empty(),
            Some(after) => {
                let tail = rest.len().checked_sub(after.len()).and_then(|at| rest.get(at..));
                tail.is_some_and(|tail| tail.eq_ignore_ascii_case(after))
            }
        }
    }
}

/// As it is written.
impl fmt::Display for MediaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.after {
            None => f.write_str(&self.before),
            Some(after) if self.before.is_empty() && after.is_empty() => f.write_str("*/*"),
            Some(after) => write!(f, "{}*{after}", self.before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_means() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            (
                "application/json",
                &["application/json", "Application/JSON", "application/json;charset=utf-8"],
                &["application/jsonp", "application/json+x", "text/json", "", "json"],
            ),
            (
                "Text/*",
                &["text/html; charset=utf-8", "TEXT/plain", "text/event-stream"],
                &["text", "textile/x", "application/text/html"],
            ),
            (
                "application/*+json",
                &["application/problem+json", "application/ld+JSON ; profile=\"x/y;z\""],
                &["application/json", "application/x+jsonp", "image/x+json"],
            ),
            ("image/svg+xml", &["image/svg+xml"], &["image/svg", "image/svg+xml2"]),
            ("*/*", &["image/png", "x/y;z", ""], &[]),
        ];
        for (pattern, yes, no) in cases {
            let parsed = MediaPattern::parse(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern.to_ascii_lowercase());
            for value in yes {
                assert!(parsed.matches(value.as_bytes()), "{pattern} {value}");
            }
            for value in no {
                assert!(!parsed.matches(value.as_bytes()), "{pattern} {value}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for text in
            ["", "json", "text/", "/html", "*", "*/json", "text/*/*", "a/**", "a/b c", "a/b;c=d"]
        {
            assert_eq!(MediaPattern::parse(text), None, "{text}");
        }
    }
}
