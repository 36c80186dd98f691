//! Tables of text for people.

use std::fmt::Write as _;

/// Rows below a header; columns are as wide as they must be.
#[derive(Debug)]
pub(super) struct Table {
    /// Each with whether it stands on the right.
    header: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns whose names begin with `>` stand on the right.
    pub(super) fn new(header: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_prefix('>') {
            Some(name) => (name, true),
            None => (*name, false),
        };
        Self { header: header.iter().map(column).collect(), rows: Vec::new() }
    }

    pub(super) fn add(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Lines, without spaces at their ends.
    pub(super) fn text(&self) -> String {
        let names: Vec<String> = self.header.iter().map(|(name, _)| (*name).to_owned()).collect();
        let all = || std::iter::once(&names).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> =
            (0..names.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut out = String::new();
        for row in all() {
            let mut line = String::new();
            for ((cell, (_, right)), width) in row.iter().zip(&self.header).zip(&widths) {
                let written = if *right {
                    write!(line, "{cell:>width$}  ")
                } else {
                    write!(line, "{cell:<width$}  ")
                };
                // Writing to a String cannot fail.
                written.unwrap_or_default();
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// A time span in one unit, rounded down: 12s, 3m, 2h, 5d.
pub(super) fn span(seconds: f64) -> String {
    // A clock that was set back must not show.
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Microseconds in a unit that is easy to read.
pub(super) fn latency(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros}us"),
        1000..1_000_000 => format!("{:.1}ms", micros as f64 / 1e3),
        _ => format!("{:.1}s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["NAME", ">COUNT", "WHY"]);
        table.add(vec!["a".to_owned(), "1".to_owned(), String::new()]);
        table.add(vec!["längst".to_owned(), "1234567".to_owned(), "x y".to_owned()]);
        let expected = "NAME      COUNT  WHY\na             1\nlängst  1234567  x y\n";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn spans_and_latencies() {
        for (seconds, expected) in
            [(-3.0, "0s"), (59.9, "59s"), (60.0, "1m"), (7200.0, "2h"), (200_000.0, "2d")]
        {
            assert_eq!(span(seconds), expected);
        }
        for (micros, expected) in [(7, "7us"), (1250, "1.2ms"), (2_500_000, "2.5s")] {
            assert_eq!(latency(micros), expected);
        }
    }
}
