//! The guards of all listeners and routes, as workers share them: buckets, seats of clients, and what
//! each rule decided.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::rate::Buckets;
use super::seats::Seats;
use crate::config::{AccessConfig, AddressSet, Config, ListenerConfig, Per, RateConfig};
use crate::ids::{ListenerId, RouteId, WorkerId};

/// The longest that a request waits for its turn (`mode = "delay"`).
const DELAY_MOST: Duration = Duration::from_secs(30);

/// Clients of one listener whose connections or requests are counted, where its `limits.connections`
/// allows more.
const CLIENTS_MOST: usize = 1 << 20;

/// What a rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Decision {
    /// It let a request or connection pass.
    Passed,
    /// The same, after a wait.
    Delayed,
    /// It refused one.
    Refused,
    /// It would have refused one, but is run dry.
    DryRun,
    /// It counted one together with others, for want of room.
    Shared,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Passed, Self::Delayed, Self::Refused, Self::DryRun, Self::Shared];

    /// As reports call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Delayed => "delayed",
            Self::Refused => "refused",
            Self::DryRun => "dry_run",
            Self::Shared => "shared",
        }
    }
}

/// A rule, by its position among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RuleId(usize);

/// `access` of a listener or route.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) rule: RuleId,
    pub(super) config: AccessConfig,
    set: Arc<ArcSwap<AddressSet>>,
}

impl Access {
    /// Whether an address may come, by what the lists have now.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.config.allows(&self.set.load(), address)
    }
}

/// The lists of one rule some of which are in files, for whoever watches these.
#[derive(Clone, Debug)]
pub struct AddressLists {
    /// The rule.
    pub name: String,
    /// The lists.
    pub config: AccessConfig,
    set: Arc<ArcSwap<AddressSet>>,
}

impl AddressLists {
    /// Takes what the lists have now, for all workers at once; false: that is nothing new.
    #[must_use]
    pub fn replace(&self, set: AddressSet) -> bool {
        if **self.set.load() == set {
            return false;
        }
        self.set.store(Arc::new(set));
        true
    }
}

/// One `rate` of a listener or route.
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) rule: RuleId,
    pub(super) config: RateConfig,
    pub(super) buckets: Buckets,
}

/// A bound per client.
#[derive(Debug)]
pub(super) struct PerClient {
    pub(super) rule: RuleId,
    pub(super) seats: Seats,
}

/// What a listener or a route has of rules.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) access: Option<Access>,
    pub(super) rates: Vec<Rate>,
    /// Of a listener: connections of one client.
    pub(super) connections: Option<PerClient>,
    /// Of a listener: requests of one client at a time.
    pub(super) requests: Option<PerClient>,
    /// Of a listener: bytes of a target.
    pub(super) uri: Option<usize>,
}

impl Gate {
    /// Whether requests have something to pass here.
    const fn guards_requests(&self) -> bool {
        self.access.is_some()
            || !self.rates.is_empty()
            || self.requests.is_some()
            || self.uri.is_some()
    }
}

/// All of them.
#[derive(Debug)]
pub struct Guards {
    /// By listener.
    listeners: Vec<Gate>,
    /// By route; most have nothing, and a look at them should cost little.
    routes: Vec<Option<Box<Gate>>>,
    /// By rule.
    names: Vec<String>,
    /// By worker.
    tallies: Vec<Arc<Tally>>,
}

/// What one worker's rules decided: written by it alone.
#[derive(Debug)]
#[repr(align(128))]
struct Tally(Box<[[AtomicU64; Decision::ALL.len()]]>);

