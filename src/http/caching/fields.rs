//! The fields that a cache acts on, recognised where a route caches, and nowhere else.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheField {
    /// `Age`
    Age,
    /// `Cache-Control`
    CacheControl,
    /// `Cache-Tag` or `Surrogate-Key`
    Tags,
    /// `CDN-Cache-Control` (RFC 9213)
    CdnCacheControl,
    /// `Content-Encoding`
    ContentEncoding,
    /// `Content-Location`
    ContentLocation,
    /// `Content-Range`
    ContentRange,
    /// `ETag`
    Etag,
    /// `Expires`
    Expires,
    /// `If-Match` or `If-Unmodified-Since`
    IfMatch,
    /// `If-Modified-Since`
    IfModifiedSince,
    /// `If-None-Match`
    IfNoneMatch,
    /// `If-Range`
    IfRange,
    /// `Last-Modified`
    LastModified,
    /// `Pragma`
    Pragma,
    /// `Proxy-Authentication-Info`
    ProxyAuthenticationInfo,
    /// `Range`
    Range,
    /// `Set-Cookie`
    SetCookie,
    /// `Surrogate-Control`
    SurrogateControl,
    /// `Vary`
    Vary,
}

impl CacheField {
    /// Which one `name` writes, in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        let candidates: &[(&str, Self)] = match name.len() {
            3 => &[("age", Self::Age)],
            4 => &[("vary", Self::Vary), ("etag", Self::Etag)],
            5 => &[("range", Self::Range)],
            6 => &[("pragma", Self::Pragma)],
            7 => &[("expires", Self::Expires)],
            8 => &[("if-range", Self::IfRange), ("if-match", Self::IfMatch)],
            9 => &[("cache-tag", Self::Tags)],
            10 => &[("set-cookie", Self::SetCookie)],
            13 => &[
                ("cache-control", Self::CacheControl),
                ("last-modified", Self::LastModified),
                ("if-none-match", Self::IfNoneMatch),
                ("surrogate-key", Self::Tags),
                ("content-range", Self::ContentRange),
            ],
            16 => &[
                ("content-encoding", Self::ContentEncoding),
                ("content-location", Self::ContentLocation),
            ],
            17 => &[
                ("if-modified-since", Self::IfModifiedSince),
                ("cdn-cache-control", Self::CdnCacheControl),
                ("surrogate-control", Self::SurrogateControl),
            ],
            19 => &[("if-unmodified-since", Self::IfMatch)],
            25 => &[("proxy-authentication-info", Self::ProxyAuthenticationInfo)],
            _ => &[],
        };
        let found = candidates.iter().find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes()));
        found.map(|(_, field)| *field)
    }

    /// Whether a request is conditional by it.
    #[must_use]
    pub const fn is_condition(self) -> bool {
        matches!(self, Self::IfNoneMatch | Self::IfModifiedSince | Self::IfMatch | Self::IfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case() {
        for (name, expected) in [
            ("ETag", Some(CacheField::Etag)),
            ("etag", Some(CacheField::Etag)),
            ("CACHE-CONTROL", Some(CacheField::CacheControl)),
            ("Surrogate-Key", Some(CacheField::Tags)),
            ("If-Unmodified-Since", Some(CacheField::IfMatch)),
            ("If-Modified-Since", Some(CacheField::IfModifiedSince)),
            ("Cache_Control", None),
            ("", None),
            ("Host", None),
        ] {
            assert_eq!(CacheField::of(name.as_bytes()), expected, "{name}");
        }
    }
}
