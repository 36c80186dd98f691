//! The look into the folder when the process starts, on a thread of its own: what is found complete
//! answers from then on. Bodies are not read: their checksums are looked at when they are sent.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::never;

use super::folder::{Fault, Front, PARTS};
use super::format::Bad;
use super::index::Digest;
use super::{Disk, GIVEN_UP, digest_of};

/// Files that were not taken.
#[derive(Debug, Default)]
struct Left {
    damaged: u64,
    other_version: u64,
    unknown: u64,
    unreadable: u64,
}

/// How often it is tried to take a folder that another process has.
const LOOK: Duration = Duration::from_secs(1);

/// Keys that are remembered as given up, at the most; with more of them nothing is taken in.
const REMEMBERED: usize = GIVEN_UP * 16;

/// Waits until the folder is this process's.
pub(super) fn wait(disk: &Disk) {
    while !disk.ours.load(Ordering::SeqCst) {
        match disk.folder.take() {
            Ok(true) => disk.ours.store(true, Ordering::SeqCst),
            Ok(false) | Err(_) => {
                // A pause: nothing ever comes.
                _ = never::<()>().recv_timeout(LOOK);
            }
        }
    }
}

/// Reads the folder, then opens the tier for writing.
pub(super) fn scan(disk: &Disk, zones: &[Digest]) {
    let (mut given_up, mut left) = (HashSet::new(), Left::default());
    if let Err(error) = disk.folder.sweep() {
        disk.note_write(&error);
    }
    for part in 0..PARTS {
        let ids = disk.folder.list(part).unwrap_or_else(|error| {
            disk.note_write(&error);
            Vec::new()
        });
        for id in ids {
            take(disk, id, zones, &mut given_up, &mut left);
        }
    }
    if disk.gave_all_up.load(Ordering::SeqCst) {
        let all = disk.index.meant(&super::Selector::All);
        all.iter().for_each(|entry| disk.index.remove(entry));
    }
    disk.open.store(true, Ordering::SeqCst);
    disk.tally.damaged.fetch_add(left.damaged, Ordering::Relaxed);
    disk.tally.errors.fetch_add(left.unreadable, Ordering::Relaxed);
    let (bytes, files) = disk.filled();
    let folder = disk.config.folder.display();
    let Left { damaged, other_version, unknown, unreadable } = left;
    tracing::info!(
        %folder, files, bytes, damaged, other_version, unknown, unreadable, "cache folder read"
    );
}

fn take(disk: &Disk, id: u64, zones: &[Digest], given_up: &mut HashSet<Digest>, left: &mut Left) {
    let refused = match disk.folder.front(id) {
        Ok(front) => match take_in(disk, &front, zones, given_up) {
            true => None,
            false => Some(&mut left.unknown),
        },
        Err(Fault::Gone) => None,
        Err(Fault::Bad(Bad::OtherVersion)) => Some(&mut left.other_version),
        Err(Fault::Bad(Bad::Damaged)) => Some(&mut left.damaged),
        Err(Fault::System(_)) => Some(&mut left.unreadable),
    };
    if let Some(count) = refused {
        *count += 1;
        if let Err(error) = disk.folder.remove(id) {
            disk.note_write(&error);
        }
    }
}

/// False: it is of no route that caches, or was given up meanwhile.
fn take_in(disk: &Disk, front: &Front, zones: &[Digest], given_up: &mut HashSet<Digest>) -> bool {
    let (page, plan) = (&front.page, &front.plan);
    let zone = page.key.first_chunk::<16>();
    let digest = digest_of(&page.key);
    if !zone.is_some_and(|zone| zones.contains(zone)) || given_up.contains(&digest) {
        return false;
    }
    let (named, bytes) = ((plan.id, digest), (plan.length(), plan.body));
    let stale_since = Some(page.stale_since);
    let entry = disk.index.entry(named, &page.url, &page.label, bytes, stale_since);
    disk.index.put(&entry);
    // Behind that: who gives a key up later finds it in the index.
    for digest in disk.given_up.1.try_iter() {
        disk.index.remove_all(&digest);
        given_up.insert(digest);
    }
    if given_up.len() > REMEMBERED {
        disk.gave_all_up.store(true, Ordering::SeqCst);
        given_up.clear();
    }
    true
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
