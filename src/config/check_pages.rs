//! `error_pages` of a route or listener, and files whose bytes are sent.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::checked_route::{Contents, ErrorPagesConfig, PageConfig, PageOf};
use super::document::{Findings, Table, in_order, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::load::words_of;
use super::message_route::RouteError;

/// Bytes of a file that is an answer: it is held in memory.
pub(super) const ANSWER_MAX: usize = 1 << 20;

/// Bytes of a page: it is sent in one piece.
const PAGE_MAX: usize = 64 << 10;

/// The type of a file, by its extension.
pub(super) fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "ico" => "image/x-icon",
        "png" => "image/png",
        _ => "text/plain; charset=utf-8",
    }
}

/// A file whose bytes are sent, so many at the most.
pub(super) fn contents(
    path: PathBuf,
    most: usize,
    span: Span,
    findings: &mut Findings,
) -> Contents {
    if path.as_os_str().is_empty() {
        findings.add(span, Mistake::BadPathOfFile);
        return Contents { path, bytes: None };
    }
    let bytes = match findings.read(&path, most + 1) {
        None => None,
        Some(Ok(bytes)) if bytes.len() <= most => Some(bytes.into()),
        Some(read) => {
            let why = match read {
                Ok(_) => RouteError::LargeFile(most),
                Err(error) => RouteError::File(words_of(&error)),
            };
            findings.add(span, Mistake::BadRoute(why));
            None
        }
    };
    Contents { path, bytes }
}

pub(super) fn error_pages(
    table: &Table<'_>,
    findings: &mut Findings,
) -> Option<Box<ErrorPagesConfig>> {
    let (key, value) = table.get("error_pages")?;
    let DeValue::Table(entries) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return None;
    };
    let (mut pages, mut intercept) = (Vec::new(), false);
    for (name, value) in in_order(entries) {
        if name.value == "intercept" {
            match value.get_ref().as_bool() {
                Some(flag) => intercept = flag,
                None => findings.add(span_of(value), wrong_type(key, value)),
            }
            continue;
        }
        match page_of(name.value) {
            None => findings.add(name.span, Mistake::BadRoute(RouteError::Page)),
            Some(of) => {
                if let Some(file) = text(key, value, findings) {
                    let path = PathBuf::from(file.value);
                    let contents = contents(path, PAGE_MAX, file.span, findings);
                    let content_type = content_type(&contents.path);
                    pages.push(PageConfig { of, contents, content_type });
                }
            }
        }
    }
    (!pages.is_empty()).then(|| Box::new(ErrorPagesConfig { pages, intercept }))
}

fn page_of(name: &str) -> Option<PageOf> {
    match name {
        "4xx" => Some(PageOf::Class(4)),
        "5xx" => Some(PageOf::Class(5)),
        name if name.len() == 3 => {
            let status = name.parse().ok().filter(|status| (400..=599).contains(status));
            status.map(PageOf::Status)
        }
        _ => None,
    }
}
