//! The reverse-proxy hat: what is done to a request because we terminated its connection.
//!
//! [`serve`] is a client's connection from accept to close; `exchange` is one request and its
//! answer, top to bottom. Must not know how a member is chosen.

pub mod access_log;
mod answer;
mod body;
mod cache;
mod compress;
mod connection;
mod context;
mod deliver;
pub mod encoder;
mod exchange;
mod filtered;
mod flows;
mod forwarded;
mod greeting;
mod guard;
mod guards;
mod handover;
mod hash_key;
mod keyed;
mod passthrough;
mod patience;
mod rate;
mod reasons;
mod redirect;
mod reject;
mod relay;
mod replay;
mod request;
mod response;
pub mod route;
mod seats;
mod serve;
mod sticky;
mod tunnel;
mod upload;

pub use cache::{CacheHand, Selector, SharedCache, Verdict};
pub use connection::{DRAIN_PATIENCE, serve};
pub use context::{Context, Neighbours, Place};
pub use flows::Flows;
pub use guards::{Decision, Guards, Post};
pub use handover::{Give, Moved, Newcomer, Origin, pass_on};
#[doc(hidden)]
pub use rate::Workbench;
pub use relay::relay;
