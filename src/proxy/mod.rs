//! The reverse-proxy hat: what is done to a request because we terminated its connection.
//!
//! [`serve`] is a client's connection from accept to close; `exchange` is one request and its
//! answer, top to bottom. Must not know how a member is chosen.

pub mod access_log;
mod answer;
mod body;
mod cache;
mod connection;
mod context;
mod deliver;
mod exchange;
mod filtered;
mod flows;
mod forwarded;
mod greeting;
mod handover;
mod hash_key;
mod passthrough;
mod patience;
mod reasons;
mod redirect;
mod reject;
mod relay;
mod replay;
mod request;
mod response;
pub mod route;
mod serve;
mod sticky;
mod tunnel;
mod upload;

pub use cache::{CacheHand, Selector, SharedCache, Verdict};
pub use connection::{DRAIN_PATIENCE, serve};
pub use context::{Context, Neighbours, Place};
pub use flows::Flows;
pub use handover::{Give, Moved, Newcomer, Origin, pass_on};
pub use relay::relay;
