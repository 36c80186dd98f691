//! Bodies that are taken in before the other side takes them: requests whole ([`take_in`]), so that a
//! slow client holds no member, and answers at the member's speed ([`Hold`]), for the same end.
//!
//! A body is in memory first, then in a file (`spill.rs`), within bounds of its own and of the process
//! (`room.rs`).

mod hold;
mod intake;
mod memory;
mod room;
mod spill;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{BodyRoom, Config};
use crate::ids::WorkerId;
use crate::net::{Files, Size};
use crate::stats::{Counter, Row};

use memory::{Full, Memory};
use spill::Spill;

pub(super) use hold::{Hold, Rest, hold, relay};
pub(super) use intake::{Intake, Taken, resend, take_in};
use room::Room;

/// What workers share of the bodies.
#[derive(Debug)]
pub struct SharedBuffers {
    room: Arc<Room>,
    folder: Option<Arc<Path>>,
}

impl SharedBuffers {
    /// `None`: no route buffers.
    #[must_use]
    pub fn new(config: &Config) -> Option<Arc<Self>> {
        let buffers = &config.server.buffers;
        config.buffers().then(|| {
            let folder = buffers.folder.as_deref().map(Arc::from);
            Arc::new(Self { room: Arc::new(Room::new(buffers)), folder })
        })
    }
}

/// One worker's part of the bodies.
#[derive(Debug)]
pub struct BufferHand {
    shared: Arc<SharedBuffers>,
    files: Option<Rc<Files>>,
    row: Arc<Row>,
    own: WorkerId,
}

impl BufferHand {
    /// Without `files` nothing goes to disk.
    #[must_use]
    pub const fn new(
        shared: Arc<SharedBuffers>,
        files: Option<Rc<Files>>,
        row: Arc<Row>,
        own: WorkerId,
    ) -> Self {
        Self { shared, files, row, own }
    }

    /// Tells how much is taken; one worker for all.
    pub fn housekeep(&self) {
        if self.own.0 == 0 {
            let (memory, disk) = self.shared.room.taken();
            self.row.set(Counter::BufferMemory, memory);
            self.row.set(Counter::BufferDisk, disk);
        }
    }

    fn memory(&self, room: BodyRoom, first: Size) -> Memory {
        Memory::new(&self.shared.room, room.memory, first)
    }

    fn spill(&self, room: BodyRoom) -> Option<Spill> {
        let place = self.files.as_ref().zip(self.shared.folder.as_ref());
        let place = place.filter(|_| room.disk > 0)?;
        Some(Spill::new(place, &self.shared.room, room.disk, &self.row))
    }
}

/// There was no room for a body.
fn count_full(row: &Row, over: Counter, full: Full) {
    row.add(over, 1);
    if full == Full::All {
        row.add(Counter::BuffersFull, 1);
    }
}
