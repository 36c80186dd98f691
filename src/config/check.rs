//! The whole file: its sections in file order, the names in it, and what they mean together.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check_l4::Speaks;
use super::check_listener::{self, Binds};
use super::checked::Config;
use super::document::{At, Findings, Reader, Table, in_order, span_of, wrong_type};
use super::error::{ConfigError, Mistake, Place, Span};
use super::keys::Section;
use super::nearest::nearest;
use super::{check_auth, check_l4, check_pool, check_route, check_server};
use crate::ids::{ListenerId, PoolId, RouteId};

/// Sections of a kind: their ids are 16 bits wide.
const SECTIONS_MAX: usize = u16::MAX as usize;

/// The configuration and the warnings, or the mistakes with the warnings among them; both by
/// position.
pub(super) fn check(
    text: &str,
    reader: Option<Reader>,
) -> Result<(Config, Vec<ConfigError>), Vec<ConfigError>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax(text, errors));
    }
    let mut findings = Findings::new(reader);
    let config = config(text, &document, &mut findings);
    if findings.has_errors() { Err(findings.sorted()) } else { Ok((config, findings.sorted())) }
}

/// Syntax errors: of each line the first, for the others mostly follow from it.
fn syntax(text: &str, errors: Vec<toml::de::Error>) -> Vec<ConfigError> {
    let mut findings = Findings::default();
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let (start, end) = (floor(text, range.start), floor(text, range.end));
        let span = Span { start, end: end.max(start) };
        findings.add(span, Mistake::Syntax(Box::new(error)));
    }
    let mut errors = findings.sorted();
    errors.dedup_by(|later, earlier| {
        let between = text.get(earlier.span.start..later.span.start);
        between.is_some_and(|between| !between.contains('\n'))
    });
    errors
}

/// The nearest character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The names of a kind of section and their positions.
#[derive(Debug)]
pub(super) struct Names<'a> {
    section: Section,
    by_name: HashMap<&'a str, u16>,
    /// Whether a mistake hides names: then none is reported as absent.
    hidden: bool,
}

impl<'a> Names<'a> {
    fn new(section: Section, written: bool, named: &[Named<'a>]) -> Self {
        let names = named.iter().map(|named| named.name.value);
        let by_name = names.zip(0..=u16::MAX).collect();
        Self { section, by_name, hidden: written && named.is_empty() }
    }

    /// The position of a name; its absence is reported.
    pub(super) fn find(&self, name: At<&str>, findings: &mut Findings) -> Option<u16> {
        let found = self.by_name.get(name.value).copied();
        if found.is_none() && !self.hidden {
            let mut names: Vec<_> = self.by_name.keys().copied().collect();
            names.sort_unstable();
            let mistake = Mistake::UnknownName {
                section: self.section,
                name: name.value.to_owned(),
                nearest: nearest(name.value, names).map(str::to_owned),
                none: self.by_name.is_empty(),
            };
            findings.add(name.span, mistake);
        }
        found
    }
}

/// A listener or pool as written.
struct Named<'a> {
    name: At<&'a str>,
    table: Table<'a>,
}

fn config(text: &str, document: &Spanned<DeTable<'_>>, findings: &mut Findings) -> Config {
    let place = Place { section: Section::Root, name: None };
    let root = Table::open(place, span_of(document), document.get_ref(), findings);
    let server = check_server::server(&root.table("server", findings), findings);
    let limits = check_server::limits(&root.table("limits", findings), findings);

    let named_listeners = named(&root, Section::Listener, findings);
    let named_pools = named(&root, Section::Pool, findings);
    let names = check_route::Names {
        listeners: Names::new(Section::Listener, root.get("listener").is_some(), &named_listeners),
        pools: Names::new(Section::Pool, root.get("pool").is_some(), &named_pools),
        buffers: &server.buffers,
    };
    let mut binds = Binds::default();
    let listeners: Vec<_> = named_listeners
        .iter()
        .map(|n| {
            check_listener::listener(n.name.value, &n.table, &names.pools, &mut binds, findings)
        })
        .collect();
    let pools: Vec<_> = named_pools
        .iter()
        .map(|named| check_pool::pool(named.name.value, &named.table, findings))
        .collect();
    let http = listeners.iter().any(|listener| listener.speaks() == Speaks::Http);
    let written = routes(&root, http || listeners.is_empty(), findings);
    let routes: Vec<_> = written
        .iter()
        .map(|table| check_route::route(text, table, &names, &listeners, findings))
        .collect();

    let config = Config { server, limits, listeners, routes, pools };
    // A mistake leaves a stand-in behind, of which more would be wrong.
    if !findings.has_errors() {
        for (listener, named) in config.listeners.iter().zip(&named_listeners) {
            check_l4::pools(listener, named.name.span, &config.pools, findings);
        }
    }
    if !findings.has_errors() {
        let spans: Vec<_> = written.iter().map(|table| table.span).collect();
        check_route::shadowed(&config.routes, &spans, findings);
        check_route::nothing_below(&config.routes, &spans, findings);
        check_auth::of_routes(&config, &spans, findings);
        check_auth::of_listeners(&config, &auth_spans(&named_listeners), findings);
        unused(&config, &named_listeners, &named_pools, findings);
    }
    config
}

