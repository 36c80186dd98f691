//! `compress` of a route: whether an answer is encoded, and what that changes in its head. The body's
//! way is in `filtered.rs`.

use super::encoder::{Encoder, Quality};
use super::exchange::Ask;
use crate::config::CompressConfig;
use crate::http::{AcceptEncoding, Coding, FieldRef, Framing, Method, Name, ResponseHead, encode};
use crate::stats::Counter;

const ACCEPT_ENCODING: &[u8] = b"Accept-Encoding";
const VARY: &[u8] = b"Vary";
const ETAG: &[u8] = b"ETag";

/// What the body's own bytes are measured by: wrong once they are others (RFC 9530, RFC 1864). Parts
/// of the body cannot be had either. `Repr-Digest` is of the body as encoded, too (RFC 9110 8.1).
const OF_THE_BODY: [&[u8]; 6] = [
    b"Accept-Ranges",
    b"Content-Digest",
    b"Content-Length",
    b"Content-MD5",
    b"Digest",
    b"Repr-Digest",
];

/// What is done to the head of an answer that is encoded, or could have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    /// How its body is encoded.
    coding: Option<Coding>,
    /// `Vary` is to say that this depends on the client.
    varies: bool,
    /// A strong `ETag` becomes a weak one: it names what the member sent, byte by byte.
    weakens: bool,
}

/// Why an answer goes as it is. Its order is that of the questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Status,
    Range,
    Encoded,
    NoTransform,
    Type,
    Small,
}

/// Whether and how an answer is encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decision(Option<Coded>);

/// Whether and how an answer is encoded; counts why not. The encoder is for its body, if it has one.
pub(super) fn plan(
    ask: &Ask<'_>,
    config: &CompressConfig,
    head: &ResponseHead,
    framing: Framing,
) -> (Option<Coded>, Option<Box<Encoder>>) {
    decide(ask, config, head, framing).take(ask, config)
}

/// Whether and how an answer is to be encoded; counts why not.
pub(super) fn decide(
    ask: &Ask<'_>,
    config: &CompressConfig,
    head: &ResponseHead,
    framing: Framing,
) -> Decision {
    let row = &ask.context.row;
    if head.status() == 304 {
        return Decision(Some(not_modified(ask, head)));
    }
    if let Some(skip) = fitness(ask, config, head, framing).err() {
        row.add(skip.counter(), 1);
        return Decision(None);
    }
    let plain = Coded { coding: None, varies: !says_vary(head), weakens: false };
    if has_field(ask, b"Range") {
        row.add(Counter::CompressRange, 1);
        return Decision(Some(plain));
    }
    let Some(coding) = chosen(ask, config) else {
        row.add(Counter::CompressUnaccepted, 1);
        return Decision(Some(plain));
    };
    Decision(Some(Coded { coding: Some(coding), weakens: true, ..plain }))
}

impl Decision {
    /// How the body is to be encoded, or, of an answer to HEAD, would be.
    pub(super) fn coding(&self) -> Option<Coding> {
        self.0?.coding
    }

    /// The body is encoded, by somebody else.
    pub(super) const fn coded(self) -> Option<Coded> {
        self.0
    }

    /// The body goes as it is, though it could have been encoded.
    pub(super) fn plain(self) -> Option<Coded> {
        self.0.map(|coded| Coded { coding: None, weakens: false, ..coded })
    }

    /// Takes an encoder for the body, if it has one; counts if there is none.
    pub(super) fn take(
        self,
        ask: &Ask<'_>,
        config: &CompressConfig,
    ) -> (Option<Coded>, Option<Box<Encoder>>) {
        let Some(coding) = self.coding().filter(|_| ask.head.method() != Method::Head) else {
            return (self.0, None);
        };
        let quality = Quality { coding, level: config.levels.level(coding) };
        match Encoder::take(quality, ask.context.config.limits.encoders) {
            Some(encoder) => (self.0, Some(Box::new(encoder))),
            None => {
                ask.context.row.add(Counter::CompressBusy, 1);
                (self.plain(), None)
            }
        }
    }
}

/// Whether an answer is worth encoding and may be, whoever asked.
fn fitness(
    ask: &Ask<'_>,
    config: &CompressConfig,
    head: &ResponseHead,
    framing: Framing,
) -> Result<(), Skip> {
    let to_head = ask.head.method() == Method::Head;
    match head.status() {
        206 => return Err(Skip::Range),
        204 | 205 | 226 => return Err(Skip::Status),
        200..=299 if to_head || framing != Framing::None => {}
        _ => return Err(Skip::Status),
    }
    let mut kind = None;
    let mut forbidden = has_no_transform(ask.head.fields());
    for entry in head.fields() {
        match entry.name_bytes {
            name if name.eq_ignore_ascii_case(b"Content-Range") => return Err(Skip::Range),
            name if name.eq_ignore_ascii_case(b"Content-Encoding") => return Err(Skip::Encoded),
            // Two of them: who knows which one counts.
            name if name.eq_ignore_ascii_case(b"Content-Type") && kind.is_some() => {
                return Err(Skip::Type);
            }
            name if name.eq_ignore_ascii_case(b"Content-Type") => kind = Some(entry.value),
            _ => forbidden |= is_no_transform(&entry),
        }
    }
    if forbidden {
        return Err(Skip::NoTransform);
    }
    if !kind.is_some_and(|kind| config.types.iter().any(|pattern| pattern.matches(kind))) {
        return Err(Skip::Type);
    }
    match length(head, framing, to_head) {
        Some(length) if length < config.min_size.max(1) => Err(Skip::Small),
        _ => Ok(()),
    }
}

