//! The health monitor, one per process: it probes the members, hears what workers observe, and
//! says who is in. Every change of a member's state is a line in the log.
//!
//! Each member has one probing task, and so at most one probe at a time.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::probe::{Prober, Skipped};
use crate::balancer::health::{PoolHealth, ProbeResult, Transition, Verdict};
use crate::balancer::{Availability, Observation, Observations};
use crate::clock::{self, Instant};
use crate::config::{Config, Panic};
use crate::ids::{MemberId, PoolId};
use crate::rng::{Rng, mix};
use crate::stats::{Counter, Row};

/// Results of probes on their way to the monitor; a probing task waits for its place.
const RESULTS: usize = 256;

/// How long the log says nothing more about probes that this host could not make.
const QUIET: Duration = Duration::from_secs(10);

/// The monitor before it runs.
#[derive(Debug)]
pub struct Monitor {
    watch: Watch,
    observations: Observations,
}

/// The state of all members.
#[derive(Debug)]
struct Watch {
    config: Arc<Config>,
    /// By pool. The only writers of what workers read.
    rosters: Vec<PoolHealth>,
    /// The control thread's counters.
    row: Arc<Row>,
    /// When the log said last that a probe could not be made.
    skipped: Option<Instant>,
}

/// What a probing task tells.
type Told = (PoolId, MemberId, Result<ProbeResult, Skipped>);

impl Monitor {
    /// The members as they begin, which is published in `availability` (one for each pool) at once:
    /// do this before the workers start. Counts in `row`, the control thread's.
    #[must_use]
    pub fn new(
        config: &Arc<Config>,
        availability: &[Arc<Availability>],
        observations: Observations,
        row: &Arc<Row>,
    ) -> Self {
        let now = clock::now();
        let pools = config.pools.iter().zip(availability);
        let rosters =
            pools.map(|(pool, cells)| PoolHealth::new(pool, Arc::clone(cells), now)).collect();
        let (config, row) = (Arc::clone(config), Arc::clone(row));
        let watch = Watch { config, rosters, row, skipped: None };
        watch.count();
        Self { watch, observations }
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
        let Self { mut watch, observations } = self;
        let (sender, mut results) = mpsc::channel(RESULTS);
        // Dropped with this future, and the probes with it.
        let _probes = start_probes(&watch.config, &sender);
        let (messages, bell) = observations.inbox.open()?;
        let mut bell = UnixStream::from_std(bell)?;
        let (mut rings, mut workers_live) = ([0; 64], true);
        loop {
            let wait = watch.due().map(|due| due.since(clock::now()));
            tokio::select! {
                Some((pool, member, told)) = results.recv() => watch.on_probe(pool, member, told),
                read = bell.read(&mut rings), if workers_live => {
                    workers_live = read? > 0;
                    messages.drain(|seen| watch.on_observation(&seen));
                    let dropped = observations.dropped.load(Ordering::Relaxed);
                    watch.row.set(Counter::ObservationsDropped, dropped);
                }
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

    fn on_time(&mut self) {
        let now = clock::now();
        let mut changes = Vec::new();
        for (pool, roster) in (0u16..).map(PoolId).zip(&mut self.rosters) {
            if roster.due().is_some_and(|due| due <= now) {
                let before = roster.available();
                roster.on_time(now, |member, moved| changes.push((pool, member, moved, before)));
            }
        }
        for (pool, member, moved, before) in changes {
            self.tell(pool, member, &moved, before);
        }
    }

    /// Says what changed. `before`: how many members of the pool were available.
    fn tell(&self, id: PoolId, member: MemberId, moved: &Transition, before: usize) {
        self.count();
        let pools = self.config.pools.get(id.index()).zip(self.rosters.get(id.index()));
        let Some((pool, roster)) = pools else { return };
        let Some(member) = pool.members.get(member.index()) else { return };
        let (name, address, cause) = (&pool.name, member.address, moved.cause.to_string());
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
    fn count(&self) {
        let out = self.rosters.iter().map(|roster| roster.not_in() as u64).sum();
        self.row.set(Counter::MembersOut, out);
    }
}

/// Starts a task for each member that is probed.
fn start_probes(config: &Config, results: &Sender<Told>) -> JoinSet<()> {
    let mut probes = JoinSet::new();
    let seed = clock::unix().as_nanos() as u64;
    for (id, pool) in (0u16..).map(PoolId).zip(&config.pools) {
        let Some(health) = &pool.health else { continue };
        let count = u32::try_from(pool.members.len()).unwrap_or(1).max(1);
        for (number, member) in (0u16..).zip(&pool.members) {
            let mut rng = Rng::new(mix(seed ^ (u64::from(id.0) << 16)) ^ u64::from(number));
            // Each begins in a part of the interval of its own, so that they do not come in bursts.
            let part = health.interval / count;
            let first = part * u32::from(number) + share(part, &mut rng);
            let prober =
                Prober::new(health, &config.limits, member.address).announced(pool.proxy_protocol);
            let (interval, results) = (health.interval, results.clone());
            probes.spawn(async move {
                sleep(first).await;
                loop {
                    let start = clock::now();
                    let told = prober.probe().await;
                    if results.send((id, MemberId(number), told)).await.is_err() {
                        return;
                    }
                    let next = interval * 9 / 10 + share(interval / 5, &mut rng);
                    sleep(next.saturating_sub(clock::now().since(start))).await;
                }
            });
        }
    }
    probes
}

/// Some part of `span`, by chance.
fn share(span: Duration, rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.below(clock::micros(span)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::balancer::{Fault, Outcome, Standing, observer};
    use crate::config::{EjectConfig, FailureSet, HealthConfig, Probe, load};

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
            failures: 3,
            window: Duration::from_secs(60),
            out_for: span,
            on: FailureSet { reset: true, ..FailureSet::default() },
            max_share: 50,
        });
        Arc::new(config)
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
        let (all, row) = (Arc::new(Availability::new(2)), Arc::<Row>::default());
        let (_observer, observations) = observer().unwrap();
        let monitor = Monitor::new(&config, &[Arc::clone(&all)], observations, &row);
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
        let (all, row) = (Arc::new(Availability::new(2)), Arc::<Row>::default());
        let (observer, observations) = observer().unwrap();
        Monitor::new(&config, &[Arc::clone(&all)], observations, &row).start();
        let tell = |outcome, trial| {
            let observer = observer.clone();
            let seen = Observation { pool: PoolId(0), member: MemberId(1), outcome, trial };
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
