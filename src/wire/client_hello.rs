//! What a TLS client asks for in its first message: the name (SNI) and the protocols (ALPN), read
//! without answering.
//!
//! The message may be cut into any number of records, and these into any number of segments. Only
//! what is needed is looked at: unknown extensions (GREASE among them) are passed over, and with
//! Encrypted ClientHello the name is the outer one, as the key to the inner one is the member's.

use std::fmt;

/// Bytes of records that are looked at.
pub const HELLO_MOST: usize = 64 << 10;

/// Bytes of the message itself; with all that is known today it has some 4 KiB.
const MESSAGE_MOST: usize = 32 << 10;

/// Bytes of a record at the most (RFC 8446 section 5.1).
const RECORD_MOST: usize = 1 << 14;

/// Bytes of a name at the most.
const NAME_MOST: usize = 255;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name in lower case, without a final dot; empty: it names none.
    pub server_name: Vec<u8>,
    /// The protocols that it offers, each behind its length.
    alpn: Vec<u8>,
}

impl ClientHello {
    /// The protocols that it offers, such as `h2`, in its order.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.alpn.as_slice();
        std::iter::from_fn(move || {
            let (&length, behind) = rest.split_first()?;
            let (name, behind) = behind.split_at_checked(usize::from(length))?;
            rest = behind;
            Some(name)
        })
    }
}

/// Why there is no ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// The connection does not begin with a handshake of TLS.
    NotTls,
    /// It begins with another message.
    NotHello,
    /// A record that is empty or too long.
    Record,
    /// The message, or what it is carried in, exceeds its bound.
    TooLong,
    /// The message does not add up.
    Malformed,
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "it is no TLS",
            Self::NotHello => "the first message is no ClientHello",
            Self::Record => "a record is empty or too long",
            Self::TooLong => "it is too long",
            Self::Malformed => "it is malformed",
        })
    }
}

impl std::error::Error for HelloError {}

/// Reads a ClientHello while it arrives; looks at each byte once.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// Bytes that were looked at.
    seen: usize,
    /// Bytes of the current record that are still to come.
    left: usize,
    message: Vec<u8>,
}

impl HelloReader {
    /// Reads on. `bytes` is everything that arrived so far, from the first byte on; of that,
    /// [`HELLO_MOST`] bytes are looked at. `None`: there must come more.
    ///
    /// # Errors
    /// It is none, as far as it arrived.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        let window = bytes.get(..bytes.len().min(HELLO_MOST)).unwrap_or_default();
        loop {
            if let Some(body) = self.body()? {
                return parse(body).map(Some).ok_or(HelloError::Malformed);
            }
            let rest = window.get(self.seen..).unwrap_or_default();
            if self.left == 0 {
                let Some(length) = record(rest)? else { break };
                self.left = length;
                self.seen += 5;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let (part, _) = rest.split_at(rest.len().min(self.left));
            self.message.extend_from_slice(part);
            self.seen += part.len();
            self.left -= part.len();
        }
        if window.len() == HELLO_MOST { Err(HelloError::TooLong) } else { Ok(None) }
    }

    /// The message behind its header, once it is whole.
    fn body(&self) -> Result<Option<&[u8]>, HelloError> {
        if self.message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(HelloError::NotHello);
        }
        let Some((&[_, a, b, c], body)) = self.message.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > MESSAGE_MOST {
            return Err(HelloError::TooLong);
        }
        Ok(body.get(..length))
    }
}

/// The length of the record that begins here, once its header is whole.
fn record(bytes: &[u8]) -> Result<Option<usize>, HelloError> {
    let is = |at: usize, wanted: u8| bytes.get(at).is_none_or(|byte| *byte == wanted);
    // Whoever speaks something else is not kept waiting. All versions of TLS begin with a 3.
    if !is(0, HANDSHAKE) || !is(1, 3) {
        return Err(HelloError::NotTls);
    }
    let Some(&[_, _, _, high, low]) = bytes.first_chunk::<5>() else { return Ok(None) };
    match usize::from(u16::from_be_bytes([high, low])) {
        length @ 1..=RECORD_MOST => Ok(Some(length)),
        _ => Err(HelloError::Record),
    }
}

/// Takes a vector with a length of `N` bytes in front off `bytes`.
fn vector<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

/// Reads the message (RFC 8446 section 4.1.2).
fn parse(body: &[u8]) -> Option<ClientHello> {
    // Behind the version and the random.
    let mut rest = body.get(34..)?;
    let session = vector::<1>(&mut rest)?;
    let ciphers = vector::<2>(&mut rest)?;
    let compressions = vector::<1>(&mut rest)?;
    if session.len() > 32
        || ciphers.is_empty()
        || !ciphers.len().is_multiple_of(2)
        || compressions.is_empty()
    {
        return None;
    }
    let mut hello = ClientHello::default();
    if rest.is_empty() {
        // As old clients do.
        return Some(hello);
    }
    let mut extensions = vector::<2>(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let (mut named, mut offered) = (false, false);
    while !extensions.is_empty() {
        let (kind, behind) = extensions.split_first_chunk::<2>()?;
        extensions = behind;
        let value = vector::<2>(&mut extensions)?;
        match u16::from_be_bytes(*kind) {
            // Whoever says two things could mean one for us and the other for the member.
            SERVER_NAME if std::mem::replace(&mut named, true) => return None,
            ALPN if std::mem::replace(&mut offered, true) => return None,
            SERVER_NAME => hello.server_name = server_name(value)?,
            ALPN => hello.alpn = protocols(value)?.to_vec(),
            _ => {}
        }
    }
    Some(hello)
}

/// The one name of a list of names (RFC 6066 section 3).
fn server_name(mut value: &[u8]) -> Option<Vec<u8>> {
    let mut list = vector::<2>(&mut value)?;
    let (&kind, behind) = list.split_first()?;
    list = behind;
    let name = vector::<2>(&mut list)?;
    // There is one type of names, and one name of each type.
    if kind != 0 || !list.is_empty() || !value.is_empty() {
        return None;
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    let text = name.iter().all(u8::is_ascii_graphic);
    ((1..=NAME_MOST).contains(&name.len()) && text).then(|| name.to_ascii_lowercase())
}

/// The list of protocols (RFC 7301 section 3.1), if it adds up.
fn protocols(mut value: &[u8]) -> Option<&[u8]> {
    let list = vector::<2>(&mut value)?;
    let mut rest = list;
    while !rest.is_empty() {
        if vector::<1>(&mut rest)?.is_empty() {
            return None;
        }
    }
    (value.is_empty() && !list.is_empty()).then_some(list)
}

#[cfg(test)]
#[path = "client_hello_tests.rs"]
mod tests;
