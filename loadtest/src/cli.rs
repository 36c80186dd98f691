//! What the command line says, as options; and what is made of them.

pub mod load;
pub mod origin;

use std::io;

pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
