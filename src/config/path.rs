//! Paths of routes: exact, prefix by segment, or a regular expression.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::checked::PathPattern;
use crate::http::{self, ParseError};

/// Bytes that a compiled regular expression may take.
const REGEX_SIZE_MAX: usize = 1 << 20;
/// Characters of a path of a route.
const LENGTH_MAX: usize = 4096;

/// Why a text is no path of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum PathError {
    /// It starts with neither `/` nor `~`.
    Start,
    /// The mark of nginx for expressions without case.
    NoCase,
    /// A `*` that is not the final `/*`.
    Star,
    /// A query or fragment; only the path is matched.
    Query,
    /// No request has this path after normalisation; this is what it would be.
    Normal(String),
    /// `%` without two hexadecimal digits.
    Percent,
    /// It climbs above `/`; such requests are refused.
    AboveRoot,
    /// `%00`; such requests are refused.
    EncodedNul,
    /// Over 4,096 characters.
    TooLong,
    /// The regular expression, and where in the text it goes wrong, as an offset in characters
    /// into the expression.
    Regex(Box<regex::Error>, Option<usize>),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => {
                f.write_str("a path starts with \"/\", a regular expression with \"~ \"")
            }
            Self::NoCase => f.write_str("`~*` is how nginx writes it"),
            Self::Star => f.write_str("`*` may only be the end of a path, as in \"/x/*\""),
            Self::Query => f.write_str("only the path is matched, without `?` and `#`"),
            Self::Normal(_) => f.write_str("no request has this path in its normal form"),
            Self::Percent => f.write_str("two hexadecimal digits must follow a `%`"),
            Self::AboveRoot => f.write_str("it climbs above \"/\", which no request may"),
            Self::EncodedNul => f.write_str("no request may have an encoded NUL"),
            Self::TooLong => f.write_str("it has over 4096 characters"),
            Self::Regex(error, _) => match &**error {
                regex::Error::CompiledTooBig(limit) => {
                    write!(f, "the regular expression takes over {limit} bytes")
                }
                // The last line says what is wrong; those before show where.
                other => {
                    let text = other.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    write!(f, "bad regular expression: {}", last.trim_start_matches("error: "))
                }
            },
        }
    }
}

/// The `path` of a route.
///
/// # Errors
/// Paths that no request has after normalisation, misplaced `*`, bad regular expressions.
pub(super) fn pattern(text: &str) -> Result<PathPattern, PathError> {
    if text.len() > LENGTH_MAX {
        return Err(PathError::TooLong);
    }
    // No expression begins with a `*`.
    if text.starts_with("~*") {
        return Err(PathError::NoCase);
    }
    if let Some(expression) = text.strip_prefix('~') {
        return regex(expression.trim_start()).map(PathPattern::Regex);
    }
    if !text.starts_with('/') {
        return Err(PathError::Start);
    }
    let (path, prefix) = match text.strip_suffix("/*") {
        Some(path) => (path, true),
        None => (text, false),
    };
    if path.contains('*') {
        return Err(PathError::Star);
    }
    if path.contains(['?', '#']) {
        return Err(PathError::Query);
    }
    // Of a prefix, the form with its slash is normalised: "/a/.." is the prefix "/" then.
    let written = if prefix { format!("{path}/") } else { path.to_owned() };
    let normal = normal_form(&written)?;
    if normal != written {
        return Err(PathError::Normal(if prefix { normal + "*" } else { normal }));
    }
    let path = path.to_owned();
    Ok(if prefix { PathPattern::Prefix(path) } else { PathPattern::Exact(path) })
}

/// A regular expression, within its bounds.
///
/// # Errors
/// It is none, or too large.
pub(super) fn regex(expression: &str) -> Result<Regex, PathError> {
    RegexBuilder::new(expression).size_limit(REGEX_SIZE_MAX).build().map_err(|error| {
        let at = position(&error.to_string());
        PathError::Regex(Box::new(error), at)
    })
}

/// Where the caret points in the report of the regex crate: the third line under the expression,
/// which is indented by four.
fn position(report: &str) -> Option<usize> {
    let mut lines = report.lines().skip(2);
    let caret = lines.next()?;
    lines.next().filter(|line| line.starts_with("error: "))?;
    caret.find('^')?.checked_sub(4)
}

/// The normal form of a path that starts with `/`, as requests have it. Bytes that no request may
/// have as they are count as encoded.
fn normal_form(path: &str) -> Result<String, PathError> {
    let encode = |byte: u8| {
        let plain = byte.is_ascii_graphic() && byte != b'\\';
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    let encoded: String = path.bytes().map(encode).collect();
    let mut normal = Vec::with_capacity(encoded.len());
    http::normalise(encoded.as_bytes(), &mut normal).map_err(|error| match error {
        ParseError::AboveRoot => PathError::AboveRoot,
        ParseError::EncodedNul => PathError::EncodedNul,
        _ => PathError::Percent,
    })?;
    String::from_utf8(normal).map_err(|_| PathError::Percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match pattern(text) {
            Ok(PathPattern::Any) => "any".to_owned(),
            Ok(PathPattern::Exact(path)) => format!("exact {path}"),
            Ok(PathPattern::Prefix(path)) => format!("prefix {path}"),
            Ok(PathPattern::Regex(regex)) => format!("regex {regex}"),
            Err(PathError::Normal(path)) => format!("normal {path}"),
            Err(PathError::Regex(_, at)) => format!("bad regex at {at:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn patterns() {
        let cases = [
            ("/", "exact /"),
            ("/x", "exact /x"),
            ("/x/", "exact /x/"),
            ("/x//y", "exact /x//y"),
            ("/a%2Fb", "exact /a%2Fb"),
            ("/caf%C3%A9", "exact /caf%C3%A9"),
            ("/a:b@c!$&'()+,;=", "exact /a:b@c!$&'()+,;="),
            ("/*", "prefix "),
            ("/x/*", "prefix /x"),
            ("/x//*", "prefix /x/"),
            ("~ ^/v[0-9]+/", "regex ^/v[0-9]+/"),
            ("~^/v", "regex ^/v"),
            ("", "Start"),
            ("x", "Start"),
            ("*", "Start"),
            ("/x*", "Star"),
            ("/*/x", "Star"),
            ("/x/**", "Star"),
            ("/x?y", "Query"),
            ("/x#y", "Query"),
            ("/%zz", "Percent"),
            ("/%4", "Percent"),
            ("/a/../b", "normal /b"),
            ("/a/..", "normal /"),
            ("/a/.", "normal /a/"),
            ("/../*", "AboveRoot"),
            ("/a/../*", "normal /*"),
            ("/./a/*", "normal /a/*"),
            ("/%41", "normal /A"),
            ("/a%2fb", "normal /a%2Fb"),
            ("/%2e%2e/a", "AboveRoot"),
            ("/%00", "EncodedNul"),
            ("/{a|b}", "exact /{a|b}"),
            ("/a\\b", "normal /a%5Cb"),
            ("/a b", "normal /a%20b"),
            ("/é", "normal /%C3%A9"),
            ("~ ^/v[0-9", "bad regex at Some(3)"),
            ("~ (", "bad regex at Some(0)"),
            ("~ (a{1000}){1000}", "bad regex at None"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(path in "/[a-z./%0-9A-F é-]{0,24}") {
            if let Ok(normal) = normal_form(&path) {
                proptest::prop_assert_eq!(normal_form(&normal), Ok(normal.clone()));
            }
        }
    }
}
