//! The reverse-proxy hat: what is done to a request because it was terminated here.
//!
//! Must not know how a member is chosen.

pub mod route;
