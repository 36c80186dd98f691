//! The only place that reads a clock. Everything else takes time as a parameter.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in monotonic time, in microseconds since an arbitrary start.
///
/// Smaller than `std::time::Instant` and, read coarsely, a fraction of its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The instant `micros` microseconds after the arbitrary start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the arbitrary start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant plus `span`; saturates.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// Time since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in whole microseconds; saturates.
#[must_use]
pub const fn micros(span: Duration) -> u64 {
    let whole = span.as_micros();
    if whole > u64::MAX as u128 { u64::MAX } else { whole as u64 }
}

#[allow(unsafe_code)]
fn read(clock: libc::clockid_t) -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a valid, writable timespec for the duration of the call.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut at) } != 0;
    if failed {
        return 0;
    }
    (at.tv_sec as u64).wrapping_mul(1_000_000).wrapping_add(at.tv_nsec as u64 / 1000)
}

/// Now, exact to the microsecond (about 25 ns a call).
#[must_use]
pub fn now() -> Instant {
    Instant(read(libc::CLOCK_MONOTONIC))
}

/// Now, exact to the kernel's tick (1-10 ms; about 5 ns a call): enough for timeouts.
#[must_use]
pub fn coarse() -> Instant {
    Instant(read(libc::CLOCK_MONOTONIC_COARSE))
}

/// Wall-clock time since the Unix epoch, for logs and `Date`.
#[must_use]
#[allow(clippy::disallowed_methods)]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
