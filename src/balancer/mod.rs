//! The load-balancer hat: how a member is picked and reached.
//!
//! [`Pools::lease`] is the one door: it picks a member by the pool's algorithm and counts the
//! exchange as in flight there; [`Lease::reuse`] and [`Lease::dial`] reach it, on a kept-alive connection if there
//! is one. Must not know requests: it sees a pool, and which members were tried already.

mod availability;
mod inflight;
mod keepalive;
mod latency;
mod lease;
mod outcome;
mod pool;
mod selection;
mod tried;

pub use availability::{Availability, Standing};
pub use inflight::InFlight;
pub use latency::{Latency, LatencyView, SharedLatency};
pub use lease::{Connection, Lease};
pub use outcome::{Fault, Observation, Outcome};
pub use pool::{Pools, SharedPools};
#[doc(hidden)]
pub use selection::Workbench;
pub use selection::hash_key;
pub use tried::Tried;
