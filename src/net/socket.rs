//! The socket calls that neither the runtime nor the standard library offers.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use monoio::buf::IoBufMut;
use socket2::SockRef;

use super::buffer::Buffer;

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

/// Whether nothing more can come: the end of the stream, or an error.
pub(super) fn is_over(fd: RawFd) -> bool {
    match peek(fd) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// How many bytes of the next one can be received; 0: the end of the stream.
fn peek(fd: RawFd) -> io::Result<isize> {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: one writable byte, length one.
    let got = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got) }
}

/// Receives what is there into the room of `buffer`, without waiting.
pub(super) fn receive_now(fd: RawFd, buffer: &mut Buffer) -> io::Result<usize> {
    let (at, room) = (buffer.write_ptr(), buffer.bytes_total());
    // SAFETY: `room` bytes from `at` on are writable, and `buffer` is not touched meanwhile.
    let got = unsafe { libc::recv(fd, at.cast(), room, libc::MSG_DONTWAIT) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel wrote so many bytes there.
    unsafe { buffer.set_init(got) };
    Ok(got)
}

/// Sends as much as the socket takes without waiting.
pub(super) fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: pointer and length are of one live slice.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Bytes that were sent and that the peer's system has not acknowledged yet.
pub(super) fn untaken(fd: RawFd) -> Option<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ, writes one int, valid during the call.
    let failed = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) } != 0;
    if failed { None } else { u32::try_from(bytes).ok() }
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

/// Makes calls on the socket return `EAGAIN` instead of waiting.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    SockRef::from(&fd).set_nonblocking(on)
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
