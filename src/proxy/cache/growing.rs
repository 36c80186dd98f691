//! A body that grows while others read it, on any core: a chain of pieces. Who has read a piece lets
//! it go; the pieces are kept from the first on as long as the body may still be stored.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use crate::stats::Reason;

/// A piece, and what follows it once that is known.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) data: Arc<[u8]>,
    next: OnceLock<Step>,
    /// Bytes of all pieces that are there.
    held: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Step {
    More(Arc<Link>),
    End,
    Broken(Reason),
}

impl Link {
    fn new(data: Arc<[u8]>, held: &Arc<AtomicU64>) -> Arc<Self> {
        held.fetch_add(data.len() as u64, Ordering::SeqCst);
        Arc::new(Self { data, next: OnceLock::new(), held: Arc::clone(held) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.held.fetch_sub(self.data.len() as u64, Ordering::SeqCst);
        // One by one: a chain that drops itself link by link would need a stack as long.
        let mut next = self.next.take();
        while let Some(Step::More(link)) = next {
            next = match Arc::into_inner(link) {
                Some(mut link) => link.next.take(),
                None => return,
            };
        }
    }
}

/// The beginning of a chain, for all who read it.
#[derive(Debug)]
pub(super) struct Chain {
    root: ArcSwapOption<Link>,
    held: Arc<AtomicU64>,
}

/// Its end, for the one who writes it.
#[derive(Debug)]
pub(super) struct Grower {
    last: Arc<Link>,
    /// The pieces, as long as they are kept.
    pieces: Option<Vec<Arc<[u8]>>>,
    pub(super) length: u64,
}

/// Where somebody reads.
#[derive(Debug)]
pub(super) struct Cursor {
    at: Arc<Link>,
}

/// What there is to read.
#[derive(Debug)]
pub(super) enum Read {
    /// A piece.
    Piece(Arc<[u8]>),
    /// Nothing yet.
    Later,
    /// The body is complete.
    End,
    /// The body will never be complete.
    Broken(Reason),
}

impl Chain {
    /// An empty one.
    pub(super) fn new() -> (Self, Grower) {
        let held = Arc::new(AtomicU64::new(0));
        let last = Link::new(Arc::default(), &held);
        let root = ArcSwapOption::from(Some(Arc::clone(&last)));
        (Self { root, held }, Grower { last, pieces: Some(Vec::new()), length: 0 })
    }

    /// Reads from the beginning, if that is still there.
    pub(super) fn read(&self) -> Option<Cursor> {
        Some(Cursor { at: self.root.load_full()? })
    }

    /// What was read by all is not kept from now on, and nobody can begin to read.
    pub(super) fn let_go(&self) {
        self.root.store(None);
    }

    /// Bytes that are there.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }
}

impl Grower {
    /// Adds a piece.
    pub(super) fn push(&mut self, data: &[u8]) {
        let data: Arc<[u8]> = Arc::from(data);
        self.length += data.len() as u64;
        if let Some(pieces) = &mut self.pieces {
            pieces.push(Arc::clone(&data));
        }
        let link = Link::new(data, &self.last.held);
        // Set by nobody else.
        _ = self.last.next.set(Step::More(Arc::clone(&link)));
        self.last = link;
    }

    /// Keeps no pieces from now on.
    pub(super) fn let_go(&mut self) {
        self.pieces = None;
    }

    /// Whether the pieces are kept.
    pub(super) const fn keeps(&self) -> bool {
        self.pieces.is_some()
    }

    /// Whether nobody reads any more; only to be asked once nothing is kept.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.last) <= 1
    }

    /// The body is complete; its pieces, if they were kept.
    pub(super) fn end(self) -> Option<Vec<Arc<[u8]>>> {
        _ = self.last.next.set(Step::End);
        self.pieces
    }

    /// The body will never be complete.
    pub(super) fn fail(self, reason: Reason) {
        _ = self.last.next.set(Step::Broken(reason));
    }
}

impl Cursor {
    /// The next piece, if there is one.
    pub(super) fn next(&mut self) -> Read {
        match self.at.next.get() {
            None => Read::Later,
            Some(Step::End) => Read::End,
            Some(Step::Broken(reason)) => Read::Broken(*reason),
            Some(Step::More(link)) => {
                let link = Arc::clone(link);
                let data = Arc::clone(&link.data);
                self.at = link;
                Read::Piece(data)
            }
        }
    }

    /// Whether [`Cursor::next`] has anything to say.
    pub(super) fn is_ready(&self) -> bool {
        self.at.next.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(cursor: &mut Cursor) -> (Vec<u8>, bool) {
        let mut read = Vec::new();
        loop {
            match cursor.next() {
                Read::Piece(data) => read.extend_from_slice(&data),
                Read::Later => return (read, false),
                Read::End | Read::Broken(_) => return (read, true),
            }
        }
    }

    #[test]
    fn readers_see_what_comes_wherever_they_begin() {
        let (chain, mut grower) = Chain::new();
        let mut early = chain.read().expect("a beginning");
        grower.push(b"ab");
        assert_eq!(all(&mut early), (b"ab".to_vec(), false));
        grower.push(b"c");
        let mut late = chain.read().expect("a beginning");
        assert_eq!(all(&mut late), (b"abc".to_vec(), false));
        assert_eq!(grower.end().map(|pieces| pieces.concat()), Some(b"abc".to_vec()));
        assert_eq!(all(&mut early), (b"c".to_vec(), true));
        assert!(matches!(late.next(), Read::End) && late.is_ready());
    }

    #[test]
    fn what_was_read_is_let_go() {
        let (chain, mut grower) = Chain::new();
        let mut reader = chain.read().expect("a beginning");
        grower.push(&[0; 100]);
        grower.let_go();
        chain.let_go();
        assert!(chain.read().is_none() && !grower.is_alone() && !grower.keeps());
        grower.push(&[0; 50]);
        assert_eq!(chain.held(), 150);
        assert_eq!(all(&mut reader).0.len(), 150);
        assert_eq!(chain.held(), 50);
        drop(reader);
        assert!(grower.is_alone());
        grower.fail(Reason::ShortBody);
        assert_eq!(chain.held(), 0);
    }

    #[test]
    fn a_long_chain_is_dropped_without_a_long_stack() {
        let (chain, mut grower) = Chain::new();
        let reader = chain.read();
        for _ in 0..300_000 {
            grower.push(b"x");
        }
        chain.let_go();
        drop((reader, grower));
        assert_eq!(chain.held(), 0);
    }

    #[test]
    fn a_reader_on_another_thread_gets_everything() {
        let (chain, mut grower) = Chain::new();
        let mut reader = chain.read().expect("a beginning");
        let thread = std::thread::spawn(move || {
            let mut read = 0;
            loop {
                match reader.next() {
                    Read::Piece(data) => read += data.len(),
                    Read::Later => std::thread::yield_now(),
                    Read::End | Read::Broken(_) => return read,
                }
            }
        });
        for _ in 0..10_000 {
            grower.push(b"abc");
        }
        drop(grower.end());
        assert_eq!(thread.join().expect("the reader"), 30_000);
    }
}
