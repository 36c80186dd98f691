//! `cache` of `[server]`: the store, and its tier on disk.

use std::path::PathBuf;

use super::check_cache::CacheError;
use super::checked_cache::{CacheDiskConfig, CacheStoreConfig};
use super::document::{Findings, Table, text};
use super::error::Mistake;

pub(super) fn store(table: &Table<'_>, findings: &mut Findings) -> CacheStoreConfig {
    let memory = table.bounded("memory", findings);
    CacheStoreConfig { memory, disk: disk(table, findings) }
}

fn disk(store: &Table<'_>, findings: &mut Findings) -> Option<CacheDiskConfig> {
    let table = store.switch("disk", findings)?;
    Some(CacheDiskConfig {
        folder: folder(&table, findings).unwrap_or_default(),
        size: table.size("size", findings).unwrap_or(0),
        files: table.count("files", findings),
        max_object: table.size("max_object", findings).unwrap_or(0),
        admits_all: table.choice("admission", findings) == 1,
        threads: table.count("threads", findings),
    })
}

/// A path from the root: what a relative one means depends on who starts the process.
fn folder(table: &Table<'_>, findings: &mut Findings) -> Option<PathBuf> {
    let (key, value) = table.required("folder", findings)?;
    let written = text(key, value, findings)?;
    if !written.value.starts_with('/') || written.value.contains('\0') {
        findings.add(written.span, Mistake::BadCache(CacheError::Folder));
        return None;
    }
    Some(written.value.into())
}
