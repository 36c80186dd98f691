//! The file as written: tables of known keys with their spans, in file order.
//!
//! Unknown keys are reported when a table is opened; values are read by the kind that `keys`
//! gives them, with their bounds. What values mean together is for the `check_*` files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Mistake, Place, Severity, Span};
use super::keys::{self, Key, Kind, Section};
use super::loanwords;
use super::nearest::nearest;
use super::scalar::{self, show_duration, show_size};

/// Where mistakes are collected.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<ConfigError>,
    reader: Option<Reader>,
}

/// Reads files that the configuration names.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Paths that are not absolute begin here.
    pub(super) folder: PathBuf,
}

impl Reader {
    /// The first `most` bytes of a file.
    fn read(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.folder.join(path))?.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Findings {
    /// None yet; `reader` looks at the files that the text names, if they are to be looked at.
    pub(super) fn new(reader: Option<Reader>) -> Self {
        Self { found: Vec::new(), reader }
    }

    /// What a file has, `most` bytes of it; `None`: files are not looked at.
    pub(super) fn read(&self, path: &Path, most: usize) -> Option<io::Result<Vec<u8>>> {
        Some(self.reader.as_ref()?.read(path, most))
    }

    /// Notes a mistake.
    pub(super) fn add(&mut self, span: Span, mistake: Mistake) {
        self.found.push(ConfigError { span, mistake });
    }

    /// Whether there is a mistake among them, not only warnings.
    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|error| error.mistake.severity() == Severity::Error)
    }

    /// All of them, by position.
    pub(super) fn sorted(mut self) -> Vec<ConfigError> {
        self.found.sort_by_key(|error| error.span);
        self.found
    }
}

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

/// Where a parsed thing stands.
pub(super) fn span_of<T>(thing: &Spanned<T>) -> Span {
    let span = thing.span();
    Span { start: span.start, end: span.end }
}

/// A table as written.
#[derive(Debug)]
pub(super) struct Table<'a> {
    place: Place,
    /// Its header, or what stands for one.
    pub(super) span: Span,
    /// Known keys, in file order.
    entries: Vec<(&'static Key, Value<'a>)>,
}

/// The entries of a table in file order.
pub(super) fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(At<&'a str>, Value<'a>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (At { value: key.get_ref().as_ref(), span: span_of(key) }, value))
        .collect();
    entries.sort_by_key(|(key, _)| key.span);
    entries
}

impl<'a> Table<'a> {
    /// Reads the keys of a table, and reports those that are unknown.
    pub(super) fn open(
        place: Place,
        span: Span,
        table: &'a DeTable<'a>,
        findings: &mut Findings,
    ) -> Self {
        let mut entries = Vec::new();
        for (name, value) in in_order(table) {
            match place.section.key(name.value) {
                Some(key) => entries.push((key, value)),
                None => findings.add(name.span, unknown(name.value, &place)),
            }
        }
        Self { place, span, entries }
    }

    /// The table behind a key, or one with nothing in it.
    pub(super) fn table(&self, name: &str, findings: &mut Findings) -> Self {
        let section = match self.place.section.key(name) {
            Some(Key { kind: Kind::Table(section), .. }) => *section,
            _ => self.place.section,
        };
        match self.get(name) {
            Some((key, value)) => match value.get_ref() {
                DeValue::Table(table) => self.child(section, span_of(value), table, findings),
                _ => {
                    findings.add(span_of(value), wrong_type(key, value));
                    self.empty(section)
                }
            },
            None => self.empty(section),
        }
    }

