//! What the heads of a request and of its answer say that matters to a cache.

use super::super::date_parse;
use super::super::name::Name;
use super::super::request::RequestHead;
use super::super::response::ResponseHead;
use super::directives::{CacheControl, SECONDS_MAX, seconds};
use super::fields::CacheField;

/// On what other fields of a request an answer depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Varies {
    /// On none.
    #[default]
    Not,
    /// On those that `Vary` names.
    ByFields,
    /// On anything: `*`.
    ByAnything,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheAnswer<'a> {
    /// Its status.
    pub status: u16,
    /// `CDN-Cache-Control`, else `Surrogate-Control`, else `Cache-Control`.
    pub control: CacheControl,
    /// It is one of the first two, in front of which `Expires` counts for nothing either.
    pub targeted: bool,
    /// `Expires`; `Some(None)`: there is one, and it is no date.
    pub expires: Option<Option<u64>>,
    /// `Date`
    pub date: Option<u64>,
    /// There is a `Date`, good or not.
    pub dated: bool,
    /// `Age`
    pub age: Option<u64>,
    /// `Last-Modified`
    pub last_modified: Option<u64>,
    /// The same as sent.
    pub last_modified_text: Option<&'a [u8]>,
    /// `ETag`
    pub etag: Option<&'a [u8]>,
    /// `Vary`
    pub varies: Varies,
    /// There is a `Set-Cookie`.
    pub sets_cookies: bool,
}

impl<'a> CacheAnswer<'a> {
    /// Reads `head`; `now` is the time in seconds.
    #[must_use]
    pub fn of(head: &'a ResponseHead, now: u64) -> Self {
        let mut it = Self { status: head.status(), ..Self::default() };
        let (mut own, mut surrogate) = (CacheControl::default(), CacheControl::default());
        for field in head.fields() {
            let value = field.value;
            if field.name == Name::Date {
                it.date = date_parse::parse(value, now).filter(|_| !it.dated);
                it.dated = true;
                continue;
            }
            match CacheField::of(field.name_bytes) {
                Some(CacheField::CacheControl) => own.add(value),
                Some(CacheField::SurrogateControl) => surrogate.add(value),
                Some(CacheField::Expires) => {
                    let expires = date_parse::parse(value, now);
                    // Of several the earliest; none is earlier than one that is no date.
                    it.expires = Some(it.expires.map_or(expires, |other| other.min(expires)));
                }
                Some(CacheField::Age) if it.age.is_none() => {
                    let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
                    it.age = seconds(first.trim_ascii());
                }
                Some(CacheField::LastModified) if it.last_modified_text.is_none() => {
                    it.last_modified_text = Some(value);
                    it.last_modified = date_parse::parse(value, now);
                }
                Some(CacheField::Etag) if it.etag.is_none() => it.etag = Some(value),
                Some(CacheField::Vary) => it.varies = it.varies.with(value),
                Some(CacheField::SetCookie) => it.sets_cookies = true,
                _ => {}
            }
        }
        let targeted = CacheControl::of_targeted(values(head, CacheField::CdnCacheControl));
        let surrogate = (surrogate.max_age.is_some() || surrogate.no_store).then_some(surrogate);
        let targeted = targeted.or(surrogate);
        it.targeted = targeted.is_some();
        it.control = targeted.unwrap_or(own);
        it
    }

    /// Whether it can be asked for again under a condition.
    #[must_use]
    pub const fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

impl Varies {
    fn with(self, value: &[u8]) -> Self {
        let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let all = names.try_fold(self, |all, name| match name {
            b"*" => None,
            b"" => Some(all),
            _ => Some(Self::ByFields),
        });
        match self {
            Self::ByAnything => self,
            _ => all.unwrap_or(Self::ByAnything),
        }
    }
}

/// The values of the fields of one name, in order.
pub fn values(head: &ResponseHead, which: CacheField) -> impl Iterator<Item = &[u8]> {
    let fields = head.fields().filter(move |field| CacheField::of(field.name_bytes) == Some(which));
    fields.map(|field| field.value)
}

/// What a request says.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheRequest<'a> {
    /// `Cache-Control`; without one, `Pragma: no-cache` is `no-cache`.
    pub control: CacheControl,
    /// It has an `Authorization`.
    pub authorized: bool,
    /// `If-None-Match`. Of several fields the first.
    pub if_none_match: Option<&'a [u8]>,
    /// It has several `If-None-Match`.
    pub many_tags: bool,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a [u8]>,
    /// It has an `If-Match` or `If-Unmodified-Since`, which are the origin's business.
    pub guarded: bool,
    /// `Range`
    pub range: Option<&'a [u8]>,
    /// `If-Range`
    pub if_range: Option<&'a [u8]>,
}

impl<'a> CacheRequest<'a> {
    /// Reads `head`.
    #[must_use]
    pub fn of(head: &'a RequestHead) -> Self {
        let mut it = Self::default();
        let mut pragma = false;
        for field in head.fields() {
            let value = field.value;
            match field.name {
                Name::Authorization => it.authorized = true,
                Name::Other => match CacheField::of(field.name_bytes) {
                    Some(CacheField::CacheControl) => it.control.add(value),
                    Some(CacheField::Pragma) => pragma |= value.eq_ignore_ascii_case(b"no-cache"),
                    Some(CacheField::IfNoneMatch) => {
                        it.many_tags = it.if_none_match.is_some();
                        it.if_none_match = it.if_none_match.or(Some(value));
                    }
                    Some(CacheField::IfModifiedSince) => it.if_modified_since = Some(value),
                    Some(CacheField::IfMatch) => it.guarded = true,
                    Some(CacheField::Range) => it.range = Some(value),
                    Some(CacheField::IfRange) => it.if_range = Some(value),
                    _ => {}
                },
                _ => {}
            }
        }
        if pragma && !it.control.present {
            it.control.no_cache = true;
        }
        it
    }

    /// Forgets what its client wants of caches.
    pub fn ignore_directives(&mut self) {
        self.control = CacheControl::default();
    }
}

/// A difference of times that saturates.
pub(super) fn span(later: u64, earlier: u64) -> u64 {
    later.saturating_sub(earlier).min(SECONDS_MAX)
}
