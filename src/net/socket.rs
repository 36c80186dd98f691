//! The socket calls that neither the runtime nor the standard library offers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{SockAddr, SockRef};

use super::buffer::Buffer;
use super::reserve;

/// One socket to look at.
#[repr(transparent)]
pub(super) struct Polled(libc::pollfd);

impl Polled {
    pub(super) const fn new(fd: RawFd) -> Self {
        Self(libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 })
    }

    /// The peer closed its side, or all of it.
    pub(super) const fn hung_up(&self) -> bool {
        self.0.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// The connection is dead both ways.
    pub(super) const fn broken(&self) -> bool {
        self.0.revents & (libc::POLLHUP | libc::POLLERR) != 0
    }
}

/// Looks at all of them without waiting; false if the kernel refused.
pub(super) fn poll_now(polled: &mut [Polled]) -> bool {
    // SAFETY: `Polled` is a transparent `pollfd`; pointer and length are of one live slice.
    unsafe { libc::poll(polled.as_mut_ptr().cast(), polled.len() as libc::nfds_t, 0) >= 0 }
}

/// Whether any of `events` is there, or an end or an error.
pub(super) fn is_ready(fd: RawFd, events: u32) -> bool {
    let mut polled = libc::pollfd { fd, events: events as libc::c_short, revents: 0 };
    // SAFETY: one pollfd, valid during the call.
    unsafe { libc::poll(&raw mut polled, 1, 0) > 0 }
}

/// Accepts a connection if one waits; calls on it do not wait, and it is not for child processes.
pub(super) fn accept_now(fd: RawFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    reserve::may_accept(fd)?;
    // SAFETY: the storage is writable for the length given, which the kernel sets to what it wrote;
    // the descriptor is new, and nobody else owns it.
    let (socket, peer) = unsafe {
        SockAddr::try_init(|storage, length| {
            let accepted = libc::accept4(fd, storage.cast(), length, flags);
            if accepted < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(OwnedFd::from_raw_fd(accepted))
        })?
    };
    reserve::accepted(&socket);
    Ok((socket, peer.as_socket()))
}

/// Ends both directions; whatever waits on the socket wakes.
pub(super) fn shutdown_both(fd: RawFd) {
    shutdown(fd, libc::SHUT_RDWR);
}

/// Ends the receiving direction: what waits to receive wakes with an end of file.
pub(super) fn shutdown_read(fd: RawFd) {
    shutdown(fd, libc::SHUT_RD);
}

/// Ends the sending direction: the peer reads an end of file.
pub(super) fn shutdown_write(fd: RawFd) {
    shutdown(fd, libc::SHUT_WR);
}

fn shutdown(fd: RawFd, how: libc::c_int) {
    if fd < 0 {
        return;
    }
    // An error means that the peer was faster, which is what we want.
    // SAFETY: a call without pointers; a stale number is excluded by the caller's ownership.
    unsafe { libc::shutdown(fd, how) };
}

