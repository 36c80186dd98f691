//! A request head: one arena, offsets into it, and everything that can be said of it at once.
//!
//! The HTTP/1 parser fills it; nothing that reads it can tell which protocol did.

use super::authority::{self, Host};
use super::bytes::{TOKEN, decimal, is, plain_run, run, target_run, trim};
use super::error::ParseError;
use super::fields::{ConnectionOptions, FieldRef, Fields, FieldsIter, Span, Stop};
use super::head::{HeadLimits, LineEnd, Parsed, Progress, line_end};
use super::method::{Method, Version};
use super::name::Name;
use super::target::{self, Scheme, Target, TargetForm};

/// Bytes of a method.
const MAX_METHOD: usize = 32;
/// Bytes at the start of a line after which no end of a method is waited for.
const MAX_WORD: usize = 256;
/// Empty lines that may precede a request (RFC 9112 2.2).
const MAX_EMPTY_LINES: usize = 2;

/// The head of a request. Reuse it: after [`Self::clear`] its buffers are still there.
///
/// Accessors speak of the last head that was [`Parsed::Complete`]; in between they are of no use.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    fields: Fields,
    progress: Progress,
    line: Line,
    form: TargetForm,
    scheme: Option<Scheme>,
    authority: Span,
    host: Span,
    path: Span,
    query: Option<Span>,
}

/// A request line as it was read; the spans count from its first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    known: Method,
    method: Span,
    target: Span,
    /// Bytes of the target that are plain ones of a path, up to the first that is not.
    plain: usize,
    version: Version,
    end: usize,
}

impl RequestHead {
    /// An empty head without buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the head and keeps the buffers.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.progress.reset();
        (self.line, self.form, self.scheme) = (Line::default(), TargetForm::default(), None);
        (self.authority, self.host, self.path) = Default::default();
        self.query = None;
    }

    /// Forgets the head and gives back what its buffers hold above `bytes` bytes each: one large
    /// head must not make an idle connection large for ever.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.fields.shrink_to(bytes);
    }

    /// Parses the head that `input` begins with (RFC 9112 2, 3 and 5, without the leniencies).
    /// After [`Parsed::Partial`] call it again with the same bytes and more behind them. When it is
    /// complete the head has copied what it needs, and the input is free.
    ///
    /// # Errors
    /// Anything that the grammar does not allow, and heads above `limits`: usually as soon as it is
    /// seen, at the latest when the head is complete, so that a head in small pieces stays cheap.
    /// The connection cannot go on: where the next request begins is not known.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Parsed, ParseError> {
        let limit = limits.byte_limit();
        if !self.progress.is_due(input, limit) {
            return Ok(Parsed::Partial);
        }
        let view = input.get(..limit).unwrap_or(input);
        self.line.end = 0;
        match self.attempt(view, limits.fields) {
            Ok(end) => {
                self.progress.reset();
                Ok(Parsed::Complete(end))
            }
            Err(Stop::Bad(error)) => Err(error),
            Err(Stop::Partial) if view.len() < limit => Ok(Parsed::Partial),
            Err(Stop::Partial) if self.line.end == 0 => Err(ParseError::TargetTooLong),
            Err(Stop::Partial) => Err(ParseError::HeadTooLarge),
        }
    }

    /// Makes several slashes in a row of the path one, as if it had been sent so. `%2F` is none.
    ///
    /// # Errors
    /// The path climbs above `/` then.
    pub fn merge_slashes(&mut self) -> Result<(), ParseError> {
        let arena = &mut self.fields.arena;
        let target = target::cut(self.line.known, self.line.target.of(arena), 0)?;
        if memchr::memmem::find(target.path, b"//").is_none() {
            return Ok(());
        }
        let mut sent = target.path.to_vec();
        sent.dedup_by(|next, last| *next == b'/' && *last == b'/');
        let start = arena.len();
        target::normalise(&sent, arena)?;
        self.path = Span::new(start, arena.len());
        Ok(())
    }

    fn attempt(&mut self, view: &[u8], max_fields: usize) -> Result<usize, Stop> {
        let head = skip_empty_lines(view)?;
        self.line = read_line(head)?;
        let end = self.fields.read(head, self.line.end, max_fields)?;
        let skipped = view.len() - head.len();
        let head = head.get(..end).unwrap_or_default();
        self.fields.arena.clear();
        self.fields.arena.extend_from_slice(head);
        self.fields.settle_connection()?;
        self.settle_target(head)?;
        Ok(skipped + end)
    }

    /// Cuts the target, normalises the path and decides which host is meant.
    fn settle_target(&mut self, head: &[u8]) -> Result<(), ParseError> {
        let target = target::cut(self.line.known, self.line.target.of(head), self.line.plain)?;
        (self.form, self.scheme) = (target.form, target.scheme);
        self.settle_host(head, &target)?;
        let start = self.line.target.start() + target.scheme_len() + target.authority.len();
        self.path = if target.is_plain {
            Span::new(start, start + target.path.len())
        } else {
            let start = self.fields.arena.len();
            target.write_path(self.line.known, &mut self.fields.arena)?;
            Span::new(start, self.fields.arena.len())
        };
        let end = self.line.target.end();
        self.query = target.query.map(|query| Span::new(end - query.len(), end));
        Ok(())
    }

    fn settle_host(&mut self, head: &[u8], target: &Target<'_>) -> Result<(), ParseError> {
        if self.fields.has_repeated(Name::Host) {
            return Err(ParseError::RepeatedHost);
        }
        let (mut authority, mut host) = (Span::default(), Host::default());
        match self.fields.span(Name::Host) {
            None if self.line.version == Version::Http11 => return Err(ParseError::MissingHost),
            None => {}
            // An empty one, too: no http URI is without a host (RFC 9110 4.2.1).
            Some(span) => {
                host = authority::host(span.of(head)).ok_or(ParseError::BadHost)?;
                authority = span;
            }
        }
        if matches!(target.form, TargetForm::Absolute | TargetForm::Authority) {
            // RFC 9112 3.2.2: the target's authority replaces the Host field.
            host = authority::host(target.authority).ok_or(ParseError::BadAuthority)?;
            let start = self.line.target.start() + target.scheme_len();
            authority = Span::new(start, start + target.authority.len());
            if target.form == TargetForm::Authority && host.bytes.len() == target.authority.len() {
                return Err(ParseError::BadAuthority);
            }
        }
        self.authority = authority;
        let bytes = host.bytes.strip_suffix(b".").unwrap_or(host.bytes);
        self.host = if host.has_upper {
            let start = self.fields.arena.len();
            self.fields.arena.extend(bytes.iter().map(u8::to_ascii_lowercase));
            Span::new(start, self.fields.arena.len())
        } else {
            // The host is what its authority begins with.
            Span::new(authority.start(), authority.start() + bytes.len())
        };
        Ok(())
    }
}

