//! The fields of a head or trailer section: spans into one arena, with what is known of each
//! worked out once, while parsing.
//!
//! Must not know start lines.

use super::bytes::{TOKEN, is_token, run, text_run, trim, trim_end, trim_start};
use super::error::ParseError;
use super::name::{LookAlike, Name, is_identity};

/// Names that `Connection` fields may add to those that it always covers.
const MAX_NOMINATIONS: usize = 32;

/// Why parsing stopped before the end of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// All is well so far and more bytes are needed.
    Partial,
    Bad(ParseError),
}

impl From<ParseError> for Stop {
    fn from(error: ParseError) -> Self {
        Self::Bad(error)
    }
}

/// A range of bytes of the arena. Heads are bounded far below 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Self { start: start as u32, end: end as u32 }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    /// The bytes of the range; empty when it is out of bounds, which no span of a head is.
    #[inline]
    pub(super) fn of(self, arena: &[u8]) -> &[u8] {
        arena.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
    kind: Name,
    identity: bool,
    hop_by_hop: bool,
}

/// One field of a head.
#[derive(Clone, Copy, Debug)]
pub struct FieldRef<'a> {
    /// Which name it is, where that matters.
    pub name: Name,
    /// The name as it was sent: a token.
    pub name_bytes: &'a [u8],
    /// The value without whitespace around it: HTAB, SP, visible ASCII and bytes from 0x80.
    pub value: &'a [u8],
    /// Whether it tells who the client is, see [`super::is_identity`].
    pub identity: bool,
    pub(super) hop_by_hop: bool,
    /// From the first byte of the name to two bytes behind the value: as a rule the line and its end.
    pub(super) line: &'a [u8],
}

/// Equal are fields that go on alike, whatever whitespace was around their values.
impl PartialEq for FieldRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.name_bytes, self.value, self.hop_by_hop)
            == (other.name_bytes, other.value, other.hop_by_hop)
    }
}

impl Eq for FieldRef<'_> {}

/// What the `Connection` fields ask for (RFC 9110 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// `te`
    pub te: bool,
}

