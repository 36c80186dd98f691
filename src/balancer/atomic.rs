//! The atomics of slots and queue. Under test each operation is a point at which
//! `interleave.rs` may let another thread go on, so that all interleavings of the real code are run.

#[cfg(not(test))]
pub(super) use std::sync::atomic::AtomicU64;
pub(super) use std::sync::atomic::Ordering;

#[cfg(test)]
pub(super) use super::interleave::AtomicU64;
