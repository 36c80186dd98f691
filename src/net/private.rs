//! Files and folders that are this process's alone. Blocks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names that are tried for a file where the file system knows none without a name.
const NAMES_TRIED: u32 = 16;

/// Makes a folder that only this user may enter, and those on the way to it; one that is there stays as
/// it is.
///
/// # Errors
/// The system refuses.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file in `folder` that nobody finds: it has no name, only this process may read it, and it is gone
/// when it is closed, however the process ends. Blocks.
///
/// # Errors
/// There is no such folder, or nothing can be written there.
pub fn nameless_file(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE | libc::O_CLOEXEC).open(folder) {
        // The file system, or the kernel, does not know how.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)
            ) =>
        {
            unlinked_file(folder, &mut options)
        }
        opened => opened,
    }
}

/// The same by a name that is taken back at once.
fn unlinked_file(folder: &Path, options: &mut OpenOptions) -> io::Result<File> {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    let mut tried = 0;
    loop {
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".ringway-{}-{number}", std::process::id()));
        match options.clone().create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < NAMES_TRIED => {
                tried += 1;
            }
            Err(error) => return Err(error),
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_private_folder_is_made_once() {
        let above = std::env::temp_dir().join(format!("ringway-private-{}", std::process::id()));
        let folder = above.join("a");
        for _ in 0..2 {
            private_folder(&folder).unwrap();
        }
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(folder.join("b"), "").unwrap();
        assert!(private_folder(&folder.join("b")).is_err());
        std::fs::remove_dir_all(&above).unwrap();
    }

    #[test]
    fn a_file_without_a_name_is_private_and_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("ringway-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        for file in [nameless_file(&folder), unlinked_file(&folder, &mut options)] {
            let file = file.unwrap();
            file.write_all_at(b"abc", 5).unwrap();
            let mut read = [0; 3];
            file.read_exact_at(&mut read, 5).unwrap();
            assert_eq!(&read, b"abc");
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        }
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(nameless_file(&folder).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
