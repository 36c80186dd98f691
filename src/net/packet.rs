//! The calls for datagrams whose local address matters: recvmsg(2) and sendmsg(2) with the packet
//! information that the standard library does not offer.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use socket2::SockAddr;

use super::buffer::Buffer;
use super::datagram::Envelope;

/// Room for the packet information of one datagram.
#[repr(C, align(16))]
struct Control([MaybeUninit<u8>; 64]);

impl Control {
    const fn new() -> Self {
        Self([MaybeUninit::zeroed(); 64])
    }
}

/// Each datagram will come with the address that it was sent to.
pub(super) fn tell_local_address(fd: RawFd, v6: bool) -> io::Result<()> {
    let (level, option) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an int, valid during the call.
    let failed = unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), size) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const fn header(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros is a valid header, with nothing in it.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

fn room_of(buffer: &mut Buffer) -> libc::iovec {
    let iov_len = buffer.room();
    libc::iovec { iov_base: buffer.room_ptr().cast(), iov_len }
}

/// Receives one datagram.
pub(super) fn receive(fd: RawFd, buffer: &mut Buffer) -> io::Result<Envelope> {
    let mut part = room_of(buffer);
    let mut control = Control::new();
    let mut message = header(&mut part);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: name, data and control of the message are writable for the lengths given, and the
    // length of the name is what the kernel said.
    let (got, client) = unsafe {
        SockAddr::try_init(|storage, length| {
            message.msg_name = storage.cast();
            message.msg_namelen = *length;
            let got = libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT);
            let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
            *length = message.msg_namelen;
            Ok(got)
        })?
    };
    // SAFETY: the kernel wrote that many bytes there.
    unsafe { buffer.filled(got) };
    let client = client.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok(Envelope { client, local: local_address(&message) })
}

/// Receives one datagram whose sender is known.
pub(super) fn receive_plain(fd: RawFd, buffer: &mut Buffer) -> io::Result<()> {
    let room = room_of(buffer);
    // SAFETY: the room is writable and belongs to `buffer`.
    let got = unsafe { libc::recv(fd, room.iov_base, room.iov_len, libc::MSG_DONTWAIT) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel wrote that many bytes there.
    unsafe { buffer.filled(got) };
    Ok(())
}

/// What the packet information says.
fn local_address(message: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel filled the control buffer, which lives, and its length; the macros walk
    // within it, and the data behind a header is read without regard to its alignment.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(part) = at.as_ref() {
            match (part.cmsg_level, part.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = libc::CMSG_DATA(at).cast::<libc::in_pktinfo>().read_unaligned();
                    let address = info.ipi_addr.s_addr;
                    return Some(Ipv4Addr::from(u32::from_be(address)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = libc::CMSG_DATA(at).cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => at = libc::CMSG_NXTHDR(message, at),
            }
        }
    }
    None
}

/// Sends one datagram to the client of `envelope`, from its local address.
pub(super) fn send(fd: RawFd, bytes: &[u8], envelope: &Envelope) -> io::Result<()> {
    let client = SockAddr::from(envelope.client);
    // The kernel only reads it.
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control::new();
    let mut message = header(&mut part);
    message.msg_name = client.as_ptr().cast_mut().cast();
    message.msg_namelen = client.len();
    match envelope.local {
        None => {}
        Some(IpAddr::V4(address)) => {
            // SAFETY: all zeros is valid: any interface.
            let mut info: libc::in_pktinfo = unsafe { std::mem::zeroed() };
            info.ipi_spec_dst.s_addr = u32::from(address).to_be();
            attach(&mut message, &mut control, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
        }
        Some(IpAddr::V6(address)) => {
            // SAFETY: all zeros is valid: any interface.
            let mut info: libc::in6_pktinfo = unsafe { std::mem::zeroed() };
            info.ipi6_addr.s6_addr = address.octets();
            attach(&mut message, &mut control, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: name, data and control of the message live during the call, which only reads them.
    let sent = unsafe { libc::sendmsg(fd, &raw const message, flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn attach<T>(
    message: &mut libc::msghdr,
    control: &mut Control,
    (level, kind): (libc::c_int, libc::c_int),
    info: T,
) {
    const { assert!(size_of::<T>() + 32 <= size_of::<Control>()) };
    let size = size_of::<T>() as libc::c_uint;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the macros compute lengths; the buffer has room for one header and `T` behind it, as
    // asserted, and is aligned for the header.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size) as usize;
        let part = libc::CMSG_FIRSTHDR(message);
        if let Some(header) = part.as_mut() {
            header.cmsg_level = level;
            header.cmsg_type = kind;
            header.cmsg_len = libc::CMSG_LEN(size) as usize;
            libc::CMSG_DATA(part).cast::<T>().write_unaligned(info);
        }
    }
}
