//! Certificates on the control thread: loaded at the start, watched while they are in use.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::{Config, PoolTlsConfig};
use crate::net::tls::{
    FileChange, FileFault, LoadedCertificate, Shelf, Termination, TlsAcceptor, TlsConnector,
};
use crate::net::{WatchedFile, any_changed};
use crate::stats::{Counter, Row};

/// How often files are looked at. What has changed is taken at the next look but one.
const LOOK: Duration = Duration::from_secs(1);

/// A fault, and the listener whose files have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFileFault {
    /// The listener's or pool's section of the file, as `[listener.web]`.
    pub section: String,
    /// The file, and what is wrong with it.
    pub fault: FileFault,
}

impl std::fmt::Display for TlsFileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.section, self.fault)
    }
}

/// The certificates of all listeners that have some, by name, as they are at any time.
#[derive(Clone, Debug)]
pub struct Shelves {
    listeners: Vec<(String, Shelf)>,
}

impl Shelves {
    /// What is in use now: the listener's name, and its certificates, the default first.
    pub fn list(&self) -> impl Iterator<Item = (&str, Vec<LoadedCertificate>)> {
        self.listeners.iter().map(|(name, shelf)| (name.as_str(), shelf.certificates()))
    }
}

/// TLS of all listeners.
#[derive(Debug)]
pub struct Certificates {
    /// With the listeners' names.
    listeners: Vec<(String, Option<Termination>)>,
    /// TLS to members, by pool.
    pools: Vec<Option<ToMembers>>,
}

/// TLS to the members of a pool, and the files of it.
#[derive(Debug)]
struct ToMembers {
    pool: String,
    config: PoolTlsConfig,
    connector: TlsConnector,
    files: Vec<WatchedFile>,
}

impl Certificates {
    /// Reads and checks all files of all listeners; what is odd goes to `warnings`. Blocks.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(
        config: &Config,
        warnings: &mut Vec<TlsFileFault>,
    ) -> Result<Self, Vec<TlsFileFault>> {
        let mut faults = Vec::new();
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let section = format!("[listener.{}]", listener.name);
            let named = |fault| TlsFileFault { section: section.clone(), fault };
            let mut odd = Vec::new();
            let loaded = listener.tls.as_ref().map(|tls| Termination::load(tls, &mut odd));
            warnings.extend(odd.into_iter().map(named));
            match loaded.transpose() {
                Ok(termination) => listeners.push((listener.name.clone(), termination)),
                Err(wrong) => faults.extend(wrong.into_iter().map(named)),
            }
        }
        let mut pools = Vec::new();
        for pool in &config.pools {
            let section = format!("[pool.{}]", pool.name);
            match pool.tls.as_ref().map(|tls| ToMembers::load(&pool.name, tls)).transpose() {
                Ok(to_members) => pools.push(to_members),
                Err(wrong) => {
                    let named = |fault| TlsFileFault { section: section.clone(), fault };
                    faults.extend(wrong.into_iter().map(named));
                }
            }
        }
        if faults.is_empty() { Ok(Self { listeners, pools }) } else { Err(faults) }
    }

    /// For the workers, by listener.
    #[must_use]
    pub fn acceptors(&self) -> Arc<[Option<TlsAcceptor>]> {
        let all = self.listeners.iter();
        all.map(|(_, tls)| tls.as_ref().map(Termination::acceptor)).collect()
    }

    /// TLS to members, by pool.
    #[must_use]
    pub fn connectors(&self) -> Vec<Option<TlsConnector>> {
        self.pools.iter().map(|tls| tls.as_ref().map(|tls| tls.connector.clone())).collect()
    }

    /// For whoever wants to know what is in use.
    #[must_use]
    pub fn shelves(&self) -> Shelves {
        let all = self.listeners.iter();
        let shelf = |(name, tls): &(String, Option<Termination>)| {
            Some((name.clone(), tls.as_ref()?.shelf()))
        };
        Shelves { listeners: all.filter_map(shelf).collect() }
    }

    /// Watches the files, on the control thread's runtime, until the runtime ends. Counts in
    /// `row`, the control thread's.
    pub fn watch(mut self, row: Arc<Row>) {
        let to_members = self.pools.iter().flatten().any(|tls| !tls.files.is_empty());
        if self.listeners.iter().all(|(_, tls)| tls.is_none()) && !to_members {
            return;
        }
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                self.look(&row);
            }
        });
    }

    fn look(&mut self, row: &Row) {
        self.pools.iter_mut().flatten().for_each(|tls| tls.look(row));
        let now = clock::unix();
        for (listener, tls) in &mut self.listeners {
            let Some(tls) = tls else { continue };
            for change in tls.refresh(now) {
                match change {
                    FileChange::Taken(one) => {
                        row.add(Counter::TlsReloads, 1);
                        let (chain, names) = (one.chain.display(), one.names.join(","));
                        tracing::info!(%listener, %chain, names, "certificate loaded");
                    }
                    FileChange::Gone(one) => {
                        row.add(Counter::TlsReloads, 1);
                        let chain = one.chain.display();
                        tracing::info!(%listener, %chain, "certificate removed");
                    }
                    FileChange::TicketKeys(keys) => {
                        row.add(Counter::TlsReloads, 1);
                        tracing::info!(%listener, keys, "ticket keys loaded");
                    }
                    FileChange::Authorities(path) => {
                        row.add(Counter::TlsReloads, 1);
                        tracing::info!(%listener, path = %path.display(), "authorities loaded");
                    }
                    FileChange::Refused(fault) => {
                        row.add(Counter::TlsReloadsRefused, 1);
                        tracing::error!(%listener, "not loaded, what was in use stays: {fault}");
                    }
                }
            }
        }
    }
}

impl ToMembers {
    fn load(pool: &str, config: &PoolTlsConfig) -> Result<Self, Vec<FileFault>> {
        let own = config.client_certificate.iter().flat_map(|own| [&own.chain, &own.key]);
        let paths = config.ca.iter().chain(own);
        // Before they are read, so that nothing that happens meanwhile is missed.
        let files = paths.map(|path| WatchedFile::new(path)).collect();
        let connector = TlsConnector::load(config)?;
        Ok(Self { pool: pool.to_owned(), config: config.clone(), connector, files })
    }

    fn look(&mut self, row: &Row) {
        if !any_changed(&mut self.files) {
            return;
        }
        let pool = &self.pool;
        match self.connector.reload(&self.config) {
            Ok(()) => {
                row.add(Counter::TlsReloads, 1);
                tracing::info!(%pool, "files of TLS to members loaded");
            }
            Err(faults) => {
                row.add(Counter::TlsReloadsRefused, 1);
                for fault in faults {
                    tracing::error!(%pool, "not loaded, what was in use stays: {fault}");
                }
            }
        }
    }
}
