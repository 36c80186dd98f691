//! A checked pool as TOML, with every default filled in.

use super::effective::{line, list, name, quote, size, table};
use super::effective_tls;
use super::scalar::show_duration;
use super::{
    Balance, Comparison, EjectConfig, FailureSet, HashKey, HealthConfig, LatencyConfig,
    MemberConfig, MemberState, Panic, PoolConfig, Probe, ProxyVersion, RetryConfig, SameSite,
    StickyConfig, StickyKey, SuccessRateConfig,
};

pub(super) fn pool(out: &mut String, pool: &PoolConfig) {
    out.push_str(&format!("\n[pool.{}]\n", name(&pool.name)));
    line(out, "balance", balance(&pool.balance));
    line(out, "sticky", pool.sticky.as_ref().map_or_else(off, sticky));
    out.push_str("members = [\n");
    for it in &pool.members {
        out.push_str(&format!("  {},\n", member(it)));
    }
    out.push_str("]\n");
    line(out, "max_connections", cap(pool.max_connections));
    let k = &pool.keepalive;
    let keepalive = [
        ("idle", k.idle.to_string()),
        ("idle_timeout", time(k.idle_timeout)),
        ("max_age", time(k.max_age)),
        ("max_requests", cap(k.max_requests)),
    ];
    line(out, "keepalive", table(keepalive));
    let t = &pool.timeouts;
    let timeouts = [("connect", time(t.connect)), ("response", time(t.response))];
    line(out, "timeouts", table(timeouts));
    line(out, "health", pool.health.as_ref().map_or_else(off, health));
    line(out, "eject", pool.eject.as_ref().map_or_else(off, eject));
    let q = &pool.queue;
    let queue = [("length", q.length.to_string()), ("timeout", time(q.timeout))];
    line(out, "queue", table(queue));
    line(out, "retry", pool.retry.as_ref().map_or_else(off, retry));
    let panic = match pool.panic {
        Panic::Refuse => "refuse",
        Panic::UseAll => "use-all",
    };
    line(out, "panic", quote(panic));
    let header = match pool.proxy_protocol {
        None => "off",
        Some(ProxyVersion::V1) => "v1",
        Some(ProxyVersion::V2) => "v2",
    };
    line(out, "proxy_protocol", quote(header));
    line(out, "slow_start", time(pool.slow_start));
    effective_tls::pool(out, pool.tls.as_ref());
}

fn time(duration: std::time::Duration) -> String {
    quote(&show_duration(duration))
}

fn cap(cap: Option<u32>) -> String {
    cap.map_or_else(|| quote("none"), |cap| cap.to_string())
}

fn off() -> String {
    quote("off")
}

fn balance(balance: &Balance) -> String {
    let key = match balance {
        Balance::RoundRobin => return quote("round-robin"),
        Balance::LeastConnections => return quote("least-connections"),
        Balance::LeastTime => return quote("least-time"),
        Balance::RandomTwo => return quote("random-two"),
        Balance::Hash(HashKey::ClientIp) => "client-ip".to_owned(),
        Balance::Hash(HashKey::Path) => "path".to_owned(),
        Balance::Hash(HashKey::Header(name)) => format!("header:{name}"),
        Balance::Hash(HashKey::Cookie(name)) => format!("cookie:{name}"),
        Balance::Hash(HashKey::Query(name)) => format!("query:{name}"),
    };
    table([("hash", quote(&key))])
}

fn sticky(sticky: &StickyConfig) -> String {
    let key = match &sticky.key {
        StickyKey::Text(secret) => ("key", quote(&String::from_utf8_lossy(secret.bytes()))),
        StickyKey::File { path, .. } => ("key_file", quote(&path.to_string_lossy())),
    };
    let same_site = match sticky.same_site {
        SameSite::Lax => "lax",
        SameSite::Strict => "strict",
        SameSite::None => "none",
    };
    table([
        ("cookie", quote(&sticky.cookie)),
        key,
        ("max_age", sticky.max_age.map_or_else(|| quote("session"), time)),
        ("path", quote(&sticky.path)),
        ("same_site", quote(same_site)),
        ("secure", sticky.secure.to_string()),
    ])
}

