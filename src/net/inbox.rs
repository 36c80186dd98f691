//! Messages to a thread from others: a bounded channel, and a socket that wakes its event loop.
//! The socket rings once for all messages that come before the loop looks.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::buffer::{Buffer, Size};
use super::reactor::{Side, Source};
use super::socket;

/// The sending end, for any thread.
#[derive(Debug)]
pub struct Ringer<T> {
    messages: Sender<T>,
    bell: Arc<StdUnixStream>,
    rung: Arc<AtomicBool>,
}

impl<T> Clone for Ringer<T> {
    fn clone(&self) -> Self {
        let Self { messages, bell, rung } = self;
        Self { messages: messages.clone(), bell: Arc::clone(bell), rung: Arc::clone(rung) }
    }
}

/// The receiving end, to be opened on the thread that it is for.
#[derive(Debug)]
pub struct Inbox<T> {
    messages: Messages<T>,
    bell: StdUnixStream,
}

/// The messages of an inbox.
#[derive(Debug)]
pub struct Messages<T> {
    receiver: Receiver<T>,
    rung: Arc<AtomicBool>,
}

/// A channel of at most `bound` messages.
///
/// # Errors
/// No descriptors are left.
pub fn inbox<T>(bound: usize) -> io::Result<(Ringer<T>, Inbox<T>)> {
    let (sender, receiver) = bounded(bound);
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let rung = Arc::new(AtomicBool::new(false));
    let messages = Messages { receiver, rung: Arc::clone(&rung) };
    let ringer = Ringer { messages: sender, bell: Arc::new(ours), rung };
    Ok((ringer, Inbox { messages, bell: theirs }))
}

impl<T> Ringer<T> {
    /// Sends without waiting and wakes the receiver.
    ///
    /// # Errors
    /// The message, if the inbox is full or its thread has ended.
    pub fn send(&self, message: T) -> Result<(), T> {
        match self.messages.try_send(message) {
            Ok(()) => {
                if !self.rung.swap(true, Ordering::AcqRel) {
                    // A closed bell has no thread behind it.
                    _ = (&*self.bell).write(&[1]);
                }
                Ok(())
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => Err(message),
        }
    }
}

impl<T> Messages<T> {
    /// Hands every message that is there to `each`. To be called at first, and after each ring.
    pub fn drain(&self, mut each: impl FnMut(T)) {
        // Before the look: what comes after it rings again.
        self.rung.swap(false, Ordering::AcqRel);
        while let Ok(message) = self.receiver.try_recv() {
            each(message);
        }
    }
}

impl<T> Inbox<T> {
    /// For another event loop: the messages, and a non-blocking socket that is readable when there
    /// are any, to be read empty before [`Messages::drain`]. It ends with the last [`Ringer`].
    ///
    /// # Errors
    /// The system refused.
    pub fn open(self) -> io::Result<(Messages<T>, StdUnixStream)> {
        self.bell.set_nonblocking(true)?;
        Ok((self.messages, self.bell))
    }

    /// Hands every message to `each`, until the other end is gone.
    ///
    /// # Errors
    /// The loop could not take the socket.
    pub async fn serve(self, mut each: impl FnMut(T)) -> io::Result<()> {
        self.bell.set_nonblocking(true)?;
        let bell = Source::new(OwnedFd::from(self.bell));
        loop {
            self.messages.drain(&mut each);
            bell.wait(Side::Read).await?;
            let mut rings = Buffer::take(Size::Small);
            match socket::receive_now(bell.fd(), &mut rings) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    bell.exhausted(Side::Read);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
