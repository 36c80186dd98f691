//! What operators said of members by name that have left since: an address that a name loses for a
//! moment comes back as it was. Not for good, as addresses are given to other servers.

use std::collections::VecDeque;
use std::time::Duration;

use super::member::Admin;
use crate::clock::Instant;
use crate::net::Address;

/// For how long a word holds while its member is away.
const HOLDS: Duration = Duration::from_secs(3600);
/// Words that are kept at the most; the oldest go first.
const MOST: usize = 1024;

/// The words for members that are away, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: VecDeque<(Instant, Address, Admin)>,
}

impl Words {
    /// A member has left.
    pub(super) fn keep(&mut self, now: Instant, address: &Address, admin: Admin) {
        self.take(now, address);
        if self.words.len() >= MOST {
            self.words.pop_front();
        }
        self.words.push_back((now, address.clone(), admin));
    }

    /// A member has come: what was said of it, if that still holds.
    pub(super) fn take(&mut self, now: Instant, address: &Address) -> Option<Admin> {
        while self.words.front().is_some_and(|(left, ..)| now.since(*left) >= HOLDS) {
            self.words.pop_front();
        }
        let at = self.words.iter().position(|(_, other, _)| other == address)?;
        self.words.remove(at).map(|(.., admin)| admin)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn address(port: u16) -> Address {
        Address::Ip(SocketAddr::from(([10, 0, 0, 1], port)))
    }

    #[test]
    fn a_word_holds_once_for_an_hour_and_for_its_address() {
        let mut words = Words::default();
        let at = |second: u64| Instant::from_micros(second * 1_000_000);
        words.keep(at(0), &address(1), Admin::Drain);
        words.keep(at(1), &address(2), Admin::Drain);
        words.keep(at(2), &address(2), Admin::Maintenance);
        assert_eq!(words.take(at(3), &address(3)), None);
        assert_eq!(words.take(at(3600), &address(1)), None);
        assert_eq!(words.take(at(3601), &address(2)), Some(Admin::Maintenance));
        assert_eq!(words.take(at(3601), &address(2)), None);
    }

    #[test]
    fn words_are_bounded() {
        let (mut words, now) = (Words::default(), Instant::from_micros(0));
        for port in 0..=MOST as u16 {
            words.keep(now, &address(port), Admin::Drain);
        }
        assert_eq!(words.words.len(), MOST);
        assert_eq!(words.take(now, &address(0)), None);
        assert_eq!(words.take(now, &address(1)), Some(Admin::Drain));
    }
}
