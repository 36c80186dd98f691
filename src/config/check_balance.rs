//! `balance` of a pool, and what it hashes.

use toml::de::DeValue;

use super::check_route::is_token;
use super::checked_pool::{Balance, HashKey};
use super::document::{At, Findings, Table, not_a_choice, span_of, wrong_type};
use super::error::Mistake;
use super::keys::Section;
use super::nearest::nearest;

/// The words of `balance`; the last stands in a table.
const WORDS: &[&str] = &["round-robin", "least-connections", "least-time", "random-two", "hash"];

/// The kinds of keys that take a name, as written before it.
const NAMED: [&str; 3] = ["header:", "cookie:", "query:"];

/// Why a text is nothing that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKeyError {
    /// No kind of key; perhaps this one was meant.
    Unknown(Option<&'static str>),
    /// A kind of key without its name, such as `header:`.
    NoName(&'static str),
    /// A name that no header or cookie has, or that no query is written with.
    BadName(&'static str),
}

pub(super) fn balance(table: &Table<'_>, findings: &mut Findings) -> Balance {
    let Some((key, value)) = table.get("balance") else { return Balance::RoundRobin };
    let mistake = match value.get_ref() {
        DeValue::String(word) => match word.as_ref() {
            "round-robin" => return Balance::RoundRobin,
            "least-connections" => return Balance::LeastConnections,
            "least-time" => return Balance::LeastTime,
            "random-two" => return Balance::RandomTwo,
            "hash" => Mistake::BareHash,
            word => not_a_choice(key, word, WORDS),
        },
        DeValue::Table(fields) => {
            let fields = table.child(Section::Balance, span_of(value), fields, findings);
            return Balance::Hash(hash(&fields, findings));
        }
        _ => wrong_type(key, value),
    };
    findings.add(span_of(value), mistake);
    Balance::RoundRobin
}

/// What is hashed; a stand-in where that is not said.
fn hash(fields: &Table<'_>, findings: &mut Findings) -> HashKey {
    // Its absence is reported here.
    if fields.required("hash", findings).is_none() {
        return HashKey::ClientIp;
    }
    let Some(At { value, span }) = fields.text("hash", findings) else { return HashKey::ClientIp };
    hash_key(value).unwrap_or_else(|why| {
        findings.add(span, Mistake::BadHashKey(why));
        HashKey::ClientIp
    })
}

/// What a text says is hashed.
pub(super) fn hash_key(text: &str) -> Result<HashKey, HashKeyError> {
    let named = |kind: &'static str, is_name: fn(&str) -> bool| {
        let name = text.strip_prefix(kind)?;
        Some(match name {
            "" => Err(HashKeyError::NoName(kind)),
            name if is_name(name) => Ok(name),
            _ => Err(HashKeyError::BadName(kind)),
        })
    };
    if let Some(name) = named("header:", is_token) {
        return name.map(|name| HashKey::Header(name.to_ascii_lowercase()));
    }
    if let Some(name) = named("cookie:", is_token) {
        return name.map(|name| HashKey::Cookie(name.to_owned()));
    }
    if let Some(name) = named("query:", is_parameter) {
        return name.map(|name| HashKey::Query(name.to_owned()));
    }
    match text {
        "client-ip" => Ok(HashKey::ClientIp),
        "path" => Ok(HashKey::Path),
        _ => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> HashKeyError {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    let of_kind = NAMED.into_iter().find(|named| named.trim_end_matches(':') == kind);
    match of_kind {
        Some(kind) => HashKeyError::NoName(kind),
        None if name.is_empty() => {
            let words = ["client-ip", "path"].into_iter().chain(NAMED);
            HashKeyError::Unknown(nearest(text, words))
        }
        None => HashKeyError::Unknown(nearest(&format!("{kind}:"), NAMED)),
    }
}

/// Whether a text is the name of a parameter as it stands in a query: no delimiter, no space.
fn is_parameter(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"&=#+;".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use HashKeyError::{BadName, NoName, Unknown};

    #[test]
    fn keys() {
        let cases = [
            ("client-ip", Ok(HashKey::ClientIp)),
            ("path", Ok(HashKey::Path)),
            ("header:X-User", Ok(HashKey::Header("x-user".to_owned()))),
            ("cookie:SID", Ok(HashKey::Cookie("SID".to_owned()))),
            ("query:user[id]", Ok(HashKey::Query("user[id]".to_owned()))),
            ("header:", Err(NoName("header:"))),
            ("cookie", Err(NoName("cookie:"))),
            ("header: X-User", Err(BadName("header:"))),
            ("cookie:a=b", Err(BadName("cookie:"))),
            ("query:a&b", Err(BadName("query:"))),
            ("client_ip", Err(Unknown(Some("client-ip")))),
            ("headers:X-User", Err(Unknown(Some("header:")))),
            ("Path", Err(Unknown(Some("path")))),
            ("url", Err(Unknown(None))),
            ("", Err(Unknown(None))),
        ];
        for (text, expected) in cases {
            assert_eq!(hash_key(text), expected, "{text}");
        }
    }
}
