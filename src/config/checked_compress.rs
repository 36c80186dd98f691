//! The checked form of `compress`: which answers are encoded, and how.

use crate::http::{Coding, MediaPattern};

/// `compress = ...` of a route.
#[derive(Clone, Debug)]
pub struct CompressConfig {
    /// What clients may get; the first of those that one likes best alike. Default zstd, br, gzip.
    pub encodings: Vec<Coding>,
    /// Media types of answers that are worth it. Default text, JSON, scripts, XML, fonts and so on.
    pub types: Vec<MediaPattern>,
    /// Bytes from which an answer of a known length is. Default 1 KiB.
    pub min_size: u64,
    /// `gzip_level` and so on, of answers on their way. Default 2, 4 and 3.
    pub levels: CompressLevels,
    /// `stored`: of forms that are kept in the cache. `None`: none are. Default 6, 5 and 5.
    pub stored: Option<CompressLevels>,
}

/// The level of each coding.
#[derive(Clone, Copy, Debug)]
pub struct CompressLevels {
    /// `gzip_level`
    pub gzip: u8,
    /// `br_level`
    pub br: u8,
    /// `zstd_level`
    pub zstd: u8,
}

impl CompressLevels {
    /// The level of a coding.
    #[must_use]
    pub const fn level(&self, coding: Coding) -> u8 {
        match coding {
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.br,
            Coding::Zstd => self.zstd,
        }
    }
}
