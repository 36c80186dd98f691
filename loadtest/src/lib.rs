//! Load tester and test origin for ringway: both ends of a measurement, independent of the proxy.
//!
//! Shares no code with the `ringway` crate, so that a mistake in its parsers cannot hide itself.
//! Modules are listed bottom-up; each knows only those above it.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod cpu;
pub mod rng;
pub mod runtime;
pub mod units;

pub mod timer;
pub mod tls;
pub mod wire;

pub mod body;
pub mod head;

pub mod origin;

pub mod failure;
pub mod request;
pub mod schedule;
pub mod slots;

pub mod plan;
pub mod tally;

mod dial;
mod h1;
mod worker;

pub mod load;

pub mod report;

pub mod compare;

pub mod cli;

pub mod capacity;
pub mod scenario;
