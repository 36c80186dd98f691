//! From a text or a file to a configuration, or to the report of what is wrong with it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::check::check;
use super::checked::Config;
use super::checked_auth::RouteAuth;
use super::document::Reader;
use super::render::Report;

/// A configuration, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Warnings; often none.
    pub warnings: Report,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no text in UTF-8.
    NotText {
        /// Which.
        path: PathBuf,
        /// The line of the first bad byte, counted from 1.
        line: usize,
    },
    /// The file has mistakes.
    Mistakes(Report),
}

/// What a system's error says in words. The number that it adds to them tells an operator nothing.
#[must_use]
pub fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => {
                write!(f, "cannot read {}: {}", path.display(), words_of(source))
            }
            Self::NotText { path, line } => {
                write!(f, "{} is no text in UTF-8: see line {line}", path.display())
            }
            Self::Mistakes(report) => fmt::Display::fmt(report, f),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::NotText { .. } | Self::Mistakes(_) => None,
        }
    }
}

/// Checks the text of a configuration; `name` stands for the file in the report. Files that it names
/// are not looked at.
///
/// # Errors
/// All mistakes of the text (with the warnings between them), by position. Of a text that is not
/// TOML, its syntax errors alone.
pub fn load(text: &str, name: &str) -> Result<Checked, Report> {
    load_with(text, name, None)
}

fn load_with(text: &str, name: &str, reader: Option<Reader>) -> Result<Checked, Report> {
    match check(text, reader) {
        Ok((config, warnings)) => {
            Ok(Checked { config, warnings: Report::new(name, text, warnings) })
        }
        Err(mistakes) => Err(Report::new(name, text, mistakes)),
    }
}

/// Reads and checks a configuration file, and the files that it names. Blocks: for the start of the process, or the control
/// thread.
///
/// # Errors
/// The file cannot be read or is no text; its mistakes, as [`load`] reports them.
pub fn load_file(path: &Path) -> Result<Checked, LoadError> {
    let read_error = |source| LoadError::Read { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(read_error)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        LoadError::NotText { path: path.to_owned(), line }
    })?;
    // Files that it names are beside it, wherever the process was started.
    let folder = path.parent().unwrap_or(Path::new(""));
    let reader = Reader { folder: folder.to_owned() };
    let checked = load_with(&text, &path.display().to_string(), Some(reader));
    let mut checked = checked.map_err(LoadError::Mistakes)?;
    // Absolute, so that what `--effective` and the admin interface show is the same from anywhere.
    let here = std::env::current_dir().unwrap_or_default();
    checked.config.root_at(&here.join(folder));
    Ok(checked)
}

impl Config {
    /// Paths of files that are not absolute are below `folder`.
    fn root_at(&mut self, folder: &Path) {
        self.server.buffers.root_at(folder);
        for listener in &mut self.listeners {
            listener.error_pages.iter_mut().for_each(|pages| pages.root_at(folder));
        }
        self.routes.iter_mut().for_each(|route| route.root_at(folder));
        let accesses = self.listeners.iter_mut().filter_map(|it| it.access.as_mut());
        let of_routes = self.routes.iter_mut().filter_map(|route| route.access.as_deref_mut());
        for access in accesses.chain(of_routes) {
            access.root_at(folder);
        }
        for tls in self.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut()) {
            tls.root_at(folder);
        }
        let own = self.routes.iter_mut().filter_map(|route| match &mut route.auth {
            RouteAuth::Own(rules) => Some(rules),
            RouteAuth::Listener | RouteAuth::Off => None,
        });
        let rules = self.listeners.iter_mut().filter_map(|listener| listener.auth.as_mut());
        own.chain(rules).for_each(|rules| rules.root_at(folder));
        for pool in &mut self.pools {
            if let Some(tls) = &mut pool.tls {
                tls.root_at(folder);
            }
            if let Some(sticky) = &mut pool.sticky {
                sticky.key.root_at(folder);
            }
        }
    }
}
