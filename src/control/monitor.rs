//! The health monitor, one per process: it hears what probes and names bring and what workers
//! observe, and says who is there and who is in. Every change is a line in the log.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::sleep;

use super::desk::{self, Desk, Question, desk};
use super::members::Name;
use super::probe::Skipped;
use super::probes::Probes;
use super::resolve::{self, ResolveError};
use crate::balancer::health::{PoolHealth, ProbeResult, Transition, Verdict};
use crate::balancer::{Found, Observation, Observations, Places, Records, SharedPools, Site};
use crate::clock::{self, Instant};
use crate::config::{Config, Panic};
use crate::ids::{MemberId, PoolId};
use crate::net::tls::TlsConnector;
use crate::rng::Rng;
use crate::stats::{Counter, Row};

/// Results of probes and answers to names on their way to the monitor; their tasks wait for a place.
const RESULTS: usize = 256;

/// How long the log says nothing more about probes that this host could not make.
const QUIET: Duration = Duration::from_secs(10);

/// The monitor before it runs.
#[derive(Debug)]
pub struct Monitor {
    watch: Watch,
    /// TLS to members, by pool.
    tls: Vec<Option<TlsConnector>>,
    observations: Observations,
    desk: Desk,
    questions: Receiver<Question>,
}

/// The state of all members.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) config: Arc<Config>,
    pub(super) shared: Arc<SharedPools>,
    /// By pool. The only writers of what workers read.
    pub(super) rosters: Vec<PoolHealth>,
    /// By pool and place: the last change.
    pub(super) last: Vec<Vec<Option<Transition>>>,
    /// By pool.
    pub(super) places: Vec<Places>,
    /// By pool; none before it runs.
    pub(super) probes: Vec<Probes>,
    /// By pool and member of the file: what the log said last of its name.
    pub(super) names: Vec<Vec<Name>>,
    /// The control thread's counters.
    pub(super) row: Arc<Row>,
    /// When the log said last that a probe could not be made.
    skipped: Option<Instant>,
}

/// What a task tells.
pub(super) enum Told {
    /// Of whom had the member's place as this one, counted from 0.
    Probed(PoolId, MemberId, u32, Result<ProbeResult, Skipped>),
    /// Of a member of the file, by its number.
    Resolved(PoolId, usize, Result<Vec<Found>, ResolveError>),
}

impl Monitor {
    /// The members as they begin, which is published in `shared` at once: do this before the workers
    /// start. Counts in `row`, the control thread's.
    #[must_use]
    pub fn new(
        config: &Arc<Config>,
        shared: &Arc<SharedPools>,
        observations: Observations,
        row: &Arc<Row>,
    ) -> Self {
        let now = clock::now();
        let availability = shared.availability();
        let pools = config.pools.iter().zip(&availability);
        let watch = Watch {
            rosters: pools
                .map(|(pool, cells)| PoolHealth::new(pool, Arc::clone(cells), now))
                .collect(),
            last: config.pools.iter().map(|pool| vec![None; pool.places().count()]).collect(),
            places: config.pools.iter().map(Places::new).collect(),
            probes: Vec::new(),
            names: config
                .pools
                .iter()
                .map(|pool| vec![Name::default(); pool.members.len()])
                .collect(),
            shared: Arc::clone(shared),
            config: Arc::clone(config),
            row: Arc::clone(row),
            skipped: None,
        };
        watch.count();
        let (desk, questions) = desk();
        Self { watch, tls: Vec::new(), observations, desk, questions }
    }

    /// The way to ask it, once it runs.
    #[must_use]
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// With TLS to members, by pool.
    #[must_use]
    pub fn with_tls(mut self, tls: Vec<Option<TlsConnector>>) -> Self {
        self.tls = tls;
        self
    }

    /// Compares members by what is counted of each pool's.
    #[must_use]
    pub fn with_records(mut self, records: Vec<Arc<Records>>) -> Self {
        let rosters = self.watch.rosters.into_iter().zip(records);
        self.watch.rosters = rosters.map(|(roster, it)| roster.with_records(it)).collect();
        self
    }

    /// Starts it on the control thread's runtime, beside whatever else runs there, until the
    /// runtime ends.
    pub fn start(self) {
        let row = Arc::clone(&self.watch.row);
        let monitor = tokio::spawn(self.run());
        tokio::spawn(async move {
            match monitor.await {
                Ok(Ok(never)) => match never {},
                Ok(Err(error)) => tracing::error!("the health monitor cannot run: {error}"),
                Err(_) => {
                    row.add(Counter::Panics, 1);
                    tracing::error!("the health monitor failed, a bug: members stay as they are");
                }
            }
        });
    }

