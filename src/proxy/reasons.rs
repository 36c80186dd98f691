//! From what went wrong with a connection or a parser to the reason that is told and counted.

use crate::http::FramingError;
use crate::net::Failure;
use crate::stats::Reason;

pub(super) fn framing(error: FramingError) -> Reason {
    if error.status() == 501 { Reason::UnsupportedCoding } else { Reason::BadFraming }
}

/// While reaching a member.
pub(super) const fn connect(failure: Failure) -> Reason {
    match failure {
        Failure::Refused => Reason::ConnectRefused,
        Failure::TimedOut => Reason::ConnectTimeout,
        Failure::NoDescriptors => Reason::NoDescriptors,
        Failure::Closed | Failure::Reset | Failure::Gone | Failure::Other(_) => {
            Reason::ConnectFailed
        }
    }
}

/// On a member's connection, before its answer's head was whole.
pub(super) const fn before_head(failure: Failure) -> Reason {
    match failure {
        Failure::TimedOut => Reason::ResponseTimeout,
        Failure::Gone => Reason::ClientGone,
        Failure::NoDescriptors => Reason::NoDescriptors,
        Failure::Closed | Failure::Reset | Failure::Refused | Failure::Other(_) => {
            Reason::MemberReset
        }
    }
}

/// On a member's connection, in the middle of its answer's body.
pub(super) const fn in_body(failure: Failure) -> Reason {
    match failure {
        Failure::TimedOut => Reason::ResponseBodyTimeout,
        Failure::Gone => Reason::ClientGone,
        _ => Reason::ShortBody,
    }
}

/// While sending to the client.
pub(super) const fn to_client(failure: Failure) -> Reason {
    match failure {
        Failure::TimedOut => Reason::WriteTimeout,
        _ => Reason::ClientGone,
    }
}

/// While receiving a body from the client.
pub(super) const fn from_client(failure: Failure) -> Reason {
    match failure {
        Failure::TimedOut => Reason::BodyTimeout,
        _ => Reason::ClientGone,
    }
}
