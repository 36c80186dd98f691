//! What the admin interface answers, field by field: stable names, documented in `docs/admin.md`.
//! The command line reads the same types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::control::Shelves;

/// Why a request was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// For people.
    pub error: String,
}

/// `GET /stats`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatsView {
    /// Of ringway.
    pub version: String,
    /// Since the start.
    pub uptime_seconds: u64,
    /// Whether it ends and takes no new clients.
    pub draining: bool,
    /// How many there are.
    pub workers: usize,
    /// By name, as in `docs/counters.md`.
    pub counters: BTreeMap<String, CountView>,
    /// By side and reason, as in `docs/counters.md` without `error_`.
    pub errors: BTreeMap<String, CountView>,
    /// In the order of the file.
    pub listeners: Vec<ListenerView>,
    /// By rule of a listener or route, as `listener.web.rate.0`: how often it decided what.
    #[serde(default)]
    pub rules: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Where a listener's clients are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerView {
    /// Its name.
    pub name: String,
    /// Open connections, by worker.
    pub connections: Vec<usize>,
    /// The most that a worker has, over the mean: 1 is even; null: there are none.
    pub imbalance: Option<f64>,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountView {
    /// Over all workers and the control thread.
    pub total: u64,
    /// By worker.
    pub workers: Vec<u64>,
    /// Of the control thread.
    pub control: u64,
}

/// `GET /pools`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PoolsView {
    /// In the order of the file.
    pub pools: Vec<PoolView>,
}

/// `GET /pools/NAME`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// Members that are in and have a weight.
    pub available: usize,
    /// Requests that wait for a member.
    pub waiting: u64,
    /// As configured, for all members together; null: no bound.
    pub max_connections: Option<u32>,
    /// Of these, those in use.
    pub slots_in_use: Option<u32>,
    /// In the order of the file.
    pub members: Vec<MemberView>,
}

/// One member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberView {
    /// Where it listens, which is what it is called.
    pub address: String,
    /// The name that resolved to it; null: the file has the address.
    pub name: Option<String>,
    /// As configured.
    pub weight: u16,
    /// As configured.
    pub backup: bool,
    /// What workers go by: `in`, `out`, `trial`, `drain`.
    pub standing: String,
    /// What the operator wants: `ready`, `drain`, `maintenance`.
    pub admin: String,
    /// What its probes tell: `healthy`, `failing`, `unhealthy`, `recovering`; null: not probed.
    pub probes: Option<String>,
    /// Probes in a row so far, while failing or recovering.
    pub probes_in_a_row: Option<u32>,
    /// What its requests tell: `in`, `ejected`, `trial`.
    pub requests: String,
    /// Until when it is ejected, in seconds since 1970.
    pub ejected_until: Option<f64>,
    /// Exchanges under way.
    pub in_flight: u32,
    /// As configured; null: no bound.
    pub max_connections: Option<u32>,
    /// Of `max_connections`.
    pub slots_in_use: Option<u32>,
    /// Median of about the last ten seconds; null: not measured.
    pub latency_us: Option<u64>,
    /// Its last change; null: none since the start.
    pub last_transition: Option<TransitionView>,
}

/// A change of a member's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransitionView {
    /// In seconds since 1970.
    pub at: f64,
    /// The state before.
    pub from: String,
    /// The state since then.
    pub to: String,
    /// Why, for people.
    pub cause: String,
}

/// `GET /pools/NAME/members/ADDRESS`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvidenceView {
    /// The member.
    #[serde(flatten)]
    pub member: MemberView,
    /// The last things that were seen of it, the oldest first; at most 64.
    pub evidence: Vec<SeenView>,
}

/// One thing that was seen of a member: a probe, a failed request, or the request of a trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenView {
    /// In seconds since 1970.
    pub at: f64,
    /// `probe`, `request` or `trial`.
    pub kind: String,
    /// How it ended, for people.
    pub outcome: String,
}

/// `POST /pools/NAME/members/ADDRESS/state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeView {
    /// Whether the operator's word is another one now.
    pub changed: bool,
    /// The member behind the change.
    pub member: MemberView,
}

/// `GET /certificates`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CertificatesView {
    /// In the order of the file, by listener; the first of each is its default.
    pub certificates: Vec<CertificateView>,
}

/// A certificate that is shown to clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateView {
    /// The name of the listener.
    pub listener: String,
    /// Whether it is for clients that ask for a name that no certificate has.
    pub default: bool,
    /// What it is for.
    pub names: Vec<String>,
    /// Who it was issued to.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// In seconds since 1970.
    pub not_before: u64,
    /// In seconds since 1970.
    pub not_after: u64,
    /// When it was loaded, in seconds since 1970.
    pub loaded: u64,
    /// The file of its chain.
    pub chain: String,
    /// The file of its key.
    pub key: String,
    /// Whether a response of its issuer's OCSP server is sent along.
    pub stapled: bool,
}

impl CertificatesView {
    /// What is in use now.
    #[must_use]
    pub fn of(shelves: &Shelves) -> Self {
        let mut certificates = Vec::new();
        for (listener, all) in shelves.list() {
            certificates.extend(all.into_iter().enumerate().map(|(number, one)| CertificateView {
                listener: listener.to_owned(),
                default: number == 0,
                names: one.names,
                subject: one.subject,
                issuer: one.issuer,
                not_before: one.not_before.as_secs(),
                not_after: one.not_after.as_secs(),
                loaded: one.loaded.as_secs(),
                chain: one.chain.display().to_string(),
                key: one.key.display().to_string(),
                stapled: one.stapled,
            }));
        }
        Self { certificates }
    }
}

/// `GET /cache`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheView {
    /// Bytes that stored answers may take.
    pub memory: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Keys that are known.
    pub keys: u64,
    /// The tier on disk, if there is one.
    pub disk: Option<CacheDiskView>,
}

/// The tier on disk of [`CacheView`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheDiskView {
    /// Bytes that files may have.
    pub size: u64,
    /// Bytes that they have.
    pub bytes: u64,
    /// How many there are.
    pub files: u64,
    /// All that was there at the start is known.
    pub read: bool,
}

/// `POST /cache/purge`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurgeView {
    /// Answers that were meant.
    pub purged: u64,
    /// They are still there, to be validated before their next use.
    pub soft: bool,
}

/// `GET /readyz`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadyView {
    /// Not draining, and every pool has a member.
    pub ready: bool,
    /// Whether it ends and takes no new clients.
    pub draining: bool,
    /// Pools without an available member.
    pub pools_without_member: Vec<String>,
}
