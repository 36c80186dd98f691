//! The meaning of HTTP: bytes in, values out. No sockets, no clocks, no async.
//!
//! A head is one arena of bytes with offsets into it ([`RequestHead`], [`ResponseHead`]): its
//! buffers are reused, so a parser that has warmed up allocates nothing. Parsing is strict (RFC
//! 9112 without its leniencies): what two recipients could read in two ways is an error. What goes
//! on is re-serialised from what was parsed, with [`encode`].

mod accept_encoding;
mod authority;
pub mod base64;
mod buffering;
mod bytes;
pub mod caching;
mod chunk_line;
mod chunked;
pub mod cors;
mod credentials;
pub mod date;
pub mod date_parse;
pub mod encode;
mod error;
mod fields;
mod folded;
pub mod forwarded;
mod framing;
#[doc(hidden)]
pub mod fuzz;
mod head;
mod link;
pub mod location;
mod media_type;
mod method;
mod name;
pub mod pairs;
mod request;
mod response;
pub mod set_cookie;
mod target;
mod template;
#[cfg(test)]
mod tests;
pub mod trace;
mod trailers;
pub mod upgrade;

pub use accept_encoding::{AcceptEncoding, Coding};
pub use buffering::may_be_buffered;
pub use chunked::{ChunkDecoder, Event, Step};
pub use credentials::{Credentials, UserPass, credentials};
pub use error::{ChunkError, FramingError, ParseError};
pub use fields::{ConnectionOptions, FieldRef, FieldsIter};
pub use folded::{FoldedNames, may_be_copied};
pub use framing::{Framing, request_framing, response_framing};
pub use head::{HeadLimits, Parsed};
pub use link::{Link, LinkError, LinkValues};
pub use media_type::MediaPattern;
pub use method::{Method, Version};
pub use name::{Name, is_client_certificate, is_identity};
pub use request::{RequestHead, is_max_forwards};
pub use response::ResponseHead;
pub use target::{Scheme, TargetForm, normalise};
pub use template::{CertificatePart, Template, TemplateError, Variable, push_text};
