//! `cache` of a route.

use std::fmt;
use std::time::Duration;

use toml::de::DeValue;

use super::check_route::{is_token, push_once};
use super::checked_cache::{CacheConfig, KeyPart, Mark};
use super::document::{At, Findings, Table, in_order, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::nearest::nearest;
use super::scalar::{self, show_duration};
use super::status::StatusError;
use crate::http::caching::CookiePolicy;

/// The longest time of `max_age`: a year.
const AGE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The words of `key`, and what stands before a name in it.
const KEY_WORDS: [&str; 6] = ["scheme", "host", "path", "query", "header:", "cookie:"];
/// What stands before a name in `bypass`.
const MARK_WORDS: [&str; 3] = ["header:", "cookie:", "query:"];

/// What is wrong with a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheError {
    /// Nothing that a key is made of; perhaps this was meant.
    KeyPart(Option<&'static str>),
    /// Nothing that marks requests; perhaps this was meant.
    Mark(Option<&'static str>),
    /// No header, cookie or parameter has this name.
    Name,
    /// `max_age` for something that is no status and no class of statuses.
    Status(StatusError),
    /// An answer that is never stored: a part of one, or one without content of its own.
    NeverStored(u16),
    /// A key without the path: all paths would have one answer.
    NoPath,
    /// `overrule` without anything that overrules.
    NothingOverrules,
    /// A folder that depends on where the process is started.
    Folder,
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyPart(_) => f.write_str("no key is made of this"),
            Self::Mark(_) => f.write_str("requests cannot be told apart by this"),
            Self::Name => f.write_str("nothing in a request has this name"),
            Self::Status(why) => write!(f, "{why}"),
            Self::NeverStored(status) => write!(f, "answers with {status} are never stored"),
            Self::NoPath => f.write_str("without \"path\" every path would get the same answer"),
            Self::NothingOverrules => f.write_str("there is no \"max_age\" that could overrule"),
            Self::Folder => f.write_str("this is no whole path"),
        }
    }
}

impl CacheError {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        match self {
            Self::KeyPart(Some(nearest)) | Self::Mark(Some(nearest)) => {
                super::message::did_you_mean(nearest)
            }
            Self::KeyPart(None) => "write \"scheme\", \"host\", \"path\", \"query\", \"header:NAME\" or \"cookie:NAME\"".to_owned(),
            Self::Mark(None) => "write \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"".to_owned(),
            Self::Name => "as in \"header:X-Preview\"".to_owned(),
            Self::Status(_) => "as in: max_age = { 200 = \"10m\", 404 = \"1m\", 5xx = \"5s\" }".to_owned(),
            Self::NeverStored(_) => "leave it out".to_owned(),
            Self::NoPath => "add \"path\"".to_owned(),
            Self::NothingOverrules => "write one, or leave this out".to_owned(),
            Self::Folder => "as in: folder = \"/var/cache/ringway\"".to_owned(),
        }
    }
}

pub(super) fn cache(route: &Table<'_>, findings: &mut Findings) -> Option<Box<CacheConfig>> {
    let table = route.switch("cache", findings)?;
    let set_cookie = match table.choice("set_cookie", findings) {
        0 => CookiePolicy::IfShared,
        1 => CookiePolicy::Store,
        _ => CookiePolicy::Refuse,
    };
    let cache = CacheConfig {
        key: key(&table, findings),
        max_age: max_age(&table, findings),
        overrule: table.flag("overrule", findings),
        max_object: table.bounded("max_object", findings),
        stale_while_revalidate: table.time("stale_while_revalidate", findings),
        stale_if_error: table.time("stale_if_error", findings),
        heuristics: table.percent("heuristics", findings),
        set_cookie,
        bypass: bypass(&table, findings),
        ignore_client_directives: table.flag("ignore_client_directives", findings),
        status_header: table.flag("status_header", findings),
        wait: table.time("wait", findings),
    };
    if cache.overrule
        && table.get("max_age").is_none()
        && let Some((_, value)) = table.get("overrule")
    {
        findings.add(span_of(value), Mistake::BadCache(CacheError::NothingOverrules));
    }
    Some(Box::new(cache))
}

fn key(table: &Table<'_>, findings: &mut Findings) -> Vec<KeyPart> {
    let Some(texts) = table.texts("key", false, findings) else {
        return KeyPart::DEFAULT.to_vec();
    };
    let mut parts: Vec<(KeyPart, Span)> = Vec::new();
    for text in texts {
        match key_part(text.value) {
            Ok(part) => push_once(&mut parts, part, text.span, findings),
            Err(why) => findings.add(text.span, Mistake::BadCache(why)),
        }
    }
    if !parts.is_empty()
        && !parts.iter().any(|(part, _)| *part == KeyPart::Path)
        && let Some((_, value)) = table.get("key")
    {
        findings.add(span_of(value), Mistake::BadCache(CacheError::NoPath));
    }
    parts.into_iter().map(|(part, _)| part).collect()
}

