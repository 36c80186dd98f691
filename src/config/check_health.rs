//! `health` of a pool: probes.

use toml::de::DeValue;

use super::check_route::{is_method, is_token, push_once};
use super::checked_pool::{HealthConfig, Probe};
use super::document::{Findings, Table, in_order, number, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::host;
use super::status::{self, FINAL_MIN};

/// Fields that a probe may be given.
const FIELDS_MAX: usize = 64;

/// The keys of probes by request.
const HTTP_KEYS: [&str; 6] = ["method", "path", "host", "headers", "status", "body"];

/// Fields that say how a probe is sent, or where its request ends.
const OWN: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a field is none that a probe can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is no token (RFC 9110 section 5.1).
    Name,
    /// The value has a control character in it, or a space at an end (section 5.5).
    Value,
    /// `Host` has a key of its own.
    Host,
    /// The connection is the prober's.
    Own,
}

pub(super) fn health(pool: &Table<'_>, findings: &mut Findings) -> Option<HealthConfig> {
    let table = pool.switch("health", findings)?;
    let (interval, timeout) = (table.time("interval", findings), table.time("timeout", findings));
    if timeout >= interval {
        let written = table.get("timeout").or_else(|| table.get("interval"));
        let span = written.map_or(table.span, |(_, value)| span_of(value));
        findings.add(span, Mistake::ProbeTimeout { timeout, interval });
    }
    Some(HealthConfig {
        probe: probe(&table, findings),
        interval,
        timeout,
        fall: table.count32("fall", findings),
        rise: table.count32("rise", findings),
        port: table.get("port").and_then(|(key, value)| {
            let port = number(key, value, 1, u64::from(u16::MAX), findings)?;
            u16::try_from(port).ok()
        }),
        start_down: table.choice("start", findings) == 1,
    })
}

fn probe(table: &Table<'_>, findings: &mut Findings) -> Probe {
    if table.choice("type", findings) == 1 {
        for name in HTTP_KEYS {
            if let Some((key, value)) = table.get(name) {
                findings.add(span_of(value), Mistake::TcpProbe { key: key.name });
            }
        }
        return Probe::Tcp;
    }
    let method = table.text("method", findings).filter(|text| is_method(*text, findings));
    let body = table.text("body", findings);
    if let (Some("HEAD"), Some(body)) = (method.map(|method| method.value), body) {
        findings.add(body.span, Mistake::BodyOfHead);
    }
    Probe::Http {
        method: method.map_or("GET", |method| method.value).to_owned(),
        path: path(table, findings),
        host: table.text("host", findings).map(|text| {
            if !host::is_authority(text.value) {
                findings.add(text.span, Mistake::BadProbeHost);
            }
            text.value.to_owned()
        }),
        headers: headers(table, findings),
        status: statuses(table, findings),
        body: body.map(|body| body.value.to_owned()),
    }
}

/// A path with or without a query (RFC 9112 section 3.2.1), sent as it is.
fn path(table: &Table<'_>, findings: &mut Findings) -> String {
    let Some(text) = table.text("path", findings) else { return "/".to_owned() };
    let sendable = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    if !text.value.starts_with('/') || !text.value.bytes().all(sendable) {
        findings.add(text.span, Mistake::BadProbePath);
    }
    text.value.to_owned()
}

fn headers(table: &Table<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let Some((key, value)) = table.get("headers") else { return headers };
    let DeValue::Table(fields) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return headers;
    };
    let mut names: Vec<(String, Span)> = Vec::new();
    for (index, (name, value)) in in_order(fields).into_iter().enumerate() {
        if index == FIELDS_MAX {
            findings.add(name.span, Mistake::TooMany { max: FIELDS_MAX });
            break;
        }
        let lower = name.value.to_ascii_lowercase();
        if let Some(why) = bad_name(&lower) {
            findings.add(name.span, Mistake::BadField(why));
        }
        push_once(&mut names, lower, name.span, findings);
        let Some(text) = text(key, value, findings) else { continue };
        if !is_field_value(text.value) {
            findings.add(text.span, Mistake::BadField(FieldError::Value));
        }
        headers.push((name.value.to_owned(), text.value.to_owned()));
    }
    headers
}

/// What is wrong with the name of a field, given in lower case.
fn bad_name(lower: &str) -> Option<FieldError> {
    match lower {
        "host" => Some(FieldError::Host),
        own if OWN.contains(&own) => Some(FieldError::Own),
        name if !is_token(name) => Some(FieldError::Name),
        _ => None,
    }
}

fn is_field_value(text: &str) -> bool {
    let trimmed = text.trim_matches([' ', '\t']).len() == text.len();
    trimmed && !text.chars().any(|c| c != '\t' && c.is_control())
}

fn statuses(table: &Table<'_>, findings: &mut Findings) -> Vec<(u16, u16)> {
    let Some((key, value)) = table.get("status") else { return vec![(200, 299)] };
    let items = match value.get_ref() {
        DeValue::Array(items) => {
            if items.is_empty() {
                findings.add(span_of(value), Mistake::EmptyList { key: key.name });
            }
            items.iter().collect()
        }
        _ => vec![value],
    };
    let mut ranges: Vec<((u16, u16), Span)> = Vec::new();
    for item in items {
        match status::range(item, FINAL_MIN) {
            Some(Ok(range)) => push_once(&mut ranges, range, span_of(item), findings),
            Some(Err(why)) => findings.add(span_of(item), Mistake::BadStatus(why)),
            None => findings.add(span_of(item), wrong_type(key, item)),
        }
    }
    ranges.into_iter().map(|(range, _)| range).collect()
}
