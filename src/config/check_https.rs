//! `redirect_https` and `hsts` of a listener: getting clients to use TLS.

use std::time::Duration;

use toml::de::DeValue;

use super::checked::HstsConfig;
use super::document::{Findings, Table, integer, not_a_choice, span_of, wrong_type};
use super::error::Mistake;
use super::keys::Section;
use super::scalar;

/// Ages up to ten years.
const AGE_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// The port that clients are sent to.
pub(super) fn redirect(table: &Table<'_>, findings: &mut Findings) -> Option<u16> {
    let (key, value) = table.get("redirect_https")?;
    let port = match value.get_ref() {
        DeValue::String(word) if word == "off" => return None,
        DeValue::String(text) if text.parse::<u16>().is_ok() => Err(Mistake::BadRedirect),
        DeValue::String(word) => Err(not_a_choice(key, word, &["off"])),
        DeValue::Boolean(true) => Ok(443),
        DeValue::Boolean(false) => return None,
        DeValue::Integer(_) => match integer(value).and_then(|port| u16::try_from(port).ok()) {
            // Others take a status here.
            Some(status @ (301 | 302 | 303 | 307 | 308)) => Err(Mistake::RedirectStatus(status)),
            Some(port @ 1..) => Ok(port),
            _ => Err(Mistake::BadRedirect),
        },
        _ => Err(wrong_type(key, value)),
    };
    match port {
        Ok(port) => {
            if has_tls(table) {
                findings.add(span_of(value), Mistake::RedirectOnTls);
            }
            Some(port)
        }
        Err(mistake) => {
            findings.add(span_of(value), mistake);
            None
        }
    }
}

fn has_tls(table: &Table<'_>) -> bool {
    table.get("tls").is_some_and(|(_, value)| value.get_ref().as_str() != Some("off"))
}

/// What clients are told.
pub(super) fn hsts(table: &Table<'_>, findings: &mut Findings) -> Option<HstsConfig> {
    let (key, value) = table.get("hsts")?;
    let config = match value.get_ref() {
        DeValue::String(word) if word == "off" => return None,
        DeValue::String(text) => {
            let Some(max_age) = age(text) else {
                findings.add(span_of(value), Mistake::BadAge);
                return None;
            };
            HstsConfig { max_age, subdomains: false, preload: false }
        }
        DeValue::Table(fields) => {
            let fields = table.child(Section::Hsts, span_of(value), fields, findings);
            fields.required("max_age", findings)?;
            let text = fields.text("max_age", findings)?;
            let max_age = age(text.value).unwrap_or_else(|| {
                findings.add(text.span, Mistake::BadAge);
                Duration::ZERO
            });
            HstsConfig {
                max_age,
                subdomains: fields.flag("subdomains", findings),
                preload: fields.flag("preload", findings),
            }
        }
        _ => {
            findings.add(span_of(value), wrong_type(key, value));
            return None;
        }
    };
    if !has_tls(table) {
        findings.add(span_of(value), Mistake::NeedsTls { key: key.name });
    }
    Some(config)
}

/// In whole seconds: a duration, or a number of days.
fn age(text: &str) -> Option<Duration> {
    let days = || {
        let days = text.strip_suffix('d')?.parse::<u64>().ok()?;
        days.checked_mul(86_400).map(Duration::from_secs)
    };
    let age = days().or_else(|| scalar::duration(text).ok())?;
    (age <= AGE_MAX && age.subsec_nanos() == 0).then_some(age)
}
