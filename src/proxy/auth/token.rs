//! Signed tokens (RFC 7515, RFC 7519): read, verified, and what members get to know of them. Pure: the
//! caller says what time it is.

use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::keys::KeySet;
use crate::config::{Algorithm, JwtConfig};
use crate::http::base64;
use crate::stats::Reason;

/// Bytes of a token.
const TOKEN_MOST: usize = 16 << 10;

/// Bytes of a claim that members get.
const VALUE_MOST: usize = 4096;

/// The last second that is reckoned with: the year 9999.
const LAST: f64 = 253_402_300_799.0;

/// A token that is good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// When it runs out, leeway included; since the Unix epoch.
    pub(super) until: Duration,
    /// Whole field lines for members.
    pub(super) fields: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

/// The parts of a token.
struct Parts<'a> {
    /// What the signature is for.
    signed: &'a [u8],
    header: Header,
    /// Not decoded yet.
    claims: &'a [u8],
    signature: Vec<u8>,
}

/// Cuts a text that has the form of a token.
fn cut(text: &[u8]) -> Option<Parts<'_>> {
    if text.len() > TOKEN_MOST {
        return None;
    }
    let mut parts = text.split(|byte| *byte == b'.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let signed = text.get(..header.len() + 1 + claims.len())?;
    let header: Header = serde_json::from_slice(&base64::url(header)?).ok()?;
    // Extensions that must be understood, and are not (RFC 7515 section 4.1.11, RFC 7797).
    if header.crit.is_some() || header.b64.is_some() {
        return None;
    }
    Some(Parts { signed, header, claims, signature: base64::url(signature)? })
}

/// Verifies a token at `now`, a time since the Unix epoch.
pub(super) fn verify(
    text: &[u8],
    keys: &KeySet,
    config: &JwtConfig,
    now: Duration,
) -> Result<Verified, Reason> {
    let Parts { signed, header, claims, signature } = cut(text).ok_or(Reason::AuthToken)?;
    let algorithm = Algorithm::named(&header.alg).filter(|one| config.algorithms.contains(one));
    let algorithm = algorithm.ok_or(Reason::AuthAlgorithm)?;
    match keys.verify(algorithm, header.kid.as_deref(), signed, &signature) {
        Some(true) => {}
        Some(false) => return Err(Reason::AuthSignature),
        None => return Err(Reason::AuthUnknownKey),
    }
    // Nothing of it is believed before this.
    let claims = base64::url(claims).ok_or(Reason::AuthToken)?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| Reason::AuthToken)?;
    let until = times(&claims, config.leeway, now)?;
    parties(&claims, config)?;
    let mut fields = Vec::new();
    for (claim, name) in &config.claims {
        let value = find(&claims, claim).map_or(Ok(None), shown)?;
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            crate::http::encode::field(&mut fields, name.as_bytes(), value.as_bytes());
        }
    }
    Ok(Verified { until, fields })
}

/// A moment, in seconds since the Unix epoch; `None`: absent.
fn moment(claims: &Value, name: &str) -> Result<Option<Duration>, Reason> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds));
    seconds.map(|seconds| Some(Duration::from_secs_f64(seconds))).ok_or(Reason::AuthToken)
}

fn times(claims: &Value, leeway: Duration, now: Duration) -> Result<Duration, Reason> {
    let until = moment(claims, "exp")?.ok_or(Reason::AuthExpired)?.saturating_add(leeway);
    if now >= until {
        return Err(Reason::AuthExpired);
    }
    for name in ["nbf", "iat"] {
        if moment(claims, name)?.is_some_and(|from| from > now.saturating_add(leeway)) {
            return Err(Reason::AuthEarly);
        }
    }
    Ok(until)
}

fn parties(claims: &Value, config: &JwtConfig) -> Result<(), Reason> {
    let is_among = |list: &[String], value: &Value| {
        value.as_str().is_some_and(|text| list.iter().any(|one| one == text))
    };
    let issuer = claims.get("iss");
    if !config.issuers.is_empty() && !issuer.is_some_and(|text| is_among(&config.issuers, text)) {
        return Err(Reason::AuthIssuer);
    }
    let good = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(|one| is_among(&config.audiences, one)),
        Some(one) => is_among(&config.audiences, one),
        None => false,
    };
    if config.audiences.is_empty() || good { Ok(()) } else { Err(Reason::AuthAudience) }
}

/// A claim by its name; or, where there is none, by the names of the objects that it stands in.
fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |within, name| within.get(name)))
}

/// A claim as the value of a field; `None`: it is nothing that has one. A text that would lose
/// something on the way, or have something added, is refused with its token.
fn shown(value: &Value) -> Result<Option<String>, Reason> {
    let mut out = String::new();
    match value {
        Value::Array(list) => {
            for (index, one) in list.iter().enumerate() {
                let Some(text) = plain(one) else { return Ok(None) };
                out.push_str(if index > 0 { "," } else { "" });
                for c in text.chars() {
                    match c {
                        // Writing to a text cannot fail.
                        ',' | '%' => _ = write!(out, "%{:02X}", u32::from(c)),
                        _ => out.push(c),
                    }
                }
            }
        }
        one => match plain(one) {
            Some(text) => out = text,
            None => return Ok(None),
        },
    }
    if out.len() > VALUE_MOST || out.chars().any(char::is_control) || out.trim() != out {
        return Err(Reason::AuthToken);
    }
    Ok(Some(out))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What holds for every text, for the fuzz target `token`.
#[allow(clippy::missing_panics_doc)]
pub(super) fn fuzz(data: &[u8]) {
    if let Some(Parts { signed, header, claims, .. }) = cut(data) {
        assert!(data.starts_with(signed) && signed.ends_with(claims), "the signed part");
        assert!(header.crit.is_none(), "critical extensions");
    }
    if let Ok(claims) = serde_json::from_slice::<Value>(data)
        && let Ok(Some(text)) = find(&claims, "a.b").map_or(Ok(None), shown)
    {
        assert!(!text.contains(['\r', '\n', '\0']) && text.len() <= VALUE_MOST, "{text:?}");
    }
}
