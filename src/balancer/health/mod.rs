//! Whether members are fit to serve: pure state machines over what probes, requests and operators
//! say. Time is a parameter.
//!
//! [`Health`] is what probes tell, [`Passive`] what real requests tell, [`Admin`] what the operator
//! wants; [`Member`] combines the three into one standing, and [`PoolHealth`] keeps the rules that need
//! the whole pool and is the only writer of its `Availability`. Owned by the control thread. Must
//! not know how a probe is made, nor who reports.

mod evidence;
mod member;
mod outliers;
mod passive;
mod pool;
mod state;
mod transition;
mod words;

pub use evidence::{Evidence, ProbeFailure, ProbeResult, Seen, What};
pub use member::{Admin, Member};
pub use passive::{Passive, PassiveState, Verdict};
pub use pool::PoolHealth;
pub use state::{Health, HealthState};
pub use transition::{Cause, Phase, Transition};
