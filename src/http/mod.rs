//! The meaning of HTTP: bytes in, values out. No sockets, no clocks, no async.
