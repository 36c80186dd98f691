//! `[pool.NAME]`.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::address;
use super::checked_pool::{
    Balance, KeepaliveConfig, MemberConfig, Panic, PoolConfig, PoolTimeouts, QueueConfig,
};
use super::document::{At, Findings, Table, span_of, text, wrong_type};
use super::error::{Mistake, Place, Span};
use super::keys::Section;

/// Members of a pool.
const MEMBERS_MAX: usize = 4096;

pub(super) fn pool(name: &str, table: &Table<'_>, findings: &mut Findings) -> PoolConfig {
    let keepalive = table.table("keepalive", findings);
    let timeouts = table.table("timeouts", findings);
    PoolConfig {
        name: name.to_owned(),
        balance: match table.choice("balance", findings) {
            0 => Balance::RoundRobin,
            _ => Balance::LeastConnections,
        },
        members: members(name, table, findings),
        keepalive: KeepaliveConfig {
            idle: keepalive.count("idle", findings),
            idle_timeout: keepalive.time("idle_timeout", findings),
        },
        timeouts: PoolTimeouts {
            connect: timeouts.time("connect", findings),
            response: timeouts.time("response", findings),
        },
        health: None,
        eject: None,
        queue: QueueConfig { length: 0, timeout: std::time::Duration::ZERO },
        retry: None,
        panic: Panic::Refuse,
        slow_start: std::time::Duration::ZERO,
    }
}

fn members(pool: &str, table: &Table<'_>, findings: &mut Findings) -> Vec<MemberConfig> {
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
        let (text, weight) = match item.get_ref() {
            DeValue::Table(fields) => {
                let name = Some(pool.escape_debug().to_string());
                let place = Place { section: Section::Member, name };
                let fields = Table::open(place, span_of(item), fields, findings);
                // Its absence is reported here.
                let address = fields.required("address", findings).is_some();
                let text = address.then(|| fields.text("address", findings)).flatten();
                (text, fields.count("weight", findings))
            }
            _ => (text(key, item, findings), 1),
        };
        let address = text.and_then(|text| member_address(text, &mut first_spans, findings));
        // The bounds of the key are those of the type. A member with a mistake is kept, so that
        // its weight counts below.
        let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        members.push(MemberConfig {
            address,
            weight: u16::try_from(weight).unwrap_or(u16::MAX),
            max_connections: None,
            backup: false,
        });
    }
    if !members.is_empty() && members.iter().all(|member| member.weight == 0) {
        findings.add(table.span, Mistake::NoWeight);
    }
    members
}

fn member_address(
    text: At<&str>,
    first_spans: &mut HashMap<SocketAddr, Span>,
    findings: &mut Findings,
) -> Option<SocketAddr> {
    let address = match address::socket(text.value) {
        Ok(address) => address,
        Err(why) => {
            findings.add(text.span, Mistake::BadAddress(why));
            return None;
        }
    };
    if address.port() == 0 {
        findings.add(text.span, Mistake::PortZero);
    } else if let Some(&first) = first_spans.get(&address) {
        findings.add(text.span, Mistake::Twice { first });
    } else {
        first_spans.insert(address, text.span);
    }
    Some(address)
}
