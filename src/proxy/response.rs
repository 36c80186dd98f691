//! The head that a client gets, built anew from what the member sent.

use super::redirect;
use crate::config::HstsConfig;
use crate::http::{Framing, Name, ResponseHead, encode};

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

/// Appends the whole head of a final answer; `more` appends fields of our own.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    body: BodyField,
    connection: ConnectionField,
    via: bool,
    hsts: Option<&HstsConfig>,
    more: impl FnOnce(&mut Vec<u8>),
) {
    encode::status_line(out, head.status(), head.reason());
    write_fields(out, head, body, hsts.is_some());
    if let Some(hsts) = hsts {
        redirect::write_hsts(out, hsts);
    }
    match body {
        BodyField::AsSent | BodyField::Close => {}
        BodyField::Length(length) => {
            encode::content_length(out, length);
        }
        BodyField::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    more(out);
    if via {
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
    write_fields(out, head, BodyField::AsSent, false);
    more(out);
    if let Some(protocol) = upgrade {
        encode::field(out, b"Upgrade", protocol);
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_fields(out: &mut Vec<u8>, head: &ResponseHead, body: BodyField, own_hsts: bool) {
    // Where there can be no body, a length would only confuse (RFC 9110 section 8.6).
    let with_length = body == BodyField::AsSent && !matches!(head.status(), 100..=199 | 204);
    for entry in head.fields() {
        let passes = match entry.name {
            Name::ContentLength => with_length,
            // Announces trailers, which pass where chunks do.
            Name::Trailer => body == BodyField::Chunked,
            Name::TransferEncoding => false,
            Name::Other if own_hsts && redirect::is_hsts(entry.name_bytes) => false,
            _ => !head.is_hop_by_hop(&entry),
        };
        if passes {
            encode::field_as_sent(out, &entry);
        }
    }
}
