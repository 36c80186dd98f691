//! Start order: driver, sockets, access log, workers; then the control loop until the end.

use std::fmt;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::bounded;
use tokio::sync::mpsc;

use super::cache;
use super::drain::{Crew, Outcome};
use super::worker::{AuthSeat, Command, Plan};
use crate::balancer::{self, SharedPools};
use crate::config::{self, Config, Speaks, Workers};
use crate::control::admin::{self, AdminBindError, AdminListener, Process};
use crate::control::{
    AuthFiles, Certificates, Monitor, TlsFileFault, access_log, log, watch_addresses,
};
use crate::ids::{ListenerId, WorkerId};
use crate::net::{
    self, BindError, Driver, DriverChoice, DriverError, FileSeat, FileThreads, Inbox, Listening,
    Ringer,
};
use crate::proxy::{Guards, SharedBuffers};
use crate::stats::{Occupancy, Row};

/// Commands that may wait for a worker; a slot that is freed meanwhile is noticed at the next tick.
const INBOX: usize = 256;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to serve.
    pub config: Config,
    /// On which event loop.
    pub driver: DriverChoice,
}

/// The system refused something that serving needs.
#[derive(Debug)]
pub enum StartError {
    /// No event loop.
    Driver(DriverError),
    /// An address.
    Bind(BindError),
    /// `server.admin`.
    Admin(AdminBindError),
    /// The access log's file.
    AccessLog(PathBuf, io::Error),
    /// The folder of the cache.
    CacheFolder(PathBuf, io::Error),
    /// The folder of `server.buffers`.
    Folder(PathBuf, io::Error),
    /// Files of certificates and keys, of users and secrets.
    Tls(Vec<TlsFileFault>),
    /// A thread, a ring, or another resource.
    System(io::Error),
    /// `server.workers` names a core that the process may not use.
    Core(usize),
    /// A worker ended by itself.
    WorkerLost(WorkerId),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(error) => write!(f, "{error}"),
            Self::Bind(error) => write!(f, "{error}"),
            Self::Admin(error) => write!(f, "{error}"),
            Self::AccessLog(path, error) => {
                let hint = match error.kind() {
                    io::ErrorKind::NotFound => " (its directory must exist)",
                    _ => "",
                };
                write!(f, "cannot open server.access_log {}: {error}{hint}", path.display())
            }
            Self::CacheFolder(path, error) => {
                write!(f, "cannot use server.cache.disk.folder {}: {error}", path.display())
            }
            Self::Folder(path, error) => {
                write!(f, "cannot write in server.buffers.folder {}: {error}", path.display())
            }
            Self::Tls(faults) => {
                let faults: Vec<_> = faults.iter().map(TlsFileFault::to_string).collect();
                f.write_str(&faults.join("\nringway: "))
            }
            Self::System(error) => write!(f, "cannot start: {error}"),
            Self::Core(core) => {
                write!(f, "server.workers names core {core}, which this process may not use")
            }
            Self::WorkerLost(worker) => write!(f, "worker {} ended by itself: a bug", worker.0),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Driver(error) => Some(error),
            Self::Bind(error) => Some(error),
            Self::Admin(error) => Some(error),
            Self::AccessLog(_, error)
            | Self::CacheFolder(_, error)
            | Self::Folder(_, error)
            | Self::System(error) => Some(error),
            Self::Tls(_) | Self::Core(_) | Self::WorkerLost(_) => None,
        }
    }
}

impl StartError {
    /// The process's exit code: 70 for a bug, 1 for files that are not good, else 2.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::WorkerLost(_) => 70,
            Self::Tls(_) => 1,
            _ => 2,
        }
    }
}