    /// The table behind a key that may say `"off"`; `None`: it does, or that is its default.
    pub(super) fn switch(&self, name: &str, findings: &mut Findings) -> Option<Self> {
        let Some(Kind::Switch { section, on }) = self.kind(name) else { return None };
        let Some((key, value)) = self.get(name) else { return on.then(|| self.empty(section)) };
        let mistake = match value.get_ref() {
            DeValue::Table(table) => {
                return Some(self.child(section, span_of(value), table, findings));
            }
            DeValue::String(word) if word == "off" => return None,
            DeValue::String(word) if nearest(word, ["off"]).is_some() => {
                not_a_choice(key, word, &["off"])
            }
            _ => wrong_type(key, value),
        };
        findings.add(span_of(value), mistake);
        None
    }

    /// A table below this one.
    pub(super) fn child(
        &self,
        section: Section,
        span: Span,
        table: &'a DeTable<'a>,
        findings: &mut Findings,
    ) -> Self {
        let place = Place { section, name: self.place.name.clone() };
        Self::open(place, span, table, findings)
    }

    /// A table of another section below this one that is not written: all its defaults.
    pub(super) fn nothing(&self, section: Section) -> Self {
        self.empty(section)
    }

    /// A table below this one that is not written.
    fn empty(&self, section: Section) -> Self {
        let place = Place { section, name: self.place.name.clone() };
        Self { place, span: self.span, entries: Vec::new() }
    }

