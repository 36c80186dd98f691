//! The part of a body that is on disk: in a file without a name, which is used round and round, so that
//! it never grows beyond its bound. Others do the work: see `net/files.rs`.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::memory::Full;
use super::room::{Charge, Of, Room};
use crate::net::{Buffer, Files, Size, Stream, Unrun, nameless_file, sleep};
use crate::stats::{Counter, Reason, Row};

/// Between two looks whether a job may be handed over.
const PAUSE: Duration = Duration::from_millis(10);

/// How often that is looked at until a body is not written: a second.
const LOOKS: usize = 100;

/// How long a disk may take for a piece of a body, and how long a read waits until it may begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a read looks.
const READ_LOOKS: usize = (PATIENCE.as_millis() / PAUSE.as_millis()) as usize;

/// What one read brings at the most.
const READ: Size = Size::Large;

/// Why a body cannot be written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSpill {
    /// There is no room.
    Full(Full),
    /// It failed, and is not tried again.
    Failed,
    /// The bytes are lost, for this reason.
    Lost(Reason),
}

/// A body's file, from its first byte there on.
#[derive(Debug)]
pub(super) struct Spill {
    files: Rc<Files>,
    folder: Arc<Path>,
    room: Arc<Room>,
    row: Arc<Row>,
    /// Taken when the body is over, so that the file is never closed here.
    disk: Option<Arc<OnDisk>>,
    /// Bytes that the file may have.
    most: u64,
    /// Bytes written so far, and of them those that are not needed any more.
    written: Cell<u64>,
    used: Cell<u64>,
    /// Behind those that are written.
    writing: Cell<bool>,
    spilled: Cell<bool>,
    failed: Cell<bool>,
    patience: Duration,
}

/// The file, once there is one, and the room that it takes until it is closed.
#[derive(Debug)]
struct OnDisk {
    file: OnceLock<File>,
    /// As many bytes as it has had at most.
    charge: Charge,
}

impl OnDisk {
    fn write(&self, folder: &Path, (at, most): (u64, u64), data: &[u8]) -> io::Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = nameless_file(folder)?;
                self.file.get_or_init(|| file)
            }
        };
        each_part((at, most), data.len(), |part, offset| {
            file.write_all_at(data.get(part).unwrap_or_default(), offset)
        })
    }

    fn read(&self, (at, most): (u64, u64), data: &mut [u8]) -> io::Result<()> {
        let file = self.file.get().ok_or(io::ErrorKind::NotFound)?;
        each_part((at, most), data.len(), |part, offset| {
            file.read_exact_at(data.get_mut(part).unwrap_or_default(), offset)
        })
    }
}

impl Spill {
    pub(super) fn new(
        (files, folder): (&Rc<Files>, &Arc<Path>),
        room: &Arc<Room>,
        most: u64,
        row: &Arc<Row>,
    ) -> Self {
        let charge = Charge::none(room, Of::Disk);
        Self {
            files: Rc::clone(files),
            folder: Arc::clone(folder),
            room: Arc::clone(room),
            row: Arc::clone(row),
            disk: Some(Arc::new(OnDisk { file: OnceLock::new(), charge })),
            most,
            written: Cell::new(0),
            used: Cell::new(0),
            writing: Cell::new(false),
            spilled: Cell::new(false),
            failed: Cell::new(false),
            patience: PATIENCE,
        }
    }

    /// Bytes that are still needed.
    pub(super) fn len(&self) -> u64 {
        self.written.get() - self.used.get()
    }

    /// Where the first of them lies, in bytes ever written.
    pub(super) fn start(&self) -> u64 {
        self.used.get()
    }

    /// Whether so many bytes more may be written; they have their room then.
    fn admit(&self, disk: &OnDisk, bytes: u64) -> Result<(), NoSpill> {
        if self.failed.get() {
            return Err(NoSpill::Failed);
        }
        if self.len() + bytes > self.most {
            return Err(NoSpill::Full(Full::Body));
        }
        let extent = (self.written.get() + bytes).min(self.most);
        let more = extent.saturating_sub(disk.charge.bytes());
        if more > 0 && !disk.charge.grow(more) {
            return Err(NoSpill::Full(Full::All));
        }
        Ok(())
    }

