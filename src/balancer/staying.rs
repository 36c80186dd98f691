//! The requests of one worker that wait for the member that they stay on: a line for each member that
//! has a maximum, in pools whose clients stay.
//!
//! The slots of a member go in turn to those who wait for it and to those who take any (the pool's
//! own queue), so that neither keep the others out. Who leaves a line, in whatever way, looks whether
//! a slot of the member is left for others, and who has looked for any whether one is left for
//! those who wait for its member; what `queue.rs` says of one line holds for each.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::pool::{Chosen, Pool};
use super::queue::{Look, Queue, Ring};
use super::shared::SharedPool;
use super::slots::Slots;
use super::tried::Tried;
use crate::ids::{MemberId, WorkerId};
use crate::net::Stream;
use crate::stats::Row;

/// What a request wants of its pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The hash of what the pool hashes by; 0 if it needs none.
    pub key: u64,
    /// The member that its client stays on.
    pub member: Option<MemberId>,
}

/// Those who wait for one member.
#[derive(Debug)]
struct Line {
    queue: Queue,
    turns: Turns,
}

/// Whether the last slot went to those who wait for one member: the next one is for those who take any.
#[derive(Debug, Default)]
struct Turns {
    served: Cell<bool>,
}

impl Turns {
    /// Gives a chance to one or the others, by turn, or to whoever is there.
    fn give(&self, own: impl Fn() -> bool, others: &Queue) -> bool {
        if self.served.get() && others.slot_freed() {
            self.served.set(false);
            return true;
        }
        self.served.set(own());
        self.served.get() || others.slot_freed()
    }
}

/// The lines of one pool on one worker, by member.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Box<[Option<Line>]>,
    /// Of all lines together, for places of the pool.
    turns: Turns,
    /// The line that has the next place of the pool, if it can use it.
    next: Cell<usize>,
}

impl Lines {
    /// Empty lines of at most `length` each, where `shared` has something for them.
    pub(super) fn new(
        shared: &SharedPool,
        worker: WorkerId,
        length: usize,
        row: &Arc<Row>,
        ring: &Ring,
    ) -> Self {
        let line = |waiting: &Option<Arc<_>>| {
            let waiting = Arc::clone(waiting.as_ref()?);
            let queue = Queue::new(waiting, worker, length, Arc::clone(row), Rc::clone(ring));
            Some(Line { queue, turns: Turns::default() })
        };
        let lines = shared.staying.iter().map(line).collect();
        Self { lines, turns: Turns::default(), next: Cell::new(0) }
    }

    /// The line for a member; `None`: nobody has to wait for it.
    pub(super) fn of(&self, member: MemberId) -> Option<&Queue> {
        self.line(member).map(|line| &line.queue)
    }

    fn line(&self, member: MemberId) -> Option<&Line> {
        self.lines.get(member.index())?.as_ref()
    }

    /// Whether somebody waits for the member, on any worker.
    pub(super) fn anybody(&self, member: MemberId) -> bool {
        self.of(member).is_some_and(Queue::must_wait)
    }

    /// A slot of the member was freed: true if somebody who waits for it has the chance now, or one
    /// of the `others`, whose turn it may be.
    fn slot_freed(&self, member: MemberId, others: &Queue) -> bool {
        let Some(Line { queue, turns }) = self.line(member) else { return others.slot_freed() };
        turns.give(|| queue.slot_freed(), others)
    }

    /// A place of the pool was freed, which a request for any member can use that has a slot: as
    /// [`Lines::slot_freed`].
    fn place_freed(&self, slots: &Slots, others: &Queue) -> bool {
        let own = || {
            let start = self.next.get().min(self.lines.len());
            let mut places = (start..self.lines.len()).chain(0..start);
            let served = places.find(|at| {
                let Some(line) = self.lines.get(*at).and_then(Option::as_ref) else { return false };
                let member = u16::try_from(*at).map(MemberId);
                member.is_ok_and(|member| slots.has_free(member)) && line.queue.slot_freed()
            });
            served.inspect(|at| self.next.set(at + 1)).is_some()
        };
        self.turns.give(own, others)
    }

