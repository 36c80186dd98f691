//! What a route does with its requests: `pool`, `split`, `redirect` or `respond`.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::check_balance::hash_key;
use super::check_route::{Names, is_token, push_once};
use super::checked_pool::HashKey;
use super::checked_route::{
    Action, Body, ProbeConfig, RedirectConfig, RespondConfig, SplitBy, SplitConfig,
};
use super::document::{At, Findings, Table, in_order, not_a_choice, span_of, wrong_type};
use super::error::Mistake;
use super::keys::{Key, Section};
use super::message_route::RouteError;
use super::{check_pages, status};
use crate::http::Link;
use crate::ids::PoolId;

/// The type of bodies that say no other.
const TEXT: &str = "text/plain; charset=utf-8";

/// The keys of which a route has one.
const ACTIONS: [&str; 4] = ["pool", "split", "redirect", "respond"];

/// Keys that mean something only where requests go to members.
const OF_MEMBERS: [&str; 8] = [
    "host",
    "via",
    "request_headers",
    "location",
    "set_cookie",
    "buffer_request",
    "buffer_response",
    "timeouts",
];

/// Statuses that redirect clients (RFC 9110 section 15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Pools of one split.
const SPLIT_MOST: usize = 64;

/// Fields of one fixed answer.
const HEADERS_MOST: usize = 64;

/// Fields that are ringway's own, or have a key of their own.
const OWN: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is done with the requests; a stand-in where that is not said.
pub(super) fn action(table: &Table<'_>, names: &Names<'_>, findings: &mut Findings) -> Action {
    let mut written = table.entries().filter(|(key, _)| ACTIONS.contains(&key.name));
    let stand_in = Action::Pool(PoolId(0));
    let Some((first, _)) = written.next() else {
        findings.add(table.span, Mistake::BadRoute(RouteError::NoAction));
        return stand_in;
    };
    for (_, value) in written {
        findings.add(span_of(value), Mistake::BadRoute(RouteError::TwoActions(first.name)));
    }
    let to_members = matches!(first.name, "pool" | "split");
    let mut idle = |keys: &[&str]| {
        for (key, value) in table.entries().filter(|(key, _)| keys.contains(&key.name)) {
            findings.add(span_of(value), Mistake::BadRoute(RouteError::Idle(key.name)));
        }
    };
    if !to_members {
        idle(&OF_MEMBERS);
    }
    if first.name == "respond" {
        idle(&["strip", "rewrite"]);
    }
    if first.name != "split" {
        idle(&["split_by", "split_fallback"]);
    }
    match first.name {
        "pool" => {
            let name = table.text("pool", findings);
            Action::Pool(PoolId(name.and_then(|n| names.pools.find(n, findings)).unwrap_or(0)))
        }
        "split" => split(table, names, findings).map_or(stand_in, Action::Split),
        "redirect" => redirect(table, findings).map_or(stand_in, Action::Redirect),
        _ => respond(table, names, findings).unwrap_or(stand_in),
    }
}

fn split(table: &Table<'_>, names: &Names<'_>, findings: &mut Findings) -> Option<SplitConfig> {
    let (key, value) = table.get("split")?;
    let DeValue::Array(items) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return None;
    };
    if items.is_empty() {
        findings.add(span_of(value), Mistake::EmptyList { key: key.name });
    }
    if let Some(item) = items.get(SPLIT_MOST) {
        findings.add(span_of(item), Mistake::TooMany { max: SPLIT_MOST });
    }
    let (mut pools, mut weights) = (Vec::new(), Vec::new());
    for item in items.iter().take(SPLIT_MOST) {
        let DeValue::Table(fields) = item.get_ref() else {
            findings.add(span_of(item), wrong_type(key, item));
            continue;
        };
        let fields = table.child(Section::Split, span_of(item), fields, findings);
        let weight = fields.count32("weight", findings);
        if fields.required("pool", findings).is_some()
            && let Some(name) = fields.text("pool", findings)
            && let Some(id) = names.pools.find(name, findings)
        {
            let before = pools.len();
            push_once(&mut pools, PoolId(id), name.span, findings);
            weights.extend((pools.len() > before).then_some(weight));
        }
    }
    if !weights.is_empty() && weights.iter().all(|weight| *weight == 0) {
        findings.add(span_of(value), Mistake::BadRoute(RouteError::NoWeight));
    }
    let parts = pools.into_iter().map(|(pool, _)| pool).zip(weights).collect();
    Some(SplitConfig { by: split_by(table, findings), parts, falls: split_falls(table, findings) })
}

