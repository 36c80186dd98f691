//! `Authorization`: the scheme and what follows it (RFC 9110 section 11.4), and the pair of Basic
//! (RFC 7617).

use super::base64;

/// Bytes of a user's name and a password together.
const PAIR_MOST: usize = 1024;

/// Which scheme a request uses, with its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// `Basic`
    Basic(&'a [u8]),
    /// `Bearer` (RFC 6750)
    Bearer(&'a [u8]),
    /// Any other.
    Other,
}

/// Reads the value of an `Authorization`. Schemes are not case-sensitive.
#[must_use]
pub fn credentials(value: &[u8]) -> Credentials<'_> {
    let space = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(space).unwrap_or_default();
    let token = rest.trim_ascii_start();
    if scheme.eq_ignore_ascii_case(b"basic") {
        Credentials::Basic(token)
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        Credentials::Bearer(token)
    } else {
        Credentials::Other
    }
}

/// A user's name and a password.
#[derive(PartialEq, Eq)]
pub struct UserPass {
    bytes: Vec<u8>,
    colon: usize,
}

impl std::fmt::Debug for UserPass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserPass(..)")
    }
}

impl UserPass {
    /// Reads the token of Basic; `None`: it is none.
    #[must_use]
    pub fn read(token: &[u8]) -> Option<Self> {
        if token.len() > PAIR_MOST.div_ceil(3) * 4 {
            return None;
        }
        let bytes = base64::standard(token)?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        let clean =
            colon > 0 && bytes.len() <= PAIR_MOST && !bytes.iter().any(u8::is_ascii_control);
        clean.then_some(Self { bytes, colon })
    }

    /// The user's name: not empty, without control characters.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.bytes.get(..self.colon).unwrap_or_default()
    }

    /// The password, which may be empty.
    #[must_use]
    pub fn password(&self) -> &[u8] {
        self.bytes.get(self.colon + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_in_any_case() {
        for (value, expected) in [
            (&b"Basic Zg=="[..], Credentials::Basic(b"Zg==")),
            (b"bASIC   x", Credentials::Basic(b"x")),
            (b"Basic", Credentials::Basic(b"")),
            (b"Bearer a.b.c", Credentials::Bearer(b"a.b.c")),
            (b"BEARER a b", Credentials::Bearer(b"a b")),
            (b"Basic\tZg==", Credentials::Other),
            (b"Basics x", Credentials::Other),
            (b"", Credentials::Other),
            (b"Digest username=x", Credentials::Other),
        ] {
            assert_eq!(credentials(value), expected, "{value:?}");
        }
    }

    #[test]
    fn pairs() {
        let read = |text: &str| {
            UserPass::read(text.as_bytes()).map(|pair| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (text(pair.user()), text(pair.password()))
            })
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        // Aladdin:open sesame, of the standard; a:b:c; a:; :b; a; a:b with a line feed.
        assert_eq!(read("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(read("YTpiOmM="), pair("a", "b:c"));
        assert_eq!(read("YTo="), pair("a", ""));
        for none in ["OmI=", "YQ==", "YTpiCg==", "YTpi=", "", "YTo"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(read(&"QUFB".repeat(400)), None);
    }
}
