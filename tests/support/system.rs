//! The few things std cannot ask of Linux: signals, threads, and how a child starts.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use super::{eventually, seccomp};

/// What a child lives with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Confinement {
    /// RLIMIT_NOFILE, soft and hard.
    pub(crate) files: Option<u64>,
    /// RLIMIT_FSIZE, soft and hard: what would make a file longer fails with EFBIG.
    pub(crate) file_size: Option<u64>,
    /// io_uring_setup fails with EPERM, as under a container's seccomp profile.
    pub(crate) no_io_uring: bool,
}

/// Sends `signal` to the process `pid`.
pub(crate) fn signal(pid: u32, signal: i32) {
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    // SAFETY: kill takes two integers and touches no memory of ours.
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(result, 0, "kill: {}", io::Error::last_os_error());
}

/// Whether a listening socket drops requests for connections, as nobody takes those that wait.
pub(crate) fn backlog_is_full(socket: &impl AsRawFd) -> bool {
    // The head of `struct tcp_info`, up to the connections that wait and how many may.
    let mut info = [0u32; 8];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).expect("a size");
    let (fd, at) = (socket.as_raw_fd(), info.as_mut_ptr());
    // SAFETY: so many bytes of `info` are writable during the call.
    check(unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, at.cast(), &raw mut length)
    })
    .expect("TCP_INFO");
    info[6] > info[7]
}

/// Waits until each thread of the process `pid` sleeps, or has slept, or has worked for long enough.
///
/// A worker that has sent the last byte of an answer may count it only now, and its client may know
/// of the answer before: what it does without waiting is done when it sleeps.
#[track_caller]
pub(crate) fn wait_asleep(pid: u32) {
    // It may have ended, and so have its threads.
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    let threads = threads.filter_map(|thread| Some(thread.ok()?.path()));
    let mut busy: Vec<_> =
        threads.filter_map(|thread| Some((Busy::of(&thread)?, thread))).collect();
    eventually("every thread of the proxy sleeps", || {
        busy.retain(|(before, thread)| {
            Busy::of(thread).is_some_and(|now| {
                now.slept == before.slept && now.worked < before.worked + LONG_ENOUGH
            })
        });
        busy.is_empty()
    });
}

/// In the ticks of the processor, of which there are a hundred a second: who is flooded never sleeps.
const LONG_ENOUGH: u64 = 20;

/// A thread that does not sleep.
struct Busy {
    /// How often it did.
    slept: u64,
    /// How long it had a processor.
    worked: u64,
}

impl Busy {
    /// `None`: it sleeps, or has ended.
    fn of(thread: &Path) -> Option<Busy> {
        let read = |name: &str| fs::read_to_string(thread.join(name)).ok();
        let (stat, status) = (read("stat")?, read("status")?);
        // Behind its name, which may be anything: the state, and from the twelfth word on the times.
        let words: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Running, or waiting for its memory to be read from disk.
        matches!(*words.first()?, "R" | "D").then_some(())?;
        let number = |text: Option<&&str>| text.and_then(|text| text.parse::<u64>().ok());
        let slept =
            status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        let worked = number(words.get(11))? + number(words.get(12))?;
        Some(Busy { slept: slept.trim().parse().ok()?, worked })
    }
}

/// Makes `command` start confined, and die with the thread that starts it.
pub(crate) fn confine(command: &mut Command, confinement: Confinement) {
    let filter = confinement.no_io_uring.then(seccomp::without_io_uring);
    let prepare = move || {
        // SAFETY: prctl with integers only.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        if let Some(files) = confinement.files {
            let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
            // SAFETY: `limit` lives until the call returns, which reads it only.
            check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
        }
        if let Some(size) = confinement.file_size {
            let limit = libc::rlimit { rlim_cur: size, rlim_max: size };
            // SAFETY: as above.
            check(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) })?;
            // SAFETY: no handler of ours; ignored signals stay ignored behind exec. Not ignored, this
            // one would end the process in place of the error.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        }
        filter.as_ref().map_or(Ok(()), seccomp::install)
    };
    // SAFETY: between fork and exec `prepare` makes system calls only; it allocates nothing, takes
    // no lock, and its filter was built before.
    unsafe { command.pre_exec(prepare) };
}

/// The error that a system call left, if it failed.
pub(crate) fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
