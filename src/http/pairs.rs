//! Cookies of a `Cookie` field (RFC 6265 5.4) and parameters of a query, as pairs of a name and a
//! value; and what the escapes of a query stand for.

/// The cookies of one field. Spaces around them are no part of them; what has no `=` is none.
pub fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|byte| *byte == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair)?;
        let (name, rest) = pair.split_at_checked(at)?;
        Some((name, rest.get(1..).unwrap_or_default()))
    })
}

/// The parameters of a query as they were sent; the value of one without `=` is empty.
pub fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| match memchr::memchr(b'=', pair) {
        Some(at) => {
            let (name, rest) = pair.split_at_checked(at).unwrap_or_default();
            (name, rest.get(1..).unwrap_or_default())
        }
        None => (pair, &[][..]),
    })
}

/// The bytes that a name or value of a query stands for: `+` is a space, `%41` is `A`. What is no
/// escape stands for itself.
pub fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw.iter();
    std::iter::from_fn(move || {
        let byte = *rest.next()?;
        if byte == b'+' {
            return Some(b' ');
        }
        if byte == b'%'
            && let [high, low, ..] = rest.as_slice()
            && let Some(value) = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low)
        {
            rest.nth(1);
            return Some(value);
        }
        Some(byte)
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs: Vec<_> = pairs.map(|(a, b)| format!("{}:{}", text(a), text(b))).collect();
        pairs.join("|")
    }

    #[test]
    fn cookies_of_a_field() {
        for (value, expected) in [
            ("a=1; b=2", "a:1|b:2"),
            ("a=1;b=2=3;; c ;\td=\" x\" ", "a:1|b:2=3|d:\" x\""),
            ("=x; a=", ":x|a:"),
            ("", ""),
        ] {
            assert_eq!(shown(cookies(value.as_bytes())), expected, "{value}");
        }
    }

    #[test]
    fn parameters_of_a_query() {
        for (query, expected) in
            [("a=1&b=2", "a:1|b:2"), ("a&&=x&b=c=d&", "a:|:x|b:c=d"), ("a;b=1", "a;b:1"), ("", "")]
        {
            assert_eq!(shown(parameters(query.as_bytes())), expected, "{query}");
        }
    }

    #[test]
    fn escapes_stand_for_bytes() {
        for (raw, expected) in [
            ("a+b%20c", "a b c"),
            ("%41%6a%4A", "AjJ"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%%341", "%41"),
            ("%2B", "+"),
            ("%c3%a9", "é"),
        ] {
            let found: Vec<u8> = decoded(raw.as_bytes()).collect();
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{raw}");
        }
    }
}
