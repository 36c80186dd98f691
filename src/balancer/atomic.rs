//! The atomics of slots and queue, and of the tables of guards. Under test each operation is a point at which
//! `interleave.rs` may let another thread go on, so that all interleavings of the real code are run.

#[cfg(not(test))]
pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::atomic::Ordering;

#[cfg(test)]
pub(crate) use super::interleave::AtomicU64;