/// Serves until the process is told to end.
///
/// # Errors
/// The system refused something at the start, or a worker was lost.
pub fn run(options: Options) -> Result<(), StartError> {
    let (driver, cores) = prepare(&options)?;
    let config = Arc::new(options.config);
    let certificates = load_certificates(&config)?;
    let (auth, cache) = (load_auth(&config, cores.len())?, cache::open(&config, cores.len())?);
    let (listening, datagrams) = bind_all(&config, cores.len())?;
    let admin = bind_admin(&config)?;
    let rows: Vec<Arc<Row>> = cores.iter().map(|_| Arc::default()).collect();
    let (ended, ends) = mpsc::unbounded_channel();
    let control_row: Arc<Row> = Arc::default();
    let (log_sender, log_writer) = open_access_log(&config, &control_row)?;
    let guards = Arc::new(Guards::new(&config, cores.len()));
    let occupancy = occupancy(&config, cores.len());
    let (counts, timeout) = ((rows.clone(), Arc::clone(&occupancy)), config.server.drain_timeout);
    let mut crew = Crew::new(counts, Arc::clone(&control_row), ends, log_writer, timeout)
        .counting(Arc::clone(&guards));
    let shared = SharedPools::new(&config.pools, cores.len()).with_tls(certificates.connectors());
    let shared = Arc::new(shared);
    let (observer, observations) = balancer::observer().map_err(StartError::System)?;
    let monitor = Monitor::new(&config, &shared, observations, &control_row)
        .with_tls(certificates.connectors())
        .with_records(shared.records());
    let (files, buffers) = (start_files(&config, cores.len())?, SharedBuffers::new(&config));
    let (started, starts) = bounded(cores.len());
    let bound = deal((listening, datagrams), cores.len());
    let (peers, inboxes) = inboxes(cores.len()).map_err(StartError::System)?;
    let hands = cores.iter().copied().zip(&rows).zip(bound).zip(inboxes).zip(peers.clone());
    for (number, ((((core, row), (sockets, datagrams)), inbox), ringer)) in (0u16..).zip(hands) {
        let plan = Plan {
            id: WorkerId(number),
            core,
            driver,
            config: Arc::clone(&config),
            shared: Arc::clone(&shared),
            occupancy: Arc::clone(&occupancy),
            post: guards.at(WorkerId(number)),
            row: Arc::clone(row),
            access_log: log_sender.clone(),
            tls: certificates.acceptors(),
            disk: cache::seat(cache.as_deref())?,
            cache: cache.clone(),
            files: file_seat(files.as_ref())?,
            buffers: buffers.clone(),
            observer: observer.clone(),
            auth: auth.as_ref().map(seat).transpose()?,
            sockets,
            datagrams,
            inbox,
            peers: peers.clone(),
            started: started.clone(),
            ended: ended.clone(),
        };
        crew.add(plan.start().map_err(StartError::System)?, ringer);
    }
    drop((log_sender, started, ended, observer, files));
    let (draining, desk) = (crew.draining(), monitor.desk());
    let process = Process::new(&config, &shared, (rows, occupancy), &control_row, draining, desk);
    let serve = async {
        monitor.start();
        if let Some(admin) = admin {
            let process = process.telling_of(certificates.shelves()).counting(Arc::clone(&guards));
            admin.start(process.with_cache(cache));
        }
        watch_addresses(&guards, Arc::clone(&control_row));
        auth.into_iter().for_each(|auth| auth.watch(&config, &control_row));
        certificates.watch(control_row);
        crew.serve(|| wait_for(&starts, cores.len(), driver)).await
    };
    control_loop()?.block_on(serve).map(say_end)
}

/// The event loop of the control thread.
fn control_loop() -> Result<tokio::runtime::Runtime, StartError> {
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build();
    control.map_err(StartError::System)
}

/// What is chosen before anything is opened: the loop, and a core for each worker.
fn prepare(options: &Options) -> Result<(Driver, Vec<Option<usize>>), StartError> {
    log::start();
    // Before anything counts on them.
    _ = net::descriptors();
    Ok((choose_driver(options.driver)?, choose_cores(&options.config.server.workers)?))
}

/// Both ends of the inboxes of all workers.
type Inboxes = (Vec<Ringer<Command>>, Vec<Inbox<Command>>);

fn inboxes(workers: usize) -> io::Result<Inboxes> {
    let inboxes = (0..workers).map(|_| net::inbox(INBOX)).collect::<io::Result<Vec<_>>>();
    Ok(inboxes?.into_iter().unzip())
}

fn occupancy(config: &Config, workers: usize) -> Arc<Occupancy> {
    let names = config.listeners.iter().map(|listener| listener.name.clone());
    Arc::new(Occupancy::new(names, workers))
}

fn say_end(outcome: Outcome) {
    match outcome {
        Outcome::Drained => tracing::info!("drained"),
        Outcome::Cut(left) => tracing::warn!(connections = left, "ended before all was finished"),
    }
}

fn bind_admin(config: &Config) -> Result<Option<AdminListener>, StartError> {
    config.server.admin.as_ref().map(admin::bind).transpose().map_err(StartError::Admin)
}

type AccessLog = (Option<crate::proxy::access_log::Sender>, Option<access_log::Writer>);

fn open_access_log(config: &Arc<Config>, row: &Arc<Row>) -> Result<AccessLog, StartError> {
    let started = access_log::start(config, Arc::clone(row)).map_err(|error| {
        match &config.server.access_log {
            config::AccessLog::File(path) => StartError::AccessLog(path.clone(), error),
            config::AccessLog::Off | config::AccessLog::Stdout => StartError::System(error),
        }
    });
    Ok(started?.unzip())
}

fn load_certificates(config: &Config) -> Result<Certificates, StartError> {
    let mut warnings = Vec::new();
    let certificates = Certificates::load(config, &mut warnings).map_err(StartError::Tls)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for (listener, all) in certificates.shelves().list() {
        for one in all {
            let (chain, names) = (one.chain.display(), one.names.join(","));
            tracing::info!(listener, %chain, names, "certificate loaded");
        }
    }
    Ok(certificates)
}