fn member(member: &MemberConfig) -> String {
    let state = match member.state {
        MemberState::Ready => "ready",
        MemberState::Drain => "drain",
        MemberState::Maintenance => "maintenance",
    };
    let places = member.address.is_resolved().then(|| ("places", member.places.to_string()));
    let mut fields = vec![("address", quote(&member.address.to_string()))];
    fields.extend(places);
    fields.extend([
        ("weight", member.weight.to_string()),
        ("max_connections", cap(member.max_connections)),
        ("backup", member.backup.to_string()),
        ("state", quote(state)),
    ]);
    table(fields)
}

fn health(health: &HealthConfig) -> String {
    let mut fields = match &health.probe {
        Probe::Tcp => vec![("type", quote("tcp"))],
        Probe::Http { method, path, host, headers, status, body } => {
            let headers = headers.iter().map(|(name, value)| (quote(name), quote(value)));
            let status = status.iter().map(|(first, last)| match first == last {
                true => first.to_string(),
                false => quote(&format!("{first}-{last}")),
            });
            let mut fields = vec![
                ("type", quote("http")),
                ("method", quote(method)),
                ("path", quote(path)),
                ("headers", table(headers)),
                ("status", list(status)),
            ];
            fields.extend(host.iter().map(|host| ("host", quote(host))));
            fields.extend(body.iter().map(|body| ("body", quote(body))));
            fields
        }
    };
    fields.extend([
        ("interval", time(health.interval)),
        ("timeout", time(health.timeout)),
        ("fall", health.fall.to_string()),
        ("rise", health.rise.to_string()),
    ]);
    fields.extend(health.port.map(|port| ("port", port.to_string())));
    fields.push(("start", quote(if health.start_down { "down" } else { "up" })));
    table(fields)
}

fn eject(eject: &EjectConfig) -> String {
    table([
        ("failures", eject.failures.map_or_else(|| quote("none"), |count| count.to_string())),
        ("window", time(eject.window)),
        ("for", time(eject.out_for)),
        ("on", failures(&eject.on)),
        ("max_share", percent(eject.max_share)),
        ("success_rate", eject.success_rate.as_ref().map_or_else(off, success_rate)),
        ("latency", eject.latency.as_ref().map_or_else(off, latency)),
    ])
}

fn success_rate(rule: &SuccessRateConfig) -> String {
    let own = [("worse_by", percent(rule.worse_by))];
    table(own.into_iter().chain(comparison(&rule.compare)))
}

fn latency(rule: &LatencyConfig) -> String {
    let own = [
        ("factor", rule.factor.to_string()),
        ("intervals", rule.intervals.to_string()),
        ("least", time(rule.least)),
    ];
    table(own.into_iter().chain(comparison(&rule.compare)))
}

fn comparison(compare: &Comparison) -> [(&'static str, String); 3] {
    [
        ("interval", time(compare.interval)),
        ("requests", compare.requests.to_string()),
        ("members", compare.members.to_string()),
    ]
}

fn retry(retry: &RetryConfig) -> String {
    table([
        ("on", failures(&retry.on)),
        ("attempts", retry.attempts.to_string()),
        ("budget", percent(retry.budget)),
        ("floor", retry.floor.to_string()),
        ("try_timeout", retry.try_timeout.map_or_else(|| quote("none"), time)),
        ("idempotency_key", retry.idempotency_key.to_string()),
        ("deadline", time(retry.deadline)),
        ("body", size(retry.body as u64)),
    ])
}

fn percent(share: u8) -> String {
    quote(&format!("{share}%"))
}

fn failures(set: &FailureSet) -> String {
    let words = [
        ("connect", set.connect),
        ("reset", set.reset),
        ("timeout", set.timeout),
        ("bad-answer", set.bad_answer),
    ];
    let words = words.into_iter().filter(|(_, named)| *named).map(|(word, _)| quote(word));
    list(words.chain(set.statuses.iter().map(u16::to_string)))
}
