//! Request ids, traces, forwarded fields, references and cookies of answers, scripts of other origins.

use toml::de::DeValue;

use super::check_headers::{Way, refused};
use super::check_route::{is_method, is_token, push_once};
use super::checked_rewrite::{
    CorsConfig, ForwardedConfig, LocationConfig, RequestIdConfig, TracingConfig,
};
use super::document::{At, Findings, Table, in_order, not_a_choice, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::host;
use super::message_rewrite::RewriteError;
use crate::http::cors::OriginPattern;
use crate::http::set_cookie::CookieRules;

/// Entries of one list or table.
const ENTRIES_MAX: usize = 256;

const FAMILIES: &[&str] = &["x-forwarded", "rfc7239"];

fn add(findings: &mut Findings, span: Span, why: RewriteError) {
    findings.add(span, Mistake::BadRewrite(why));
}

pub(super) fn request_id(table: &Table<'_>, findings: &mut Findings) -> Option<RequestIdConfig> {
    let table = table.switch("request_id", findings)?;
    let header = table.text("header", findings);
    if let Some(header) = header
        && let Some(why) = refused(header.value, Way::Up)
    {
        add(findings, header.span, why);
    }
    let header = header.map_or("X-Request-Id", |header| header.value).to_owned();
    Some(RequestIdConfig { header, echo: table.flag("echo", findings) })
}

pub(super) fn tracing(table: &Table<'_>, findings: &mut Findings) -> Option<TracingConfig> {
    let table = table.switch("tracing", findings)?;
    let start = table.choice("mode", findings) == 1;
    Some(TracingConfig { start, sample: table.percent("sample", findings) })
}

pub(super) fn forwarded(table: &Table<'_>, findings: &mut Findings) -> ForwardedConfig {
    let hops = table.count32("trusted_hops", findings);
    let by_forwarded = table.choice("trusted_field", findings) == 1;
    let (x_forwarded, rfc7239) = families(table, findings);
    ForwardedConfig { hops, by_forwarded, x_forwarded, rfc7239 }
}

fn families(table: &Table<'_>, findings: &mut Findings) -> (bool, bool) {
    let Some((key, value)) = table.get("forwarded") else { return (true, false) };
    if value.get_ref().as_str() == Some("off") {
        return (false, false);
    }
    let mut found: Vec<(&str, Span)> = Vec::new();
    for text in table.texts("forwarded", true, findings).unwrap_or_default() {
        match FAMILIES.contains(&text.value) {
            true => push_once(&mut found, text.value, text.span, findings),
            false => findings.add(text.span, not_a_choice(key, text.value, FAMILIES)),
        }
    }
    let has = |family| found.iter().any(|(name, _)| *name == family);
    (has("x-forwarded"), has("rfc7239"))
}

pub(super) fn location(table: &Table<'_>, findings: &mut Findings) -> Option<LocationConfig> {
    let table = table.switch("location", findings)?;
    let mut hosts: Vec<(String, Span)> = Vec::new();
    for text in list(&table, "hosts", findings) {
        if host::is_authority(text.value) {
            push_once(&mut hosts, text.value.to_ascii_lowercase(), text.span, findings);
        } else {
            add(findings, text.span, RewriteError::Authority);
        }
    }
    Some(LocationConfig { hosts: hosts.into_iter().map(|(host, _)| host).collect() })
}

/// The texts of a list, which may be empty.
fn list<'a>(table: &Table<'a>, name: &str, findings: &mut Findings) -> Vec<At<&'a str>> {
    if let Some((_, value)) = table.get(name)
        && let DeValue::Array(items) = value.get_ref()
    {
        if items.is_empty() {
            return Vec::new();
        }
        if let Some(item) = items.get(ENTRIES_MAX) {
            findings.add(span_of(item), Mistake::TooMany { max: ENTRIES_MAX });
        }
    }
    table.texts(name, true, findings).unwrap_or_default()
}

