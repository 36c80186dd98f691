//! Names of members: asked for again as their records run out, for as long as the process lives. Must
//! not know what an answer leads to.
//!
//! A name has the addresses of its A records; only one that has none has those of its AAAA records.
//! The answer of a service is its SRV records, each with the addresses of its target.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType, rdata::SRV};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::monitor::{Told, share};
use crate::balancer::Found;
use crate::clock;
use crate::config::{Config, MemberAddress};
use crate::ids::PoolId;
use crate::rng::{Rng, mix};

/// How long an answer is kept at the least and at the most, whatever its records say.
const TTL_LEAST: Duration = Duration::from_secs(1);
const TTL_MOST: Duration = Duration::from_secs(300);

/// How long is waited after a first failure, and after many.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// For one answer with all that it takes: a service has many names.
const PATIENCE: Duration = Duration::from_secs(30);

/// For one question to a name server that the file names, and how often it is asked.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
const QUESTION_ATTEMPTS: usize = 2;

/// Names that are read of the answer of a service.
const TARGETS_MOST: usize = 4096;

/// Why a name has no answer.
#[derive(Debug)]
pub(super) enum ResolveError {
    /// It has no addresses, or does not exist.
    Empty,
    /// Nothing was heard in time.
    Late,
    /// The name servers could not be asked, or do not know.
    Failed(NetError),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name has no addresses"),
            Self::Late => f.write_str("no answer in time"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl From<NetError> for ResolveError {
    fn from(error: NetError) -> Self {
        if error.is_no_records_found() { Self::Empty } else { Self::Failed(error) }
    }
}

/// An answer and how long it may be kept.
struct Answer {
    found: Vec<Found>,
    ttl: Duration,
}

/// Starts a task for each name in the file.
pub(super) fn start(config: &Config, told: &Sender<Told>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let seed = clock::unix().as_nanos() as u64;
    for (pool, one) in (0u16..).map(PoolId).zip(&config.pools) {
        for (entry, member) in one.members.iter().enumerate() {
            if member.address.is_resolved() {
                let name = member.address.clone();
                let rng = Rng::new(mix(seed ^ u64::from(pool.0) << 32 ^ entry as u64));
                let servers = config.server.resolvers.clone();
                tasks.spawn(follow(pool, entry, name, servers, told.clone(), rng));
            }
        }
    }
    tasks
}

async fn follow(
    pool: PoolId,
    entry: usize,
    name: MemberAddress,
    servers: Vec<SocketAddr>,
    told: Sender<Told>,
    mut rng: Rng,
) {
    let mut retry = RETRY_FIRST;
    loop {
        let answer = timeout(PATIENCE, resolve(&name, &servers)).await;
        let (answer, wait) = match answer.unwrap_or(Err(ResolveError::Late)) {
            Ok(Answer { found, ttl }) => {
                retry = RETRY_FIRST;
                (Ok(found), ttl.clamp(TTL_LEAST, TTL_MOST))
            }
            Err(error) => {
                let wait = retry;
                retry = (retry * 2).min(RETRY_MOST);
                (Err(error), wait)
            }
        };
        if told.send(Told::Resolved(pool, entry, answer)).await.is_err() {
            return;
        }
        // A little later, so that not all hosts ask at the same moment.
        sleep(wait + share(wait / 10, &mut rng)).await;
    }
}

/// The addresses of a name, once.
pub(super) async fn lookup(
    host: &str,
    servers: &[SocketAddr],
) -> Result<Vec<IpAddr>, ResolveError> {
    Ok(addresses(&resolver(servers)?, host).await?.0)
}

async fn resolve(name: &MemberAddress, servers: &[SocketAddr]) -> Result<Answer, ResolveError> {
    // Anew each time: the system's files may have changed.
    let resolver = resolver(servers)?;
    match name {
        MemberAddress::Name { host, port } => {
            let (addresses, ttl) = addresses(&resolver, host).await?;
            let found = |ip| found(ip, *port, host, 1, false);
            Ok(Answer { found: addresses.into_iter().map(found).collect(), ttl })
        }
        MemberAddress::Srv(name) => service(&resolver, name).await,
        MemberAddress::Ip(_) | MemberAddress::Unix(_) => Err(ResolveError::Empty),
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, ResolveError> {
    let provider = TokioRuntimeProvider::default;
    let builder = if servers.is_empty() {
        TokioResolver::builder(provider()).unwrap_or_else(|_| {
            // As the C library does where it is told nothing.
            let local = vec![NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into())];
            let config = ResolverConfig::from_parts(None, Vec::new(), local);
            TokioResolver::builder_with_config(config, provider())
        })
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut options = ResolverOpts::default();
        (options.timeout, options.attempts) = (QUESTION_TIMEOUT, QUESTION_ATTEMPTS);
        TokioResolver::builder_with_config(config, provider()).with_options(options)
    };
    Ok(builder.build()?)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        let ConnectionConfig { port, .. } = connection;
        *port = address.port();
    }
    server
}

/// The addresses of a name. An answer that did not come is no answer, even if there is one of the
/// other kind: else members would change their family because of a lost packet.
async fn addresses(
    resolver: &TokioResolver,
    host: &str,
) -> Result<(Vec<IpAddr>, Duration), ResolveError> {
    for kind in [RecordType::A, RecordType::AAAA] {
        match resolver.lookup(host, kind).await {
            Ok(lookup) => {
                let records = lookup.answers().iter();
                let ips: Vec<IpAddr> = records.filter_map(|record| record.data.ip_addr()).collect();
                if !ips.is_empty() {
                    return Ok((ips, ttl(&lookup)));
                }
            }
            Err(error) if error.is_no_records_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ResolveError::Empty)
}

async fn service(resolver: &TokioResolver, name: &str) -> Result<Answer, ResolveError> {
    let lookup = resolver.lookup(name, RecordType::SRV).await?;
    let mut answer = Answer { found: Vec::new(), ttl: ttl(&lookup) };
    let records: Vec<&SRV> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            // A dot says that there is no such service; a port of 0 leads nowhere.
            RData::SRV(srv) if !srv.target.is_root() && srv.port > 0 => Some(srv),
            _ => None,
        })
        .take(TARGETS_MOST)
        .collect();
    let first = records.iter().map(|srv| srv.priority).min().unwrap_or(0);
    for srv in records {
        let target = srv.target.to_ascii();
        match addresses(resolver, &target).await {
            Ok((addresses, ttl)) => {
                let backup = srv.priority > first;
                let found = |ip| found(ip, srv.port, &target, srv.weight, backup);
                answer.found.extend(addresses.into_iter().map(found));
                answer.ttl = answer.ttl.min(ttl);
            }
            // One that is gone takes nobody else along.
            Err(ResolveError::Empty) => {}
            Err(error) => return Err(error),
        }
    }
    if answer.found.is_empty() { Err(ResolveError::Empty) } else { Ok(answer) }
}

fn found(ip: IpAddr, port: u16, host: &str, weight: u16, backup: bool) -> Found {
    let host = format!("{}:{port}", host.trim_end_matches('.')).into();
    Found { address: SocketAddr::new(ip, port), host, weight, backup }
}

/// How long the first of the records lasts.
fn ttl(lookup: &Lookup) -> Duration {
    let seconds = lookup.answers().iter().map(|record| record.ttl).min();
    Duration::from_secs(seconds.unwrap_or(0).into())
}
