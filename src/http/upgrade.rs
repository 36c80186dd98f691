//! `Upgrade`: which protocols a connection may be handed over to.
//!
//! Behind a 101 nobody sees what is said, so none may pass that carries further requests: they would
//! go around every rule here.

use super::bytes::{is_token, trim};

/// Protocols that carry HTTP, or hide it.
const REFUSED: [&[u8]; 5] = [b"http", b"h2", b"h2c", b"h3", b"tls"];

/// Whether the value of a client's Upgrade may go on: a list of protocols (RFC 9110 7.8), none of
/// them of those. What is no such list could be read as anything.
#[must_use]
pub fn may_pass(value: &[u8]) -> bool {
    let mut names = names(value).peekable();
    names.peek().is_some()
        && names.all(|name| {
            name.is_some_and(|name| !REFUSED.iter().any(|other| name.eq_ignore_ascii_case(other)))
        })
}

/// Whether the protocols that a 101 switches to are all among those that were asked for. Versions are
/// for the two ends to agree on.
#[must_use]
pub fn is_among(chosen: &[u8], asked: &[u8]) -> bool {
    let mut chosen = names(chosen).peekable();
    let same = |name: &[u8]| names(asked).flatten().any(|other| other.eq_ignore_ascii_case(name));
    chosen.peek().is_some() && chosen.all(|name| name.is_some_and(same))
}

/// The names of the protocols of a list; `None`: an element is none.
fn names(list: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let elements = list.split(|byte| *byte == b',').map(trim);
    elements.filter(|element| !element.is_empty()).map(|element| {
        let (name, version) = match memchr::memchr(b'/', element) {
            Some(at) => (element.get(..at)?, element.get(at + 1..)),
            None => (element, None),
        };
        (is_token(name) && version.is_none_or(is_token)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass() {
        let yes = ["websocket", "WebSocket", "websocket, x/1", ", tcp ,", "SPDY/3.1", "h2x", "a"];
        let no = [
            "h2c",
            "H2C",
            "h2c/2",
            "websocket, h2c",
            "h2c,websocket",
            "h2",
            "h3",
            "HTTP/2.0",
            "TLS/1.2",
            "tls",
            "\"h2c\"",
            "web socket",
            "websocket;h2c",
            "websocket h2c",
            "h2c/",
            "a/b/c",
            "/1",
            "",
            ",",
        ];
        for value in yes {
            assert!(may_pass(value.as_bytes()), "{value}");
        }
        for value in no {
            assert!(!may_pass(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_was_asked_for() {
        let cases = [
            ("websocket", "websocket", true),
            ("WebSocket", "x, websocket/13", true),
            ("x/2", "x/1", true),
            ("a, b", "b, a", true),
            ("h2c", "websocket", false),
            ("websocket, h2c", "websocket", false),
            ("web socket", "websocket", false),
            ("", "websocket", false),
            (",", "websocket", false),
        ];
        for (chosen, asked, expected) in cases {
            assert_eq!(
                is_among(chosen.as_bytes(), asked.as_bytes()),
                expected,
                "{chosen:?} {asked:?}"
            );
        }
    }
}
