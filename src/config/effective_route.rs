//! A checked route as TOML, with every default filled in that means something there.

use super::effective::{host, line, list, quote, table};
use super::effective_buffer;
use super::effective_rewrite;
use super::scalar::show_duration as time;
use super::{
    Action, Body, Condition, Conditions, Config, ErrorPagesConfig, HashKey, HostPolicy, PageOf,
    Part, PathPattern, ProbeConfig, RedirectConfig, RespondConfig, RouteConfig, RouteTimeouts,
    SplitBy, SplitConfig, Test,
};
use super::{effective_auth, effective_cache, effective_compress, effective_guard};
use crate::ids::PoolId;

pub(super) fn route(out: &mut String, config: &Config, route: &RouteConfig) {
    out.push_str("\n[[route]]\n");
    if let Some(ids) = &route.listeners {
        let names = ids.iter().filter_map(|id| config.listener(*id)).map(|l| quote(&l.name));
        line(out, "listeners", list(names));
    }
    if !route.hosts.is_empty() {
        line(out, "hosts", list(route.hosts.iter().map(host)));
    }
    match &route.path {
        PathPattern::Any => {}
        PathPattern::Exact(path) => line(out, "path", quote(path)),
        PathPattern::Prefix(path) => line(out, "path", quote(&format!("{path}/*"))),
        PathPattern::Regex(regex) => line(out, "path", quote(&format!("~ {regex}"))),
    }
    if !route.methods.is_empty() {
        let methods = route.methods.iter().map(|method| quote(&String::from_utf8_lossy(method)));
        line(out, "methods", list(methods));
    }
    if let Some(conditions) = &route.conditions {
        out.push_str(&self::conditions(conditions));
    }
    action(out, config, &route.action);
    if let Some(edit) = &route.path_edit {
        if let Some(strip) = &edit.strip {
            line(out, "strip", quote(strip));
        }
        if let Some(rewrite) = &edit.rewrite {
            let fields = [("match", quote(rewrite.pattern.as_str())), ("to", quote(&rewrite.to))];
            line(out, "rewrite", table(fields));
        }
    }
    if let Some(pages) = &route.error_pages {
        line(out, "error_pages", error_pages(pages));
    }
    effective_rewrite::route(out, route);
    effective_guard::route(out, route);
    effective_auth::route(out, config, route);
    if route.pools().next().is_none() {
        return;
    }
    match &route.host {
        HostPolicy::Preserve => line(out, "host", quote("preserve")),
        HostPolicy::Member => line(out, "host", quote("member")),
        HostPolicy::Literal(text) => line(out, "host", quote(text)),
    }
    line(out, "via", route.via);
    let RouteTimeouts { response, tunnel } = route.timeouts;
    let written = [("response", response), ("tunnel", tunnel)];
    let mut written = written.into_iter().filter_map(|(key, at)| Some((key, quote(&time(at?)))));
    if let Some(first) = written.next() {
        line(out, "timeouts", table([first].into_iter().chain(written)));
    }
    let cache = route.cache.as_deref().map(effective_cache::cache);
    line(out, "cache", cache.unwrap_or_else(|| quote("off")));
    effective_buffer::route(out, route);
    effective_rewrite::to_members(out, route);
    effective_compress::route(out, route.compress.as_deref());
}

/// The lines of conditions; also a text that tells them apart.
pub(super) fn conditions(conditions: &Conditions) -> String {
    let mut out = String::new();
    for (key, part) in
        [("headers", Part::Header), ("cookies", Part::Cookie), ("query", Part::Query)]
    {
        let of_part = conditions.parts.iter().filter(|condition| condition.part == part);
        let fields: Vec<_> = of_part.map(|c| (quote(&c.name), test(c))).collect();
        if !fields.is_empty() {
            line(&mut out, key, table(fields));
        }
    }
    if !conditions.clients.is_empty() {
        let clients = conditions.clients.iter().map(|block| quote(&block.to_string()));
        line(&mut out, "clients", list(clients));
    }
    out
}

fn test(condition: &Condition) -> String {
    match &condition.test {
        Test::Is(text) => quote(text),
        Test::Matches(regex) => quote(&format!("~ {regex}")),
        Test::Present => "true".to_owned(),
        Test::Absent => "false".to_owned(),
    }
}

fn pool(config: &Config, id: PoolId) -> String {
    quote(config.pool(id).map_or("", |pool| &pool.name))
}

fn action(out: &mut String, config: &Config, action: &Action) {
    match action {
        Action::Pool(id) => line(out, "pool", pool(config, *id)),
        Action::Split(split) => split_of(out, config, split),
        Action::Redirect(redirect) => line(out, "redirect", redirect_of(redirect)),
        Action::Respond(respond) => line(out, "respond", respond_of(respond)),
        Action::Probe(ProbeConfig::Live) => line(out, "respond", quote("livez")),
        Action::Probe(ProbeConfig::Ready(None)) => line(out, "respond", quote("readyz")),
        Action::Probe(ProbeConfig::Ready(Some(pools))) => {
            let pools = list(pools.iter().map(|id| pool(config, *id)));
            line(out, "respond", table([("ready", pools)]));
        }
    }
}

fn split_of(out: &mut String, config: &Config, split: &SplitConfig) {
    let parts = split
        .parts
        .iter()
        .map(|(id, weight)| table([("pool", pool(config, *id)), ("weight", weight.to_string())]));
    line(out, "split", list(parts));
    let by = match &split.by {
        SplitBy::Request => "request".to_owned(),
        SplitBy::Key(HashKey::ClientIp) => "client-ip".to_owned(),
        SplitBy::Key(HashKey::Path) => "path".to_owned(),
        SplitBy::Key(HashKey::Header(name)) => format!("header:{name}"),
        SplitBy::Key(HashKey::Cookie(name)) => format!("cookie:{name}"),
        SplitBy::Key(HashKey::Query(name)) => format!("query:{name}"),
    };
    line(out, "split_by", quote(&by));
    line(out, "split_fallback", quote(if split.falls { "next" } else { "off" }));
}

fn redirect_of(redirect: &RedirectConfig) -> String {
    table([
        ("to", quote(&redirect.to.to_string())),
        ("status", redirect.status.to_string()),
        ("query", quote(if redirect.query { "keep" } else { "drop" })),
    ])
}

fn respond_of(respond: &RespondConfig) -> String {
    let mut fields = vec![("status", respond.status.to_string())];
    match &respond.body {
        Body::Empty => {}
        Body::Text(text) => fields.push(("body", quote(text))),
        Body::File(file) => fields.push(("file", quote(&file.path.to_string_lossy()))),
    }
    fields.push(("content_type", quote(&respond.content_type)));
    if !respond.headers.is_empty() {
        let headers = respond.headers.iter().map(|(name, value)| (quote(name), quote(value)));
        fields.push(("headers", table(headers)));
    }
    table(fields)
}

/// The pages of a route or listener.
pub(super) fn error_pages(pages: &ErrorPagesConfig) -> String {
    let mut fields: Vec<_> = pages
        .pages
        .iter()
        .map(|page| {
            let of = match page.of {
                PageOf::Status(status) => status.to_string(),
                PageOf::Class(class) => format!("{class}xx"),
            };
            (quote(&of), quote(&page.contents.path.to_string_lossy()))
        })
        .collect();
    fields.push(("intercept".to_owned(), pages.intercept.to_string()));
    table(fields)
}
