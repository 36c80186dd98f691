//! The folder with the files: who may use it, and what is done to one file. Blocks: only for the
//! threads of the tier.
//!
//! A file is written under another name and then renamed: what has its right name was complete when
//! the process ended, whatever ended it. After a power cut it may yet have holes, which checksums tell.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::super::stored::{Body, Label};
use super::format::{
    Bad, PLAN, Page, Plan, Slot, read_front, read_sums, sums, write_page, write_slot,
};
use crate::net::private_folder;

/// Folders that the files are dealt out to.
pub(super) const PARTS: u64 = 256;

/// Where files are before they are complete.
const UNFINISHED: &str = "unfinished";

/// What keeps other processes away.
const LOCK: &str = "lock";

/// Bytes of a file that are read first: plan and slots, as a rule.
const FIRST_READ: usize = 4096;

/// A folder that is one process's alone.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The system lets go of it when the process ends, whatever ended it.
    lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub enum FolderError {
    /// The system refused.
    System(io::Error),
    /// Others could put answers there.
    Open,
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "{error}"),
            Self::Open => f.write_str("others can write to it: chmod go-w"),
        }
    }
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Why nothing can be had of a file.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not there any more.
    Gone,
    Bad(Bad),
    System(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            // It is shorter than it says.
            io::ErrorKind::UnexpectedEof => Self::Bad(Bad::Damaged),
            _ => Self::System(error),
        }
    }
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

/// The beginning of a file, checked.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) file: File,
    pub(super) plan: Plan,
    pub(super) page: Page,
    slot: Slot,
    generation: u64,
}

/// A body that can be read.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    pub(super) plan: Plan,
    sums: Box<[u32]>,
}

/// The bytes of the file of an answer.
pub(super) struct Draft<'a> {
    pub(super) key: &'a [u8],
    pub(super) url: &'a [u8],
    pub(super) stale_since: u64,
    pub(super) label: &'a Label,
    pub(super) body: &'a Body,
}

impl Draft<'_> {
    /// The plan and both slots and the checksums; `None`: the head is too large.
    fn front(&self, id: u64) -> Option<Vec<u8>> {
        let page = write_page(self.key, self.url, self.stale_since, self.label);
        let (sums, sum) = sums(self.body.slices(0, self.body.length));
        let plan = Plan::new(id, page.len(), self.body.length, sum)?;
        let mut front = plan.write();
        front.extend_from_slice(&write_slot(&plan, 1, &page)?);
        front.resize(plan.front(), 0);
        front.extend_from_slice(&sums);
        Some(front)
    }
}

