//! Sets of address blocks, compiled so that an address is found in one of 100,000 by a binary
//! search: what is said of the most specific block that holds it.

use std::net::IpAddr;

use super::checked::Cidr;

/// What is said of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Blocks that allow it are the most specific.
    Allow,
    /// A block that denies it is as specific as any other.
    Deny,
}

/// Blocks that allow and blocks that deny. Immutable, shared by all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    four: Ranges<u32>,
    six: Ranges<u128>,
}

/// The addresses of one family, cut where the verdict changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ranges<T> {
    /// The first addresses of the ranges, ascending.
    starts: Vec<T>,
    /// What is said of each of them.
    verdicts: Vec<Option<Verdict>>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { starts: Vec::new(), verdicts: Vec::new() }
    }
}

/// A block as its first and its last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Block<T> {
    first: T,
    last: T,
    verdict: Verdict,
}

/// An address of one family as a number.
trait Number: Copy + Ord {
    /// The next one, if there is one.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl AddressSet {
    /// Compiles blocks: `n log n`.
    #[must_use]
    pub fn new(blocks: impl IntoIterator<Item = (Cidr, Verdict)>) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for (block, verdict) in blocks {
            match block.network {
                IpAddr::V4(network) => {
                    let first = network.to_bits();
                    let beyond = u32::MAX.checked_shr(u32::from(block.prefix)).unwrap_or(0);
                    four.push(Block { first, last: first | beyond, verdict });
                }
                IpAddr::V6(network) => {
                    let first = network.to_bits();
                    let beyond = u128::MAX.checked_shr(u32::from(block.prefix)).unwrap_or(0);
                    six.push(Block { first, last: first | beyond, verdict });
                }
            }
        }
        Self { four: Ranges::new(four), six: Ranges::new(six) }
    }

    /// What is said of `address`; `None`: no block holds it. An IPv4-mapped IPv6 address is the
    /// IPv4 address that it maps.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<Verdict> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.four.find(address.to_bits()),
            IpAddr::V6(address) => self.six.find(address.to_bits()),
        }
    }

    /// Ranges of addresses that it was cut into.
    #[must_use]
    pub const fn ranges(&self) -> usize {
        self.four.starts.len() + self.six.starts.len()
    }
}

impl<T: Number> Ranges<T> {
    fn new(mut blocks: Vec<Block<T>>) -> Self {
        // Of those that begin together the largest first; of equal ones the denial last.
        blocks.sort_unstable_by_key(|block| {
            (block.first, std::cmp::Reverse(block.last), block.verdict)
        });
        let mut ranges = Self { starts: Vec::new(), verdicts: Vec::new() };
        // Blocks hold one another or are apart: those that are open are a stack.
        let mut open: Vec<Block<T>> = Vec::new();
        for block in blocks {
            ranges.close(&mut open, Some(block.first));
            ranges.begin(block.first, Some(block.verdict));
            open.push(block);
        }
        ranges.close(&mut open, None);
        ranges.starts.shrink_to_fit();
        ranges.verdicts.shrink_to_fit();
        ranges
    }

    /// Ends the open blocks that do not reach `until`; `None`: all of them.
    fn close(&mut self, open: &mut Vec<Block<T>>, until: Option<T>) {
        while let Some(inner) = open.pop_if(|block| until.is_none_or(|until| block.last < until)) {
            let outer = open.last().map(|outer| outer.verdict);
            if let Some(next) = inner.last.next() {
                self.begin(next, outer);
            }
        }
    }

    /// From `start` on something else may be said.
    fn begin(&mut self, start: T, verdict: Option<Verdict>) {
        if self.starts.last() == Some(&start) {
            // What began there ends there: the inner block has the word.
            self.starts.pop();
            self.verdicts.pop();
        }
        if self.verdicts.last().copied().flatten() != verdict {
            self.starts.push(start);
            self.verdicts.push(verdict);
        }
    }

