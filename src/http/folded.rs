//! A set of field names, each in every spelling that a recipient may take for it.

use super::name::Name;

/// Names of fields. A name is in the set in any case, and with any byte that is neither a letter nor
/// a digit in place of another one: origins that take fields through CGI-like variables fold
/// `X_User`, `X.User` and `X-User` into one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldedNames {
    names: Vec<Box<[u8]>>,
    /// The bit of each length that occurs.
    lengths: u64,
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

impl FoldedNames {
    /// The set of these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for name in names {
            let folded: Box<[u8]> = name.bytes().map(fold).collect();
            set.lengths |= bit(folded.len());
            if !set.names.contains(&folded) {
                set.names.push(folded);
            }
        }
        set
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether `name` is one of them.
    #[inline]
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.lengths & bit(name.len()) != 0 && self.finds(name)
    }

    #[inline(never)]
    fn finds(&self, name: &[u8]) -> bool {
        let same = |known: &[u8]| {
            known.len() == name.len() && known.iter().zip(name).all(|(a, b)| *a == fold(*b))
        };
        self.names.iter().any(|known| same(known))
    }
}

/// Whether a field may be passed from one message to another at all: it is none that says where a
/// message ends, and none of one connection.
#[must_use]
pub fn may_be_copied(name: &[u8]) -> bool {
    let name = Name::of(name);
    !name.is_hop_by_hop() && !matches!(name, Name::ContentLength | Name::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling() {
        let set = FoldedNames::new(["X-User", "x_user", "Groups"]);
        assert_eq!(set.names.len(), 2);
        for name in ["X-User", "x-user", "X_USER", "x.User", "X~uSEr", "groups", "GROUPS"] {
            assert!(set.has(name.as_bytes()), "{name}");
        }
        for name in ["XUser", "X-Use", "X-Users", "Y-User", "Group", "", "X--User", "X0User"] {
            assert!(!set.has(name.as_bytes()), "{name}");
        }
        assert!(!FoldedNames::default().has(b""));
    }
}
