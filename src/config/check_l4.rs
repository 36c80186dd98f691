//! What a listener does below HTTP, and keys that its protocol leaves no meaning.

use toml::de::DeValue;

use super::address;
use super::check::Names;
use super::check_route::push_once;
use super::checked::{Cidr, HostPattern, ListenerConfig};
use super::checked_l4::{
    PassthroughConfig, PassthroughRule, Protocol, ProxyProtocolConfig, UdpConfig,
};
use super::checked_pool::{Balance, HashKey, MemberConfig, PoolConfig};
use super::document::{At, Findings, Table, span_of, wrong_type};
use super::error::{Mistake, Span};
use super::host;
use super::keys::Section;
use super::member_address::MemberAddress;
use crate::ids::PoolId;

/// Rules of one listener for TLS that passes through.
const RULES_MAX: usize = 65_535;

/// What the clients of a listener speak, as far as keys depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP, with TLS that passes through beside it or not.
    Http,
    /// TLS that passes through, and nothing else.
    Passthrough,
    /// Anything over TCP.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Speaks {
    /// As `protocol` would say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Passthrough => "TLS that passes through",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// Whether a key of a listener, or of its `timeouts` or `limits`, means something there.
    #[must_use]
    pub fn takes(self, section: Section, key: &str) -> bool {
        let stream = self != Self::Udp;
        match (section, key) {
            (Section::Listener, "bind" | "protocol" | "timeouts" | "limits" | "access") => true,
            (Section::Listener, "pool") => matches!(self, Self::Tcp | Self::Udp),
            (Section::Listener, "replies") => self == Self::Udp,
            (Section::Listener, "passthrough") => matches!(self, Self::Http | Self::Passthrough),
            // Beside `tls`, whatever does not pass through ends here.
            (Section::Listener, "passthrough_default") => self == Self::Passthrough,
            (Section::Listener, "proxy_protocol" | "defer_accept") => stream,
            (Section::ListenerTimeouts, "head" | "tunnel" | "write") => stream,
            (Section::ListenerTimeouts, "session") => self == Self::Udp,
            (Section::ListenerLimits, "connections" | "connections_per_client") => stream,
            (Section::ListenerLimits, "sessions") => self == Self::Udp,
            _ => self == Self::Http,
        }
    }

    /// The key to use in place of one that means nothing.
    fn instead(self, section: Section, key: &str) -> Option<&'static str> {
        match (section, key, self) {
            (Section::ListenerTimeouts, "idle" | "tunnel" | "body", Self::Udp) => Some("session"),
            (Section::ListenerTimeouts, "idle" | "body", _) => Some("tunnel"),
            (Section::ListenerTimeouts, "session", _) => Some("tunnel"),
            (Section::ListenerLimits, "connections", Self::Udp) => Some("sessions"),
            (Section::ListenerLimits, "sessions", _) => Some("connections"),
            (Section::Listener, "trusted_proxies", Self::Tcp | Self::Passthrough) => {
                Some("proxy_protocol")
            }
            _ => None,
        }
    }
}

/// What the clients of a listener speak.
pub(super) fn speaks(table: &Table<'_>) -> Speaks {
    let says = |word| {
        let value = table.get("protocol").map(|(_, value)| value.get_ref());
        matches!(value, Some(DeValue::String(text)) if text == word)
    };
    let has = |key| table.get(key).is_some();
    if says("tcp") {
        Speaks::Tcp
    } else if says("udp") {
        Speaks::Udp
    } else if (has("passthrough") || has("passthrough_default")) && !has("tls") {
        Speaks::Passthrough
    } else {
        Speaks::Http
    }
}

/// Reports keys that mean nothing for what the listener speaks.
pub(super) fn misplaced(table: &Table<'_>, speaks: Speaks, findings: &mut Findings) {
    for (key, value) in table.entries() {
        if !speaks.takes(key.section, key.name) {
            let mistake = Mistake::NotSpoken {
                key: key.name,
                place: table.place().clone(),
                speaks,
                instead: speaks.instead(key.section, key.name),
            };
            findings.add(span_of(value), mistake);
        }
    }
}

