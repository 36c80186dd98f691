//! `ringway stats`.

use std::process::ExitCode;

use super::terminal::{finish, print};
use super::{Whom, failed};

pub(super) fn run(whom: &Whom, json: bool) -> Result<ExitCode, ExitCode> {
    let path = if json { "/stats" } else { "/stats?format=text" };
    let mut text = whom.client()?.text("GET", path).map_err(|error| failed(&error))?;
    if json {
        text.push('\n');
    }
    Ok(finish(0, print(&text)))
}
