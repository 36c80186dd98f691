//! The head that a client gets, built anew from what the member sent.

use super::compress::Coded;
use super::exchange::{Ask, Facts};
use super::fields::Rules;
use super::known::Known;
use super::{cors, location, named, redirect};
use crate::clock;
use crate::config::HstsConfig;
use crate::http::cors::is_access_control;
use crate::http::set_cookie::is_set_cookie;
use crate::http::{FieldRef, Framing, Name, ResponseHead, encode, upgrade};

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
    /// What the listener and the route ask for.
    pub(super) asked: Option<Asked<'a>>,
}

/// What the listener and the route ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    ask: &'a Ask<'a>,
    facts: &'a Facts,
    rules: Rules<'a>,
}

impl Asked<'_> {
    /// Appends a member's field as the client is to get it, or leaves it out; false: as it was sent.
    fn write(&self, out: &mut Vec<u8>, entry: &FieldRef<'_>) -> bool {
        let (route, name) = (self.ask.route, entry.name_bytes);
        if !self.rules.is_empty() && self.rules.drop(name) {
            return true;
        }
        if let Some(config) = &route.location
            && location::write(out, config, self.ask, self.facts, entry)
        {
            return true;
        }
        if entry.name != Name::Other {
            return false;
        }
        if let Some(cookies) = &route.set_cookie
            && is_set_cookie(name)
        {
            out.extend_from_slice(b"Set-Cookie: ");
            cookies.write(out, entry.value);
            out.extend_from_slice(encode::CRLF);
            return true;
        }
        let id = self.ask.listener.request_id.as_ref().filter(|id| id.echo);
        (route.cors.is_some() && is_access_control(name))
            || id.is_some_and(|id| name.eq_ignore_ascii_case(id.header.as_bytes()))
    }

    /// Appends the fields that are written.
    fn write_own(&self, out: &mut Vec<u8>) {
        if let Some(cors) = &self.ask.route.cors {
            cors::write(out, cors, self.ask.head);
        }
        if let Some(id) = self.ask.listener.request_id.as_ref().filter(|id| id.echo) {
            named::write_field(out, &id.header, &Known::of(self.ask, self.facts));
        }
        if !self.rules.is_empty() {
            self.rules.write(out, &Known::of(self.ask, self.facts));
        }
    }
}

impl<'a> Edits<'a> {
    /// What the listener and the route ask for.
    pub(super) fn of(ask: &'a Ask<'a>, facts: &'a Facts) -> Self {
        let rules = Rules::of_answer(&Known::of(ask, facts));
        let (via, hsts) = (ask.route.via, ask.listener.hsts.as_ref());
        // The field that the rules take is not written in the first place.
        let hsts = hsts.filter(|_| rules.is_empty() || !rules.drop(redirect::HSTS));
        let asked = Some(Asked { ask, facts, rules });
        Self { via, hsts, coded: None, drops: None, adds: None, asked }
    }

    /// Whether the rules of listener and route take the place of a field of ours.
    pub(super) fn take(&self, name: &[u8]) -> bool {
        self.asked.is_some_and(|asked| !asked.rules.is_empty() && asked.rules.drop(name))
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
    // A recipient with a clock says when it came (RFC 9110 6.6.1).
    if head.value(Name::Date).is_none() && !edits.take(b"date") {
        encode::date(out, clock::unix().as_secs());
    }
    if let Some(hsts) = edits.hsts {
        redirect::write_hsts(out, hsts);
    }
    if let Some(coded) = edits.coded {
        coded.write(out, head);
    }
    if let Some(adds) = edits.adds {
        adds(out);
    }
    if let Some(asked) = edits.asked {
        asked.write_own(out);
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
        encode::via(out, head.version());
    }
    if head.status() == 426
        && let Some(protocols) = head.upgrade().filter(|protocols| upgrade::may_pass(protocols))
    {
        // It must say what to upgrade to (RFC 9110 15.5.22), and such an upgrade would pass.
        encode::field(out, b"Upgrade", protocols);
        out.extend_from_slice(b"Connection: Upgrade\r\n");
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
        if passes && !edits.asked.is_some_and(|asked| asked.write(out, &entry)) {
            encode::field_as_sent(out, &entry);
        }
    }
}
