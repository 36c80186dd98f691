//! The bytes of bodies: a pattern that repeats after a prime number of them, so that a byte that is
//! lost, doubled or out of place changes the checksum.

/// Answers up to this size go out in one send; larger ones in pieces of it.
pub(super) const PIECE: usize = 256 * 1024;
const PERIOD: usize = 8191;
static FILLER: [u8; PIECE + PERIOD] = pattern();

#[allow(clippy::indexing_slicing, reason = "checked when compiled")]
const fn pattern() -> [u8; PIECE + PERIOD] {
    let mut bytes = [0; PIECE + PERIOD];
    let mut state = 1_u32;
    let mut at = 0;
    while at < PERIOD {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[at] = b'0' + (state >> 24) as u8 % 75; // printable: 0 to z
        at += 1;
    }
    while at < PIECE + PERIOD {
        bytes[at] = bytes[at - PERIOD];
        at += 1;
    }
    bytes
}

/// At most `PIECE` bytes of a body from `offset` on, of which `left` are left.
pub(super) fn piece(offset: u64, left: u64) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    FILLER.get(start..start + length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other() {
        let whole = piece(0, PIECE as u64);
        assert_eq!(whole.len(), PIECE);
        for (offset, length) in [(0, 10), (10, 100), (8190, 5), (8191, 5), (100_000, 1000)] {
            assert_eq!(piece(offset as u64, length as u64), &whole[offset..offset + length]);
        }
        assert!(whole.iter().all(u8::is_ascii_graphic));
        assert_ne!(whole[..64], whole[64..128]);
    }
}
