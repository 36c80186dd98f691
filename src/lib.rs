//! ringway: an io_uring, thread-per-core HTTP reverse proxy and load balancer.
//!
//! The order of the modules below is the architecture: a module may use those above it, never one
//! below. `tests/tidy.rs` enforces it; ARCHITECTURE.md explains it.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod clock;
pub mod ids;
pub mod rng;

pub mod wire;

pub mod http;

pub mod config;

pub mod stats;

pub mod net;

pub mod balancer;

pub mod proxy;

pub mod control;

pub mod server;
