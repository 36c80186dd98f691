//! The few things std cannot ask of Linux: signals, and how a child starts.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::seccomp;

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