pub(super) fn set_cookie(table: &Table<'_>, findings: &mut Findings) -> Option<CookieRules> {
    let table = table.switch("set_cookie", findings)?;
    let rules = CookieRules {
        domain: pairs(&table, "domain", RewriteError::Domain, is_domain, findings),
        path: pairs(&table, "path", RewriteError::Path, is_path, findings),
        secure: wish(&table, "secure", findings),
        http_only: wish(&table, "http_only", findings),
        same_site: match table.choice("same_site", findings) {
            0 => None,
            1 => Some("Lax"),
            2 => Some("Strict"),
            _ => Some("None"),
        },
    };
    if rules.same_site == Some("None") && rules.secure != Some(true) {
        add(findings, table.span, RewriteError::Insecure);
    }
    (rules != CookieRules::default()).then_some(rules)
}

/// A table of texts, and what takes their place.
fn pairs(
    table: &Table<'_>,
    name: &str,
    why: RewriteError,
    is_good: fn(&str, bool) -> bool,
    findings: &mut Findings,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let Some((key, value)) = table.get(name) else { return pairs };
    let DeValue::Table(entries) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return pairs;
    };
    for (index, (from, value)) in in_order(entries).into_iter().enumerate() {
        if index == ENTRIES_MAX {
            findings.add(from.span, Mistake::TooMany { max: ENTRIES_MAX });
            break;
        }
        if !is_good(from.value, false) {
            add(findings, from.span, why.clone());
        }
        let Some(to) = text(key, value, findings) else { continue };
        if !is_good(to.value, true) {
            add(findings, to.span, why.clone());
        }
        pairs.push((from.value.to_owned(), to.value.to_owned()));
    }
    pairs
}

fn is_domain(text: &str, may_be_empty: bool) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let empty = text.is_empty() && may_be_empty;
    empty || (!text.is_empty() && !text.starts_with('.') && text.bytes().all(good))
}

fn is_path(text: &str, _: bool) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b';')
}

/// `true` or `false`; `None`: nothing is said.
fn wish(table: &Table<'_>, name: &str, findings: &mut Findings) -> Option<bool> {
    let (key, value) = table.get(name)?;
    let wish = value.get_ref().as_bool();
    if wish.is_none() {
        findings.add(span_of(value), wrong_type(key, value));
    }
    wish
}

pub(super) fn cors(table: &Table<'_>, findings: &mut Findings) -> Option<CorsConfig> {
    let table = table.switch("cors", findings)?;
    table.required("origins", findings)?;
    let credentials = table.flag("credentials", findings);
    let mut origins: Vec<(OriginPattern, Span)> = Vec::new();
    for text in table.texts("origins", true, findings).unwrap_or_default() {
        match OriginPattern::parse(text.value) {
            Ok(origin) => push_once(&mut origins, origin, text.span, findings),
            Err(why) => add(findings, text.span, RewriteError::Origin(why)),
        }
    }
    if let Some((_, span)) = origins.iter().find(|(origin, _)| *origin == OriginPattern::Any) {
        let (span, others) = (*span, origins.len() > 1);
        star(span, others, credentials, findings);
    }
    let mut methods = Vec::new();
    for text in list(&table, "methods", findings) {
        if is_method(text, findings) {
            methods.push(text.value);
        }
    }
    if table.get("methods").is_none() {
        methods = vec!["GET", "HEAD", "POST"];
    }
    Some(CorsConfig {
        origins: origins.into_iter().map(|(origin, _)| origin).collect(),
        methods: methods.join(", "),
        headers: names(&table, "headers", credentials, findings),
        expose: names(&table, "expose", credentials, findings),
        credentials,
        max_age: table.time_cap("max_age", findings),
    })
}

/// Reports a star that stands beside others, or for every site with credentials.
fn star(span: Span, others: bool, credentials: bool, findings: &mut Findings) {
    if others {
        add(findings, span, RewriteError::StarAmongOthers);
    } else if credentials {
        add(findings, span, RewriteError::OpenCredentials);
    }
}

/// A list of names of fields, or a star, as it is sent.
fn names(table: &Table<'_>, name: &str, credentials: bool, findings: &mut Findings) -> String {
    let texts = list(table, name, findings);
    for text in &texts {
        if text.value == "*" {
            star(text.span, texts.len() > 1, credentials, findings);
        } else if !is_token(text.value) {
            add(findings, text.span, RewriteError::Name);
        }
    }
    texts.iter().map(|text| text.value).collect::<Vec<_>>().join(", ")
}
