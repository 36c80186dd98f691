//! `[pool.NAME]`, its members and its queue.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::address;
use super::checked_l4::ProxyVersion;
use super::checked_pool::{
    KeepaliveConfig, MemberConfig, Panic, PoolConfig, PoolTimeouts, QueueConfig,
};
use super::document::{At, Findings, Table, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::keys::{Kind, Section};
use super::{check_balance, check_failure, check_health};

/// Members of a pool.
const MEMBERS_MAX: usize = 4096;

pub(super) fn pool(name: &str, table: &Table<'_>, findings: &mut Findings) -> PoolConfig {
    let keepalive = table.table("keepalive", findings);
    let timeouts = table.table("timeouts", findings);
    let members = members(table, findings);
    PoolConfig {
        name: name.to_owned(),
        balance: check_balance::balance(table, findings),
        keepalive: KeepaliveConfig {
            idle: keepalive.count("idle", findings),
            idle_timeout: keepalive.time("idle_timeout", findings),
        },
        timeouts: PoolTimeouts {
            connect: timeouts.time("connect", findings),
            response: timeouts.time("response", findings),
        },
        health: check_health::health(table, findings),
        eject: check_failure::eject(table, findings),
        queue: queue(table, &members, findings),
        retry: check_failure::retry(table, findings),
        panic: match table.choice("panic", findings) {
            0 => Panic::Refuse,
            _ => Panic::UseAll,
        },
        proxy_protocol: match table.choice("proxy_protocol", findings) {
            1 => Some(ProxyVersion::V1),
            2 => Some(ProxyVersion::V2),
            _ => None,
        },
        slow_start: table.time("slow_start", findings),
        members,
    }
}

fn queue(table: &Table<'_>, members: &[MemberConfig], findings: &mut Findings) -> QueueConfig {
    let queue = table.table("queue", findings);
    let length = queue.count("length", findings);
    // Whoever writes 0 or the default misses nothing.
    let default = matches!(Section::Queue.key("length").map(|key| key.kind),
        Some(Kind::Count { default, .. }) if default == length as u64);
    let capped = members.iter().any(|member| member.max_connections.is_some());
    if let (false, false, 1.., Some((_, value))) = (capped, default, length, queue.get("length")) {
        findings.add(span_of(value), Mistake::UselessQueue);
    }
    QueueConfig { length, timeout: queue.time("timeout", findings) }
}

fn members(table: &Table<'_>, findings: &mut Findings) -> Vec<MemberConfig> {
    let mut members: Vec<MemberConfig> = Vec::new();
    let Some((key, value)) = table.required("members", findings) else { return members };
    let DeValue::Array(items) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return members;
    };
    if items.is_empty() {
        findings.add(span_of(value), Mistake::EmptyList { key: key.name });
    }
    if let Some(item) = items.get(MEMBERS_MAX) {
        findings.add(span_of(item), Mistake::TooMany { max: MEMBERS_MAX });
    }
    let mut first_spans: HashMap<SocketAddr, Span> = HashMap::new();
    for item in items.iter().take(MEMBERS_MAX) {
        members.push(match item.get_ref() {
            DeValue::Table(fields) => {
                let fields = table.child(Section::Member, span_of(item), fields, findings);
                member(&fields, &mut first_spans, findings)
            }
            _ => {
                let text = text(key, item, findings);
                let address = member_address(text, &mut first_spans, findings);
                MemberConfig { address, weight: 1, max_connections: None, backup: false }
            }
        });
    }
    if !members.is_empty() && members.iter().all(|member| member.weight == 0) {
        findings.add(table.span, Mistake::NoWeight);
    }
    if !members.is_empty() && members.iter().all(|member| member.backup) {
        findings.add(table.span, Mistake::OnlyBackups);
    }
    members
}

/// A member in its table form.
fn member(
    fields: &Table<'_>,
    first_spans: &mut HashMap<SocketAddr, Span>,
    findings: &mut Findings,
) -> MemberConfig {
    // Its absence is reported here.
    let address = fields.required("address", findings).is_some();
    let text = address.then(|| fields.text("address", findings)).flatten();
    MemberConfig {
        address: member_address(text, first_spans, findings),
        // The bounds of the key are those of the type.
        weight: u16::try_from(fields.count("weight", findings)).unwrap_or(u16::MAX),
        max_connections: fields.cap("max_connections", findings),
        backup: fields.flag("backup", findings),
    }
}

/// The address of a member; of one with a mistake a stand-in, so that the member counts.
fn member_address(
    text: Option<At<&str>>,
    first_spans: &mut HashMap<SocketAddr, Span>,
    findings: &mut Findings,
) -> SocketAddr {
    let stand_in = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let Some(text) = text else { return stand_in };
    let address = match address::socket(text.value) {
        Ok(address) => address,
        Err(why) => {
            findings.add(text.span, Mistake::BadAddress(why));
            return stand_in;
        }
    };
    if address.port() == 0 {
        findings.add(text.span, Mistake::PortZero);
    } else if let Some(&first) = first_spans.get(&address) {
        findings.add(text.span, Mistake::Twice { first });
    } else {
        first_spans.insert(address, text.span);
    }
    address
}
