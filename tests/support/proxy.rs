//! The real binary as a child: started with a file, watched by its log, stopped with the test.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::stats::{self, Stats};
use super::system::{self, Confinement};
use super::{PATIENCE, Setup, eventually};

/// A running `ringway run`.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    /// Its standard error.
    pub(crate) log: Lines,
    /// Its standard output.
    pub(crate) output: Lines,
    directory: Directory,
}

/// Lines that a thread reads from a pipe.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<(Mutex<Read>, Condvar)>,
    reader: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[derive(Default)]
struct Read {
    lines: Vec<String>,
    /// There will be no more.
    ended: bool,
}

/// A directory that goes when it is dropped.
pub(crate) struct Directory(PathBuf);

/// What became of a child that was run to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` for a signal.
    pub(crate) code: Option<i32>,
    /// Its standard error.
    pub(crate) log: String,
}

impl Proxy {
    /// Starts the binary with `setup` and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(setup: &Setup) -> Proxy {
        let directory = Directory::new();
        let file = directory.path().join("ringway.toml");
        // Tests name files of theirs by this placeholder.
        let text = setup.text().replace("{directory}", &directory.path().to_string_lossy());
        fs::write(&file, &text).expect("writing the configuration");
        for (name, content) in setup.files_beside() {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("making a directory");
            fs::write(path, content).expect("writing a file");
        }
        let driver = setup.chosen_driver();
        let config = file.to_string_lossy().into_owned();
        let mut command = command(&["run", "--config", &config, "--driver", &driver]);
        let (child, log, output) = spawn(&mut command, setup.confinement());
        let mut proxy =
            Proxy { child, address: SocketAddr::from(([0; 4], 0)), log, output, directory };
        let told = |line: &str| has_word(line, "ready");
        assert!(proxy.log.wait(0, told).is_some(), "not ready; the configuration:\n{text}");
        let addresses = proxy.listening("web");
        proxy.address = *addresses.first().expect("a line that says where web listens");
        proxy
    }

    /// Where the listener `web` listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the listener `name` listens.
    pub(crate) fn listening(&self, name: &str) -> Vec<SocketAddr> {
        let lines = self.log.all();
        let lines = lines.iter().filter(|line| has_word(line, "listening"));
        let lines = lines.filter(|line| value_in(line, "listener") == Some(name));
        lines.map(|line| value_in(line, "address").unwrap().parse().unwrap()).collect()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The value of `key` in the line that said ready.
    pub(crate) fn ready_value(&self, key: &str) -> Option<String> {
        let lines = self.log.all();
        let ready = lines.iter().find(|line| has_word(line, "ready"))?;
        value_in(ready, key).map(str::to_owned)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        system::signal(self.pid(), signal);
    }

    /// Its counters of this moment, with all that was done before.
    #[track_caller]
    pub(crate) fn stats(&self) -> Stats {
        system::wait_asleep(self.pid());
        let before = self.log.all().len();
        self.signal(libc::SIGUSR1);
        let end = self.log.wait(before, stats::is_end).expect("a dump of the counters");
        let lines = self.log.all();
        Stats::parse(lines[before..end].iter().map(String::as_str))
    }

    /// Waits until the counter `name` is `value`.
    #[track_caller]
    pub(crate) fn wait_stat(&self, name: &str, value: i64) {
        let mut last = 0;
        let reached = within(PATIENCE, || {
            last = self.stats().total(name);
            last == value
        });
        assert!(reached, "{name} is {last}, should be {value}");
    }

    /// Waits until no connection and no lease is left.
    #[track_caller]
    pub(crate) fn wait_idle(&self) {
        self.wait_stat("upstream_active", 0);
        self.wait_stat("connections_active", 0);
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib = line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
        kib.expect("a number") * 1024
    }

    /// Waits for the process to end by itself; its exit code.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> Option<i32> {
        wait_child(&mut self.child).code()
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("waiting").is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let ended = self.child.try_wait();
        // Both fail only when the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
        let text = self.log.text();
        if thread::panicking() {
            eprintln!("--- the proxy ({ended:?} before the end of the test), its log\n{text}---");
        } else {
            assert!(!text.contains("panicked at"), "the proxy panicked:\n{text}");
        }
    }
}

impl Lines {
    fn read_from(pipe: impl io::Read + Send + 'static) -> Lines {
        let shared = Arc::new((Mutex::<Read>::default(), Condvar::new()));
        let writer = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let change = |change: &dyn Fn(&mut Read)| {
                change(&mut writer.0.lock().expect("the lines"));
                writer.1.notify_all();
            };
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                change(&|read| read.lines.push(line.clone()));
            }
            change(&|read| read.ended = true);
        });
        Lines { shared, reader: Arc::new(Mutex::new(Some(reader))) }
    }

    /// The lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.shared.0.lock().expect("the lines").lines.clone()
    }

    /// The whole text, up to the end of the pipe. Only for a child that has ended.
    pub(crate) fn text(&self) -> String {
        if let Some(reader) = self.reader.lock().expect("the reader").take() {
            reader.join().expect("the reader");
        }
        self.all().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Waits for a line from number `from` on that `wanted` accepts; its number. `None`: it does not
    /// come in time, or the pipe has ended.
    pub(crate) fn wait(&self, from: usize, wanted: impl Fn(&str) -> bool) -> Option<usize> {
        let deadline = Instant::now() + PATIENCE;
        let (read, changed) = &*self.shared;
        let mut read = read.lock().expect("the lines");
        loop {
            let found = read.lines.iter().skip(from).position(|line| wanted(line));
            if let Some(at) = found {
                return Some(from + at);
            }
            if read.ended {
                return None;
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            read = changed.wait_timeout(read, left).expect("the lines").0;
        }
    }
}

impl Directory {
    /// A new, empty one.
    pub(crate) fn new() -> Directory {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-e2e-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind, it is only litter in a temporary directory.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs the binary with `arguments` to its end.
#[track_caller]
pub(crate) fn run_to_end(arguments: &[&str], confinement: Confinement) -> Ended {
    let (mut child, log, _) = spawn(&mut command(arguments), confinement);
    let status = wait_child(&mut child);
    Ended { code: status.code(), log: log.text() }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn spawn(command: &mut Command, confinement: Confinement) -> (Child, Lines, Lines) {
    system::confine(command, confinement);
    let mut child = command.spawn().expect("starting ringway");
    let log = Lines::read_from(child.stderr.take().expect("a pipe"));
    let output = Lines::read_from(child.stdout.take().expect("a pipe"));
    (child, log, output)
}

#[track_caller]
fn wait_child(child: &mut Child) -> ExitStatus {
    let mut status = None;
    let ended = within(PATIENCE, || {
        status = child.try_wait().expect("waiting for ringway");
        status.is_some()
    });
    if !ended {
        drop(child.kill());
    }
    status.expect("ringway ends by itself")
}

/// Whether `condition` comes true in time.
fn within(time: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    condition()
}

/// Whether `line` has `word` as a word of its own.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.split_whitespace().any(|part| part == word)
}

/// The value of `key=value` in `line`, without quotes.
pub(crate) fn value_in<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == key).map(|(_, value)| value);
    values.next().map(|value| value.trim_matches('"'))
}

/// Waits until the file at `path` has at least `count` lines; the lines.
#[track_caller]
pub(crate) fn wait_lines(path: &Path, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    eventually("the lines are written", || {
        let text = fs::read_to_string(path).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() >= count && text.ends_with('\n')
    });
    lines
}
