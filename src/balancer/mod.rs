//! The load-balancer hat: how a member is picked and reached.
//!
//! [`Pools::lease`] is the one door: it picks a member by the pool's algorithm and counts the
//! exchange as in flight there; [`Lease::reuse`] and [`Lease::dial`] reach it, on a kept-alive connection if there
//! is one. Must not know requests: it sees a pool, and which members were tried already.

pub(crate) mod atomic;
mod availability;
mod figures;
pub mod health;
mod idle;
mod inflight;
#[cfg(test)]
pub(crate) mod interleave;
mod keepalive;
mod latency;
mod lease;
mod membership;
mod observer;
mod outcome;
mod places;
mod pool;
mod pools;
mod queue;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod queue_worlds;
mod records;
mod retry;
mod roster;
mod seating;
mod selection;
mod shared;
#[cfg(test)]
mod simulation;
mod slots;
mod staying;
mod sticky;
mod tried;
mod waiting;

pub use availability::{Availability, Standing};
pub use figures::{MemberFigures, PoolFigures};
pub use inflight::InFlight;
pub use lease::{Connection, Lease};
pub use membership::{Membership, Site};
pub use observer::{Observations, Observer, observer};
pub use outcome::{Fault, Observation, Outcome};
pub use places::{Changes, Found, Places};
pub use pools::{LeaseError, Pools};
pub use queue::{Look, Queue, QueueRefusal, Ring};
pub use records::{Count, Records};
pub use retry::{Attempted, Refusal};
#[doc(hidden)]
pub use selection::Workbench;
pub use selection::hash_key;
pub use shared::SharedPools;
pub use slots::{Slots, Taking};
pub use staying::Wish;
pub use sticky::Sticky;
pub use tried::Tried;
pub use waiting::Waiting;
