//! `Cache-Control` (RFC 9111 5.2), in requests and in answers. Tolerant where the RFC asks for it:
//! arguments in quotes, unknown directives, repeated ones. What is not understood makes an answer
//! staler, never fresher.

use super::super::bytes::{is_token, trim};

/// The greatest time in seconds; longer ones are taken for it (RFC 9111 1.2.2).
pub const SECONDS_MAX: u64 = i32::MAX as u64;

/// One directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive<'a> {
    /// Its name, as sent.
    pub name: &'a [u8],
    /// What stands behind its `=`, without quotes around it.
    pub argument: Option<&'a [u8]>,
}

/// The directives of one field value. Quotes hide commas.
#[derive(Clone, Debug)]
pub struct Directives<'a> {
    rest: &'a [u8],
}

impl<'a> Directives<'a> {
    /// Those of `value`.
    #[must_use]
    pub const fn of(value: &'a [u8]) -> Self {
        Self { rest: value }
    }
}

impl<'a> Iterator for Directives<'a> {
    type Item = Directive<'a>;

    fn next(&mut self) -> Option<Directive<'a>> {
        while !self.rest.is_empty() {
            let (member, rest) = cut(self.rest);
            self.rest = rest;
            let member = trim(member);
            let (name, argument) = match memchr::memchr(b'=', member) {
                None => (member, None),
                Some(at) => {
                    let (name, argument) = member.split_at_checked(at).unwrap_or_default();
                    (name, argument.get(1..).map(unquoted))
                }
            };
            // `max-age =1` has no name of a directive.
            if is_token(name) {
                return Some(Directive { name, argument });
            }
        }
        None
    }
}

