//! `strip` and `rewrite` of a route: the path that members see.

use regex::bytes::Regex;
use toml::de::DeValue;

use super::check_match::add_regex;
use super::checked::PathPattern;
use super::checked_route::{PathEditConfig, Piece, RewriteConfig};
use super::document::{At, Findings, Table, span_of, wrong_type};
use super::error::Mistake;
use super::keys::Section;
use super::message_route::RouteError;
use super::path::{self, PathError};

/// The edits of a route whose requests have such paths; `None`: there are none.
pub(super) fn path_edit(
    source: &str,
    table: &Table<'_>,
    of_route: &PathPattern,
    findings: &mut Findings,
) -> Option<Box<PathEditConfig>> {
    let strip = strip(table, of_route, findings);
    let rewrite = rewrite(source, table, findings);
    let is_none = strip.is_none() && rewrite.is_none();
    (!is_none).then(|| Box::new(PathEditConfig { strip, rewrite }))
}

fn strip(table: &Table<'_>, of_route: &PathPattern, findings: &mut Findings) -> Option<String> {
    let text = table.text("strip", findings)?;
    let mut add = |mistake| findings.add(text.span, mistake);
    if let Some(without) = text.value.strip_suffix('/')
        && without.starts_with('/')
    {
        add(Mistake::BadRoute(RouteError::StripSlash(without.to_owned())));
        return None;
    }
    let prefix = match path::pattern(text.value) {
        Ok(PathPattern::Exact(prefix)) if prefix != "/" => prefix,
        Ok(_) => {
            add(Mistake::BadRoute(RouteError::Strip));
            return None;
        }
        Err(PathError::Start | PathError::Star) => {
            add(Mistake::BadRoute(RouteError::Strip));
            return None;
        }
        Err(why) => {
            add(Mistake::BadPath(why));
            return None;
        }
    };
    let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = of_route else {
        return Some(prefix);
    };
    let rest = path.strip_prefix(prefix.as_str());
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        add(Mistake::BadRoute(RouteError::StripOther));
    }
    Some(prefix)
}

fn rewrite(source: &str, table: &Table<'_>, findings: &mut Findings) -> Option<RewriteConfig> {
    let (key, value) = table.get("rewrite")?;
    let DeValue::Table(fields) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return None;
    };
    let fields = table.child(Section::Rewrite, span_of(value), fields, findings);
    let (expression, to) = (fields.required("match", findings), fields.required("to", findings));
    let (_, _) = expression.zip(to)?;
    let (expression, to) = (fields.text("match", findings)?, fields.text("to", findings)?);
    // As in `path`, a tilde may say that it is one.
    let text = expression.value.strip_prefix('~').unwrap_or(expression.value);
    let pattern = match path::regex(text.trim_start()) {
        Ok(pattern) => pattern,
        Err(why) => {
            add_regex(source, expression, why, findings);
            return None;
        }
    };
    match replacement(to, &pattern) {
        Ok((path, query)) => Some(RewriteConfig { pattern, to: to.value.to_owned(), path, query }),
        Err(why) => {
            findings.add(to.span, Mistake::BadRoute(why));
            None
        }
    }
}

type Replacement = (Vec<Piece>, Option<Vec<Piece>>);

/// The pieces of a new path, and of a query behind its question mark.
fn replacement(to: At<&str>, pattern: &Regex) -> Result<Replacement, RouteError> {
    let bad = |c: &char| !c.is_ascii_graphic() || matches!(c, '#' | '\\');
    if let Some(c) = to.value.chars().find(bad) {
        return Err(RouteError::RewriteByte(c));
    }
    let (path, query) = match to.value.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (to.value, None),
    };
    let path = pieces(path, pattern)?;
    match path.first() {
        Some(Piece::Group(_)) => {}
        Some(Piece::Text(text)) if text.starts_with('/') => {}
        _ => return Err(RouteError::RewriteStart),
    }
    Ok((path, query.map(|query| pieces(query, pattern)).transpose()?))
}

/// `$1`, `${1}` and `${name}` are groups, `$$` is a dollar sign.
fn pieces(text: &str, pattern: &Regex) -> Result<Vec<Piece>, RouteError> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            plain.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            after.split_at_checked(digits).unwrap_or((after, ""))
        });
        let group = group(name, pattern).ok_or_else(|| RouteError::Group(name.to_owned()))?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Group(group));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn group(name: &str, pattern: &Regex) -> Option<usize> {
    match name.parse::<usize>() {
        Ok(number) => (number < pattern.captures_len()).then_some(number),
        Err(_) => pattern.capture_names().position(|known| known == Some(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    fn read(to: &str) -> Result<String, RouteError> {
        let pattern = Regex::new("^/(?<first>[^/]*)/(.*)$").unwrap();
        let (path, query) = replacement(At { value: to, span: Span::default() }, &pattern)?;
        let show = |pieces: Vec<Piece>| {
            let shown = pieces.into_iter().map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Group(group) => format!("<{group}>"),
            });
            shown.collect::<String>()
        };
        let query = query.map(|query| format!(" {}", show(query))).unwrap_or_default();
        Ok(show(path) + &query)
    }

    #[test]
    fn groups_and_dollars() {
        for (to, expected) in [
            ("/new/$2", "/new/<2>"),
            ("$0", "<0>"),
            ("/${1}0/${first}", "/<1>0/<1>"),
            ("/$$1$2", "/$1<2>"),
            ("/item?id=$2&x=$$", "/item id=<2>&x=$"),
            ("/item?", "/item "),
        ] {
            assert_eq!(read(to).as_deref(), Ok(expected), "{to}");
        }
        for (to, expected) in [
            ("new/$1", RouteError::RewriteStart),
            ("?a", RouteError::RewriteStart),
            ("", RouteError::RewriteStart),
            ("/$3", RouteError::Group("3".to_owned())),
            ("/${second}", RouteError::Group("second".to_owned())),
            ("/$", RouteError::Group(String::new())),
            ("/$x", RouteError::Group(String::new())),
            ("/${1", RouteError::Group(String::new())),
            ("/a b", RouteError::RewriteByte(' ')),
            ("/a#b", RouteError::RewriteByte('#')),
            ("/a\r\nb", RouteError::RewriteByte('\r')),
        ] {
            assert_eq!(read(to), Err(expected), "{to}");
        }
    }
}
