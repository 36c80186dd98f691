//! The counters that SIGUSR1 prints: `stat NAME total=N w0=N w1=N`, closed by `stat end`.

use std::collections::BTreeMap;

/// One dump.
#[derive(Debug)]
pub(crate) struct Stats {
    counters: BTreeMap<String, Counter>,
}

/// One line of it.
#[derive(Debug)]
struct Counter {
    total: i64,
    workers: Vec<i64>,
}

impl Stats {
    /// Reads the lines of one dump; other lines are skipped.
    pub(crate) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Stats {
        let counters = lines.filter_map(counter).collect();
        Stats { counters }
    }

    /// The total of the counter `name`, which must exist; errors that never were are left out.
    #[track_caller]
    pub(crate) fn total(&self, name: &str) -> i64 {
        if name.starts_with("error_") && !self.counters.contains_key(name) {
            return 0;
        }
        self.counter(name).total
    }

    /// The counter `name` of each worker.
    #[track_caller]
    pub(crate) fn workers(&self, name: &str) -> &[i64] {
        &self.counter(name).workers
    }

    /// Every counter's name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.counters.keys().map(String::as_str)
    }

    #[track_caller]
    fn counter(&self, name: &str) -> &Counter {
        self.counters.get(name).unwrap_or_else(|| panic!("no counter {name} in {self:#?}"))
    }
}

/// Whether `line` closes a dump.
pub(crate) fn is_end(line: &str) -> bool {
    words_of(line).is_some_and(|mut words| words.next() == Some("end"))
}

/// The words of a stat line behind `stat`, whatever the log puts before them.
fn words_of(line: &str) -> Option<impl Iterator<Item = &str>> {
    let mut words = line.split_whitespace();
    words.find(|word| *word == "stat")?;
    Some(words)
}

fn counter(line: &str) -> Option<(String, Counter)> {
    let mut words = words_of(line)?;
    let name = words.next()?;
    let values: BTreeMap<&str, i64> = words
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key, value.parse().expect("a number in a stat line")))
        .collect();
    let total = *values.get("total")?;
    let worker = |index: usize| values.get(format!("w{index}").as_str()).copied();
    let workers = (0..).map_while(worker).collect();
    Some((name.to_owned(), Counter { total, workers }))
}
