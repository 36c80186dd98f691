//! The head that a client gets, built anew from what the member sent.

use super::compress::Coded;
use super::exchange::Ask;
use super::redirect;
use crate::config::HstsConfig;
use crate::http::{FieldRef, Framing, Name, ResponseHead, encode};

/// How the client's side of an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionField {
    /// HTTP/1.1 and the connection stays: nothing to say.
    Silent,
    /// HTTP/1.0 and the connection stays.
    KeepAlive,
    /// The connection closes behind the answer.
    Close,
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyField {
    /// There is no body; a Content-Length (of HEAD, of 304) is passed on.
    AsSent,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// By the close.
    Close,
}

impl BodyField {
    /// What a client of HTTP/1.1, or an older one, is told of a body that is framed so upstream.
    pub(super) const fn of(framing: Framing, client_knows_chunks: bool) -> Self {
        match framing {
            Framing::None => Self::AsSent,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked | Framing::UntilClose if client_knows_chunks => Self::Chunked,
            Framing::Chunked | Framing::UntilClose => Self::Close,
        }
    }
}

/// What is done to the fields of a final answer, beyond what its framing and its connection ask
/// for. Nothing by default.
#[derive(Clone, Copy, Default)]
pub(super) struct Edits<'a> {
    pub(super) via: bool,
    /// Takes the place of the member's own.
    pub(super) hsts: Option<&'a HstsConfig>,
    /// The body is encoded, or could have been.
    pub(super) coded: Option<Coded>,
    /// Which of the member's fields are left out.
    pub(super) drops: Option<&'a dyn Fn(&FieldRef<'_>) -> bool>,
    /// Appends whole fields behind those of the member.
    #[allow(clippy::type_complexity)]
    pub(super) adds: Option<&'a dyn Fn(&mut Vec<u8>)>,
}

impl<'a> Edits<'a> {
    /// What the listener and the route ask for.
    pub(super) fn of(ask: &Ask<'a>) -> Self {
        Self {
            via: ask.route.via,
            hsts: ask.listener.hsts.as_ref(),
            coded: None,
            drops: None,
            adds: None,
        }
    }

    /// Whether a member's field is left out or has its place taken.
    fn drop(&self, entry: &FieldRef<'_>) -> bool {
        self.drops.is_some_and(|drops| drops(entry))
            || self.coded.is_some_and(|coded| coded.drops(entry))
            || (self.hsts.is_some()
                && entry.name == Name::Other
                && redirect::is_hsts(entry.name_bytes))
    }
}

/// Appends the whole head of a final answer; `more` appends fields of our own.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    body: BodyField,
    connection: ConnectionField,
    edits: Edits<'_>,
    more: impl FnOnce(&mut Vec<u8>),
) {
    encode::status_line(out, head.status(), head.reason());
    write_fields(out, head, body, edits);
    if let Some(hsts) = edits.hsts {
        redirect::write_hsts(out, hsts);
    }
    if let Some(coded) = edits.coded {
        coded.write(out, head);
    }
    if let Some(adds) = edits.adds {
        adds(out);
    }
    match body {
        BodyField::AsSent | BodyField::Close => {}
        BodyField::Length(length) => {
            encode::content_length(out, length);
        }
        BodyField::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    more(out);
    if edits.via {
        out.extend_from_slice(b"Via: 1.1 ringway\r\n");
    }
    match connection {
        ConnectionField::Silent => {}
        ConnectionField::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        ConnectionField::Close => out.extend_from_slice(b"Connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of an interim answer (1xx), or of the 101 that opens a tunnel; `more` appends
/// fields of our own.
pub(super) fn write_interim(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    upgrade: Option<&[u8]>,
    more: impl FnOnce(&mut Vec<u8>),
) {
    encode::status_line(out, head.status(), head.reason());
    write_fields(out, head, BodyField::AsSent, Edits::default());
    more(out);
    if let Some(protocol) = upgrade {
        encode::field(out, b"Upgrade", protocol);
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_fields(out: &mut Vec<u8>, head: &ResponseHead, body: BodyField, edits: Edits<'_>) {
    // Where there can be no body, a length would only confuse (RFC 9110 section 8.6).
    let with_length = body == BodyField::AsSent && !matches!(head.status(), 100..=199 | 204);
    for entry in head.fields() {
        let passes = match entry.name {
            Name::ContentLength => with_length && !edits.drop(&entry),
            // Announces trailers, which pass where chunks do.
            Name::Trailer => body == BodyField::Chunked,
            Name::TransferEncoding => false,
            _ => !head.is_hop_by_hop(&entry) && !edits.drop(&entry),
        };
        if passes {
            encode::field_as_sent(out, &entry);
        }
    }
}
