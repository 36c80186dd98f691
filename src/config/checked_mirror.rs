//! `mirror = {...}` of a route: copies of its requests for a second pool.

use crate::ids::PoolId;

/// `mirror = {...}` of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// Who gets the copies.
    pub pool: PoolId,
    /// Of so many requests in a hundred. Default all.
    pub share: u8,
    /// Requests with more of a body are not copied. Default 64 KiB.
    pub body: usize,
}
