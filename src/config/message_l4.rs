//! The words for mistakes of listeners below HTTP.

use std::fmt;

use super::check_l4::{Speaks, Unfit};
use super::error::Mistake;

impl Mistake {
    /// What is wrong.
    pub(super) fn fmt_l4(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSpoken { key, place, speaks: Speaks::Http, .. } => {
                write!(f, "{key:?} means nothing in {place}, whose clients speak HTTP")
            }
            Self::NotSpoken { key, place, speaks, .. } => {
                let word = speaks.word();
                write!(
                    f,
                    "{key:?} means nothing in {place}: it relays {word} and reads no requests"
                )
            }
            Self::NoRequests { speaks } => {
                write!(f, "this listener relays {} and has no requests to route", speaks.word())
            }
            Self::NoSuchHash { pool, speaks } => write!(
                f,
                "the pool {pool:?} hashes a part of requests, and this listener relays {}",
                speaks.word()
            ),
            Self::UnfitPool { pool, speaks, unfit } => {
                let why = match unfit {
                    Unfit::Tls => "has \"tls\"",
                    Unfit::Unix => "has members at Unix sockets",
                    Unfit::Sticky => "is \"sticky\", which needs cookies",
                };
                write!(f, "the pool {pool:?} {why}, and this listener relays {}", speaks.word())
            }
            Self::NoAnnouncement { pool } => write!(
                f,
                "the pool {pool:?} has \"proxy_protocol\", which announces connections, and these are \
                 datagrams"
            ),
            _ => Ok(()),
        }
    }

    /// What to do about it, if there is something to say.
    pub(super) fn help_l4(&self) -> Option<String> {
        Some(match self {
            Self::NotSpoken { instead: Some(instead), .. } => format!("use {instead:?}"),
            Self::NotSpoken { key: "pool", speaks: Speaks::Http, .. } => {
                "a route says which pool gets its requests; or write protocol = \"tcp\"".to_owned()
            }
            Self::NotSpoken { key: "passthrough" | "passthrough_default", .. } => {
                "leave out \"protocol\": it is for listeners whose clients speak TLS".to_owned()
            }
            Self::NotSpoken { .. } => "leave it out".to_owned(),
            Self::NoRequests { speaks: Speaks::Passthrough } => {
                "its passthrough names the pools of its connections".to_owned()
            }
            Self::NoRequests { .. } => "its own \"pool\" says where they go".to_owned(),
            Self::NoSuchHash { .. } => {
                "write balance = { hash = \"client-ip\" }, or use another pool".to_owned()
            }
            Self::NoAnnouncement { .. } | Self::UnfitPool { .. } => "use another pool".to_owned(),
            _ => return None,
        })
    }
}
