//! One stored answer: its head as bytes, its body in chunks that are shared with whoever sends them,
//! and its times. Nothing in it points elsewhere, so it could be written down as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::Opened;
use super::encodings::Encodings;
use crate::http::caching::{
    CacheAnswer, CacheField, CacheRequest, Fitness, Lifetime, Validators, values, vary, withholds,
};
use crate::http::{FieldRef, Name, RequestHead, ResponseHead, encode};

/// What an answer costs beside its bytes: the structures around them, at a guess.
const OVERHEAD: u64 = 512;

/// Bytes of the largest chunk of a body that is complete.
pub(super) const CHUNK: usize = 256 << 10;

/// A body.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) chunks: Vec<Arc<[u8]>>,
    pub(super) length: u64,
    /// Where it is if it is not in memory: then there are no chunks. What is in the store never is.
    file: Option<Arc<Opened>>,
}

impl Body {
    /// Of pieces as they came; many small ones become few large ones.
    pub(super) fn of(pieces: Vec<Arc<[u8]>>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let full = |piece: &Arc<[u8]>| piece.len() >= CHUNK / 8;
        if pieces.len() <= 1 || pieces.iter().rev().skip(1).all(full) {
            return Self { chunks: pieces, length, file: None };
        }
        let mut chunks = Vec::new();
        let mut open: Vec<u8> = Vec::with_capacity(CHUNK.min(usize::try_from(length).unwrap_or(0)));
        for mut rest in pieces.iter().map(AsRef::as_ref) {
            while !rest.is_empty() {
                let (now, later) = rest.split_at_checked(CHUNK - open.len()).unwrap_or((rest, &[]));
                open.extend_from_slice(now);
                rest = later;
                if open.len() >= CHUNK {
                    chunks.push(Arc::from(open.as_slice()));
                    open.clear();
                }
            }
        }
        if !open.is_empty() {
            chunks.push(Arc::from(open.as_slice()));
        }
        Self { chunks, length, file: None }
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> u64 {
        self.length + self.chunks.len() as u64 * 32
    }

    /// In a file.
    pub(super) const fn on_disk(length: u64, file: Arc<Opened>) -> Self {
        Self { chunks: Vec::new(), length, file: Some(file) }
    }

    /// The file that it is in, if it is not in memory.
    pub(super) const fn opened(&self) -> Option<&Arc<Opened>> {
        self.file.as_ref()
    }

    /// The pieces of the bytes from `start` to `end`, if they are in memory.
    pub(super) fn slices(&self, start: u64, end: u64) -> impl Iterator<Item = &[u8]> {
        debug_assert!(self.file.is_none() || start == end, "a body in a file has no pieces");
        let mut at = 0;
        self.chunks.iter().filter_map(move |chunk| {
            let (first, last) = (at, at + chunk.len() as u64);
            at = last;
            let (from, to) = (start.max(first), end.min(last));
            let offset = |position: u64| usize::try_from(position - first).unwrap_or(usize::MAX);
            (from < to).then(|| chunk.get(offset(from)..offset(to)).unwrap_or_default())
        })
    }
}

/// What is known of an answer as soon as its head is there.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) status: u16,
    /// The head as it is sent, but for what speaks of connections, of lengths and of age.
    pub(super) head: Box<[u8]>,
    pub(super) etag: Option<Box<[u8]>>,
    pub(super) last_modified: Option<Box<[u8]>>,
    pub(super) date: u64,
    pub(super) lifetime: Lifetime,
    /// When it came, in seconds since 1970.
    pub(super) came_at: u64,
    /// Fields that it depends on, see [`vary::names`].
    pub(super) vary: Box<[u8]>,
    /// What the request had in them, see [`vary::select`].
    pub(super) selected: Box<[u8]>,
    /// `Cache-Tag` and `Surrogate-Key`, each tag with a space on both sides.
    pub(super) tags: Box<[u8]>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) label: Arc<Label>,
    pub(super) body: Arc<Body>,
    /// The body as clients can get it encoded. What they weigh is counted with the resource.
    pub(super) encodings: Arc<Encodings>,
    /// Since when it is stale by an operator's word; 0: it is not.
    stale_since: AtomicU64,
    /// When the tier on disk is to hear of its next use, in seconds since 1970.
    due: AtomicU64,
}

impl Label {
    /// Of an answer to `request`; `None`: it depends on too many fields.
    pub(super) fn new(
        answer: &ResponseHead,
        request: &RequestHead,
        lifetime: Lifetime,
        came_at: u64,
    ) -> Option<Self> {
        let facts = CacheAnswer::of(answer, came_at);
        let vary = vary::names(answer)?;
        let mut selected = Vec::new();
        vary::select(&vary, request, &mut selected);
        let mut tags = Vec::new();
        for value in values(answer, CacheField::Tags) {
            for tag in value.split(|byte| matches!(byte, b' ' | b',' | b'\t')) {
                if !tag.is_empty() {
                    tags.push(b' ');
                    tags.extend_from_slice(tag);
                }
            }
        }
        if !tags.is_empty() {
            tags.push(b' ');
        }
        Some(Self {
            status: answer.status(),
            head: head(answer, &facts, came_at).into(),
            etag: facts.etag.map(Box::from),
            last_modified: facts.last_modified.and(facts.last_modified_text).map(Box::from),
            date: facts.date.unwrap_or(came_at),
            lifetime,
            came_at,
            vary: vary.into(),
            selected: selected.into(),
            tags: tags.into(),
        })
    }

