//! Files that may change while they are in use.
//!
//! A file counts as changed when it looked the same at two looks in a row: it is then no longer being
//! written. Looking blocks: for the control thread.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells that a file is another one: its number, size and times of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    number: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// How a file looks now; `None`: it is not there.
#[must_use]
pub fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp {
        number: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

/// A file, and how it looked.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    taken: Option<Stamp>,
    seen: Option<Stamp>,
}

impl WatchedFile {
    /// One that is about to be read: what changes meanwhile is noticed.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let stamp = stamp(path);
        Self { path: path.to_owned(), taken: stamp, seen: stamp }
    }

    /// One that was read at an unknown time: it is as good as changed.
    #[must_use]
    pub fn unknown(path: &Path) -> Self {
        Self { path: path.to_owned(), taken: None, seen: stamp(path) }
    }

    /// Which.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at it: whether there is something new to be read, which is told once.
    pub fn has_changed(&mut self) -> bool {
        let now = stamp(&self.path);
        let stable = now == self.seen;
        self.seen = now;
        if !stable || self.seen == self.taken {
            return false;
        }
        self.taken = self.seen;
        true
    }
}

/// Looks at all of them: whether there is something new to be read of any.
pub fn any_changed(files: &mut [WatchedFile]) -> bool {
    // Each of them is to be looked at, whatever the one before it said.
    files.iter_mut().fold(false, |any, file| file.has_changed() | any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_when_the_file_is_no_longer_written() {
        let path = std::env::temp_dir().join(format!("ringway-stamp-{}", std::process::id()));
        let write = |text: &str| fs::write(&path, text).unwrap();
        write("a");
        let (mut file, mut unknown) = (WatchedFile::new(&path), WatchedFile::unknown(&path));
        assert!(!file.has_changed());
        assert_eq!([unknown.has_changed(), unknown.has_changed()], [true, false]);
        let mut both = [WatchedFile::unknown(&path), WatchedFile::unknown(&path)];
        assert_eq!([any_changed(&mut both), any_changed(&mut both)], [true, false]);
        write("ab");
        assert!(!file.has_changed());
        write("abc");
        let looks: Vec<_> = (0..4).map(|_| file.has_changed()).collect();
        assert_eq!(looks, [false, true, false, false]);
        fs::remove_file(&path).unwrap();
        let looks: Vec<_> = (0..3).map(|_| file.has_changed()).collect();
        assert_eq!(looks, [false, true, false]);
    }
}