    /// One who takes any has looked: those may have a chance whose member has a slot all the same.
    fn slots_left(&self, slots: &Slots) {
        for (member, line) in (0u16..).map(MemberId).zip(&self.lines) {
            if let Some(line) = line
                && line.queue.must_wait()
                && slots.has_free(member)
            {
                line.queue.slot_freed();
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Queue> {
        self.lines.iter().flatten().map(|line| &line.queue)
    }

    /// Waiters of this worker.
    pub(super) fn len(&self) -> usize {
        self.all().map(Queue::len).sum()
    }

    /// Another worker rang.
    pub(super) fn poke(&self) {
        self.all().for_each(Queue::poke);
    }

    /// Refuses those who have waited for too long, and lets the others look again if they
    /// are to `look`. For each tick.
    pub(super) fn housekeep(&self, tick: u32, look: bool) {
        for line in self.all().filter(|line| !line.is_empty()) {
            line.expire(tick);
            if look {
                line.wake_all();
            }
        }
    }
}

impl Pool {
    /// The member that the request's client stays on, if it may.
    pub(super) fn stays(&self, wish: Wish, tried: &Tried) -> Option<MemberId> {
        let member = wish.member.filter(|member| !tried.contains(*member))?;
        self.keeps(member).then_some(member)
    }

    fn keeps(&self, member: MemberId) -> bool {
        let state = &mut *self.state.borrow_mut();
        self.refresh(state, Stream::tick());
        state.roster.keeps(member, &self.shared.availability)
    }

    /// Whether a request that comes now goes behind others that wait already.
    pub(super) fn must_wait(&self, wish: Wish, tried: &Tried) -> bool {
        self.bounded
            && match self.stays(wish, tried) {
                Some(member) => self.lines.anybody(member),
                None => self.queue.must_wait(),
            }
    }

    /// Whether as many requests wait on this worker as may.
    pub(super) fn waits_enough(&self) -> bool {
        self.queue.len() + self.lines.len() >= self.length
    }

    /// The line of requests that wait for a slot of this member.
    pub(super) fn line(&self, member: MemberId) -> Option<&Queue> {
        self.lines.of(member)
    }

    /// A slot of the member was freed, or may otherwise be free.
    pub(super) fn slot_freed(&self, member: MemberId) {
        let slots = &self.shared.slots;
        _ = match slots.is_pool_bounded() {
            true => self.lines.place_freed(slots, &self.queue),
            false => self.lines.slot_freed(member, &self.queue),
        };
    }

    /// One look of a request that waits for the member that it stays on; `None`: it cannot any more.
    pub(super) fn look_for(
        &self,
        member: MemberId,
        wish: Wish,
        tried: &Tried,
    ) -> Look<Option<Chosen>> {
        if self.stays(wish, tried).is_none() {
            return Look::Taken(None);
        }
        if let Some(chosen) = self.try_member(member) {
            return Look::Taken(Some(chosen));
        }
        match self.try_take(member) {
            true => Look::Taken(Some(Chosen { member, trial: false })),
            false => Look::Full,
        }
    }

    /// One who waits for any member has looked, or waits no more.
    pub(super) fn has_looked(&self) {
        if self.is_sticky {
            self.lines.slots_left(&self.shared.slots);
        }
    }

    /// Whether those who wait for this member need not: it has a slot, or is out.
    pub(super) fn is_open(&self, member: MemberId) -> bool {
        self.shared.slots.has_free(member) || !self.keeps(member)
    }
}

/// Calls something when it is dropped.
pub(super) struct OnDrop<F: Fn()>(pub(super) F);

impl<F: Fn()> fmt::Debug for OnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDrop")
    }
}

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::super::availability::Standing;
    use super::super::observer::observer;
    use super::super::outcome::{Fault, Outcome};
    use super::super::pool::{Home, Unchosen};
    use super::super::shared::SharedPools;
    use super::*;
    use crate::clock::Instant;
    use crate::ids::PoolId;

