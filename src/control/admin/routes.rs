//! What is answered where. What changes something is POST only.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;

use super::refusal::Refusal;
use super::view::{CertificatesView, ChangeView, EvidenceView, PoolView, PoolsView};
use super::{Process, caches, metrics};
use crate::balancer::health::Admin;
use crate::config::{PoolConfig, effective};
use crate::ids::{MemberId, PoolId};
use crate::stats::report;

/// Bytes of a request's body: `state=maintenance` and some air.
const BODY: usize = 1024;

/// The names of a pool and a member in a path.
type Names = Result<Path<(String, String)>, PathRejection>;

type App = State<Arc<Process>>;

/// All of it.
pub(super) fn router(process: Arc<Process>) -> Router {
    Router::new()
        .route("/stats", get(stats))
        .route("/metrics", get(prometheus))
        .route("/pools", get(pools))
        .route("/pools/{pool}", get(pool))
        .route("/pools/{pool}/members/{member}", get(member))
        .route("/pools/{pool}/members/{member}/state", post(set_state))
        .route("/certificates", get(certificates))
        .route("/cache", get(caches::filled))
        .route("/cache/purge", post(caches::purge))
        .route("/config", get(configuration))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(process)
}

async fn nothing_here() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "there are /stats, /metrics, /pools, /pools/NAME, /pools/NAME/members/ADDRESS, \
         /certificates, /cache, /config, /livez and /readyz",
    )
}

async fn other_method() -> Refusal {
    let why = "what reads is GET, what changes something (.../state, /cache/purge) is POST";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why)
}

async fn stats(State(process): App, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    match value_of(query.as_deref().unwrap_or_default(), "format") {
        None | Some("json") => Ok(Json(process.stats()).into_response()),
        Some("text") => {
            let rules = process.guards.as_ref().map(|guards| guards.report()).unwrap_or_default();
            let counts = report(&process.rows, &process.control, &process.occupancy);
            Ok((rules + &counts).into_response())
        }
        Some(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "format is json or text")),
    }
}

async fn prometheus(State(process): App) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&process)).into_response()
}

async fn pools(State(process): App) -> Result<Json<PoolsView>, Refusal> {
    let mut pools = Vec::new();
    for (id, pool) in (0u16..).map(PoolId).zip(&process.config.pools) {
        pools.push(process.pool_view(id, pool).await?);
    }
    Ok(Json(PoolsView { pools }))
}

async fn pool(
    State(process): App,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<PoolView>, Refusal> {
    let Path(name) = name.map_err(unreadable)?;
    let (id, pool) = process.pool_named(&name).ok_or_else(no_pool)?;
    Ok(Json(process.pool_view(id, pool).await?))
}

async fn member(State(process): App, names: Names) -> Result<Json<EvidenceView>, Refusal> {
    let (id, pool, member) = find(&process, names)?;
    Ok(Json(process.evidence_view(id, pool, member).await?))
}

async fn set_state(
    State(process): App,
    names: Names,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Json<ChangeView>, Refusal> {
    let (id, pool, member) = find(&process, names)?;
    let body = to_bytes(body, BODY).await;
    let body =
        body.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "1 KiB at the most"))?;
    let body = String::from_utf8_lossy(&body);
    let admin = match value_of(query.as_deref().unwrap_or_default(), "state") {
        Some(word) => wanted(word),
        None => value_of(body.trim(), "state").and_then(wanted),
    };
    let why = "say state=ready, state=drain or state=maintenance, in the query or the body";
    let admin = admin.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, why))?;
    let changed = process.desk.administer(id, member, admin).await?;
    let member = process.evidence_view(id, pool, member).await?.member;
    Ok(Json(ChangeView { changed, member }))
}

async fn certificates(State(process): App) -> Json<CertificatesView> {
    Json(process.certificates.as_ref().map(CertificatesView::of).unwrap_or_default())
}

async fn configuration(State(process): App) -> Response {
    let kind = "application/toml; charset=utf-8";
    ([(CONTENT_TYPE, kind)], effective(&process.config)).into_response()
}

async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(process): App) -> Response {
    let view = process.ready();
    let status = if view.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(view)).into_response()
}

fn find(process: &Process, names: Names) -> Result<(PoolId, &PoolConfig, MemberId), Refusal> {
    let Path((name, address)) = names.map_err(unreadable)?;
    let (id, pool) = process.pool_named(&name).ok_or_else(no_pool)?;
    let member = process.member_named(id, pool, &address).ok_or_else(|| {
        let why = "there is no such member: name it by an address that \"ringway members POOL\" or GET /pools/POOL shows";
        Refusal::new(StatusCode::NOT_FOUND, why)
    })?;
    Ok((id, pool, member))
}

fn no_pool() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "there is no such pool: \"ringway members\" or GET /pools shows them",
    )
}

fn unreadable(_: PathRejection) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "the path is no text in UTF-8")
}

fn wanted(word: &str) -> Option<Admin> {
    Admin::ALL.into_iter().find(|admin| admin.phase().word() == word)
}

/// The first value of `key` in `key=value&key=value`. The words that are known here need no
/// escapes.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_form() {
        let cases = [
            ("state=drain", Some("drain")),
            ("a=b&state=ready&state=drain", Some("ready")),
            ("state=", Some("")),
            ("astate=drain", None),
            ("state", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(value_of(text, "state"), expected, "{text}");
        }
        assert_eq!(wanted("maintenance"), Some(Admin::Maintenance));
        assert_eq!(wanted("Drain"), None);
    }
}
