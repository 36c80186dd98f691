//! Which event loop this host lets us have.

use std::fmt;
use std::io;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring where the kernel offers it, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

/// What the workers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with the best flags that the kernel knows.
    IoUring(RingFlags),
    /// epoll, where io_uring is refused.
    Epoll,
}

/// How a ring reports completions, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFlags {
    /// `SINGLE_ISSUER | DEFER_TASKRUN` (Linux 6.1): when the loop asks for them.
    Deferred,
    /// `COOP_TASKRUN` (Linux 5.19): without interrupting the loop.
    Cooperative,
    /// No flags: the loop is interrupted; about a fifth more CPU per request.
    Plain,
}

/// The kernel refused what the operator insisted on.
#[derive(Debug)]
pub struct DriverError(io::Error);

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the kernel refuses io_uring ({}): see /proc/sys/kernel/io_uring_disabled and the \
             seccomp profile, or run with --driver epoll",
            self.0
        )
    }
}

impl std::error::Error for DriverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Driver {
    /// Finds out, by building a small ring, what the kernel offers. The second value is why
    /// `Auto` fell back to epoll, if it did.
    ///
    /// # Errors
    /// io_uring was insisted on and is refused.
    pub fn choose(choice: DriverChoice) -> Result<(Self, Option<DriverError>), DriverError> {
        if choice == DriverChoice::Epoll {
            return Ok((Self::Epoll, None));
        }
        match Self::probe() {
            Ok(flags) => Ok((Self::IoUring(flags), None)),
            Err(error) if choice == DriverChoice::Auto => {
                Ok((Self::Epoll, Some(DriverError(error))))
            }
            Err(error) => Err(DriverError(error)),
        }
    }

    fn probe() -> io::Result<RingFlags> {
        let mut refused = io::Error::from_raw_os_error(libc::ENOSYS);
        for flags in [RingFlags::Deferred, RingFlags::Cooperative, RingFlags::Plain] {
            match flags.builder().build(8) {
                Ok(_) => return Ok(flags),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Its name on the command line and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IoUring(_) => "io_uring",
            Self::Epoll => "epoll",
        }
    }

    /// How completions are reported, for the log.
    #[must_use]
    pub const fn mode(self) -> &'static str {
        match self {
            Self::IoUring(RingFlags::Deferred) => "single_issuer+defer_taskrun",
            Self::IoUring(RingFlags::Cooperative) => "coop_taskrun",
            Self::IoUring(RingFlags::Plain) => "plain",
            Self::Epoll => "readiness",
        }
    }
}