/// Accessors.
impl RequestHead {
    /// The method, where it is a known one.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method {
        self.line.known
    }

    /// The method as sent: a token of at most 32 bytes.
    #[must_use]
    pub fn method_bytes(&self) -> &[u8] {
        self.line.method.of(&self.fields.arena)
    }

    /// The version of the request line.
    #[must_use]
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// The request target as sent, for logs.
    #[must_use]
    pub fn target_bytes(&self) -> &[u8] {
        self.line.target.of(&self.fields.arena)
    }

    /// The form of the target.
    #[must_use]
    pub fn target_form(&self) -> TargetForm {
        self.form
    }

    /// The scheme of an absolute-form target.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The host with its port as sent: of the target where it has one, else of the Host field.
    /// Empty when there is none.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.authority.of(&self.fields.arena)
    }

    /// The host for routing: lower case, no port, no dot at the end, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.host.of(&self.fields.arena)
    }

    /// The port that the authority names, if it names one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        authority::port(self.authority())
    }

    /// The path in its normal form. `*` for the asterisk form, empty for CONNECT.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.path.of(&self.fields.arena)
    }

    /// The query as sent, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        self.query.map(|span| span.of(&self.fields.arena))
    }

    /// The fields in the order they were sent.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> FieldsIter<'_> {
        self.fields.iter()
    }

    /// The value of the first field of this name. Nothing for [`Name::Other`].
    #[inline]
    #[must_use]
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.fields.value(name)
    }

    pub(super) fn raw_fields(&self) -> &Fields {
        &self.fields
    }

    /// Whether more than one field has this name.
    #[must_use]
    pub fn has_repeated(&self, name: Name) -> bool {
        self.fields.has_repeated(name)
    }

    /// What the Connection fields ask for.
    #[must_use]
    pub fn connection(&self) -> ConnectionOptions {
        self.fields.connection()
    }

    /// Whether `field`, one of this head's, ends here (RFC 9110 7.6.1): it is of those that always
    /// do, or a Connection field names it. Fields whose meaning we know cannot be named so.
    #[inline]
    #[must_use]
    pub fn is_hop_by_hop(&self, field: &FieldRef<'_>) -> bool {
        field.hop_by_hop
    }

    /// Whether the client waits for a 100 before it sends the body (RFC 9110 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.line.version == Version::Http11
            && self.value(Name::Expect).is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Whether the client expects something else than a 100, which nobody can promise it (RFC 9110
    /// 10.1.1). HTTP/1.0 knows no expectations.
    #[must_use]
    pub fn expects_more(&self) -> bool {
        let is_other =
            |item: &[u8]| !item.is_empty() && !item.eq_ignore_ascii_case(b"100-continue");
        self.fields.has(Name::Expect)
            && self.line.version == Version::Http11
            && self
                .fields()
                .filter(|field| field.name == Name::Expect)
                .any(|field| field.value.split(|byte| *byte == b',').map(trim).any(is_other))
    }

    /// How many more recipients may pass an OPTIONS or TRACE on (RFC 9110 7.6.2); `None`: any number,
    /// as of every other request. More than a `u64` holds is that.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u64> {
        if !matches!(self.line.known, Method::Options | Method::Trace) {
            return None;
        }
        let value = self.fields().find(is_max_forwards)?.value;
        match decimal(value) {
            Ok(count) => Some(count),
            Err(too_large) => too_large.then_some(u64::MAX),
        }
    }

    /// Whether the client lets the connection live on after the answer (RFC 9112 9.3).
    #[must_use]
    pub fn wants_keep_alive(&self) -> bool {
        let options = self.connection();
        !options.close && (self.line.version == Version::Http11 || options.keep_alive)
    }

    /// The protocols that the client would switch to: the value of the one Upgrade field, when
    /// Connection names it and the version is 1.1 (RFC 9110 7.8).
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        let asked = self.connection().upgrade
            && self.line.version == Version::Http11
            && !self.has_repeated(Name::Upgrade);
        self.value(Name::Upgrade).filter(|value| asked && !value.is_empty())
    }
}

