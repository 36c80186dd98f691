//! What a request must pass before anything is done for it: rules of its listener before the
//! routing, then rules of its route.
//!
//! Must not know pools. A refusal is a reason; who is answered how is for `exchange::fail`.

use super::context::Context;
use super::exchange::{Client, Facts};
use crate::http::RequestHead;
use crate::ids::RouteId;
use crate::stats::Reason;

/// A request as the guard sees it.
pub(super) struct Visit<'a> {
    pub(super) context: &'a Context,
    pub(super) client: &'a Client,
    pub(super) head: &'a RequestHead,
    pub(super) facts: &'a Facts,
}

/// The rules of a listener.
pub(super) async fn listener(visit: Visit<'_>) -> Result<(), Reason> {
    drop(visit);
    Ok(())
}

/// The rules of a route, then whether the client may have what it asks for.
pub(super) async fn route(visit: Visit<'_>, id: RouteId) -> Result<(), Reason> {
    drop((visit, id));
    Ok(())
}
