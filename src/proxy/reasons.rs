//! From what went wrong with a connection or a parser to the reason that is told and counted.

use std::time::Duration;

use crate::balancer::{Fault, LeaseError, Outcome};
use crate::http::{FramingError, ParseError};
use crate::net::Failure;
use crate::net::tls::{Refusal, TlsFault};
use crate::stats::Reason;

pub(super) fn framing(error: FramingError) -> Reason {
    if error.status() == 501 { Reason::UnsupportedCoding } else { Reason::BadFraming }
}

/// What a failure says of the member. `status` is its answer's, if it has one.
pub(super) const fn outcome(reason: Reason, status: u16) -> Outcome {
    match reason {
        Reason::ConnectRefused
        | Reason::ConnectTimeout
        | Reason::ConnectFailed
        | Reason::MemberExpired
        | Reason::MemberWrongName
        | Reason::MemberUnknownIssuer
        | Reason::MemberCertificate
        | Reason::MemberHandshake => Outcome::Failed(Fault::Connect),
        Reason::MemberReset | Reason::ShortBody => Outcome::Failed(Fault::Reset),
        Reason::ResponseTimeout | Reason::ResponseBodyTimeout => Outcome::Failed(Fault::Timeout),
        Reason::BadResponse | Reason::LargeResponse | Reason::BadResponseBody => {
            Outcome::Failed(Fault::BadAnswer)
        }
        Reason::BadStatus => Outcome::Answered { status, first_byte: Duration::ZERO },
        _ => Outcome::Abandoned,
    }
}

/// Why there is no TLS with a client.
pub(super) const fn refusal(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::PlainHttp => Reason::TlsPlainHttp,
        Refusal::TimedOut => Reason::TlsTimeout,
        Refusal::Gone => Reason::TlsGone,
        Refusal::UnknownName => Reason::TlsUnknownName,
        Refusal::Incompatible => Reason::TlsIncompatible,
        Refusal::Certificate => Reason::TlsCertificate,
        Refusal::Alert => Reason::TlsAlert,
        Refusal::Protocol => Reason::TlsProtocol,
    }
}

/// Why there is no member to reach.
pub(super) const fn unleased(error: LeaseError) -> Reason {
    match error {
        LeaseError::Nobody => Reason::NoMember,
        LeaseError::Deserted => Reason::NoAddress,
        LeaseError::QueueFull => Reason::QueueFull,
        LeaseError::QueueTimeout => Reason::QueueTimeout,
    }
}

/// While reaching a member.
pub(super) const fn connect(failure: Failure) -> Reason {
    match failure {
        Failure::Refused => Reason::ConnectRefused,
        Failure::TimedOut => Reason::ConnectTimeout,
        Failure::NoDescriptors => Reason::NoDescriptors,
        Failure::Tls(TlsFault::Expired) => Reason::MemberExpired,
        Failure::Tls(TlsFault::WrongName) => Reason::MemberWrongName,
        Failure::Tls(TlsFault::UnknownIssuer) => Reason::MemberUnknownIssuer,
        Failure::Tls(TlsFault::Certificate) => Reason::MemberCertificate,
        Failure::Tls(TlsFault::Handshake) => Reason::MemberHandshake,
        Failure::Closed | Failure::Reset | Failure::Gone | Failure::TooSlow | Failure::Other(_) => {
            Reason::ConnectFailed
        }
    }
}

/// A head of a member's answer that cannot be read.
pub(super) fn bad_head(error: ParseError) -> Reason {
    if error.status() == 431 { Reason::LargeResponse } else { Reason::BadResponse }
}

/// On a member's connection, before its answer's head was whole.
pub(super) const fn before_head(failure: Failure) -> Reason {
    match failure {
        Failure::TimedOut => Reason::ResponseTimeout,
        Failure::Gone => Reason::ClientGone,
        Failure::NoDescriptors => Reason::NoDescriptors,
        Failure::Closed
        | Failure::Reset
        | Failure::Refused
        | Failure::TooSlow
        | Failure::Tls(_)
        | Failure::Other(_) => Reason::MemberReset,
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
        Failure::TooSlow => Reason::SlowReader,
        _ => Reason::ClientGone,
    }
}

/// While receiving a body from the client.
pub(super) const fn from_client(failure: Failure) -> Reason {
    match failure {
        Failure::TimedOut => Reason::BodyTimeout,
        Failure::TooSlow => Reason::SlowBody,
        _ => Reason::ClientGone,
    }
}
