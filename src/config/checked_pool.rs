//! The checked configuration of a pool: its members, and how one is picked and reached. Immutable.

use std::net::SocketAddr;
use std::time::Duration;

use super::checked_l4::ProxyVersion;

/// `[pool.NAME]`: the members, and how to choose and reach one.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Its name in the file.
    pub name: String,
    /// The algorithm.
    pub balance: Balance,
    /// The members; `MemberId` is the index. At least one, at most 4,096.
    pub members: Vec<MemberConfig>,
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
    pub address: SocketAddr,
    /// Its share. Default 1, 0 to 65,535; 0 gets nothing.
    pub weight: u16,
    /// Exchanges that it may have in flight, over all workers, 1 to 1,000,000. `None`, the default: no bound.
    pub max_connections: Option<u32>,
    /// Serves only when every member that is no backup is out, or failed this request. Default false.
    pub backup: bool,
}

/// `keepalive = {...}` of a pool; per worker and member.
#[derive(Clone, Copy, Debug)]
pub struct KeepaliveConfig {
    /// Idle connections kept. Default 64; 0: none.
    pub idle: usize,
    /// How long one may stay idle. Default 60 s.
    pub idle_timeout: Duration,
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
    /// Failures within `window` that take a member out. Default 5, 1 to 10,000.
    pub failures: u32,
    /// In which they count. Default 10 s.
    pub window: Duration,
    /// How long it is out before one real request tries it. Default 10 s.
    pub out_for: Duration,
    /// What counts. Default: connect, reset, timeout, bad-answer.
    pub on: FailureSet,
    /// The share of a pool's members, in percent, that may be ejected at a time. Default 50; at least one
    /// member may always be ejected if another one is left.
    pub max_share: u8,
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
