//! References of members' answers that name the member, made to name what the client asked.

use super::exchange::{Ask, Facts};
use super::known::Known;
use crate::balancer::Site;
use crate::config::{HostPolicy, LocationConfig, RouteConfig};
use crate::http::location::{Place, is_same_authority, rewrite, rewrite_refresh};
use crate::http::{FieldRef, Name, Scheme, encode};
use crate::net::Address;

/// A field whose value is, or has, a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Refresh,
}

fn kind(entry: &FieldRef<'_>) -> Option<Kind> {
    let is = |name: &[u8]| entry.name_bytes.eq_ignore_ascii_case(name);
    match (entry.name, entry.name_bytes.len()) {
        (Name::Location, _) => Some(Kind::Whole),
        (Name::Other, 16) if is(b"content-location") => Some(Kind::Whole),
        (Name::Other, 7) if is(b"refresh") => Some(Kind::Refresh),
        _ => None,
    }
}

/// Appends the field as the client is to get it; false: as it was sent.
#[inline]
pub(super) fn write(
    out: &mut Vec<u8>,
    config: &LocationConfig,
    ask: &Ask<'_>,
    facts: &Facts,
    entry: &FieldRef<'_>,
) -> bool {
    kind(entry).is_some_and(|kind| write_as(kind, out, config, ask, facts, entry))
}

/// What the route cuts from the client's path. What it rewrites beyond that cannot be undone.
fn cut(route: &RouteConfig) -> &[u8] {
    let edit = route.path_edit.as_deref().filter(|edit| edit.rewrite.is_none());
    let strip = edit.and_then(|edit| edit.strip.as_deref()).unwrap_or_default();
    strip.strip_suffix('/').unwrap_or(strip).as_bytes()
}

/// Whether an authority is where the member listens.
fn is_at(address: &Address, scheme: Scheme, authority: &[u8]) -> bool {
    use std::io::Write as _;
    let Address::Ip(address) = address else { return false };
    let mut text = [0; 64];
    let mut rest = &mut text[..];
    // 64 bytes hold every address.
    _ = write!(rest, "{address}");
    let left = rest.len();
    let text = text.get(..text.len() - left).unwrap_or_default();
    is_same_authority(scheme, authority, text)
}

#[inline(never)]
fn write_as(
    kind: Kind,
    out: &mut Vec<u8>,
    config: &LocationConfig,
    ask: &Ask<'_>,
    facts: &Facts,
    entry: &FieldRef<'_>,
) -> bool {
    let known = Known::of(ask, facts);
    let sealed = ask.context.config.pool(ask.pool).is_some_and(|pool| pool.tls.is_some());
    let place = Place {
        scheme: known.scheme(),
        authority: known.host(),
        member_scheme: if sealed { Scheme::Https } else { Scheme::Http },
        prefix: cut(ask.route),
    };
    let start = out.len();
    out.extend_from_slice(entry.name_bytes);
    out.extend_from_slice(b": ");
    let written = facts.look_at_site(|site| {
        let names_member = |scheme: Scheme, authority: &[u8]| {
            let is = |name: &str| is_same_authority(scheme, authority, name.as_bytes());
            let is_site = |site: &Site| is(&site.host) || is_at(&site.address, scheme, authority);
            matches!(&ask.route.host, HostPolicy::Literal(host) if is(host))
                || site.is_some_and(is_site)
                || config.hosts.iter().any(|host| is(host))
        };
        match kind {
            Kind::Whole => rewrite(out, entry.value, &place, names_member),
            Kind::Refresh => rewrite_refresh(out, entry.value, &place, names_member),
        }
    });
    if written {
        out.extend_from_slice(encode::CRLF);
    } else {
        out.truncate(start);
    }
    written
}
