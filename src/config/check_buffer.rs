//! `buffers` of the server, `buffer_request` and `buffer_response` of routes.

use std::fmt;

use super::checked_buffer::{BodyRoom, BufferRequestConfig, BuffersConfig, Over};
use super::document::{Findings, Table, span_of};
use super::error::Mistake;
use super::scalar::show_size;

/// What is wrong with a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BufferError {
    /// No path of a folder.
    Folder,
    /// Bytes of disk without a folder for them.
    NoFolder,
    /// More for one body than for all of them.
    BeyondAll {
        /// The key.
        key: &'static str,
        /// What all of them may take.
        most: u64,
    },
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => f.write_str("this names no folder"),
            Self::NoFolder => f.write_str("there is no folder for what goes to disk"),
            Self::BeyondAll { key, most } => {
                let most = show_size(*most);
                write!(f, "all bodies together may take {most}: buffers.{key} of [server]")
            }
        }
    }
}

impl BufferError {
    /// What to do about it.
    pub(super) const fn help(&self) -> &'static str {
        match self {
            Self::Folder => "as in: folder = \"/var/lib/ringway/bodies\"",
            Self::NoFolder => {
                "name one in [server], as in: buffers = { folder = \"/var/lib/ringway/bodies\" }"
            }
            Self::BeyondAll { .. } => "write less here, or more there",
        }
    }
}

/// `buffers = {...}` of `[server]`.
pub(super) fn buffers(server: &Table<'_>, findings: &mut Findings) -> BuffersConfig {
    let table = server.table("buffers", findings);
    let folder = table.text("folder", findings);
    if let Some(text) = folder
        && (text.value.is_empty() || text.value.contains('\0'))
    {
        findings.add(text.span, Mistake::BadBuffer(BufferError::Folder));
    }
    BuffersConfig {
        folder: folder.map(|text| text.value.into()),
        memory: table.size("memory", findings).unwrap_or(0),
        disk: table.size("disk", findings).unwrap_or(0),
    }
}

/// `buffer_request = {...}` of a route.
pub(super) fn request(
    route: &Table<'_>,
    all: &BuffersConfig,
    findings: &mut Findings,
) -> Option<BufferRequestConfig> {
    let table = route.switch("buffer_request", findings)?;
    let over = match table.choice("over", findings) {
        0 => Over::Stream,
        _ => Over::Refuse,
    };
    Some(BufferRequestConfig { room: room(&table, all, findings), over })
}

/// `buffer_response = {...}` of a route.
pub(super) fn response(
    route: &Table<'_>,
    all: &BuffersConfig,
    findings: &mut Findings,
) -> Option<BodyRoom> {
    let table = route.switch("buffer_response", findings)?;
    Some(room(&table, all, findings))
}

fn room(table: &Table<'_>, all: &BuffersConfig, findings: &mut Findings) -> BodyRoom {
    let mut bytes = |key: &'static str, most: u64| {
        let bytes = table.size(key, findings).unwrap_or(0);
        if let Some((_, value)) = table.get(key) {
            let wrong = match key {
                "disk" if bytes > 0 && all.folder.is_none() => Some(BufferError::NoFolder),
                _ if bytes > most => Some(BufferError::BeyondAll { key, most }),
                _ => None,
            };
            if let Some(wrong) = wrong {
                findings.add(span_of(value), Mistake::BadBuffer(wrong));
            }
        }
        bytes
    };
    BodyRoom { memory: bytes("memory", all.memory), disk: bytes("disk", all.disk) }
}
