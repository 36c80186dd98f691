//! The part of a body that is in memory: pieces, first in, first out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::room::{Charge, Of, Room};
use crate::net::{Buffer, Size};

/// A piece where there is no room for a larger one, and the first one of a body that may be small.
pub(super) const SMALL: Size = Size::Medium;

/// The others.
pub(super) const LARGE: Size = Size::Large;

/// Some of a body, with the room that it takes, if any was asked for.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) buffer: Buffer,
    charge: Option<Charge>,
}

impl Piece {
    fn charged(&self) -> u64 {
        self.charge.as_ref().map_or(0, Charge::bytes)
    }
}

/// The pieces of one body.
#[derive(Debug)]
pub(super) struct Memory {
    pieces: VecDeque<Piece>,
    room: Arc<Room>,
    /// Bytes of the room that it may have.
    most: u64,
    /// Bytes of it that the piece has which was popped last.
    lent: u64,
    /// The size of a first piece.
    first: Size,
}

/// Why there is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The body has all that it may have.
    Body,
    /// All bodies together have.
    All,
}

impl Memory {
    pub(super) fn new(room: &Arc<Room>, most: u64, first: Size) -> Self {
        Self { pieces: VecDeque::new(), room: Arc::clone(room), most, lent: 0, first }
    }

    /// Takes all of `data`, or says how much it took and why not more.
    pub(super) fn append(&mut self, data: &[u8]) -> Result<(), (usize, Full)> {
        let mut taken = 0;
        loop {
            if let Some(last) = self.pieces.back_mut() {
                taken += fill(&mut last.buffer, data.get(taken..).unwrap_or_default());
            }
            if taken == data.len() {
                return Ok(());
            }
            self.grow().map_err(|full| (taken, full))?;
        }
    }

    /// One piece more, with room for it.
    fn grow(&mut self) -> Result<(), Full> {
        let own = self.pieces.iter().map(Piece::charged).sum::<u64>() + self.lent;
        let charge = Charge::none(&self.room, Of::Memory);
        let size = if self.pieces.is_empty() { self.first } else { LARGE };
        let mut full = Full::Body;
        for size in [size, SMALL] {
            let bytes = size.bytes() as u64;
            if own + bytes > self.most {
                continue;
            }
            if charge.grow(bytes) {
                self.pieces.push_back(Piece { buffer: Buffer::take(size), charge: Some(charge) });
                return Ok(());
            }
            full = Full::All;
        }
        Err(full)
    }

    /// Takes of `data` as much as one piece has, for which no room is asked: what an exchange holds in
    /// any case. Says how much. Only while there are no pieces.
    pub(super) fn hand_over(&mut self, data: &[u8]) -> usize {
        if !self.pieces.is_empty() {
            return 0;
        }
        let mut buffer = Buffer::take(LARGE);
        let taken = fill(&mut buffer, data);
        self.pieces.push_back(Piece { buffer, charge: None });
        taken
    }

    /// The first piece. It is to be dropped before the next one is asked for, and that is to be told.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front();
        self.lent = piece.as_ref().map_or(0, Piece::charged);
        piece
    }

    /// The piece that was popped last is dropped.
    pub(super) const fn dropped(&mut self) {
        self.lent = 0;
    }

    /// All pieces, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| piece.buffer.data())
    }

    /// Bytes in all pieces.
    pub(super) fn len(&self) -> u64 {
        self.pieces().map(|piece| piece.len() as u64).sum()
    }
}

/// Appends as much as there is room for; says how much.
fn fill(buffer: &mut Buffer, data: &[u8]) -> usize {
    let count = data.len().min(buffer.room());
    buffer.tail().extend_from_slice(data.get(..count).unwrap_or_default());
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BuffersConfig;

    const K: usize = 1 << 10;

    fn room(memory: usize) -> Arc<Room> {
        Arc::new(Room::new(&BuffersConfig { folder: None, memory: memory as u64, disk: 0 }))
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let room = room(1 << 20);
        let mut memory = Memory::new(&room, 1 << 20, SMALL);
        let (mut next, mut all) = (0u32, Vec::new());
        for size in [1, 63 * K, 5, 100 * K, 64 * K, 7] {
            let data: Vec<u8> = (next..next + size as u32).map(|n| n as u8).collect();
            next += size as u32;
            assert_eq!(memory.append(&data), Ok(()));
            all.extend(data);
        }
        assert_eq!(memory.len(), all.len() as u64);
        assert_eq!(memory.pieces().collect::<Vec<_>>().concat(), all);
        // One of 16 KiB, the others of 64.
        assert_eq!(room.taken().0, 16 * K as u64 + 64 * K as u64 * 4);
        let mut out = Vec::new();
        while let Some(piece) = memory.pop() {
            out.extend_from_slice(piece.buffer.data());
        }
        assert_eq!(out, all);
        assert_eq!(room.taken(), (0, 0));
    }

    #[test]
    fn both_bounds_hold() {
        let room = room(256 * K);
        let mut own = Memory::new(&room, 130 * K as u64, SMALL);
        // 16, 64, 16, 16 and 16; nothing has room beside them.
        assert_eq!(own.append(&vec![0; 200 * K]), Err((128 * K, Full::Body)));
        let mut other = Memory::new(&room, 1 << 20, SMALL);
        assert_eq!(other.append(&vec![0; 200 * K]), Err((128 * K, Full::All)));
        assert_eq!(other.hand_over(b"more"), 0);
        assert_eq!(room.taken().0, 256 * K as u64);
        drop(own);
        assert_eq!(other.append(&vec![0; 72 * K]), Ok(()));
    }

    #[test]
    fn what_is_on_its_way_counts() {
        let room = room(1 << 20);
        let mut memory = Memory::new(&room, 64 * K as u64, LARGE);
        assert_eq!(memory.append(&vec![0; 65 * K]), Err((64 * K, Full::Body)));
        let first = memory.pop();
        assert_eq!(memory.append(b"a"), Err((0, Full::Body)));
        drop(first);
        memory.dropped();
        assert_eq!(memory.append(b"a"), Ok(()));
    }

    #[test]
    fn one_piece_needs_no_room() {
        let room = room(0);
        let mut memory = Memory::new(&room, 1 << 20, SMALL);
        assert_eq!(memory.append(b"a"), Err((0, Full::All)));
        assert_eq!(memory.hand_over(&vec![0; 70 * K]), 64 * K);
        assert_eq!(memory.hand_over(b"b"), 0);
        assert_eq!(memory.append(b"b"), Err((0, Full::All)));
        assert!(memory.pop().is_some_and(|piece| piece.buffer.len() == 64 * K));
        assert_eq!(memory.hand_over(b"b"), 1);
        assert_eq!(memory.append(b"c"), Ok(()));
        assert_eq!(room.taken(), (0, 0));
    }
}
