//! The reverse-proxy hat: what is done to a request because we terminated its connection.
//!
//! [`serve`] is a client's connection from accept to close; `exchange` is one request and its
//! answer, top to bottom. Must not know how a member is chosen.

pub mod access_log;
mod answer;
pub mod auth;
mod body;
mod buffering;
mod cache;
mod call;
mod compress;
pub mod conditions;
mod connection;
mod context;
mod cors;
mod deliver;
mod demands;
pub mod encoder;
mod error_page;
mod exchange;
mod fields;
mod filtered;
mod fixed;
mod flows;
mod forwarded;
mod greeting;
mod guard;
mod guards;
mod handover;
mod hash_key;
mod keyed;
mod known;
mod location;
mod mirror;
mod named;
mod passthrough;
mod path_edit;
mod patience;
mod prefixes;
mod rate;
mod reasons;
mod redirect;
mod regexes;
mod reject;
mod relay;
mod replay;
mod request;
mod response;
pub mod route;
mod seats;
mod serve;
mod split;
mod sticky;
mod tunnel;
mod upload;
mod workbench;

pub use buffering::{BufferHand, SharedBuffers};
#[doc(hidden)]
pub use cache::fuzz_cache_file;
pub use cache::{
    CacheHand, DiskFolder, DiskSeat, FolderError, Selector, SharedCache, Verdict, serve_disk,
};
pub use connection::{DRAIN_PATIENCE, serve};
pub use context::{Context, Neighbours, Place};
pub use flows::Flows;
pub use guards::{AddressLists, Decision, Guards, Post};
pub use handover::{Give, Moved, Newcomer, Origin, pass_on};
#[doc(hidden)]
pub use rate::Workbench;
pub use relay::relay;
pub use workbench::HeadBench;