/// Users and keys of `auth`, if any route has it, and the threads that verify passwords.
fn load_auth(config: &Config, workers: usize) -> Result<Option<AuthFiles>, StartError> {
    let auth = AuthFiles::load(config).map_err(StartError::Tls)?;
    if let Some(auth) = &auth {
        auth.start_threads(workers).map_err(StartError::System)?;
    }
    Ok(auth)
}

/// One worker's part of it.
fn seat(auth: &AuthFiles) -> Result<AuthSeat, StartError> {
    auth.seat().map_err(StartError::System)
}

/// The threads that work with files, if anything goes to disk; and whether it can.
fn start_files(config: &Config, workers: usize) -> Result<Option<FileThreads>, StartError> {
    let Some(folder) = config.spills_to() else { return Ok(None) };
    let refused = |error| StartError::Folder(folder.to_owned(), error);
    // What is in it is of clients, and nobody else's.
    net::private_folder(folder).map_err(refused)?;
    // Whoever cannot write hears of it now, not when the first body is large.
    net::nameless_file(folder).map_err(refused)?;
    FileThreads::start(workers).map(Some).map_err(StartError::System)
}

/// One worker's part of them.
fn file_seat(files: Option<&FileThreads>) -> Result<Option<FileSeat>, StartError> {
    files.map(FileThreads::seat).transpose().map_err(StartError::System)
}

/// Waits until every worker's loop runs.
fn wait_for(
    starts: &crossbeam_channel::Receiver<io::Result<()>>,
    workers: usize,
    driver: Driver,
) -> Result<(), StartError> {
    for _ in 0..workers {
        let started = starts.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
        started.map_err(StartError::System)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let (name, mode, descriptors) = (driver.name(), driver.mode(), net::descriptors());
    tracing::info!(version, workers, driver = name, mode, descriptors, "ready");
    Ok(())
}

fn choose_driver(choice: DriverChoice) -> Result<Driver, StartError> {
    let (driver, refusal) = Driver::choose(choice).map_err(StartError::Driver)?;
    if let Some(refusal) = refusal {
        tracing::warn!(driver = driver.name(), "falling back: {refusal}");
    }
    Ok(driver)
}

/// A core for each worker; none: not pinned, as there are more workers than cores.
fn choose_cores(workers: &Workers) -> Result<Vec<Option<usize>>, StartError> {
    let cores = net::cores();
    match workers {
        Workers::Auto if cores.is_empty() => Ok(vec![None]),
        Workers::Auto => Ok(cores.into_iter().map(Some).collect()),
        Workers::Count(count) => Ok((0..*count).map(|n| cores.get(n).copied()).collect()),
        Workers::Cores(wanted) => match wanted.iter().find(|core| !cores.contains(core)) {
            Some(core) => Err(StartError::Core(*core)),
            None => Ok(wanted.iter().copied().map(Some).collect()),
        },
    }
}

/// The bound addresses of each listener, those for connections and those for datagrams.
type Bound = (Vec<(ListenerId, Listening)>, Vec<(ListenerId, Listening<UdpSocket>)>);

fn bind_all(config: &Config, workers: usize) -> Result<Bound, StartError> {
    let (mut all, mut datagrams) = Bound::default();
    for (listener, id) in config.listeners.iter().zip(0u16..) {
        for address in &listener.bind {
            let address = if listener.speaks() == Speaks::Udp {
                let bound = net::bind_datagrams(*address, workers).map_err(StartError::Bind)?;
                let address = bound.address;
                datagrams.push((ListenerId(id), bound));
                address
            } else {
                let bound = net::bind(*address, workers, listener.defer_accept);
                let bound = bound.map_err(StartError::Bind)?;
                let address = bound.address;
                all.push((ListenerId(id), bound));
                address
            };
            tracing::info!(listener = %listener.name, %address, "listening");
        }
    }
    Ok((all, datagrams))
}

/// A worker's sockets, those for connections and those for datagrams.
type Hand = (Vec<(ListenerId, TcpListener)>, Vec<(ListenerId, UdpSocket)>);

/// Deals all sockets out to the workers.
fn deal((listening, datagrams): Bound, workers: usize) -> impl Iterator<Item = Hand> {
    by_worker(listening, workers).into_iter().zip(by_worker(datagrams, workers))
}

/// Deals each address's sockets out to the workers.
fn by_worker<S>(all: Vec<(ListenerId, Listening<S>)>, workers: usize) -> Vec<Vec<(ListenerId, S)>> {
    let mut dealt: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for (listener, listening) in all {
        for (hand, socket) in dealt.iter_mut().zip(listening.sockets) {
            hand.push((listener, socket));
        }
    }
    dealt
}
