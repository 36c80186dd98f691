//! Findings as text: position, message, the line with the place underlined, and help.

use std::fmt;

use super::error::{ConfigError, Severity, Span};

/// What was found in one file, by position. Displays as the report for its reader; `{:#}` adds
/// colours for a terminal.
#[derive(Clone, Debug)]
pub struct Report {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The findings.
    pub findings: Vec<ConfigError>,
}

/// Characters of a line that are shown.
const WIDTH_MAX: usize = 160;

impl Report {
    pub(super) fn new(name: &str, text: &str, findings: Vec<ConfigError>) -> Self {
        let newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(0).chain(newlines).collect();
        Self { name: name.to_owned(), text: text.to_owned(), lines, findings }
    }

    /// How many of the findings are mistakes, not warnings.
    #[must_use]
    pub fn errors(&self) -> usize {
        let is_error = |error: &&ConfigError| error.mistake.severity() == Severity::Error;
        self.findings.iter().filter(is_error).count()
    }

    /// The line and column of a place, both counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self, span: Span) -> (usize, usize) {
        let (line, start) = self.line(span);
        let before = self.text.get(start..span.start).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The number of the line of a place, and where it begins.
    fn line(&self, span: Span) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index));
        (line, start.copied().unwrap_or(0))
    }

    fn one(&self, error: &ConfigError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colours = if f.alternate() { COLOURS } else { PLAIN };
        let (label, mark) = match error.mistake.severity() {
            Severity::Error => ("error", colours.error),
            Severity::Warning => ("warning", colours.warning),
        };
        let end = colours.end;
        let (line, column) = self.position(error.span);
        writeln!(f, "{}:{line}:{column}: {mark}{label}{end}: {}", self.name, error.mistake)?;
        let gutter = line.to_string().len().max(3);
        let (shown, indent, width) = self.excerpt(error.span);
        writeln!(f, "{line:>gutter$} | {shown}")?;
        writeln!(f, "{:gutter$} | {:indent$}{mark}{}{end}", "", "", "^".repeat(width))?;
        if let Some(help) = error.mistake.help(|span| self.position(span).0) {
            writeln!(f, "{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }

    /// The line of a place (of a long one the part around it), and the columns to underline.
    fn excerpt(&self, span: Span) -> (String, usize, usize) {
        let (_, start) = self.line(span);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let marked = self.text.get(span.start..span.end.min(start + line.len()));
        let mut indent = self.text.get(start..span.start).unwrap_or_default().chars().count();
        let mut width = marked.unwrap_or_default().chars().count().max(1);
        let mut shown: Vec<char> = line.chars().map(printable).collect();
        if shown.len() > WIDTH_MAX {
            let skipped = indent.saturating_sub(WIDTH_MAX / 2).min(shown.len());
            shown.drain(..skipped);
            shown.truncate(WIDTH_MAX);
            indent -= skipped;
            width = width.min(WIDTH_MAX.saturating_sub(indent)).max(1);
        }
        (shown.into_iter().collect::<String>().trim_end().to_owned(), indent, width)
    }
}

/// One column each, and nothing that a terminal would act on.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.findings {
            self.one(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

struct Colours {
    error: &'static str,
    warning: &'static str,
    end: &'static str,
}

const PLAIN: Colours = Colours { error: "", warning: "", end: "" };
const COLOURS: Colours =
    Colours { error: "\u{1b}[1;31m", warning: "\u{1b}[1;33m", end: "\u{1b}[0m" };