fn key_part(text: &str) -> Result<KeyPart, CacheError> {
    let named =
        |name: &str| if is_token(name) { Ok(name.to_owned()) } else { Err(CacheError::Name) };
    match text {
        "scheme" => Ok(KeyPart::Scheme),
        "host" => Ok(KeyPart::Host),
        "path" => Ok(KeyPart::Path),
        "query" => Ok(KeyPart::Query),
        text => match text.split_once(':') {
            Some(("header", name)) => named(name).map(|n| KeyPart::Header(n.to_ascii_lowercase())),
            Some(("cookie", name)) => named(name).map(KeyPart::Cookie),
            Some((kind, _)) => Err(CacheError::KeyPart(nearest(&format!("{kind}:"), KEY_WORDS))),
            None => Err(CacheError::KeyPart(nearest(text, KEY_WORDS))),
        },
    }
}

fn bypass(table: &Table<'_>, findings: &mut Findings) -> Vec<Mark> {
    let mut marks: Vec<(Mark, Span)> = Vec::new();
    for text in table.texts("bypass", true, findings).unwrap_or_default() {
        match mark(text.value) {
            Ok(mark) => push_once(&mut marks, mark, text.span, findings),
            Err(why) => findings.add(text.span, Mistake::BadCache(why)),
        }
    }
    marks.into_iter().map(|(mark, _)| mark).collect()
}

fn mark(text: &str) -> Result<Mark, CacheError> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    let good = is_token(name);
    match kind {
        "header" if good => Ok(Mark::Header(name.to_ascii_lowercase())),
        "cookie" if good => Ok(Mark::Cookie(name.to_owned())),
        "query" if good => Ok(Mark::Query(name.to_owned())),
        "header" | "cookie" | "query" => Err(CacheError::Name),
        kind => Err(CacheError::Mark(nearest(&format!("{kind}:"), MARK_WORDS))),
    }
}

/// The statuses of a time that names none: what is there, and where it is for good. Where it is for
/// now (302, 307), it may depend on who asks.
const PLAIN: [u16; 3] = [200, 301, 308];

/// `{ 200 = "10m", 4xx = "1m" }`: what is narrower comes first. Or a time alone.
fn max_age(table: &Table<'_>, findings: &mut Findings) -> Vec<(u16, u16, Duration)> {
    let Some((key, value)) = table.get("max_age") else { return Vec::new() };
    let entries = match value.get_ref() {
        DeValue::Table(entries) => entries,
        DeValue::String(text) => {
            let time = time(text, span_of(value), findings);
            return time.map_or_else(Vec::new, |time| PLAIN.map(|at| (at, at, time)).to_vec());
        }
        _ => {
            findings.add(span_of(value), wrong_type(key, value));
            return Vec::new();
        }
    };
    let mut times = Vec::new();
    for (name, value) in in_order(entries) {
        let statuses = statuses(name, findings);
        let Some(At { value: written, span }) = text(key, value, findings) else { continue };
        if let (Some((from, to)), Some(time)) = (statuses, time(written, span, findings)) {
            times.push((from, to, time));
        }
    }
    times.sort_by_key(|(from, to, _)| (to - from, *from));
    times
}

fn statuses(name: At<&str>, findings: &mut Findings) -> Option<(u16, u16)> {
    let why = match name.value.as_bytes() {
        [digit @ b'2'..=b'5', b'x', b'x'] => {
            let first = u16::from(digit - b'0') * 100;
            return Some((first, first + 99));
        }
        text if text.len() == 3 && text.iter().all(u8::is_ascii_digit) => {
            match name.value.parse() {
                Ok(status @ (206 | 304)) => CacheError::NeverStored(status),
                Ok(status @ 200..=599) => return Some((status, status)),
                _ => CacheError::Status(StatusError::OutOfBounds { min: 200 }),
            }
        }
        _ => CacheError::Status(StatusError::NotOne),
    };
    findings.add(name.span, Mistake::BadCache(why));
    None
}

fn time(written: &str, span: Span, findings: &mut Findings) -> Option<Duration> {
    let mistake = match scalar::duration(written) {
        Ok(time) if time <= AGE_MAX => return Some(time),
        Ok(_) => Mistake::OutOfBounds {
            key: "max_age",
            min: "0s".to_owned(),
            max: show_duration(AGE_MAX),
        },
        Err(why) => Mistake::BadDuration { why, number: written.parse().ok() },
    };
    findings.add(span, mistake);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_keys_and_marks() {
        assert_eq!(key_part("path"), Ok(KeyPart::Path));
        assert_eq!(key_part("header:X-Lang"), Ok(KeyPart::Header("x-lang".to_owned())));
        assert_eq!(key_part("cookie:SID"), Ok(KeyPart::Cookie("SID".to_owned())));
        assert_eq!(key_part("header:"), Err(CacheError::Name));
        assert_eq!(key_part("headers:X"), Err(CacheError::KeyPart(Some("header:"))));
        assert_eq!(key_part("Path"), Err(CacheError::KeyPart(Some("path"))));
        assert_eq!(key_part("url"), Err(CacheError::KeyPart(None)));
        assert_eq!(mark("query:preview"), Ok(Mark::Query("preview".to_owned())));
        assert_eq!(mark("cookie"), Err(CacheError::Name));
        assert_eq!(mark("path"), Err(CacheError::Mark(None)));
    }
}