/// Where each listener says `auth`.
fn auth_spans(listeners: &[Named<'_>]) -> Vec<Span> {
    let of =
        |named: &Named<'_>| named.table.get("auth").map_or(named.name.span, |it| span_of(it.1));
    listeners.iter().map(of).collect()
}

/// The tables of `listener` or `pool`.
fn named<'a>(root: &Table<'a>, section: Section, findings: &mut Findings) -> Vec<Named<'a>> {
    let key = if section == Section::Pool { "pool" } else { "listener" };
    let Some((known, value)) = root.get(key) else {
        if section == Section::Listener {
            findings.add(Span::default(), Mistake::MissingSection(section));
        }
        return Vec::new();
    };
    let DeValue::Table(tables) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(known, value));
        return Vec::new();
    };
    let entries = in_order(tables);
    if entries.iter().any(|(_, value)| !value.get_ref().is_table()) || entries.is_empty() {
        findings.add(span_of(value), Mistake::Unnamed(section));
        return Vec::new();
    }
    if let Some((name, _)) = entries.get(SECTIONS_MAX) {
        findings.add(name.span, Mistake::TooMany { max: SECTIONS_MAX });
    }
    let mut found = Vec::new();
    for (name, value) in entries.into_iter().take(SECTIONS_MAX) {
        if !is_name(name.value) {
            findings.add(name.span, Mistake::BadName);
        }
        if let DeValue::Table(table) = value.get_ref() {
            let place = Place { section, name: Some(name.value.escape_debug().to_string()) };
            let table = Table::open(place, name.span, table, findings);
            found.push(Named { name, table });
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(good)
}

/// The tables of `[[route]]`, of which there must be one if somebody sends requests.
fn routes<'a>(root: &Table<'a>, needed: bool, findings: &mut Findings) -> Vec<Table<'a>> {
    let Some((known, value)) = root.get("route") else {
        if needed {
            findings.add(Span::default(), Mistake::MissingSection(Section::Route));
        }
        return Vec::new();
    };
    let DeValue::Array(items) = value.get_ref() else {
        let is_table = value.get_ref().is_table();
        let mistake = if is_table { Mistake::NotAList } else { wrong_type(known, value) };
        findings.add(span_of(value), mistake);
        return Vec::new();
    };
    if items.is_empty() {
        findings.add(span_of(value), Mistake::MissingSection(Section::Route));
    }
    if let Some(item) = items.get(SECTIONS_MAX) {
        findings.add(span_of(item), Mistake::TooMany { max: SECTIONS_MAX });
    }
    let mut found = Vec::new();
    for item in items.iter().take(SECTIONS_MAX) {
        match item.get_ref() {
            DeValue::Table(table) => {
                let place = Place { section: Section::Route, name: None };
                found.push(Table::open(place, span_of(item), table, findings));
            }
            _ => findings.add(span_of(item), wrong_type(known, item)),
        }
    }
    found
}

/// Warns of pools that nobody uses, and of listeners that no route names.
fn unused(config: &Config, listeners: &[Named<'_>], pools: &[Named<'_>], findings: &mut Findings) {
    let mut pool_used = vec![false; pools.len()];
    let mut listener_used = vec![false; listeners.len()];
    for route in &config.routes {
        let mirror = route.mirror.as_ref().map(|mirror| mirror.pool);
        for pool in route.pools().chain(mirror) {
            if let Some(used) = pool_used.get_mut(pool.index()) {
                *used = true;
            }
        }
        match &route.listeners {
            None => listener_used.fill(true),
            Some(ids) => {
                for id in ids {
                    if let Some(used) = listener_used.get_mut(id.index()) {
                        *used = true;
                    }
                }
            }
        }
    }
    for asked in config.rules().flatten().filter_map(|rules| rules.request.as_ref()) {
        if let Some(used) = pool_used.get_mut(asked.pool.index()) {
            *used = true;
        }
    }
    for (listener, used) in config.listeners.iter().zip(&mut listener_used) {
        *used |= listener.speaks() != Speaks::Http;
        for pool in listener.pools() {
            if let Some(used) = pool_used.get_mut(pool.index()) {
                *used = true;
            }
        }
    }
    for (named, _) in pools.iter().zip(pool_used).filter(|(_, used)| !used) {
        findings.add(named.name.span, Mistake::UnusedPool);
    }
    for (used, listener) in listener_used.iter_mut().zip(&config.listeners) {
        // Needs no route: nothing gets as far.
        *used |= listener.redirect_https.is_some();
    }
    for (named, _) in listeners.iter().zip(listener_used).filter(|(_, used)| !used) {
        findings.add(named.name.span, Mistake::UnusedListener);
    }
}

impl Config {
    /// A listener by its id; `None` for an id of another configuration.
    #[must_use]
    pub fn listener(&self, id: ListenerId) -> Option<&super::ListenerConfig> {
        self.listeners.get(id.index())
    }

    /// A route by its id; `None` for an id of another configuration.
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<&super::RouteConfig> {
        self.routes.get(id.index())
    }

    /// A pool by its id; `None` for an id of another configuration.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> Option<&super::PoolConfig> {
        self.pools.get(id.index())
    }
}
