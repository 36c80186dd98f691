//! `access`, `rate` and `limits` of listeners and routes.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::address::{self, CidrError};
use super::address_lists::{ENTRIES_MAX, FILE_MAX, entries};
use super::address_set::{AddressSet, Verdict};
use super::check_l4::Speaks;
use super::check_route::is_token;
use super::checked::Cidr;
use super::checked_guard::{
    AccessConfig, AccessRefusal, AddressSource, BodyLimit, Per, RateConfig, RouteLimits,
};
use super::document::{At, Findings, Table, integer, number, span_of, wrong_type};
use super::error::Mistake;
use super::keys::Section;
use super::scalar::{self, show_size};

/// Rates of one listener or route.
const RATES_MAX: usize = 16;
/// The most requests that a rate or a burst may have.
const COUNT_MAX: u64 = 1_000_000;
/// The slowest that a client may have to be.
const SPEED_MAX: u64 = 1 << 30;
/// The largest body that has a bound.
const BODY_MAX: u64 = 1 << 50;

/// What is wrong with a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardError {
    /// A list that is no list of blocks and files.
    Entry(CidrError),
    /// A line of a file that is no block.
    Line(usize, CidrError),
    /// The file of a list cannot be read.
    File(String),
    /// More addresses than can be told apart.
    TooManyEntries,
    /// Neither a list of whom to allow nor one of whom to deny.
    NoList,
    /// No answer to who may not come.
    Refusal,
    /// No rate.
    Rate,
    /// Something that has no rate of its own.
    Per,
    /// `"route"` on a listener, or `"listener"` on a route.
    PerElsewhere(&'static str),
    /// No speed.
    Speed,
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(why) => write!(f, "this is no address block and no file: {why}"),
            Self::Line(line, why) => {
                write!(f, "line {line} of this file is no address block: {why}")
            }
            Self::File(why) => write!(f, "the addresses cannot be read: {why}"),
            Self::TooManyEntries => {
                write!(f, "there are more than {ENTRIES_MAX} addresses or {} MiB", FILE_MAX >> 20)
            }
            Self::NoList => f.write_str("nobody is allowed or denied here"),
            Self::Refusal => f.write_str("clients are refused by 403, by 404, or by \"drop\""),
            Self::Rate => f.write_str("this is no rate"),
            Self::Per => f.write_str("this has no rate of its own"),
            Self::PerElsewhere(word) => write!(f, "there is no {word} to count for here"),
            Self::Speed => f.write_str("this is no speed"),
        }
    }
}

impl GuardError {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Line(_, CidrError::HostBits(block)) => return format!("write \"{block}\""),
            Self::Entry(CidrError::Everybody) => {
                "write \"0.0.0.0/0\" and \"::/0\"; where there is an \"allow\", nobody else may come"
            }
            Self::Entry(why @ (CidrError::HostBits(_) | CidrError::Several)) => {
                return why.help().unwrap_or_default();
            }
            Self::Entry(_) => "as in \"10.0.0.0/8\", \"192.0.2.7\" or \"file:/etc/ringway/deny.txt\"",
            Self::Line(..) => "write an address or a block a line; a comment begins with #",
            Self::File(_) => "write the path of a file with an address or a block a line",
            Self::TooManyEntries => "join blocks that are next to one another",
            Self::NoList => "as in: access = { deny = [\"192.0.2.0/24\"] }",
            Self::Refusal => "write 403, 404 or \"drop\"",
            Self::Rate => "write a number from 1 to 1000000 and /s, /m or /h, as in \"100/s\"",
            Self::Per => {
                "write \"client\", \"client-net/24\", \"header:NAME\", \"cookie:NAME\", \"listener\" or \"route\""
            }
            Self::PerElsewhere("route") => "write \"listener\"",
            Self::PerElsewhere(_) => "write \"route\"",
            Self::Speed => "write a size and /s, as in \"1KiB/s\", or \"none\"",
        }
        .to_owned()
    }
}

fn bad(why: GuardError) -> Mistake {
    Mistake::BadGuard(why)
}

/// `access`; `None`: everybody may come.
pub(super) fn access(
    table: &Table<'_>,
    speaks: Speaks,
    findings: &mut Findings,
) -> Option<AccessConfig> {
    let fields = table.switch("access", findings)?;
    if speaks != Speaks::Http
        && let Some((key, value)) = fields.get("status")
    {
        let place = fields.place().clone();
        let mistake = Mistake::NotSpoken { key: key.name, place, speaks, instead: None };
        findings.add(span_of(value), mistake);
    }
    let mut blocks = Vec::new();
    let allow = list(&fields, "allow", Verdict::Allow, &mut blocks, findings);
    let deny = list(&fields, "deny", Verdict::Deny, &mut blocks, findings);
    if fields.get("allow").is_none() && fields.get("deny").is_none() {
        findings.add(fields.span, bad(GuardError::NoList));
    }
    if blocks.len() > ENTRIES_MAX {
        findings.add(fields.span, bad(GuardError::TooManyEntries));
    }
    Some(AccessConfig {
        allow,
        deny,
        refusal: refusal(&fields, findings),
        dry_run: fields.flag("dry_run", findings),
        set: Arc::new(AddressSet::new(blocks)),
    })
}

