//! Which pool of a split a request goes to. The same key goes to the same pool on every core and
//! host, and as the first pools' shares shrink, none but theirs move. Where that pool has no member that
//! may serve, the next one has.

use std::net::IpAddr;

use super::context::Context;
use super::hash_key;
use crate::config::{Action, SplitBy, SplitConfig};
use crate::http::RequestHead;
use crate::ids::PoolId;
use crate::rng::mix;
use crate::stats::Counter;

/// Keeps the choice of a pool apart from that of a member by the same key.
const SALT: u64 = 0x7c5b_1f6e_93d2_0a48;

pub(super) fn pool(
    split: &SplitConfig,
    context: &Context,
    client: IpAddr,
    head: &RequestHead,
) -> Option<PoolId> {
    let point = match &split.by {
        SplitBy::Request => context.chance(),
        SplitBy::Key(key) => mix(hash_key::of_key(head, client, key) ^ SALT),
    };
    let own = at(&split.parts, point)?;
    let pools = &context.pools;
    if !split.falls || pools.serves(own) {
        return Some(own);
    }
    let other = next(&split.parts, own, |pool| pools.serves(pool));
    context.row.add(Counter::SplitFallbacks, u64::from(other.is_some()));
    other.or(Some(own))
}

/// The first pool behind `own` in the list, which goes round, that has a weight and serves.
fn next(parts: &[(PoolId, u32)], own: PoolId, serves: impl Fn(PoolId) -> bool) -> Option<PoolId> {
    let at = parts.iter().position(|(pool, _)| *pool == own)?;
    let others = parts.iter().cycle().skip(at + 1).take(parts.len() - 1);
    others.filter(|(_, weight)| *weight > 0).map(|(pool, _)| *pool).find(|pool| serves(*pool))
}

/// The pool at a point of the whole, which is all 64 bits wide.
fn at(parts: &[(PoolId, u32)], point: u64) -> Option<PoolId> {
    let whole: u64 = parts.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = ((u128::from(point) * u128::from(whole)) >> 64) as u64;
    let found = parts.iter().find(|(_, weight)| {
        let here = left < u64::from(*weight);
        left = left.saturating_sub(u64::from(*weight));
        here
    });
    found.map(|(pool, _)| *pool)
}

/// The pool that a request of `client` goes to, if it goes to members.
pub(super) fn pool_of(
    action: &Action,
    context: &Context,
    client: IpAddr,
    head: &RequestHead,
) -> Option<PoolId> {
    match action {
        Action::Pool(pool) => Some(*pool),
        Action::Split(split) => pool(split, context, client, head),
        Action::Redirect(_) | Action::Respond(_) | Action::Probe(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(weights: &[u32]) -> Vec<u64> {
        let parts: Vec<_> = (0..).map(PoolId).zip(weights.iter().copied()).collect();
        let mut counts = vec![0; weights.len()];
        for point in 0..10_000u64 {
            counts[at(&parts, mix(point)).unwrap().index()] += 1;
        }
        counts
    }

    #[test]
    fn shares_are_as_the_weights() {
        let counts = shares(&[95, 5]);
        assert!((400..600).contains(&counts[1]), "{counts:?}");
        assert_eq!(shares(&[0, 1, 0]), [0, 10_000, 0]);
        assert_eq!(at(&[(PoolId(0), u32::MAX), (PoolId(1), u32::MAX)], u64::MAX), Some(PoolId(1)));
        assert_eq!(at(&[(PoolId(0), 3)], 0), Some(PoolId(0)));
        assert_eq!(at(&[], 0), None);
    }

    #[test]
    fn the_next_one_that_serves_takes_over() {
        let parts: Vec<_> = (0..5).map(PoolId).zip([1, 0, 1, 1, 1]).collect();
        for (own, serving, expected) in [
            (0, &[0, 1, 2, 3, 4][..], Some(2)),
            (2, &[0, 4], Some(4)),
            (4, &[1, 3], Some(3)),
            (3, &[0], Some(0)),
            (3, &[1, 3], None),
        ] {
            let found = next(&parts, PoolId(own), |pool| serving.contains(&pool.0));
            assert_eq!(found, expected.map(PoolId), "{own} {serving:?}");
        }
        assert_eq!(next(&parts[..1], PoolId(0), |_| true), None);
    }

    #[test]
    fn who_is_in_the_canary_stays_there_while_it_grows() {
        let of = |weight: u32| [(PoolId(0), 100 - weight), (PoolId(1), weight)];
        for point in (0..10_000).map(mix) {
            let before = at(&of(5), point).unwrap();
            let after = at(&of(10), point).unwrap();
            assert!(before == after || before == PoolId(0), "{point}");
        }
    }
}
