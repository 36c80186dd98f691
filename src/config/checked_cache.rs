//! The checked form of `cache`: which answers of a route are kept, and how they are found again.

use std::path::PathBuf;
use std::time::Duration;

use crate::http::caching::{CookiePolicy, StoringPolicy};

/// The most that an answer's freshness can be guessed to be: a day.
const HEURISTIC_MOST: u64 = 86_400;

/// `cache = {...}` of `[server]`: the one store of all routes.
#[derive(Clone, Debug)]
pub struct CacheStoreConfig {
    /// Bytes that it holds at the most. Default 256 MiB.
    pub memory: usize,
    /// The second tier, in files. Default none.
    pub disk: Option<CacheDiskConfig>,
}

/// `disk = {...}` of `cache` of `[server]`.
#[derive(Clone, Debug)]
pub struct CacheDiskConfig {
    /// Where the files are.
    pub folder: PathBuf,
    /// Bytes that they take at the most. Default 1 GiB.
    pub size: u64,
    /// How many there are at the most. Default 100,000.
    pub files: usize,
    /// Bytes of the largest body. Default 64 MiB.
    pub max_object: u64,
    /// What is asked for once is written, too. Default false.
    pub admits_all: bool,
    /// Threads that read. Default 4.
    pub threads: usize,
}

/// `cache = {...}` of a route.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// What tells answers apart. Default scheme, host, path and query.
    pub key: Vec<KeyPart>,
    /// `max_age`: statuses from, to, and how long their answers are fresh; the first that fits.
    pub max_age: Vec<(u16, u16, Duration)>,
    /// `max_age` also replaces what answers say. Default false.
    pub overrule: bool,
    /// Bytes of the largest body that is stored. Default 8 MiB.
    pub max_object: usize,
    /// How long stale answers serve while another one is fetched, where they do not say. Default 0.
    pub stale_while_revalidate: Duration,
    /// How long stale answers serve when no other can be had, where they do not say. Default 60 s.
    pub stale_if_error: Duration,
    /// The share of its time since the last change that an answer is fresh for, in percent, where
    /// nothing says. Default 10.
    pub heuristics: u8,
    /// What becomes of answers that set cookies. Default if-shared.
    pub set_cookie: CookiePolicy,
    /// What makes requests go past the cache. Default nothing.
    pub bypass: Vec<Mark>,
    /// What clients want of caches counts for nothing. Default false.
    pub ignore_client_directives: bool,
    /// Answers say what the cache did, in `Cache-Status`. Default false.
    pub status_header: bool,
    /// How long a request waits for the answer that another one has asked for. Default 5 s.
    pub wait: Duration,
}

/// A part of what tells answers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// `"scheme"`: http or https, as members are told.
    Scheme,
    /// `"host"`: host and port that were asked for.
    Host,
    /// `"path"`: in normal form.
    Path,
    /// `"query"`: as sent.
    Query,
    /// `"header:NAME"`: the first field of this name.
    Header(String),
    /// `"cookie:NAME"`: this cookie.
    Cookie(String),
}

impl KeyPart {
    /// The parts of a key where none is written.
    pub(super) const DEFAULT: [Self; 4] = [Self::Scheme, Self::Host, Self::Path, Self::Query];
}

/// Something that a request has or has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `"header:NAME"`
    Header(String),
    /// `"cookie:NAME"`
    Cookie(String),
    /// `"query:NAME"`
    Query(String),
}

impl CacheConfig {
    /// The same in terms of HTTP.
    #[must_use]
    pub fn policy(&self) -> StoringPolicy {
        let times = self.max_age.iter().map(|(from, to, time)| (*from, *to, time.as_secs()));
        StoringPolicy {
            times: times.collect(),
            overrule: self.overrule,
            heuristic: u64::from(self.heuristics),
            heuristic_most: HEURISTIC_MOST,
            cookies: self.set_cookie,
            stale_while_revalidate: self.stale_while_revalidate.as_secs(),
            stale_if_error: self.stale_if_error.as_secs(),
        }
    }
}