fn split_falls(table: &Table<'_>, findings: &mut Findings) -> bool {
    match table.text("split_fallback", findings).map(|text| (text.value, text.span)) {
        None | Some(("next", _)) => true,
        Some(("off", _)) => false,
        Some((word, span)) => {
            if let Some((key, _)) = table.get("split_fallback") {
                findings.add(span, not_a_choice(key, word, &["next", "off"]));
            }
            true
        }
    }
}

fn split_by(table: &Table<'_>, findings: &mut Findings) -> SplitBy {
    let Some(text) = table.text("split_by", findings) else {
        return SplitBy::Key(HashKey::ClientIp);
    };
    if text.value == "request" {
        return SplitBy::Request;
    }
    SplitBy::Key(hash_key(text.value).unwrap_or_else(|why| {
        findings.add(text.span, Mistake::BadHashKey(why));
        HashKey::ClientIp
    }))
}

fn redirect(table: &Table<'_>, findings: &mut Findings) -> Option<RedirectConfig> {
    let (key, value) = table.get("redirect")?;
    let fields = match value.get_ref() {
        DeValue::String(text) => {
            let to = link(At { value: text.as_ref(), span: span_of(value) }, findings)?;
            let query = !to.has_query();
            return Some(RedirectConfig { to, status: 308, query });
        }
        DeValue::Table(fields) => fields,
        _ => {
            findings.add(span_of(value), wrong_type(key, value));
            return None;
        }
    };
    let fields = table.child(Section::Redirect, span_of(value), fields, findings);
    fields.required("to", findings)?;
    let status = match fields.get("status") {
        None => 308,
        Some((key, value)) => match status::status(value, 300) {
            Some(Ok(status)) if REDIRECTS.contains(&status) => status,
            None => {
                findings.add(span_of(value), wrong_type(key, value));
                308
            }
            _ => {
                findings.add(span_of(value), Mistake::BadRoute(RouteError::RedirectStatus));
                308
            }
        },
    };
    let keep = fields.choice("query", findings) == 0;
    let to = link(fields.text("to", findings)?, findings)?;
    let query = keep && !to.has_query();
    Some(RedirectConfig { to, status, query })
}

fn link(text: At<&str>, findings: &mut Findings) -> Option<Link> {
    let add = |why| findings.add(text.span, Mistake::BadRoute(RouteError::Redirect(why)));
    Link::parse(text.value).map_err(add).ok()
}

fn respond(table: &Table<'_>, names: &Names<'_>, findings: &mut Findings) -> Option<Action> {
    let (key, value) = table.get("respond")?;
    match value.get_ref() {
        DeValue::Integer(_) => {
            let status = status_of(key, value, findings);
            let content_type = TEXT.to_owned();
            Some(Action::Respond(Box::new(RespondConfig {
                status,
                body: Body::Empty,
                content_type,
                headers: Vec::new(),
            })))
        }
        DeValue::String(word) => match word.as_ref() {
            "livez" => Some(Action::Probe(ProbeConfig::Live)),
            "readyz" => Some(Action::Probe(ProbeConfig::Ready(None))),
            word => {
                findings.add(span_of(value), not_a_choice(key, word, &["livez", "readyz"]));
                None
            }
        },
        DeValue::Table(fields) => {
            let fields = table.child(Section::Respond, span_of(value), fields, findings);
            let Some(pools) = fields.texts("ready", true, findings) else {
                return Some(Action::Respond(Box::new(fixed(&fields, findings))));
            };
            for (_, value) in fields.entries().filter(|(key, _)| key.name != "ready") {
                findings.add(span_of(value), Mistake::BadRoute(RouteError::TwoActions("ready")));
            }
            let mut ids = Vec::new();
            for name in pools {
                if let Some(id) = names.pools.find(name, findings) {
                    push_once(&mut ids, PoolId(id), name.span, findings);
                }
            }
            let ids = ids.into_iter().map(|(id, _)| id).collect();
            Some(Action::Probe(ProbeConfig::Ready(Some(ids))))
        }
        _ => {
            findings.add(span_of(value), wrong_type(key, value));
            None
        }
    }
}

