//! How an origin's owner tells its threads to stop and start members: a socket pair per thread.

use super::member::Doors;
use monoio::net::TcpStream;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// What a thread is told about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Stop,
    Start,
}

/// The owner's end.
pub(super) struct Line(UnixStream);
/// The thread's end.
pub(super) struct FarEnd(UnixStream);

const PATIENCE: Duration = Duration::from_secs(5);
const DONE: u8 = 1;
const FAILED: u8 = 2;
/// A command and a member's number.
const MESSAGE: usize = 5;

/// Both ends of a new line.
pub(super) fn pair() -> io::Result<(Line, FarEnd)> {
    let (near, far) = UnixStream::pair()?;
    near.set_read_timeout(Some(PATIENCE))?;
    far.set_nonblocking(true)?;
    Ok((Line(near), FarEnd(far)))
}

impl Line {
    /// Tells the thread, and waits until it is done.
    pub(super) fn tell(&mut self, command: Command, member: usize) -> io::Result<()> {
        let member = u32::try_from(member).map_err(io::Error::other)?.to_le_bytes();
        let [a, b, c, d] = member;
        self.0.write_all(&[u8::from(command == Command::Start), a, b, c, d])?;
        let mut answer = [0];
        self.0.read_exact(&mut answer)?;
        if answer == [DONE] { Ok(()) } else { Err(io::Error::other("the member does not start")) }
    }
}

/// Does what it is told; ends when the owner has gone.
pub(super) async fn obey(line: FarEnd, doors: &Rc<Doors>) -> io::Result<()> {
    let mut stream = line.0;
    let readiness = TcpStream::from_std(OwnedFd::from(stream.try_clone()?).into())?;
    let mut told = Vec::new();
    loop {
        readiness.readable(false).await?;
        let mut bytes = [0; 64];
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => told.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while let Some(([start, member @ ..], rest)) = told.split_first_chunk::<MESSAGE>() {
            let member = u32::from_le_bytes(*member) as usize;
            let done = if *start == 0 {
                doors.close(member);
                true
            } else {
                doors.open(member).is_ok()
            };
            told = rest.to_vec();
            stream.write_all(&[if done { DONE } else { FAILED }])?;
        }
    }
}
