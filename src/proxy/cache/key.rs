//! What tells stored answers apart: the key of a request, and the URL that operators know it by.

use super::super::exchange::Ask;
use super::super::hash_key::values;
use super::disk::digest_of;
use crate::config::{CacheConfig, Config, HostPolicy, KeyPart, RouteConfig, effective_of};
use crate::http::{Name, RequestHead, TargetForm, encode};
use crate::ids::{PoolId, RouteId};

/// The parts of a key that do not come from fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// `http` or `https`, as members are told.
    pub(super) scheme: &'a [u8],
    /// Lower case.
    pub(super) host: &'a [u8],
    /// `None`: that of the scheme.
    pub(super) port: Option<u16>,
    /// In normal form.
    pub(super) path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
}

impl<'a> Place<'a> {
    /// Of a request; `None`: it does not say which host it means, or asks for no path.
    pub(super) fn of(ask: &Ask<'a>) -> Option<Self> {
        let head = ask.head;
        if head.host().is_empty() || !head.path().starts_with(b"/") {
            return None;
        }
        debug_assert!(matches!(head.target_form(), TargetForm::Origin | TargetForm::Absolute));
        let own: &[u8] = if ask.peer.tls.is_some() { b"https" } else { b"http" };
        // What members are told, see `forwarded.rs`: a redirection to https is not for https.
        let told = head.value(Name::XForwardedProto).filter(|_| ask.peer.trusted);
        let scheme: &[u8] = match told {
            Some(told) if told.eq_ignore_ascii_case(b"https") => b"https",
            Some(told) if told.eq_ignore_ascii_case(b"http") => b"http",
            _ => own,
        };
        let usual = if scheme == b"https" { 443 } else { 80 };
        let port = head.port().filter(|port| *port != usual);
        Some(Self { scheme, host: head.host(), port, path: head.path(), query: head.query() })
    }

    /// Appends `scheme://host:port/path?query`.
    pub(super) fn url(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.scheme);
        out.extend_from_slice(b"://");
        self.authority(out);
        out.extend_from_slice(self.path);
        self.search(out);
    }

    fn authority(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.host);
        if let Some(port) = self.port {
            out.push(b':');
            encode::decimal(out, u64::from(port));
        }
    }

    fn search(&self, out: &mut Vec<u8>) {
        if let Some(query) = self.query {
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }
}

/// What the keys of some routes have in common. Routes of one pool with the same `key` share what
/// they store; others do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pool: PoolId,
    /// Where members are asked for something else than the client asked for, or not everybody is asked
    /// alike: answers of other routes are not its.
    route: Option<RouteId>,
    parts: Vec<KeyPart>,
}

impl Zone {
    /// Of a route; `asks`: of some of its requests it is asked who sends them.
    pub(super) fn new(
        (id, route): (RouteId, &RouteConfig),
        pool: PoolId,
        cache: &CacheConfig,
        asks: bool,
    ) -> Self {
        let plain = route.path_edit.is_none()
            && route.conditions.is_none()
            && !asks
            && route.request_headers.is_none()
            && route.host == HostPolicy::Preserve;
        Self { pool, route: (!plain).then_some(id), parts: cache.key.clone() }
    }

    /// What stands for the zone where keys outlive the process: its pool by name, and where a route
    /// does not share its answers, all that the route does. Another number of the zone, or of another
    /// route, is none of it.
    pub(super) fn signature(&self, config: &Config) -> [u8; 16] {
        let pool = config.pools.get(self.pool.index()).map(|pool| pool.name.as_str());
        let route = self.route.and_then(|route| config.route(route));
        let route = route.map(|route| effective_of(config, route));
        digest_of(format!("{pool:?} {:?} {route:?}", self.parts).as_bytes())
    }

