//! Messages to a worker from other threads: a bounded channel, and a socket that wakes its loop.

use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdUnixStream;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;

use super::buffer::{Buffer, Size};
use super::driver::Driver;

/// The sending end, for any thread.
#[derive(Debug)]
pub struct Ringer<T> {
    messages: Sender<T>,
    bell: StdUnixStream,
}

/// The receiving end, to be opened on the worker's thread.
#[derive(Debug)]
pub struct Inbox<T> {
    messages: Receiver<T>,
    bell: StdUnixStream,
}

/// A channel of at most `bound` messages.
///
/// # Errors
/// No descriptors are left.
pub fn inbox<T>(bound: usize) -> io::Result<(Ringer<T>, Inbox<T>)> {
    let (sender, receiver) = bounded(bound);
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((Ringer { messages: sender, bell: ours }, Inbox { messages: receiver, bell: theirs }))
}

impl<T> Ringer<T> {
    /// Sends without waiting and wakes the worker.
    ///
    /// # Errors
    /// The message, if the inbox is full or its worker has ended.
    pub fn send(&self, message: T) -> Result<(), T> {
        match self.messages.try_send(message) {
            Ok(()) => {
                // A full bell is already ringing; a closed one has no worker behind it.
                _ = (&self.bell).write(&[1]);
                Ok(())
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Err(message),
        }
    }
}

impl<T> Inbox<T> {
    /// Hands every message to `each`, until the other end is gone.
    ///
    /// # Errors
    /// The runtime could not take the socket.
    pub async fn serve(self, driver: Driver, mut each: impl FnMut(T)) -> io::Result<()> {
        // Under io_uring a non-blocking socket would fail instead of waiting.
        self.bell.set_nonblocking(driver == Driver::Epoll)?;
        let mut bell = UnixStream::from_std(self.bell)?;
        let mut rings = Buffer::take(Size::Small);
        loop {
            while let Ok(message) = self.messages.try_recv() {
                each(message);
            }
            let (result, returned) = bell.read(rings).await;
            rings = returned;
            rings.clear();
            if result? == 0 {
                return Ok(());
            }
        }
    }
}
