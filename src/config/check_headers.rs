//! `request_headers` and `response_headers`: names, and texts with variables.

use toml::de::DeValue;

use super::check_route::{is_token, push_once};
use super::checked_rewrite::{HeaderConfig, HeadersConfig, NamePattern};
use super::document::{At, Findings, Table, in_order, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::message_rewrite::RewriteError;
use super::nearest::nearest;
use crate::http::{Name, Template, TemplateError, Variable, is_client_certificate};

/// Entries of one table or list.
const FIELDS_MAX: usize = 64;

/// Which way the fields go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To members.
    Up,
    /// To clients.
    Down,
}

pub(super) fn headers(
    parent: &Table<'_>,
    way: Way,
    findings: &mut Findings,
) -> Option<HeadersConfig> {
    let key = if way == Way::Up { "request_headers" } else { "response_headers" };
    let table = parent.switch(key, findings)?;
    let config = HeadersConfig {
        remove: remove(&table, way, findings),
        set: fields(&table, "set", way, findings),
        add: fields(&table, "add", way, findings),
    };
    let empty = config.remove.is_empty() && config.set.is_empty() && config.add.is_empty();
    (!empty).then_some(config)
}

fn remove(table: &Table<'_>, way: Way, findings: &mut Findings) -> Vec<NamePattern> {
    let mut patterns: Vec<(String, Span)> = Vec::new();
    for (index, text) in
        table.texts("remove", true, findings).unwrap_or_default().iter().enumerate()
    {
        if index == FIELDS_MAX {
            findings.add(text.span, Mistake::TooMany { max: FIELDS_MAX });
            break;
        }
        let whole = text.value.strip_suffix('*').unwrap_or(text.value);
        let why = match whole.contains('*') {
            true => Some(RewriteError::Star),
            false if whole.len() < text.value.len() => {
                (!is_token(whole)).then_some(RewriteError::Star)
            }
            false => refused(whole, way),
        };
        match why {
            Some(why) => findings.add(text.span, Mistake::BadRewrite(why)),
            None => {
                push_once(&mut patterns, text.value.to_ascii_lowercase(), text.span, findings);
            }
        }
    }
    let pattern = |(text, _): (String, Span)| match text.strip_suffix('*') {
        Some(prefix) => NamePattern::Prefix(prefix.to_owned()),
        None => NamePattern::Exact(text),
    };
    patterns.into_iter().map(pattern).collect()
}

/// A table of names and texts; in `add` of names and lists, too.
fn fields(
    table: &Table<'_>,
    key: &'static str,
    way: Way,
    findings: &mut Findings,
) -> Vec<HeaderConfig> {
    let mut fields = Vec::new();
    let Some((known, value)) = table.get(key) else { return fields };
    let DeValue::Table(entries) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(known, value));
        return fields;
    };
    let mut names: Vec<(String, Span)> = Vec::new();
    for (name, value) in in_order(entries) {
        if let Some(why) = refused(name.value, way) {
            findings.add(name.span, Mistake::BadRewrite(why));
        }
        push_once(&mut names, name.value.to_ascii_lowercase(), name.span, findings);
        let texts = match value.get_ref() {
            DeValue::Array(items) if key == "add" => {
                items.iter().filter_map(|item| text(known, item, findings)).collect()
            }
            _ => Vec::from_iter(text(known, value, findings)),
        };
        for text in texts {
            if let Some(value) = template(text, way, findings) {
                fields.push(HeaderConfig { name: name.value.to_owned(), value });
            }
        }
    }
    if fields.len() > FIELDS_MAX {
        findings.add(span_of(value), Mistake::TooMany { max: FIELDS_MAX });
    }
    fields
}

/// A text with variables; what is wrong with it is reported.
pub(super) fn template(text: At<&str>, way: Way, findings: &mut Findings) -> Option<Template> {
    let why = match Template::parse(text.value) {
        Ok(template) if way == Way::Up && template.variables().any(|v| *v == Variable::Status) => {
            RewriteError::NotYet
        }
        Ok(template) if text.value.trim_matches([' ', '\t']).len() == text.value.len() => {
            return Some(template);
        }
        Ok(_) => RewriteError::Padded,
        Err(TemplateError::Unknown { name, .. }) => {
            let nearest = nearest(&name, Variable::names());
            RewriteError::Variable { name, nearest }
        }
        Err(why) => RewriteError::Template(why),
    };
    findings.add(text.span, Mistake::BadRewrite(why));
    None
}

/// Why a field of this name is not to be touched.
pub(super) fn refused(name: &str, way: Way) -> Option<RewriteError> {
    let bytes = name.as_bytes();
    match Name::of(bytes) {
        _ if !is_token(name) => Some(RewriteError::Name),
        Name::ContentLength | Name::TransferEncoding | Name::Trailer | Name::Te => {
            Some(RewriteError::Framing)
        }
        Name::Host if way == Way::Up => Some(RewriteError::Host),
        kind if kind.is_hop_by_hop() => Some(RewriteError::Hop),
        Name::Forwarded
        | Name::XForwardedFor
        | Name::XForwardedHost
        | Name::XForwardedPort
        | Name::XForwardedProto
        | Name::XRealIp
            if way == Way::Up =>
        {
            Some(RewriteError::Identity)
        }
        Name::Other if way == Way::Up && is_client_certificate(bytes) => {
            Some(RewriteError::Certificate)
        }
        _ => None,
    }
}
