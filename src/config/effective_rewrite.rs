//! What is done to fields on their way, as TOML, with every default filled in.

use super::effective::{line, list, quote, table};
use super::scalar::show_duration as time;
use super::{CorsConfig, HeaderConfig, HeadersConfig, ListenerConfig, RouteConfig};
use crate::http::set_cookie::CookieRules;

pub(super) fn listener(out: &mut String, listener: &ListenerConfig) {
    let forwarded = &listener.forwarded;
    line(out, "trusted_hops", forwarded.hops);
    let field = if forwarded.by_forwarded { "forwarded" } else { "x-forwarded-for" };
    line(out, "trusted_field", quote(field));
    let families = [("x-forwarded", forwarded.x_forwarded), ("rfc7239", forwarded.rfc7239)];
    let families: Vec<_> =
        families.iter().filter(|(_, on)| *on).map(|(name, _)| quote(name)).collect();
    let off = families.is_empty();
    line(out, "forwarded", if off { quote("off") } else { list(families.into_iter()) });
    line(out, "request_headers", headers(listener.request_headers.as_ref()));
    line(out, "response_headers", headers(listener.response_headers.as_ref()));
    let id = listener.request_id.as_ref();
    let id = id.map(|id| table([("header", quote(&id.header)), ("echo", id.echo.to_string())]));
    line(out, "request_id", id.unwrap_or_else(off_word));
    let tracing = listener.tracing.map(|tracing| {
        let mode = if tracing.start { "start" } else { "pass" };
        table([("mode", quote(mode)), ("sample", quote(&format!("{}%", tracing.sample)))])
    });
    line(out, "tracing", tracing.unwrap_or_else(off_word));
}

pub(super) fn route(out: &mut String, route: &RouteConfig) {
    line(out, "response_headers", headers(route.response_headers.as_deref()));
    line(out, "cors", route.cors.as_deref().map_or_else(off_word, cors));
}

/// What means something only where requests go to members.
pub(super) fn to_members(out: &mut String, route: &RouteConfig) {
    line(out, "request_headers", headers(route.request_headers.as_deref()));
    let location = route
        .location
        .as_ref()
        .map(|location| table([("hosts", list(location.hosts.iter().map(|host| quote(host))))]));
    line(out, "location", location.unwrap_or_else(off_word));
    line(out, "set_cookie", route.set_cookie.as_deref().map_or_else(off_word, cookies));
}

fn off_word() -> String {
    quote("off")
}

fn headers(headers: Option<&HeadersConfig>) -> String {
    let Some(headers) = headers else { return off_word() };
    let mut fields = Vec::new();
    if !headers.remove.is_empty() {
        let names = headers.remove.iter().map(|pattern| quote(&pattern.to_string()));
        fields.push(("remove", list(names)));
    }
    let pair = |field: &HeaderConfig| (quote(&field.name), quote(&field.value.to_string()));
    if !headers.set.is_empty() {
        fields.push(("set", table(headers.set.iter().map(pair))));
    }
    // Of one name there may be several.
    let mut added: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in headers.add.iter().map(pair) {
        match added.iter_mut().find(|(other, _)| *other == name) {
            Some((_, values)) => values.push(value),
            None => added.push((name, vec![value])),
        }
    }
    if !added.is_empty() {
        let lists = added.into_iter().map(|(name, values)| (name, list(values.into_iter())));
        fields.push(("add", table(lists)));
    }
    table(fields)
}

fn cookies(rules: &CookieRules) -> String {
    let pairs =
        |pairs: &[(String, String)]| table(pairs.iter().map(|(from, to)| (quote(from), quote(to))));
    let mut fields = Vec::new();
    if !rules.domain.is_empty() {
        fields.push(("domain", pairs(&rules.domain)));
    }
    if !rules.path.is_empty() {
        fields.push(("path", pairs(&rules.path)));
    }
    fields.extend(rules.secure.map(|wish| ("secure", wish.to_string())));
    fields.extend(rules.http_only.map(|wish| ("http_only", wish.to_string())));
    let same_site = rules.same_site.map_or("keep".to_owned(), str::to_ascii_lowercase);
    fields.push(("same_site", quote(&same_site)));
    table(fields)
}

fn cors(cors: &CorsConfig) -> String {
    let words = |text: &str| list(text.split(", ").filter(|word| !word.is_empty()).map(quote));
    let max_age = cors.max_age.map_or("none".to_owned(), time);
    table([
        ("origins", list(cors.origins.iter().map(|origin| quote(&origin.to_string())))),
        ("methods", words(&cors.methods)),
        ("headers", words(&cors.headers)),
        ("expose", words(&cors.expose)),
        ("credentials", cors.credentials.to_string()),
        ("max_age", quote(&max_age)),
    ])
}
