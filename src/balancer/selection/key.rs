//! The hash of a request's key. Part of the contract between hosts: two that run different versions
//! of ringway must send the same key to the same member, so its values never change.

use crate::rng::mix;

const SEED: u64 = 0x7269_6E67_7761_7931;
const BLOCK: usize = 8;

/// The 64-bit hash of `bytes` by which hashing pools choose: blocks of 8 bytes, little-endian, the
/// last one padded with zeros, each mixed in by splitmix64's finaliser, and the length at the end.
///
/// The same on every host and in every version. Without a seed, so not a defence against clients
/// who look for collisions: whoever controls the key can meet one member anyway, by repeating it.
#[must_use]
pub fn hash_key(bytes: &[u8]) -> u64 {
    let mut hash = SEED;
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        hash = mix(hash ^ u64::from_le_bytes(*block));
    }
    if !tail.is_empty() {
        let mut block = [0; BLOCK];
        for (to, from) in block.iter_mut().zip(tail) {
            *to = *from;
        }
        hash = mix(hash ^ u64::from_le_bytes(block));
    }
    mix(hash ^ bytes.len() as u64)
}

/// `hash` scaled to a number below `bound`.
pub(super) const fn scale(hash: u64, bound: u64) -> u64 {
    ((hash as u128 * bound as u128) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn values_are_the_same_for_ever() {
        for (key, expected) in [
            ("", 0x0DC6_B5E6_CEF2_5F24),
            ("a", 0x2D1D_0BA3_8CDF_2238),
            ("/index.html", 0xFFE2_BEC7_2989_4C0D),
            ("192.0.2.1", 0x7415_E782_1E68_3D8D),
            ("2001:db8::1", 0x7216_882A_E88A_4E70),
            ("0123456789abcdef", 0xA700_791C_0D49_F51B),
        ] {
            let found = hash_key(key.as_bytes());
            assert_eq!(found, expected, "{key:?}: {found:#018X}");
        }
    }

    #[test]
    fn padding_and_neighbours_make_other_keys() {
        let mut seen = HashSet::new();
        for length in 0..40 {
            assert!(seen.insert(hash_key(&vec![0; length])), "{length} zeros");
        }
        for number in 0..100_000u32 {
            assert!(seen.insert(hash_key(format!("/item/{number}").as_bytes())), "{number}");
        }
    }

    #[test]
    fn every_bit_of_a_key_moves_half_of_the_hash() {
        let key = *b"/articles/2024/a-title";
        let mut moved = 0;
        for bit in 0..key.len() * 8 {
            let mut other = key;
            other[bit / 8] ^= 1 << (bit % 8);
            let distance = (hash_key(&key) ^ hash_key(&other)).count_ones();
            assert!((12..=52).contains(&distance), "bit {bit} moves {distance}");
            moved += distance as usize;
        }
        let mean = moved / (key.len() * 8);
        assert!((30..=34).contains(&mean), "{mean}");
    }
}
