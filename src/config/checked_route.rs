//! The checked form of what a route has beside host, path and method: further conditions, what is
//! done with its requests, edits of their paths, and pages for errors.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use super::checked::{Cidr, RouteConfig};
use super::checked_pool::HashKey;
use crate::http::Link;
use crate::ids::PoolId;

/// What a request must have, beside listener, host, path and method. All of it.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// `headers`, `cookies` and `query`.
    pub parts: Vec<Condition>,
    /// `clients`: blocks of which one has the client's address; empty: any.
    pub clients: Vec<Cidr>,
}

/// What one part of a request must be.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Where it is looked for.
    pub part: Part,
    /// Its name; of a header in lower case.
    pub name: String,
    /// What it must be.
    pub test: Test,
}

/// A part of a request that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// A parameter of the query.
    Query,
}

/// What a part must be. Where it comes more than once, one of them must be it.
#[derive(Clone, Debug)]
pub enum Test {
    /// This text.
    Is(String),
    /// Something that the expression is found in.
    Matches(Regex),
    /// There, whatever it is.
    Present,
    /// Not there at all.
    Absent,
}

/// `timeouts = {...}` of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RouteTimeouts {
    /// Silence of the member; absent: what its pool says.
    pub response: Option<Duration>,
    /// For a tunnel without a byte; absent: what the listener says.
    pub tunnel: Option<Duration>,
}

/// What is done with the requests of a route.
#[derive(Clone, Debug)]
pub enum Action {
    /// They go to a pool.
    Pool(PoolId),
    /// Each goes to one of several pools.
    Split(SplitConfig),
    /// They are sent on to another URL.
    Redirect(RedirectConfig),
    /// They are answered here.
    Respond(Box<RespondConfig>),
    /// They are told how ringway itself is.
    Probe(ProbeConfig),
}

/// `split` and `split_by`: shares of the requests.
#[derive(Clone, Debug)]
pub struct SplitConfig {
    /// What decides which pool a request goes to.
    pub by: SplitBy,
    /// The pools with their weights, in file order; not all 0.
    pub parts: Vec<(PoolId, u32)>,
    /// `split_fallback = "next"`, the default: a pool without a member that may serve leaves its
    /// requests to the next one.
    pub falls: bool,
}

/// What decides which pool a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// Chance, for each request anew.
    Request,
    /// The same key, the same pool.
    Key(HashKey),
}

/// `redirect = {...}`.
#[derive(Clone, Debug)]
pub struct RedirectConfig {
    /// Where to.
    pub to: Link,
    /// The status. Default 308.
    pub status: u16,
    /// Whether the request's query is added. Default true, unless `to` has it.
    pub query: bool,
}

/// `respond = {...}`: a fixed answer.
#[derive(Clone, Debug)]
pub struct RespondConfig {
    /// Default 200.
    pub status: u16,
    /// The body; none by default.
    pub body: Body,
    /// Of the body.
    pub content_type: String,
    /// Further fields.
    pub headers: Vec<(String, String)>,
}

/// The body of a fixed answer.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    Empty,
    /// `body = "..."`.
    Text(String),
    /// `file = "..."`.
    File(Contents),
}

impl RespondConfig {
    /// The bytes of the body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Empty => &[],
            Body::Text(text) => text.as_bytes(),
            Body::File(contents) => contents.bytes.as_deref().unwrap_or_default(),
        }
    }
}

/// `respond = "livez"` and its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeConfig {
    /// Whether the process serves at all.
    Live,
    /// Whether it should get requests: it does not drain, and each of these pools has a member that
    /// may serve. `None`: every pool.
    Ready(Option<Vec<PoolId>>),
}

/// `strip` and `rewrite`: the path that members see.
#[derive(Clone, Debug)]
pub struct PathEditConfig {
    /// Taken off the front, by whole segments; `/x`, without a slash at its end.
    pub strip: Option<String>,
    /// Then this.
    pub rewrite: Option<RewriteConfig>,
}

/// `rewrite = {...}`: a path that the expression is found in becomes another one.
#[derive(Clone, Debug)]
pub struct RewriteConfig {
    /// The expression.
    pub pattern: Regex,
    /// `to` as written.
    pub to: String,
    /// The new path.
    pub path: Vec<Piece>,
    /// What stands before the request's own query.
    pub query: Option<Vec<Piece>>,
}

/// A piece of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// What this group of the expression took.
    Group(usize),
}

/// `error_pages = {...}`.
#[derive(Clone, Debug)]
pub struct ErrorPagesConfig {
    /// In file order.
    pub pages: Vec<PageConfig>,
    /// Whether members' answers get them, too. Default false.
    pub intercept: bool,
}

/// One page.
#[derive(Clone, Debug)]
pub struct PageConfig {
    /// For which statuses.
    pub of: PageOf,
    /// What is sent.
    pub contents: Contents,
    /// By the file's extension.
    pub content_type: &'static str,
}

/// Which statuses a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOf {
    /// This one.
    Status(u16),
    /// A hundred of them: 4 for `4xx`.
    Class(u16),
}

impl ErrorPagesConfig {
    /// The page for a status: its own, else that of its class.
    #[must_use]
    pub fn page(&self, status: u16) -> Option<&PageConfig> {
        let of = |of| self.pages.iter().find(|page| page.of == of);
        of(PageOf::Status(status)).or_else(|| of(PageOf::Class(status / 100)))
    }
}

/// A file whose bytes are sent.
#[derive(Clone)]
pub struct Contents {
    /// The file.
    pub path: PathBuf,
    /// What it has. `None`: the configuration was not read from a file, and no other file was
    /// looked at for it.
    pub bytes: Option<Arc<[u8]>>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?} bytes)", self.path.display(), self.bytes.as_ref().map(|b| b.len()))
    }
}

impl Contents {
    fn root_at(&mut self, folder: &Path) {
        self.path = folder.join(&self.path);
    }
}

impl ErrorPagesConfig {
    /// Paths that are not absolute are below `folder`.
    pub(super) fn root_at(&mut self, folder: &Path) {
        self.pages.iter_mut().for_each(|page| page.contents.root_at(folder));
    }
}

impl RouteConfig {
    /// Paths that are not absolute are below `folder`.
    pub(super) fn root_at(&mut self, folder: &Path) {
        if let Action::Respond(respond) = &mut self.action
            && let Body::File(contents) = &mut respond.body
        {
            contents.root_at(folder);
        }
        if let Some(pages) = &mut self.error_pages {
            pages.root_at(folder);
        }
    }

    /// The pools that its requests may go to.
    pub fn pools(&self) -> impl Iterator<Item = PoolId> {
        let (one, several) = match &self.action {
            Action::Pool(pool) => (Some(*pool), [].as_slice()),
            Action::Split(split) => (None, split.parts.as_slice()),
            Action::Redirect(_) | Action::Respond(_) | Action::Probe(_) => (None, [].as_slice()),
        };
        one.into_iter().chain(several.iter().map(|(pool, _)| *pool))
    }
}
