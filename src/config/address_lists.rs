//! Lists of addresses in files: read at the start, and again when they change.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::address::{self, CidrError};
use super::address_set::{AddressSet, Verdict};
use super::check_guard::GuardError;
use super::checked::Cidr;
use super::checked_guard::{AccessConfig, AddressSource};
use super::load::words_of;

/// Bytes of a file of addresses.
pub(super) const FILE_MAX: usize = 64 << 20;
/// Addresses and blocks of one `access`.
pub(super) const ENTRIES_MAX: usize = 1_000_000;

impl AccessConfig {
    fn sources(&self) -> impl Iterator<Item = (&AddressSource, Verdict)> {
        let allow = self.allow.iter().map(|source| (source, Verdict::Allow));
        allow.chain(self.deny.iter().map(|source| (source, Verdict::Deny)))
    }

    /// The files of both lists.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources().filter_map(|(source, _)| match source {
            AddressSource::File(path) => Some(path.as_path()),
            AddressSource::Block(_) => None,
        })
    }

    /// Both lists, with what their files have now. Blocks.
    ///
    /// # Errors
    /// The file that is not good, and why.
    pub fn read(&self) -> Result<AddressSet, (PathBuf, GuardError)> {
        let mut blocks = Vec::new();
        for (source, verdict) in self.sources() {
            match source {
                AddressSource::Block(block) => blocks.push((*block, verdict)),
                AddressSource::File(path) => {
                    let wrong = |why| (path.clone(), why);
                    let found = entries(read(path)).map_err(wrong)?;
                    blocks.extend(found.into_iter().map(|block| (block, verdict)));
                    if blocks.len() > ENTRIES_MAX {
                        return Err(wrong(GuardError::TooManyEntries));
                    }
                }
            }
        }
        Ok(AddressSet::new(blocks))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The blocks of a file, one a line; a comment begins with `#`.
pub(super) fn entries(read: io::Result<Vec<u8>>) -> Result<Vec<Cidr>, GuardError> {
    let bytes = read.map_err(|error| GuardError::File(words_of(&error)))?;
    if bytes.len() > FILE_MAX {
        return Err(GuardError::TooManyEntries);
    }
    let mut found = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let entry = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let block = std::str::from_utf8(entry).map_err(|_| CidrError::Address);
        let block = block.and_then(address::cidr);
        found.push(block.map_err(|why| GuardError::Line(number, why))?);
        if found.len() > ENTRIES_MAX {
            return Err(GuardError::TooManyEntries);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_block_a_line() {
        let parse = |text: &[u8]| entries(Ok(text.to_vec()));
        let shown = |text: &[u8]| {
            let blocks = parse(text).unwrap();
            blocks.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" ")
        };
        let text = b"# who\n10.0.0.0/8\r\n\n  192.0.2.7 # one\n2001:db8::/32";
        assert_eq!(shown(text), "10.0.0.0/8 192.0.2.7/32 2001:db8::/32");
        assert_eq!(shown(b""), "");
        assert_eq!(parse(b"10.0.0.1\nexample.com\n"), Err(GuardError::Line(2, CidrError::Address)));
        assert_eq!(parse(b"\xff"), Err(GuardError::Line(1, CidrError::Address)));
        let gone = entries(Err(io::Error::from_raw_os_error(2)));
        assert_eq!(gone, Err(GuardError::File("No such file or directory".to_owned())));
    }
}
