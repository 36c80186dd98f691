//! `[[route]]`, and routes that earlier ones leave nothing.

use std::collections::HashMap;

use super::check;
use super::check_auth;
use super::check_buffer;
use super::check_cache;
use super::check_compress;
use super::check_headers::Way;
use super::check_l4::Speaks;
use super::check_mirror;
use super::checked::{HostPattern, HostPolicy, ListenerConfig, PathPattern, RouteConfig};
use super::checked_buffer::BuffersConfig;
use super::checked_route::Action;
use super::checked_route::RouteTimeouts;
use super::document::{At, Findings, Table, read_time};
use super::effective_route;
use super::error::{Mistake, Span};
use super::keys::{Section, TIME_MIN};
use super::nearest::nearest;
use super::path::PathError;
use super::{
    check_action, check_guard, check_headers, check_match, check_pages, check_path_edit,
    check_rewrite, host, path,
};
use crate::ids::ListenerId;

/// What a route may refer to.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) listeners: check::Names<'a>,
    pub(super) pools: check::Names<'a>,
    pub(super) buffers: &'a BuffersConfig,
}

pub(super) fn route(
    source: &str,
    table: &Table<'_>,
    names: &Names<'_>,
    checked: &[ListenerConfig],
    findings: &mut Findings,
) -> RouteConfig {
    let path = path_pattern(source, table, findings);
    RouteConfig {
        listeners: listeners(table, names, checked, findings),
        hosts: hosts(table, findings),
        path_edit: check_path_edit::path_edit(source, table, &path, findings),
        path,
        methods: methods(table, findings),
        conditions: check_match::conditions(source, table, findings),
        action: check_action::action(table, names, findings),
        error_pages: check_pages::error_pages(table, findings),
        host: host_policy(table, findings),
        via: table.flag("via", findings),
        request_headers: check_headers::headers(table, Way::Up, findings).map(Box::new),
        response_headers: check_headers::headers(table, Way::Down, findings).map(Box::new),
        location: check_rewrite::location(table, findings),
        set_cookie: check_rewrite::set_cookie(table, findings).map(Box::new),
        cors: check_rewrite::cors(table, findings).map(Box::new),
        auth: check_auth::route(table, &names.pools, findings),
        mirror: check_mirror::mirror(table, names, findings).map(Box::new),
        cache: check_cache::cache(table, findings),
        buffer_request: check_buffer::request(table, names.buffers, findings),
        buffer_response: check_buffer::response(table, names.buffers, findings),
        access: check_guard::access(table, Speaks::Http, findings).map(Box::new),
        rates: check_guard::rates(table, Section::RouteRate, findings),
        limits: check_guard::route_limits(table, findings),
        timeouts: timeouts(table, findings),
        compress: check_compress::compress(table, findings).map(Box::new),
    }
}

fn timeouts(table: &Table<'_>, findings: &mut Findings) -> RouteTimeouts {
    let table = table.table("timeouts", findings);
    let mut time = |name| {
        let (key, value) = table.get(name)?;
        read_time(key, value, TIME_MIN, findings)
    };
    RouteTimeouts { response: time("response"), tunnel: time("tunnel") }
}

fn listeners(
    table: &Table<'_>,
    names: &Names<'_>,
    checked: &[ListenerConfig],
    findings: &mut Findings,
) -> Option<Vec<ListenerId>> {
    let mut ids: Vec<(ListenerId, Span)> = Vec::new();
    for name in table.texts("listeners", true, findings)? {
        if let Some(id) = names.listeners.find(name, findings) {
            push_once(&mut ids, ListenerId(id), name.span, findings);
            if let Some(speaks) = checked.get(usize::from(id)).map(ListenerConfig::speaks)
                && speaks != Speaks::Http
            {
                findings.add(name.span, Mistake::NoRequests { speaks });
            }
        }
    }
    Some(ids.into_iter().map(|(id, _)| id).collect())
}

