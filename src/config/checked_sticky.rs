//! The checked form of `sticky`: a cookie that keeps a client on its member.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// `sticky = {...}` of a pool.
#[derive(Clone, Debug)]
pub struct StickyConfig {
    /// The cookie's name. Default `ringway`.
    pub cookie: String,
    /// What signs it.
    pub key: StickyKey,
    /// How long browsers keep it. `None`, the default: until they are closed.
    pub max_age: Option<Duration>,
    /// The paths that it is sent for. Default `/`.
    pub path: String,
    /// Whether requests that other sites cause carry it. Default lax.
    pub same_site: SameSite,
    /// Whether browsers send it by https only. Default false.
    pub secure: bool,
}

/// `same_site = "..."`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// `"lax"`: links that are followed do.
    Lax,
    /// `"strict"`: none does.
    Strict,
    /// `"none"`: all do.
    None,
}

/// Where a key comes from, and what it is.
#[derive(Clone, Debug)]
pub enum StickyKey {
    /// `key = "..."`.
    Text(Secret),
    /// `key_file = "..."`.
    File {
        /// The file.
        path: PathBuf,
        /// What it has. `None`: the configuration was not read from a file, and no other file was
        /// looked at for it.
        secret: Option<Secret>,
    },
}

impl StickyKey {
    /// A path that is not absolute is below `folder`.
    pub(super) fn root_at(&mut self, folder: &std::path::Path) {
        if let Self::File { path, .. } = self {
            *path = folder.join(&path);
        }
    }

    /// The key, if it is known.
    #[must_use]
    pub const fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Text(secret) => Some(secret),
            Self::File { secret, .. } => secret.as_ref(),
        }
    }
}

/// Bytes that are to be in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
