//! What the cache did for a request: for the log, the counters and `Cache-Status` (RFC 9211).

use std::io::Write;

use crate::stats::Counter;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the store, fresh.
    Hit,
    /// From the store, stale.
    Stale,
    /// From the store, as a member says that it is still good.
    Revalidated,
    /// From a member, or from another request's fetch.
    Miss,
    /// From a member, past the cache.
    Past,
}

impl Verdict {
    /// Its word in logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Past => "bypass",
        }
    }

    pub(in super::super) const fn counter(self) -> Counter {
        match self {
            Self::Hit => Counter::CacheHits,
            Self::Stale => Counter::CacheStale,
            Self::Revalidated => Counter::CacheRevalidated,
            Self::Miss => Counter::CacheMisses,
            Self::Past => Counter::CachePast,
        }
    }
}

/// Why a request went on to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Forward {
    /// Nothing was stored for its key.
    UriMiss,
    /// Nothing was stored for what it has in the fields that answers depend on.
    VaryMiss,
    /// What was stored is stale.
    Stale,
    /// The client wants it so.
    Request,
    /// Its method is not one that is cached.
    Method,
    /// The route wants it so.
    Bypass,
}

impl Forward {
    const fn word(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
            Self::Method => "method",
            Self::Bypass => "bypass",
        }
    }
}

/// The whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Trace {
    pub(in super::super) verdict: Verdict,
    /// Where it went on.
    pub(super) forward: Option<Forward>,
    /// What came is stored.
    pub(super) stored: bool,
    /// Another request had asked already.
    pub(super) collapsed: bool,
    /// It came from a file.
    pub(super) disk: bool,
    /// For how long it will be fresh, in seconds.
    // Small: it is a part of every idle connection's memory.
    ttl: Option<i32>,
}

impl Trace {
    pub(super) fn served(verdict: Verdict, ttl: i64) -> Self {
        let (stored, collapsed, disk) = (false, false, false);
        Self { verdict, forward: None, stored, collapsed, disk, ttl: None }.with_ttl(ttl)
    }

    /// The same, telling for how long the answer will be fresh.
    pub(super) fn with_ttl(mut self, ttl: i64) -> Self {
        let most = if ttl < 0 { i32::MIN } else { i32::MAX };
        self.ttl = Some(i32::try_from(ttl).unwrap_or(most));
        self
    }

    pub(super) const fn forwarded(verdict: Verdict, forward: Forward) -> Self {
        let (stored, collapsed, disk) = (false, false, false);
        Self { verdict, forward: Some(forward), stored, collapsed, disk, ttl: None }
    }

    /// Appends `Cache-Status`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Cache-Status: ringway");
        match self.forward {
            None => out.extend_from_slice(b"; hit"),
            // Writing to a vector cannot fail.
            Some(forward) => _ = write!(out, "; fwd={}", forward.word()),
        }
        if self.verdict == Verdict::Revalidated {
            out.extend_from_slice(b"; fwd-status=304");
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(ttl) = self.ttl {
            _ = write!(out, "; ttl={ttl}");
        }
        if self.disk {
            out.extend_from_slice(b"; detail=disk");
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let written = |trace: Trace| {
            let mut out = Vec::new();
            trace.write(&mut out);
            String::from_utf8(out).expect("text")
        };
        let mut hit = Trace::served(Verdict::Stale, -3);
        assert_eq!(written(hit), "Cache-Status: ringway; hit; ttl=-3\r\n");
        hit.disk = true;
        assert_eq!(written(hit), "Cache-Status: ringway; hit; ttl=-3; detail=disk\r\n");
        let mut miss = Trace::forwarded(Verdict::Miss, Forward::VaryMiss);
        (miss.stored, miss.collapsed) = (true, true);
        let expected = "Cache-Status: ringway; fwd=vary-miss; stored; collapsed\r\n";
        assert_eq!(written(miss), expected);
        let validated = Trace::forwarded(Verdict::Revalidated, Forward::Stale).with_ttl(5);
        let expected = "Cache-Status: ringway; fwd=stale; fwd-status=304; ttl=5\r\n";
        assert_eq!(written(validated), expected);
    }
}
