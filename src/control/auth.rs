//! What `auth` of routes is made of: files of users, keys and secrets, loaded at the start and watched
//! from then on; keys that are fetched; and the threads that verify passwords.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::certificates::TlsFileFault;
use super::fetch;
use crate::config::{Config, JwksUrl, KeySource, PoolTlsConfig};
use crate::net::WatchedFile;
use crate::net::tls::{FileFault, TlsConnector};
use crate::proxy::auth::{self, Current, Job, KeySet, Keys, Seat, Shared, Sources, Users};
use crate::stats::{Counter, Row};

/// How often files are looked at. What has changed is taken at the next look but one.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes of a file.
const FILE_MOST: u64 = 64 << 20;

/// How long is waited after a fetch that failed, and after many.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Threads that verify passwords, at the most: each takes the processor from a worker.
const THREADS_MOST: usize = 8;

/// What a file is for.
#[derive(Clone, Debug)]
enum Content {
    Users(Arc<Current<Users>>),
    Set(Arc<Keys>),
    Secret(Arc<Keys>),
}

impl Content {
    /// Takes what the file has; says how many users or keys there are.
    fn take(&self, bytes: &[u8]) -> Result<usize, String> {
        match self {
            Self::Users(users) => {
                let read = Users::read(bytes).map_err(|error| error.to_string())?;
                let count = read.count();
                users.replace(read);
                Ok(count)
            }
            Self::Set(keys) | Self::Secret(keys) => {
                let secret = matches!(self, Self::Secret(_));
                let read = if secret { KeySet::secret(bytes) } else { KeySet::read(bytes) };
                let read = read.map_err(|error| error.to_string())?;
                let count = read.count();
                keys.current.replace(read);
                Ok(count)
            }
        }
    }
}

/// A file and what it is for.
#[derive(Debug)]
struct Watched {
    file: WatchedFile,
    content: Content,
}

impl Watched {
    fn load(path: &Path, content: Content) -> Result<Self, String> {
        let file = WatchedFile::new(path);
        content.take(&read(path)?)?;
        Ok(Self { file, content })
    }