    /// Writes all of `data`, which is empty then. One at a time; who drops it half done drops the body.
    pub(super) async fn write(&self, data: &mut Buffer) -> Result<(), NoSpill> {
        let Some(disk) = &self.disk else { return Err(NoSpill::Failed) };
        self.admit(disk, data.len() as u64)?;
        if self.files.is_stuck() || !self.has_a_job_within(LOOKS).await {
            // The disk does not answer, or is too slow. It may be faster later.
            self.row.add(Counter::SpillFailures, 1);
            return Err(NoSpill::Failed);
        }
        let (buffer, disk, folder) =
            (std::mem::take(data), Arc::clone(disk), Arc::clone(&self.folder));
        let place = (self.written.get(), self.most);
        let work = move || {
            let done = disk.write(&folder, place, buffer.data());
            (buffer, done)
        };
        self.writing.set(true);
        let ran = self.files.run(self.patience, work).await;
        self.writing.set(false);
        let (buffer, done) = ran.map_err(|unrun| NoSpill::Lost(self.lost(unrun)))?;
        *data = buffer;
        match done {
            Ok(()) => {
                self.row.add(Counter::BodiesSpilled, u64::from(!self.spilled.replace(true)));
                self.written.set(self.written.get() + data.len() as u64);
                data.clear();
                Ok(())
            }
            Err(error) => {
                self.fail(&error);
                Err(NoSpill::Failed)
            }
        }
    }

    fn fail(&self, error: &io::Error) {
        self.failed.set(true);
        self.row.add(Counter::SpillFailures, 1);
        if self.room.may_tell(Stream::tick()) {
            tracing::warn!(folder = %self.folder.display(), %error, "a body on disk failed");
        }
    }

    /// Reads bytes from `at` on, which must be needed still; at least one, as there is.
    pub(super) async fn read(&self, at: u64) -> Result<Buffer, Reason> {
        let left = self.written.get().saturating_sub(at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(READ.bytes());
        let Some(disk) = self.disk.as_ref().filter(|_| left > 0) else {
            return Err(Reason::BufferLost);
        };
        if !self.has_a_job_within(READ_LOOKS).await {
            return Err(self.lost(Unrun::Late));
        }
        let (mut buffer, disk, place) = (Buffer::take(READ), Arc::clone(disk), (at, self.most));
        let work = move || {
            buffer.tail().resize(count, 0);
            let done = disk.read(place, buffer.tail());
            (buffer, done)
        };
        match self.files.run(self.patience, work).await {
            Ok((buffer, Ok(()))) => Ok(buffer),
            Ok((_, Err(error))) => {
                self.fail(&error);
                Err(Reason::BufferLost)
            }
            Err(unrun) => Err(self.lost(unrun)),
        }
    }

    /// Bytes that no job brings any more.
    fn lost(&self, unrun: Unrun) -> Reason {
        self.fail(&unrun.into());
        if unrun == Unrun::Late { Reason::BufferStalled } else { Reason::BufferLost }
    }

    /// So many bytes more are not needed any more. Where that are all, the file is used from its
    /// beginning again.
    pub(super) fn consume(&self, count: u64) {
        self.used.set((self.used.get() + count).min(self.written.get()));
        if self.len() == 0 && !self.writing.get() {
            self.written.set(0);
            self.used.set(0);
        }
    }

    async fn has_a_job_within(&self, looks: usize) -> bool {
        for _ in 0..looks {
            if self.files.has_room() {
                return true;
            }
            sleep(PAUSE).await;
        }
        false
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // Where there is no file yet, one that is on its way is closed by who opens it.
        if let Some(disk) = self.disk.take().filter(|disk| disk.file.get().is_some()) {
            self.files.dispose(disk);
        }
    }
}

/// Does something with each part of the file that has the `count` bytes from `at` on: one, or two
/// where they go over its end.
fn each_part(
    (at, most): (u64, u64),
    count: usize,
    mut each: impl FnMut(Range<usize>, u64) -> io::Result<()>,
) -> io::Result<()> {
    let offset = at.checked_rem(most).unwrap_or(0);
    let first = usize::try_from(most - offset).unwrap_or(usize::MAX).min(count);
    each(0..first, offset)?;
    if first < count { each(first..count, 0) } else { Ok(()) }
}

#[cfg(test)]
#[path = "spill_tests.rs"]
mod tests;
