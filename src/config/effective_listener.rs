//! A checked listener as TOML, with every default filled in that means something there.

use super::check_l4::Speaks;
use super::effective::{host, line, list, name, quote, size, table};
use super::keys::Section;
use super::scalar::show_duration as time;
use super::{Cidr, Config, ListenerConfig, PassthroughConfig, Protocol};
use super::{effective_auth, effective_guard, effective_rewrite, effective_route, effective_tls};
use crate::ids::PoolId;

pub(super) fn listener(out: &mut String, config: &Config, listener: &ListenerConfig) {
    let speaks = listener.speaks();
    out.push_str(&format!("\n[listener.{}]\n", name(&listener.name)));
    line(out, "bind", list(listener.bind.iter().map(|address| quote(&address.to_string()))));
    protocol(out, config, listener);
    let t = &listener.timeouts;
    let times = [
        ("head", t.head),
        ("body", t.body),
        ("idle", t.idle),
        ("write", t.write),
        ("slow", t.slow),
        ("tunnel", t.tunnel),
        ("session", t.session),
    ];
    let unread = speaks == Speaks::Tcp && listener.proxy_protocol.is_none();
    let taken = times.iter().filter(|(key, _)| {
        speaks.takes(Section::ListenerTimeouts, key) && !(unread && *key == "head")
    });
    line(out, "timeouts", table(taken.map(|(key, value)| (key, quote(&time(*value))))));
    let l = &listener.limits;
    let limits = [
        ("head", size(l.head as u64)),
        ("headers", l.headers.to_string()),
        ("connections", l.connections.to_string()),
        ("connections_per_client", cap(l.connections_per_client)),
        ("requests_per_client", cap(l.requests_per_client)),
        ("uri", l.uri.map_or_else(|| quote("none"), |uri| size(uri as u64))),
        ("min_rate", effective_guard::min_rate(l.min_rate)),
        ("sessions", l.sessions.to_string()),
        ("body", l.body.map_or_else(|| quote("none"), size)),
    ];
    let taken = limits.into_iter().filter(|(key, _)| speaks.takes(Section::ListenerLimits, key));
    line(out, "limits", table(taken));
    if speaks == Speaks::Http {
        line(out, "trusted_proxies", blocks(&listener.trusted_proxies));
        line(out, "slashes", quote(if listener.merge_slashes { "merge" } else { "keep" }));
        if let Some(pages) = &listener.error_pages {
            line(out, "error_pages", effective_route::error_pages(pages));
        }
        effective_auth::listener(out, config, listener);
    }
    effective_guard::listener(out, listener);
    if speaks == Speaks::Udp {
        return;
    }
    let header = listener.proxy_protocol.as_ref().map(|header| {
        let mode = if header.required { "required" } else { "optional" };
        table([("trusted", blocks(&header.trusted)), ("mode", quote(mode))])
    });
    line(out, "proxy_protocol", header.unwrap_or_else(|| quote("off")));
    line(out, "defer_accept", listener.defer_accept);
    if speaks == Speaks::Http {
        effective_tls::listener(out, listener);
        effective_rewrite::listener(out, listener);
    }
    if let Some(passed) = &listener.passthrough {
        passthrough(out, config, listener, passed);
    }
}

fn cap(cap: Option<u32>) -> String {
    cap.map_or_else(|| quote("none"), |cap| cap.to_string())
}

fn protocol(out: &mut String, config: &Config, listener: &ListenerConfig) {
    match &listener.protocol {
        Protocol::Http => line(out, "protocol", quote("http")),
        Protocol::Tcp(pool) => {
            line(out, "protocol", quote("tcp"));
            line(out, "pool", pool_name(config, *pool));
        }
        Protocol::Udp(udp) => {
            line(out, "protocol", quote("udp"));
            line(out, "pool", pool_name(config, udp.pool));
            let replies = udp.replies.map_or_else(|| quote("none"), |most| most.to_string());
            line(out, "replies", replies);
        }
    }
}

fn passthrough(
    out: &mut String,
    config: &Config,
    listener: &ListenerConfig,
    passed: &PassthroughConfig,
) {
    if let Some(default) = passed.default {
        line(out, "passthrough_default", pool_name(config, default));
    }
    for rule in &passed.rules {
        out.push_str(&format!("[[listener.{}.passthrough]]\n", name(&listener.name)));
        line(out, "sni", list(rule.sni.iter().map(host)));
        line(out, "pool", pool_name(config, rule.pool));
    }
}

fn pool_name(config: &Config, pool: PoolId) -> String {
    quote(config.pool(pool).map_or("", |pool| &pool.name))
}

fn blocks(blocks: &[Cidr]) -> String {
    list(blocks.iter().map(|block| quote(&block.to_string())))
}
