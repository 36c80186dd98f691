//! Files of addresses that `access` of listeners and routes names: watched while they are in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{AddressSet, GuardError};
use crate::net::{WatchedFile, any_changed};
use crate::proxy::{AddressLists, Guards};
use crate::stats::{Counter, Row};

/// How often files are looked at. What has changed is taken at the next look but one.
const LOOK: Duration = Duration::from_secs(1);

/// The lists of one rule and their files.
struct Watched {
    lists: AddressLists,
    files: Vec<WatchedFile>,
}

/// What reading the lists of a rule anew gave.
type Read = Result<AddressSet, (PathBuf, GuardError)>;

/// Watches all of them on the control thread's runtime, until the runtime ends. Counts in `row`, the
/// control thread's.
pub fn watch_addresses(guards: &Guards, row: Arc<Row>) {
    let watched = guards.lists().map(|lists| {
        // They were read with the configuration, and may have changed since.
        let files = lists.config.files().map(WatchedFile::unknown).collect();
        Watched { lists, files }
    });
    let mut watched: Vec<_> = watched.collect();
    if watched.is_empty() {
        return;
    }
    tokio::spawn(async move {
        loop {
            sleep(LOOK).await;
            for one in &mut watched {
                one.look(&row).await;
            }
        }
    });
}

impl Watched {
    async fn look(&mut self, row: &Row) {
        if !any_changed(&mut self.files) {
            return;
        }
        let config = self.lists.config.clone();
        // A million blocks take a while, and members are to be probed meanwhile.
        if let Ok(read) = spawn_blocking(move || config.read()).await {
            self.take(read, row);
        }
    }

    fn take(&self, read: Read, row: &Row) {
        let rule = &self.lists.name;
        match read {
            Ok(set) => {
                let ranges = set.ranges();
                if self.lists.replace(set) {
                    row.add(Counter::AccessReloads, 1);
                    tracing::info!(rule, ranges, "addresses loaded");
                }
            }
            Err((path, why)) => {
                row.add(Counter::AccessReloadsRefused, 1);
                let path = path.display();
                tracing::error!(rule, %path, "not loaded, what was in use stays: {why}");
            }
        }
    }
}