/// Reports a time for a head where none is read.
pub(super) fn nothing_to_read(timeouts: &Table<'_>, findings: &mut Findings) {
    if let Some((key, value)) = timeouts.get("head") {
        let place = timeouts.place().clone();
        let speaks = Speaks::Tcp;
        let mistake = Mistake::NotSpoken { key: key.name, place, speaks, instead: None };
        findings.add(span_of(value), mistake);
    }
}

/// `protocol`, with what goes with it.
pub(super) fn protocol(
    table: &Table<'_>,
    speaks: Speaks,
    pools: &Names<'_>,
    findings: &mut Findings,
) -> Protocol {
    // Reports a word that it does not know.
    table.choice("protocol", findings);
    if !matches!(speaks, Speaks::Tcp | Speaks::Udp) {
        return Protocol::Http;
    }
    let pool = required_pool(table, pools, findings);
    match speaks {
        Speaks::Udp => Protocol::Udp(UdpConfig { pool, replies: table.cap("replies", findings) }),
        _ => Protocol::Tcp(pool),
    }
}

fn required_pool(table: &Table<'_>, pools: &Names<'_>, findings: &mut Findings) -> PoolId {
    let present = table.required("pool", findings).is_some();
    let name = present.then(|| table.text("pool", findings)).flatten();
    PoolId(name.and_then(|name| pools.find(name, findings)).unwrap_or(0))
}

/// `proxy_protocol` of a listener.
pub(super) fn proxy_protocol(
    table: &Table<'_>,
    findings: &mut Findings,
) -> Option<ProxyProtocolConfig> {
    let fields = table.switch("proxy_protocol", findings)?;
    let mut trusted = Vec::new();
    if fields.required("trusted", findings).is_some() {
        for text in fields.texts("trusted", true, findings).unwrap_or_default() {
            trusted.extend(block(text, findings));
        }
    }
    Some(ProxyProtocolConfig { trusted, required: fields.choice("mode", findings) == 0 })
}

/// A block of addresses.
pub(super) fn block(text: At<&str>, findings: &mut Findings) -> Option<Cidr> {
    address::cidr(text.value).map_err(|why| findings.add(text.span, Mistake::BadCidr(why))).ok()
}

/// `[[listener.NAME.passthrough]]` and `passthrough_default`.
pub(super) fn passthrough(
    table: &Table<'_>,
    pools: &Names<'_>,
    findings: &mut Findings,
) -> Option<PassthroughConfig> {
    let written = table.get("passthrough");
    let default = table.text("passthrough_default", findings);
    if written.is_none() && default.is_none() {
        return None;
    }
    let default = default.and_then(|name| pools.find(name, findings)).map(PoolId);
    let mut rules = Vec::new();
    let mut names: Vec<(HostPattern, Span)> = Vec::new();
    if let Some((key, value)) = written {
        let DeValue::Array(items) = value.get_ref() else {
            findings.add(span_of(value), wrong_type(key, value));
            return None;
        };
        if items.is_empty() {
            findings.add(span_of(value), Mistake::EmptyList { key: key.name });
        }
        if let Some(item) = items.get(RULES_MAX) {
            findings.add(span_of(item), Mistake::TooMany { max: RULES_MAX });
        }
        for item in items.iter().take(RULES_MAX) {
            match item.get_ref() {
                DeValue::Table(fields) => {
                    let span = span_of(item);
                    let fields = table.child(Section::Passthrough, span, fields, findings);
                    rules.push(rule(&fields, pools, &mut names, findings));
                }
                _ => findings.add(span_of(item), wrong_type(key, item)),
            }
        }
    }
    Some(PassthroughConfig { rules, default })
}