    /// Writes the key of a request to `place` into `out`; `id` is the zone's number.
    pub(super) fn key(&self, id: u16, place: &Place<'_>, head: &RequestHead, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&id.to_be_bytes());
        for part in &self.parts {
            match part {
                KeyPart::Scheme => {
                    out.extend_from_slice(place.scheme);
                    out.extend_from_slice(b"://");
                }
                KeyPart::Host => place.authority(out),
                KeyPart::Path => out.extend_from_slice(place.path),
                KeyPart::Query => place.search(out),
                KeyPart::Header(name) => {
                    let found = head
                        .fields()
                        .find(|field| field.name_bytes.eq_ignore_ascii_case(name.as_bytes()));
                    extra(out, found.map(|field| field.value));
                }
                KeyPart::Cookie(name) => extra(out, cookie(head, name.as_bytes())),
            }
        }
    }
}

/// No byte of a path, a query or a value is a line end.
fn extra(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.push(b'\n');
    if let Some(value) = value {
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(head: &'a RequestHead, name: &'a [u8]) -> Option<&'a [u8]> {
    let cookies = head.fields().filter(|field| field.name == Name::Cookie);
    cookies.filter_map(|field| values(field.value, b';', name).next()).next()
}

/// The path and the query that a `Location` or `Content-Location` names at the same host and scheme;
/// `None`: it names another one, or is not understood. `base` is the path that it may be relative to.
pub(super) fn relative<'a>(
    location: &'a [u8],
    place: &Place<'_>,
) -> Option<(Vec<u8>, Option<&'a [u8]>)> {
    let location = location.split(|byte| *byte == b'#').next().unwrap_or_default();
    let target = match memchr::memmem::find(location, b"://") {
        Some(end) if location.get(..end)?.iter().all(u8::is_ascii_alphanumeric) => {
            let (scheme, rest) = location.split_at_checked(end)?;
            let rest = rest.get(3..)?;
            let slash = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            let (authority, target) = rest.split_at_checked(slash)?;
            let mut own = Vec::new();
            place.authority(&mut own);
            let usual: &[u8] = if place.scheme == b"https" { b":443" } else { b":80" };
            let authority = authority.strip_suffix(usual).unwrap_or(authority);
            if !scheme.eq_ignore_ascii_case(place.scheme) || !authority.eq_ignore_ascii_case(&own) {
                return None;
            }
            target
        }
        _ if location.starts_with(b"//") => return None,
        _ => location,
    };
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(at) => (target.get(..at)?, target.get(at + 1..)),
        None => (target, None),
    };
    let absolute = match path {
        [b'/', ..] => path.to_vec(),
        b"" => place.path.to_vec(),
        relative => {
            let folder = memchr::memrchr(b'/', place.path).map_or(0, |at| at + 1);
            [place.path.get(..folder)?, relative].concat()
        }
    };
    let mut normal = Vec::new();
    crate::http::normalise(&absolute, &mut normal).ok()?;
    Some((normal, query))
}

/// A place of some host.
#[cfg(test)]
pub(super) fn place_of<'a>(path: &'a [u8]) -> Place<'a> {
    Place { scheme: b"http", host: b"a.test", port: Some(8080), path, query: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_of_the_same_host() {
        let place = place_of(b"/a/b/c");
        let found = |location: &str| {
            relative(location.as_bytes(), &place).map(|(path, query)| {
                let query = query.map(|query| format!("?{}", String::from_utf8_lossy(query)));
                format!("{}{}", String::from_utf8_lossy(&path), query.unwrap_or_default())
            })
        };
        for (location, expected) in [
            ("/x", Some("/x")),
            ("x", Some("/a/b/x")),
            ("../x?y#z", Some("/a/x?y")),
            ("?q", Some("/a/b/c?q")),
            ("", Some("/a/b/c")),
            ("http://a.test:8080/x", Some("/x")),
            ("HTTP://A.test:8080/x%41", Some("/xA")),
            ("http://a.test/x", None),
            ("https://a.test:8080/x", None),
            ("http://b.test:8080/x", None),
            ("//a.test:8080/x", None),
        ] {
            assert_eq!(found(location).as_deref(), expected, "{location}");
        }
    }
}
