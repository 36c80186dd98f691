//! A member fails under a steady load: no client sees it, the others take its share, and it comes
//! back after one real request was served.

use std::net::SocketAddr;

use crate::support::member::reserved_port;
use crate::support::proxy::value_in;
use crate::support::{Load, Member, Mode, Proxy, Setup, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// What a pool that is to fail over well says.
const POOL: &str = "eject = { failures = 3, window = \"60s\", for = \"1s\", on = [\"connect\", \"reset\", \"timeout\", \"500\", \"503\"] }
retry = { on = [\"connect\", \"reset\", \"timeout\", \"500\", \"503\"] }";

/// For members that say nothing. Those that are well must keep it on a busy machine, too.
const SHORT: &str = "timeouts = { connect = \"4s\", response = \"4s\" }";

/// For all others.
const LONG: &str = "timeouts = { connect = \"60s\", response = \"60s\" }";

/// Waits until the log has said that the member is in state `to`.
#[track_caller]
fn wait_for(proxy: &Proxy, load: &Load, member: SocketAddr, to: &str) {
    let member = member.to_string();
    let is = |line: &String| {
        value_in(line, "member") == Some(member.as_str()) && value_in(line, "to") == Some(to)
    };
    eventually(&format!("the member is {to}"), || {
        load.check();
        proxy.log.all().iter().any(is)
    });
}

fn three() -> [Member; 3] {
    ["a", "b", "c"].map(Member::new)
}

fn setup(members: &[Member]) -> Setup {
    let addresses: Vec<_> = members.iter().map(Member::address).collect();
    Setup::to_addresses(&addresses)
}

/// Waits until each of these has served so many more.
#[track_caller]
fn all_serve(members: &[Member], load: &Load, more: usize) {
    let before: Vec<_> = members.iter().map(Member::served).collect();
    eventually("all serve", || {
        load.check();
        members.iter().zip(&before).all(|(member, before)| member.served() >= before + more)
    });
}

/// While members are out only trials go there: one for each time that they are ejected again.
#[track_caller]
fn check_share(proxy: &Proxy, load: &Load) {
    load.settle();
    let before = proxy.stats();
    load.pass(300);
    let after = proxy.stats();
    let grown = |name: &str| after.total(name) - before.total(name);
    let (failed, trials) = (grown("upstream_failovers"), grown("ejections"));
    // One more of each may be under way.
    let out = after.total("members_out");
    assert!(out >= 1 && failed <= trials + out, "{failed} attempts, {trials} trials, {out} out");
}

/// The drill: it fails in this way, is ejected, and recovers.
#[track_caller]
fn drill(mode: Mode) {
    let members = three();
    let timeouts = match mode {
        Mode::Silent | Mode::Unaccepting | Mode::Halting | Mode::Blackholed => SHORT,
        _ => LONG,
    };
    let proxy = setup(&members).pool(POOL).pool(timeouts).start();
    let load = Load::start(proxy.address(), 4, GET);
    all_serve(&members, &load, 20);
    let failing = &members[1];
    failing.turn(mode);
    wait_for(&proxy, &load, failing.address(), "ejected");
    check_share(&proxy, &load);
    let stats = proxy.stats();
    assert!(stats.total("ejections") >= 1 && stats.total("retries") >= 3, "{stats:?}");
    assert_eq!(stats.total("error_pool_no_member"), 0);
    failing.turn(Mode::Serving);
    wait_for(&proxy, &load, failing.address(), "in");
    all_serve(&members, &load, 20);
    load.stop();
    proxy.wait_stat("members_out", 0);
    proxy.wait_idle();
}

#[test]
fn it_resets_everything() {
    drill(Mode::Reset);
}

#[test]
fn it_refuses() {
    drill(Mode::Refusing);
}

#[test]
fn it_goes_silent() {
    drill(Mode::Silent);
}

#[test]
fn it_accepts_nobody() {
    drill(Mode::Unaccepting);
}

#[test]
fn it_goes_silent_in_the_middle_of_a_head() {
    drill(Mode::Halting);
}

#[test]
fn it_says_500() {
    drill(Mode::Status(500));
}

#[test]
fn it_says_503() {
    drill(Mode::Status(503));
}

#[test]
fn it_closes_after_each_request() {
    drill(Mode::Closing);
}

#[test]
fn it_is_blackholed() {
    drill(Mode::Blackholed);
}

#[test]
fn it_drains() {
    drill(Mode::Draining);
}

/// The drill for a process of its own, which `fail` takes and `recover` gives back.
#[track_caller]
fn drill_process<T>(
    timeouts: &str,
    fail: impl FnOnce(Proxy) -> T,
    recover: impl FnOnce(T, Setup) -> Proxy,
) {
    let [a, b, behind] = three();
    let (_port, address) = reserved_port();
    let setup = Setup::to_addresses(&[behind.address()]).bind(address).workers(1);
    let process = setup.clone().start();
    let setup_of_all = Setup::to_addresses(&[a.address(), address, b.address()]);
    let proxy = setup_of_all.pool(POOL).pool(timeouts).start();
    let load = Load::start(proxy.address(), 4, GET);
    let members = [a, b, behind];
    all_serve(&members, &load, 20);
    let failed = fail(process);
    wait_for(&proxy, &load, address, "ejected");
    check_share(&proxy, &load);
    let _recovered = recover(failed, setup);
    wait_for(&proxy, &load, address, "in");
    all_serve(&members, &load, 20);
    load.stop();
    proxy.wait_idle();
}

#[test]
fn its_process_is_killed_and_started_again() {
    // SIGKILL.
    drill_process(LONG, drop, |(), setup| setup.start());
}

#[test]
fn its_process_is_stopped_and_goes_on() {
    let stop = |process: Proxy| {
        process.signal(libc::SIGSTOP);
        process
    };
    drill_process(SHORT, stop, |process, _| {
        process.signal(libc::SIGCONT);
        process
    });
}

#[test]
fn two_of_three_fail_one_after_the_other() {
    let members = three();
    // Half may be ejected at a time unless the pool says otherwise.
    let pool = POOL.replacen("failures = 3", "failures = 3, max_share = \"100%\"", 1);
    let proxy = setup(&members).pool(pool).pool(LONG).start();
    let load = Load::start(proxy.address(), 4, GET);
    all_serve(&members, &load, 20);
    for (failing, mode) in members.iter().zip([Mode::Reset, Mode::Closing]) {
        failing.turn(mode);
        wait_for(&proxy, &load, failing.address(), "ejected");
        load.settle();
    }
    check_share(&proxy, &load);
    for failing in members.iter().take(2) {
        failing.turn(Mode::Serving);
    }
    all_serve(&members, &load, 20);
    load.stop();
}

/// A pool of two members and a backup.
fn with_backup(members: &[Member], pool: &str) -> Setup {
    let [a, b, backup] = [0, 1, 2].map(|at| members[at].address());
    Setup::with_body(format!(
        "[[route]]\npool = \"main\"\n[pool.main]\n\
         members = [\"{a}\", \"{b}\", {{ address = \"{backup}\", backup = true }}]\n{pool}\n"
    ))
}

#[test]
fn a_backup_serves_while_every_other_member_is_out() {
    let members = three();
    let pool = POOL.replacen("failures = 3", "failures = 3, max_share = \"100%\"", 1);
    let proxy = with_backup(&members, &format!("{pool}\n{LONG}")).start();
    let load = Load::start(proxy.address(), 4, GET);
    all_serve(&members[..2], &load, 20);
    members[0].turn(Mode::Refusing);
    wait_for(&proxy, &load, members[0].address(), "ejected");
    load.pass(50);
    assert_eq!(members[2].served(), 0, "one is left");
    // No request is lost: those that fail at both go on to it.
    members[1].turn(Mode::Refusing);
    wait_for(&proxy, &load, members[1].address(), "ejected");
    all_serve(&members[2..], &load, 50);
    members[0].turn(Mode::Serving);
    wait_for(&proxy, &load, members[0].address(), "in");
    load.settle();
    let before = members[2].served();
    load.pass(100);
    assert_eq!(members[2].served(), before, "given up");
    load.stop();
}

#[test]
fn who_comes_back_gets_more_and_more() {
    let members = three();
    let proxy = setup(&members).pool(POOL).pool(LONG).pool("slow_start = \"8s\"").start();
    let load = Load::start(proxy.address(), 4, GET);
    all_serve(&members, &load, 20);
    members[1].turn(Mode::Closing);
    wait_for(&proxy, &load, members[1].address(), "ejected");
    members[1].turn(Mode::Serving);
    wait_for(&proxy, &load, members[1].address(), "in");
    // Of the next so many requests, those that it gets, in percent.
    let share = |requests| {
        let (served, answers) = (members[1].served(), load.answers());
        load.pass(requests);
        (members[1].served() - served) * 100 / (load.answers() - answers)
    };
    let first = share(100);
    assert!(first < 20, "{first} %");
    eventually("it has its full share", || share(300) >= 30);
    load.stop();
}
