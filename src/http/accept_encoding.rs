//! `Accept-Encoding`: which content codings a client takes, and how gladly (RFC 9110 12.5.3).

use super::bytes::{is_token, trim};

/// Codings that a field may list; a client that knows more is not one to make much effort for.
const LISTED_MOST: usize = 64;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` (RFC 1952)
    Gzip,
    /// `br` (RFC 7932)
    Brotli,
    /// `zstd` (RFC 8878)
    Zstd,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Zstd];

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of a name, in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// What a client takes. Weights in thousandths; `None`: not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    codings: [Option<u16>; 3],
    identity: Option<u16>,
    any: Option<u16>,
    /// Something was not understood: nothing is encoded for this client.
    bad: bool,
    listed: usize,
}

impl AcceptEncoding {
    /// What the values of all fields say, one list in several parts. What is listed twice has its
    /// lowest weight.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut accepted = Self::default();
        for item in values.into_iter().flat_map(|value| value.split(|&byte| byte == b',')) {
            let item = trim(item);
            if !item.is_empty() {
                accepted.listed += 1;
                accepted.bad |= accepted.listed > LISTED_MOST || accepted.add(item).is_none();
            }
            if accepted.bad {
                break;
            }
        }
        accepted
    }

    fn add(&mut self, item: &[u8]) -> Option<()> {
        let mut parts = item.splitn(2, |&byte| byte == b';');
        let name = trim(parts.next()?);
        let weight = parts.next().map_or(Some(1000), weight)?;
        if !is_token(name) {
            return None;
        }
        let slot = match Coding::of(name) {
            Some(coding) => self.codings.get_mut(coding as usize)?,
            None if name == b"*" => &mut self.any,
            None if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
            None => return Some(()),
        };
        *slot = Some(slot.map_or(weight, |before| before.min(weight)));
        Some(())
    }

    /// The coding that the client likes best, of those that are `offered`; the earlier one, where it
    /// likes two alike. `None`: the body as it is.
    pub fn choose(&self, offered: impl IntoIterator<Item = Coding>) -> Option<Coding> {
        if self.bad {
            return None;
        }
        let weight = |coding: Coding| {
            let own = self.codings.get(coding as usize).copied().flatten();
            own.or(self.any).unwrap_or(0)
        };
        let mut best: Option<(Coding, u16)> = None;
        for coding in offered {
            let weight = weight(coding);
            if weight > best.map_or(0, |(_, best)| best) {
                best = Some((coding, weight));
            }
        }
        // Whoever does not speak of the plain body takes it, but asked for something else.
        let plain = self.identity.unwrap_or(0);
        best.filter(|(_, weight)| *weight >= plain).map(|(coding, _)| coding)
    }
}

/// `q=0.5`, with white space around it, in thousandths.
fn weight(text: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = trim(text) else { return None };
    let (one, digits) = match value {
        [whole @ (b'0' | b'1')] => return Some(u16::from(whole - b'0') * 1000),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] => (*whole == b'1', digits),
        _ => return None,
    };
    let good = |digit: &u8| if one { *digit == b'0' } else { digit.is_ascii_digit() };
    if digits.len() > 3 || !digits.iter().all(good) {
        return None;
    }
    let places = digits.iter().zip([100, 10, 1]);
    let part: u16 = places.map(|(digit, place)| u16::from(digit - b'0') * place).sum();
    Some(u16::from(one) * 1000 + part)
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    fn choose(values: &[&str]) -> Option<Coding> {
        let values = values.iter().map(|value| value.as_bytes());
        AcceptEncoding::parse(values).choose([Zstd, Brotli, Gzip])
    }

    #[test]
    fn the_best_coding() {
        let cases: [(&[&str], Option<Coding>); 35] = [
            (&[], None),
            (&[""], None),
            (&["gzip"], Some(Gzip)),
            (&["GZip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["gzip, deflate, br"], Some(Brotli)),
            (&["gzip", "br"], Some(Brotli)),
            (&["br;q=0.9, gzip"], Some(Gzip)),
            (&["br;q=0.9, gzip;q=0.8, zstd;q=0.899"], Some(Brotli)),
            (&["br;Q=0.5;q=1"], None),
            (&["*"], Some(Zstd)),
            (&["*;q=0.5, gzip"], Some(Gzip)),
            (&["zstd;q=0, *"], Some(Brotli)),
            (&["*;q=0"], None),
            (&["*;q=0, br"], Some(Brotli)),
            (&["identity"], None),
            (&["identity, gzip"], Some(Gzip)),
            (&["identity, gzip;q=0.9"], None),
            (&["identity;q=0"], None),
            (&["identity;q=0, gzip;q=0.001"], Some(Gzip)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.000, br"], Some(Brotli)),
            (&["gzip, gzip;q=0"], None),
            (&[" gzip \t;\t q=1.000 ,, ,br;q=0"], Some(Gzip)),
            (&["deflate, compress"], None),
            (&["gzip;q=1.001"], None),
            (&["gzip;q=0.1234"], None),
            (&["gzip;q=.5"], None),
            (&["gzip;q=-1"], None),
            (&["gzip;q= 1"], None),
            (&["gzip;level=9"], None),
            (&["gzip;"], None),
            (&["gzip br"], None),
            (&["br", "gz ip"], None),
        ];
        for (values, expected) in cases {
            assert_eq!(choose(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_client_that_lists_without_end_gets_the_plain_body() {
        let list = |count| format!("{}gzip", "a,".repeat(count));
        assert_eq!(choose(&[&list(LISTED_MOST - 1)]), Some(Gzip));
        assert_eq!(choose(&[&list(LISTED_MOST)]), None);
    }

    #[test]
    fn only_what_is_offered() {
        let accepted = AcceptEncoding::parse([&b"gzip, br"[..]]);
        assert_eq!(accepted.choose([Gzip, Brotli]), Some(Gzip));
        assert_eq!(accepted.choose([Zstd]), None);
        assert_eq!(accepted.choose([]), None);
    }
}