/// Adds a thing that may stand in its list only once.
pub(super) fn push_once<T: PartialEq>(
    list: &mut Vec<(T, Span)>,
    thing: T,
    span: Span,
    findings: &mut Findings,
) {
    match list.iter().find(|(other, _)| *other == thing) {
        Some(&(_, first)) => findings.add(span, Mistake::Twice { first }),
        None => list.push((thing, span)),
    }
}

fn hosts(table: &Table<'_>, findings: &mut Findings) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for text in table.texts("hosts", true, findings).unwrap_or_default() {
        match host::pattern(text.value) {
            Ok(pattern) => push_once(&mut hosts, pattern, text.span, findings),
            Err(why) => findings.add(text.span, Mistake::BadHost(why)),
        }
    }
    hosts.into_iter().map(|(host, _)| host).collect()
}

fn path_pattern(source: &str, table: &Table<'_>, findings: &mut Findings) -> PathPattern {
    let Some(text) = table.text("path", findings) else { return PathPattern::Any };
    path::pattern(text.value).unwrap_or_else(|why| {
        let span = match &why {
            PathError::Regex(_, Some(at)) => regex_span(source, text, *at),
            _ => text.span,
        };
        findings.add(span, Mistake::BadPath(why));
        PathPattern::Any
    })
}

/// From where the expression goes wrong to its end; the whole text where it is written with
/// escapes, so that its offsets are not those of the file.
pub(super) fn regex_span(source: &str, text: At<&str>, at: usize) -> Span {
    let written = source.get(text.span.start..text.span.end).unwrap_or_default();
    let Some(begin) = written.find(text.value) else { return text.span };
    let rest = text.value.strip_prefix('~').unwrap_or(text.value).trim_start();
    let skipped = text.value.len() - rest.len();
    let offset = rest.char_indices().nth(at).map_or(rest.len(), |(offset, _)| offset);
    let start = text.span.start + begin + skipped + offset;
    Span { start, end: (text.span.start + begin + text.value.len()).max(start) }
}

fn methods(table: &Table<'_>, findings: &mut Findings) -> Vec<Vec<u8>> {
    let mut methods = Vec::new();
    for text in table.texts("methods", true, findings).unwrap_or_default() {
        if is_method(text, findings) {
            push_once(&mut methods, text.value.as_bytes().to_vec(), text.span, findings);
        }
    }
    methods.into_iter().map(|(method, _)| method).collect()
}

/// Whether a text is a method, in upper case; if not, that is reported.
pub(super) fn is_method(text: At<&str>, findings: &mut Findings) -> bool {
    if !is_token(text.value) {
        findings.add(text.span, Mistake::BadMethod);
    } else if text.value.bytes().any(|b| b.is_ascii_lowercase()) {
        let upper = text.value.to_ascii_uppercase();
        findings.add(text.span, Mistake::MethodCase { upper });
    } else {
        return true;
    }
    false
}

/// Whether a text is a token (RFC 9110 section 5.6.2), as methods and the names of fields and
/// cookies are.
pub(super) fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}

fn host_policy(table: &Table<'_>, findings: &mut Findings) -> HostPolicy {
    let Some(text) = table.text("host", findings) else { return HostPolicy::Preserve };
    match text.value {
        "preserve" => HostPolicy::Preserve,
        "member" => HostPolicy::Member,
        literal => {
            if !host::is_authority(literal) {
                findings.add(text.span, Mistake::BadHostPolicy);
            } else if !literal.contains(['.', ':'])
                && let Some(nearest) = nearest(literal, ["preserve", "member"])
            {
                findings.add(text.span, Mistake::HostLooksLike { nearest });
            }
            HostPolicy::Literal(literal.to_owned())
        }
    }
}

