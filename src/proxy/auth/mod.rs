//! Who may send a request: the phase of an exchange behind the guard's rules. Closed: whatever goes
//! wrong, a request that a method did not let pass goes nowhere.
//!
//! What is known already is said without waiting; what somebody else must be asked about is a future
//! of its own.

mod basic;
mod bearer;
mod cache;
mod certificate;
mod desk;
mod keys;
mod service;
mod state;
mod token;
#[cfg(test)]
mod token_tests;
mod users;

use std::net::IpAddr;
use std::rc::Rc;

use super::context::Context;
use super::guard::Visit;
use crate::clock::{self, Instant};
use crate::config::{AuthConfig, ListenerConfig, RulesId};
use crate::http::RequestHead;
use crate::net::Stream;
use crate::stats::{Counter, Reason};

pub use desk::{Job, Jobs, Seat, jobs};
pub use keys::{KeySet, KeysError};
pub use state::{Auth, Current, Keys, Shared, Sources};
pub use users::{Users, UsersError};

/// The methods, in the order in which they are tried: the cheap ones first.
const METHODS: [Method; 4] = [Method::Certificate, Method::Jwt, Method::Basic, Method::Request];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Certificate,
    Jwt,
    Basic,
    Request,
}

/// Whole field lines for members, or why not.
type Verdict = Result<Rc<[u8]>, Reason>;

thread_local! {
    static NO_FIELDS: Rc<[u8]> = Rc::from([]);
}

/// No field line at all.
fn no_fields() -> Rc<[u8]> {
    NO_FIELDS.with(Rc::clone)
}

/// A request whose sender is to be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) context: &'a Context,
    pub(super) listener: &'a ListenerConfig,
    pub(super) head: &'a RequestHead,
    pub(super) stream: &'a Stream,
    pub(super) peer: &'a super::forwarded::Peer,
    /// Its address, behind the proxies that are believed.
    pub(super) client: IpAddr,
    pub(super) identity: Option<&'a [u8]>,
    pub(super) rules: RulesId,
    now: Instant,
}

impl<'a> Question<'a> {
    fn of(visit: Visit<'a>, rules: RulesId) -> Option<Self> {
        let Visit { context, client, head, facts } = visit;
        let listener = context.listener(client.listener)?;
        let (stream, peer) = (&client.stream, &client.peer);
        let (identity, now) = (client.peer.identity.as_deref(), clock::coarse());
        let address = facts.client.get();
        Some(Self { context, listener, head, stream, peer, client: address, identity, rules, now })
    }
}

/// What goes with a request that may pass.
#[derive(Debug, Default)]
pub(super) struct Grant {
    /// Whole field lines, by method.
    fields: [Option<Rc<[u8]>>; METHODS.len()],
    /// The client's `Authorization` stays here.
    pub(super) strips: bool,
}

impl Grant {
    /// Appends the fields that tell members who the client is.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.fields.iter().flatten().for_each(|lines| out.extend_from_slice(lines));
    }
}

/// Why a request may not pass, and what the client is told besides.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// Whole field lines.
    pub(super) fields: Vec<u8>,
    /// The status of a redirection; `fields` say where to.
    pub(super) redirect: Option<u16>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, fields: Vec::new(), redirect: None }
    }
}

/// Which of two refusals the client is told: where to go, then what is missing, then that it may
/// not; what went wrong here only if nothing else is to be said.
const fn rank(refusal: &Refusal) -> u8 {
    match (refusal.redirect, refusal.reason.status()) {
        (Some(_), _) => 0,
        (None, 401) => 1,
        (None, 403) => 2,
        _ => 3,
    }
}

/// Verdicts so far.
struct Tally<'a> {
    config: &'a AuthConfig,
    grant: Grant,
    refusal: Option<Refusal>,
    passed: bool,
}

impl<'a> Tally<'a> {
    fn new(config: &'a AuthConfig) -> Self {
        let strips = config.basic.as_ref().is_some_and(|basic| !basic.forward)
            || config.jwt.as_ref().is_some_and(|jwt| !jwt.forward);
        let grant = Grant { strips, ..Grant::default() };
        Self { config, grant, refusal: None, passed: false }
    }

    /// Whether the verdict decides everything.
    fn note(&mut self, method: Method, verdict: Result<Rc<[u8]>, Refusal>) -> bool {
        match verdict {
            Ok(fields) => {
                self.passed = true;
                if let Some(place) = self.grant.fields.get_mut(method as usize) {
                    *place = Some(fields);
                }
                self.config.any
            }
            Err(mut refusal) => {
                match (method, refusal.reason.status()) {
                    (Method::Jwt, 401) => bearer::challenge(&mut refusal.fields, refusal.reason),
                    (Method::Basic, 401) => {
                        if let Some(basic) = &self.config.basic {
                            basic::challenge(&mut refusal.fields, basic);
                        }
                    }
                    _ => {}
                }
                let decides = !self.config.any || refusal.reason == Reason::ClientGone;
                self.refusal = Some(match self.refusal.take() {
                    None => refusal,
                    Some(other) => both(other, refusal),
                });
                decides
            }
        }
    }

    fn end(self) -> Result<Grant, Refusal> {
        match self.refusal {
            // One is enough, and there is one.
            Some(_) if self.config.any && self.passed => Ok(self.grant),
            Some(refusal) => Err(refusal),
            None if self.passed => Ok(self.grant),
            None => Err(Reason::Internal.into()),
        }
    }
}

/// Of two refusals what the client is told: of challenges all.
fn both(one: Refusal, other: Refusal) -> Refusal {
    let is_later = rank(&other) < rank(&one);
    let (mut told, silent) = if is_later { (other, one) } else { (one, other) };
    if (rank(&told), rank(&silent)) == (1, 1) {
        told.fields.extend_from_slice(&silent.fields);
    }
    told
}

