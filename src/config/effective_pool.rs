//! A checked pool as TOML, with every default filled in.

use super::effective::{line, list, name, quote, size, table};
use super::scalar::show_duration;
use super::{
    Balance, EjectConfig, FailureSet, HashKey, HealthConfig, MemberConfig, Panic, PoolConfig,
    Probe, ProxyVersion, RetryConfig,
};

pub(super) fn pool(out: &mut String, pool: &PoolConfig) {
    out.push_str(&format!("\n[pool.{}]\n", name(&pool.name)));
    line(out, "balance", balance(&pool.balance));
    out.push_str("members = [\n");
    for it in &pool.members {
        out.push_str(&format!("  {},\n", member(it)));
    }
    out.push_str("]\n");
    let k = &pool.keepalive;
    let keepalive = [("idle", k.idle.to_string()), ("idle_timeout", time(k.idle_timeout))];
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
}

fn time(duration: std::time::Duration) -> String {
    quote(&show_duration(duration))
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

fn member(member: &MemberConfig) -> String {
    let cap = member.max_connections.map_or_else(|| quote("none"), |cap| cap.to_string());
    table([
        ("address", quote(&member.address.to_string())),
        ("weight", member.weight.to_string()),
        ("max_connections", cap),
        ("backup", member.backup.to_string()),
    ])
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
        ("failures", eject.failures.to_string()),
        ("window", time(eject.window)),
        ("for", time(eject.out_for)),
        ("on", failures(&eject.on)),
        ("max_share", percent(eject.max_share)),
    ])
}

fn retry(retry: &RetryConfig) -> String {
    table([
        ("on", failures(&retry.on)),
        ("attempts", retry.attempts.to_string()),
        ("budget", percent(retry.budget)),
        ("floor", retry.floor.to_string()),
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
