//! End to end: the real binary between byte-level clients and origins, one file per feature.
//!
//! `RINGWAY_TEST_DRIVER=epoll cargo test --test e2e` runs the same on the other driver.
// These are tests: they may panic, block, lock and read the clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../support/mod.rs"]
mod support;

mod basic;
mod early_answer;
mod framing_and_smuggling;
mod interim;
mod response_splitting;
mod streaming;
mod upgrade;