impl Guards {
    /// For so many workers.
    #[must_use]
    pub fn new(config: &Config, workers: usize) -> Self {
        let mut names = Vec::new();
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            listeners.push(gate_of_listener(listener, &mut names));
        }
        let mut routes = Vec::new();
        for (number, route) in config.routes.iter().enumerate() {
            let mut rule = Rules { place: format!("route.{number}"), names: &mut names };
            let access = rule.access(route.access.as_deref());
            let rates = rule.rates(&route.rates);
            let gate = Gate { access, rates, ..Gate::default() };
            routes.push(gate.guards_requests().then(|| Box::new(gate)));
        }
        let tally = |_| {
            let zero = |_: &String| [const { AtomicU64::new(0) }; Decision::ALL.len()];
            Arc::new(Tally(names.iter().map(zero).collect()))
        };
        let tallies = (0..workers).map(tally).collect();
        Self { listeners, routes, names, tallies }
    }

    /// The rules by name, as `listener.web.rate.0` or `route.3.access`, with what all workers decided.
    pub fn decisions(&self) -> impl Iterator<Item = (&str, [u64; Decision::ALL.len()])> {
        self.names.iter().enumerate().map(|(rule, name)| {
            let decided = |decision| self.by_worker(RuleId(rule), decision).sum();
            (name.as_str(), Decision::ALL.map(decided))
        })
    }

    fn by_worker(&self, rule: RuleId, decision: Decision) -> impl Iterator<Item = u64> {
        self.tallies.iter().map(move |tally| {
            tally.cell(rule, decision).map_or(0, |cell| cell.load(Ordering::Relaxed))
        })
    }

    /// Lines for a report of counters, as `stat rule:route.3.access:refused total=2 w0=0 w1=2`; of each
    /// rule what has happened.
    #[must_use]
    pub fn report(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        for (rule, (name, decided)) in self.decisions().enumerate() {
            for (decision, total) in Decision::ALL.into_iter().zip(decided) {
                if total == 0 && !matches!(decision, Decision::Passed | Decision::Refused) {
                    continue;
                }
                // Writing to a String cannot fail.
                _ = write!(out, "stat rule:{name}:{} total={total}", decision.word());
                for (worker, count) in self.by_worker(RuleId(rule), decision).enumerate() {
                    _ = write!(out, " w{worker}={count}");
                }
                out.push('\n');
            }
        }
        out
    }

    /// The lists of addresses some of which are in files.
    pub fn lists(&self) -> impl Iterator<Item = AddressLists> {
        let of_routes = self.routes.iter().filter_map(Option::as_deref);
        let gates = self.listeners.iter().chain(of_routes);
        gates.filter_map(|gate| gate.access.as_ref()).filter_map(|access| {
            access.config.files().next()?;
            let (config, set) = (access.config.clone(), Arc::clone(&access.set));
            Some(AddressLists { name: self.names.get(access.rule.0)?.clone(), config, set })
        })
    }

    /// As one worker has them.
    #[must_use]
    pub fn at(self: &Arc<Self>, worker: WorkerId) -> Post {
        let tally = self.tallies.get(worker.index()).map(Arc::clone);
        // One worker more than there are counts for nobody.
        let tally = tally.unwrap_or_else(|| Arc::new(Tally(Box::default())));
        Post { guards: Arc::clone(self), tally }
    }
}

impl Tally {
    fn cell(&self, rule: RuleId, decision: Decision) -> Option<&AtomicU64> {
        self.0.get(rule.0)?.get(decision as usize)
    }
}

/// The guards on one worker.
#[derive(Clone, Debug)]
pub struct Post {
    guards: Arc<Guards>,
    tally: Arc<Tally>,
}

impl Post {
    /// What connections of a listener have to pass.
    pub(super) fn door(&self, id: ListenerId) -> Option<&Gate> {
        self.guards.listeners.get(id.index())
    }

    /// What requests of a listener have to pass, if anything.
    pub(super) fn listener(&self, id: ListenerId) -> Option<&Gate> {
        self.door(id).filter(|gate| gate.guards_requests())
    }

    /// What requests of a route have to pass, if anything.
    pub(super) fn route(&self, id: RouteId) -> Option<&Gate> {
        self.guards.routes.get(id.index())?.as_deref()
    }

    /// Counts what a rule decided.
    pub(super) fn count(&self, rule: RuleId, decision: Decision) {
        if let Some(cell) = self.tally.cell(rule, decision) {
            // One writer: no need to be atomic.
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }
}

/// Names rules as they are made.
struct Rules<'a> {
    place: String,
    names: &'a mut Vec<String>,
}

impl Rules<'_> {
    fn rule(&mut self, name: &str) -> RuleId {
        self.names.push(format!("{}.{name}", self.place));
        RuleId(self.names.len() - 1)
    }

    fn access(&mut self, config: Option<&AccessConfig>) -> Option<Access> {
        config.map(|config| Access {
            rule: self.rule("access"),
            config: config.clone(),
            set: Arc::new(ArcSwap::new(Arc::clone(&config.set))),
        })
    }

    fn rates(&mut self, configs: &[RateConfig]) -> Vec<Rate> {
        let made = configs.iter().enumerate().map(|(number, config)| {
            let earliest = if config.delay { DELAY_MOST } else { Duration::MAX };
            let keys = if config.per == Per::All { 1 } else { config.keys };
            Rate {
                rule: self.rule(&format!("rate.{number}")),
                buckets: Buckets::new((config.count, config.period), config.burst, earliest, keys),
                config: config.clone(),
            }
        });
        made.collect()
    }
}

