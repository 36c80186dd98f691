//! Texts with parts of a request in them: where a redirection leads to.
//!
//! `{host}`, `{path}`, `{query}` and `{scheme}`; `{{` and `}}` are braces. The values come from a
//! head that was parsed, so no line can end in them.

use std::fmt;

use super::bytes::{TARGET, is};

/// What may stand in braces.
const NAMES: [(&str, Piece); 4] = [
    ("host", Piece::Host),
    ("path", Piece::Path),
    ("query", Piece::Query),
    ("scheme", Piece::Scheme),
];

/// A piece of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Path,
    Query,
    Scheme,
}

/// A URL with parts of a request in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pieces: Vec<Piece>,
}

/// What a request has for a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkValues<'a> {
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// The host, without a port.
    pub host: &'a [u8],
    /// The path in normal form.
    pub path: &'a [u8],
    /// The query, without its question mark.
    pub query: Option<&'a [u8]>,
}

/// Why a text is no URL with parts of a request in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// There is nothing.
    Empty,
    /// It begins neither with a scheme nor with a slash.
    Start,
    /// A brace without its other one.
    Brace,
    /// A name that nothing has.
    Unknown(String),
    /// A character that no URL has.
    Character(char),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Start => f.write_str("it begins neither with https:// or http:// nor with /"),
            Self::Brace => f.write_str("a brace stands alone"),
            Self::Unknown(name) => write!(f, "there is no {{{name}}}"),
            Self::Character(c) => write!(f, "no URL has the character {c:?}"),
        }
    }
}

impl LinkError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Empty | Self::Start => "as in \"https://new.example{path}\"".to_owned(),
            Self::Brace => "write {{ or }} for a brace that is meant as such".to_owned(),
            Self::Unknown(_) => "it may be {host}, {path}, {query} or {scheme}".to_owned(),
            Self::Character(_) => "write it percent-encoded, as in %20".to_owned(),
        }
    }
}

impl Link {
    /// Reads a text.
    ///
    /// # Errors
    /// A name that nothing has, a brace alone, a byte that no URL has, a URL that is relative to the
    /// request's folder.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let bad = |c: char| !c.is_ascii() || !(is(c as u8, TARGET) || c == '#');
        if let Some(c) = text.chars().find(|c| bad(*c)) {
            return Err(LinkError::Character(c));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at_checked(at).unwrap_or((rest, ""));
            plain.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                plain.push_str(brace.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let (name, after) = brace
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or(LinkError::Brace)?;
            let piece = NAMES.into_iter().find(|(known, _)| *known == name);
            let (_, piece) = piece.ok_or_else(|| LinkError::Unknown(name.to_owned()))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        match pieces.first() {
            None => return Err(LinkError::Empty),
            Some(Piece::Path | Piece::Scheme) => {}
            Some(Piece::Text(text)) if text.starts_with('/') || has_scheme(text) => {}
            _ => return Err(LinkError::Start),
        }
        Ok(Self { pieces })
    }

    /// Whether the request's query is part of it.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.pieces.contains(&Piece::Query)
    }

    /// Appends the URL for a request. A path that is the URL's begin never is taken for a host: of
    /// several slashes in front one is left.
    pub fn render(&self, out: &mut Vec<u8>, values: &LinkValues<'_>) {
        let start = out.len();
        for piece in &self.pieces {
            out.extend_from_slice(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Host => values.host,
                // `OPTIONS *` has no path.
                Piece::Path if values.path.starts_with(b"/") => values.path,
                Piece::Path => b"/",
                Piece::Query => values.query.unwrap_or_default(),
                Piece::Scheme => values.scheme,
            });
        }
        if self.begins_with_path() {
            let written = out.get(start..).unwrap_or_default();
            let slashes = written.iter().take_while(|byte| **byte == b'/').count();
            out.drain(start..start + slashes.saturating_sub(1));
        }
    }

    /// Whether what a client sent may stand behind its first slash: a second one would make a host
    /// of what follows.
    fn begins_with_path(&self) -> bool {
        match self.pieces.as_slice() {
            [Piece::Path, ..] => true,
            [Piece::Text(text), _, ..] => text.bytes().all(|byte| byte == b'/') && text.len() == 1,
            _ => false,
        }
    }
}

fn has_scheme(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    f.write_str(&text.replace('{', "{{").replace('}', "}}"))?;
                }
                Piece::Host => f.write_str("{host}")?,
                Piece::Path => f.write_str("{path}")?,
                Piece::Query => f.write_str("{query}")?,
                Piece::Scheme => f.write_str("{scheme}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(link: &str, path: &str) -> String {
        let values = LinkValues {
            scheme: b"https",
            host: b"old.test",
            path: path.as_bytes(),
            query: Some(b"a=1"),
        };
        let link = Link::parse(link).unwrap();
        assert_eq!(Link::parse(&link.to_string()).unwrap(), link);
        let mut out = b"Location: ".to_vec();
        link.render(&mut out, &values);
        String::from_utf8(out).unwrap().strip_prefix("Location: ").unwrap().to_owned()
    }

    #[test]
    fn pieces_take_their_values() {
        for (link, path, expected) in [
            ("https://new.test{path}", "/a/b", "https://new.test/a/b"),
            ("https://new.test{path}", "//a", "https://new.test//a"),
            ("HTTP://{host}:8080/x?{query}#{{top}}", "/", "HTTP://old.test:8080/x?a=1#{top}"),
            ("{scheme}://www.{host}{path}", "*", "https://www.old.test/"),
            ("/fixed", "/a", "/fixed"),
            ("//cdn.test{path}", "/a", "//cdn.test/a"),
            ("/new{path}", "//a", "/new//a"),
            // A second slash would send the client to the host `evil.test`.
            ("{path}", "//evil.test/x", "/evil.test/x"),
            ("{path}/", "///", "/"),
            ("/{path}", "/evil.test", "/evil.test"),
            ("/{query}", "/", "/a=1"),
        ] {
            assert_eq!(render(link, path), expected, "{link} {path}");
        }
    }

    #[test]
    fn what_is_no_link() {
        use LinkError::{Brace, Character, Empty, Start, Unknown};
        for (text, expected) in [
            ("", Empty),
            ("new.test{path}", Start),
            ("{host}/x", Start),
            ("ftp://x", Start),
            ("/{path", Brace),
            ("/path}", Brace),
            ("/{Path}", Unknown("Path".to_owned())),
            ("/{}", Unknown(String::new())),
            ("/a b", Character(' ')),
            ("/a\r\nb", Character('\r')),
            ("/é", Character('é')),
            ("/a\\b", Character('\\')),
        ] {
            assert_eq!(Link::parse(text), Err(expected), "{text}");
        }
    }
}
