//! Heads and whole messages as the test peers see them. Strict: what is not well formed panics.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// A message head, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The bytes as they came, with the empty line.
    pub(crate) raw: Vec<u8>,
    /// The request line or status line, without its CRLF.
    pub(crate) start: String,
    /// The fields in order, names as sent.
    pub(crate) fields: Vec<(String, String)>,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A whole request or answer.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Head {
    /// Takes `raw`, which ends with an empty line, apart.
    pub(crate) fn parse(raw: &[u8]) -> Head {
        let text = String::from_utf8_lossy(raw).into_owned();
        let text = text.strip_suffix("\r\n\r\n").expect("a head ends with an empty line");
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields: Vec<_> = lines.map(field).collect();
        assert!(!start.contains(['\r', '\n']), "a bare CR or LF in {start:?}");
        Head { raw: raw.to_vec(), start, fields }
    }

    /// The status code of an answer.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1).unwrap_or_default();
        code.parse().unwrap_or_else(|_| panic!("not a status line: {:?}", self.start))
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Every value of the field `name`, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of the field `name`; more than one fails the test.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "more than one {name}: {self:?}");
        all.first().copied()
    }

    /// Whether the peer announced that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }

    /// What follows this request head.
    pub(crate) fn request_framing(&self) -> Framing {
        self.stated_framing().unwrap_or(Framing::Nothing)
    }

    /// What follows this answer head to a request of `method`.
    pub(crate) fn answer_framing(&self, method: &str) -> Framing {
        match self.status() {
            100..=199 | 204 | 304 => Framing::Nothing,
            _ if method == "HEAD" => Framing::Nothing,
            _ => self.stated_framing().unwrap_or(Framing::UntilClose),
        }
    }

    fn stated_framing(&self) -> Option<Framing> {
        let length = self.get("content-length");
        if let Some(encoding) = self.get("transfer-encoding") {
            assert!(encoding.eq_ignore_ascii_case("chunked"), "an odd encoding: {self:?}");
            assert_eq!(length, None, "both framings: {self:?}");
            return Some(Framing::Chunked);
        }
        length.map(|text| Framing::Length(text.parse().expect("a length")))
    }
}

impl Message {
    /// The status code of an answer.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks that this is ringway's own error answer: `side reason` with `status`.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, side: &str, reason: &str) {
        let text = self.text();
        assert_eq!(self.status(), status, "{}{text}", String::from_utf8_lossy(&self.head.raw));
        let start = format!("ringway: {side} {reason}: ");
        assert!(text.starts_with(&start), "{text:?} should start with {start:?}");
        assert!(text.ends_with('\n') && text.len() > start.len() + 1, "{text:?}");
        assert_eq!(self.head.get("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.head.get("content-length"), Some(self.body.len().to_string().as_str()));
        assert!(self.head.get("date").is_some(), "{:?}", self.head);
    }
}

/// One field line or trailer line.
pub(crate) fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a field: {line:?}"));
    let odd = |c: char| c.is_ascii_whitespace() || c.is_ascii_control();
    assert!(!name.is_empty() && !name.contains(odd), "an odd name: {line:?}");
    assert!(!value.contains(['\r', '\n', '\0']), "an odd value: {line:?}");
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

/// An answer with a Content-Length: `status` is "404 Not Found".
pub(crate) fn answer_with(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields {
        write!(head, "{name}: {value}\r\n").expect("writing to a string");
    }
    write!(head, "Content-Length: {}\r\n\r\n", body.len()).expect("writing to a string");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A plain `200 OK` with this body.
pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer_with("200 OK", &[], body.as_ref())
}

/// Bytes of which no two places are alike: what comes 64 KiB later has another number every 64 bytes.
pub(crate) fn distinct(length: usize) -> &'static [u8] {
    const BLOCK: usize = 1 << 16;
    static ALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let words = (0..BLOCK as u32 / 4).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let block: Vec<u8> = words.flatten().collect();
        let mut all = block.repeat((64 << 20) / BLOCK);
        for (number, block) in (0u32..).zip(all.chunks_mut(BLOCK)) {
            block.chunks_mut(64).for_each(|line| line[..4].copy_from_slice(&number.to_be_bytes()));
        }
        all
    });
    &ALL[..length]
}
