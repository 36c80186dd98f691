//! Byte buffers that the kernel reads into and writes from, kept on a free list per worker.
//!
//! Each worker thread has one free list a size class, bounded; a buffer returns to it when it is
//! dropped.

use std::cell::RefCell;

/// The size classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 1.5 KiB: what a connection holds while it waits for its next request.
    Small,
    /// 16 KiB: heads and small bodies.
    Medium,
    /// 64 KiB: bodies.
    Large,
    /// 66 KiB: 64 KiB in records of TLS.
    Sealed,
}

impl Size {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Small => 1536,
            Self::Medium => 16 << 10,
            Self::Large => 64 << 10,
            Self::Sealed => 66 << 10,
        }
    }

    /// How many unused ones a worker keeps: 1.5, 8, 8 and 4 MiB at the most.
    const fn kept(self) -> usize {
        match self {
            Self::Small => 1024,
            Self::Medium => 512,
            Self::Large => 128,
            Self::Sealed => 64,
        }
    }

    const fn of(capacity: usize) -> Option<Self> {
        match capacity {
            c if c == Self::Small.bytes() => Some(Self::Small),
            c if c == Self::Medium.bytes() => Some(Self::Medium),
            c if c == Self::Large.bytes() => Some(Self::Large),
            c if c == Self::Sealed.bytes() => Some(Self::Sealed),
            _ => None,
        }
    }
}

thread_local! {
    static FREE: RefCell<[Vec<Vec<u8>>; 4]> = const { RefCell::new([const { Vec::new() }; 4]) };
}

/// Bytes between a start and an end: received at the end, consumed at the start.
///
/// The empty buffer (`Buffer::default()`) owns nothing.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// At most `bytes.len()`.
    start: usize,
}

impl Buffer {
    /// An empty buffer of this class, from the free list if there is one.
    #[must_use]
    pub fn take(size: Size) -> Self {
        let kept = FREE.try_with(|free| free.borrow_mut().get_mut(size as usize)?.pop());
        let bytes = match kept {
            Ok(Some(bytes)) => bytes,
            _ => Vec::with_capacity(size.bytes()),
        };
        Self { bytes, start: 0 }
    }

    /// An empty buffer that holds at least `bytes`: of the smallest class that does, or one of
    /// its own beyond them.
    #[must_use]
    pub fn holding(bytes: usize) -> Self {
        match bytes {
            n if n <= Size::Small.bytes() => Self::take(Size::Small),
            n if n <= Size::Medium.bytes() => Self::take(Size::Medium),
            n if n <= Size::Large.bytes() => Self::take(Size::Large),
            n if n <= Size::Sealed.bytes() => Self::take(Size::Sealed),
            n => Self { bytes: Vec::with_capacity(n), start: 0 },
        }
    }

    /// The bytes in hand.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// How many bytes are in hand.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether no byte is in hand.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes can be received without growing.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// All that it holds at the most.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops the first `count` bytes; room is regained when all are gone.
    pub fn consume(&mut self, count: usize) {
        self.start = self.bytes.len().min(self.start.saturating_add(count));
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Keeps only the first `count` bytes in hand.
    pub fn truncate(&mut self, count: usize) {
        self.bytes.truncate(self.start.saturating_add(count));
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Moves the bytes in hand to the front, so that all other room follows them.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Moves the bytes in hand into a buffer that holds at least `bytes`.
    pub fn grow(&mut self, bytes: usize) {
        let mut larger = Self::holding(bytes.max(self.len()));
        larger.bytes.extend_from_slice(self.data());
        *self = larger;
    }

    /// Where the room begins, all of which may be written to.
    pub(super) fn room_ptr(&mut self) -> *mut u8 {
        self.bytes.spare_capacity_mut().as_mut_ptr().cast()
    }

    /// So many bytes of the room now belong to what is in hand.
    ///
    /// # Safety
    /// They were written to.
    pub(super) unsafe fn filled(&mut self, count: usize) {
        let len = self.bytes.len() + count.min(self.room());
        // SAFETY: `len` is at most the capacity and the caller wrote the bytes up to it.
        unsafe { self.bytes.set_len(len) };
    }

    /// Gives the memory back while nothing is in hand; how much [`Buffer::holding`] is to take again.
    pub(super) fn lay_down(&mut self) -> usize {
        let capacity = self.capacity();
        *self = Self::default();
        capacity
    }

    /// The vector to append to; may grow beyond its class (it is then not kept).
    pub const fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    // Many own nothing when they are dropped: that is seen where they are.
    #[inline]
    fn drop(&mut self) {
        if self.bytes.capacity() > 0 {
            give_back(&mut self.bytes);
        }
    }
}

/// Keeps the memory of a buffer for the next one, if it is of a class that has room.
fn give_back(bytes: &mut Vec<u8>) {
    let Some(size) = Size::of(bytes.capacity()) else { return };
    // While the thread ends there is no list any more: the buffer is freed.
    _ = FREE.try_with(|free| {
        if let Some(list) = free.borrow_mut().get_mut(size as usize)
            && list.len() < size.kept()
        {
            bytes.clear();
            list.push(std::mem::take(bytes));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_bytes_follow_those_in_hand() {
        let mut buffer = Buffer::take(Size::Small);
        buffer.tail().extend_from_slice(b"abc");
        buffer.consume(1);
        // SAFETY: three bytes of the spare capacity are written before they are counted.
        unsafe {
            std::ptr::copy_nonoverlapping(b"def".as_ptr(), buffer.room_ptr(), 3);
            buffer.filled(3);
        }
        assert_eq!(buffer.data(), b"bcdef");
        buffer.compact();
        assert_eq!((buffer.data(), buffer.room()), (&b"bcdef"[..], Size::Small.bytes() - 5));
        buffer.grow(Size::Small.bytes() + 1);
        assert_eq!((buffer.data(), buffer.capacity()), (&b"bcdef"[..], Size::Medium.bytes()));
        buffer.consume(5);
        assert_eq!(buffer.room(), Size::Medium.bytes());
    }

    #[test]
    fn dropped_buffers_are_used_again_and_come_back_empty() {
        let mut first = Buffer::take(Size::Large);
        first.tail().push(1);
        let at = first.data().as_ptr();
        drop(first);
        let second = Buffer::take(Size::Large);
        assert!(second.is_empty());
        assert_eq!(second.data().as_ptr(), at);
    }

    #[test]
    fn a_buffer_that_outgrew_its_class_is_not_kept() {
        let mut buffer = Buffer::take(Size::Small);
        buffer.tail().resize(5000, 0);
        drop(buffer);
        assert_eq!(Buffer::take(Size::Small).capacity(), Size::Small.bytes());
    }
}
