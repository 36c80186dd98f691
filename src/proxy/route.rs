//! Which route takes a request. Pure, compiled once per configuration and worker.
//!
//! The precedence is total. Of the routes that match the listener, the host and the path, the
//! first of this order whose conditions hold and that also allows the method takes the request:
//! 1. by host: exact, then the longest wildcard suffix, then any;
//! 2. then by path: exact, then the longest prefix, then regular expressions, then any;
//! 3. then file order.
//!
//! So a host whose routes do not match the path leaves the request to the next level of hosts. If
//! routes matched, their conditions held, but none allows the method, the answer is 405, with the
//! methods of all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::conditions::{self, Asked};
use super::prefixes::Prefixes;
use super::regexes::{Known, Regexes};
use crate::config::{Conditions, Config, HostPattern, PathPattern, RouteConfig};
use crate::ids::{ListenerId, RouteId};

/// The outcome of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This route takes the request.
    Route(RouteId),
    /// Routes match, but none allows the method: 405, with [`Router::allowed`] in `Allow`.
    MethodNotAllowed,
    /// No route matches: 404.
    None,
}

/// The routes of a configuration, compiled for each listener.
#[derive(Debug)]
pub struct Router {
    listeners: Vec<Hosts>,
    /// By `RouteId`.
    rules: Vec<Rules>,
    /// To decode into; kept for its memory.
    text: RefCell<Vec<u8>>,
}

/// What a route asks for beside host and path.
#[derive(Debug)]
struct Rules {
    /// Empty: any method.
    methods: Vec<Vec<u8>>,
    conditions: Option<Box<Conditions>>,
}

/// The routes of one listener by host.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashMap<Vec<u8>, Paths>,
    /// By suffix with its leading dot.
    wildcard: HashMap<Vec<u8>, Paths>,
    /// Bytes of the longest suffix: a longer tail of a host is not looked up, so that a host of
    /// many labels costs no more than a configured one.
    wildcard_max: usize,
    any: Paths,
}

/// The routes of one host by path; each list in file order.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Vec<u8>, Vec<RouteId>>,
    /// Bytes of the longest exact path.
    exact_max: usize,
    prefixes: Prefixes,
    regexes: Regexes,
    any: Vec<RouteId>,
}

