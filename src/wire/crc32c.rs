//! CRC-32C (Castagnoli), which a PROXY header of version 2 may carry. Headers are short and rare: one
//! bit at a time is fast enough.

/// The polynomial 0x1EDC6F41, its bits in reverse.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of `bytes`.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// From RFC 3720 B.4.
    #[test]
    fn known_sums() {
        assert_eq!(crc32c(*b"123456789"), 0xE306_9283);
        assert_eq!(crc32c([0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c([0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(0..32), 0x46DD_794E);
        assert_eq!(crc32c([]), 0);
    }
}
