//! What guards listeners and routes as TOML, with every default filled in.

use super::check_l4::Speaks;
use super::effective::{line, list, quote, size, table};
use super::{
    AccessConfig, AccessRefusal, AddressSource, BodyLimit, ListenerConfig, Per, RateConfig,
    RouteConfig,
};

pub(super) fn listener(out: &mut String, listener: &ListenerConfig) {
    let speaks = listener.speaks();
    access(out, listener.access.as_ref(), speaks);
    if speaks == Speaks::Http {
        rates(out, &listener.rates, "listener");
    }
}

pub(super) fn route(out: &mut String, route: &RouteConfig) {
    access(out, route.access.as_deref(), Speaks::Http);
    rates(out, &route.rates, "route");
    let body = route.limits.body.map(|body| match body {
        BodyLimit::None => quote("none"),
        BodyLimit::Bytes(bytes) => size(bytes),
    });
    line(out, "limits", table(body.map(|body| ("body", body))));
}

/// Of a listener: bytes a second.
pub(super) fn min_rate(rate: Option<u32>) -> String {
    let Some(rate) = rate else { return quote("none") };
    quote(&format!("{}/s", super::scalar::show_size(u64::from(rate))))
}

fn access(out: &mut String, access: Option<&AccessConfig>, speaks: Speaks) {
    let Some(access) = access else { return line(out, "access", quote("off")) };
    let mut fields = Vec::new();
    for (key, sources) in [("allow", &access.allow), ("deny", &access.deny)] {
        if !sources.is_empty() {
            fields.push((key, list(sources.iter().map(source))));
        }
    }
    if speaks == Speaks::Http {
        fields.push((
            "status",
            match access.refusal {
                AccessRefusal::Forbidden => "403".to_owned(),
                AccessRefusal::NotFound => "404".to_owned(),
                AccessRefusal::Drop => quote("drop"),
            },
        ));
    }
    fields.push(("dry_run", access.dry_run.to_string()));
    line(out, "access", table(fields));
}

fn source(source: &AddressSource) -> String {
    match source {
        AddressSource::Block(block) => quote(&block.to_string()),
        AddressSource::File(path) => quote(&format!("file:{}", path.to_string_lossy())),
    }
}

fn rates(out: &mut String, rates: &[RateConfig], all: &str) {
    if !rates.is_empty() {
        line(out, "rate", list(rates.iter().map(|rate| one_rate(rate, all))));
    }
}

fn one_rate(rate: &RateConfig, all: &str) -> String {
    let unit = match rate.period.as_secs() {
        1 => "s",
        60 => "m",
        _ => "h",
    };
    table([
        ("per", quote(&per(&rate.per, all))),
        ("rate", quote(&format!("{}/{unit}", rate.count))),
        ("burst", rate.burst.to_string()),
        ("mode", quote(if rate.delay { "delay" } else { "reject" })),
        ("status", rate.status.to_string()),
        ("keys", rate.keys.to_string()),
        ("fields", rate.fields.to_string()),
        ("dry_run", rate.dry_run.to_string()),
    ])
}

fn per(per: &Per, all: &str) -> String {
    match per {
        Per::Client { four: 32, six: Per::CLIENT_SIX } => "client".to_owned(),
        Per::Client { four, six } => format!("client-net/{four}/{six}"),
        Per::Header(name) => format!("header:{name}"),
        Per::Cookie(name) => format!("cookie:{name}"),
        Per::All => all.to_owned(),
    }
}
