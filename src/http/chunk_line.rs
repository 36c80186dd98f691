//! The size line of a chunk, byte by byte: `size *( ";" name [ "=" value ] ) CRLF` (RFC 9112 7.1).
//!
//! Extensions are checked and dropped. Whitespace is allowed nowhere: that around the size and the
//! extensions is what recipients disagree about.

use super::bytes::{QUOTED, TEXT, TOKEN, is};
use super::error::ChunkError;

/// Bytes of a size line with its extensions and line end.
const MAX_LINE: u32 = 4096;
/// Bytes of the extensions of one whole body.
const MAX_EXTENSIONS: u32 = 16 * 1024;
/// Digits of a size.
const MAX_DIGITS: u8 = 16;

/// How far a size line has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Among the digits.
    #[default]
    Size,
    /// Behind a semicolon.
    NameStart,
    Name,
    /// Behind an equals sign.
    ValueStart,
    Value,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    /// Behind the closing quote.
    QuotedEnd,
    /// Behind the CR.
    Lf,
}

/// A reader of size lines, for one body.
#[derive(Clone, Debug, Default)]
pub(super) struct SizeLine {
    at: At,
    digits: u8,
    size: u64,
    line: u32,
    extensions: u32,
}

impl SizeLine {
    /// Takes the next byte of the line; the size when it was the last one. A new line may begin
    /// then.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<u64>, ChunkError> {
        self.line += 1;
        if self.at == At::Size
            && let Some(digit) = char::from(byte).to_digit(16)
        {
            self.digits += 1;
            if self.digits > MAX_DIGITS {
                return Err(ChunkError::SizeTooLarge);
            }
            self.size = self.size << 4 | u64::from(digit);
            return Ok(None);
        }
        if self.line > MAX_LINE {
            return Err(ChunkError::LineTooLong);
        }
        if self.at == At::Lf {
            return self.finish(byte).map(Some);
        }
        self.at = self.step(byte)?;
        if !matches!(self.at, At::Size | At::Lf) {
            self.extensions += 1;
            if self.extensions > MAX_EXTENSIONS {
                return Err(ChunkError::ExtensionsTooLarge);
            }
        }
        Ok(None)
    }

    /// Ends the line.
    fn finish(&mut self, byte: u8) -> Result<u64, ChunkError> {
        if byte != b'\n' {
            return Err(ChunkError::BadLineEnd);
        }
        let size = self.size;
        if i64::try_from(size).is_err() {
            return Err(ChunkError::SizeTooLarge);
        }
        *self = Self { extensions: self.extensions, ..Self::default() };
        Ok(size)
    }

    /// Where `byte`, which is no digit of the size, leads.
    fn step(&self, byte: u8) -> Result<At, ChunkError> {
        let ends = matches!(self.at, At::Size | At::Name | At::Value | At::QuotedEnd);
        let token = is(byte, TOKEN);
        Ok(match (self.at, byte) {
            (At::Size, _) if self.digits == 0 => return Err(ChunkError::BadSize),
            (_, b'\r') if ends => At::Lf,
            (_, b'\n') => return Err(ChunkError::BadLineEnd),
            (_, b';') if ends => At::NameStart,
            (At::Size, _) => return Err(ChunkError::BadSize),
            (At::Name, b'=') => At::ValueStart,
            (At::NameStart | At::Name, _) if token => At::Name,
            (At::ValueStart, b'"') => At::Quoted,
            (At::ValueStart | At::Value, _) if token => At::Value,
            (At::Quoted, b'"') => At::QuotedEnd,
            (At::Quoted, b'\\') => At::Escaped,
            (At::Quoted, _) if is(byte, QUOTED) => At::Quoted,
            (At::Escaped, _) if is(byte, TEXT) => At::Quoted,
            _ => return Err(ChunkError::BadExtension),
        })
    }
}
