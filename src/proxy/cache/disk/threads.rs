//! The threads that may wait for the file system: some read, one writes and throws away, so that what
//! is done to a file is done in order, and what makes room is gone before what takes it comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use crossbeam_channel::{Receiver, Sender, select};

use super::super::stored::{Label, Stored};
use super::folder::{Blocks, Draft, Fault, PARTS};
use super::format::{Bad, Page};
use super::index::{Digest, Entry};
use super::{Disk, scan};
use crate::net::Ringer;

/// Bytes of a piece of a body that is read whole: some blocks.
const PIECE: u64 = 4;

/// What is to be read.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The beginning of a file; `whole`: and the rest.
    Answer { entry: Arc<Entry>, key: Vec<u8>, whole: bool },
    /// One block of a body.
    Block { opened: Arc<Opened>, number: u64 },
}

/// Something to be read, and for whom.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) wanted: Wanted,
    pub(super) ticket: u64,
    pub(super) reply: Ringer<Done>,
}

/// What was read; `None`: it cannot be had.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) ticket: u64,
    pub(super) brought: Option<Brought>,
}

#[derive(Debug)]
pub(super) enum Brought {
    Whole(Box<Page>, Vec<Arc<[u8]>>),
    Opened(Box<Page>, Arc<Opened>),
    Block(Vec<u8>),
}

/// A file that an answer is sent from.
#[derive(Debug)]
pub(in super::super) struct Opened {
    pub(super) entry: Arc<Entry>,
    blocks: Blocks,
    /// Such files that are open.
    streams: Arc<AtomicUsize>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Write {
    /// An answer.
    Answer { entry: Arc<Entry>, key: Box<[u8]>, url: Box<[u8]>, stored: Arc<Stored> },
    /// What is known of an answer has changed.
    Renew { entry: Arc<Entry>, label: Option<Arc<Label>> },
    /// Word is wanted when all that was to be done before is done.
    Settle(Sender<()>),
}

pub(super) fn start(disk: &Arc<Disk>, zones: Vec<Digest>) -> io::Result<()> {
    for number in 0..disk.config.threads {
        let disk = Arc::clone(disk);
        let reads = disk.ends.0.clone();
        // They end with the process.
        Builder::new().name(format!("ringway-read-{number}")).spawn(move || {
            reads.iter().for_each(|read| disk.serve(read));
        })?;
    }
    let writer = Arc::clone(disk);
    Builder::new().name("ringway-write".to_owned()).spawn(move || writer.write_all())?;
    let reader = Arc::clone(disk);
    // Dropped with that thread, whatever becomes of it.
    let scanning = disk.scanning.swap(None);
    Builder::new().name("ringway-scan".to_owned()).spawn(move || {
        scan::wait(&reader);
        scan::scan(&reader, &zones);
        drop(scanning);
    })?;
    Ok(())
}

impl Disk {
    fn serve(&self, Read { wanted, ticket, reply }: Read) {
        let (brought, entry) = match wanted {
            Wanted::Answer { entry, key, whole } => (self.read(&entry, &key, whole), entry),
            Wanted::Block { opened, number } => {
                (opened.blocks.read(number).map(Brought::Block), Arc::clone(&opened.entry))
            }
        };
        if let Err(fault) = &brought {
            self.note(&entry, fault);
        }
        // A worker that is gone wants to know nothing.
        _ = reply.send(Done { ticket, brought: brought.ok() });
    }

    fn read(&self, entry: &Arc<Entry>, key: &[u8], whole: bool) -> Result<Brought, Fault> {
        let (blocks, page) = Blocks::of(self.folder.front(entry.id)?)?;
        if *page.key != *key || blocks.plan.body != entry.length {
            return Err(Bad::Damaged.into());
        }
        let page = Box::new(page);
        if !whole {
            let (streams, entry) = (Arc::clone(&self.streams), Arc::clone(entry));
            streams.fetch_add(1, Ordering::Relaxed);
            return Ok(Brought::Opened(page, Arc::new(Opened { entry, blocks, streams })));
        }
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        for number in 0..blocks.plan.blocks() {
            piece.extend_from_slice(&blocks.read(number)?);
            if number % PIECE == PIECE - 1 {
                pieces.push(Arc::from(piece.as_slice()));
                piece.clear();
            }
        }
        if !piece.is_empty() {
            pieces.push(piece.into());
        }
        Ok(Brought::Whole(page, pieces))
    }

    fn write_all(&self) {
        let (_, writes, trash) = &self.ends;
        let mut emptied = [false; PARTS as usize];
        loop {
            select! {
                recv(trash) -> id => match id {
                    Ok(id) => self.throw_away(id, &mut emptied),
                    Err(_) => return,
                },
                recv(writes) -> write => match write {
                    Ok(write) => {
                        // Room is made first.
                        self.empty(trash, &mut emptied);
                        self.write(write, &mut emptied);
                    }
                    Err(_) => return,
                },
            }
        }
    }

    fn empty(&self, trash: &Receiver<u64>, emptied: &mut [bool]) {
        while let Ok(id) = trash.try_recv() {
            self.throw_away(id, emptied);
        }
    }

    fn throw_away(&self, id: u64, emptied: &mut [bool]) {
        if let Err(error) = self.folder.remove(id) {
            self.note_write(&error);
        }
        let part = emptied.get_mut((id % PARTS) as usize);
        part.into_iter().for_each(|part| *part = true);
    }

    fn write(&self, write: Write, emptied: &mut [bool]) {
        match write {
            Write::Answer { entry, key, url, stored } => {
                if !entry.is_dead() {
                    self.write_answer(&entry, &key, &url, &stored, emptied);
                }
                self.queued.fetch_sub(stored.body.length, Ordering::Relaxed);
            }
            Write::Renew { entry, label } => {
                if entry.is_dead() {
                    return;
                }
                let label = label.as_deref();
                match self.folder.renew(entry.id, label, entry.stale_since()) {
                    Ok(true) => {}
                    Ok(false) => self.index.remove(&entry),
                    Err(fault) => {
                        if let Fault::System(error) = &fault {
                            // What it says is not what is known.
                            self.index.remove(&entry);
                            self.note_write(error);
                        } else {
                            self.note(&entry, &fault);
                        }
                    }
                }
            }
            Write::Settle(done) => {
                for (part, emptied) in (0..PARTS).zip(emptied) {
                    if std::mem::take(emptied)
                        && let Err(error) = self.folder.settle(part)
                    {
                        self.note_write(&error);
                    }
                }
                // Whoever asked may have given up.
                _ = done.send(());
            }
        }
    }

    fn write_answer(
        &self,
        entry: &Entry,
        key: &[u8],
        url: &[u8],
        stored: &Stored,
        emptied: &mut [bool],
    ) {
        let stale_since = entry.stale_since().max(stored.stale_since());
        let (label, body) = (&stored.label, &stored.body);
        let draft = Draft { key, url, stale_since, label, body };
        let written = self.folder.write(entry.id, &draft).and_then(|length| match length {
            Some(_) if entry.is_dead() => {
                self.folder.discard(entry.id);
                Ok(false)
            }
            Some(_) => self.folder.publish(entry.id).map(|()| true),
            None => Ok(false),
        });
        match written {
            Ok(true) => {
                if !self.index.publish(entry) {
                    self.throw_away(entry.id, emptied);
                }
                self.tally.writes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(false) => self.index.remove(entry),
            Err(error) => {
                self.index.remove(entry);
                self.folder.discard(entry.id);
                self.note_write(&error);
            }
        }
    }
}