    /// Whether there is something new that is no longer being written.
    fn look(&mut self) -> Option<Result<usize, String>> {
        let changed = self.file.has_changed();
        changed.then(|| read(self.file.path()).and_then(|bytes| self.content.take(&bytes)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    use io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    match file.take(FILE_MOST + 1).read_to_end(&mut bytes) {
        Ok(count) if count as u64 > FILE_MOST => Err("is larger than 64 MiB".to_owned()),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// Keys at a URL.
#[derive(Debug)]
struct Fetched {
    url: JwksUrl,
    ca: Option<PathBuf>,
    tls: Option<TlsConnector>,
    refresh: Duration,
    keys: Arc<Keys>,
    asked: Arc<Notify>,
}

/// Everything that `auth` of all routes and listeners needs.
#[derive(Debug)]
pub struct AuthFiles {
    shared: Arc<Shared>,
    files: Vec<Watched>,
    fetched: Vec<Fetched>,
    jobs: Option<Receiver<Job>>,
}

/// What was found so far: several rules may name one file.
#[derive(Default)]
struct Loading {
    /// Who names what is looked at now.
    section: String,
    users: HashMap<PathBuf, Arc<Current<Users>>>,
    keys: HashMap<(PathBuf, bool), Arc<Keys>>,
    files: Vec<Watched>,
    fetched: Vec<Fetched>,
    faults: Vec<TlsFileFault>,
}

impl Loading {
    fn fault(&mut self, fault: FileFault) {
        self.faults.push(TlsFileFault { section: self.section.clone(), fault });
    }

    fn file(&mut self, path: &Path, content: Content) {
        match Watched::load(path, content) {
            Ok(watched) => self.files.push(watched),
            Err(what) => self.fault(FileFault { path: path.to_owned(), what }),
        }
    }

    fn users(&mut self, path: &Path) -> Arc<Current<Users>> {
        if let Some(known) = self.users.get(path) {
            return Arc::clone(known);
        }
        let users = Arc::new(Current::new(None));
        self.users.insert(path.to_owned(), Arc::clone(&users));
        self.file(path, Content::Users(Arc::clone(&users)));
        users
    }

    fn keys(&mut self, source: &KeySource) -> Arc<Keys> {
        let (path, secret) = match source {
            KeySource::File(path) => (path, false),
            KeySource::Secret(path) => (path, true),
            KeySource::Url { url, ca, refresh } => return self.url(url, ca.as_deref(), *refresh),
        };
        if let Some(known) = self.keys.get(&(path.clone(), secret)) {
            return Arc::clone(known);
        }
        let keys = Arc::new(Keys::new(None, None));
        self.keys.insert((path.clone(), secret), Arc::clone(&keys));
        let content = if secret { Content::Secret } else { Content::Set };
        self.file(path, content(Arc::clone(&keys)));
        keys
    }

    fn url(&mut self, url: &JwksUrl, ca: Option<&Path>, refresh: Duration) -> Arc<Keys> {
        let same = self
            .fetched
            .iter()
            .find(|one| one.url == *url && one.ca.as_deref() == ca && one.refresh == refresh);
        if let Some(known) = same {
            return Arc::clone(&known.keys);
        }
        let mut tls = None;
        if url.secure {
            let ca = ca.map(Path::to_owned);
            let config =
                PoolTlsConfig { ca, server_name: None, verify: true, client_certificate: None };
            match TlsConnector::load(&config) {
                Ok(connector) => tls = Some(connector),
                Err(faults) => faults.into_iter().for_each(|fault| self.fault(fault)),
            }
        }
        let asked = Arc::new(Notify::new());
        let wake = Arc::clone(&asked);
        let keys = Arc::new(Keys::new(None, Some(Box::new(move || wake.notify_one()))));
        let (url, fetched) = (url.clone(), Arc::clone(&keys));
        let ca = ca.map(Path::to_owned);
        self.fetched.push(Fetched { url, ca, tls, refresh, keys: fetched, asked });
        keys
    }
}

impl AuthFiles {
    /// Reads and checks every file; `None`: nobody has `auth`. Blocks.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(config: &Config) -> Result<Option<Self>, Vec<TlsFileFault>> {
        if config.rules().all(|rules| rules.is_none()) {
            return Ok(None);
        }
        let mut loading = Loading::default();
        let own = config.routes.len();
        let sources = config.rules().enumerate().map(|(at, auth)| {
            let Some(auth) = auth else { return Sources::default() };
            let listener = at.checked_sub(own).and_then(|at| config.listeners.get(at));
            loading.section = listener.map_or_else(
                || "[route.auth]".to_owned(),
                |listener| format!("[listener.{}.auth]", listener.name),
            );
            let users = auth.basic.as_ref().map(|basic| loading.users(&basic.users));
            let keys = auth.jwt.as_ref().map(|jwt| loading.keys(&jwt.keys));
            Sources { users, keys }
        });
        let sources: Vec<_> = sources.collect();
        let (sender, receiver) = auth::jobs();
        let used = !loading.users.is_empty();
        match Shared::new(sources, used.then_some(sender)) {
            Ok(shared) if loading.faults.is_empty() => Ok(Some(Self {
                shared: Arc::new(shared),
                files: loading.files,
                fetched: loading.fetched,
                jobs: used.then_some(receiver),
            })),
            Ok(_) => Err(loading.faults),
            Err(error) => {
                let path = PathBuf::from("/dev/urandom");
                loading.fault(FileFault { path, what: error.to_string() });
                Err(loading.faults)
            }
        }
    }

    /// For each worker: what all share, and a way back for verdicts on its passwords.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn seat(&self) -> io::Result<(Arc<Shared>, Option<Seat>)> {
        let seat = self.jobs.as_ref().map(|_| Seat::new()).transpose()?;
        Ok((Arc::clone(&self.shared), seat))
    }

    /// Starts the threads that verify passwords: one for each four workers, begun ones counted.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start_threads(&self, workers: usize) -> io::Result<()> {
        let Some(jobs) = &self.jobs else { return Ok(()) };
        for number in 0..workers.div_ceil(4).clamp(1, THREADS_MOST) {
            let jobs = jobs.clone();
            let name = format!("ringway-auth-{number}");
            std::thread::Builder::new().name(name).spawn(move || {
                // It ends with the last worker.
                jobs.iter().for_each(Job::run);
            })?;
        }
        Ok(())
    }

    /// Watches files and fetches keys, on the control thread's runtime, until the runtime ends.
    /// Counts in `row`, the control thread's.
    pub fn watch(self, config: &Config, row: &Arc<Row>) {
        for fetched in self.fetched {
            let (servers, row) = (config.server.resolvers.clone(), Arc::clone(row));
            tokio::spawn(async move { Box::pin(fetched.follow(&servers, &row)).await });
        }
        let (mut files, row) = (self.files, Arc::clone(row));
        if files.is_empty() {
            return;
        }
        tokio::spawn(async move {
            loop {
                sleep(LOOK).await;
                for file in &mut files {
                    look(file, &row);
                }
            }
        });
    }
}

fn look(file: &mut Watched, row: &Row) {
    let path = file.file.path().display().to_string();
    match file.look() {
        None => {}
        Some(Ok(count)) => {
            row.add(Counter::AuthReloads, 1);
            tracing::info!(path, count, "auth file loaded");
        }
        Some(Err(what)) => {
            row.add(Counter::AuthReloadsRefused, 1);
            tracing::error!(path, "not loaded, what was in use stays: it {what}");
        }
    }
}

impl Fetched {
    async fn follow(self, servers: &[std::net::SocketAddr], row: &Row) {
        let (mut retry, mut last) = (RETRY_FIRST, Vec::new());
        loop {
            let taken = match fetch::fetch(&self.url, self.tls.as_ref(), servers).await {
                Ok(body) if body == last => Ok(None),
                Ok(body) => {
                    KeySet::read(&body).map_err(|error| format!("it {error}")).map(|keys| {
                        last = body;
                        Some(keys)
                    })
                }
                Err(error) => Err(error.to_string()),
            };
            let url = &self.url.text;
            let wait = match taken {
                Ok(keys) => {
                    row.add(Counter::JwksFetches, 1);
                    if let Some(keys) = keys {
                        tracing::info!(url, keys = keys.count(), "keys fetched");
                        self.keys.current.replace(keys);
                    }
                    retry = RETRY_FIRST;
                    self.refresh
                }
                Err(why) => {
                    row.add(Counter::JwksFetchesFailed, 1);
                    tracing::error!(url, "keys not fetched, those that were known stay: {why}");
                    let wait = retry.min(self.refresh);
                    retry = (retry * 2).min(RETRY_MOST);
                    wait
                }
            };
            self.keys.fetches.fetch_add(1, Ordering::Release);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.asked.notified() => {}
            }
        }
    }
}
