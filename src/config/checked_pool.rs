//! The checked configuration of a pool: its members, and how one is picked and reached. Immutable.

use std::time::Duration;

use super::checked_l4::ProxyVersion;
use super::checked_sticky::StickyConfig;
use super::checked_tls::PoolTlsConfig;
use super::member_address::MemberAddress;

/// `[pool.NAME]`: the members, and how to choose and reach one.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Its name in the file.
    pub name: String,
    /// The algorithm.
    pub balance: Balance,
    /// The members as written. At least one; at most 4,096 [`places`](Self::places).
    pub members: Vec<MemberConfig>,
    /// Exchanges that all members together may have in flight, over all workers, 1 to 1,000,000.
    /// `None`, the default: no bound.
    pub max_connections: Option<u32>,
    /// Clients that stay on their member. `None`, the default, or `sticky = "off"`: none does.
    pub sticky: Option<StickyConfig>,
    /// Idle connections to members.
    pub keepalive: KeepaliveConfig,
    /// Deadlines on the member's side.
    pub timeouts: PoolTimeouts,
    /// Probes. `None`, the default, or `health = "off"`: members are not probed.
    pub health: Option<HealthConfig>,
    /// Ejection for failures of real requests. `None`: `eject = "off"`; default on.
    pub eject: Option<EjectConfig>,
    /// Requests that wait while every member is at its `max_connections`.
    pub queue: QueueConfig,
    /// Sending a request again. `None`: `retry = "off"`; default on.
    pub retry: Option<RetryConfig>,
    /// What happens when every member is out.
    pub panic: Panic,
    /// The header that members get in front of each connection. `None`: `"off"`, the default.
    pub proxy_protocol: Option<ProxyVersion>,
    /// How long a member that came back takes to get its full share. Default 0 s: at once.
    pub slow_start: Duration,
    /// TLS to members. `None`, the default, or `tls = "off"`: plain HTTP.
    pub tls: Option<PoolTlsConfig>,
}

impl PoolConfig {
    /// Whether requests may have to wait: the pool or some member has a `max_connections`.
    #[must_use]
    pub fn has_maximum(&self) -> bool {
        let mut members = self.members.iter();
        self.max_connections.is_some() || members.any(|member| member.max_connections.is_some())
    }

    /// A member for each address that there may be; `MemberId` is the index. What a name resolves
    /// to takes the places of its member.
    pub fn places(&self) -> impl Iterator<Item = &MemberConfig> {
        self.members.iter().flat_map(|member| std::iter::repeat_n(member, member.places.into()))
    }
}

/// The algorithm of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// `"round-robin"`: smooth, weighted.
    RoundRobin,
    /// `"least-connections"`: weighted, counted over all workers.
    LeastConnections,
    /// `"least-time"`: latency quantile x (in flight + 1) / weight.
    LeastTime,
    /// `"random-two"`: the less loaded of two that chance picks by weight.
    RandomTwo,
    /// `{ hash = "..." }`: the same member for the same key, consistently.
    Hash(HashKey),
}

/// What a hashing pool hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// `"client-ip"`: the client's address, as derived from a trusted chain.
    ClientIp,
    /// `"path"`: the path in normal form, without the query.
    Path,
    /// `"header:NAME"`: the first field of this name (lower case here); absent: the client's address.
    Header(String),
    /// `"cookie:NAME"`: this cookie; absent: the client's address.
    Cookie(String),
    /// `"query:NAME"`: this parameter of the query; absent: the client's address.
    Query(String),
}

/// One member of a pool.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// Where it listens.
    pub address: MemberAddress,
    /// Addresses that are used at the most, of those that its name has. Default 16 for a name or a
    /// service, else 1.
    pub places: u16,
    /// Its share. Default 1, 0 to 65,535; 0 gets nothing.
    pub weight: u16,
    /// Exchanges that it may have in flight, over all workers, 1 to 1,000,000. `None`, the default: no bound.
    pub max_connections: Option<u32>,
    /// Serves only when every member that is no backup is out, or failed this request. Default false.
    pub backup: bool,
    /// What the operator wants of it when the process starts. Default ready.
    pub state: MemberState,
}

/// `state = "..."` of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// `"ready"`: requests, if it is fit for them.
    Ready,
    /// `"drain"`: none but of clients that stay on it.
    Drain,
    /// `"maintenance"`: none.
    Maintenance,
}

/// `keepalive = {...}` of a pool; per worker and member.
#[derive(Clone, Copy, Debug)]
pub struct KeepaliveConfig {
    /// Idle connections kept. Default 64; 0: none.
    pub idle: usize,
    /// How long one may stay idle. Default 60 s.
    pub idle_timeout: Duration,
    /// The age from which one is not used again. Default 1 h.
    pub max_age: Duration,
    /// Exchanges that one serves, 1 to 1,000,000,000. `None`, the default: no bound.
    pub max_requests: Option<u32>,
}

/// `timeouts = {...}` of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolTimeouts {
    /// For a connection to be established. Default 1 s.
    pub connect: Duration,
    /// Silence of the member: before its head, and between two parts of its body. Default 30 s.
    pub response: Duration,
}

