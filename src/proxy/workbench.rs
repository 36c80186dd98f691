//! Heads written anew without a client or a member, for measuring what that costs. No part of the
//! interface.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Neighbours, Scratch};
use super::exchange::{Ask, Facts};
use super::forwarded::Peer;
use super::guards::Guards;
use super::request;
use super::response::{self, BodyField, ConnectionField, Edits};
use crate::balancer::{Pools, SharedPools, observer};
use crate::config::Config;
use crate::http::{Framing, HeadLimits};
use crate::ids::{PoolId, WorkerId};
use crate::net::{self, Address, Driver, Stream};
use crate::stats::{Occupancy, Row};

/// A request and its answer, parsed; both belong to the first route of the first listener.
#[derive(Debug)]
pub struct HeadBench {
    context: Context,
    peer: Peer,
    stream: Stream,
    heads: Scratch,
    facts: Facts,
}

impl HeadBench {
    /// Calls `measure` on an event loop of its own, with the heads of `request` and `answer`.
    ///
    /// # Errors
    /// The system refused a socket or the loop; the heads or the configuration are not good.
    pub fn run(
        config: Config,
        (request, answer): (&[u8], &[u8]),
        measure: impl FnOnce(&Self),
    ) -> io::Result<()> {
        let bad = || io::Error::from(io::ErrorKind::InvalidInput);
        let mut heads = Scratch::default();
        let limits = HeadLimits { bytes: 32 << 10, fields: 100 };
        heads.request.parse(request, &limits).map_err(|_| bad())?;
        heads.response.parse(answer, &limits).map_err(|_| bad())?;
        let door = TcpListener::bind("127.0.0.1:0")?;
        net::block_on(Driver::Epoll, async {
            let address = door.local_addr()?;
            let dialled = net::dial(&Address::Ip(address), Duration::from_secs(1)).await;
            let stream = dialled.map_err(|_| bad())?;
            let (peer, context) = (peer(address), context(config)?);
            let facts = Facts::new(&peer);
            let bench = Self { context, peer, stream, heads, facts };
            bench.ask(&bench.heads).ok_or_else(bad)?;
            measure(&bench);
            Ok(())
        })?
    }

    fn ask<'a>(&'a self, heads: &'a Scratch) -> Option<Ask<'a>> {
        Some(Ask {
            context: &self.context,
            listener: self.context.config.listeners.first()?,
            route: self.context.config.routes.first()?,
            pool: PoolId(0),
            head: &heads.request,
            edited: None,
            framing: Framing::None,
            idempotent: true,
            upgrades: false,
            measures: false,
            peer: &self.peer,
            stream: &self.stream,
            grant: None,
            cache: None,
        })
    }

    /// Appends the request's head as a member gets it.
    pub fn write_request(&self, out: &mut Vec<u8>) {
        if let Some(ask) = self.ask(&self.heads) {
            request::write(out, &ask, "127.0.0.1:8080", &self.facts);
        }
    }

    /// Appends the answer's head as a client gets it.
    pub fn write_answer(&self, out: &mut Vec<u8>) {
        if let Some(ask) = self.ask(&self.heads) {
            let (head, edits) = (&self.heads.response, Edits::of(&ask, &self.facts));
            let body = BodyField::Length(1024);
            response::write(out, head, body, ConnectionField::Silent, edits, |_| {});
        }
    }
}

fn peer(address: SocketAddr) -> Peer {
    Peer::new(address, 80, None, None)
}

fn context(config: Config) -> io::Result<Context> {
    let shared = SharedPools::new(&config.pools, 1);
    let (observer, _) = observer()?;
    let row = Arc::new(Row::default());
    let pools = Pools::new(
        &config.pools,
        &shared,
        WorkerId(0),
        &row,
        &observer,
        &(Rc::new(|_, _| {}) as _),
    );
    let tls = config.listeners.iter().map(|_| None).collect();
    let occupancy = Arc::new(Occupancy::new(Vec::new(), 1));
    let neighbours = Neighbours { me: WorkerId(0), occupancy, give: None };
    let post = Arc::new(Guards::new(&config, 1)).at(WorkerId(0));
    let from_all = (neighbours, post);
    Ok(Context::new(Arc::new(config), pools, row, from_all, None, tls))
}
