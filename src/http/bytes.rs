//! Classes of bytes and the scans of the hot path: tokens by table, field values eight at a time.
//!
//! Must not know what a line or a head is.

/// A `token` byte (RFC 9110 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// A byte that a request target may hold: visible ASCII without `#` and `\`.
pub(super) const TARGET: u8 = 2;
/// A byte of a registered name: unreserved or a sub-delimiter, without the comma.
pub(super) const HOST: u8 = 4;
/// An unreserved byte (RFC 3986 2.3).
pub(super) const UNRESERVED: u8 = 8;
/// A byte that a quoted string holds as it is (`qdtext`, RFC 9110 5.6.4).
pub(super) const QUOTED: u8 = 16;
/// A byte of a field value or a reason phrase: HTAB, SP, visible ASCII, obs-text.
pub(super) const TEXT: u8 = 32;
/// A byte of a path that needs no second look: of a target, but none of `?`, `%` and `.`.
pub(super) const PLAIN: u8 = 64;
/// A byte of a label: of [`HOST`], but neither the dot nor an upper-case letter.
pub(super) const LABEL: u8 = 128;

static CLASS: [u8; 256] = build();

const fn build() -> [u8; 256] {
    let mut table = [0; 256];
    let mut rest: &mut [u8] = &mut table;
    let mut byte = 0u8;
    while let Some((first, tail)) = rest.split_first_mut() {
        *first = classes_of(byte);
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    table
}

const fn classes_of(byte: u8) -> u8 {
    let mut class = 0;
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        class |= UNRESERVED | HOST;
    }
    if matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=') {
        class |= HOST;
    }
    if byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
    {
        class |= TOKEN;
    }
    if byte.is_ascii_graphic() && byte != b'#' && byte != b'\\' {
        class |= TARGET;
        if !matches!(byte, b'?' | b'%' | b'.') {
            class |= PLAIN;
        }
    }
    if class & HOST != 0 && byte != b'.' && !byte.is_ascii_uppercase() {
        class |= LABEL;
    }
    if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
        class |= TEXT;
        if byte != b'"' && byte != b'\\' {
            class |= QUOTED;
        }
    }
    class
}

/// Whether `byte` belongs to one of the classes `class`.
#[inline]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASS.get(usize::from(byte)).is_some_and(|have| have & class != 0)
}

/// How many bytes at the start of `bytes` belong to `class`.
#[inline]
pub(super) fn run(bytes: &[u8], class: u8) -> usize {
    let mut rest = bytes;
    // Of a block of known size the compiler makes a few instructions a byte, without a loop.
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        if let Some(at) = chunk.iter().position(|&byte| !is(byte, class)) {
            return bytes.len() - rest.len() + at;
        }
        rest = tail;
    }
    let at = rest.iter().position(|&byte| !is(byte, class));
    bytes.len() - rest.len() + at.unwrap_or(rest.len())
}

/// Whether `bytes` is a non-empty token.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is(byte, TOKEN))
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// The high bit of each byte of `word`, which has none set, that is `from` or above.
#[inline]
const fn at_least(word: u64, from: u8) -> u64 {
    // Without their high bits no byte carries into the next.
    (word + ONES * (0x80 - from) as u64) & HIGH
}

/// `bytes` from the first block of sixteen on that holds a byte which `stops`. Without branches in
/// `stops`, with `|` and `&` alone, a block is a handful of vector instructions.
#[inline]
fn skip_chunks(bytes: &[u8], stops: impl Fn(u8) -> bool) -> &[u8] {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<16>()
        && !chunk.iter().fold(false, |hit, &byte| hit | stops(byte))
    {
        rest = tail;
    }
    rest
}

/// How many bytes at the start of `bytes` are [`TARGET`].
#[inline]
pub(super) fn target_run(bytes: &[u8]) -> usize {
    let rest = skip_chunks(bytes, is_outside_target);
    bytes.len() - rest.len() + run(rest, TARGET)
}

/// How many bytes at the start of `bytes` are [`PLAIN`].
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    // Most are short.
    let (start, rest) = bytes.split_at_checked(16).unwrap_or((bytes, &[]));
    let len = run(start, PLAIN);
    if len < start.len() {
        return len;
    }
    let rest = skip_chunks(rest, |byte| {
        is_outside_target(byte) | (byte == b'?') | (byte == b'%') | (byte == b'.')
    });
    bytes.len() - rest.len() + run(rest, PLAIN)
}

