//! A checked cache as TOML.

use super::checked_cache::{CacheConfig, CacheStoreConfig, KeyPart, Mark};
use super::effective::{list, quote, size, table};
use super::scalar::show_duration as time;
use crate::http::caching::CookiePolicy;

pub(super) fn store(store: &CacheStoreConfig) -> String {
    let disk = store.disk.as_ref().map(|disk| {
        let admission = if disk.admits_all { "always" } else { "second-use" };
        table([
            ("folder", quote(&disk.folder.to_string_lossy())),
            ("size", size(disk.size)),
            ("files", disk.files.to_string()),
            ("max_object", size(disk.max_object)),
            ("admission", quote(admission)),
            ("threads", disk.threads.to_string()),
        ])
    });
    let disk = disk.unwrap_or_else(|| quote("off"));
    table([("memory", size(store.memory as u64)), ("disk", disk)])
}

pub(super) fn cache(cache: &CacheConfig) -> String {
    let set_cookie = match cache.set_cookie {
        CookiePolicy::IfShared => "if-shared",
        CookiePolicy::Store => "store",
        CookiePolicy::Refuse => "refuse",
    };
    let ages = cache.max_age.iter().map(|(from, to, age)| {
        let statuses = if from == to { from.to_string() } else { format!("{}xx", from / 100) };
        (statuses, quote(&time(*age)))
    });
    table(
        [
            ("key", list(cache.key.iter().map(|part| quote(&key_part(part))))),
            ("max_age", table(ages)),
            ("overrule", cache.overrule.to_string()),
            ("max_object", size(cache.max_object as u64)),
            ("stale_while_revalidate", quote(&time(cache.stale_while_revalidate))),
            ("stale_if_error", quote(&time(cache.stale_if_error))),
            ("heuristics", quote(&format!("{}%", cache.heuristics))),
            ("set_cookie", quote(set_cookie)),
            ("ignore_client_directives", cache.ignore_client_directives.to_string()),
            ("status_header", cache.status_header.to_string()),
            ("wait", quote(&time(cache.wait))),
        ]
        .into_iter()
        .chain(
            (!cache.bypass.is_empty())
                .then(|| ("bypass", list(cache.bypass.iter().map(|mark| quote(&written(mark)))))),
        ),
    )
}

fn key_part(part: &KeyPart) -> String {
    match part {
        KeyPart::Scheme => "scheme".to_owned(),
        KeyPart::Host => "host".to_owned(),
        KeyPart::Path => "path".to_owned(),
        KeyPart::Query => "query".to_owned(),
        KeyPart::Header(name) => format!("header:{name}"),
        KeyPart::Cookie(name) => format!("cookie:{name}"),
    }
}

fn written(mark: &Mark) -> String {
    match mark {
        Mark::Header(name) => format!("header:{name}"),
        Mark::Cookie(name) => format!("cookie:{name}"),
        Mark::Query(name) => format!("query:{name}"),
    }
}
