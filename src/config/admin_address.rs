//! Where the admin interface listens: `IP:PORT`, or `unix:/PATH`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::address::{self, AddressError};

/// Bytes of a socket's path: what the kernel's address structure has room for.
const PATH_MOST: usize = 107;

/// Where the admin interface listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// On an address of this host.
    Tcp(SocketAddr),
    /// On a Unix socket at this absolute path.
    Unix(PathBuf),
}

/// Why a text is no such address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddressError {
    /// No `IP:PORT`.
    Tcp(AddressError),
    /// A path without the word that says so; the text that was probably meant.
    BarePath(String),
    /// A path that is relative, or names a directory.
    Path,
    /// A path with more bytes than the kernel takes.
    Long,
}

impl fmt::Display for AdminAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(AddressError::Name) => f.write_str("it is a name, not an IP address"),
            Self::Tcp(why) => write!(f, "{why}"),
            Self::BarePath(_) => f.write_str("a path has \"unix:\" in front of it"),
            Self::Path => f.write_str("a socket's path begins with \"/\" and ends with its name"),
            Self::Long => write!(f, "a socket's path has at most {PATH_MOST} bytes"),
        }
    }
}

impl std::error::Error for AdminAddressError {}

impl AdminAddressError {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        match self {
            Self::BarePath(meant) => format!("write {meant:?}"),
            _ => "write IP:PORT, as in \"127.0.0.1:9901\", or \"unix:/run/ringway/admin.sock\""
                .to_owned(),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = AdminAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('/') {
            return Err(AdminAddressError::BarePath(format!("unix:{text}")));
        }
        let Some(path) = text.strip_prefix("unix:") else {
            return address::socket(text).map(Self::Tcp).map_err(AdminAddressError::Tcp);
        };
        match path {
            _ if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') => {
                Err(AdminAddressError::Path)
            }
            _ if path.len() > PATH_MOST => Err(AdminAddressError::Long),
            path => Ok(Self::Unix(path.into())),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_kinds() {
        for text in ["127.0.0.1:9901", "[::1]:0", "0.0.0.0:1", "unix:/run/ringway.sock"] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), text);
        }
        use AdminAddressError::{BarePath, Long, Path, Tcp};
        let longest = format!("unix:/{}", "x".repeat(PATH_MOST - 1));
        assert!(longest.parse::<AdminAddress>().is_ok());
        let cases = [
            ("", Tcp(AddressError::Malformed)),
            ("9901", Tcp(AddressError::OnlyPort)),
            ("localhost:9901", Tcp(AddressError::Name)),
            ("/run/x.sock", BarePath("unix:/run/x.sock".to_owned())),
            ("unix:", Path),
            ("unix:x.sock", Path),
            ("unix:/run/", Path),
            ("unix:/a\0b", Path),
            (&format!("{longest}x"), Long),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<AdminAddress>(), Err(expected), "{text}");
        }
    }
}
