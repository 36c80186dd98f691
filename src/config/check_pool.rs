//! `[pool.NAME]`, its members and its queue.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::checked_l4::ProxyVersion;
use super::checked_pool::{
    KeepaliveConfig, MemberConfig, MemberState, Panic, PoolConfig, PoolTimeouts, QueueConfig,
};
use super::document::{At, Findings, Table, number, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::keys::{Kind, Section};
use super::member_address::{self, MemberAddress};
use super::{check_balance, check_failure, check_health, check_sticky, check_tls};

/// Members of a pool: places for addresses.
const MEMBERS_MAX: usize = 4096;

/// Places for what a name resolves to, where the file does not say.
const PLACES: u16 = 16;

pub(super) fn pool(name: &str, table: &Table<'_>, findings: &mut Findings) -> PoolConfig {
    let keepalive = table.table("keepalive", findings);
    let timeouts = table.table("timeouts", findings);
    let members = members(table, findings);
    let max_connections = table.cap("max_connections", findings);
    PoolConfig {
        name: name.to_owned(),
        balance: check_balance::balance(table, findings),
        sticky: check_sticky::sticky(table, findings),
        keepalive: KeepaliveConfig {
            idle: keepalive.count("idle", findings),
            idle_timeout: keepalive.time("idle_timeout", findings),
            max_age: keepalive.time("max_age", findings),
            max_requests: keepalive.cap("max_requests", findings),
        },
        timeouts: PoolTimeouts {
            connect: timeouts.time("connect", findings),
            response: timeouts.time("response", findings),
        },
        health: check_health::health(table, findings),
        eject: check_failure::eject(table, findings),
        queue: queue(table, max_connections, &members, findings),
        max_connections,
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
        tls: check_tls::pool(table, findings),
        members,
    }
}

fn queue(
    table: &Table<'_>,
    maximum: Option<u32>,
    members: &[MemberConfig],
    findings: &mut Findings,
) -> QueueConfig {
    let queue = table.table("queue", findings);
    let length = queue.count("length", findings);
    // Whoever writes 0 or the default misses nothing.
    let default = matches!(Section::Queue.key("length").map(|key| key.kind),
        Some(Kind::Count { default, .. }) if default == length as u64);
    let capped = maximum.is_some() || members.iter().any(|member| member.max_connections.is_some());
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
    let mut first_spans: HashMap<String, Span> = HashMap::new();
    let mut places = 0;
    for item in items.iter().take(MEMBERS_MAX) {
        members.push(match item.get_ref() {
            DeValue::Table(fields) => {
                let fields = table.child(Section::Member, span_of(item), fields, findings);
                member(&fields, &mut first_spans, findings)
            }
            _ => {
                let text = text(key, item, findings);
                let address = member_address(text, &mut first_spans, findings);
                let (places, state) = (default_places(&address), MemberState::Ready);
                MemberConfig {
                    address,
                    places,
                    weight: 1,
                    max_connections: None,
                    backup: false,
                    state,
                }
            }
        });
        places += members.last().map_or(0, |member| usize::from(member.places));
        if places > MEMBERS_MAX {
            findings.add(span_of(item), Mistake::TooMany { max: MEMBERS_MAX });
            break;
        }
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
    first_spans: &mut HashMap<String, Span>,
    findings: &mut Findings,
) -> MemberConfig {
    // Its absence is reported here.
    let address = fields.required("address", findings).is_some();
    let text = address.then(|| fields.text("address", findings)).flatten();
    let address = member_address(text, first_spans, findings);
    MemberConfig {
        places: places(fields, &address, findings),
        address,
        // The bounds of the key are those of the type.
        weight: u16::try_from(fields.count("weight", findings)).unwrap_or(u16::MAX),
        max_connections: fields.cap("max_connections", findings),
        backup: fields.flag("backup", findings),
        state: match fields.choice("state", findings) {
            0 => MemberState::Ready,
            1 => MemberState::Drain,
            _ => MemberState::Maintenance,
        },
    }
}

/// The address of a member; of one with a mistake a stand-in, so that the member counts.
fn member_address(
    text: Option<At<&str>>,
    first_spans: &mut HashMap<String, Span>,
    findings: &mut Findings,
) -> MemberAddress {
    let stand_in = MemberAddress::Ip(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let Some(text) = text else { return stand_in };
    let address = match member_address::parse(text.value) {
        Ok(address) => address,
        Err(why) => {
            findings.add(text.span, Mistake::BadMemberAddress(why));
            return stand_in;
        }
    };
    let (port, shown) = match &address {
        MemberAddress::Ip(address) => (address.port(), address.to_string()),
        MemberAddress::Name { port, .. } => (*port, address.to_string().to_ascii_lowercase()),
        MemberAddress::Srv(_) => (1, address.to_string().to_ascii_lowercase()),
        MemberAddress::Unix(_) => (1, address.to_string()),
    };
    if port == 0 {
        findings.add(text.span, Mistake::PortZero);
    } else if let Some(&first) = first_spans.get(&shown) {
        findings.add(text.span, Mistake::Twice { first });
    } else {
        first_spans.insert(shown, text.span);
    }
    address
}

const fn default_places(address: &MemberAddress) -> u16 {
    if address.is_resolved() { PLACES } else { 1 }
}

/// How many addresses of a name are used.
fn places(fields: &Table<'_>, address: &MemberAddress, findings: &mut Findings) -> u16 {
    let default = default_places(address);
    let Some((key, value)) = fields.get("places") else { return default };
    let written = number(key, value, 1, MEMBERS_MAX as u64, findings);
    let Some(places) = written.and_then(|places| u16::try_from(places).ok()) else {
        return default;
    };
    if places > 1 && !address.is_resolved() {
        findings.add(span_of(value), Mistake::OnePlace);
        return default;
    }
    places
}