/// Whether it is `Max-Forwards`.
pub fn is_max_forwards(field: &FieldRef<'_>) -> bool {
    field.name == Name::Other && field.name_bytes.eq_ignore_ascii_case(b"max-forwards")
}

fn skip_empty_lines(view: &[u8]) -> Result<&[u8], Stop> {
    let mut rest = view;
    if view.first().is_some_and(|&first| is(first, TOKEN)) {
        return Ok(view);
    }
    for _ in 0..MAX_EMPTY_LINES {
        match rest {
            [b'\r', b'\n', tail @ ..] => rest = tail,
            _ => break,
        }
    }
    match rest {
        [] | [b'\r'] => Err(Stop::Partial),
        [b'\r', b'\n', ..] => Err(ParseError::LeadingEmptyLines.into()),
        [b'\r', ..] => Err(ParseError::BareCr.into()),
        [b'\n', ..] => Err(ParseError::BareLf.into()),
        [0x16, ..] => Err(ParseError::TlsOnPlain.into()),
        [first, ..] if !is(*first, TOKEN) => Err(ParseError::BadMethod.into()),
        _ => Ok(rest),
    }
}

/// Reads `METHOD SP target SP HTTP/1.x CRLF` at the start of `head`.
fn read_line(head: &[u8]) -> Result<Line, Stop> {
    // One byte above the maximum is enough to see that it is exceeded.
    let method_len = run(head.get(..=MAX_METHOD).unwrap_or(head), TOKEN);
    if method_len > MAX_METHOD {
        return Err(long_method(head));
    }
    let (method, rest) = head.split_at_checked(method_len).unwrap_or_default();
    let rest = match rest {
        [] => return Err(Stop::Partial),
        [b' ', rest @ ..] => rest,
        _ => return Err(line_end(rest).err().unwrap_or(LineEnd::Other).or(ParseError::BadMethod)),
    };
    let plain = plain_run(rest);
    let target_len = match rest.get(plain) {
        Some(b' ') => plain,
        _ => plain + target_run(rest.get(plain..).unwrap_or_default()),
    };
    let (target, rest) = rest.split_at_checked(target_len).unwrap_or_default();
    let rest = match rest {
        [] => return Err(Stop::Partial),
        [b' ', rest @ ..] if !target.is_empty() => rest,
        // An HTTP/0.9 request line.
        [b'\r', b'\n', ..] => return Err(ParseError::BadVersion.into()),
        _ => return Err(line_end(rest).err().unwrap_or(LineEnd::Other).or(ParseError::BadTarget)),
    };
    let version = read_version(rest)?;
    let target_start = method_len + 1;
    Ok(Line {
        known: Method::of(method),
        method: Span::new(0, method_len),
        target: Span::new(target_start, target_start + target.len()),
        plain,
        version,
        end: target_start + target.len() + 1 + b"HTTP/1.1\r\n".len(),
    })
}

/// What is wrong with a line that begins with more token bytes than a method may have. Where they end
/// they are a method that nobody implements (RFC 9112 3); so many without an end are no request.
#[cold]
fn long_method(head: &[u8]) -> Stop {
    let length = run(head, TOKEN);
    match head.get(length) {
        Some(b' ') => ParseError::MethodTooLong.into(),
        None if length <= MAX_WORD => Stop::Partial,
        _ => ParseError::BadMethod.into(),
    }
}

/// Reads the version and the line end behind it.
fn read_version(rest: &[u8]) -> Result<Version, Stop> {
    if rest.starts_with(b"HTTP/1.1\r\n") {
        return Ok(Version::Http11);
    }
    match rest {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, end @ ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            line_end(end).map_err(|end| end.or(ParseError::BadVersion))?;
            Version::of(*major, *minor).ok_or(ParseError::UnsupportedVersion.into())
        }
        _ if rest.len() < 8 && b"HTTP/".starts_with(rest.get(..5).unwrap_or(rest)) => {
            Err(Stop::Partial)
        }
        _ => Err(ParseError::BadVersion.into()),
    }
}