#[inline]
fn is_outside_target(byte: u8) -> bool {
    (byte <= b' ') | (byte >= 0x7f) | (byte == b'#') | (byte == b'\\')
}

/// How many bytes at the start of `bytes` are [`TEXT`]: the length of a field value that a CR ends.
#[inline]
pub(super) fn text_run(bytes: &[u8]) -> usize {
    let mut rest = skip_chunks(bytes, |byte| (byte < b' ') | (byte == 0x7f));
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // Bytes from 0x80 are text whatever their low bits are.
        let low = word & !HIGH;
        let hits = (at_least(low, 0x7f) | (at_least(low, b' ') ^ HIGH)) & !word;
        if hits == 0 {
            rest = tail;
            continue;
        }
        let skip = hits.trailing_zeros() as usize / 8;
        let Some((&b'\t', after)) = rest.get(skip..).and_then(<[u8]>::split_first) else {
            return bytes.len() - rest.len() + skip;
        };
        rest = after;
    }
    bytes.len() - rest.len() + run(rest, TEXT)
}

/// `bytes` without the spaces and tabs at both ends (OWS, RFC 9110 5.6.3).
#[inline]
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// `bytes` without the spaces and tabs at the start.
#[inline]
pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// `bytes` without the spaces and tabs at the end.
#[inline]
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The number that `digits` writes: ASCII digits alone, at least one, at most `i64::MAX`, so that no
/// reader with signed lengths disagrees. `Err(true)` when it is only too large.
pub(super) fn decimal(digits: &[u8]) -> Result<u64, bool> {
    // No 18 digits exceed `i64::MAX`.
    if let 1..=18 = digits.len() {
        let add = |number, digit: &u8| match digit.wrapping_sub(b'0') {
            value @ 0..=9 => Some(number * 10 + u64::from(value)),
            _ => None,
        };
        return digits.iter().try_fold(0, add).ok_or(false);
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(false);
    }
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    number.filter(|&number| i64::try_from(number).is_ok()).ok_or(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn token_bytes_are_those_of_the_rfc() {
        let tokens: Vec<u8> = (0..=255).filter(|&byte| is(byte, TOKEN)).collect();
        let mut expected: Vec<u8> = b"!#$%&'*+-.^_`|~".iter().copied().chain(b'0'..=b'9').collect();
        expected.extend(b'a'..=b'z');
        expected.extend(b'A'..=b'Z');
        expected.sort_unstable();
        assert_eq!(tokens, expected);
    }

    #[test]
    fn text_stops_at_each_control_wherever_it_stands() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut bytes = vec![b'a'; 20];
                bytes[at] = byte;
                let text = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
                assert_eq!(text_run(&bytes), if text { 20 } else { at }, "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn runs_in_blocks_stop_where_the_table_says() {
        for byte in 0..=255u8 {
            for at in 0..40 {
                let mut bytes = vec![b'a'; 40];
                bytes[at] = byte;
                let len = |class| bytes.iter().take_while(|&&byte| is(byte, class)).count();
                assert_eq!(run(&bytes, TOKEN), len(TOKEN), "{byte:#x} at {at}");
                assert_eq!(target_run(&bytes), len(TARGET), "{byte:#x} at {at}");
                assert_eq!(plain_run(&bytes), len(PLAIN), "{byte:#x} at {at}");
                assert_eq!(text_run(&bytes), len(TEXT), "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn decimals() {
        let cases: [(&[u8], Result<u64, bool>); 9] = [
            (b"0", Ok(0)),
            (b"0042", Ok(42)),
            (b"9223372036854775807", Ok(i64::MAX as u64)),
            (b"9223372036854775808", Err(true)),
            (b"18446744073709551616", Err(true)),
            (b"", Err(false)),
            (b"+1", Err(false)),
            (b"0x1", Err(false)),
            (b"1 ", Err(false)),
        ];
        for (digits, expected) in cases {
            assert_eq!(decimal(digits), expected, "{digits:?}");
        }
    }

    proptest! {
        #[test]
        fn text_run_equals_the_naive_scan(bytes in prop::collection::vec(
            prop_oneof![8 => 0x20..=0xffu8, 1 => any::<u8>(), 1 => Just(b'\t')], 0..64)) {
            let text = bytes.iter().take_while(|&&byte| is(byte, TEXT)).count();
            prop_assert_eq!(text_run(&bytes), text);
            prop_assert_eq!(run(&bytes, TEXT), text);
        }
    }
}
