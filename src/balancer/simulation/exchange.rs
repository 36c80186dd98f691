//! One client's request, as the reverse-proxy hat would serve it.

use std::cell::Cell;
use std::rc::Rc;

use super::world::{POOL, World};
use super::{NOW, now};
use crate::balancer::outcome::{Fault, Outcome};
use crate::balancer::pools::LeaseError;
use crate::balancer::retry::Attempted;
use crate::balancer::staying::Wish;
use crate::balancer::tried::Tried;
use crate::ids::{MemberId, WorkerId};

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Served,
    Failed,
    Left,
    Nobody,
    QueueFull,
    QueueLate,
}

/// A request as its member sees it.
pub(super) struct Visit<'a> {
    world: &'a World,
    member: MemberId,
    trial: bool,
}

impl<'a> Visit<'a> {
    fn new(world: &'a World, member: MemberId, trial: bool) -> Self {
        world.oracle.borrow_mut().enter(world, member, trial);
        Self { world, member, trial }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.world.oracle.borrow_mut().leave(self.world, self.member, self.trial);
    }
}

/// Where clients stay, most of them do.
fn wish(world: &World) -> Wish {
    let stays = world.plan.config.sticky.is_some() && world.chance(4) > 0;
    let member = MemberId(world.chance(world.plan.scripts.len() as u64) as u16);
    Wish { key: world.chance(1 << 40), member: stays.then_some(member) }
}

pub(super) async fn exchange(world: Rc<World>, worker: WorkerId, task: usize) -> Ending {
    let pools = &world.pools[worker.index()].0;
    let (wish, idempotent) = (wish(&world), world.chance(4) > 0);
    let (began, mut tried, mut attempts) = (now(), Tried::default(), 0);
    pools.count_request(POOL);
    world.oracle.borrow_mut().requested();
    loop {
        let asked = NOW.get();
        world.oracle.borrow_mut().asks(task, worker, tried, wish.member);
        let leased = pools.lease(POOL, wish, &tried).await;
        world.oracle.borrow_mut().asks_no_more(task);
        let waited = NOW.get() - asked;
        world.tally.borrow_mut().waited += u64::from(waited > 0);
        let lease = match leased {
            Ok(lease) => lease,
            Err(refused) => {
                world.oracle.borrow().refused(&world, worker, refused, &tried, wish.member, waited);
                return match refused {
                    LeaseError::Nobody | LeaseError::Deserted => Ending::Nobody,
                    LeaseError::QueueFull => Ending::QueueFull,
                    LeaseError::QueueTimeout => Ending::QueueLate,
                };
            }
        };
        let member = lease.member();
        let trial = lease.is_trial();
        world.oracle.borrow().chosen(&world, member, trial, &tried, wish.member, asked);
        world.say(|| format!("request {task} on {worker:?}: {member:?}, trial {trial}"));
        let visit = Visit::new(&world, member, trial);
        attempts += 1;
        let (script, timeouts) = (&world.plan.scripts[member.index()], &world.plan.config.timeouts);
        let deed = script.serve(NOW.get(), &mut world.rng.borrow_mut(), timeouts);
        world.sleep_until(task, deed.ends).await;
        drop(visit);
        let outcome = deed.outcome;
        let attempted = Attempted {
            outcome,
            unsent: outcome == Outcome::Failed(Fault::Connect),
            idempotent,
            replayable: true,
            attempts,
            age: now().since(began),
        };
        let again = |tried: &Tried, member| {
            let granted = pools.may_retry(POOL, &attempted).is_ok();
            if granted {
                world.oracle.borrow_mut().retried(&world, worker);
                world.tally.borrow_mut().retries += 1;
                world.say(|| format!("request {task}: again, after {member:?}, {tried:?}"));
            }
            granted
        };
        let done = Cell::new(Ending::Failed);
        let passes_over = match outcome {
            Outcome::Answered { status, .. } => {
                done.set(if status < 500 { Ending::Served } else { Ending::Failed });
                pools.retries_status(POOL, status) && pools.has_other(POOL, &tried, Some(member))
            }
            _ => !deed.begun,
        };
        world.oracle.borrow_mut().learnt(&world, worker, member, outcome);
        let room = tried.add(member);
        if !(passes_over && room && again(&tried, member)) {
            lease.finish(outcome);
            return done.get();
        }
        lease.finish(outcome);
    }
}
