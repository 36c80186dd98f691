//! Whether a request has what a route asks for beside host, path and method. Pure.

use std::net::IpAddr;

use regex::bytes::Regex;

use crate::config::{Condition, Conditions, Part, Test};
use crate::http::{Name, RequestHead, pairs};

/// What of a request decides its route.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The host in lower case, without a port; empty: none was sent.
    pub host: &'a [u8],
    /// The path in normal form, without a query.
    pub path: &'a [u8],
    /// The method as sent.
    pub method: &'a [u8],
    /// The rest of the head.
    pub head: &'a RequestHead,
    /// The client's address; asked for only where a route wants to know.
    pub client: &'a dyn Fn() -> IpAddr,
}

impl<'a> Asked<'a> {
    /// The request of a head, of a client that `client` tells.
    #[must_use]
    pub fn of(head: &'a RequestHead, client: &'a dyn Fn() -> IpAddr) -> Self {
        let (host, path, method) = (head.host(), head.path(), head.method_bytes());
        Self { host, path, method, head, client }
    }
}

/// Whether all of them hold. `text` is there to decode into.
pub(super) fn hold(conditions: &Conditions, asked: &Asked<'_>, text: &mut Vec<u8>) -> bool {
    conditions.parts.iter().all(|condition| holds(condition, asked.head, text))
        && (conditions.clients.is_empty() || {
            let client = (asked.client)();
            conditions.clients.iter().any(|block| block.contains(client))
        })
}

fn holds(condition: &Condition, head: &RequestHead, text: &mut Vec<u8>) -> bool {
    let name = condition.name.as_bytes();
    match condition.part {
        Part::Header => {
            let fields = head.fields();
            let of_name = fields.filter(|field| field.name_bytes.eq_ignore_ascii_case(name));
            among(&condition.test, of_name.map(|field| field.value))
        }
        Part::Cookie => {
            let fields = head.fields().filter(|field| field.name == Name::Cookie);
            let cookies = fields.flat_map(|field| pairs::cookies(field.value));
            among(&condition.test, cookies.filter(|(n, _)| *n == name).map(|(_, value)| value))
        }
        Part::Query => {
            let parameters = pairs::parameters(head.query().unwrap_or_default());
            let mut values = parameters
                .filter(|(n, _)| pairs::decoded(n).eq(name.iter().copied()))
                .map(|(_, value)| value);
            match &condition.test {
                Test::Is(is) => values.any(|value| pairs::decoded(value).eq(is.bytes())),
                Test::Matches(regex) => values.any(|value| is_found(regex, value, text)),
                Test::Present => values.next().is_some(),
                Test::Absent => values.next().is_none(),
            }
        }
    }
}

/// Whether one of the values is what it must be.
fn among<'a>(test: &Test, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
    match test {
        Test::Is(text) => values.any(|value| value == text.as_bytes()),
        Test::Matches(regex) => values.any(|value| regex.is_match(value)),
        Test::Present => values.next().is_some(),
        Test::Absent => values.next().is_none(),
    }
}

fn is_found(regex: &Regex, value: &[u8], text: &mut Vec<u8>) -> bool {
    text.clear();
    text.extend(pairs::decoded(value));
    regex.is_match(text)
}
