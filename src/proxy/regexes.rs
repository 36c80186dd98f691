//! The regular expressions of one host: which of them a path matches, in one pass or few. Pure.
//!
//! Expressions that begin with the same text (`^/shop/...`) are a group, which is looked at only for
//! paths that begin so. A group of several is one automaton, which finds all that match at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use regex::bytes::Regex;
use regex_automata::meta;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, PatternSet};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::Extractor;

use crate::ids::RouteId;

/// From so many expressions on a group is one automaton: fewer are found faster one by one.
const SET_FROM: usize = 4;

/// Bytes that the automaton of a group may take before it is run; a larger group goes one by one.
const SET_BYTES: usize = 64 << 20;

/// Bytes that an automaton may take for states that it has been in, for a start and for each
/// expression, and at the most.
const STATES_BYTES: (usize, usize, usize) = (2 << 20, 8 << 10, 64 << 20);

/// Automata by the routes in them: several hosts and listeners may have the same.
pub(super) type Known = HashMap<Vec<RouteId>, Option<meta::Regex>>;

/// The expressions of one host.
#[derive(Debug, Default)]
pub(super) struct Regexes {
    /// In file order; empty once they are in groups.
    added: Vec<(Regex, RouteId)>,
    /// Sorted by what their expressions begin with.
    groups: Vec<Group>,
    /// What the last path matched; kept for its memory.
    found: RefCell<Vec<RouteId>>,
}

/// Expressions that begin with the same text.
#[derive(Debug)]
struct Group {
    begin: Vec<u8>,
    /// The position of the longest other text that this one begins with.
    parent: Option<usize>,
    /// In file order.
    routes: Vec<RouteId>,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    Each(Vec<Regex>),
    Set { all: meta::Regex, hits: RefCell<PatternSet> },
}

impl Regexes {
    /// Adds an expression, behind all that were added before.
    pub(super) fn add(&mut self, regex: &Regex, route: RouteId) {
        self.added.push((regex.clone(), route));
    }

    /// Puts them into groups. An automaton that is `known` already is taken.
    pub(super) fn link(&mut self, known: &mut Known) {
        let mut by_begin: HashMap<Vec<u8>, Vec<(Regex, RouteId)>> = HashMap::new();
        for (regex, route) in self.added.drain(..) {
            by_begin.entry(begin(regex.as_str())).or_default().push((regex, route));
        }
        let mut groups: Vec<_> = by_begin.into_iter().collect();
        groups.sort_by(|a, b| a.0.cmp(&b.0));
        // In this order, those that an entry begins with are the open ones of a stack.
        let mut open: Vec<(usize, Vec<u8>)> = Vec::new();
        for (index, (begin, members)) in groups.into_iter().enumerate() {
            while open.last().is_some_and(|(_, text)| !begin.starts_with(text)) {
                open.pop();
            }
            let parent = open.last().map(|(parent, _)| *parent);
            open.push((index, begin.clone()));
            let (regexes, routes): (Vec<_>, Vec<_>) = members.into_iter().unzip();
            let matcher = Matcher::new(regexes, &routes, known);
            self.groups.push(Group { begin, parent, routes, matcher });
        }
    }

    /// Visits the routes whose expressions the path matches, in file order.
    pub(super) fn walk(
        &self,
        path: &[u8],
        visit: &mut impl FnMut(RouteId) -> ControlFlow<RouteId>,
    ) -> ControlFlow<RouteId> {
        if self.groups.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut found = self.found.borrow_mut();
        found.clear();
        // The greatest text at or before the path is the longest that it begins with, or has that
        // one among its parents.
        let after = self.groups.partition_point(|group| group.begin.as_slice() <= path);
        let mut candidate = after.checked_sub(1);
        while let Some(group) = candidate.and_then(|index| self.groups.get(index)) {
            if path.starts_with(&group.begin) {
                group.find(path, &mut found);
            }
            candidate = group.parent;
        }
        found.sort_unstable();
        found.iter().copied().try_for_each(visit)
    }
}