impl Folder {
    /// Opens a folder, or makes it. It is to be taken before anything is done to its files.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        private_folder(path)?;
        if fs::metadata(path)?.permissions().mode() & 0o022 != 0 {
            return Err(FolderError::Open);
        }
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))?;
        let folder = Self { path: path.to_owned(), lock };
        private_folder(&path.join(UNFINISHED))?;
        for part in 0..PARTS {
            private_folder(&folder.part(part))?;
        }
        Ok(folder)
    }

    /// Takes the folder for this process; false: another one has it.
    pub(super) fn take(&self) -> io::Result<bool> {
        match self.lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn part(&self, part: u64) -> PathBuf {
        self.path.join(format!("{part:02x}"))
    }

    fn file(&self, id: u64) -> PathBuf {
        self.part(id % PARTS).join(format!("{id:016x}"))
    }

    fn unfinished(&self, id: u64) -> PathBuf {
        self.path.join(UNFINISHED).join(format!("{id:016x}"))
    }

    /// Throws away what was not finished when the last process ended.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join(UNFINISHED))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// The files of a part. What has another name than ours is left alone.
    pub(super) fn list(&self, part: u64) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.part(part))? {
            let name = entry?.file_name();
            let name = name.to_str().filter(|name| name.len() == 16);
            let id = name.and_then(|name| u64::from_str_radix(name, 16).ok());
            found.extend(id.filter(|id| id % PARTS == part));
        }
        Ok(found)
    }

    /// Writes the file of an answer, which is not there for readers before [`Folder::publish`]. How
    /// many bytes it has; `None`: its head is too large.
    pub(super) fn write(&self, id: u64, draft: &Draft<'_>) -> io::Result<Option<u64>> {
        let Some(front) = draft.front(id) else { return Ok(None) };
        let path = self.unfinished(id);
        let written = (|| {
            let mut file =
                OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
            file.write_all(&front)?;
            for slice in draft.body.slices(0, draft.body.length) {
                file.write_all(slice)?;
            }
            Ok(Some(front.len() as u64 + draft.body.length))
        })();
        if written.is_err() {
            // What is left of it is swept at the next start at the latest.
            _ = fs::remove_file(&path);
        }
        written
    }

    /// Gives a file that was written its name.
    pub(super) fn publish(&self, id: u64) -> io::Result<()> {
        fs::rename(self.unfinished(id), self.file(id))
    }

    /// Throws a file away that was written and not published.
    pub(super) fn discard(&self, id: u64) {
        // As above.
        _ = fs::remove_file(self.unfinished(id));
    }

    /// Throws a file away.
    pub(super) fn remove(&self, id: u64) -> io::Result<()> {
        match fs::remove_file(self.file(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// What was thrown away stays away, even after a power cut.
    pub(super) fn settle(&self, part: u64) -> io::Result<()> {
        File::open(self.part(part))?.sync_all()
    }

    /// Reads and checks the beginning of a file.
    pub(super) fn front(&self, id: u64) -> Result<Front, Fault> {
        self.front_of(File::open(self.file(id))?, id)
    }

    fn front_of(&self, file: File, id: u64) -> Result<Front, Fault> {
        let length = file.metadata()?.len();
        let first = usize::try_from(length).unwrap_or(FIRST_READ).min(FIRST_READ);
        let mut front = vec![0; first];
        file.read_exact_at(&mut front, 0)?;
        let plan = Plan::read(&front)?;
        if plan.id != id || plan.length() != length {
            return Err(Bad::Damaged.into());
        }
        front.resize(plan.front(), 0);
        let rest = front.get_mut(first..).unwrap_or_default();
        file.read_exact_at(rest, first as u64)?;
        let (page, slot, generation) = read_front(&plan, &front)?;
        Ok(Front { file, plan, page, slot, generation })
    }

    /// Writes what is known of an answer anew: `label` where it is another one, and since when it
    /// is stale. False: there is no room for it in the file.
    pub(super) fn renew(
        &self,
        id: u64,
        label: Option<&Label>,
        stale_since: u64,
    ) -> Result<bool, Fault> {
        let file = OpenOptions::new().read(true).write(true).open(self.file(id))?;
        let front = self.front_of(file, id)?;
        let Page { key, url, label: old, .. } = &front.page;
        let page = write_page(key, url, stale_since, label.unwrap_or(old));
        let Some(slot) = write_slot(&front.plan, front.generation + 1, &page) else {
            return Ok(false);
        };
        front.file.write_all_at(&slot, front.plan.slot_at(front.slot.other()))?;
        Ok(true)
    }
}

impl Blocks {
    /// Of a file whose beginning is good; and what is known of the answer.
    pub(super) fn of(front: Front) -> Result<(Self, Page), Fault> {
        let Front { file, plan, page, .. } = front;
        let mut bytes = vec![0; usize::try_from(4 * plan.blocks()).map_err(|_| Bad::Damaged)?];
        file.read_exact_at(&mut bytes, plan.block_at(0) - 4 * plan.blocks())?;
        let sums = read_sums(&plan, &bytes).ok_or(Bad::Damaged)?;
        Ok((Self { file, plan, sums }, page))
    }

    /// A block of the body, checked.
    pub(super) fn read(&self, number: u64) -> Result<Vec<u8>, Fault> {
        let mut block = vec![0; self.plan.block_length(number)];
        self.file.read_exact_at(&mut block, self.plan.block_at(number))?;
        let sum = usize::try_from(number).ok().and_then(|at| self.sums.get(at));
        if sum != Some(&crc32fast::hash(&block)) {
            return Err(Bad::Damaged.into());
        }
        Ok(block)
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
pub(super) mod tests;

/// Bytes in front of which nothing of a file can be told.
const _: () = assert!(PLAN <= FIRST_READ);
