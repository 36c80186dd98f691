//! `ringway purge`: what is stored in the cache of a running process is thrown away.

use std::process::ExitCode;

use clap::Args;
use ringway::control::admin::view::PurgeView;

use super::client::segment;
use super::terminal::{finish, print};
use super::{Whom, failed};

/// What is purged.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    what: What,
    /// Keep it, but validate it before its next use.
    #[arg(long)]
    soft: bool,
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The answers of this URL, as in http://shop.example/a?b=c.
    url: Option<String>,
    /// The answers of all URLs that begin so.
    #[arg(long, value_name = "URL")]
    prefix: Option<String>,
    /// The answers that members marked so, in Cache-Tag or Surrogate-Key.
    #[arg(long)]
    tag: Option<String>,
    /// All answers.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &PurgeArgs) -> Result<ExitCode, ExitCode> {
    let What { url, prefix, tag, .. } = &args.what;
    let named = [("url", url), ("prefix", prefix), ("tag", tag)];
    let named = named.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?)));
    let what = named.map_or_else(
        || "all=true".to_owned(),
        |(name, value)| format!("{name}={}", segment(value)),
    );
    let path = format!("/cache/purge?{what}&soft={}", args.soft);
    let client = args.whom.client()?;
    let view: PurgeView = client.post(&path).map_err(|error| failed(&error))?;
    let done = if view.soft { "stale now" } else { "gone" };
    let answers = if view.purged == 1 { "answer" } else { "answers" };
    Ok(finish(0, print(&format!("{} {answers} {done}\n", view.purged))))
}
