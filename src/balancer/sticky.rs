//! The members of one pool as cookies name them: texts that only who has the key can make.
//!
//! A member's text is the beginning of an HMAC over the names of pool and member, so it is the same on
//! every worker, after a restart, on every host with the key, and whatever other members there are;
//! and it tells nobody the member's address. Must not know cookies.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::config::StickyConfig;
use crate::ids::MemberId;

/// What is signed begins with this, so that the key may sign other things.
const PURPOSE: &[u8] = b"ringway sticky 1";

/// Bytes of the HMAC that are kept: 192 bits.
const BYTES: usize = 24;
/// The same in base64.
const TEXT: usize = BYTES / 3 * 4;
/// The part of a text by which it is looked up: 48 bits. The other 144 are compared in constant time.
const HEAD: usize = 8;

/// One member's text.
type Text = [u8; TEXT];

/// The members and their texts.
#[derive(Debug)]
pub struct Sticky {
    config: StickyConfig,
    /// By member.
    texts: Vec<Text>,
    /// The members in the order of their texts.
    order: Vec<MemberId>,
}

impl Sticky {
    /// The texts of the members with these addresses, as written, of the pool `pool`; `None` where the
    /// key is not known. To be made anew when an address changes.
    pub(super) fn new(
        config: &StickyConfig,
        pool: &str,
        addresses: impl Iterator<Item = String>,
    ) -> Option<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, config.key.secret()?.bytes());
        let texts: Vec<Text> = addresses.map(|address| text(&key, pool, &address)).collect();
        let mut order: Vec<MemberId> = (0u16..).map(MemberId).take(texts.len()).collect();
        order.sort_unstable_by_key(|member| texts.get(member.index()));
        Some(Self { config: config.clone(), texts, order })
    }

    /// The cookie that holds a text.
    #[must_use]
    pub const fn config(&self) -> &StickyConfig {
        &self.config
    }

    /// A member's text.
    #[must_use]
    pub fn text(&self, member: MemberId) -> Option<&[u8]> {
        self.texts.get(member.index()).map(Text::as_slice)
    }

    /// The member that has this text; `None`: nobody, or it is forged.
    #[must_use]
    pub fn member(&self, text: &[u8]) -> Option<MemberId> {
        if text.len() != TEXT {
            return None;
        }
        let (head, proof) = text.split_at_checked(HEAD)?;
        let known = |member: &MemberId| {
            self.text(*member).and_then(|text| text.split_at_checked(HEAD)).unwrap_or_default()
        };
        let first = self.order.partition_point(|member| known(member).0 < head);
        let same_head = self.order.iter().skip(first).take_while(|member| known(member).0 == head);
        let is_it = |member: &&MemberId| verify_slices_are_equal(known(member).1, proof).is_ok();
        { same_head }.find(is_it).copied()
    }
}

fn text(key: &hmac::Key, pool: &str, address: &str) -> Text {
    let mut context = hmac::Context::with_key(key);
    for part in [PURPOSE, pool.as_bytes(), address.as_bytes()] {
        context.update(part);
        // Stands in no name and no address.
        context.update(&[0]);
    }
    let tag = context.sign();
    let mut text = [0; TEXT];
    for (three, four) in tag.as_ref().chunks_exact(3).zip(text.chunks_exact_mut(4)) {
        let bits = three.iter().fold(0, |bits: usize, byte| bits << 8 | usize::from(*byte));
        for (shift, letter) in [18, 12, 6, 0].into_iter().zip(four) {
            *letter = ALPHABET.get(bits >> shift & 63).copied().unwrap_or(b'A');
        }
    }
    text
}

/// Base64 for names of files and URLs (RFC 4648 section 5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{SameSite, Secret, StickyKey};

    fn config(key: &[u8]) -> StickyConfig {
        StickyConfig {
            cookie: "ringway".to_owned(),
            key: StickyKey::Text(Secret::new(key)),
            max_age: None,
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            secure: false,
        }
    }

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn sticky(key: &[u8], pool: &str, addresses: &[&str]) -> Sticky {
        let addresses = addresses.iter().map(|address| (*address).to_owned());
        Sticky::new(&config(key), pool, addresses).unwrap()
    }

    #[test]
    fn the_text_is_the_same_for_ever() {
        // printf 'ringway sticky 1\0main\00010.0.0.1:80\0' | openssl dgst -sha256 -hmac KEY -binary |
        // head -c 24 | base64 | tr +/ -_
        let texts = sticky(KEY, "main", &["10.0.0.1:80"]);
        assert_eq!(texts.text(MemberId(0)).unwrap(), b"iNmDOUF_LmzLGFmHahffjUD-AonhNbqq");
    }

    #[test]
    fn a_member_keeps_its_text_whoever_else_there_is_and_in_whatever_order() {
        let few = sticky(KEY, "main", &["10.0.0.1:80", "10.0.0.2:80"]);
        let more = sticky(KEY, "main", &["10.0.0.3:80", "[::1]:80", "10.0.0.2:80"]);
        assert_eq!(few.text(MemberId(1)), more.text(MemberId(2)));
        assert_eq!(more.member(few.text(MemberId(1)).unwrap()), Some(MemberId(2)));
        assert_eq!(more.member(few.text(MemberId(0)).unwrap()), None, "a member that is gone");
    }

    #[test]
    fn texts_of_other_keys_and_pools_name_nobody() {
        let own = sticky(KEY, "main", &["10.0.0.1:80"]);
        let text = own.text(MemberId(0)).unwrap();
        assert_eq!(own.member(text), Some(MemberId(0)));
        for (key, pool) in [(&b"another key of thirty-two bytes!!"[..], "main"), (KEY, "mai")] {
            let other = sticky(key, pool, &["10.0.0.1:80"]);
            assert_eq!(other.member(text), None, "{pool}");
        }
    }

    #[test]
    fn without_its_key_there_is_nothing() {
        let key = StickyKey::File { path: "/x".into(), secret: None };
        let config = StickyConfig { key, ..config(KEY) };
        assert!(Sticky::new(&config, "main", std::iter::empty()).is_none());
    }

    #[test]
    fn every_member_of_the_largest_pool_is_found() {
        let addresses: Vec<String> = (0..4096).map(|n| format!("10.0.0.1:{}", n + 1)).collect();
        let all = Sticky::new(&config(KEY), "main", addresses.into_iter()).unwrap();
        for member in (0..4096).map(MemberId) {
            assert_eq!(all.member(all.text(member).unwrap()), Some(member));
        }
        assert_eq!(all.text(MemberId(4096)), None);
    }

    proptest! {
        #[test]
        fn what_is_not_exactly_the_text_names_nobody(
            forged in proptest::collection::vec(any::<u8>(), 0..40),
            at in 0..TEXT, flip in 1u8..=255, cut in 0..TEXT,
        ) {
            let all = sticky(KEY, "main", &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
            prop_assert_eq!(all.member(&forged), None);
            for member in (0..3).map(MemberId) {
                let text = all.text(member).unwrap();
                let mut changed = text.to_vec();
                changed[at] ^= flip;
                prop_assert_eq!(all.member(&changed), None);
                prop_assert_eq!(all.member(&text[..cut]), None);
                let mut longer = text.to_vec();
                longer.push(flip);
                prop_assert_eq!(all.member(&longer), None);
                // The head of one and the proof of another.
                let other = all.text(MemberId((member.0 + 1) % 3)).unwrap();
                let mixed = [&text[..HEAD], &other[HEAD..]].concat();
                prop_assert_eq!(all.member(&mixed), None);
            }
        }
    }
}