fn list(
    fields: &Table<'_>,
    name: &str,
    verdict: Verdict,
    blocks: &mut Vec<(Cidr, Verdict)>,
    findings: &mut Findings,
) -> Vec<AddressSource> {
    let mut sources = Vec::new();
    for text in fields.texts(name, true, findings).unwrap_or_default() {
        let Some(path) = text.value.strip_prefix("file:") else {
            match address::cidr(text.value) {
                Ok(block) => {
                    blocks.push((block, verdict));
                    sources.push(AddressSource::Block(block));
                }
                Err(why) => findings.add(text.span, bad(GuardError::Entry(why))),
            }
            continue;
        };
        let path = PathBuf::from(path);
        match findings.read(&path, FILE_MAX + 1).map(entries) {
            Some(Ok(found)) => blocks.extend(found.into_iter().map(|block| (block, verdict))),
            Some(Err(why)) => findings.add(text.span, bad(why)),
            None => {}
        }
        sources.push(AddressSource::File(path));
    }
    sources
}

fn refusal(fields: &Table<'_>, findings: &mut Findings) -> AccessRefusal {
    let Some((_, value)) = fields.get("status") else { return AccessRefusal::Forbidden };
    match (value.get_ref().as_str(), integer(value)) {
        (None, Some(403)) => AccessRefusal::Forbidden,
        (None, Some(404)) => AccessRefusal::NotFound,
        (Some("drop"), _) => AccessRefusal::Drop,
        _ => {
            findings.add(span_of(value), bad(GuardError::Refusal));
            AccessRefusal::Forbidden
        }
    }
}

/// `rate`: one or several; `of` is the section that one of them is.
pub(super) fn rates(table: &Table<'_>, of: Section, findings: &mut Findings) -> Vec<RateConfig> {
    let Some((key, value)) = table.get("rate") else { return Vec::new() };
    let items = match value.get_ref() {
        DeValue::Table(_) | DeValue::String(_) => std::slice::from_ref(value),
        DeValue::Array(items) if items.is_empty() => {
            findings.add(span_of(value), Mistake::EmptyList { key: key.name });
            return Vec::new();
        }
        DeValue::Array(items) => items,
        _ => {
            findings.add(span_of(value), wrong_type(key, value));
            return Vec::new();
        }
    };
    if let Some(item) = items.get(RATES_MAX) {
        findings.add(span_of(item), Mistake::TooMany { max: RATES_MAX });
    }
    let mut rates = Vec::new();
    for item in items.iter().take(RATES_MAX) {
        match item.get_ref() {
            DeValue::Table(fields) => {
                let fields = table.child(of, span_of(item), fields, findings);
                fields.required("rate", findings);
                let pace = fields.text("rate", findings).map(|text| read_pace(text, findings));
                rates.push(rate(&fields, pace.unwrap_or((1, SECOND)), of, findings));
            }
            DeValue::String(text) => {
                let pace = read_pace(At { value: text.as_ref(), span: span_of(item) }, findings);
                rates.push(rate(&table.nothing(of), pace, of, findings));
            }
            _ => findings.add(span_of(item), wrong_type(key, item)),
        }
    }
    rates
}

fn read_pace(text: At<&str>, findings: &mut Findings) -> (u64, Duration) {
    pace(text.value).unwrap_or_else(|| {
        findings.add(text.span, bad(GuardError::Rate));
        (1, SECOND)
    })
}

