//! Pages for errors: in place of ringway's own words, and by choice of members' bodies.

use super::context::Context;
use super::exchange::Ask;
use crate::config::{ErrorPagesConfig, ListenerConfig, PageConfig};
use crate::http::{FieldRef, Name};
use crate::ids::RouteId;

/// A page and its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) content_type: &'static str,
}

impl<'a> Page<'a> {
    fn of(config: &'a PageConfig) -> Option<Self> {
        let bytes = config.contents.bytes.as_deref()?;
        Some(Self { bytes, content_type: config.content_type })
    }
}

/// The page for an error of ringway's own: the route's, else the listener's.
pub(super) fn own<'a>(
    context: &'a Context,
    listener: Option<&'a ListenerConfig>,
    route: Option<RouteId>,
    status: u16,
) -> Option<Page<'a>> {
    let route = route.and_then(|id| context.config.route(id));
    let of_route = route.and_then(|route| route.error_pages.as_deref());
    let of_listener = listener.and_then(|listener| listener.error_pages.as_deref());
    let mut sets = of_route.into_iter().chain(of_listener);
    Page::of(sets.find_map(|set| set.page(status))?)
}

/// The page that takes the place of a member's body.
pub(super) fn of_member<'a>(ask: &Ask<'a>, status: u16) -> Option<Page<'a>> {
    if status < 400 {
        return None;
    }
    let sets = [ask.route.error_pages.as_deref(), ask.listener.error_pages.as_deref()];
    let intercepting = |set: &&ErrorPagesConfig| set.intercept;
    let mut sets = sets.into_iter().flatten().filter(intercepting);
    Page::of(sets.find_map(|set| set.page(status))?)
}

/// Whether a field of a member speaks of the body that a page takes the place of.
pub(super) fn is_of_body(field: &FieldRef<'_>) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-location",
        b"content-md5",
        b"content-range",
        b"content-digest",
        b"digest",
        b"etag",
        b"last-modified",
        b"repr-digest",
    ];
    field.name == Name::ContentType
        || NAMES.iter().any(|name| field.name_bytes.eq_ignore_ascii_case(name))
}
