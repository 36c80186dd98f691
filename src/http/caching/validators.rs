//! Validators (RFC 9110 8.8) and the conditions that clients put on them (RFC 9110 13.1).

use super::super::bytes::trim;
use super::super::date_parse;
use super::answer::{CacheAnswer, CacheRequest};

/// The validators of a stored answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// `ETag`
    pub etag: Option<&'a [u8]>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<&'a [u8]>,
    /// `Date`, in seconds.
    pub date: Option<u64>,
}

/// An entity tag without its mark of weakness, and whether it had one.
fn opaque(tag: &[u8]) -> (&[u8], bool) {
    match tag {
        [b'W' | b'w', b'/', opaque @ ..] => (opaque, true),
        opaque => (opaque, false),
    }
}

/// Whether two entity tags are the same by the weak comparison.
#[must_use]
pub fn matches_weakly(one: &[u8], other: &[u8]) -> bool {
    opaque(one).0 == opaque(other).0
}

/// Whether two entity tags are the same by the strong comparison.
#[must_use]
pub fn matches_strongly(one: &[u8], other: &[u8]) -> bool {
    one == other && !opaque(one).1
}

/// The entity tags of a list. Commas within quotes belong to a tag.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        loop {
            rest = trim(rest);
            if rest.is_empty() {
                return None;
            }
            let quote = memchr::memchr2(b'"', b',', rest);
            let end = match quote {
                Some(at) if rest.get(at) == Some(&b'"') => {
                    let behind = rest.get(at + 1..).unwrap_or_default();
                    memchr::memchr(b'"', behind).map_or(rest.len(), |length| at + length + 2)
                }
                Some(at) => at,
                None => rest.len(),
            };
            let (tag, after) = rest.split_at_checked(end).unwrap_or_default();
            rest = trim(after);
            rest = rest.strip_prefix(b",").unwrap_or(rest);
            if !tag.is_empty() {
                return Some(trim(tag));
            }
        }
    })
}

