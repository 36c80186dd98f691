//! HTTP/1.1 on one connection of the client: requests, pipelined or not, and their answers, verified.
//! When a request's turn comes is the worker's business.

use crate::body::Body;
use crate::dial;
use crate::failure::Failure;
use crate::head::{self, Response};
use crate::runtime;
use crate::wire::Wire;
use crate::worker::{Turn, Worker};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

const CONNECT_PAUSE: Duration = Duration::from_millis(10);
/// A connection that rested longer than this is looked at before it is used again.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// The requests of connection `index`, until there are none left.
pub(crate) async fn serve(worker: Rc<Worker>, index: usize, wire: Option<Wire>) {
    let Some(watch) = worker.watch(index) else { return };
    let mut talk = Talk { index, open: wire, rested_since: runtime::now(), ..Talk::default() };
    loop {
        let turn = match talk.carried.pop_front() {
            Some(turn) => turn,
            None => match worker.turn().await {
                Some(turn) => turn,
                None => break,
            },
        };
        watch.expired.set(false);
        let mut wire = match talk.reuse(&worker) {
            Some(wire) => wire,
            None => match dial::open(&worker, index).await {
                Ok(wire) => wire,
                Err(failure) => {
                    worker.failed(failure, &turn, index);
                    worker.timer.sleep(CONNECT_PAUSE).await; // refused: do not spin
                    continue;
                }
            },
        };
        talk.push(&worker, turn, runtime::now());
        match talk.run(&worker, &mut wire).await {
            Ok(true) => talk.rest(wire),
            Ok(false) => talk.used = 0,
            Err(failure) => talk.fail(&worker, failure),
        }
        if talk.open.is_none() {
            watch.socket.replace(None);
        }
        watch.deadline.set(None);
    }
    watch.socket.replace(None);
}

/// What is under way on a connection.
struct Talk {
    index: usize,
    open: Option<Wire>,
    rested_since: Instant,
    /// Requests sent over the connection so far.
    used: u64,
    /// Requests whose answers have not come, the oldest first.
    sent: VecDeque<Sent>,
    /// Requests to be sent.
    out: Vec<u8>,
    /// Turns that must be taken on another connection.
    carried: VecDeque<Turn>,
}

struct Sent {
    turn: Turn,
    at: Instant,
}

struct Answer {
    status: u16,
    payload: u64,
    sum: Option<u32>,
    keep_alive: bool,
}

impl Default for Talk {
    fn default() -> Self {
        Self {
            index: 0,
            open: None,
            rested_since: runtime::now(),
            used: 0,
            sent: VecDeque::new(),
            out: Vec::new(),
            carried: VecDeque::new(),
        }
    }
}

impl Talk {
    /// The open connection, unless the peer has closed it meanwhile.
    fn reuse(&mut self, worker: &Worker) -> Option<Wire> {
        let wire = self.open.take()?;
        if runtime::now().saturating_duration_since(self.rested_since) < LOOK_AFTER
            || dial::is_quiet(worker, self.index)
        {
            return Some(wire);
        }
        self.used = 0;
        None
    }

    fn rest(&mut self, wire: Wire) {
        self.open = Some(wire);
        self.rested_since = runtime::now();
    }

    /// Puts a request behind those to be sent.
    fn push(&mut self, worker: &Worker, mut turn: Turn, now: Instant) {
        let Some(request) = worker.plan.mix.requests().get(turn.request) else { return };
        self.used += 1;
        let is_last = worker.plan.reconnect_after.is_some_and(|most| self.used >= most);
        request.write(&mut self.out, &mut worker.rng.borrow_mut(), is_last);
        if worker.is_closed_loop() {
            turn.intended = turn.intended.max(now); // not what connecting took
        }
        self.sent.push_back(Sent { turn, at: now });
    }

    /// Whether another request may follow on this connection.
    fn has_room(&self, worker: &Worker) -> bool {
        let most = worker.plan.reconnect_after.unwrap_or(u64::MAX);
        self.sent.len() < worker.plan.depth && self.used < most
    }

