//! The checked form of what guards listeners and routes: who may come, how often, how slowly.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address_set::{AddressSet, Verdict};
use super::checked::Cidr;

/// `access = {...}` of a listener or a route.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// `allow`: who may come. Empty, the default: everybody who is not denied.
    pub allow: Vec<AddressSource>,
    /// `deny`: who may not. Default nobody.
    pub deny: Vec<AddressSource>,
    /// How the others are told. Default 403.
    pub refusal: AccessRefusal,
    /// Only count and log. Default false.
    pub dry_run: bool,
    /// Both lists, with what their files had at the start.
    pub set: Arc<AddressSet>,
}

/// An entry of `allow` or `deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// A block.
    Block(Cidr),
    /// `file:PATH`: those of a file.
    File(PathBuf),
}

/// What becomes of who may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRefusal {
    /// `403`.
    Forbidden,
    /// `404`: as if there were nothing.
    NotFound,
    /// `"drop"`: closed without a word.
    Drop,
}

impl AccessConfig {
    /// Whether an address may come, by `set`, which is made of both lists.
    #[must_use]
    pub fn allows(&self, set: &AddressSet, address: std::net::IpAddr) -> bool {
        match set.find(address) {
            Some(verdict) => verdict == Verdict::Allow,
            None => self.allow.is_empty(),
        }
    }

    /// Paths that are not absolute are below `folder`.
    pub(super) fn root_at(&mut self, folder: &Path) {
        for source in self.allow.iter_mut().chain(&mut self.deny) {
            if let AddressSource::File(path) = source {
                *path = folder.join(&*path);
            }
        }
    }
}

/// One `rate = {...}` of a listener or a route.
#[derive(Clone, Debug)]
pub struct RateConfig {
    /// Who has a rate of its own. Default each client.
    pub per: Per,
    /// `rate = "COUNT/PERIOD"`: so many requests.
    pub count: u64,
    /// In so long.
    pub period: Duration,
    /// Requests that may come at once. Default `count`.
    pub burst: u64,
    /// Whether requests within the burst wait for their turn. Default false.
    pub delay: bool,
    /// The status for the others. Default 429.
    pub status: u16,
    /// How many of `per` are told apart at a time. Default 65,536.
    pub keys: usize,
    /// Whether answers say what is left. Default false.
    pub fields: bool,
    /// Only count and log. Default false.
    pub dry_run: bool,
}

/// What a rate is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Per {
    /// `"client"`, `"client-net/24"`, `"client-net/24/56"`: clients whose addresses have so many
    /// leading bits in common.
    Client {
        /// Bits of an IPv4 address.
        four: u8,
        /// Bits of an IPv6 address.
        six: u8,
    },
    /// `"header:NAME"`, the name in lower case: requests with the same value.
    Header(String),
    /// `"cookie:NAME"`: requests with the same value.
    Cookie(String),
    /// `"listener"` or `"route"`: all requests that come to the rule.
    All,
}

impl Per {
    /// Bits of an IPv6 address that are one client, where nothing else is said: what one link has.
    pub const CLIENT_SIX: u8 = 64;

    /// `"client"`.
    pub const CLIENT: Self = Self::Client { four: 32, six: Self::CLIENT_SIX };
}

/// `limits = {...}` of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RouteLimits {
    /// Bytes of a request body; absent: what the listener says.
    pub body: Option<BodyLimit>,
}

/// A bound of a body, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// `"none"`.
    None,
    /// So many bytes.
    Bytes(u64),
}

impl RouteLimits {
    /// Bytes of a request body on a listener with its own bound.
    #[must_use]
    pub const fn body(self, listener: Option<u64>) -> Option<u64> {
        match self.body {
            None => listener,
            Some(BodyLimit::None) => None,
            Some(BodyLimit::Bytes(bytes)) => Some(bytes),
        }
    }
}