    /// What is written, in file order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static Key, Value<'a>)> {
        self.entries.iter().copied()
    }

    /// Which table this is.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// The value of a key, if it stands there.
    pub(super) fn get(&self, name: &str) -> Option<(&'static Key, Value<'a>)> {
        self.entries.iter().find(|(key, _)| key.name == name).copied()
    }

    /// The value of a key; its absence is reported.
    pub(super) fn required(
        &self,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<(&'static Key, Value<'a>)> {
        let found = self.get(name);
        if found.is_none() {
            let mistake = Mistake::MissingKey { key: name, place: self.place.clone() };
            findings.add(self.span, mistake);
        }
        found
    }

    /// What the table of keys says of one of this section.
    fn kind(&self, name: &str) -> Option<Kind> {
        let kind = self.place.section.key(name).map(|key| key.kind);
        debug_assert!(kind.is_some(), "{name} is no key of {}", self.place);
        kind
    }

    /// A duration.
    pub(super) fn time(&self, name: &str, findings: &mut Findings) -> Duration {
        let Some(Kind::Time { default, min }) = self.kind(name) else { return Duration::ZERO };
        self.get(name)
            .and_then(|(key, value)| read_time(key, value, min, findings))
            .unwrap_or(default)
    }

    /// A duration; `None` where the key is absent or says `"none"`.
    pub(super) fn time_cap(&self, name: &str, findings: &mut Findings) -> Option<Duration> {
        let Some(Kind::TimeCap { min }) = self.kind(name) else { return None };
        let (key, value) = self.get(name)?;
        if value.get_ref().as_str() == Some("none") {
            return None;
        }
        read_time(key, value, min, findings)
    }

    /// A size in bytes; `None` where the key says `"none"`.
    pub(super) fn size(&self, name: &str, findings: &mut Findings) -> Option<u64> {
        let Some(Kind::Size { default, min, max }) = self.kind(name) else { return None };
        let Some((key, value)) = self.get(name) else { return default };
        let read = match value.get_ref() {
            DeValue::String(text) if default.is_none() && text == "none" => return None,
            DeValue::String(text) => scalar::size(text).map_err(Mistake::BadSize),
            DeValue::Integer(_) => Ok(integer(value).unwrap_or(u64::MAX)),
            _ => Err(wrong_type(key, value)),
        };
        match read {
            Ok(size) if (min..=max).contains(&size) => return Some(size),
            Ok(_) => {
                let (min, max) = (show_size(min), show_size(max));
                findings.add(span_of(value), Mistake::OutOfBounds { key: key.name, min, max });
            }
            Err(mistake) => findings.add(span_of(value), mistake),
        }
        default
    }

    /// A size that always has a bound.
    pub(super) fn bounded(&self, name: &str, findings: &mut Findings) -> usize {
        let size = self.size(name, findings).unwrap_or(0);
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// A number of things.
    pub(super) fn count(&self, name: &str, findings: &mut Findings) -> usize {
        let Some(Kind::Count { default, min, max }) = self.kind(name) else { return 0 };
        let written = self.get(name);
        let count = written.and_then(|(key, value)| number(key, value, min, max, findings));
        usize::try_from(count.unwrap_or(default)).unwrap_or(usize::MAX)
    }

    /// A number of things that fits 32 bits, as the bounds of its key see to.
    pub(super) fn count32(&self, name: &str, findings: &mut Findings) -> u32 {
        u32::try_from(self.count(name, findings)).unwrap_or(u32::MAX)
    }

    /// A bound; `None` where the key is absent or says `"none"`.
    pub(super) fn cap(&self, name: &str, findings: &mut Findings) -> Option<u32> {
        let Some(Kind::Cap { min, max }) = self.kind(name) else { return None };
        let (key, value) = self.get(name)?;
        if value.get_ref().as_str() == Some("none") {
            return None;
        }
        number(key, value, min, max, findings).and_then(|cap| u32::try_from(cap).ok())
    }

    /// A share in percent, 0 to 100.
    pub(super) fn percent(&self, name: &str, findings: &mut Findings) -> u8 {
        let Some(Kind::Percent { default }) = self.kind(name) else { return 0 };
        let Some((key, value)) = self.get(name) else { return default };
        let mistake = match value.get_ref() {
            DeValue::String(text) => match scalar::percent(text) {
                Ok(share @ 0..=100) => return u8::try_from(share).unwrap_or(default),
                Ok(_) => Mistake::OutOfBounds {
                    key: key.name,
                    min: "0%".to_owned(),
                    max: "100%".to_owned(),
                },
                Err(why) => Mistake::BadPercent { why, number: text.parse().ok() },
            },
            DeValue::Integer(_) => {
                Mistake::BadPercent { why: scalar::ScalarError::NoUnit, number: integer(value) }
            }
            _ => wrong_type(key, value),
        };
        findings.add(span_of(value), mistake);
        default
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str, findings: &mut Findings) -> bool {
        let Some(Kind::Flag { default }) = self.kind(name) else { return false };
        let Some((key, value)) = self.get(name) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            findings.add(span_of(value), wrong_type(key, value));
            default
        })
    }

    /// Which of the words of a key, by its position in the table of keys.
    pub(super) fn choice(&self, name: &str, findings: &mut Findings) -> usize {
        let Some(Kind::Choice(choices)) = self.kind(name) else { return 0 };
        let Some((key, value)) = self.get(name) else { return 0 };
        let mistake = match value.get_ref() {
            DeValue::String(word) => match choices.iter().position(|choice| choice == word) {
                Some(index) => return index,
                None => not_a_choice(key, word, choices),
            },
            _ => wrong_type(key, value),
        };
        findings.add(span_of(value), mistake);
        0
    }

    /// A text.
    pub(super) fn text(&self, name: &str, findings: &mut Findings) -> Option<At<&'a str>> {
        let (key, value) = self.get(name)?;
        text(key, value, findings)
    }

    /// A list of texts that is not empty; or one text, where `single` allows it. `None`: absent,
    /// or not one good text in it.
    pub(super) fn texts(
        &self,
        name: &str,
        single: bool,
        findings: &mut Findings,
    ) -> Option<Vec<At<&'a str>>> {
        let (key, value) = self.get(name)?;
        match value.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                findings.add(span_of(value), Mistake::EmptyList { key: key.name });
                None
            }
            DeValue::Array(array) => {
                Some(array.iter().filter_map(|item| text(key, item, findings)).collect())
            }
            DeValue::String(_) if single => text(key, value, findings).map(|text| vec![text]),
            _ => {
                findings.add(span_of(value), wrong_type(key, value));
                None
            }
        }
    }
}