/// Routes by what tells apart the requests that they take.
type ByRequest<'a, K> = HashMap<(K, Option<&'a HostPattern>), Vec<(usize, &'a RouteConfig)>>;

/// Warns of each route all of whose requests go to others: to earlier routes with the same hosts
/// and path, or, of a regular expression, to a `/*` of the same hosts, which comes before it.
/// Another route takes all requests if it has no conditions, or the same.
pub(super) fn shadowed(routes: &[RouteConfig], spans: &[Span], findings: &mut Findings) {
    let mut earlier: ByRequest<'_, (String, String)> = HashMap::new();
    let mut all_paths: ByRequest<'_, String> = HashMap::new();
    for (index, route) in routes.iter().enumerate() {
        if matches!(&route.path, PathPattern::Prefix(prefix) if prefix.is_empty()) {
            for host in hosts_of(route) {
                let key = (conditions_text(route), host);
                all_paths.entry(key).or_default().push((index, route));
            }
        }
    }
    for (index, route) in routes.iter().enumerate() {
        let path = path_text(&route.path);
        let is_regex = matches!(route.path, PathPattern::Regex(_));
        let own = conditions_text(route);
        // Whoever has no conditions takes those with conditions, too.
        let weaker = if own.is_empty() { vec![String::new()] } else { vec![String::new(), own] };
        let mut takers = Vec::new();
        for host in hosts_of(route) {
            let mut taker = None;
            for conditions in &weaker {
                let same = earlier.get(&((path.clone(), conditions.clone()), host));
                let all = all_paths.get(&(conditions.clone(), host)).filter(|_| is_regex);
                let mut others = same.into_iter().chain(all).flatten();
                taker = taker.or(others.find(|(_, other)| other.takes(route)).map(|(at, _)| *at));
            }
            takers.push(taker);
            let own = weaker.last().cloned().unwrap_or_default();
            earlier.entry(((path.clone(), own), host)).or_default().push((index, route));
        }
        if let (Some(Some(taker)), true) = (takers.first(), takers.iter().all(Option::is_some))
            && let (Some(&span), Some(&first)) = (spans.get(index), spans.get(*taker))
        {
            findings.add(span, Mistake::ShadowedRoute { first });
        }
    }
}

/// Warns of a path such as `/` or `/api/` that leads to members where no route takes what lies below
/// it: to nginx and HAProxy it would be a prefix.
pub(super) fn nothing_below(routes: &[RouteConfig], spans: &[Span], findings: &mut Findings) {
    let slashed = |route: &RouteConfig| match &route.path {
        PathPattern::Exact(path) if path.ends_with('/') => Some(path.clone()),
        _ => None,
    };
    let below = |route: &RouteConfig, path: &str| match &route.path {
        PathPattern::Any | PathPattern::Regex(_) => true,
        PathPattern::Prefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }
        PathPattern::Exact(_) => false,
    };
    for (route, span) in routes.iter().zip(spans) {
        if let Some(path) = slashed(route)
            && matches!(route.action, Action::Pool(_) | Action::Split(_))
            && !routes.iter().any(|other| below(other, &path))
        {
            findings.add(*span, Mistake::NothingBelow { path });
        }
    }
}

/// A text that tells conditions apart; empty: there are none.
fn conditions_text(route: &RouteConfig) -> String {
    route.conditions.as_ref().map_or_else(String::new, |c| effective_route::conditions(c))
}

/// The hosts of a route; `None`: any.
fn hosts_of(route: &RouteConfig) -> Vec<Option<&HostPattern>> {
    if route.hosts.is_empty() { vec![None] } else { route.hosts.iter().map(Some).collect() }
}

/// A text that tells paths apart.
fn path_text(path: &PathPattern) -> String {
    match path {
        PathPattern::Any => String::new(),
        PathPattern::Exact(path) => path.clone(),
        PathPattern::Prefix(path) => format!("{path}/*"),
        PathPattern::Regex(regex) => format!("~{regex}"),
    }
}

impl RouteConfig {
    /// Whether it takes every request on the listeners and with the methods of `later`.
    fn takes(&self, later: &Self) -> bool {
        let listeners = match (&self.listeners, &later.listeners) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => theirs.iter().all(|id| mine.contains(id)),
        };
        let methods = later.methods.iter().all(|method| self.allows(method));
        listeners && methods && (self.methods.is_empty() || !later.methods.is_empty())
    }
}
