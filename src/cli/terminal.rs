//! Output and exit codes.

use std::io::{self, Write};
use std::process::ExitCode;

/// The user's mistake.
pub(crate) const EXIT_USER: u8 = 1;
/// The system refused.
pub(crate) const EXIT_SYSTEM: u8 = 2;
/// A bug.
pub(crate) const EXIT_BUG: u8 = 70;

/// To the standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// To the standard error. Where that is closed, there is nobody to tell.
pub(crate) fn complain(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

/// The exit code after the last output: a reader that has gone (`| head`) is no failure.
pub(crate) fn finish(code: u8, printed: io::Result<()>) -> ExitCode {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(EXIT_SYSTEM),
        _ => ExitCode::from(code),
    }
}

/// "1 pool", "2 pools".
pub(crate) fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
