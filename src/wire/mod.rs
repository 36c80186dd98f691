//! What stands in front of HTTP on a connection: the header of the PROXY protocol, and the
//! ClientHello of TLS. Bytes in, values out; no sockets, no clocks, no async.

mod client_hello;
mod crc32c;
#[doc(hidden)]
pub mod fuzz;
mod proxy_header;
mod proxy_write;

pub use client_hello::{ClientHello, HELLO_MOST, HelloError, HelloReader};
pub use proxy_header::{HEADER_MOST, Header, HeaderError, Parsed, Source, parse as proxy_header};
pub use proxy_write::{TlsFacts, local_v1, local_v2, write_v1, write_v2};