/// The length of the body, if it is known: of an answer to HEAD that which the body would have.
fn length(head: &ResponseHead, framing: Framing, to_head: bool) -> Option<u64> {
    match framing {
        Framing::Length(length) => Some(length),
        Framing::None if to_head => {
            std::str::from_utf8(head.value(Name::ContentLength)?).ok()?.parse().ok()
        }
        _ => None,
    }
}

fn has_no_transform<'a>(mut fields: impl Iterator<Item = FieldRef<'a>>) -> bool {
    fields.any(|entry| is_no_transform(&entry))
}

/// Whether this is a `Cache-Control` with `no-transform`, which members and clients may say.
fn is_no_transform(entry: &FieldRef<'_>) -> bool {
    entry.name_bytes.eq_ignore_ascii_case(b"Cache-Control")
        && parts(entry.value).any(|part| part.eq_ignore_ascii_case(b"no-transform"))
}

fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn has_field(ask: &Ask<'_>, name: &[u8]) -> bool {
    ask.head.fields().any(|entry| entry.name_bytes.eq_ignore_ascii_case(name))
}

fn chosen(ask: &Ask<'_>, config: &CompressConfig) -> Option<Coding> {
    let accepts = |entry: &FieldRef<'_>| entry.name_bytes.eq_ignore_ascii_case(ACCEPT_ENCODING);
    let values = ask.head.fields().filter(accepts).map(|entry| entry.value);
    AcceptEncoding::parse(values).choose(config.encodings.iter().copied())
}

/// Of a body that the client has: it speaks of that one as the answer with the body did. A client that
/// has got an encoded one asked with the weakened tag.
fn not_modified(ask: &Ask<'_>, head: &ResponseHead) -> Coded {
    let asked = |tag: &[u8]| {
        let weak = [b"W/", tag].concat();
        let conditions = ask
            .head
            .fields()
            .filter(|entry| entry.name_bytes.eq_ignore_ascii_case(b"If-None-Match"));
        let mut conditions = conditions.flat_map(|entry| parts(entry.value));
        conditions.any(|part| part == weak)
    };
    let tag = head.fields().find(|entry| entry.name_bytes.eq_ignore_ascii_case(ETAG));
    Coded {
        coding: None,
        varies: !says_vary(head),
        weakens: tag.is_some_and(|tag| asked(tag.value)),
    }
}

/// Whether `Vary` names `Accept-Encoding` already, or everything.
fn says_vary(head: &ResponseHead) -> bool {
    let says = |part: &[u8]| part == b"*" || part.eq_ignore_ascii_case(ACCEPT_ENCODING);
    varying(head).any(|entry| parts(entry.value).any(says))
}

fn varying(head: &ResponseHead) -> impl Iterator<Item = FieldRef<'_>> {
    head.fields()
        .filter(|entry| entry.name_bytes.eq_ignore_ascii_case(VARY) && !head.is_hop_by_hop(entry))
}

impl Skip {
    const fn counter(self) -> Counter {
        match self {
            Self::Status => Counter::CompressStatus,
            Self::Range => Counter::CompressRange,
            Self::Encoded => Counter::CompressEncoded,
            Self::NoTransform => Counter::CompressNoTransform,
            Self::Type => Counter::CompressType,
            Self::Small => Counter::CompressSmall,
        }
    }
}

impl Coded {
    /// Whether the body is encoded, or, of an answer to HEAD, would be.
    pub(super) const fn encodes(&self) -> bool {
        self.coding.is_some()
    }

    /// Whether a member's field is left out, as it is wrong now or its place is taken.
    pub(super) fn drops(&self, entry: &FieldRef<'_>) -> bool {
        let is = |name: &[u8]| entry.name_bytes.eq_ignore_ascii_case(name);
        (self.coding.is_some() && OF_THE_BODY.into_iter().any(is))
            || (self.varies && is(VARY))
            || (self.weakens && is(ETAG))
    }

    /// Appends what takes the place of dropped fields, and what is new.
    pub(super) fn write(&self, out: &mut Vec<u8>, head: &ResponseHead) {
        if let Some(coding) = self.coding {
            encode::field(out, b"Content-Encoding", coding.name().as_bytes());
        }
        if self.weakens {
            let tags = head.fields().filter(|entry| entry.name_bytes.eq_ignore_ascii_case(ETAG));
            for tag in tags.filter(|entry| !head.is_hop_by_hop(entry)) {
                out.extend_from_slice(b"ETag: ");
                if !tag.value.starts_with(b"W/") {
                    out.extend_from_slice(b"W/");
                }
                out.extend_from_slice(tag.value);
                out.extend_from_slice(encode::CRLF);
            }
        }
        if self.varies {
            out.extend_from_slice(b"Vary: ");
            for entry in varying(head).filter(|entry| !entry.value.is_empty()) {
                out.extend_from_slice(entry.value);
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(ACCEPT_ENCODING);
            out.extend_from_slice(encode::CRLF);
        }
    }
}

/// What answers encoded so are counted by: they, their bodies before it, and behind it.
pub(super) const fn counters(coding: Coding) -> (Counter, Counter, Counter) {
    match coding {
        Coding::Gzip => (Counter::CompressGzip, Counter::CompressGzipIn, Counter::CompressGzipOut),
        Coding::Brotli => (Counter::CompressBr, Counter::CompressBrIn, Counter::CompressBrOut),
        Coding::Zstd => (Counter::CompressZstd, Counter::CompressZstdIn, Counter::CompressZstdOut),
    }
}

/// Whether a trailer is wrong once the body is encoded.
pub(super) fn is_of_the_body(name: &[u8]) -> bool {
    OF_THE_BODY.into_iter().any(|of_the_body| name.eq_ignore_ascii_case(of_the_body))
}