impl Router {
    /// Compiles the routes of `config`. Each worker builds its own: clones of a regular expression
    /// share no scratch memory.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut listeners: Vec<Hosts> = config.listeners.iter().map(|_| Hosts::default()).collect();
        for (route, id) in config.routes.iter().zip(0..=u16::MAX) {
            for (hosts, listener) in listeners.iter_mut().zip(0..=u16::MAX) {
                let listener = ListenerId(listener);
                if route.listeners.as_ref().is_none_or(|ids| ids.contains(&listener)) {
                    hosts.insert(route, RouteId(id));
                }
            }
        }
        let mut known = Known::new();
        listeners.iter_mut().for_each(|hosts| hosts.link(&mut known));
        let rules = config.routes.iter().map(|route| Rules {
            methods: route.methods.clone(),
            conditions: route.conditions.clone(),
        });
        Self { listeners, rules: rules.collect(), text: RefCell::default() }
    }

    /// The route for a request. Allocates nothing in steady state.
    #[must_use]
    pub fn find(&self, listener: ListenerId, asked: &Asked<'_>) -> Found {
        let mut matched = false;
        let mut visit = |id: RouteId| {
            let Some(rules) = self.rules.get(id.index()) else { return ControlFlow::Continue(()) };
            let allows =
                rules.methods.is_empty() || rules.methods.iter().any(|m| m == asked.method);
            if !allows && matched {
                return ControlFlow::Continue(());
            }
            if !self.conditions_hold(rules, asked) {
                return ControlFlow::Continue(());
            }
            matched = true;
            if allows { ControlFlow::Break(id) } else { ControlFlow::Continue(()) }
        };
        match self.walk(listener, asked, &mut visit) {
            ControlFlow::Break(id) => Found::Route(id),
            ControlFlow::Continue(()) if matched => Found::MethodNotAllowed,
            ControlFlow::Continue(()) => Found::None,
        }
    }

    /// The methods of all routes that match but for the method, each once, by precedence: the value
    /// of `Allow` after [`Found::MethodNotAllowed`] (RFC 9110 section 10.2.1). Allocates.
    #[must_use]
    pub fn allowed(&self, listener: ListenerId, asked: &Asked<'_>) -> Vec<&[u8]> {
        let mut allowed: Vec<&[u8]> = Vec::new();
        let mut visit = |id: RouteId| {
            let rules = self.rules.get(id.index());
            let holding = rules.filter(|rules| self.conditions_hold(rules, asked));
            for method in holding.into_iter().flat_map(|rules| &rules.methods) {
                if !allowed.contains(&method.as_slice()) {
                    allowed.push(method);
                }
            }
            ControlFlow::Continue(())
        };
        // No visit breaks.
        let (ControlFlow::Continue(()) | ControlFlow::Break(_)) =
            self.walk(listener, asked, &mut visit);
        allowed
    }

    fn conditions_hold(&self, rules: &Rules, asked: &Asked<'_>) -> bool {
        let Some(conditions) = &rules.conditions else { return true };
        conditions::hold(conditions, asked, &mut self.text.borrow_mut())
    }

    /// Visits the routes that match, by precedence. A route may come twice, for two of its hosts.
    fn walk(
        &self,
        listener: ListenerId,
        asked: &Asked<'_>,
        visit: &mut impl FnMut(RouteId) -> ControlFlow<RouteId>,
    ) -> ControlFlow<RouteId> {
        let (host, path) = (asked.host, asked.path);
        let Some(hosts) = self.listeners.get(listener.index()) else {
            return ControlFlow::Continue(());
        };
        // `example.com.` is `example.com`, said to be complete (RFC 1034 section 3.1).
        let host = host.strip_suffix(b".").unwrap_or(host);
        if let Some(paths) = hosts.exact.get(host) {
            paths.walk(path, visit)?;
        }
        if !hosts.wildcard.is_empty() {
            // The first dot begins the longest suffix. A wildcard needs a label before its dot.
            let longest = host.len().saturating_sub(hosts.wildcard_max).max(1);
            for dot in memchr::memchr_iter(b'.', host).filter(|dot| *dot >= longest) {
                let suffix = host.get(dot..).unwrap_or_default();
                if let Some(paths) = hosts.wildcard.get(suffix) {
                    paths.walk(path, visit)?;
                }
            }
        }
        hosts.any.walk(path, visit)
    }
}

impl Hosts {
    fn insert(&mut self, route: &RouteConfig, id: RouteId) {
        if route.hosts.is_empty() {
            self.any.insert(&route.path, id);
        }
        for host in &route.hosts {
            let paths = match host {
                HostPattern::Exact(host) => self.exact.entry(host.clone().into_bytes()),
                HostPattern::Wildcard(suffix) => {
                    self.wildcard_max = self.wildcard_max.max(suffix.len());
                    self.wildcard.entry(suffix.clone().into_bytes())
                }
            };
            paths.or_default().insert(&route.path, id);
        }
    }

    fn link(&mut self, known: &mut Known) {
        self.exact.values_mut().for_each(|paths| paths.link(known));
        self.wildcard.values_mut().for_each(|paths| paths.link(known));
        self.any.link(known);
    }
}

impl Paths {
    fn insert(&mut self, path: &PathPattern, id: RouteId) {
        match path {
            PathPattern::Any => self.any.push(id),
            PathPattern::Exact(path) => {
                self.exact_max = self.exact_max.max(path.len());
                self.exact.entry(path.clone().into_bytes()).or_default().push(id);
            }
            PathPattern::Prefix(path) => {
                self.prefixes.insert(path, id);
            }
            PathPattern::Regex(regex) => self.regexes.add(regex, id),
        }
    }

    fn link(&mut self, known: &mut Known) {
        self.regexes.link(known);
    }

    fn walk(
        &self,
        path: &[u8],
        visit: &mut impl FnMut(RouteId) -> ControlFlow<RouteId>,
    ) -> ControlFlow<RouteId> {
        if path.len() <= self.exact_max
            && let Some(routes) = self.exact.get(path)
        {
            routes.iter().copied().try_for_each(&mut *visit)?;
        }
        for routes in self.prefixes.of(path) {
            routes.iter().copied().try_for_each(&mut *visit)?;
        }
        self.regexes.walk(path, visit)?;
        self.any.iter().copied().try_for_each(visit)
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
