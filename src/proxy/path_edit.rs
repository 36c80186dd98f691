//! The path that members see where a route strips a prefix or rewrites it: again in normal form, so
//! that no member resolves what was not looked at here.

use std::cell::RefCell;

use regex::bytes::{CaptureLocations, Regex};

use crate::config::{PathEditConfig, Piece, RewriteConfig};
use crate::http::{RequestHead, normalise};
use crate::stats::Reason;

/// The edits of one route, on one worker.
#[derive(Debug)]
pub(super) struct PathEdit {
    strip: Option<Box<str>>,
    rewrite: Option<Rewrite>,
}

#[derive(Debug)]
struct Rewrite {
    /// A clone of this worker's own: it shares no scratch memory.
    pattern: Regex,
    path: Vec<Piece>,
    query: Option<Vec<Piece>>,
    /// What the groups took; and the path before it is put in normal form. Kept for their memory.
    scratch: RefCell<(CaptureLocations, Vec<u8>)>,
}

/// The target that members see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// What the client asked for.
    pub(super) fn of(head: &'a RequestHead) -> Self {
        Self { path: head.path(), query: head.query() }
    }
}

/// A target that was made of the client's; reused, so that it allocates nothing once it has grown.
#[derive(Debug, Default)]
pub(super) struct Edited {
    /// The path, then the query.
    bytes: Vec<u8>,
    path: usize,
    has_query: bool,
    made: Vec<u8>,
}

impl Edited {
    /// Makes it of what the client asked for.
    pub(super) fn make(&mut self, edit: &PathEdit, head: &RequestHead) -> Result<(), Reason> {
        let Target { path, query } = edit.apply(Target::of(head), &mut self.made)?;
        self.bytes.clear();
        self.bytes.extend_from_slice(path);
        self.bytes.extend_from_slice(query.unwrap_or_default());
        (self.path, self.has_query) = (path.len(), query.is_some());
        Ok(())
    }

    pub(super) fn target(&self) -> Target<'_> {
        let (path, query) = self.bytes.split_at_checked(self.path).unwrap_or_default();
        Target { path, query: self.has_query.then_some(query) }
    }

    /// Gives memory above `bytes` bytes back.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        for kept in [&mut self.bytes, &mut self.made] {
            kept.clear();
            kept.shrink_to(bytes);
        }
        self.path = 0;
    }
}

impl PathEdit {
    pub(super) fn new(config: &PathEditConfig) -> Self {
        let rewrite = |config: &RewriteConfig| Rewrite {
            pattern: config.pattern.clone(),
            path: config.path.clone(),
            query: config.query.clone(),
            scratch: RefCell::new((config.pattern.capture_locations(), Vec::new())),
        };
        Self {
            strip: config.strip.as_deref().map(Into::into),
            rewrite: config.rewrite.as_ref().map(rewrite),
        }
    }

    /// The target that members see instead, written to `out`.
    pub(super) fn apply<'a>(
        &self,
        target: Target<'a>,
        out: &'a mut Vec<u8>,
    ) -> Result<Target<'a>, Reason> {
        let path = match &self.strip {
            Some(prefix) => stripped(target.path, prefix.as_bytes()),
            None => target.path,
        };
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(Target { path, ..target }, out),
            None => Ok(Target { path, ..target }),
        }
    }
}

/// A path without its first segments; itself where they are others.
fn stripped<'a>(path: &'a [u8], prefix: &[u8]) -> &'a [u8] {
    match path.strip_prefix(prefix) {
        Some([]) => b"/",
        Some(rest @ [b'/', ..]) => rest,
        _ => path,
    }
}

