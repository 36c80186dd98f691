//! The words for mistakes of how members are chosen, watched and tried again.

use std::fmt;

use super::check_balance::HashKeyError;
use super::check_health::FieldError;
use super::error::Mistake;
use super::message::did_you_mean;
use super::scalar::{ScalarError, show_duration as time};
use super::status::StatusError;

impl Mistake {
    /// What is wrong.
    pub(super) fn fmt_pool(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyBackups => f.write_str("every member of this pool is a backup"),
            Self::OnePlace => f.write_str("only what is resolved may have several addresses"),
            Self::BareHash => f.write_str("\"hash\" needs to be told what to hash"),
            Self::BadHashKey(HashKeyError::Unknown(_)) => f.write_str("this cannot be hashed"),
            Self::BadHashKey(HashKeyError::NoName(kind)) => {
                write!(f, "a name is missing after {kind:?}")
            }
            Self::BadHashKey(HashKeyError::BadName("header:")) => {
                f.write_str("no header has this name")
            }
            Self::BadHashKey(HashKeyError::BadName("cookie:")) => {
                f.write_str("no cookie has this name")
            }
            Self::BadHashKey(HashKeyError::BadName(_)) => {
                f.write_str("no parameter of a query has this name")
            }
            Self::BadSticky(why) => write!(f, "{why}"),
            Self::BadCache(why) => write!(f, "{why}"),
            Self::BadBuffer(why) => write!(f, "{why}"),
            Self::BadGuard(why) => write!(f, "{why}"),
            Self::BadPercent { why: ScalarError::Fraction, .. } => {
                f.write_str("this is no share: fractions are not understood")
            }
            Self::BadPercent { why, .. } => write!(f, "this is no share: {why}"),
            Self::BadStatus(why) => write!(f, "{why}"),
            Self::BadFailure { word, .. } => write!(f, "{word:?} is no failure of a member"),
            Self::TcpProbe { key } => {
                write!(f, "{key:?} is for probes of the type \"http\"; these are of \"tcp\"")
            }
            Self::ProbeTimeout { timeout, interval } => write!(
                f,
                "a probe would not end before the next: the timeout, {}, must be shorter than the \
                 interval, {}",
                time(*timeout),
                time(*interval)
            ),
            Self::BadProbePath => f.write_str("this cannot be requested"),
            Self::BadProbeHost => f.write_str("this cannot be sent as Host"),
            Self::BadField(FieldError::Name) => f.write_str("no field has this name"),
            Self::BadField(FieldError::Value) => {
                f.write_str("a field's value has no control characters and no space at its ends")
            }
            Self::BadField(FieldError::Host) => f.write_str("Host has a key of its own"),
            Self::BadField(FieldError::Own) => {
                f.write_str("probes write this field themselves, or do without")
            }
            Self::BodyOfHead => f.write_str("an answer to HEAD has no body to find this in"),
            Self::UselessQueue => f.write_str(
                "no request waits here: neither the pool nor a member has \"max_connections\"",
            ),
            Self::UselessTryTimeout => {
                f.write_str("no attempt ends by this: \"timeout\" is not in \"on\"")
            }
            tls => tls.fmt_tls(f),
        }
    }

    /// What to do about it, if there is something to say.
    pub(super) fn help_pool(&self) -> Option<String> {
        let help = match self {
            Self::OnlyBackups => "leave out backup = true where it is not meant",
            Self::OnePlace => "leave it out, or write a name as the address",
            Self::BareHash => "write balance = { hash = \"client-ip\" }",
            Self::BadHashKey(HashKeyError::Unknown(Some(nearest))) => {
                return Some(did_you_mean(nearest));
            }
            Self::BadHashKey(HashKeyError::Unknown(None)) => {
                "write \"client-ip\", \"path\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\""
            }
            Self::BadHashKey(HashKeyError::NoName(kind)) => {
                let name = if *kind == "header:" { "X-User" } else { "user" };
                return Some(format!("as in \"{kind}{name}\""));
            }
            Self::BadSticky(why) => why.help(),
            Self::BadCache(why) => return Some(why.help()),
            Self::BadBuffer(why) => why.help(),
            Self::BadGuard(why) => return Some(why.help()),
            Self::BadPercent { number: Some(n), .. } => return Some(format!("write \"{n}%\"")),
            Self::BadPercent { why: ScalarError::Fraction, .. } => "write whole percents",
            Self::BadPercent { .. } => "write a number and %, as in \"20%\"",
            Self::BadStatus(StatusError::Class(class)) => {
                return Some(format!("write \"{class}00-{class}99\""));
            }
            Self::BadStatus(StatusError::NotOne) => "write three digits, as in 503",
            Self::BadFailure { nearest: Some(nearest), .. } => return Some(did_you_mean(nearest)),
            Self::BadFailure { .. } => {
                "write \"connect\", \"reset\", \"timeout\", \"bad-answer\" or a status, as in 503"
            }
            Self::TcpProbe { .. } => "leave it out, or write type = \"http\"",
            Self::ProbeTimeout { interval, .. } => {
                return Some(format!("as in: timeout = \"{}\"", time(*interval / 2)));
            }
            Self::BadProbePath => "write a path, as in \"/healthz\" or \"/healthz?deep=1\"",
            Self::BadProbeHost => "write a host with or without a port",
            Self::BadField(FieldError::Host) => "as in: host = \"shop.example.com\"",
            Self::BodyOfHead => "leave out one of the two",
            Self::UselessQueue => {
                "give the pool or its members one, as in: { address = \"10.0.1.11:8080\", max_connections = 200 }"
            }
            Self::UselessTryTimeout => "add \"timeout\" to \"on\", or leave this out",
            tls => return tls.help_tls(),
        };
        Some(help.to_owned())
    }
}