fn status_of(key: &Key, value: &Spanned<DeValue<'_>>, findings: &mut Findings) -> u16 {
    let mistake = match status::status(value, status::FINAL_MIN) {
        Some(Ok(status)) => return status,
        Some(Err(why)) => Mistake::BadStatus(why),
        None => wrong_type(key, value),
    };
    findings.add(span_of(value), mistake);
    200
}

fn fixed(fields: &Table<'_>, findings: &mut Findings) -> RespondConfig {
    let status = fields.get("status").map_or(200, |(key, value)| status_of(key, value, findings));
    let (body, content_type) = body(fields, findings);
    if let (204 | 205 | 304, Some((_, value))) =
        (status, fields.get("body").or_else(|| fields.get("file")))
    {
        findings.add(span_of(value), Mistake::BadRoute(RouteError::NoBody(status)));
    }
    RespondConfig { status, body, content_type, headers: headers(fields, findings) }
}

/// The body and its type.
fn body(fields: &Table<'_>, findings: &mut Findings) -> (Body, String) {
    let text = fields.text("body", findings);
    let mut kind = TEXT;
    let body = match (text, fields.text("file", findings)) {
        (Some(_), Some(file)) => {
            findings.add(file.span, Mistake::BadRoute(RouteError::TwoBodies));
            Body::Empty
        }
        (Some(text), None) => Body::Text(text.value.to_owned()),
        (None, Some(file)) => {
            let path = PathBuf::from(file.value);
            kind = check_pages::content_type(&path);
            Body::File(check_pages::contents(path, check_pages::ANSWER_MAX, file.span, findings))
        }
        (None, None) => Body::Empty,
    };
    let Some(text) = fields.text("content_type", findings) else { return (body, kind.to_owned()) };
    if !is_value(text.value) || !text.value.contains('/') {
        findings.add(text.span, Mistake::BadRoute(RouteError::ContentType));
    }
    (body, text.value.to_owned())
}

/// Whether a text may be the value of a field.
fn is_value(text: &str) -> bool {
    let good = |c: char| c == '\t' || (!c.is_control() && c.is_ascii());
    !text.is_empty() && text.trim_ascii() == text && text.chars().all(good)
}

fn headers(fields: &Table<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let Some((key, value)) = fields.get("headers") else { return headers };
    let DeValue::Table(table) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return headers;
    };
    for (name, value) in in_order(table) {
        if headers.len() == HEADERS_MOST {
            findings.add(name.span, Mistake::TooMany { max: HEADERS_MOST });
            break;
        }
        let lower = name.value.to_ascii_lowercase();
        if !is_token(name.value) {
            findings.add(name.span, Mistake::BadRoute(RouteError::FieldName));
        } else if OWN.contains(&lower.as_str()) {
            findings.add(name.span, Mistake::BadRoute(RouteError::OwnField(lower)));
        }
        match value.get_ref().as_str() {
            Some(text) if is_value(text) => headers.push((name.value.to_owned(), text.to_owned())),
            _ => findings.add(span_of(value), Mistake::BadRoute(RouteError::FieldText)),
        }
    }
    headers
}