    /// Sends, receives and goes on while there are turns; false if the connection ends.
    async fn run(&mut self, worker: &Worker, wire: &mut Wire) -> Result<bool, Failure> {
        let mut now = runtime::now();
        loop {
            while self.has_room(worker) {
                let Some(turn) = worker.turn_at(now) else { break };
                self.push(worker, turn, now);
            }
            let Some(oldest) = self.sent.front() else { return Ok(true) };
            if let Some(watch) = worker.watch(self.index) {
                watch.deadline.set(Some(oldest.at + worker.plan.timeout));
            }
            let request = oldest.turn.request;
            let answer = self.answer(worker, wire, request).await?;
            if self.sent.len() == 1 && !wire.pending().is_empty() {
                return Err(Failure::Malformed); // bytes that no request asked for
            }
            now = runtime::now();
            if let Some(sent) = self.sent.pop_front() {
                self.settle(worker, &sent, &answer, now);
            }
            if !answer.keep_alive {
                self.carried.extend(self.sent.drain(..).map(|sent| sent.turn));
                self.out.clear();
                return Ok(false);
            }
        }
    }

    fn settle(&self, worker: &Worker, sent: &Sent, answer: &Answer, now: Instant) {
        let Some(request) = worker.plan.mix.requests().get(sent.turn.request) else { return };
        let expected = &request.expected;
        worker.count_status(&sent.turn, answer.status);
        let failure = if answer.status != expected.status {
            Failure::Status
        } else if !expected.takes_length(answer.payload) {
            Failure::Length
        } else if !expected.takes_sum(answer.sum) {
            Failure::Checksum
        } else {
            return worker.answered(&sent.turn, sent.at, now, (self.index, answer.payload));
        };
        worker.failed(failure, &sent.turn, self.index);
    }

    /// The connection broke: every request on it failed.
    fn fail(&mut self, worker: &Worker, failure: Failure) {
        for sent in self.sent.drain(..) {
            worker.failed(failure, &sent.turn, self.index);
        }
        self.out.clear();
        self.used = 0;
    }

    /// Sends what waits to be sent, then receives; false at the end of the stream.
    async fn more(&mut self, wire: &mut Wire) -> Result<bool, Failure> {
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            self.out = wire.send(out).await.map_err(|_| Failure::Send)?;
            self.out.clear();
        }
        match wire.fill().await {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => Err(Failure::Malformed),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(if wire.pending().is_empty() { Failure::Closed } else { Failure::Cut })
            }
            Err(_) => Err(Failure::Reset),
        }
    }

    /// The answer to the oldest request.
    async fn answer(
        &mut self,
        worker: &Worker,
        wire: &mut Wire,
        request: usize,
    ) -> Result<Answer, Failure> {
        let requests = worker.plan.mix.requests();
        let (is_head, is_summed) = requests
            .get(request)
            .map_or((false, false), |request| (request.is_head, request.expected.is_summed));
        let Response { status, keep_alive, body } = self.head(wire, is_head).await?;
        let mut body = if is_summed { Body::new(body).summed() } else { Body::new(body) };
        while !body.is_done() {
            if wire.pending().is_empty() && !self.more(wire).await? {
                if body.may_close() {
                    break;
                }
                return Err(Failure::Cut);
            }
            let taken = body.take(wire.pending()).map_err(|_| Failure::Malformed)?;
            wire.consume(taken);
        }
        Ok(Answer { status, payload: body.payload(), sum: body.sum(), keep_alive })
    }

    /// The final head, interim ones passed over.
    async fn head(&mut self, wire: &mut Wire, is_head: bool) -> Result<Response, Failure> {
        loop {
            let Some(length) = head::head_length(wire.pending()) else {
                let began = !wire.pending().is_empty();
                if self.more(wire).await? {
                    continue;
                }
                return Err(if began { Failure::Cut } else { Failure::Closed });
            };
            let head = wire.pending().get(..length).unwrap_or_default();
            let response = head::response(head, is_head).ok_or(Failure::Malformed)?;
            wire.consume(length);
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }
}