    /// Runs until it is dropped.
    async fn run(self) -> io::Result<Infallible> {
        let Self { mut watch, tls, observations, desk: _desk, mut questions } = self;
        let (sender, mut results) = mpsc::channel(RESULTS);
        watch.start_probes(&tls, &sender);
        // Dropped with this future.
        let _names = resolve::start(&watch.config, &sender);
        let (messages, bell) = observations.inbox.open()?;
        let mut bell = UnixStream::from_std(bell)?;
        let (mut rings, mut workers_live) = ([0; 64], true);
        loop {
            let wait = watch.due().map(|due| due.since(clock::now()));
            tokio::select! {
                Some(told) = results.recv() => watch.on_told(told),
                read = bell.read(&mut rings), if workers_live => {
                    workers_live = read? > 0;
                    messages.drain(|seen| watch.on_observation(&seen));
                    let dropped = observations.dropped.load(Ordering::Relaxed);
                    watch.row.set(Counter::ObservationsDropped, dropped);
                }
                Some(question) = questions.recv() => watch.answer(question),
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            watch.on_time();
        }
    }
}

impl Watch {
    fn due(&self) -> Option<Instant> {
        self.rosters.iter().filter_map(PoolHealth::due).min()
    }

    fn start_probes(&mut self, tls: &[Option<TlsConnector>], results: &Sender<Told>) {
        for (id, pool) in (0u16..).map(PoolId).zip(&self.config.pools) {
            let (health, limits) = (pool.health.as_ref(), &self.config.limits);
            let count = pool.places().count();
            let tls = tls.get(id.index()).cloned().flatten();
            let header = pool.proxy_protocol;
            let mut probes = Probes::new(id, count, health, limits, tls, header, results.clone());
            for member in (0u16..).take(count).map(MemberId) {
                if let Some(site) = self.places.get(id.index()).and_then(|all| all.site(member)) {
                    probes.start(member, site);
                }
            }
            self.probes.push(probes);
        }
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Probed(pool, member, epoch, told) => {
                if self.is_there(pool, member, epoch) {
                    self.on_probe(pool, member, told);
                }
            }
            Told::Resolved(pool, entry, answer) => self.on_answer(pool, entry, answer),
        }
    }

    fn site(&self, pool: PoolId, member: MemberId) -> Option<&Site> {
        self.places.get(pool.index())?.site(member)
    }

    /// Whether what was told is of who is there now.
    fn is_there(&self, pool: PoolId, member: MemberId, epoch: u32) -> bool {
        self.site(pool, member).is_some_and(|site| site.epoch == epoch)
    }

    fn on_probe(&mut self, pool: PoolId, member: MemberId, told: Result<ProbeResult, Skipped>) {
        let result = match told {
            Ok(result) => result,
            Err(skipped) => return self.on_skipped(&skipped),
        };
        self.row.add(Counter::Probes, 1);
        self.row.add(Counter::ProbesFailed, u64::from(result.is_err()));
        let Some(roster) = self.rosters.get_mut(pool.index()) else { return };
        let before = roster.available();
        if let Some(moved) = roster.on_probe(clock::now(), member, result) {
            self.row.add(Counter::ProbeEjections, u64::from(moved.takes_out()));
            self.tell(pool, member, &moved, before);
        }
    }

    /// This host's fault, so it says nothing about the member; it would say so for every member.
    fn on_skipped(&mut self, skipped: &Skipped) {
        self.row.add(Counter::ProbesSkipped, 1);
        let now = clock::now();
        if self.skipped.is_none_or(|last| now.since(last) >= QUIET) {
            self.skipped = Some(now);
            tracing::error!("cannot probe, members stay as they are: {}", skipped.0);
        }
    }

    fn on_observation(&mut self, seen: &Observation) {
        if !self.is_there(seen.pool, seen.member, seen.epoch) {
            return;
        }
        let Some(roster) = self.rosters.get_mut(seen.pool.index()) else { return };
        let before = roster.available();
        match roster.on_outcome(clock::now(), seen.member, seen.outcome, seen.trial) {
            Verdict::Same => {}
            Verdict::Spared => self.row.add(Counter::EjectionsSpared, 1),
            Verdict::Moved(moved) => {
                self.row.add(Counter::Ejections, u64::from(moved.takes_out()));
                self.tell(seen.pool, seen.member, &moved, before);
            }
        }
    }