/// Whether a request may pass. A refusal that is no reason for an answer of ours sends the client
/// elsewhere.
pub(super) type Judgement = Result<Result<Box<Grant>, Box<Refusal>>, Reason>;

/// The judgement.
pub(super) async fn verdict(config: &AuthConfig, visit: Visit<'_>, rules: RulesId) -> Judgement {
    if let Some(judgement) = judge_now(config, visit, rules) {
        return judgement;
    }
    // Rare where verdicts are remembered, and large.
    Box::pin(judge(config, visit, rules)).await
}

/// The judgement, if nobody else must be asked.
fn judge_now(config: &AuthConfig, visit: Visit<'_>, rules: RulesId) -> Option<Judgement> {
    let Some(question) = Question::of(visit, rules) else { return Some(Err(Reason::Internal)) };
    let Some(auth) = &visit.context.auth else { return Some(Err(Reason::Internal)) };
    at_once(config, auth, &question).map(|verdict| pronounce(visit, verdict))
}

/// The judgement, with what others say.
async fn judge(config: &AuthConfig, visit: Visit<'_>, rules: RulesId) -> Judgement {
    let question = Question::of(visit, rules).ok_or(Reason::Internal)?;
    let auth = visit.context.auth.as_ref().ok_or(Reason::Internal)?;
    pronounce(visit, in_time(config, auth, &question).await)
}

/// Counts a verdict, and notes what the client is told besides.
fn pronounce(visit: Visit<'_>, verdict: Result<Grant, Refusal>) -> Judgement {
    match verdict {
        Ok(grant) => {
            visit.context.row.add(Counter::AuthPassed, 1);
            Ok(Ok(Box::new(grant)))
        }
        Err(refusal) if refusal.redirect.is_some() => Ok(Err(Box::new(refusal))),
        Err(refusal) => {
            if !refusal.fields.is_empty() {
                // A request is refused once.
                _ = visit.facts.extra.set(Box::new(refusal.fields));
            }
            Err(refusal.reason)
        }
    }
}

fn is_used(config: &AuthConfig, method: Method) -> bool {
    match method {
        Method::Certificate => config.certificate.is_some(),
        Method::Jwt => config.jwt.is_some(),
        Method::Basic => config.basic.is_some(),
        Method::Request => config.request.is_some(),
    }
}

/// The verdict of one method without waiting.
fn method_at_once(
    method: Method,
    config: &AuthConfig,
    auth: &Auth,
    question: &Question<'_>,
) -> Option<Verdict> {
    let Some(memory) = auth.memory(question.rules) else { return Some(Err(Reason::Internal)) };
    match method {
        Method::Certificate => config
            .certificate
            .as_ref()
            .map(|rules| certificate::check(rules, question.identity).map(|()| no_fields())),
        Method::Jwt => bearer::at_once(auth, memory, config.jwt.as_ref()?, question),
        Method::Basic => basic::at_once(auth, memory, question),
        Method::Request => service::at_once(auth, memory, config.request.as_ref()?, question),
    }
}

fn at_once(
    config: &AuthConfig,
    auth: &Auth,
    question: &Question<'_>,
) -> Option<Result<Grant, Refusal>> {
    let mut tally = Tally::new(config);
    for method in METHODS.into_iter().filter(|method| is_used(config, *method)) {
        let verdict = method_at_once(method, config, auth, question)?;
        if tally.note(method, verdict.map_err(Refusal::from)) {
            break;
        }
    }
    Some(tally.end())
}

async fn in_time(
    config: &AuthConfig,
    auth: &Auth,
    question: &Question<'_>,
) -> Result<Grant, Refusal> {
    let mut tally = Tally::new(config);
    let memory = auth.memory(question.rules).ok_or(Reason::Internal)?;
    for method in METHODS.into_iter().filter(|method| is_used(config, *method)) {
        let verdict = match method_at_once(method, config, auth, question) {
            Some(verdict) => verdict.map_err(Refusal::from),
            None => match (method, &config.jwt, &config.basic, &config.request) {
                (Method::Jwt, Some(jwt), ..) => {
                    bearer::in_time(auth, memory, jwt, question).await.map_err(Refusal::from)
                }
                (Method::Basic, _, Some(basic), _) => {
                    basic::in_time(auth, memory, basic, question).await.map_err(Refusal::from)
                }
                (Method::Request, _, _, Some(request)) => {
                    service::in_time(auth, memory, request, question).await
                }
                _ => Err(Reason::Internal.into()),
            },
        };
        if tally.note(method, verdict) {
            break;
        }
    }
    tally.end()
}

/// Brings verdicts on passwords to those who wait, until the process ends.
pub async fn serve(context: Rc<Context>) {
    if let Some(desk) = context.auth.as_ref().and_then(|auth| auth.desk.as_ref()) {
        desk.serve().await;
    }
}

/// What holds for every token, for the fuzz target `token`.
#[doc(hidden)]
pub fn fuzz_token(data: &[u8]) {
    token::fuzz(data);
}

/// What holds for every file of users, for the fuzz target `htpasswd`.
#[doc(hidden)]
#[allow(clippy::missing_panics_doc)]
pub fn fuzz_users(data: &[u8]) {
    if let Ok(users) = Users::read(data) {
        assert!(users.count() <= data.len() / 20 + 1, "a user takes a line");
    }
}

/// What holds for every set of keys, for the fuzz target `jwks`.
#[doc(hidden)]
#[allow(clippy::missing_panics_doc)]
pub fn fuzz_keys(data: &[u8]) {
    if let Ok(keys) = KeySet::read(data) {
        assert!(keys.count() > 0, "an empty set is a mistake");
    }
}
