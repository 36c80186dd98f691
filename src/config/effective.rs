//! A checked configuration as TOML, with every default filled in. It loads to the same.

use std::fmt::Write as _;

use super::effective_buffer;
use super::scalar::{show_duration as time, show_size};
use super::{
    AccessLog, AccessLogFormat, Config, HostPattern, RouteConfig, Workers, effective_cache,
    effective_listener, effective_pool, effective_route,
};

/// The whole configuration as a file that says everything.
#[must_use]
pub fn effective(config: &Config) -> String {
    let mut out = String::new();
    process(&mut out, config);
    for it in &config.listeners {
        effective_listener::listener(&mut out, config, it);
    }
    for it in &config.routes {
        effective_route::route(&mut out, config, it);
    }
    for it in &config.pools {
        effective_pool::pool(&mut out, it);
    }
    out
}

/// One route as it would be written; tells apart what members are asked for.
#[must_use]
pub fn effective_of(config: &Config, route: &RouteConfig) -> String {
    let mut out = String::new();
    effective_route::route(&mut out, config, route);
    out
}

/// `key = value`; writing to a `String` cannot fail.
pub(super) fn line(out: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(out, "{key} = {value}").unwrap_or_default();
}

fn process(out: &mut String, config: &Config) {
    let server = &config.server;
    out.push_str("[server]\n");
    match &server.workers {
        Workers::Auto => line(out, "workers", quote("auto")),
        Workers::Count(count) => line(out, "workers", count),
        Workers::Cores(cores) => line(out, "workers", list(cores.iter().map(usize::to_string))),
    }
    if let Some(address) = &server.admin {
        line(out, "admin", quote(&address.to_string()));
    }
    match &server.access_log {
        AccessLog::Off => line(out, "access_log", quote("off")),
        AccessLog::Stdout => line(out, "access_log", quote("stdout")),
        AccessLog::File(path) => line(out, "access_log", quote(&path.to_string_lossy())),
    }
    let format = match server.access_log_format {
        AccessLogFormat::Common => "common",
        AccessLogFormat::Json => "json",
    };
    line(out, "access_log_format", quote(format));
    if server.resolvers.is_empty() {
        line(out, "resolvers", quote("system"));
    } else {
        let resolvers = server.resolvers.iter().map(|address| quote(&address.to_string()));
        line(out, "resolvers", list(resolvers));
    }
    line(out, "drain_timeout", quote(&time(server.drain_timeout)));
    line(out, "cache", effective_cache::store(&server.cache));
    effective_buffer::buffers(out, &server.buffers);
    line(out, "spread", server.spread);
    let limits = &config.limits;
    out.push_str("\n[limits]\n");
    line(out, "access_log_queue", limits.access_log_queue);
    line(out, "encoders", limits.encoders);
    line(out, "response_head", size(limits.response_head as u64));
    line(out, "response_headers", limits.response_headers);
    line(out, "trailers", size(limits.trailers as u64));
}

/// A host as it is written.
pub(super) fn host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(host) => quote(host),
        HostPattern::Wildcard(suffix) => quote(&format!("*{suffix}")),
    }
}

pub(super) fn size(bytes: u64) -> String {
    quote(&show_size(bytes))
}

/// A name as a key: in quotes where a dot would cut it.
pub(super) fn name(name: &str) -> String {
    if name.contains('.') { quote(name) } else { name.to_owned() }
}

pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

pub(super) fn table<K: std::fmt::Display>(fields: impl IntoIterator<Item = (K, String)>) -> String {
    let fields: Vec<_> =
        fields.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
}

/// A basic string of TOML.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