    /// An asker that has gone needs no answer.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Pool(pool, answer) => {
                let known = self.rosters.get(pool.index()).zip(self.last.get(pool.index()));
                if let Some((roster, last)) = known {
                    _ = answer.send(desk::states(roster, last));
                }
            }
            Question::Member(pool, id, answer) => {
                let last = self.last.get(pool.index()).and_then(|pool| pool.get(id.index()));
                let roster = self.rosters.get(pool.index());
                if let Some(member) = roster.and_then(|roster| roster.member(id)) {
                    let state = desk::state(member, last.copied().flatten());
                    _ = answer.send((state, member.evidence().iter().copied().collect()));
                }
            }
            Question::Administer(pool, member, admin, answer) => {
                let Some(roster) = self.rosters.get_mut(pool.index()) else { return };
                if roster.member(member).is_none() {
                    return;
                }
                let before = roster.available();
                let moved = roster.administer(clock::now(), member, admin);
                _ = answer.send(moved.is_some());
                if let Some(moved) = moved {
                    self.tell(pool, member, &moved, before);
                }
            }
        }
    }

    fn on_time(&mut self) {
        let now = clock::now();
        let mut changes = Vec::new();
        for (pool, roster) in (0u16..).map(PoolId).zip(&mut self.rosters) {
            if roster.due().is_some_and(|due| due <= now) {
                let before = roster.available();
                roster.on_time(now, |member, verdict| match verdict {
                    Verdict::Moved(moved) => changes.push((pool, member, moved, before)),
                    Verdict::Spared => self.row.add(Counter::EjectionsSpared, 1),
                    Verdict::Same => {}
                });
            }
        }
        for (pool, member, moved, before) in changes {
            self.row.add(Counter::Ejections, u64::from(moved.takes_out()));
            self.tell(pool, member, &moved, before);
        }
    }

    /// Says what changed. `before`: how many members of the pool were available.
    fn tell(&mut self, id: PoolId, member: MemberId, moved: &Transition, before: usize) {
        self.count();
        let pool = self.last.get_mut(id.index());
        if let Some(last) = pool.and_then(|pool| pool.get_mut(member.index())) {
            *last = Some(*moved);
        }
        let pools = self.config.pools.get(id.index()).zip(self.rosters.get(id.index()));
        let Some((pool, roster)) = pools else { return };
        let Some(site) = self.site(id, member) else { return };
        let (name, address, cause) = (&pool.name, &site.address, moved.cause.to_string());
        let (from, to) = (moved.from.word(), moved.to.word());
        if moved.takes_out() {
            tracing::warn!(pool = %name, member = %address, %from, %to, cause, "member");
        } else {
            tracing::info!(pool = %name, member = %address, %from, %to, cause, "member");
        }
        match (before, roster.available(), pool.panic) {
            (1.., 0, Panic::Refuse) => {
                tracing::error!(pool = %name, "every member is out: requests are refused");
            }
            (1.., 0, Panic::UseAll) => {
                tracing::error!(pool = %name, "every member is out: requests go to all of them");
            }
            (0, available @ 1.., _) => {
                tracing::info!(pool = %name, available, "serves again");
            }
            _ => {}
        }
    }

    /// Sets the gauges.
    pub(super) fn count(&self) {
        let out = self.rosters.iter().map(|roster| roster.not_in() as u64).sum();
        self.row.set(Counter::MembersOut, out);
    }
}

