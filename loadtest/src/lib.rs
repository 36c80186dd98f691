//! Load tester and test origin for ringway: both ends of a measurement, independent of the proxy.
//!
//! Shares no code with the `ringway` crate, so that a mistake in its parsers cannot hide itself.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod runtime;

pub mod body;
pub mod head;
pub mod wire;

pub mod origin;

pub mod client;
pub mod report;
