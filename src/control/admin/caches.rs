//! What operators ask of the cache, and tell it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, State};
use hyper::StatusCode;

use super::Process;
use super::refusal::Refusal;
use super::view::{CacheDiskView, CacheView, PurgeView};
use crate::proxy::{Selector, SharedCache};
use crate::stats::Counter;

/// Bytes of a form: a URL and some air.
const FORM: usize = 16 << 10;

const USAGE: &str = "say url=..., prefix=..., tag=... or all=true, and soft=true to keep what is \
                     purged until it is validated; in the query or as a form";

pub(super) async fn filled(
    State(process): State<Arc<Process>>,
) -> Result<Json<CacheView>, Refusal> {
    let (cache, config) = (cache(&process)?, &process.config.server.cache);
    let (bytes, keys) = cache.filled();
    let on_disk = cache.filled_on_disk().zip(config.disk.as_ref());
    let disk = on_disk.map(|((bytes, files, read), disk)| CacheDiskView {
        size: disk.size,
        bytes,
        files,
        read,
    });
    Ok(Json(CacheView { memory: config.memory as u64, bytes, keys, disk }))
}

pub(super) async fn purge(
    State(process): State<Arc<Process>>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Json<PurgeView>, Refusal> {
    let cache = Arc::clone(cache(&process)?);
    let body = to_bytes(body, FORM).await;
    let body =
        body.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "16 KiB at the most"))?;
    let form = format!("{}&{}", query.unwrap_or_default(), String::from_utf8_lossy(&body));
    let (selector, soft) =
        wanted(&form).ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, USAGE))?;
    // A look at every key: not on the thread that probes.
    let work = tokio::task::spawn_blocking(move || cache.purge(&selector, soft));
    let broken = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the purge did not end");
    let purged = work.await.map_err(broken)?;
    process.control.add(Counter::CachePurged, purged);
    Ok(Json(PurgeView { purged, soft }))
}

fn cache(process: &Process) -> Result<&Arc<SharedCache>, Refusal> {
    let why = "no route of this process has a cache";
    process.cache.as_ref().ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, why))
}

/// What a form asks for; `None`: nothing, or not one thing.
fn wanted(form: &str) -> Option<(Selector, bool)> {
    let (mut selector, mut soft) = (None, false);
    for (name, value) in form.trim().split('&').filter_map(|pair| pair.split_once('=')) {
        let value = decoded(value)?;
        let one = match name {
            "soft" => {
                soft = yes(&value)?;
                continue;
            }
            "all" if yes(&value)? => Selector::All,
            "url" => Selector::Url(normal(&value)),
            "prefix" => Selector::Prefix(normal(&value)),
            "tag" if !value.is_empty() => Selector::Tag(value),
            _ => return None,
        };
        if selector.replace(one).is_some() {
            return None;
        }
    }
    Some((selector?, soft))
}

fn yes(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A value of a form (`application/x-www-form-urlencoded`).
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A URL as the cache knows it: scheme and host in lower case, no usual port, a path.
fn normal(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(usual).unwrap_or(&authority);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{authority}{slash}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let url = |text: &str| Some((Selector::Url(text.to_owned()), false));
        for (form, expected) in [
            ("&url=http%3A%2F%2FA.test%3A80%2Fb%3Fc%3Dd%26e", url("http://a.test/b?c=d&e")),
            ("url=https://a.test:443&", url("https://a.test/")),
            ("url=http://a.test:8080/A+b", url("http://a.test:8080/A b")),
            ("tag=x&soft=true", Some((Selector::Tag("x".to_owned()), true))),
            ("soft=0&all=1\n", None),
            ("soft=0&all=1", Some((Selector::All, false))),
            ("all=false", None),
            ("prefix=/img/", Some((Selector::Prefix("/img/".to_owned()), false))),
            ("tag=", None),
            ("tag=a&tag=b", None),
            ("tag=%zz", None),
            ("urls=a", None),
            ("soft=true", None),
            ("", None),
        ] {
            let expected =
                if form.ends_with('\n') { Some((Selector::All, false)) } else { expected };
            assert_eq!(wanted(form), expected, "{form}");
        }
    }
}