    /// The same with another head: `fields` writes them anew from those that there are.
    pub(super) fn with_head(
        &self,
        status: u16,
        fields: impl FnOnce(&ResponseHead, &mut Vec<u8>),
    ) -> Self {
        let mut own = ResponseHead::new();
        let limits = crate::http::HeadLimits { bytes: self.head.len() + 1, fields: 4096 };
        // It was written by `head`.
        _ = own.parse(&self.head, &limits);
        let mut out = Vec::with_capacity(self.head.len() + 64);
        encode::status_line(&mut out, status, encode::reason_phrase(status).as_bytes());
        fields(&own, &mut out);
        out.extend_from_slice(encode::CRLF);
        Self { status, head: out.into(), ..self.clone() }
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.etag.as_deref(),
            last_modified: self.last_modified.as_deref(),
            date: Some(self.date),
        }
    }

    /// Appends the conditions under which the answer is asked for again.
    pub(super) fn write_conditions(&self, out: &mut Vec<u8>) {
        if let Some(etag) = &self.etag {
            encode::field(out, b"If-None-Match", etag);
        }
        if let Some(last_modified) = &self.last_modified {
            encode::field(out, b"If-Modified-Since", last_modified);
        }
    }

    /// Whether it answers requests such as `request`. `scratch` is used for the comparison.
    pub(super) fn fits(&self, request: &RequestHead, scratch: &mut Vec<u8>) -> bool {
        if self.vary.is_empty() {
            return true;
        }
        scratch.clear();
        vary::select(&self.vary, request, scratch);
        **scratch == *self.selected
    }

    pub(super) fn has_tag(&self, tag: &[u8]) -> bool {
        has_tag(&self.tags, tag)
    }

    pub(super) const fn resident(&self, now: u64) -> u64 {
        now.saturating_sub(self.came_at)
    }

    pub(super) const fn age(&self, now: u64) -> u64 {
        self.lifetime.age(self.resident(now))
    }

    pub(super) fn ttl(&self, now: u64) -> i64 {
        self.lifetime.ttl(self.resident(now))
    }
}