/// Some part of `span`, by chance.
pub(super) fn share(span: Duration, rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.below(clock::micros(span)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::balancer::health::{Admin, Cause, Phase};
    use crate::balancer::{Availability, Fault, Outcome, Standing, observer};
    use crate::config::{EjectConfig, FailureSet, HealthConfig, Probe, load};
    use crate::control::NoAnswer;

    /// Two members on `port` of two addresses.
    fn config(port: u16, health: bool, eject: bool) -> Arc<Config> {
        let text = format!(
            "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"main\"\n\
             [pool.main]\nmembers = [\"127.0.0.1:{port}\", \"127.0.0.2:{port}\"]\n"
        );
        let mut config = load(&text, "test").unwrap().config;
        let span = Duration::from_millis(20);
        config.pools[0].health = health.then_some(HealthConfig {
            probe: Probe::Tcp,
            interval: span,
            timeout: span,
            fall: 2,
            rise: 2,
            port: None,
            start_down: true,
        });
        config.pools[0].eject = eject.then(|| EjectConfig {
            failures: Some(3),
            window: Duration::from_secs(60),
            out_for: span,
            on: FailureSet { reset: true, ..FailureSet::default() },
            max_share: 50,
            success_rate: None,
            latency: None,
        });
        Arc::new(config)
    }

    #[tokio::test]
    async fn an_operator_is_obeyed_before_the_answer_and_the_change_is_remembered() {
        let config = config(9, false, false);
        let shared = Arc::new(SharedPools::new(&config.pools, 1));
        let (all, row) = (shared.availability().remove(0), Arc::<Row>::default());
        let (_observer, observations) = observer().unwrap();
        let monitor = Monitor::new(&config, &shared, observations, &row);
        let (desk, pool, second) = (monitor.desk(), PoolId(0), MemberId(1));
        monitor.start();
        let cases = [
            (Admin::Drain, Standing::Drain, true),
            (Admin::Drain, Standing::Drain, false),
            (Admin::Maintenance, Standing::Out, true),
            (Admin::Ready, Standing::In, true),
        ];
        for (admin, standing, new) in cases {
            assert_eq!(desk.administer(pool, second, admin).await, Ok(new), "{admin:?}");
            assert_eq!(all.standing(second), standing);
            assert_eq!(all.is_barred(second), admin != Admin::Ready);
        }
        let states = desk.pool(pool).await.unwrap();
        assert_eq!(states.len(), 2);
        assert_eq!(states[0].1.last, None);
        let last = states[1].1.last.unwrap();
        assert_eq!((last.to, last.cause), (Phase::Ready, Cause::Operator));
        assert_eq!(desk.member(pool, second).await.unwrap().0, states[1].1);
        assert_eq!(desk.administer(pool, MemberId(2), Admin::Drain).await, Err(NoAnswer));
        assert_eq!(desk.pool(PoolId(1)).await, Err(NoAnswer));
    }

    async fn until(all: &Availability, member: u16, standing: Standing) {
        for _ in 0..5000 {
            if all.standing(MemberId(member)) == standing {
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
        panic!("member {member} is {:?}, not {standing:?}", all.standing(MemberId(member)));
    }

    #[tokio::test]
    async fn probes_bring_members_in_and_take_them_out() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let config = config(listener.local_addr().unwrap().port(), true, false);
        let shared = Arc::new(SharedPools::new(&config.pools, 1));
        let (all, row) = (shared.availability().remove(0), Arc::<Row>::default());
        let (_observer, observations) = observer().unwrap();
        let monitor = Monitor::new(&config, &shared, observations, &row);
        // Before anything runs.
        assert_eq!(all.standing(MemberId(0)), Standing::Out);
        assert_eq!(row.get(Counter::MembersOut), 2);
        monitor.start();
        for member in 0..2 {
            until(&all, member, Standing::In).await;
        }
        drop(listener);
        for member in 0..2 {
            until(&all, member, Standing::Out).await;
        }
        assert_eq!(row.get(Counter::ProbeEjections), 2);
        assert!(row.get(Counter::ProbesFailed) >= 4);
        assert!(row.get(Counter::Probes) >= 8);
    }

    #[tokio::test]
    async fn observations_eject_and_a_trial_brings_back() {
        let config = config(9, false, true);
        let shared = Arc::new(SharedPools::new(&config.pools, 1));
        let (all, row) = (shared.availability().remove(0), Arc::<Row>::default());
        let (observer, observations) = observer().unwrap();
        Monitor::new(&config, &shared, observations, &row).start();
        let tell = |outcome, trial| {
            let observer = observer.clone();
            let (pool, member) = (PoolId(0), MemberId(1));
            let seen = Observation { pool, member, epoch: 0, outcome, trial };
            // From another thread, as workers do.
            std::thread::spawn(move || observer.tell(seen)).join().unwrap();
        };
        let reset = Outcome::Failed(Fault::Reset);
        for _ in 0..3 {
            tell(reset, false);
        }
        until(&all, 1, Standing::Trial).await;
        assert!(all.take_trial(MemberId(1)));
        tell(reset, true);
        // Out, and on trial again: which nobody has taken yet.
        while !(all.standing(MemberId(1)) == Standing::Trial && all.trial_is_free(MemberId(1))) {
            sleep(Duration::from_millis(2)).await;
        }
        assert!(all.take_trial(MemberId(1)));
        tell(Outcome::Answered { status: 200, first_byte: Duration::ZERO }, true);
        until(&all, 1, Standing::In).await;
        assert_eq!(row.get(Counter::Ejections), 2);
        assert_eq!(row.get(Counter::MembersOut), 0);
        assert_eq!(all.standing(MemberId(0)), Standing::In);
    }
}
