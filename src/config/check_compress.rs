//! `compress` of a route.

use toml::de::DeValue;

use super::check_route::push_once;
use super::checked_compress::{CompressConfig, CompressLevels};
use super::document::{At, Findings, Table, not_a_choice, span_of, wrong_type};
use super::error::Mistake;
use super::keys::{Key, Section};
use crate::http::{Coding, MediaPattern};

/// The names of the codings, the best first: as they are offered by default.
const NAMES: &[&str] = &["zstd", "br", "gzip"];

/// Media types that are compressed by default: what is text, or as good as that.
pub(super) const TYPES: &[&str] = &[
    "text/*",
    "application/json",
    "application/*+json",
    "application/javascript",
    "application/xml",
    "application/*+xml",
    "application/wasm",
    "application/x-ndjson",
    "application/yaml",
    "image/svg+xml",
    "image/bmp",
    "image/x-icon",
    "font/otf",
    "font/ttf",
    "application/vnd.ms-fontobject",
];

pub(super) fn compress(route: &Table<'_>, findings: &mut Findings) -> Option<CompressConfig> {
    let (key, value) = route.get("compress")?;
    let table = match value.get_ref() {
        DeValue::String(word) if word == "off" => return None,
        DeValue::String(word) if !NAMES.contains(&&**word) => {
            findings.add(span_of(value), not_a_choice(key, word, &["zstd", "br", "gzip", "off"]));
            return None;
        }
        DeValue::String(_) | DeValue::Array(_) => {
            let table = route.nothing(Section::Compress);
            let encodings = encodings(key, route.texts("compress", true, findings), findings);
            return Some(CompressConfig { encodings, ..rest(&table, findings) });
        }
        DeValue::Table(table) => route.child(Section::Compress, span_of(value), table, findings),
        _ => {
            findings.add(span_of(value), wrong_type(key, value));
            return None;
        }
    };
    let mut config = rest(&table, findings);
    if let Some((key, _)) = table.get("encodings") {
        config.encodings = encodings(key, table.texts("encodings", true, findings), findings);
    }
    Some(config)
}

/// All but the encodings, which are those of the default.
fn rest(table: &Table<'_>, findings: &mut Findings) -> CompressConfig {
    CompressConfig {
        encodings: NAMES.iter().filter_map(|name| Coding::of(name.as_bytes())).collect(),
        types: types(table, findings),
        min_size: table.size("min_size", findings).unwrap_or(0),
        levels: levels(table, findings),
        stored: table.switch("stored", findings).map(|table| levels(&table, findings)),
    }
}

fn levels(table: &Table<'_>, findings: &mut Findings) -> CompressLevels {
    let mut level = |name| u8::try_from(table.count(name, findings)).unwrap_or(u8::MAX);
    CompressLevels { gzip: level("gzip_level"), br: level("br_level"), zstd: level("zstd_level") }
}

fn encodings(key: &Key, written: Option<Vec<At<&str>>>, findings: &mut Findings) -> Vec<Coding> {
    let mut encodings = Vec::new();
    for text in written.unwrap_or_default() {
        match Coding::of(text.value.as_bytes()).filter(|_| NAMES.contains(&text.value)) {
            Some(coding) => push_once(&mut encodings, coding, text.span, findings),
            None => findings.add(text.span, not_a_choice(key, text.value, NAMES)),
        }
    }
    encodings.into_iter().map(|(coding, _)| coding).collect()
}

fn types(table: &Table<'_>, findings: &mut Findings) -> Vec<MediaPattern> {
    let Some(written) = table.texts("types", true, findings) else {
        return TYPES.iter().filter_map(|text| MediaPattern::parse(text)).collect();
    };
    let mut types = Vec::new();
    for text in written {
        match MediaPattern::parse(text.value) {
            Some(pattern) => push_once(&mut types, pattern, text.span, findings),
            None => findings.add(text.span, Mistake::BadMediaType),
        }
    }
    types.into_iter().map(|(pattern, _)| pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good() {
        assert!(TYPES.iter().all(|text| MediaPattern::parse(text).is_some()));
        assert!(NAMES.iter().all(|name| Coding::of(name.as_bytes()).is_some()));
        assert_eq!(NAMES.len(), Coding::ALL.len());
    }
}