impl Stored {
    pub(super) fn new(label: Arc<Label>, body: Arc<Body>) -> Self {
        let encodings = Arc::default();
        Self { label, body, encodings, stale_since: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    /// The same body under another head.
    pub(super) fn with(&self, label: Arc<Label>) -> Self {
        let (body, encodings) = (Arc::clone(&self.body), Arc::clone(&self.encodings));
        Self { label, body, encodings, stale_since: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    /// Whether the tier on disk is to hear of this use.
    pub(super) fn is_due(&self, now: u64) -> bool {
        now >= self.due.load(Ordering::Relaxed)
    }

    /// When it is to hear of the next one.
    pub(super) fn set_due(&self, at: u64) {
        self.due.store(at, Ordering::Relaxed);
    }

    /// Since when it is stale by an operator's word; 0: it is not.
    pub(super) fn stale_since(&self) -> u64 {
        self.stale_since.load(Ordering::Relaxed)
    }

    /// From now on it must be validated.
    pub(super) fn soften(&self, now: u64) {
        self.stale_since.store(now.max(1), Ordering::Relaxed);
    }

    pub(super) fn fitness(&self, request: &CacheRequest<'_>, now: u64) -> Fitness {
        let stale = match self.stale_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(now.saturating_sub(since)),
        };
        self.label.lifetime.fitness(request, self.label.resident(now), stale)
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> u64 {
        let Label { head, vary, selected, tags, .. } = &*self.label;
        let texts = head.len() + vary.len() + selected.len() + tags.len();
        OVERHEAD + texts as u64 + self.body.weight()
    }

    /// The head of this answer with what a 304 says anew (RFC 9111 3.2), `Age` included.
    pub(super) fn updated_by(&self, update: &ResponseHead) -> Vec<u8> {
        let mut own = ResponseHead::new();
        let limits = crate::http::HeadLimits { bytes: self.label.head.len() + 1, fields: 4096 };
        // It was written by `head`.
        _ = own.parse(&self.label.head, &limits);
        let updates = |field: &FieldRef<'_>| {
            !matches!(
                CacheField::of(field.name_bytes),
                // What the stored bytes depend on stays with them.
                Some(CacheField::ContentEncoding | CacheField::ContentRange)
            ) && is_stored(update, field)
        };
        let mut out = Vec::with_capacity(self.label.head.len() + 256);
        encode::status_line(&mut out, own.status(), own.reason());
        for field in own.fields() {
            let same = |new: &FieldRef<'_>| new.name_bytes.eq_ignore_ascii_case(field.name_bytes);
            if !update.fields().any(|new| updates(&new) && same(&new)) {
                encode::field_as_sent(&mut out, &field);
            }
        }
        for field in update.fields().filter(updates) {
            encode::field_as_sent(&mut out, &field);
        }
        for age in values(update, CacheField::Age) {
            encode::field(&mut out, b"Age", age);
        }
        out.extend_from_slice(encode::CRLF);
        out
    }
}

/// Whether `tag` is one of `tags`, see [`Label::tags`].
pub(super) fn has_tag(tags: &[u8], tag: &[u8]) -> bool {
    memchr::memmem::find_iter(tags, tag).any(|at| {
        let before = at.checked_sub(1).and_then(|at| tags.get(at));
        before == Some(&b' ') && tags.get(at + tag.len()) == Some(&b' ')
    })
}

/// Whether a field is stored (RFC 9111 3.1).
fn is_stored(head: &ResponseHead, field: &FieldRef<'_>) -> bool {
    !head.is_hop_by_hop(field)
        && !matches!(field.name, Name::ContentLength | Name::TransferEncoding | Name::Trailer)
        && !matches!(
            CacheField::of(field.name_bytes),
            Some(CacheField::Age | CacheField::ProxyAuthenticationInfo)
        )
}

fn head(answer: &ResponseHead, facts: &CacheAnswer<'_>, came_at: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    encode::status_line(&mut out, answer.status(), answer.reason());
    for field in answer.fields() {
        let hidden = facts.control.withholds
            && [CacheField::CacheControl, CacheField::CdnCacheControl]
                .into_iter()
                .any(|which| withholds(values(answer, which), field.name_bytes));
        if is_stored(answer, &field) && !hidden {
            encode::field_as_sent(&mut out, &field);
        }
    }
    if !facts.dated {
        // RFC 9110 6.6.1: who stores an answer without one gives it one.
        encode::date(&mut out, came_at);
    }
    out.extend_from_slice(encode::CRLF);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };
    const NOW: u64 = 784_111_777;

    fn label(fields: &str) -> Label {
        let (mut answer, mut request) = (ResponseHead::new(), RequestHead::new());
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
        request.parse(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &LIMITS).expect("a request");
        Label::new(&answer, &request, Lifetime::default(), NOW).expect("a label")
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn heads_lose_what_is_not_stored() {
        let fields = "Connection: a, keep-alive\r\nA: 1\r\nB: 2\r\nC: 3\r\nAge: 5\r\nKeep-Alive: x\r\n\
            Content-Length: 3\r\nProxy-Authenticate: x\r\nProxy-Authentication-Info: x\r\nTE: x\r\n\
            Cache-Control: no-cache=\"c\", max-age=3\r\n";
        let expected = "HTTP/1.1 200 OK\r\nB: 2\r\nCache-Control: no-cache=\"c\", max-age=3\r\n\
            Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        assert_eq!(text(&label(fields).head), expected);
    }

    #[test]
    fn a_304_replaces_fields_and_adds_to_them() {
        let stored = Stored::new(
            Arc::new(label("A: 1\r\nB: 2\r\nb: 3\r\nContent-Encoding: br\r\nDate: x\r\n")),
            Arc::default(),
        );
        let mut update = ResponseHead::new();
        let said = "HTTP/1.1 304 Not Modified\r\nB: 4\r\nD: 5\r\nContent-Length: 9\r\n\
            Content-Encoding: gzip\r\nAge: 7\r\nConnection: d\r\n\r\n";
        update.parse(said.as_bytes(), &LIMITS).expect("a head");
        let expected =
            "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Encoding: br\r\nDate: x\r\nB: 4\r\nAge: 7\r\n\r\n";
        assert_eq!(text(&stored.updated_by(&update)), expected);
    }

    #[test]
    fn tags_are_found_whole() {
        let label = label("Cache-Tag: a, bc\r\nSurrogate-Key: d ef\r\n");
        let found = |tag: &str| label.has_tag(tag.as_bytes());
        assert_eq!(["a", "bc", "d", "ef"].map(found), [true; 4]);
        assert_eq!(["b", "c", "e", "f", "g"].map(found), [false; 5]);
    }

    #[test]
    fn bodies_are_joined_and_cut() {
        let piece = |from: u8, length: usize| Arc::from(vec![from; length]);
        let body = Body::of((0..100).map(|n| piece(n, 5000)).collect());
        assert_eq!((body.length, body.chunks.len()), (500_000, 2));
        let cut: Vec<u8> = body.slices(4_998, 10_002).flatten().copied().collect();
        assert_eq!(cut.len(), 5004);
        assert_eq!((cut[0], cut[1], cut[2], cut[5001], cut[5002]), (0, 0, 1, 1, 2));
        assert_eq!(body.slices(262_143, 262_145).map(<[u8]>::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(body.slices(7, 7).count(), 0);
        assert_eq!(Body::of(vec![piece(1, 10)]).chunks.len(), 1);
    }
}
