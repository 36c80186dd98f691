//! Encoders of content codings, bounded and kept per worker.
//!
//! An encoder takes bytes as they come and holds some of them until it is flushed or ended. Must not
//! know where they come from.

use std::cell::RefCell;
use std::fmt;

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderDestroyInstance, BrotliEncoderOperation, BrotliEncoderParameter,
    BrotliEncoderStateStruct,
};
use flate2::{Compress, Compression, FlushCompress};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use crate::http::Coding;

/// How far back repetitions are found, as a power of two: 128 KiB (`zstd`) and 256 KiB (`br`). Both
/// are what memory an encoder takes; `gzip` has 32 KiB.
const ZSTD_WINDOW: u32 = 17;
const BROTLI_WINDOW: u32 = 18;

/// Unused encoders that a worker keeps, of each coding that can begin anew: 5 MiB of `gzip` and 14 MiB
/// of `zstd` at the most.
const KEPT: usize = 8;

/// Room for output that is made before an encoder is asked for more.
const STEP: usize = 4 << 10;

/// Something that cannot go wrong went wrong in an encoder, or there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeError;

/// A coding at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The coding.
    pub coding: Coding,
    /// Its level, in its own counting.
    pub level: u8,
}

enum State {
    Gzip(Gzip),
    Brotli(Brotli),
    Zstd(CCtx<'static>),
}

/// An encoder of `gzip`: the raw coding within a frame of our own. The library would sum it up without
/// the processor's help.
struct Gzip {
    deflate: Compress,
    sum: crc32fast::Hasher,
    begun: bool,
}

/// The frame's beginning (RFC 1952): no name, no time, no particular system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

impl Gzip {
    fn new(level: u8) -> Self {
        let level = Compression::new(u32::from(level));
        let deflate = Compress::new(level, false);
        Self { deflate, sum: crc32fast::Hasher::new(), begun: false }
    }

    fn reset(&mut self) {
        self.deflate.reset();
        self.sum.reset();
        self.begun = false;
    }

    fn run(
        &mut self,
        data: &[u8],
        flush: FlushCompress,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(&GZIP_HEAD);
        }
        self.sum.update(data);
        deflate(&mut self.deflate, data, flush, out)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.run(&[], FlushCompress::Finish, out)?;
        out.extend_from_slice(&self.sum.clone().finalize().to_le_bytes());
        // Modulo 2^32.
        out.extend_from_slice(&(self.deflate.total_in() as u32).to_le_bytes());
        Ok(())
    }
}

/// An encoder of `br`, which gives its memory back when it is dropped.
struct Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>);

impl Drop for Brotli {
    fn drop(&mut self) {
        BrotliEncoderDestroyInstance(&mut self.0);
    }
}

impl Brotli {
    fn new(level: u8) -> Option<Self> {
        let mut state = Box::new(BrotliEncoderStateStruct::new(StandardAlloc::default()));
        let quality = BrotliEncoderParameter::BROTLI_PARAM_QUALITY;
        let window = BrotliEncoderParameter::BROTLI_PARAM_LGWIN;
        let set = state.set_parameter(quality, u32::from(level))
            && state.set_parameter(window, BROTLI_WINDOW);
        set.then_some(Self(state))
    }

    fn run(
        &mut self,
        operation: BrotliEncoderOperation,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let (mut left, mut at) = (data.len(), 0);
        loop {
            // No output of ours: it is taken from the encoder's own.
            let good = self.0.compress_stream(
                operation,
                &mut left,
                data,
                &mut at,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            if !good {
                return Err(EncodeError);
            }
            while self.0.has_more_output() {
                let mut count = 0;
                let bytes = self.0.take_output(&mut count);
                out.extend_from_slice(bytes.get(..count).ok_or(EncodeError)?);
            }
            let ending = operation == BrotliEncoderOperation::BROTLI_OPERATION_FINISH;
            if left == 0 && (!ending || self.0.is_finished()) {
                return Ok(());
            }
        }
    }
}

/// The encoders of a worker.
struct Shelf {
    /// Those in use.
    used: usize,
    free: Vec<(Quality, State)>,
}

thread_local! {
    static SHELF: RefCell<Shelf> = const { RefCell::new(Shelf { used: 0, free: Vec::new() }) };
}

/// An encoder of one body. It has no memory before there is something to encode: a member may take
/// its time between head and body, and what was used last is still in the processor's caches.
pub struct Encoder {
    quality: Quality,
    /// From the first byte on.
    state: Option<State>,
    /// Something may be held.
    holds: bool,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("quality", &self.quality).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder for one body; `None`: this worker uses `most` already.
    #[must_use]
    pub fn take(quality: Quality, most: usize) -> Option<Self> {
        SHELF.with_borrow_mut(|shelf| {
            let free = shelf.used < most;
            shelf.used += usize::from(free);
            free.then(|| Self { quality, state: None, holds: false })
        })
    }

