//! The members of an origin on one thread: their doors, and the connections that came through them.

use super::behaviour::Wanted;
use super::{Shared, serve};
use crate::head::Request;
use crate::rng::Rng;
use crate::runtime::{self, Driver};
use crate::timer::Timer;
use crate::tls::Server;
use monoio::net::TcpStream;
use socket2::Socket;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const BACKLOG: i32 = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_BATCH: usize = 64;

/// All members, as one thread sees them.
pub(super) struct Doors {
    posts: Vec<Rc<Post>>,
    driver: Driver,
}

/// One member, as one thread sees it.
pub(super) struct Post {
    shared: Arc<Shared>,
    member: usize,
    thread: usize,
    timer: Rc<Timer>,
    rng: RefCell<Rng>,
    /// Where new connections come in, while the member is there.
    door: RefCell<Option<Rc<Socket>>>,
    /// Second handles of the connections.
    open: RefCell<HashMap<u64, Rc<Socket>>>,
    next: Cell<u64>,
}

impl Doors {
    pub(super) fn new(
        shared: Arc<Shared>,
        thread: usize,
        driver: Driver,
        timer: Rc<Timer>,
    ) -> Self {
        let post = |member: usize| {
            let seed = shared.options.seed.wrapping_add((member << 16 | thread) as u64);
            Rc::new(Post {
                shared: Arc::clone(&shared),
                member,
                thread,
                timer: Rc::clone(&timer),
                rng: RefCell::new(Rng::new(seed)),
                door: RefCell::new(None),
                open: RefCell::default(),
                next: Cell::new(0),
            })
        };
        Self { posts: (0..shared.options.members).map(post).collect(), driver }
    }

    pub(super) fn open_all(&self) -> io::Result<()> {
        (0..self.posts.len()).try_for_each(|member| self.open(member))
    }

    /// Lets `member` listen, if it does not.
    pub(super) fn open(&self, member: usize) -> io::Result<()> {
        let post = self.posts.get(member).ok_or(io::ErrorKind::NotFound)?;
        if post.door.borrow().is_some() {
            return Ok(());
        }
        let address = post.shared.addresses.get(member).ok_or(io::ErrorKind::NotFound)?;
        let socket = super::bind(*address)?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        // Only readiness is asked of it, which any descriptor can tell.
        let readiness = TcpStream::from_std(socket.try_clone()?.into())?;
        let socket = Rc::new(socket);
        post.door.replace(Some(Rc::clone(&socket)));
        drop(monoio::spawn(accept(Rc::clone(post), socket, readiness, self.driver)));
        Ok(())
    }

    /// Cuts the connections of `member` and closes its door.
    pub(super) fn close(&self, member: usize) {
        let Some(post) = self.posts.get(member) else { return };
        if let Some(door) = post.door.take() {
            _ = door.shutdown(Shutdown::Read); // wakes who waits at it
        }
        for socket in post.open.borrow().values() {
            _ = socket.shutdown(Shutdown::Both); // already gone: all the better
        }
    }
}

impl Post {
    pub(super) fn tls(&self) -> Option<&Server> {
        self.shared.options.tls.as_ref()
    }

    pub(super) fn timer(&self) -> &Timer {
        &self.timer
    }

    pub(super) fn keep_alive(&self) -> Option<u64> {
        self.shared.options.keep_alive
    }

    pub(super) fn wanted(&self, request: &Request<'_>) -> Result<Wanted, String> {
        self.shared.options.behaviour.wanted(request, &mut self.rng.borrow_mut())
    }

    /// Counts an answered request.
    pub(super) fn count(&self) {
        let row = self.shared.served.get(self.member).map(Vec::as_slice).unwrap_or_default();
        if let Some(served) = row.get(self.thread) {
            served.0.store(served.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed); // no other writer
        }
    }

    /// Requests answered by all threads.
    pub(super) fn served(&self) -> u64 {
        self.shared.served(self.member)
    }

    fn is_open(&self, door: &Rc<Socket>) -> bool {
        self.door.borrow().as_ref().is_some_and(|open| Rc::ptr_eq(open, door))
    }
}

/// Accepts until the door is closed.
async fn accept(post: Rc<Post>, door: Rc<Socket>, readiness: TcpStream, driver: Driver) {
    while post.is_open(&door) {
        if readiness.readable(false).await.is_err() {
            runtime::sleep(ACCEPT_PAUSE).await;
        }
        for _ in 0..ACCEPT_BATCH {
            if !post.is_open(&door) {
                return;
            }
            match door.accept() {
                Ok((socket, _)) => _ = welcome(&post, socket, driver), // it may have gone already
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    runtime::sleep(ACCEPT_PAUSE).await; // out of descriptors: do not spin
                    break;
                }
            }
        }
    }
}

fn welcome(post: &Rc<Post>, socket: Socket, driver: Driver) -> io::Result<()> {
    socket.set_nonblocking(driver == Driver::Epoll)?; // io_uring waits by itself
    let handle = Rc::new(socket.try_clone()?);
    let stream = TcpStream::from_std(socket.into())?;
    let number = post.next.replace(post.next.get() + 1);
    post.open.borrow_mut().insert(number, Rc::clone(&handle));
    let post = Rc::clone(post);
    drop(monoio::spawn(async move {
        serve::serve(Rc::clone(&post), stream, handle).await;
        post.open.borrow_mut().remove(&number);
    }));
    Ok(())
}
