//! The words for mistakes of TLS and of what goes with it.

use std::fmt;

use super::error::Mistake;
use super::message::did_you_mean;

impl Mistake {
    /// What is wrong.
    pub(super) fn fmt_tls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPathOfFile => f.write_str("this names no file"),
            Self::BadCipher { word, .. } => write!(f, "there is no cipher {word:?}"),
            Self::NoCipher => {
                f.write_str("none of these ciphers belongs to TLS 1.3, the least version allowed")
            }
            Self::BadServerName => {
                f.write_str("members are asked for one name, which has no star in it")
            }
            Self::BadRedirect => f.write_str("this is no port to send clients to"),
            Self::RedirectStatus(status) => {
                write!(f, "{status} would be the port that clients are sent to, not the status")
            }
            Self::BadAge => f.write_str("this is no age"),
            Self::NeedsTls { key } => {
                write!(f, "{key:?} has a meaning only on a listener with \"tls\"")
            }
            Self::RedirectOnTls => {
                f.write_str("clients of this listener already use https: they would be sent in a circle")
            }
            Self::Unverified => f.write_str(
                "members need not prove who they are: anybody on the way can read and change everything",
            ),
            _ => Ok(()),
        }
    }

    /// What to do about it, if there is something to say.
    pub(super) fn help_tls(&self) -> Option<String> {
        let help = match self {
            Self::BadCipher { nearest: Some(nearest), .. } => return Some(did_you_mean(nearest)),
            Self::BadCipher { .. } => {
                return Some(format!("it may be {}", super::CIPHERS.join(", ")));
            }
            Self::NoCipher => "leave \"ciphers\" out, or write min_version = \"1.2\"",
            Self::BadServerName => "as in \"api.internal\"",
            Self::BadRedirect => "write \"off\", true, or a port, as in 8443",
            Self::RedirectStatus(_) => {
                "write true for the port 443; the status is 308. For another one: [[route]] with redirect = { to = \"https://{host}{path}\", status = 301 }"
            }
            Self::BadAge => "write a number and d (days), h, m or s, as in \"365d\"",
            Self::NeedsTls { .. } => "leave it out, or give the listener a certificate",
            Self::RedirectOnTls => "write it on the listener for plain HTTP",
            Self::Unverified => {
                "write ca = \"...\" with the certificate of those who issued theirs"
            }
            _ => return None,
        };
        Some(help.to_owned())
    }
}