    fn find(&self, address: T) -> Option<Verdict> {
        let after = self.starts.partition_point(|start| *start <= address);
        self.verdicts.get(after.checked_sub(1)?).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::config::address::cidr;
    use crate::rng::Rng;

    /// The naive twin.
    fn naive(blocks: &[(Cidr, Verdict)], address: IpAddr) -> Option<Verdict> {
        let holds = blocks.iter().filter(|(block, _)| block.contains(address));
        holds.map(|(block, verdict)| (block.prefix, *verdict)).max().map(|(_, verdict)| verdict)
    }

    fn set(allow: &[&str], deny: &[&str]) -> AddressSet {
        let blocks = |texts: &[&str], verdict| {
            texts.iter().map(|text| (cidr(text).unwrap(), verdict)).collect::<Vec<_>>()
        };
        AddressSet::new(
            blocks(allow, Verdict::Allow).into_iter().chain(blocks(deny, Verdict::Deny)),
        )
    }

    #[test]
    fn the_most_specific_block_has_the_word() {
        let set = set(
            &["10.0.0.0/8", "10.1.2.0/24", "2001:db8::/32", "192.0.2.7", "0.0.0.0/1"],
            &["10.1.0.0/16", "2001:db8:0:1::/64", "192.0.2.7", "255.255.255.255"],
        );
        for (address, expected) in [
            ("10.0.0.0", Some(Verdict::Allow)),
            ("10.1.0.0", Some(Verdict::Deny)),
            ("10.1.2.0", Some(Verdict::Allow)),
            ("10.1.2.255", Some(Verdict::Allow)),
            ("10.1.3.0", Some(Verdict::Deny)),
            ("10.2.0.0", Some(Verdict::Allow)),
            ("11.0.0.0", Some(Verdict::Allow)),
            ("128.0.0.0", None),
            ("255.255.255.254", None),
            ("255.255.255.255", Some(Verdict::Deny)),
            // Both say so: the denial holds.
            ("192.0.2.7", Some(Verdict::Deny)),
            ("::ffff:10.1.0.9", Some(Verdict::Deny)),
            ("2001:db8::1", Some(Verdict::Allow)),
            ("2001:db8:0:1::1", Some(Verdict::Deny)),
            ("2001:db8:0:2::1", Some(Verdict::Allow)),
            ("::1", None),
        ] {
            assert_eq!(set.find(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!(AddressSet::default().find("10.0.0.1".parse().unwrap()), None);
        let all = AddressSet::new([(cidr("::/0").unwrap(), Verdict::Deny)]);
        let last = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));
        assert_eq!(all.find(last), Some(Verdict::Deny));
    }

    /// A block near others, so that they nest and touch.
    fn block(rng: &mut Rng, six: bool) -> Cidr {
        let bits = rng.below(1 << 12);
        if six {
            let prefix = 116 + u8::try_from(rng.below(13)).unwrap();
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
            let network = (u128::MAX << 12 | u128::from(bits)) & mask;
            return Cidr { network: IpAddr::V6(Ipv6Addr::from_bits(network)), prefix };
        }
        let prefix = 20 + u8::try_from(rng.below(13)).unwrap();
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
        let network = u32::try_from(bits).unwrap() & mask;
        Cidr { network: IpAddr::V4(Ipv4Addr::from_bits(network)), prefix }
    }

    #[test]
    fn it_says_what_its_naive_twin_says() {
        let mut rng = Rng::new(7);
        for round in 0..60 {
            let count = rng.below(40) + 1;
            let six = round % 2 == 0;
            let blocks: Vec<_> = (0..count)
                .map(|_| {
                    let verdict = if rng.below(2) == 0 { Verdict::Allow } else { Verdict::Deny };
                    (block(&mut rng, six), verdict)
                })
                .collect();
            let set = AddressSet::new(blocks.iter().copied());
            // Two ranges for each block and what is around them.
            assert!(set.ranges() <= 2 * blocks.len(), "{}", set.ranges());
            for bits in 0u32..1 << 12 {
                let address = if six {
                    IpAddr::V6(Ipv6Addr::from_bits(u128::MAX << 12 | u128::from(bits)))
                } else {
                    IpAddr::V4(Ipv4Addr::from_bits(bits))
                };
                assert_eq!(set.find(address), naive(&blocks, address), "{address} {blocks:?}");
            }
        }
    }

    #[test]
    fn a_hundred_thousand_blocks_are_compiled() {
        let mut rng = Rng::new(11);
        let blocks: Vec<_> = (0..100_000)
            .map(|_| {
                let prefix = 16 + u8::try_from(rng.below(17)).unwrap();
                let bits = u32::try_from(rng.next() >> 32).unwrap();
                let network = bits & u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
                let network = IpAddr::V4(Ipv4Addr::from_bits(network));
                (Cidr { network, prefix }, Verdict::Deny)
            })
            .collect();
        let set = AddressSet::new(blocks.iter().copied());
        assert!(set.ranges() > 50_000, "{}", set.ranges());
        for _ in 0..50 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(rng.next() >> 32).unwrap()));
            assert_eq!(set.find(address), naive(&blocks, address));
        }
    }
}