    fn state(&mut self) -> Result<&mut State, EncodeError> {
        if self.state.is_none() {
            let kept = SHELF.with_borrow_mut(|shelf| {
                let at = shelf.free.iter().rposition(|(kept, _)| *kept == self.quality);
                at.map(|at| shelf.free.remove(at).1)
            });
            self.state = kept.or_else(|| State::new(self.quality));
        }
        self.state.as_mut().ok_or(EncodeError)
    }

    /// Its coding.
    #[must_use]
    pub const fn coding(&self) -> Coding {
        self.quality.coding
    }

    /// Encodes some of the body; what comes out is appended to `out`.
    ///
    /// # Errors
    /// Nobody can read the body any more.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.holds = true;
        self.state()?.push(data, out)
    }

    /// Appends all that is held, so that whoever gets it can decode all that was pushed.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !std::mem::take(&mut self.holds) {
            return Ok(());
        }
        self.state()?.flush(out)
    }

    /// Appends the rest: the body is complete.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.holds = false;
        self.state()?.end(out)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let state = self.state.take().and_then(State::anew);
        // While the thread ends there is no shelf any more.
        _ = SHELF.try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            shelf.used = shelf.used.saturating_sub(1);
            let coding = self.quality.coding;
            let kept = shelf.free.iter().filter(|(kept, _)| kept.coding == coding).count();
            if let Some(state) = state
                && kept < KEPT
            {
                shelf.free.push((self.quality, state));
            }
        });
    }
}

impl State {
    fn new(quality: Quality) -> Option<Self> {
        let level = quality.level;
        Some(match quality.coding {
            Coding::Gzip => Self::Gzip(Gzip::new(level)),
            Coding::Brotli => Self::Brotli(Brotli::new(level)?),
            Coding::Zstd => {
                let mut context = CCtx::try_create()?;
                let level = CParameter::CompressionLevel(i32::from(level));
                context.set_parameter(level).ok()?;
                context.set_parameter(CParameter::WindowLog(ZSTD_WINDOW)).ok()?;
                Self::Zstd(context)
            }
        })
    }

    /// Ready for another body, if it can be.
    fn anew(mut self) -> Option<Self> {
        match &mut self {
            Self::Gzip(gzip) => gzip.reset(),
            Self::Brotli(_) => return None,
            Self::Zstd(context) => {
                context.reset(ResetDirective::SessionOnly).ok()?;
            }
        }
        Some(self)
    }

    fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Gzip(gzip) => gzip.run(data, FlushCompress::None, out),
            Self::Brotli(brotli) => {
                brotli.run(BrotliEncoderOperation::BROTLI_OPERATION_PROCESS, data, out)
            }
            Self::Zstd(context) => {
                let mut input = InBuffer::around(data);
                while input.pos() < data.len() {
                    append(out, |out| context.compress_stream(out, &mut input))?;
                }
                Ok(())
            }
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Gzip(gzip) => gzip.run(&[], FlushCompress::Sync, out),
            Self::Brotli(brotli) => {
                brotli.run(BrotliEncoderOperation::BROTLI_OPERATION_FLUSH, &[], out)
            }
            Self::Zstd(context) => {
                while append(out, |out| context.flush_stream(out))? > 0 {}
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Gzip(gzip) => gzip.end(out),
            Self::Brotli(brotli) => {
                brotli.run(BrotliEncoderOperation::BROTLI_OPERATION_FINISH, &[], out)
            }
            Self::Zstd(context) => {
                while append(out, |out| context.end_stream(out))? > 0 {}
                Ok(())
            }
        }
    }
}

fn deflate(
    gzip: &mut Compress,
    mut data: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    loop {
        out.reserve(STEP);
        let (before, length) = (gzip.total_in(), out.len());
        let status = gzip.compress_vec(data, out, flush).map_err(|_| EncodeError)?;
        let taken = usize::try_from(gzip.total_in() - before).map_err(|_| EncodeError)?;
        data = data.get(taken..).unwrap_or_default();
        let ended = match flush {
            FlushCompress::Finish => status == flate2::Status::StreamEnd,
            // With room left there is nothing more to say.
            _ => data.is_empty() && out.len() < out.capacity(),
        };
        if ended {
            return Ok(());
        }
        if taken == 0 && out.len() == length {
            return Err(EncodeError);
        }
    }
}

/// Lets zstd append to `out`; says what it returned.
fn append(
    out: &mut Vec<u8>,
    step: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> zstd_safe::SafeResult,
) -> Result<usize, EncodeError> {
    out.reserve(STEP);
    let length = out.len();
    step(&mut OutBuffer::around_pos(out, length)).map_err(|_| EncodeError)
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