    const A: MemberId = MemberId(0);
    const B: MemberId = MemberId(1);

    /// Two workers' view of a pool of two members with one slot each.
    fn pools(more: &str) -> [Pool; 2] {
        let text = format!(
            "[listener.a]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n[pool.p]\n\
             members = [{{ address = \"10.0.0.1:1\", max_connections = 1 }}, \
             {{ address = \"10.0.0.2:1\", max_connections = 1 }}]\n{more}\n"
        );
        let config = crate::config::load(&text, "test").unwrap().config.pools.remove(0);
        let shared = SharedPools::new(std::slice::from_ref(&config), 2);
        let (observer, _observations) = observer().unwrap();
        let ring: Rc<dyn Fn(WorkerId, PoolId)> = Rc::new(|_, _| ());
        [0, 1].map(|worker| {
            let home = Home {
                worker: WorkerId(worker),
                row: &Arc::default(),
                observer: &observer,
                clock: || Instant::from_micros(0),
                seed: 1,
                ring: &ring,
            };
            Pool::new(PoolId(0), &config, &shared.pools[0], home)
        })
    }

    fn take(pool: &Pool, wish: Wish) -> Chosen {
        let chosen = pool.choose(wish, &Tried::default()).expect("a member");
        pool.enter(chosen.member);
        chosen
    }

    fn on(member: MemberId) -> Wish {
        Wish { key: 0, member: Some(member) }
    }

    const STICKY: &str = "sticky = { key = \"0123456789abcdef0123456789abcdef\" }";

    #[test]
    fn who_stays_gets_its_own_member_or_waits_for_it() {
        let [one, other] = pools(STICKY);
        let tried = Tried::default();
        assert_eq!(take(&one, on(B)).member, B);
        assert_eq!(other.choose(on(B), &tried), Err(Unchosen::Full));
        assert!(matches!(other.look_for(B, on(B), &tried), Look::Full));
        // Whom it failed it does not stay on.
        let mut after = tried;
        assert!(after.add(B));
        assert_eq!(other.choose(on(B), &after), Ok(Chosen { member: A, trial: false }));
        assert!(matches!(other.look_for(B, on(B), &after), Look::Taken(None)));
        one.leave(B);
        let chosen = Chosen { member: B, trial: false };
        assert!(matches!(other.look_for(B, on(B), &tried), Look::Taken(Some(c)) if c == chosen));
    }

    #[test]
    fn a_slot_of_a_member_that_this_worker_avoids_is_for_others() {
        let [one, other] = pools("eject = { failures = 9 }");
        let tried = Tried::default();
        let members = [take(&other, Wish::default()).member, take(&other, Wish::default()).member];
        assert!(members.contains(&A) && members.contains(&B));
        let site = one.site(A).expect("it is there");
        one.learn(Chosen { member: A, trial: false }, &site, Outcome::Failed(Fault::Reset));
        assert!(matches!(one.look(Wish::default(), &tried), Look::Full));
        other.leave(A);
        assert!(matches!(one.look(Wish::default(), &tried), Look::ForOthers));
        assert!(one.any_free(|_| true));
        assert!(matches!(other.look(Wish::default(), &tried), Look::Taken(Ok(c)) if c.member == A));
    }

    #[test]
    fn a_client_that_stays_on_a_member_on_trial_is_its_trial() {
        let [one, _] = pools(STICKY);
        let standings = &one.shared.availability;
        standings.set(B, Standing::Trial, Instant::from_micros(1));
        standings.offer_trial(B);
        // Nobody else's: A has room for who stays there.
        assert_eq!(take(&one, on(A)), Chosen { member: A, trial: false });
        assert_eq!(take(&one, on(B)), Chosen { member: B, trial: true });
    }
}