/// Whether nothing can be read: no data, no end of file, no error.
pub(super) fn is_quiet(fd: RawFd) -> bool {
    peek(fd).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether nothing is left to be received, now: no data.
pub(super) fn is_empty(fd: RawFd) -> bool {
    match peek(fd) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Whether nothing more can come: the end of the stream, or an error.
pub(super) fn is_over(fd: RawFd) -> bool {
    match peek(fd) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// recv(2) without waiting, and without the C library: its own is a point where a thread can be
/// cancelled, which takes two atomic operations a call.
///
/// # Safety
/// `room` bytes from `at` on are writable, and nobody else looks at them during the call.
unsafe fn recv(fd: RawFd, at: *mut u8, room: usize, flags: libc::c_int) -> io::Result<usize> {
    let (flags, nobody) = (flags | libc::MSG_DONTWAIT, std::ptr::null_mut::<libc::c_void>());
    // SAFETY: as the caller says; the address of the sender is not asked for.
    let got = unsafe { libc::syscall(libc::SYS_recvfrom, fd, at, room, flags, nobody, nobody) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// How many bytes of the next one can be received; 0: the end of the stream.
fn peek(fd: RawFd) -> io::Result<usize> {
    let mut byte = 0u8;
    // SAFETY: one writable byte, length one.
    unsafe { recv(fd, &raw mut byte, 1, libc::MSG_PEEK) }
}

/// Receives what is there into the room of `buffer`, without waiting.
pub(super) fn receive_now(fd: RawFd, buffer: &mut Buffer) -> io::Result<usize> {
    let (at, room) = (buffer.room_ptr(), buffer.room());
    // SAFETY: `room` bytes from `at` on are writable, and `buffer` is not touched meanwhile.
    let got = unsafe { recv(fd, at.cast(), room, 0)? };
    // SAFETY: the kernel wrote so many bytes there.
    unsafe { buffer.filled(got) };
    Ok(got)
}

/// Sends as much as the socket takes without waiting. Not by the C library, as receiving.
pub(super) fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let (at, length, nobody) = (bytes.as_ptr(), bytes.len(), std::ptr::null::<libc::c_void>());
    // SAFETY: pointer and length are of one live slice; the socket is connected.
    let sent = unsafe { libc::syscall(libc::SYS_sendto, fd, at, length, flags, nobody, 0usize) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sending takes bytes, and is possible, only while fewer than so many have not left yet; `None`:
/// as the host has it.
pub(super) fn limit_unsent(fd: RawFd, bytes: Option<u32>) {
    // SAFETY: the caller owns the descriptor, which outlives the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    // Refused by what is not of TCP, for which nothing is gained by it.
    _ = SockRef::from(&borrowed).set_tcp_notsent_lowat(bytes.unwrap_or(0));
}

/// Bytes that were sent and that the peer's system has not acknowledged yet.
pub(super) fn untaken(fd: RawFd) -> Option<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ, writes one int, valid during the call.
    let failed = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) } != 0;
    if failed { None } else { u32::try_from(bytes).ok() }
}

/// What became of a connect, for one; it is told only once.
pub(super) fn error(fd: RawFd) -> io::Result<Option<io::Error>> {
    // SAFETY: the caller owns the descriptor, which outlives the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    SockRef::from(&borrowed).take_error()
}

/// Bytes that the peer has sent, and that it has taken, since the connection began.
pub(super) fn progress(fd: RawFd) -> Option<(u64, u64)> {
    // The head of `struct tcp_info`, up to `tcpi_bytes_received`: 136 bytes since Linux 4.2.
    let mut info = [0u64; 17];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: `length` bytes from `info` on are writable during the call.
    let failed =
        unsafe { libc::getsockopt(fd, level, name, info.as_mut_ptr().cast(), &raw mut length) }
            != 0;
    let [.., taken, sent] = info;
    (!failed && length as usize == size_of_val(&info)).then_some((sent, taken))
}

/// Closing will reset the connection instead of ending it cleanly.
pub(super) fn reset_on_close(fd: RawFd) {
    // SAFETY: the caller owns the descriptor, which outlives the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    // On failure the connection is already gone.
    _ = SockRef::from(&borrowed).set_linger(Some(std::time::Duration::ZERO));
}

/// Whether closing will reset the connection.
pub(super) fn resets_on_close(fd: RawFd) -> bool {
    // SAFETY: the caller owns the descriptor, which outlives the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    matches!(SockRef::from(&borrowed).linger(), Ok(Some(std::time::Duration::ZERO)))
}

/// Lets the kernel drop new connection requests to a listening socket, unanswered, while the
/// handshakes under way complete: the first step of closing it without losing a connection.
pub(super) fn refuse_new_connections(fd: RawFd) -> io::Result<()> {
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    // Byte 13 of the TCP header holds the flags: drop what has SYN and not ACK.
    let mut program = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 13),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0x12),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, 0x02),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let filter = libc::sock_fprog { len: 5, filter: program.as_mut_ptr() };
    // SAFETY: `filter` points at five instructions that outlive the call; the kernel copies them.
    let failed = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}
