//! `auth` of routes and listeners, and `mirror`, as TOML, with every default filled in.

use std::path::Path;

use super::effective::{line, list, quote, table};
use super::scalar::{show_duration as time, show_size};
use super::{
    Algorithm, AuthConfig, AuthRequestConfig, BasicConfig, CertificateRules, Config, JwtConfig,
    KeySource, ListenerConfig, MirrorConfig, Pattern, RememberConfig, RouteAuth, RouteConfig,
    TokenPlace,
};

pub(super) fn route(out: &mut String, config: &Config, route: &RouteConfig) {
    match &route.auth {
        RouteAuth::Listener => line(out, "auth", quote("listener")),
        RouteAuth::Off => line(out, "auth", off()),
        RouteAuth::Own(rules) => line(out, "auth", auth(config, rules)),
    }
    let mirror = route.mirror.as_deref().map(|it| mirror(config, it));
    line(out, "mirror", mirror.unwrap_or_else(off));
}

pub(super) fn listener(out: &mut String, config: &Config, listener: &ListenerConfig) {
    line(out, "auth", listener.auth.as_ref().map_or_else(off, |rules| auth(config, rules)));
}

fn off() -> String {
    quote("off")
}

fn path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn pool(config: &Config, id: crate::ids::PoolId) -> String {
    quote(config.pool(id).map_or("", |pool| &pool.name))
}

fn texts(texts: &[String]) -> String {
    list(texts.iter().map(|text| quote(text)))
}

fn mirror(config: &Config, mirror: &MirrorConfig) -> String {
    table([
        ("pool", pool(config, mirror.pool)),
        ("share", quote(&format!("{}%", mirror.share))),
        ("body", quote(&show_size(mirror.body as u64))),
    ])
}

fn auth(config: &Config, auth: &AuthConfig) -> String {
    table([
        ("require", quote(if auth.any { "any" } else { "all" })),
        ("client_certificate", auth.certificate.as_ref().map_or_else(off, certificate)),
        ("jwt", auth.jwt.as_ref().map_or_else(off, jwt)),
        ("basic", auth.basic.as_ref().map_or_else(off, basic)),
        ("request", auth.request.as_ref().map_or_else(off, |it| request(config, it))),
    ])
}

fn certificate(rules: &CertificateRules) -> String {
    let mut fields = Vec::new();
    let lists = [("subjects", &rules.subjects), ("sans", &rules.sans), ("issuers", &rules.issuers)];
    for (key, patterns) in lists {
        if !patterns.is_empty() {
            fields.push((key, list(patterns.iter().map(|Pattern(text)| quote(text)))));
        }
    }
    if !rules.fingerprints.is_empty() {
        fields.push(("fingerprints", texts(&rules.fingerprints)));
    }
    table(fields)
}

fn jwt(jwt: &JwtConfig) -> String {
    let mut fields = Vec::new();
    match &jwt.keys {
        KeySource::File(file) => fields.push(("jwks", path(file))),
        KeySource::Secret(file) => fields.push(("secret_file", path(file))),
        KeySource::Url { url, ca, refresh } => {
            fields.push(("jwks", quote(&url.text)));
            fields.extend(ca.iter().map(|ca| ("ca", path(ca))));
            fields.push(("refresh", quote(&time(*refresh))));
        }
    }
    fields
        .push(("algorithms", list(jwt.algorithms.iter().map(|one: &Algorithm| quote(one.name())))));
    for (key, list) in [("issuer", &jwt.issuers), ("audience", &jwt.audiences)] {
        if !list.is_empty() {
            fields.push((key, texts(list)));
        }
    }
    fields.push(("leeway", quote(&time(jwt.leeway))));
    let claims = jwt.claims.iter().map(|(claim, field)| (quote(claim), quote(field)));
    fields.push(("claims", table(claims)));
    fields.push((
        "from",
        match &jwt.from {
            TokenPlace::Bearer => quote("bearer"),
            TokenPlace::Cookie(name) => quote(&format!("cookie:{name}")),
        },
    ));
    fields.push(("forward", jwt.forward.to_string()));
    fields.push(("remember", remember(jwt.remember.as_ref(), false)));
    table(fields)
}

fn basic(basic: &BasicConfig) -> String {
    let mut fields = vec![("realm", quote(&basic.realm)), ("users", path(&basic.users))];
    fields.extend(basic.header.iter().map(|header| ("header", quote(header))));
    fields.push(("forward", basic.forward.to_string()));
    fields.push(("remember", remember(basic.remember.as_ref(), false)));
    table(fields)
}

fn request(config: &Config, request: &AuthRequestConfig) -> String {
    table([
        ("pool", pool(config, request.pool)),
        ("path", quote(&request.path)),
        ("headers", texts(&request.headers)),
        ("copy", texts(&request.copy)),
        ("pass", texts(&request.pass)),
        ("redirects", request.redirects.to_string()),
        ("timeout", quote(&time(request.timeout))),
        ("remember", remember(request.remember.as_ref(), true)),
    ])
}

fn remember(remember: Option<&RememberConfig>, by: bool) -> String {
    let Some(remember) = remember else { return off() };
    let mut fields =
        vec![("time", quote(&time(remember.time))), ("entries", remember.entries.to_string())];
    if by {
        let by = if remember.by_credential { "credential" } else { "request" };
        fields.push(("by", quote(by)));
    }
    table(fields)
}
