//! Bodies of fuzz targets, as in [`crate::http::fuzz`].

use super::super::{date, date_parse};
use super::directives::{CacheControl, Directives, SECONDS_MAX, withholds};
use super::extent::Extent;
use super::range::{Wanted, wanted};

/// `Cache-Control`: reading the directives one by one, written anew, gives the same; what is cut in
/// two fields at a comma between directives means the same.
pub fn cache_control(data: &[u8]) {
    let all = CacheControl::of([data]);
    let mut written = Vec::new();
    for directive in Directives::of(data) {
        assert!(!directive.name.is_empty() && !directive.name.contains(&b','));
        written.extend_from_slice(directive.name);
        if let Some(argument) = directive.argument {
            if argument.contains(&b'"') {
                // Would have to be escaped again.
                return;
            }
            written.extend_from_slice(b"=\"");
            written.extend_from_slice(argument);
            written.push(b'"');
        }
        written.push(b',');
        _ = withholds([data], directive.name);
    }
    if !written.contains(&b'\\') {
        assert_eq!(all, CacheControl::of([&written[..]]));
    }
    let times = [all.max_age, all.s_maxage, all.stale_while_revalidate, all.stale_if_error];
    assert!(times.into_iter().flatten().all(|time| time <= SECONDS_MAX));
    if !data.contains(&b'"') {
        let parts = data.split(|byte| *byte == b',');
        assert_eq!(all, CacheControl::of(parts));
    }
    _ = CacheControl::of_targeted([data]);
}

/// `Range`: what is given lies within the body. The first two bytes are its length.
pub fn range(data: &[u8]) {
    let Some((length, value)) = data.split_first_chunk::<2>() else { return };
    let length = u64::from(u16::from_le_bytes(*length));
    match wanted(value, length) {
        Wanted::Part(first, end) => assert!(first < end && end <= length),
        Wanted::Nothing => assert!(!value.is_empty()),
        Wanted::All => {}
    }
}

/// `Content-Range`: what is read lies within the whole, and reads the same when it is written anew.
pub fn content_range(data: &[u8]) {
    let Some(extent) = Extent::of(data) else { return };
    assert!(extent.first < extent.end && extent.end <= extent.total);
    let mut written = Vec::new();
    extent.write(&mut written);
    let value = written.strip_prefix(b"Content-Range: ").unwrap_or_default().trim_ascii_end();
    assert_eq!(Extent::of(value), Some(extent));
}

/// Dates: what is read reads the same when it is written anew.
pub fn date(data: &[u8]) {
    let Some(secs) = date_parse::parse(data, 1_764_000_000) else { return };
    let mut written = Vec::new();
    date::write(&mut written, secs);
    assert_eq!(date_parse::parse(&written, 0), Some(secs));
}
