//! The checked form of `buffers`, `buffer_request` and `buffer_response`.

use std::path::{Path, PathBuf};

use super::checked::Config;

/// `buffers = {...}` of `[server]`: what all bodies together may take.
#[derive(Clone, Debug)]
pub struct BuffersConfig {
    /// Where they go that are too large for memory. `None`, the default: nowhere.
    pub folder: Option<PathBuf>,
    /// Bytes of memory. Default 256 MiB.
    pub memory: u64,
    /// Bytes of disk. Default 1 GiB.
    pub disk: u64,
}

/// What one body may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRoom {
    /// Bytes of memory. Default 1 MiB.
    pub memory: u64,
    /// Bytes of disk beside that. Default 0.
    pub disk: u64,
}

/// `buffer_request = {...}` of a route.
#[derive(Clone, Copy, Debug)]
pub struct BufferRequestConfig {
    /// What one body may take.
    pub room: BodyRoom,
    /// What becomes of one for which there is no room. Default stream.
    pub over: Over,
}

/// What becomes of a request whose body finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It goes on as it comes.
    Stream,
    /// It is refused.
    Refuse,
}

impl BuffersConfig {
    /// A path that is not absolute is below `folder`.
    pub(super) fn root_at(&mut self, folder: &Path) {
        if let Some(own) = &mut self.folder {
            *own = folder.join(&own);
        }
    }
}

impl Config {
    /// Whether any route takes bodies in.
    #[must_use]
    pub fn buffers(&self) -> bool {
        self.routes.iter().any(|r| r.buffer_request.is_some() || r.buffer_response.is_some())
    }

    /// The folder for bodies, if any of them may go to disk.
    #[must_use]
    pub fn spills_to(&self) -> Option<&Path> {
        let rooms = self.routes.iter().flat_map(|route| {
            let request = route.buffer_request.map(|config| config.room);
            request.into_iter().chain(route.buffer_response)
        });
        let folder = self.server.buffers.folder.as_deref();
        folder.filter(|_| rooms.map(|room| room.disk).any(|disk| disk > 0))
    }
}
