//! Why an exchange was not a good one.

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect,
    /// A connection, but no TLS session on it.
    Handshake,
    /// The request could not be sent.
    Send,
    /// The connection was reset while the answer was awaited.
    Reset,
    /// The connection was closed before the answer began.
    Closed,
    /// The connection was closed within the answer.
    Cut,
    /// What came is no HTTP/1 response, or its chunks are broken.
    Malformed,
    /// Another status than expected.
    Status,
    /// Another body length than expected.
    Length,
    /// Another body than expected.
    Checksum,
    /// Nothing came in time.
    Timeout,
    /// An open loop had no free connection in time: the request was never sent.
    Unsent,
}

impl Failure {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Handshake,
        Self::Send,
        Self::Reset,
        Self::Closed,
        Self::Cut,
        Self::Malformed,
        Self::Status,
        Self::Length,
        Self::Checksum,
        Self::Timeout,
        Self::Unsent,
    ];

    /// The word for it in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Send => "send",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Status => "status",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::Timeout => "timeout",
            Self::Unsent => "unsent",
        }
    }
}