impl Rewrite {
    fn apply<'a>(&self, target: Target<'a>, out: &'a mut Vec<u8>) -> Result<Target<'a>, Reason> {
        let (groups, raw) = &mut *self.scratch.borrow_mut();
        // `OPTIONS *` has no path.
        if !target.path.starts_with(b"/")
            || self.pattern.captures_read(groups, target.path).is_none()
        {
            return Ok(target);
        }
        let fill = |pieces: &[Piece], to: &mut Vec<u8>| {
            for piece in pieces {
                to.extend_from_slice(match piece {
                    Piece::Text(text) => text.as_bytes(),
                    Piece::Group(group) => {
                        let taken = groups.get(*group);
                        taken.and_then(|(a, b)| target.path.get(a..b)).unwrap_or_default()
                    }
                });
            }
        };
        raw.clear();
        fill(&self.path, raw);
        out.clear();
        if !raw.starts_with(b"/") {
            return Err(Reason::BadPath);
        }
        normalise(raw, out).map_err(|_| Reason::BadPath)?;
        let end = out.len();
        let Some(query) = &self.query else {
            return Ok(Target { path: out, ..target });
        };
        fill(query, out);
        if let Some(sent) = target.query {
            if out.len() > end {
                out.push(b'&');
            }
            out.extend_from_slice(sent);
        }
        let (path, query) = out.split_at_checked(end).unwrap_or_default();
        // A `?` with nothing behind it stays away.
        let query = (!query.is_empty() || target.query.is_some()).then_some(query);
        Ok(Target { path, query })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{PathPattern, load};

    fn edit(lines: &str) -> PathEdit {
        let text = format!(
            "[listener.a]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n{lines}\n\
             [pool.p]\nmembers = [\"127.0.0.1:1\"]\n"
        );
        let config = load(&text, "test").unwrap_or_else(|report| panic!("{report}")).config;
        assert!(matches!(config.routes[0].path, PathPattern::Any));
        PathEdit::new(config.routes[0].path_edit.as_ref().unwrap())
    }

    fn apply(edit: &PathEdit, target: &str) -> String {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (target, None),
        };
        let mut out = b"left over".to_vec();
        match edit.apply(Target { path: path.as_bytes(), query }, &mut out) {
            Err(reason) => reason.code().to_owned(),
            Ok(found) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let query = found.query.map(|query| format!("?{}", text(query)));
                text(found.path) + &query.unwrap_or_default()
            }
        }
    }

    #[test]
    fn prefixes_are_stripped_by_whole_segments() {
        let strip = edit("strip = \"/api\"");
        for (target, expected) in [
            ("/api", "/"),
            ("/api?a=1", "/?a=1"),
            ("/api/", "/"),
            ("/api/x/y?", "/x/y?"),
            ("/api//x", "//x"),
            ("/apix", "/apix"),
            ("/API/x", "/API/x"),
            ("/x/api", "/x/api"),
            ("*", "*"),
        ] {
            assert_eq!(apply(&strip, target), expected, "{target}");
        }
    }

    #[test]
    fn paths_are_rewritten_and_put_in_normal_form() {
        let old = edit("rewrite = { match = \"^/old/(.*)$\", to = \"/new/$1\" }");
        for (target, expected) in [
            ("/old/a/b?c=1", "/new/a/b?c=1"),
            ("/old/", "/new/"),
            ("/old", "/old"),
            ("/x/old/a", "/x/old/a"),
            ("/old/a%2Fb", "/new/a%2Fb"),
            ("*", "*"),
        ] {
            assert_eq!(apply(&old, target), expected, "{target}");
        }
        // What a group cuts out of a normal form need be none.
        let cut = edit("rewrite = { match = '^/x([^y]*)y(.*)$', to = '$1/$2' }");
        for (target, expected) in [
            ("/x/ay/b", "/a//b"),
            ("/xay", "bad_path"),
            ("/x/.y./b", "/b"),
            ("/x/a/y../b", "/a/b"),
            ("/x/y../b", "/b"),
            ("/xy../b", "bad_path"),
            ("/x/%2y5", "bad_path"),
        ] {
            assert_eq!(apply(&cut, target), expected, "{target}");
        }
        let query = edit("rewrite = { match = '^/item/([0-9]+)', to = '/item?id=$1' }");
        assert_eq!(apply(&query, "/item/7"), "/item?id=7");
        assert_eq!(apply(&query, "/item/7?"), "/item?id=7&");
        assert_eq!(apply(&query, "/item/7?a=b"), "/item?id=7&a=b");
        let both = edit("strip = '/api'\nrewrite = { match = '^/v1/', to = '/v2/' }");
        assert_eq!(apply(&both, "/api/v1/x"), "/v2/");
        assert_eq!(apply(&both, "/v1/x"), "/v2/");
        assert_eq!(apply(&both, "/api/x"), "/x");
    }

    proptest! {
        /// Whatever a rewrite makes of a path, members get one in normal form, or the client 400.
        #[test]
        fn what_members_see_is_in_normal_form(
            path in "(/|\\.|a|%2[EF]|%41|x|y|%){0,10}",
            to in prop::sample::select(vec!["$1/$2", "/$2$1", "$1%$2", "/..$2", "/$1/%2e./$2"]),
        ) {
            let mut normal = Vec::new();
            prop_assume!(normalise(format!("/x{path}").as_bytes(), &mut normal).is_ok());
            let edit = edit(&format!("rewrite = {{ match = 'x([^y]*)y?(.*)$', to = '{to}' }}"));
            let mut out = Vec::new();
            if let Ok(found) = edit.apply(Target { path: &normal, query: None }, &mut out) {
                let mut again = Vec::new();
                prop_assert!(normalise(found.path, &mut again).is_ok());
                prop_assert_eq!(found.path, again.as_slice());
            }
        }
    }
}