impl Group {
    fn find(&self, path: &[u8], found: &mut Vec<RouteId>) {
        match &self.matcher {
            Matcher::Each(regexes) => {
                let matching = regexes.iter().zip(&self.routes).filter(|(r, _)| r.is_match(path));
                found.extend(matching.map(|(_, route)| *route));
            }
            Matcher::Set { all, hits } => {
                let mut hits = hits.borrow_mut();
                hits.clear();
                all.which_overlapping_matches(&Input::new(path), &mut hits);
                // All positions are looked at only as far as there is something left to find.
                let some = hits.iter().take(hits.len());
                found.extend(some.filter_map(|pattern| self.routes.get(pattern.as_usize())));
            }
        }
    }
}

impl Matcher {
    fn new(regexes: Vec<Regex>, routes: &[RouteId], known: &mut Known) -> Self {
        if regexes.len() < SET_FROM {
            return Self::Each(regexes);
        }
        let all = known.entry(routes.to_vec()).or_insert_with(|| set(&regexes));
        match all {
            Some(all) => {
                let hits = RefCell::new(PatternSet::new(all.pattern_len()));
                Self::Set { all: all.clone(), hits }
            }
            None => Self::Each(regexes),
        }
    }
}

/// All of them as one automaton; `None`: it would be too large.
fn set(regexes: &[Regex]) -> Option<meta::Regex> {
    let patterns: Vec<&str> = regexes.iter().map(Regex::as_str).collect();
    let (start, each, most) = STATES_BYTES;
    let states = start.saturating_add(each.saturating_mul(patterns.len())).min(most);
    let config = meta::Config::new()
        .match_kind(MatchKind::All)
        .utf8_empty(false)
        .nfa_size_limit(Some(SET_BYTES))
        .hybrid_cache_capacity(states);
    let syntax = syntax::Config::new().utf8(false);
    meta::Builder::new().configure(config).syntax(syntax).build_many(&patterns).ok()
}

/// What every path begins with that matches the expression.
fn begin(expression: &str) -> Vec<u8> {
    let parsed = ParserBuilder::new().utf8(false).build().parse(expression);
    let Ok(expression) = parsed else { return Vec::new() };
    if !expression.properties().look_set_prefix().contains(Look::Start) {
        return Vec::new();
    }
    let literals = Extractor::new().extract(&expression);
    literals.longest_common_prefix().map(<[u8]>::to_vec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_paths_begin_with() {
        for (expression, expected) in [
            ("^/shop/", "/shop/"),
            ("^/shop/[0-9]+/x$", "/shop/"),
            ("^/(a|ab)c", "/a"),
            ("^(/a|/b)", "/"),
            ("^/a|^/b", "/"),
            ("^/a|/b", ""),
            ("/shop/", ""),
            ("^", ""),
            ("(?i)^/ab", "/"),
            ("(?m)^/a", ""),
            ("^/a*", "/"),
            ("^/a{3}b?", "/aaa"),
            ("$^/a", "/a"),
        ] {
            assert_eq!(String::from_utf8(begin(expression)).unwrap(), expected, "{expression}");
        }
    }

    fn walk(expressions: &[&str], path: &str) -> Vec<u16> {
        let mut regexes = Regexes::default();
        for (expression, id) in expressions.iter().zip(0..) {
            regexes.add(&Regex::new(expression).unwrap(), RouteId(id));
        }
        regexes.link(&mut Known::new());
        let mut visited = Vec::new();
        let mut visit = |id: RouteId| {
            visited.push(id.0);
            ControlFlow::Continue(())
        };
        assert!(regexes.walk(path.as_bytes(), &mut visit).is_continue());
        visited
    }

    #[test]
    fn groups_are_visited_in_file_order() {
        let expressions =
            ["^/ab/", "b", "^/a", "^/ab/c", "^/b", "^/ab/[cd]", "x$", "^/ab/.", "^/a", "d", "/"];
        assert_eq!(walk(&expressions, "/ab/c"), [0, 1, 2, 3, 5, 7, 8, 10]);
        assert_eq!(walk(&expressions, "/ab"), [1, 2, 8, 10]);
        assert_eq!(walk(&expressions, "/x"), [6, 10]);
        assert_eq!(walk(&expressions, "*"), [] as [u16; 0]);
    }

    #[test]
    fn a_set_finds_what_each_finds() {
        let many: Vec<String> = (0..500).map(|n| format!("/(item|thing)[0-9]*/v{n}$")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(walk(&many, "/shop/item77/v321"), [321]);
        assert_eq!(walk(&many, "/shop/item77/v32"), [32]);
        assert_eq!(walk(&many, "/shop/item77/v3210"), [] as [u16; 0]);
    }
}