/// A text where one is expected.
pub(super) fn text<'a>(
    key: &Key,
    value: Value<'a>,
    findings: &mut Findings,
) -> Option<At<&'a str>> {
    let DeValue::String(text) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return None;
    };
    Some(At { value: text.as_ref(), span: span_of(value) })
}

/// An integer that is not negative and fits.
pub(super) fn integer(value: Value<'_>) -> Option<u64> {
    let integer = value.get_ref().as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A duration of at least `min`.
pub(super) fn read_time(
    key: &Key,
    value: Value<'_>,
    min: Duration,
    findings: &mut Findings,
) -> Option<Duration> {
    let mistake = match value.get_ref() {
        DeValue::String(text) => match scalar::duration(text) {
            Ok(time) if (min..=keys::TIME_MAX).contains(&time) => return Some(time),
            Ok(_) => Mistake::OutOfBounds {
                key: key.name,
                min: show_duration(min),
                max: show_duration(keys::TIME_MAX),
            },
            Err(why) => Mistake::BadDuration { why, number: text.parse().ok() },
        },
        DeValue::Integer(_) => {
            Mistake::BadDuration { why: scalar::ScalarError::NoUnit, number: integer(value) }
        }
        _ => wrong_type(key, value),
    };
    findings.add(span_of(value), mistake);
    None
}

/// A number within bounds, both ends included.
pub(super) fn number(
    key: &Key,
    value: Value<'_>,
    min: u64,
    max: u64,
    findings: &mut Findings,
) -> Option<u64> {
    let mistake = match (value.get_ref(), integer(value)) {
        (DeValue::Integer(_), Some(number)) if (min..=max).contains(&number) => {
            return Some(number);
        }
        (DeValue::Integer(_), _) => {
            Mistake::OutOfBounds { key: key.name, min: min.to_string(), max: max.to_string() }
        }
        _ => wrong_type(key, value),
    };
    findings.add(span_of(value), mistake);
    None
}

/// The mistake of a word that is none of those that its key knows.
pub(super) fn not_a_choice(key: &Key, word: &str, choices: &'static [&'static str]) -> Mistake {
    let said = loanwords::choice(key.name, word);
    let nearest = nearest(word, choices.iter().copied());
    Mistake::NotAChoice { key: key.name, word: word.to_owned(), choices, nearest, said }
}

/// The mistake of a value that has another type than its key.
pub(super) fn wrong_type(key: &Key, value: Value<'_>) -> Mistake {
    let expected = match key.kind {
        Kind::Time { .. } => "a duration",
        Kind::TimeCap { .. } => "a duration or \"none\"",
        Kind::Size { .. } => "a size",
        Kind::Count { .. } => "a number",
        Kind::Cap { .. } => "a number or \"none\"",
        Kind::Percent { .. } => "a share such as \"20%\"",
        Kind::Flag { .. } => "true or false",
        Kind::Choice(_) => "a word",
        Kind::Form(form, _) => form,
        Kind::Table(_) => "a table",
        Kind::Switch { .. } => "a table or \"off\"",
    };
    let found = match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Mistake::WrongType { key: key.name, expected, found, example: key.example }
}

/// The mistake of a key that its section does not know: a word of another proxy; else, what looks like
/// a slip of the pen is one, even where another section has a key of this name.
fn unknown(name: &str, place: &Place) -> Mistake {
    if let Some(meaning) = loanwords::meaning(place.section, name) {
        return Mistake::Loanword { key: name.to_owned(), place: place.clone(), meaning };
    }
    let nearest = nearest(name, place.section.keys().map(|key| key.name));
    match keys::home(place.section, name) {
        Some((key, home)) if home == place.section => Mistake::FutureKey { key },
        Some((key, home)) if nearest.is_none() => {
            Mistake::ElsewhereKey { key, place: place.clone(), home }
        }
        _ => Mistake::UnknownKey { key: name.to_owned(), place: place.clone(), nearest },
    }
}
