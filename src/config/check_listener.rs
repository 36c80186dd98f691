//! `[listener.NAME]`.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::address;
use super::checked::{Cidr, ListenerConfig, ListenerLimits, ListenerTimeouts};
use super::document::{Findings, Table};
use super::error::{Mistake, Span};
use super::{check_https, check_tls};

/// The addresses that listeners bind, and where that is said.
pub(super) type Binds = HashMap<SocketAddr, Span>;

pub(super) fn listener(
    name: &str,
    table: &Table<'_>,
    binds: &mut Binds,
    findings: &mut Findings,
) -> ListenerConfig {
    let timeouts = table.table("timeouts", findings);
    let limits = table.table("limits", findings);
    ListenerConfig {
        name: name.to_owned(),
        bind: bind(table, binds, findings),
        timeouts: ListenerTimeouts {
            head: timeouts.time("head", findings),
            body: timeouts.time("body", findings),
            idle: timeouts.time("idle", findings),
            write: timeouts.time("write", findings),
            tunnel: timeouts.time("tunnel", findings),
        },
        limits: ListenerLimits {
            head: limits.bounded("head", findings),
            headers: limits.count("headers", findings),
            connections: limits.count("connections", findings),
            body: limits.size("body", findings),
        },
        trusted_proxies: trusted_proxies(table, findings),
        defer_accept: table.flag("defer_accept", findings),
        redirect_https: check_https::redirect(table, findings),
        hsts: check_https::hsts(table, findings),
        tls: check_tls::listener(table, findings),
    }
}

fn bind(table: &Table<'_>, binds: &mut Binds, findings: &mut Findings) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    if table.required("bind", findings).is_none() {
        return addresses;
    }
    for text in table.texts("bind", true, findings).unwrap_or_default() {
        match address::socket(text.value) {
            Err(why) => findings.add(text.span, Mistake::BadAddress(why)),
            // Each port 0 is another port.
            Ok(address) if address.port() == 0 => addresses.push(address),
            Ok(address) => {
                if let Some(&first) = binds.get(&address) {
                    findings.add(text.span, Mistake::DuplicateBind { first });
                }
                binds.entry(address).or_insert(text.span);
                addresses.push(address);
            }
        }
    }
    addresses
}

fn trusted_proxies(table: &Table<'_>, findings: &mut Findings) -> Vec<Cidr> {
    // An empty list is the default, and may be written.
    let empty = |(_, value): (_, &toml::Spanned<toml::de::DeValue<'_>>)| {
        value.get_ref().as_array().is_some_and(|array| array.is_empty())
    };
    if table.get("trusted_proxies").is_none_or(empty) {
        return Vec::new();
    }
    let mut blocks = Vec::new();
    for text in table.texts("trusted_proxies", true, findings).unwrap_or_default() {
        match address::cidr(text.value) {
            Ok(block) => blocks.push(block),
            Err(why) => findings.add(text.span, Mistake::BadCidr(why)),
        }
    }
    blocks
}