fn rate(
    fields: &Table<'_>,
    (count, period): (u64, Duration),
    of: Section,
    findings: &mut Findings,
) -> RateConfig {
    let burst =
        fields.get("burst").and_then(|(key, value)| number(key, value, 1, COUNT_MAX, findings));
    let status = fields.count("status", findings);
    let per = fields.text("per", findings).map(|text| (per(text.value), text.span));
    let per = match per {
        None => Per::CLIENT,
        Some((Some((per, word)), span)) => {
            let own = if of == Section::RouteRate { "route" } else { "listener" };
            if let Some(word) = word.filter(|word| *word != own) {
                findings.add(span, bad(GuardError::PerElsewhere(word)));
            }
            per
        }
        Some((None, span)) => {
            findings.add(span, bad(GuardError::Per));
            Per::CLIENT
        }
    };
    RateConfig {
        per,
        count,
        period,
        burst: burst.unwrap_or(count),
        delay: fields.choice("mode", findings) == 1,
        status: u16::try_from(status).unwrap_or(429),
        keys: fields.count("keys", findings),
        fields: fields.flag("fields", findings),
        dry_run: fields.flag("dry_run", findings),
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// `"100/s"`, `"60/m"`, `"1000/h"`.
fn pace(text: &str) -> Option<(u64, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let period = match unit {
        "s" => SECOND,
        "m" => SECOND * 60,
        "h" => SECOND * 3600,
        _ => return None,
    };
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let count = digits.then(|| count.parse::<u64>().ok()).flatten()?;
    (1..=COUNT_MAX).contains(&count).then_some((count, period))
}

/// What a rate is of, and the word for all of them, if it is that.
fn per(text: &str) -> Option<(Per, Option<&'static str>)> {
    let plain = match text {
        "client" => Per::CLIENT,
        "listener" => return Some((Per::All, Some("listener"))),
        "route" => return Some((Per::All, Some("route"))),
        _ => match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Per::Header(name.to_ascii_lowercase()),
            Some(("cookie", name)) if is_token(name) => Per::Cookie(name.to_owned()),
            _ => net(text)?,
        },
    };
    Some((plain, None))
}

/// `client-net/24` or `client-net/24/56`.
fn net(text: &str) -> Option<Per> {
    let mut bits = text.strip_prefix("client-net/")?.split('/');
    let read = |text: &str, most: u8| {
        let bits = text.parse::<u8>().ok()?;
        (text.bytes().all(|b| b.is_ascii_digit()) && (1..=most).contains(&bits)).then_some(bits)
    };
    let four = read(bits.next()?, 32)?;
    let six = bits.next().map_or(Some(Per::CLIENT_SIX), |text| read(text, 128))?;
    bits.next().is_none().then_some(Per::Client { four, six })
}

/// `limits` of a route.
pub(super) fn route_limits(table: &Table<'_>, findings: &mut Findings) -> RouteLimits {
    let limits = table.table("limits", findings);
    let body = limits.get("body").and_then(|(key, value)| {
        let size = match value.get_ref() {
            DeValue::String(word) if word == "none" => return Some(BodyLimit::None),
            DeValue::String(text) => scalar::size(text).map_err(Mistake::BadSize),
            DeValue::Integer(_) => Ok(integer(value).unwrap_or(u64::MAX)),
            _ => Err(wrong_type(key, value)),
        };
        let (min, max) = ("0B".to_owned(), show_size(BODY_MAX));
        let beyond = Mistake::OutOfBounds { key: key.name, min, max };
        match size.and_then(|size| if size > BODY_MAX { Err(beyond) } else { Ok(size) }) {
            Ok(size) => Some(BodyLimit::Bytes(size)),
            Err(mistake) => {
                findings.add(span_of(value), mistake);
                None
            }
        }
    });
    RouteLimits { body }
}

/// `min_rate`: bytes a second; `None`: as slow as the timeouts allow.
pub(super) fn min_rate(limits: &Table<'_>, findings: &mut Findings) -> Option<u32> {
    let At { value, span } = limits.text("min_rate", findings)?;
    if value == "none" {
        return None;
    }
    let size = value.strip_suffix("/s").and_then(|size| scalar::size(size).ok());
    let speed = size.filter(|size| (1..=SPEED_MAX).contains(size));
    if speed.is_none() {
        findings.add(span, bad(GuardError::Speed));
    }
    speed.and_then(|speed| u32::try_from(speed).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_whose_they_are() {
        let minute = SECOND * 60;
        for (text, expected) in [
            ("100/s", Some((100, SECOND))),
            ("60/m", Some((60, minute))),
            ("1000000/h", Some((1_000_000, minute * 60))),
            ("0/s", None),
            ("1000001/s", None),
            ("+1/s", None),
            ("1/d", None),
            ("1 /s", None),
            ("/s", None),
            ("10", None),
        ] {
            assert_eq!(pace(text), expected, "{text}");
        }
        let client = |four, six| Some((Per::Client { four, six }, None));
        for (text, expected) in [
            ("client", client(32, 64)),
            ("client-net/24", client(24, 64)),
            ("client-net/24/48", client(24, 48)),
            ("client-net/33", None),
            ("client-net/0", None),
            ("client-net/+8", None),
            ("client-net/24/48/1", None),
            ("header:X-Api-Key", Some((Per::Header("x-api-key".to_owned()), None))),
            ("cookie:Sid", Some((Per::Cookie("Sid".to_owned()), None))),
            ("header:", None),
            ("cookie:a b", None),
            ("route", Some((Per::All, Some("route")))),
            ("listener", Some((Per::All, Some("listener")))),
            ("clients", None),
        ] {
            assert_eq!(per(text), expected, "{text}");
        }
    }
}