/// A section of fields and the arena that they point into.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) arena: Vec<u8>,
    list: Vec<Field>,
    connection: ConnectionOptions,
    /// The bits of the names that occur, and of those that occur more than once.
    present: u64,
    repeated: u64,
    /// A name looks like Content-Length or Transfer-Encoding.
    looks_framed: bool,
    /// Whitespace before colons is dropped instead of refused; set once.
    pub(super) drops_space: bool,
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.reset();
    }

    fn reset(&mut self) {
        self.list.clear();
        self.connection = ConnectionOptions::default();
        (self.present, self.repeated, self.looks_framed) = (0, 0, false);
    }

    /// Gives memory above `bytes` back; the fields are lost.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.clear();
        self.arena.shrink_to(bytes);
        self.list.shrink_to(bytes / size_of::<Field>());
    }

    /// Reads field lines from `at` to the empty line and returns the offset behind it. The spans
    /// are offsets into `bytes`, which must be put at the start of the arena afterwards.
    pub(super) fn read(&mut self, bytes: &[u8], at: usize, max: usize) -> Result<usize, Stop> {
        self.reset();
        let mut rest = bytes.get(at..).unwrap_or_default();
        loop {
            match rest {
                [b'\r', b'\n', after @ ..] => return Ok(bytes.len() - after.len()),
                [] | [b'\r'] => return Err(Stop::Partial),
                _ => rest = self.read_line(bytes.len(), rest, max)?,
            }
        }
    }

    /// Reads one field line; `rest` is the end of a buffer of `total` bytes.
    #[inline]
    fn read_line<'a>(
        &mut self,
        total: usize,
        rest: &'a [u8],
        max: usize,
    ) -> Result<&'a [u8], Stop> {
        let start = total - rest.len();
        let (name, after) = rest.split_at_checked(run(rest, TOKEN)).unwrap_or_default();
        let after = match after {
            [b':', after @ ..] => after,
            _ => self.colon_later(name, after)?,
        };
        if name.is_empty() {
            return Err(ParseError::EmptyName.into());
        }
        let after = match after {
            [b' ', first, ..] if *first > b' ' => after.get(1..).unwrap_or_default(),
            _ => trim_start(after),
        };
        let value_start = total - after.len();
        let (value, after) = after.split_at_checked(text_run(after)).unwrap_or_default();
        let [b'\r', b'\n', next @ ..] = after else { return Err(bad_value_end(after)) };
        if self.list.len() >= max {
            return Err(ParseError::TooManyFields.into());
        }
        let kind = Name::of(name);
        self.repeated |= self.present & kind.bit();
        self.present |= kind.bit();
        let looks = if kind == Name::Other { LookAlike::of(name) } else { LookAlike::Nothing };
        self.looks_framed |= looks == LookAlike::Framing;
        self.list.push(Field {
            name: Span::new(start, start + name.len()),
            value: Span::new(value_start, value_start + trim_end(value).len()),
            kind,
            identity: kind.is_identity() || (kind == Name::Other && is_identity(name)),
            hop_by_hop: kind.is_hop_by_hop() || looks != LookAlike::Nothing,
        });
        Ok(next)
    }

    /// What is behind the colon of a field line that has something else behind its name.
    #[cold]
    fn colon_later<'a>(&self, name: &[u8], after: &'a [u8]) -> Result<&'a [u8], Stop> {
        match trim_start(after) {
            [b':', rest @ ..] if self.drops_space && !name.is_empty() => Ok(rest),
            [] if self.drops_space => Err(Stop::Partial),
            _ => Err(bad_name_end(name, after)),
        }
    }

    /// Works out the `Connection` options and marks the fields that they name. Only names without
    /// a meaning of their own can be named so: `Connection: Host`, `Content-Length` or
    /// `X-Forwarded-For` must not make the proxy lose what it acts on or sets itself.
    pub(super) fn settle_connection(&mut self) -> Result<(), ParseError> {
        if !self.has(Name::Connection) {
            return Ok(());
        }
        let mut nominations = 0;
        for index in 0..self.list.len() {
            let Some(Field { kind: Name::Connection, value, .. }) = self.list.get(index).copied()
            else {
                continue;
            };
            for option in value.of(&self.arena).split(|&byte| byte == b',').map(trim) {
                if set_option(&mut self.connection, option) || !is_token(option) {
                    continue;
                }
                nominations += 1;
                if nominations > MAX_NOMINATIONS {
                    return Err(ParseError::TooManyOptions);
                }
                let arena = &self.arena;
                for field in &mut self.list {
                    field.hop_by_hop |=
                        !field.identity && field.name.of(arena).eq_ignore_ascii_case(option);
                }
            }
            if !self.has_repeated(Name::Connection) {
                break;
            }
        }
        Ok(())
    }

    /// Marks the fields of this name as not to go on.
    pub(super) fn drop_all(&mut self, name: Name) {
        for field in self.list.iter_mut().filter(|field| field.kind == name) {
            field.hop_by_hop = true;
        }
    }

    #[inline]
    pub(super) fn has(&self, name: Name) -> bool {
        self.present & name.bit() != 0
    }

    #[inline]
    pub(super) fn has_repeated(&self, name: Name) -> bool {
        self.repeated & name.bit() != 0
    }

    /// Whether a field could be taken for one that says where the body ends, and is none.
    #[inline]
    pub(super) fn looks_framed(&self) -> bool {
        self.looks_framed
    }

    #[inline]
    pub(super) fn connection(&self) -> ConnectionOptions {
        self.connection
    }

    /// The value of the first field of this name; for [`Name::Other`] none.
    #[inline]
    pub(super) fn value(&self, name: Name) -> Option<&[u8]> {
        self.span(name).map(|span| span.of(&self.arena))
    }

    /// Where that value is.
    #[inline]
    pub(super) fn span(&self, name: Name) -> Option<Span> {
        if !self.has(name) {
            return None;
        }
        self.list.iter().find(|field| field.kind == name).map(|field| field.value)
    }

    #[inline]
    pub(super) fn iter(&self) -> FieldsIter<'_> {
        FieldsIter { arena: &self.arena, list: self.list.iter() }
    }
}

/// What is wrong with a field line whose name ends before `after` instead of a colon.
#[cold]
fn bad_name_end(name: &[u8], after: &[u8]) -> Stop {
    let Some(byte) = after.first() else { return Stop::Partial };
    let error = match (name.is_empty(), byte) {
        (true, b' ' | b'\t') => ParseError::ObsFold,
        (true, b'\r') => ParseError::BareCr,
        (_, b'\n') => ParseError::BareLf,
        (false, b' ' | b'\t') => ParseError::SpaceBeforeColon,
        (false, b'\r') => ParseError::NoColon,
        _ => ParseError::BadName,
    };
    error.into()
}