/// `health = {...}` of a pool: probes, one prober per host.
#[derive(Clone, Debug)]
pub struct HealthConfig {
    /// What a probe does.
    pub probe: Probe,
    /// From one probe of a member to its next, give or take a tenth. Default 2 s, at least 10 ms.
    pub interval: Duration,
    /// For one probe as a whole; shorter than `interval`. Default 1 s.
    pub timeout: Duration,
    /// Failures in a row that take a member out. Default 3, 1 to 100.
    pub fall: u32,
    /// Successes in a row that bring it back. Default 2, 1 to 100.
    pub rise: u32,
    /// Another port to probe. `None`: the member's.
    pub port: Option<u16>,
    /// Whether members begin out, until `rise` probes succeeded. `start = "down"`; default `"up"`.
    pub start_down: bool,
}

/// What a probe does.
#[derive(Clone, Debug)]
pub enum Probe {
    /// `type = "http"`, the default.
    Http {
        /// `method`. Default `GET`.
        method: String,
        /// `path`, with its query. Default `/`.
        path: String,
        /// `host`: `Host` of the probe. `None`: the member's address.
        host: Option<String>,
        /// `headers`: further fields.
        headers: Vec<(String, String)>,
        /// `status`: what counts as a success, as ranges with both ends included, 200 to 599. Default
        /// 200-299.
        status: Vec<(u16, u16)>,
        /// `body`: text that the first 64 KiB of the answer must contain. `None`: any.
        body: Option<String>,
    },
    /// `type = "tcp"`: a connection is success enough.
    Tcp,
}

/// `eject = {...}` of a pool: what real requests tell.
#[derive(Clone, Debug)]
pub struct EjectConfig {
    /// Failures within `window` that take a member out. Default 5, 1 to 10,000; `None`: their number
    /// alone takes nobody out.
    pub failures: Option<u32>,
    /// In which they count. Default 10 s.
    pub window: Duration,
    /// How long it is out before one real request tries it. Default 10 s.
    pub out_for: Duration,
    /// What counts. Default: connect, reset, timeout, bad-answer.
    pub on: FailureSet,
    /// The share of a pool's members, in percent, that may be ejected at a time. Default 50; at least one
    /// member may always be ejected if another one is left.
    pub max_share: u8,
    /// `success_rate = {...}`. `None`, the default, or `"off"`.
    pub success_rate: Option<SuccessRateConfig>,
    /// `latency = {...}`. `None`, the default, or `"off"`.
    pub latency: Option<LatencyConfig>,
}

impl EjectConfig {
    /// Whether members are compared with each other.
    #[must_use]
    pub const fn compares(&self) -> bool {
        self.success_rate.is_some() || self.latency.is_some()
    }
}

/// When members are compared with each other, and which of them.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// From one look to the next. Default 10 s, at least 1 s.
    pub interval: Duration,
    /// Requests in an interval that a member must have had. Default 20.
    pub requests: u32,
    /// So many members must have had them. Default 3, 2 to 4,096.
    pub members: u32,
}

/// `success_rate = {...}` of `eject`: more requests fail than at the others.
#[derive(Clone, Copy, Debug)]
pub struct SuccessRateConfig {
    /// When, and which members.
    pub compare: Comparison,
    /// In percentage points: its share of failures against the median of the others. Default 20.
    pub worse_by: u8,
}

/// `latency = {...}` of `eject`: answers take longer than those of the others.
#[derive(Clone, Copy, Debug)]
pub struct LatencyConfig {
    /// When, and which members.
    pub compare: Comparison,
    /// Its median latency against the median of the others'. Default 3, 2 to 1,000.
    pub factor: u32,
    /// Intervals in a row. Default 3, 1 to 1,000.
    pub intervals: u32,
    /// Who is faster than this is never slow. Default 50 ms.
    pub least: Duration,
}

/// `retry = {...}` of a pool.
#[derive(Clone, Debug)]
pub struct RetryConfig {
    /// What makes a request go to another member. Default: connect, reset, timeout; no status.
    pub on: FailureSet,
    /// Times that one request is sent again at the most. Default 2, 1 to 8.
    pub attempts: u32,
    /// Retries as a share of the requests of the last ten seconds, in percent. Default 20.
    pub budget: u8,
    /// Retries a second that are always allowed. Default 10, 0 to 1,000,000.
    pub floor: u32,
    /// From the sent request to its answer's head, while another attempt is possible. `None`, the
    /// default: `timeouts.response`.
    pub try_timeout: Option<Duration>,
    /// Whether POST and PATCH with an `Idempotency-Key` count as idempotent. Default false.
    pub idempotency_key: bool,
    /// From the whole request head to the begin of the last attempt. Default 10 s.
    pub deadline: Duration,
    /// Bytes of a request body that are kept to be sent again. Default 64 KiB, 0 to 16 MiB.
    pub body: usize,
}

/// A set of failures of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureSet {
    /// `"connect"`: no connection (refused, unreachable, too late).
    pub connect: bool,
    /// `"reset"`: closed before its answer, or in the middle of it.
    pub reset: bool,
    /// `"timeout"`: silent for `timeouts.response`.
    pub timeout: bool,
    /// `"bad-answer"`: not HTTP.
    pub bad_answer: bool,
    /// Statuses, such as `"503"`, in order.
    pub statuses: Vec<u16>,
}

/// `queue = {...}` of a pool.
#[derive(Clone, Copy, Debug)]
pub struct QueueConfig {
    /// Requests that may wait, per worker. Default 1,024, 0 to 1,000,000; 0: none.
    pub length: usize,
    /// For how long. Default 2 s.
    pub timeout: Duration,
}

/// `panic = "..."` of a pool: what happens when every member is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panic {
    /// `"refuse"`, the default: 503 at once.
    Refuse,
    /// `"use-all"`: as if none were out.
    UseAll,
}
