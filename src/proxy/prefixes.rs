//! The routes of one host whose path is a prefix: `/x/*`, which matches `/x` and all that begins with
//! `/x/`. Pure.
//!
//! A path has few places where a prefix of it can end, one a slash. Each is looked up, from the longest on,
//! so that ten thousand prefixes cost what ten do.

use std::collections::HashMap;

use crate::ids::RouteId;

/// Prefixes by their text without `/*`.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    routes: HashMap<Vec<u8>, Vec<RouteId>>,
    /// Bytes of the longest one: what is longer is not looked up.
    longest: usize,
    /// Which numbers of slashes occur in them, as bits; the last one is for all that have more.
    depths: u64,
}

/// The last bit of [`Prefixes::depths`].
const DEEP: usize = 63;

const fn bit(slashes: usize) -> u64 {
    1 << if slashes < DEEP { slashes } else { DEEP }
}

impl Prefixes {
    /// Adds `/x` for `/x/*`, and the empty text for `/*`. Routes of one prefix stay in order.
    pub(super) fn insert(&mut self, text: &str, route: RouteId) {
        let text = text.as_bytes();
        self.longest = self.longest.max(text.len());
        self.depths |= bit(memchr::memchr_iter(b'/', text).count());
        self.routes.entry(text.to_vec()).or_default().push(route);
    }

    /// The routes of the prefixes of `path`, the longest prefix first.
    pub(super) fn of<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a [RouteId]> {
        // A slash behind the longest one ends it.
        let within = path.get(..=self.longest).unwrap_or(path);
        let within = if self.routes.is_empty() { &[] } else { within };
        let whole = (within.len() == path.len() && !self.routes.is_empty()).then_some(path.len());
        let slashes = memchr::memchr_iter(b'/', within).count();
        let ends = whole.into_iter().chain(memchr::memrchr_iter(b'/', within));
        // What ends at a slash has one less than what ends behind it.
        let first = if whole.is_some() { slashes } else { slashes.wrapping_sub(1) };
        ends.zip(0..).filter_map(move |(end, step)| {
            let depth = first.wrapping_sub(step);
            if self.depths & bit(depth) == 0 {
                return None;
            }
            self.routes.get(path.get(..end)?).map(Vec::as_slice)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn those_are_found_that_the_path_begins_with(
            texts in proptest::collection::vec("(/[ab]{0,2}){0,4}", 0..12),
            path in "(/[ab]{0,2}){1,6}",
        ) {
            let mut prefixes = Prefixes::default();
            for (number, text) in (0..).zip(&texts) {
                prefixes.insert(text, RouteId(number));
            }
            let is_of = |text: &str| path == text || path.starts_with(&format!("{text}/"));
            let mut expected: Vec<&String> = texts.iter().filter(|text| is_of(text)).collect();
            expected.sort_by_key(|text| std::cmp::Reverse(text.len()));
            expected.dedup();
            let numbers = |text: &String| -> Vec<RouteId> {
                (0..).zip(&texts).filter(|(_, other)| *other == text).map(|(n, _)| RouteId(n)).collect()
            };
            let expected: Vec<Vec<RouteId>> = expected.into_iter().map(numbers).collect();
            let found: Vec<Vec<RouteId>> = prefixes.of(path.as_bytes()).map(<[_]>::to_vec).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn hundreds_of_slashes_are_looked_up_as_far_as_prefixes_go() {
        let mut prefixes = Prefixes::default();
        let deep = "/a".repeat(100);
        prefixes.insert(&deep, RouteId(0));
        prefixes.insert("", RouteId(1));
        let path = "/a".repeat(4000);
        let found: Vec<&[RouteId]> = prefixes.of(path.as_bytes()).collect();
        assert_eq!(found, [&[RouteId(0)][..], &[RouteId(1)]]);
    }
}
