//! The line that tells how a run goes, for a person at a terminal.

use crate::load::Running;
use crate::runtime;
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(20);
const LINE_EACH: Duration = Duration::from_millis(250);

/// Waits for the end of `running` on the calling thread; writes to standard error if that is a terminal.
#[allow(clippy::disallowed_methods, reason = "this thread drives no ring")]
pub fn watch(running: &Running) {
    let mut out = io::stderr();
    let shows = out.is_terminal();
    let mut last: Option<(Instant, u64)> = None;
    while !running.is_over() {
        thread::sleep(LOOK);
        let now = runtime::now();
        let Some(start) = running.started().filter(|_| shows) else { continue };
        let (at, before) = *last.get_or_insert((start, 0));
        if now - at < LINE_EACH {
            continue;
        }
        let (answers, errors) = running.counts();
        let rate = answers.saturating_sub(before) as f64 / (now - at).as_secs_f64();
        last = Some((now, answers));
        let line = line(now - start, running, (answers, errors), rate);
        _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush()); // of use only while it can be seen
    }
    if shows {
        _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
    }
}

fn line(since: Duration, running: &Running, (answers, errors): (u64, u64), rate: f64) -> String {
    let plan = running.plan();
    let all = plan.warm_up + plan.duration;
    let what = if since < plan.warm_up { "warm-up  " } else { "" };
    format!(
        "{:.1} of {:.0} s  {what}{answers} answers  {rate:.0} per second  {errors} errors",
        since.as_secs_f64(),
        all.as_secs_f64()
    )
}
