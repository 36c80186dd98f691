//! The meaning of HTTP: bytes in, values out. No sockets, no clocks, no async.
//!
//! A head is one arena of bytes with offsets into it ([`RequestHead`], [`ResponseHead`]): its
//! buffers are reused, so a parser that has warmed up allocates nothing. Parsing is strict (RFC
//! 9112 without its leniencies): what two recipients could read in two ways is an error. What goes
//! on is re-serialised from what was parsed, with [`encode`].

mod accept_encoding;
mod authority;
mod bytes;
pub mod caching;
mod chunk_line;
mod chunked;
pub mod date;
pub mod date_parse;
pub mod encode;
mod error;
mod fields;
mod framing;
#[doc(hidden)]
pub mod fuzz;
mod head;
mod media_type;
mod method;
mod name;
mod request;
mod response;
mod target;
#[cfg(test)]
mod tests;
mod trailers;

pub use accept_encoding::{AcceptEncoding, Coding};
pub use chunked::{ChunkDecoder, Event, Step};
pub use error::{ChunkError, FramingError, ParseError};
pub use fields::{ConnectionOptions, FieldRef, FieldsIter};
pub use framing::{Framing, request_framing, response_framing};
pub use head::{HeadLimits, Parsed};
pub use media_type::MediaPattern;
pub use method::{Method, Version};
pub use name::{Name, is_client_certificate, is_identity};
pub use request::RequestHead;
pub use response::ResponseHead;
pub use target::{Scheme, TargetForm, normalise};
