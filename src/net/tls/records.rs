//! Where records of TLS begin and end in what was received. Must not know what is in them.

/// Bytes of a record's header: type, version, length.
const HEADER: u8 = 5;

/// Follows the records of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Records {
    /// Bytes of the header seen so far.
    header: u8,
    /// Length of the record, as far as its header was seen; then bytes of it still to come.
    left: u16,
}

impl Records {
    /// Goes on over `bytes`.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            if self.header < HEADER {
                self.header += 1;
                // The length is in the last two.
                self.left = match self.header {
                    4 => u16::from(byte) << 8,
                    5 => self.left | u16::from(byte),
                    _ => 0,
                };
                bytes = bytes.get(1..).unwrap_or_default();
            } else {
                let count = bytes.len().min(usize::from(self.left));
                self.left -= u16::try_from(count).unwrap_or(self.left);
                bytes = bytes.get(count..).unwrap_or_default();
            }
            if self.header == HEADER && self.left == 0 {
                *self = Self::default();
            }
        }
    }

    /// Whether nothing of a record is outstanding.
    pub(super) const fn at_boundary(self) -> bool {
        self.header == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_however_the_bytes_come() {
        let long = [&[22, 3, 3, 1, 2][..], &[7; 258]].concat();
        let stream = [&[23, 3, 3, 0, 3, 1, 2, 3][..], &[21, 3, 3, 0, 0], &long];
        let mut ends = Vec::new();
        let mut at = 0;
        for record in stream {
            at += record.len();
            ends.push(at);
        }
        let bytes = stream.concat();
        for step in [1, 2, 3, 7, 1000] {
            let (mut records, mut seen) = (Records::default(), 0);
            for piece in bytes.chunks(step) {
                records.pass(piece);
                seen += piece.len();
                assert_eq!(records.at_boundary(), ends.contains(&seen), "{step} {seen}");
            }
        }
    }
}
