//! The start of the cache, and of its tier on disk.

use std::io;
use std::sync::Arc;

use super::run::StartError;
use crate::config::Config;
use crate::proxy::{DiskFolder, DiskSeat, FolderError, SharedCache};

/// The cache, if a route has one. A folder that another process uses, or others can write to, is no
/// reason not to serve: it is left alone, or taken over later.
pub(super) fn open(
    config: &Config,
    workers: usize,
) -> Result<Option<Arc<SharedCache>>, StartError> {
    let caches = config.routes.iter().any(|route| route.cache.is_some());
    let folder = match config.server.cache.disk.as_ref().filter(|_| caches) {
        None => None,
        Some(disk) => match DiskFolder::open(disk) {
            Ok(folder) => {
                if !folder.is_ours() {
                    let folder = disk.folder.display();
                    let why = "until the other process that uses it ends";
                    tracing::warn!(%folder, "the cache runs without its folder {why}");
                }
                Some(folder)
            }
            Err(FolderError::System(error)) => {
                return Err(StartError::CacheFolder(disk.folder.clone(), error));
            }
            Err(why) => {
                let folder = disk.folder.display();
                tracing::warn!(%folder, "the cache runs without its folder: {why}");
                None
            }
        },
    };
    let cache = SharedCache::new(config, workers, folder);
    if let Some(cache) = &cache {
        cache.start().map_err(StartError::System)?;
    }
    Ok(cache)
}

/// One worker's way to the tier on disk.
pub(super) fn seat(cache: Option<&SharedCache>) -> Result<Option<DiskSeat>, StartError> {
    let seat: io::Result<_> = cache.map_or(Ok(None), SharedCache::seat);
    seat.map_err(StartError::System)
}