impl Validators<'_> {
    /// Whether the client has what is stored, so that 304 answers it.
    #[must_use]
    pub fn are_met_by(&self, request: &CacheRequest<'_>, now: u64) -> bool {
        if let Some(list) = request.if_none_match {
            let stored = self.etag;
            return list == b"*"
                || stored.is_some_and(|stored| tags(list).any(|tag| matches_weakly(tag, stored)));
        }
        let Some(since) = request.if_modified_since else { return false };
        let Some(since) = date_parse::parse(since, now) else { return false };
        match self.last_modified {
            Some(text) => date_parse::parse(text, now).is_some_and(|changed| changed <= since),
            // RFC 9111 4.3.2: then what is stored came before.
            None => self.date.is_some_and(|date| date <= since),
        }
    }

    /// Whether an answer has no other validators than these: as far as it says, it is of the same.
    #[must_use]
    pub fn agree_with(&self, answer: &CacheAnswer<'_>) -> bool {
        let changed = answer.last_modified.and(answer.last_modified_text);
        answer.etag.is_none_or(|tag| self.etag == Some(tag))
            && changed.is_none_or(|text| self.last_modified == Some(text))
    }

    /// Whether a range may be taken of what is stored: `If-Range` is absent, or names it.
    #[must_use]
    pub fn allow_range(&self, request: &CacheRequest<'_>, now: u64) -> bool {
        let Some(condition) = request.if_range else { return true };
        if condition.ends_with(b"\"") {
            return self.etag.is_some_and(|stored| matches_strongly(condition, stored));
        }
        // A date is a strong validator if the answer is at least a second younger (RFC 9110
        // 8.8.2.2), and only the very same one will do.
        let parsed = date_parse::parse(condition, now);
        let changed = self.last_modified.and_then(|text| date_parse::parse(text, now));
        parsed.is_some()
            && parsed == changed
            && self.date.zip(changed).is_some_and(|(date, changed)| date > changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LM: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const NOW: u64 = 1_764_000_000;

    fn inm<'a>(list: &'a str, etag: &'a str) -> bool {
        let request = CacheRequest { if_none_match: Some(list.as_bytes()), ..Default::default() };
        let etag = Some(etag.as_bytes()).filter(|tag| !tag.is_empty());
        Validators { etag, ..Default::default() }.are_met_by(&request, NOW)
    }

    #[test]
    fn entity_tags() {
        for (list, etag, expected) in [
            ("\"a\"", "\"a\"", true),
            ("\"a\"", "W/\"a\"", true),
            ("W/\"a\"", "\"a\"", true),
            ("\"b\", \"a\"", "\"a\"", true),
            ("\"b\",W/\"a\"", "\"a\"", true),
            ("\"a\", \"b\", \"c\"", "\"c\"", true),
            ("\"x,y\", \"a\"", "\"x,y\"", true),
            ("*", "\"a\"", true),
            ("a", "a", true),
            ("a", "\"a\"", false),
            ("\"A\"", "\"a\"", false),
            ("\"ab\"", "\"a\"", false),
            ("\"a", "\"a\"", false),
            (",,", "\"a\"", false),
            ("\"a\"", "", false),
        ] {
            assert_eq!(inm(list, etag), expected, "{list} {etag}");
        }
        assert!(matches_strongly(b"\"a\"", b"\"a\"") && !matches_strongly(b"W/\"a\"", b"W/\"a\""));
    }

    #[test]
    fn dates() {
        let met = |since: &[u8], last_modified, date| {
            let request = CacheRequest { if_modified_since: Some(since), ..Default::default() };
            Validators { etag: None, last_modified, date }.are_met_by(&request, NOW)
        };
        assert!(met(LM, Some(LM), None));
        assert!(met(b"Sunday, 06-Nov-94 08:49:37 GMT", Some(LM), None));
        assert!(met(b"Mon, 07 Nov 1994 08:49:37 GMT", Some(LM), None));
        assert!(!met(b"Sat, 05 Nov 1994 08:49:37 GMT", Some(LM), None));
        assert!(!met(b"yesterday", Some(LM), None));
        assert!(met(LM, None, Some(784_111_777)) && !met(LM, None, Some(784_111_778)));
        assert!(!met(LM, None, None));
        // The tag decides alone.
        let request = CacheRequest {
            if_none_match: Some(b"\"b\""),
            if_modified_since: Some(LM),
            ..Default::default()
        };
        let stored = Validators { etag: Some(b"\"a\""), last_modified: Some(LM), date: None };
        assert!(!stored.are_met_by(&request, NOW));
    }

    #[test]
    fn answers_of_the_same() {
        let stored =
            Validators { etag: Some(b"\"a\""), last_modified: Some(LM), ..Default::default() };
        let agree = |etag, text, last_modified| {
            stored.agree_with(&CacheAnswer {
                etag,
                last_modified_text: text,
                last_modified,
                ..Default::default()
            })
        };
        let other: &[u8] = b"Mon, 07 Nov 1994 08:49:37 GMT";
        assert!(agree(None, None, None) && agree(Some(&b"\"a\""[..]), Some(LM), Some(1)));
        assert!(agree(Some(b"\"a\""), None, None) && agree(None, Some(LM), Some(1)));
        assert!(!agree(Some(b"\"b\""), Some(LM), Some(1)) && !agree(None, Some(other), Some(1)));
        assert!(!agree(Some(b"W/\"a\""), None, None));
        // What is no date says nothing.
        assert!(agree(None, Some(b"x"), None));
        assert!(
            !Validators::default()
                .agree_with(&CacheAnswer { etag: Some(b"\"a\""), ..Default::default() })
        );
    }

    #[test]
    fn if_range() {
        let allows = |condition: &[u8], date| {
            let request = CacheRequest { if_range: Some(condition), ..Default::default() };
            let stored = Validators { etag: Some(b"\"a\""), last_modified: Some(LM), date };
            stored.allow_range(&request, NOW)
        };
        assert!(allows(b"\"a\"", None) && !allows(b"\"b\"", None) && !allows(b"W/\"a\"", None));
        assert!(allows(LM, Some(784_111_778)));
        assert!(!allows(LM, Some(784_111_777)) && !allows(LM, None));
        assert!(!allows(b"Mon, 07 Nov 1994 08:49:37 GMT", Some(NOW)));
        let stored = Validators { etag: Some(b"W/\"a\""), ..Default::default() };
        let request = CacheRequest { if_range: Some(b"W/\"a\""), ..Default::default() };
        assert!(!stored.allow_range(&request, NOW));
        assert!(stored.allow_range(&CacheRequest::default(), NOW));
    }
}
