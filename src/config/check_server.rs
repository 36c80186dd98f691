//! `[server]` and `[limits]`.

use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::address;
use super::admin_address::AdminAddress;
use super::check_buffer;
use super::check_cache_disk;
use super::checked::{AccessLog, AccessLogFormat, LimitsConfig, ServerConfig, Workers};
use super::document::{Findings, Table, integer, span_of, wrong_type};
use super::error::Mistake;
use super::nearest::nearest;

/// The most workers, and the number of cores that an affinity mask of the usual size names.
const CORES_MAX: u64 = 1024;

/// Where name servers listen.
const DNS_PORT: u16 = 53;

pub(super) fn server(table: &Table<'_>, findings: &mut Findings) -> ServerConfig {
    ServerConfig {
        workers: workers(table, findings),
        admin: admin(table, findings),
        access_log: access_log(table, findings),
        access_log_format: match table.choice("access_log_format", findings) {
            0 => AccessLogFormat::Common,
            _ => AccessLogFormat::Json,
        },
        resolvers: resolvers(table, findings),
        drain_timeout: table.time("drain_timeout", findings),
        cache: check_cache_disk::store(&table.table("cache", findings), findings),
        buffers: check_buffer::buffers(table, findings),
        spread: table.flag("spread", findings),
    }
}

pub(super) fn limits(table: &Table<'_>, findings: &mut Findings) -> LimitsConfig {
    LimitsConfig {
        access_log_queue: table.count("access_log_queue", findings),
        response_head: table.bounded("response_head", findings),
        encoders: table.count("encoders", findings),
        response_headers: table.count("response_headers", findings),
        trailers: table.bounded("trailers", findings),
    }
}

fn workers(table: &Table<'_>, findings: &mut Findings) -> Workers {
    let Some((key, value)) = table.get("workers") else { return Workers::Auto };
    let mistake = match value.get_ref() {
        DeValue::String(word) if word == "auto" => return Workers::Auto,
        DeValue::String(word) => {
            let nearest = nearest(word, ["auto"]);
            Mistake::NotAChoice {
                key: key.name,
                word: word.to_string(),
                choices: &["auto"],
                nearest,
                said: Some("write \"auto\", a number such as 4, or a list of cores such as [2, 3]"),
            }
        }
        DeValue::Integer(_) => match integer(value).and_then(|n| usize::try_from(n).ok()) {
            Some(count @ 1..=1024) => return Workers::Count(count),
            _ => Mistake::OutOfBounds {
                key: key.name,
                min: "1".to_owned(),
                max: CORES_MAX.to_string(),
            },
        },
        DeValue::Array(array) if array.is_empty() => Mistake::EmptyList { key: key.name },
        DeValue::Array(array) => {
            let mut cores: Vec<usize> = Vec::new();
            let mut spans = Vec::new();
            for item in array.iter() {
                let span = span_of(item);
                let core = integer(item).filter(|core| *core < CORES_MAX);
                let Some(core) = core.and_then(|core| usize::try_from(core).ok()) else {
                    findings.add(span, Mistake::BadCore);
                    continue;
                };
                if let Some((_, first)) = cores.iter().zip(&spans).find(|(c, _)| **c == core) {
                    findings.add(span, Mistake::Twice { first: *first });
                }
                cores.push(core);
                spans.push(span);
            }
            return Workers::Cores(cores);
        }
        _ => wrong_type(key, value),
    };
    findings.add(span_of(value), mistake);
    Workers::Auto
}

fn admin(table: &Table<'_>, findings: &mut Findings) -> Option<AdminAddress> {
    let text = table.text("admin", findings)?;
    match text.value.parse() {
        Ok(address) => Some(address),
        Err(why) => {
            findings.add(text.span, Mistake::BadAdmin(why));
            None
        }
    }
}

fn resolvers(table: &Table<'_>, findings: &mut Findings) -> Vec<SocketAddr> {
    if table.get("resolvers").is_some_and(|(_, value)| value.get_ref().as_str() == Some("system")) {
        return Vec::new();
    }
    let mut resolvers = Vec::new();
    for text in table.texts("resolvers", true, findings).unwrap_or_default() {
        let bare = text.value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
        match bare.or_else(|_| address::socket(text.value)) {
            Ok(address) if address.port() == 0 => findings.add(text.span, Mistake::ResolverPort),
            Ok(address) => resolvers.push(address),
            Err(why) => findings.add(text.span, Mistake::BadAddress(why)),
        }
    }
    resolvers
}

fn access_log(table: &Table<'_>, findings: &mut Findings) -> AccessLog {
    let Some(text) = table.text("access_log", findings) else { return AccessLog::Off };
    match text.value {
        "off" => AccessLog::Off,
        "stdout" => AccessLog::Stdout,
        path if path.contains('/') && !path.contains('\0') => AccessLog::File(path.into()),
        word => {
            let nearest = nearest(word, ["off", "stdout"]);
            findings.add(text.span, Mistake::BadAccessLog { nearest });
            AccessLog::Off
        }
    }
}