fn rule(
    fields: &Table<'_>,
    pools: &Names<'_>,
    names: &mut Vec<(HostPattern, Span)>,
    findings: &mut Findings,
) -> PassthroughRule {
    let before = names.len();
    if fields.required("sni", findings).is_some() {
        for text in fields.texts("sni", true, findings).unwrap_or_default() {
            match host::pattern(text.value) {
                Ok(pattern) => push_once(names, pattern, text.span, findings),
                Err(why) => findings.add(text.span, Mistake::BadHost(why)),
            }
        }
    }
    let sni = names.iter().skip(before).map(|(name, _)| name.clone()).collect();
    PassthroughRule { sni, pool: required_pool(fields, pools, findings) }
}

/// The keys of the manual that a listener of the default protocol does not take.
#[cfg(test)]
pub(super) fn elsewhere(key: &super::keys::Key) -> Option<&'static str> {
    let others = [(Speaks::Tcp, "tcp"), (Speaks::Udp, "udp")];
    let listener = matches!(
        key.section,
        Section::Listener | Section::ListenerTimeouts | Section::ListenerLimits
    );
    if !listener || Speaks::Http.takes(key.section, key.name) {
        return None;
    }
    others.iter().find(|(speaks, _)| speaks.takes(key.section, key.name)).map(|(_, word)| *word)
}

impl ListenerConfig {
    /// What its clients speak.
    #[must_use]
    pub const fn speaks(&self) -> Speaks {
        match (&self.protocol, &self.passthrough) {
            (Protocol::Tcp(_), _) => Speaks::Tcp,
            (Protocol::Udp(_), _) => Speaks::Udp,
            (Protocol::Http, Some(_)) if self.tls.is_none() => Speaks::Passthrough,
            (Protocol::Http, _) => Speaks::Http,
        }
    }

    /// The pools that it names itself.
    pub fn pools(&self) -> impl Iterator<Item = PoolId> {
        let own = match &self.protocol {
            Protocol::Http => None,
            Protocol::Tcp(pool) => Some(*pool),
            Protocol::Udp(udp) => Some(udp.pool),
        };
        let passed = self
            .passthrough
            .iter()
            .flat_map(|passed| passed.rules.iter().map(|rule| rule.pool).chain(passed.default));
        own.into_iter().chain(passed)
    }
}

/// Why a pool cannot serve what a listener sends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It speaks TLS itself.
    Tls,
    /// It has members at Unix sockets.
    Unix,
    /// Its clients stay by a cookie.
    Sticky,
}

impl Unfit {
    fn is(self, pool: &PoolConfig, speaks: Speaks) -> bool {
        match self {
            Self::Tls => pool.tls.is_some() && speaks != Speaks::Tcp,
            Self::Unix => {
                let mut members = pool.members.iter();
                let is_unix =
                    |member: &MemberConfig| matches!(member.address, MemberAddress::Unix(_));
                speaks == Speaks::Udp && members.any(is_unix)
            }
            Self::Sticky => pool.sticky.is_some(),
        }
    }
}

/// Reports pools that cannot serve what a listener sends there.
pub(super) fn pools(
    listener: &ListenerConfig,
    span: Span,
    pools: &[PoolConfig],
    findings: &mut Findings,
) {
    let speaks = match listener.passthrough {
        Some(_) => Speaks::Passthrough,
        None => listener.speaks(),
    };
    for pool in listener.pools().filter_map(|id| pools.get(id.index())) {
        let pool_name = || pool.name.clone();
        if matches!(&pool.balance, Balance::Hash(key) if *key != HashKey::ClientIp) {
            findings.add(span, Mistake::NoSuchHash { pool: pool_name(), speaks });
        }
        if speaks == Speaks::Udp && pool.proxy_protocol.is_some() {
            findings.add(span, Mistake::NoAnnouncement { pool: pool_name() });
        }
        for unfit in [Unfit::Tls, Unfit::Unix, Unfit::Sticky] {
            if unfit.is(pool, speaks) {
                findings.add(span, Mistake::UnfitPool { pool: pool_name(), speaks, unfit });
            }
        }
    }
}
