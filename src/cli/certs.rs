//! `ringway certs`: of a running process, or of a file.

use std::process::ExitCode;

use ringway::clock;
use ringway::control::admin::view::CertificatesView;

use super::table::{Table, span};
use super::terminal::{finish, print};
use super::{Whom, failed};

pub(super) fn run(whom: &Whom, json: bool) -> Result<ExitCode, ExitCode> {
    let answer = whom.client()?.get("/certificates");
    let (view, raw): (CertificatesView, String) = answer.map_err(|error| failed(&error))?;
    let text = if json { format!("{raw}\n") } else { text(&view) };
    Ok(finish(0, print(&text)))
}

/// For people.
pub(crate) fn text(view: &CertificatesView) -> String {
    let now = clock::unix().as_secs_f64();
    let header = ["LISTENER", "NAMES", "ENDS", "LOADED", "CHAIN", "ISSUER"];
    let mut table = Table::new(&header);
    for one in &view.certificates {
        let names = if one.names.is_empty() { "-".to_owned() } else { one.names.join(",") };
        let left = one.not_after as f64 - now;
        let ends = match left {
            ..0.0 => format!("{} ago", span(-left)),
            _ => format!("in {}", span(left)),
        };
        table.add(vec![
            one.listener.clone(),
            if one.default { format!("{names} (default)") } else { names },
            ends,
            format!("{} ago", span(now - one.loaded as f64)),
            one.chain.clone(),
            one.issuer.clone(),
        ]);
    }
    table.text()
}
