//! Base64 (RFC 4648) read strictly: one text for each sequence of bytes. What a signature covers must
//! have no second spelling.

/// What stands for 62 and 63, and whether texts are filled up with `=`.
struct Form {
    last: [u8; 2],
    padded: bool,
}

/// The standard alphabet, filled up.
#[must_use]
pub fn standard(text: &[u8]) -> Option<Vec<u8>> {
    decode(text, &Form { last: *b"+/", padded: true })
}

/// The alphabet of URLs, not filled up, as JOSE has it (RFC 7515 section 2).
#[must_use]
pub fn url(text: &[u8]) -> Option<Vec<u8>> {
    decode(text, &Form { last: *b"-_", padded: false })
}

fn decode(text: &[u8], form: &Form) -> Option<Vec<u8>> {
    let text = if form.padded { unpadded(text)? } else { text };
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            bits = bits << 6 | u32::from(value(*byte, form)?);
        }
        let bytes = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        let bits = bits << (6 * (4 - group.len()));
        let [_, decoded @ ..] = bits.to_be_bytes();
        let (decoded, unused) = decoded.split_at_checked(bytes)?;
        // Bits that stand for nothing are zero.
        if unused.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(decoded);
    }
    Some(out)
}

fn unpadded(text: &[u8]) -> Option<&[u8]> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let text = text.strip_suffix(b"=").unwrap_or(text);
    Some(text.strip_suffix(b"=").unwrap_or(text))
}

fn value(byte: u8, form: &Form) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        _ => Some(62 + u8::try_from(form.last.iter().position(|last| *last == byte)?).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A naive encoder.
    pub(crate) fn encode(bytes: &[u8], url: bool) -> String {
        let last = if url { "-_" } else { "+/" };
        let alphabet: Vec<char> =
            ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(last.chars()).collect();
        let bits: Vec<u8> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        let mut out: String = bits
            .chunks(6)
            .map(|six| (0..6).fold(0, |n, at| n * 2 + usize::from(*six.get(at).unwrap_or(&0))))
            .map(|index| alphabet[index])
            .collect();
        while !url && !out.len().is_multiple_of(4) {
            out.push('=');
        }
        out
    }

    #[test]
    fn texts_of_the_standard() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(standard(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(
                url(text.trim_end_matches('=').as_bytes()).as_deref(),
                Some(bytes.as_bytes())
            );
        }
    }

    #[test]
    fn nothing_has_a_second_spelling() {
        for text in
            ["Zh==", "Zm9=", "Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "-_-_", "Z"]
        {
            assert_eq!(standard(text.as_bytes()), None, "{text}");
        }
        for text in ["Zg==", "Zh", "Zm9", "Z", "+/+/", "Zg "] {
            assert_eq!(url(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_the_naive_encoder_writes_it(bytes: Vec<u8>) {
            let (text, other) = (encode(&bytes, false), encode(&bytes, true));
            prop_assert_eq!(standard(text.as_bytes()), Some(bytes.clone()));
            prop_assert_eq!(url(other.as_bytes()), Some(bytes));
        }

        #[test]
        fn what_is_read_is_written_so(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Some(bytes) = standard(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes, false), text);
            }
        }
    }
}
