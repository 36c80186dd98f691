//! `[listener.NAME]`.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::check::Names;
use super::check_headers::Way;
use super::check_l4::Speaks;
use super::checked::{Cidr, ListenerConfig, ListenerLimits, ListenerTimeouts};
use super::document::{Findings, Table};
use super::error::{Mistake, Span};
use super::keys::Section;
use super::{
    address, check_auth, check_guard, check_headers, check_https, check_l4, check_pages,
    check_rewrite, check_tls,
};

/// The addresses that listeners bind, whether for datagrams, and where that is said.
pub(super) type Binds = HashMap<(SocketAddr, bool), Span>;

pub(super) fn listener(
    name: &str,
    table: &Table<'_>,
    pools: &Names<'_>,
    binds: &mut Binds,
    findings: &mut Findings,
) -> ListenerConfig {
    let speaks = check_l4::speaks(table);
    let timeouts = table.table("timeouts", findings);
    let limits = table.table("limits", findings);
    for table in [table, &timeouts, &limits] {
        check_l4::misplaced(table, speaks, findings);
    }
    let proxy_protocol = check_l4::proxy_protocol(table, findings);
    if speaks == Speaks::Tcp && proxy_protocol.is_none() {
        check_l4::nothing_to_read(&timeouts, findings);
    }
    ListenerConfig {
        access: check_guard::access(table, speaks, findings),
        rates: check_guard::rates(table, Section::ListenerRate, findings),
        name: name.to_owned(),
        bind: bind(table, speaks, binds, findings),
        protocol: check_l4::protocol(table, speaks, pools, findings),
        passthrough: check_l4::passthrough(table, pools, findings),
        proxy_protocol,
        timeouts: ListenerTimeouts {
            head: timeouts.time("head", findings),
            body: timeouts.time("body", findings),
            idle: timeouts.time("idle", findings),
            write: timeouts.time("write", findings),
            slow: timeouts.time("slow", findings),
            tunnel: timeouts.time("tunnel", findings),
            session: timeouts.time("session", findings),
        },
        limits: ListenerLimits {
            head: limits.bounded("head", findings),
            headers: limits.count("headers", findings),
            connections: limits.count("connections", findings),
            connections_per_client: limits.cap("connections_per_client", findings),
            requests_per_client: limits.cap("requests_per_client", findings),
            uri: limits.size("uri", findings).and_then(|bytes| usize::try_from(bytes).ok()),
            min_rate: check_guard::min_rate(&limits, findings),
            sessions: limits.count("sessions", findings),
            body: limits.size("body", findings),
        },
        trusted_proxies: trusted_proxies(table, findings),
        defer_accept: table.flag("defer_accept", findings),
        redirect_https: check_https::redirect(table, findings),
        hsts: check_https::hsts(table, findings),
        forwarded: check_rewrite::forwarded(table, findings),
        request_headers: check_headers::headers(table, Way::Up, findings),
        response_headers: check_headers::headers(table, Way::Down, findings),
        request_id: check_rewrite::request_id(table, findings),
        tracing: check_rewrite::tracing(table, findings),
        merge_slashes: table.choice("slashes", findings) == 1,
        error_pages: check_pages::error_pages(table, findings),
        auth: check_auth::listener(table, pools, findings),
        tls: check_tls::listener(table, findings),
    }
}

fn bind(
    table: &Table<'_>,
    speaks: Speaks,
    binds: &mut Binds,
    findings: &mut Findings,
) -> Vec<SocketAddr> {
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
                let key = (address, speaks == Speaks::Udp);
                if let Some(&first) = binds.get(&key) {
                    findings.add(text.span, Mistake::DuplicateBind { first });
                }
                binds.entry(key).or_insert(text.span);
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
        blocks.extend(check_l4::block(text, findings));
    }
    blocks
}
