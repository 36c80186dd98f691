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
    /// `gzip_level`. Default 2.
    pub gzip_level: u8,
    /// `br_level`. Default 4.
    pub br_level: u8,
    /// `zstd_level`. Default 3.
    pub zstd_level: u8,
}

impl CompressConfig {
    /// The level of a coding.
    #[must_use]
    pub const fn level(&self, coding: Coding) -> u8 {
        match coding {
            Coding::Gzip => self.gzip_level,
            Coding::Brotli => self.br_level,
            Coding::Zstd => self.zstd_level,
        }
    }
}
