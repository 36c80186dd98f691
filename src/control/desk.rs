//! The way to the health monitor for those who ask of a member's state or want another one: the
//! monitor owns all states, so they send it a message and wait for the answer.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use crate::balancer::Standing;
use crate::balancer::health::{
    Admin, HealthState, Member, PassiveState, PoolHealth, Seen, Transition,
};
use crate::ids::{MemberId, PoolId};

/// Questions that may wait; who asks waits for a place.
const QUESTIONS: usize = 64;

/// What the monitor knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// What workers are told.
    pub standing: Standing,
    /// What the operator wants.
    pub admin: Admin,
    /// What its probes tell; `None`: it is not probed.
    pub probes: Option<HealthState>,
    /// What its requests tell.
    pub requests: PassiveState,
    /// Its last change.
    pub last: Option<Transition>,
}

/// The monitor does not run, or does not know the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the health monitor does not answer")
    }
}

impl std::error::Error for NoAnswer {}

/// A message to the monitor, with the way back.
#[derive(Debug)]
pub(super) enum Question {
    /// The states of all members of a pool.
    Pool(PoolId, oneshot::Sender<Vec<(MemberId, MemberState)>>),
    /// The state of a member, and what was seen of it.
    Member(PoolId, MemberId, oneshot::Sender<(MemberState, Vec<Seen>)>),
    /// What the operator wants of a member; answered with whether that is new.
    Administer(PoolId, MemberId, Admin, oneshot::Sender<bool>),
}

/// The asking end.
#[derive(Clone, Debug)]
pub struct Desk {
    questions: mpsc::Sender<Question>,
}

/// Both ends.
pub(super) fn desk() -> (Desk, mpsc::Receiver<Question>) {
    let (questions, receiver) = mpsc::channel(QUESTIONS);
    (Desk { questions }, receiver)
}

impl Desk {
    async fn ask<A>(
        &self,
        question: impl FnOnce(oneshot::Sender<A>) -> Question,
    ) -> Result<A, NoAnswer> {
        let (sender, answer) = oneshot::channel();
        self.questions.send(question(sender)).await.map_err(|_| NoAnswer)?;
        answer.await.map_err(|_| NoAnswer)
    }

    /// The states of a pool's members that are there, in order.
    ///
    /// # Errors
    /// No answer.
    pub async fn pool(&self, pool: PoolId) -> Result<Vec<(MemberId, MemberState)>, NoAnswer> {
        self.ask(|sender| Question::Pool(pool, sender)).await
    }

    /// The state of a member, and the last things that were seen of it, the oldest first.
    ///
    /// # Errors
    /// No answer.
    pub async fn member(
        &self,
        pool: PoolId,
        member: MemberId,
    ) -> Result<(MemberState, Vec<Seen>), NoAnswer> {
        self.ask(|sender| Question::Member(pool, member, sender)).await
    }

    /// Sets what the operator wants of a member; whether that is new. Every choice of a worker
    /// that begins after the answer keeps to it.
    ///
    /// # Errors
    /// No answer.
    pub async fn administer(
        &self,
        pool: PoolId,
        member: MemberId,
        admin: Admin,
    ) -> Result<bool, NoAnswer> {
        self.ask(|sender| Question::Administer(pool, member, admin, sender)).await
    }
}

/// The states of the members of a pool that are there. `last`: their last changes.
pub(super) fn states(
    pool: &PoolHealth,
    last: &[Option<Transition>],
) -> Vec<(MemberId, MemberState)> {
    let members = (0u16..).map(MemberId).zip(last);
    members.filter_map(|(id, last)| Some((id, state(pool.member(id)?, *last)))).collect()
}

/// The state of one member.
pub(super) fn state(member: &Member, last: Option<Transition>) -> MemberState {
    MemberState {
        standing: member.standing(),
        admin: member.admin(),
        probes: member.probes().map(|probes| probes.state()),
        requests: member.requests(),
        last,
    }
}
