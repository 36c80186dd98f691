//! Configuration: TOML text → `document` (as written, with spans) → `checked` (immutable).
//!
//! Owns names, defaults, bounds and messages. Must not know run-time state.

mod checked;

pub use checked::*;