/// The text up to the first comma outside of quotes, and what follows it.
fn cut(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                let (member, rest) = text.split_at_checked(at).unwrap_or_default();
                return (member, rest.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (text, &[])
}

fn unquoted(argument: &[u8]) -> &[u8] {
    match argument {
        [b'"', text @ .., b'"'] => text,
        [b'"', text @ ..] => text,
        text => text,
    }
}

/// A number of seconds; `None`: it is none.
#[must_use]
pub fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some(number.unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

/// All `Cache-Control` fields of one message, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// There is such a field.
    pub present: bool,
    /// `max-age`. Of several the least; of one that is no number 0.
    pub max_age: Option<u64>,
    /// `s-maxage`, likewise.
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861), likewise.
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861), likewise.
    pub stale_if_error: Option<u64>,
    /// `min-fresh`. Of several the greatest.
    pub min_fresh: Option<u64>,
    /// `max-stale`; without an argument any time.
    pub max_stale: Option<u64>,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache` for the whole message.
    pub no_cache: bool,
    /// `private` for the whole message.
    pub private: bool,
    /// `no-cache` or `private` for some fields, see [`withholds`].
    pub withholds: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `no-transform`
    pub no_transform: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
}

impl CacheControl {
    /// What these field values say together.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut all = Self::default();
        for value in values {
            all.add(value);
        }
        all
    }

    /// Adds what a further field value says.
    pub fn add(&mut self, value: &[u8]) {
        self.present = true;
        for directive in Directives::of(value) {
            self.take(directive);
        }
    }

    fn take(&mut self, directive: Directive<'_>) {
        let Directive { name, argument } = directive;
        let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
        let time = || argument.and_then(seconds).unwrap_or(0);
        let least = |old: Option<u64>| Some(old.map_or(time(), |old| old.min(time())));
        match name.len() {
            6 if is("public") => self.public = true,
            7 if is("max-age") => self.max_age = least(self.max_age),
            7 if is("private") => match argument {
                None => self.private = true,
                Some(_) => self.withholds = true,
            },
            8 if is("no-store") => self.no_store = true,
            8 if is("s-maxage") => self.s_maxage = least(self.s_maxage),
            8 if is("no-cache") => match argument {
                None => self.no_cache = true,
                Some(_) => self.withholds = true,
            },
            9 if is("min-fresh") => self.min_fresh = self.min_fresh.max(Some(time())),
            9 if is("max-stale") => {
                let time = if argument.is_some() { time() } else { SECONDS_MAX };
                self.max_stale = Some(self.max_stale.map_or(time, |old| old.min(time)));
            }
            12 if is("no-transform") => self.no_transform = true,
            14 if is("stale-if-error") => self.stale_if_error = least(self.stale_if_error),
            14 if is("only-if-cached") => self.only_if_cached = true,
            15 if is("must-revalidate") => self.must_revalidate = true,
            15 if is("must-understand") => self.must_understand = true,
            16 if is("proxy-revalidate") => self.proxy_revalidate = true,
            22 if is("stale-while-revalidate") => {
                self.stale_while_revalidate = least(self.stale_while_revalidate);
            }
            _ => {}
        }
    }

    /// `CDN-Cache-Control` (RFC 9213), which is a dictionary of structured fields (RFC 8941): one
    /// mistake, and nothing of it counts.
    #[must_use]
    pub fn of_targeted<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut all = Self::default();
        for value in values {
            let mut rest = trim(value);
            while !rest.is_empty() {
                let (member, after) = cut(rest);
                let goes_on = member.len() < rest.len();
                rest = trim(after);
                if goes_on && rest.is_empty() {
                    // A comma with nothing behind it.
                    return None;
                }
                all.take(structured(trim(member))?);
                all.present = true;
            }
        }
        all.present.then_some(all)
    }
}

/// A member of a dictionary, its parameters aside: a key alone, or with an integer, a token, a
/// string or a boolean.
fn structured(member: &[u8]) -> Option<Directive<'_>> {
    let is_key =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte);
    let length = member.iter().take_while(|byte| is_key(byte)).count();
    let (name, rest) = member.split_at_checked(length)?;
    if !name.first().is_some_and(|first| first.is_ascii_lowercase() || *first == b'*') {
        return None;
    }
    let value = match rest {
        [] | [b';', ..] => return Some(Directive { name, argument: None }),
        [b'=', value @ ..] => value,
        _ => return None,
    };
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let value = value.get(..end).unwrap_or_default().trim_ascii_end();
    let timed = name.ends_with(b"age") || name.starts_with(b"stale-");
    match value {
        b"?1" => Some(Directive { name, argument: None }),
        // `no-store=?0` says nothing.
        b"?0" => Some(Directive { name: b"*", argument: None }),
        [b'"', text @ .., b'"'] if !timed => Some(Directive { name, argument: Some(text) }),
        [b'-' | b'0'..=b'9', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(Directive { name, argument: Some(value) })
        }
        [first, ..] if !timed && (first.is_ascii_alphabetic() || *first == b'*') => {
            is_token(value).then_some(Directive { name, argument: Some(value) })
        }
        _ => None,
    }
}

/// Whether `no-cache="..."` or `private="..."` of these field values names the field `name`.
#[must_use]
pub fn withholds<'a>(values: impl IntoIterator<Item = &'a [u8]>, name: &[u8]) -> bool {
    values.into_iter().flat_map(Directives::of).any(|directive| {
        let named = [&b"no-cache"[..], b"private"];
        named.iter().any(|text| directive.name.eq_ignore_ascii_case(text))
            && directive.argument.is_some_and(|list| {
                list.split(|byte| *byte == b',').any(|one| trim(one).eq_ignore_ascii_case(name))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> CacheControl {
        CacheControl::of([value.as_bytes()])
    }

    #[test]
    fn times() {
        let cases = [
            ("max-age=3600", Some(3600)),
            ("MaX-aGe=3600", Some(3600)),
            ("max-age=\"3600\"", Some(3600)),
            ("max-age=003600", Some(3600)),
            ("foobar, max-age=1", Some(1)),
            ("max-age=2147483648", Some(SECONDS_MAX)),
            ("max-age=99999999999999999999999", Some(SECONDS_MAX)),
            ("max-age=5, max-age=3", Some(3)),
            ("max-age=3, max-age=5", Some(3)),
            ("x=\"max-age=100\", max-age=1", Some(1)),
            ("max-age=1, x=\"max-age=100", Some(1)),
            ("x=\"a\\\", max-age=9\", max-age=2", Some(2)),
            ("max-age=", Some(0)),
            ("max-age", Some(0)),
            ("max-age= 1", Some(0)),
            ("max-age=-1", Some(0)),
            ("max-age='1'", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=a1", Some(0)),
            ("max-age=1a", Some(0)),
            ("max-age =1", None),
            ("x=\"max-age=100\"", None),
            ("", None),
            (",,", None),
        ];
        for (value, expected) in cases {
            assert_eq!(of(value).max_age, expected, "{value}");
        }
        assert_eq!(CacheControl::of([&b"max-age=9"[..], b"max-age=7"]).max_age, Some(7));
        assert_eq!(of("max-stale").max_stale, Some(SECONDS_MAX));
        assert_eq!(of("max-stale=4").max_stale, Some(4));
        assert_eq!(of("stale-while-revalidate=4").stale_while_revalidate, Some(4));
    }

    #[test]
    fn words() {
        let all = of("No-Store,no-cache , PRIVATE, public,must-revalidate,proxy-revalidate");
        assert!(all.no_store && all.no_cache && all.private && all.public);
        assert!(all.must_revalidate && all.proxy_revalidate && !all.must_understand);
        let all = of("no-cache=\"a, b\", private=c");
        assert!(!all.no_cache && !all.private && all.withholds);
        let named = |name: &str| withholds([&b"no-cache=\"a, b\", private=c"[..]], name.as_bytes());
        assert_eq!(["a", "B", "c", "d", ""].map(named), [true, true, true, false, false]);
        assert!(!CacheControl::default().present && of("").present);
    }

    #[test]
    fn targeted_fields_count_whole_or_not_at_all() {
        let of = |value: &str| CacheControl::of_targeted([value.as_bytes()]);
        let age = |value: &str| of(value).and_then(|all| all.max_age);
        assert_eq!(age("max-age=10, foobar"), Some(10));
        assert_eq!(age("max-age=10;x=1, no-cache"), Some(10));
        assert_eq!(age("foo=\"a, b\", max-age=10"), Some(10));
        assert_eq!(age("max-age=-1"), Some(0));
        for bad in [
            "",
            "max-age=10, &&&",
            "max-age=\"10\"",
            "MAX-AGE=10",
            "max-age =10",
            "max-age= 10",
            "max-age=10,",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert!(of("no-store=?1").is_some_and(|all| all.no_store));
        assert!(of("no-store=?0").is_some_and(|all| !all.no_store));
    }
}
