//! `compress` of a route as TOML, with every default filled in.

use super::effective::{line, list, quote, size, table};
use super::{CompressConfig, CompressLevels};

pub(super) fn route(out: &mut String, compress: Option<&CompressConfig>) {
    line(out, "compress", compress.map_or_else(|| quote("off"), compressed));
}

fn compressed(compress: &CompressConfig) -> String {
    let encodings = compress.encodings.iter().map(|coding| quote(coding.name()));
    table([
        ("encodings", list(encodings)),
        ("types", list(compress.types.iter().map(|pattern| quote(&pattern.to_string())))),
        ("min_size", size(compress.min_size)),
        ("gzip_level", compress.levels.gzip.to_string()),
        ("br_level", compress.levels.br.to_string()),
        ("zstd_level", compress.levels.zstd.to_string()),
        ("stored", compress.stored.as_ref().map_or_else(|| quote("off"), levels)),
    ])
}

fn levels(levels: &CompressLevels) -> String {
    table([
        ("gzip_level", levels.gzip.to_string()),
        ("br_level", levels.br.to_string()),
        ("zstd_level", levels.zstd.to_string()),
    ])
}
