//! New connections of the client: TCP, then TLS where it is spoken. Every wait on them is watched.

use crate::failure::Failure;
use crate::runtime::{self, Driver};
use crate::tally::micros;
use crate::wire::Wire;
use crate::worker::{Watch, Worker};
use monoio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::MaybeUninit;

const RECEIVE_BYTES: usize = 64 * 1024;
const EINPROGRESS: i32 = 115;
const PEEK_NOW: i32 = 0x2 | 0x40; // MSG_PEEK | MSG_DONTWAIT

/// Opens connection `index` anew.
pub(crate) async fn open(worker: &Worker, index: usize) -> Result<Wire, Failure> {
    let watch = worker.watch(index).ok_or(Failure::Connect)?;
    let start = runtime::now();
    watch.deadline.set(Some(start + worker.plan.timeout));
    let mut stream = connect(worker, watch).await.map_err(|_| Failure::Connect)?;
    let connected = runtime::now();
    {
        let mut tally = worker.tally.borrow_mut();
        tally.connections += 1;
        tally.connects.saturating_record(micros(connected - start));
    }
    let Some(client) = &worker.tls else { return Ok(Wire::new(stream, None, RECEIVE_BYTES)) };
    let tls = Box::pin(client.open(&mut stream)).await.map_err(|_| Failure::Handshake)?;
    let mut tally = worker.tally.borrow_mut();
    tally.handshakes.saturating_record(micros(runtime::now() - connected));
    tally.resumed += u64::from(tls.is_resumed());
    Ok(Wire::new(stream, Some(tls), RECEIVE_BYTES))
}

async fn connect(worker: &Worker, watch: &Watch) -> io::Result<TcpStream> {
    let address = worker.plan.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
        _ => {}
    }
    watch.socket.replace(Some(socket.try_clone()?));
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable(false).await?;
    let Some(socket) = &*watch.socket.borrow() else { return Err(io::ErrorKind::Other.into()) };
    match socket.take_error()? {
        Some(error) => return Err(error),
        None if watch.expired.get() => return Err(io::ErrorKind::TimedOut.into()),
        None => socket.set_nonblocking(worker.driver == Driver::Epoll)?, // io_uring waits by itself
    }
    Ok(stream)
}

/// True if nothing has come on the resting connection `index`, not even its end.
pub(crate) fn is_quiet(worker: &Worker, index: usize) -> bool {
    let Some(watch) = worker.watch(index) else { return false };
    let socket = watch.socket.borrow();
    let Some(socket) = &*socket else { return false };
    let mut byte = [MaybeUninit::uninit()];
    // Under TLS a ticket may wait to be read, so only the end counts there.
    match socket.recv_with_flags(&mut byte, PEEK_NOW) {
        Ok(count) => count > 0 && worker.tls.is_some(),
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
