//! One monoio runtime on the calling thread: io_uring with the cheapest flags the kernel grants,
//! else epoll. The only place that names a driver.

use core_affinity::CoreId;
use io_uring::IoUring;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

/// What the runtime turned out to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with `SINGLE_ISSUER | DEFER_TASKRUN` (Linux 6.1).
    Deferred,
    /// io_uring without flags.
    Plain,
    /// io_uring was refused.
    Epoll,
}

enum Built {
    Uring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

const RING_ENTRIES: u32 = 1024;

/// Pins this thread to `core`, if given, builds a runtime and runs the future that `make` returns.
///
/// # Errors
/// If the core does not exist, or the system grants neither io_uring nor epoll.
pub fn block_on<F: Future>(
    core: Option<usize>,
    make: impl FnOnce(Driver) -> F,
) -> io::Result<F::Output> {
    if let Some(id) = core
        && !core_affinity::set_for_current(CoreId { id })
    {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no core {id} to run on")));
    }
    let (built, driver) = build()?;
    let future = make(driver);
    Ok(match built {
        Built::Uring(mut runtime) => runtime.block_on(future),
        Built::Epoll(mut runtime) => runtime.block_on(future),
    })
}

fn build() -> io::Result<(Built, Driver)> {
    let mut flags = IoUring::builder();
    flags.setup_single_issuer().setup_defer_taskrun();
    for (flags, driver) in [(flags, Driver::Deferred), (IoUring::builder(), Driver::Plain)] {
        let builder = RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(RING_ENTRIES)
            .uring_builder(flags)
            .enable_timer();
        if let Ok(runtime) = builder.build() {
            return Ok((Built::Uring(runtime), driver));
        }
    }
    let runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
    Ok((Built::Epoll(runtime), Driver::Epoll))
}

/// Now: latencies and deadlines are measured with it.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "measuring time is what this program is for")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for `span` without blocking the ring.
pub async fn sleep(span: Duration) {
    monoio::time::sleep(span).await;
}