/// What is wrong with a field line whose value ends before `after` instead of a line end.
#[cold]
fn bad_value_end(after: &[u8]) -> Stop {
    match after {
        [] | [b'\r'] => Stop::Partial,
        [b'\r', ..] => ParseError::BareCr.into(),
        [b'\n', ..] => ParseError::BareLf.into(),
        [0, ..] => ParseError::Nul.into(),
        _ => ParseError::BadValue.into(),
    }
}

/// Sets the flag of an option that has one. False when the option names a field that has no meaning
/// here, which is to be marked.
fn set_option(options: &mut ConnectionOptions, option: &[u8]) -> bool {
    match Name::of(option) {
        Name::KeepAlive => options.keep_alive = true,
        Name::Other if option.eq_ignore_ascii_case(b"close") => options.close = true,
        Name::Other => return false,
        Name::Te => options.te = true,
        Name::Upgrade => options.upgrade = true,
        _ => {}
    }
    true
}

/// The fields of a section in the order they were sent.
#[derive(Clone, Debug)]
pub struct FieldsIter<'a> {
    arena: &'a [u8],
    list: std::slice::Iter<'a, Field>,
}

impl<'a> Iterator for FieldsIter<'a> {
    type Item = FieldRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<FieldRef<'a>> {
        let field = self.list.next()?;
        Some(FieldRef {
            name: field.kind,
            name_bytes: field.name.of(self.arena),
            value: field.value.of(self.arena),
            identity: field.identity,
            hop_by_hop: field.hop_by_hop,
            line: Span { start: field.name.start, end: field.value.end + 2 }.of(self.arena),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.list.size_hint()
    }
}

impl ExactSizeIterator for FieldsIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Fields, Stop> {
        let mut fields = Fields::default();
        let end = fields.read(text, 0, 10)?;
        fields.arena.extend_from_slice(&text[..end]);
        fields.settle_connection()?;
        Ok(fields)
    }

    #[test]
    fn values_lose_the_whitespace_around_them_and_nothing_else() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"A:b\r\n\r\n", b"b"),
            (b"A: \t b \t\r\n\r\n", b"b"),
            (b"A:\r\n\r\n", b""),
            (b"A: \t \r\n\r\n", b""),
            (b"A: b\t c  d\r\n\r\n", b"b\t c  d"),
            (b"A: \xff\x80\xc3\xa9\r\n\r\n", b"\xff\x80\xc3\xa9"),
        ];
        for (text, value) in cases {
            assert_eq!(read(text).unwrap().iter().next().unwrap().value, value, "{text:?}");
        }
    }

    #[test]
    fn connection_options_and_the_fields_they_name() {
        let fields = read(
            b"Host: a\r\nX-A: 1\r\nX-Forwarded-For: 1\r\nContent-Length: 1\r\n\
              Connection: keep-alive, x-a,,close , HOST\r\nX_Real_Ip: 2\r\n\
              Connection: Upgrade, x-forwarded-for, content-length, x_real_ip, bad option\r\n\r\n",
        )
        .unwrap();
        let options = fields.connection();
        assert!(options.close && options.keep_alive && options.upgrade && !options.te);
        let dropped: Vec<&[u8]> =
            fields.iter().filter(|f| f.hop_by_hop).map(|f| f.name_bytes).collect();
        assert_eq!(dropped, [b"X-A".as_slice(), b"Connection", b"Connection"]);
    }

    #[test]
    fn the_number_of_nominated_names_is_bounded() {
        let line = |count| format!("Connection: {}\r\n\r\n", vec!["x"; count].join(","));
        assert!(read(line(MAX_NOMINATIONS).as_bytes()).is_ok());
        assert_eq!(
            read(line(MAX_NOMINATIONS + 1).as_bytes()).err(),
            Some(Stop::Bad(ParseError::TooManyOptions))
        );
    }

    #[test]
    fn fields_are_counted() {
        let text = |count| format!("{}\r\n", "A: b\r\n".repeat(count));
        assert!(read(text(10).as_bytes()).is_ok());
        assert_eq!(read(text(11).as_bytes()).err(), Some(Stop::Bad(ParseError::TooManyFields)));
    }
}