fn gate_of_listener(listener: &ListenerConfig, names: &mut Vec<String>) -> Gate {
    let limits = &listener.limits;
    let clients = limits.connections.min(CLIENTS_MOST);
    let mut rules = Rules { place: format!("listener.{}", listener.name), names };
    Gate {
        access: rules.access(listener.access.as_ref()),
        rates: rules.rates(&listener.rates),
        connections: limits.connections_per_client.map(|most| PerClient {
            rule: rules.rule("connections_per_client"),
            seats: Seats::new(most, clients),
        }),
        requests: limits.requests_per_client.map(|most| PerClient {
            rule: rules.rule("requests_per_client"),
            seats: Seats::new(most, clients),
        }),
        uri: limits.uri,
    }
}

/// Puts in a client's address: so many leading bits of it.
pub(super) fn put_client(hasher: &mut dyn Hasher, client: IpAddr, (four, six): (u8, u8)) {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let beyond = 32u32.saturating_sub(u32::from(four));
            hasher.write_u32(address.to_bits().checked_shr(beyond).unwrap_or(0));
        }
        IpAddr::V6(address) => {
            let beyond = 128u32.saturating_sub(u32::from(six));
            hasher.write_u128(address.to_bits().checked_shr(beyond).unwrap_or(0));
        }
    }
}

/// What is one client where nothing else is said.
pub(super) const ONE_CLIENT: (u8, u8) = (32, Per::CLIENT_SIX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    const TEXT: &str = "
[listener.web]
bind = \"127.0.0.1:0\"
access.deny = \"10.0.0.0/8\"
rate = [{ rate = \"1/s\" }, { rate = \"1/m\", per = \"listener\" }]
limits.connections_per_client = 1
[[route]]
path = \"/x\"
pool = \"a\"
[[route]]
pool = \"a\"
access.allow = \"10.1.0.0/16\"
[pool.a]
members = [\"127.0.0.1:1\"]
";

    #[test]
    fn rules_have_names_and_are_counted_over_all_workers() {
        let guards = Arc::new(Guards::new(&load(TEXT, "test").unwrap().config, 2));
        let posts = [guards.at(WorkerId(0)), guards.at(WorkerId(1))];
        assert!(posts[0].route(RouteId(0)).is_none());
        let access = posts[0].route(RouteId(1)).unwrap().access.as_ref().unwrap().rule;
        posts[0].count(access, Decision::Refused);
        posts[1].count(access, Decision::Refused);
        posts[1].count(access, Decision::Passed);
        let text = guards.report();
        let names: Vec<_> = guards.decisions().map(|(name, _)| name).collect();
        let expected = [
            "listener.web.access",
            "listener.web.rate.0",
            "listener.web.rate.1",
            "listener.web.connections_per_client",
            "route.1.access",
        ];
        assert_eq!(names, expected);
        let last = "stat rule:route.1.access:passed total=1 w0=0 w1=1\n\
                    stat rule:route.1.access:refused total=2 w0=1 w1=1\n";
        assert!(text.ends_with(last), "{text}");
    }

    #[test]
    fn clients_are_told_apart_by_their_leading_bits() {
        let buckets = Buckets::new((1, Duration::from_secs(1)), 1, Duration::MAX, 9);
        let same = |one: &str, other: &str, bits| {
            let key = |text: &str| {
                let address = text.parse().unwrap();
                buckets.key(|hasher| put_client(hasher, address, bits))
            };
            key(one) == key(other)
        };
        assert!(same("10.0.0.1", "::ffff:10.0.0.1", ONE_CLIENT));
        assert!(!same("10.0.0.1", "10.0.0.2", ONE_CLIENT));
        assert!(same("10.0.0.1", "10.0.0.254", (24, 64)));
        assert!(!same("10.0.0.1", "10.0.1.1", (24, 64)));
        assert!(same("2001:db8::1", "2001:db8:0:0:ffff::1", ONE_CLIENT));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1", ONE_CLIENT));
        assert!(same("2001:db8::1", "2001:db8:0:1::1", (32, 48)));
    }
}
