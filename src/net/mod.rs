//! Everything that names the runtime, sockets and the kernel: the ring, streams, buffers,
//! deadlines, bulk relays. The only place with `unsafe`; the only one that knows the runtime's
//! hazards. Must not know HTTP's routes nor pools.
#![allow(unsafe_code)]

mod address;
mod buffer;
mod datagram;
mod deadline;
mod dial;
mod driver;
mod files;
mod inbox;
mod listen;
mod pace;
mod packet;
mod pair;
mod private;
mod reactor;
mod relay;
mod reserve;
mod runtime;
mod socket;
mod splice;
mod stamp;
mod stream;
pub mod tls;
mod unix;

pub use address::Address;
pub use buffer::{Buffer, Size};
pub use datagram::{Correspondent, Datagrams, Envelope, bind_datagrams};
pub use deadline::{TICK, hurry_idle, reset_busy, sweep, ticks};
pub use dial::{dial, nobody};
pub use driver::{Driver, DriverChoice, DriverError, RingFlags};
pub use files::{FILE_JOBS_MOST, FileSeat, FileThreads, Files, Pending, Unrun};
pub use inbox::{Inbox, Messages, Ringer, inbox};
pub use listen::{Acceptor, BindError, Listening, bind};
pub use pair::{Either, both, race};
pub use private::{nameless_file, private_folder};
pub use relay::{Direction, DirectionEnd};
pub use runtime::{
    block_on, completions, cores, descriptors, give_way, load, pin, sleep, spawn, wakes,
};
pub use splice::{Relayed, splice};
pub use stamp::{Stamp, WatchedFile, any_changed, stamp};
pub use stream::{Failure, Stream};
pub use unix::{dial_unix, listen_private};
