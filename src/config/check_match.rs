//! `headers`, `cookies`, `query` and `clients` of a route: what a request must have, beside
//! listener, host, path and method.

use toml::de::DeValue;

use super::check_l4;
use super::check_route::{is_token, regex_span};
use super::checked::Cidr;
use super::checked_route::{Condition, Conditions, Part, Test};
use super::document::{At, Findings, Table, in_order, span_of, wrong_type};
use super::error::Mistake;
use super::message_route::RouteError;
use super::path::{self, PathError};

/// Conditions of one route, and blocks of addresses: each is looked at for each request.
const MOST: usize = 256;

/// The keys, and what they look at.
const PARTS: [(&str, Part); 3] =
    [("headers", Part::Header), ("cookies", Part::Cookie), ("query", Part::Query)];

/// What a request must have; `None`: nothing.
pub(super) fn conditions(
    source: &str,
    table: &Table<'_>,
    findings: &mut Findings,
) -> Option<Box<Conditions>> {
    let mut parts = Vec::new();
    for (key, part) in PARTS {
        of_part(source, table, (key, part), &mut parts, findings);
    }
    let clients = clients(table, findings);
    let is_any = parts.is_empty() && clients.is_empty();
    (!is_any).then(|| Box::new(Conditions { parts, clients }))
}

fn of_part(
    source: &str,
    table: &Table<'_>,
    (key, part): (&str, Part),
    conditions: &mut Vec<Condition>,
    findings: &mut Findings,
) {
    let Some((key, value)) = table.get(key) else { return };
    let DeValue::Table(fields) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return;
    };
    for (name, value) in in_order(fields) {
        if conditions.len() == MOST {
            findings.add(name.span, Mistake::TooMany { max: MOST });
            return;
        }
        let is_name = match part {
            Part::Header | Part::Cookie => is_token(name.value),
            Part::Query => !name.value.is_empty(),
        };
        if !is_name {
            findings.add(name.span, Mistake::BadRoute(RouteError::Name(part)));
        }
        let mut text = name.value.to_owned();
        if part == Part::Header {
            text.make_ascii_lowercase();
            if text == "host" {
                findings.add(name.span, Mistake::BadRoute(RouteError::Host));
            }
        }
        let test = match value.get_ref() {
            DeValue::Boolean(true) => Test::Present,
            DeValue::Boolean(false) => Test::Absent,
            DeValue::String(written) => {
                let written = At { value: written.as_ref(), span: span_of(value) };
                test(source, written, part, findings)
            }
            _ => {
                findings.add(span_of(value), Mistake::BadRoute(RouteError::NoTest));
                continue;
            }
        };
        conditions.push(Condition { part, name: text, test });
    }
}

fn test(source: &str, text: At<&str>, part: Part, findings: &mut Findings) -> Test {
    let Some(expression) = text.value.strip_prefix('~') else {
        if !is_text(text.value, part) {
            findings.add(text.span, Mistake::BadRoute(RouteError::Text(part)));
        }
        return Test::Is(text.value.to_owned());
    };
    match path::regex(expression.trim_start()) {
        Ok(regex) => Test::Matches(regex),
        Err(why) => {
            add_regex(source, text, why, findings);
            Test::Present
        }
    }
}

/// Reports a bad regular expression, at the place where it goes wrong.
pub(super) fn add_regex(source: &str, text: At<&str>, why: PathError, findings: &mut Findings) {
    let span = match &why {
        PathError::Regex(_, Some(at)) => regex_span(source, text, *at),
        _ => text.span,
    };
    findings.add(span, Mistake::BadPath(why));
}

/// Whether a part of a request can be this text.
fn is_text(text: &str, part: Part) -> bool {
    let ends = text.trim_ascii() == text;
    match part {
        Part::Header => ends && !text.chars().any(char::is_control),
        Part::Cookie => ends && !text.contains(';') && !text.chars().any(char::is_control),
        Part::Query => true,
    }
}

fn clients(table: &Table<'_>, findings: &mut Findings) -> Vec<Cidr> {
    let mut blocks = Vec::new();
    for text in table.texts("clients", true, findings).unwrap_or_default() {
        if blocks.len() == MOST {
            findings.add(text.span, Mistake::TooMany { max: MOST });
            break;
        }
        blocks.extend(check_l4::block(text, findings));
    }
    blocks
}
