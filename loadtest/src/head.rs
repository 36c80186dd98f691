//! As much of an HTTP/1 head as either end of a load test needs: where it ends, and what follows.
//! Lenient: it judges the proxy's messages by their meaning, not by their style.

/// Which body follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes.
    Exact(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
}

/// What the origin wants to know of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// As sent, for example `GET`.
    pub method: &'a [u8],
    /// As sent, for example `/1024`.
    pub target: &'a [u8],
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// The body that follows.
    pub body: Framing,
}

/// What the client wants to know of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 999.
    pub status: u16,
    /// Whether another request may be sent on the connection.
    pub keep_alive: bool,
    /// The body that follows.
    pub body: Framing,
}

/// The length of the head at the start of `bytes`, its empty line included.
#[must_use]
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    let mut lines = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        lines += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            return Some(lines);
        }
    }
    None
}

/// The request whose whole head is `head`; `None` if its first line is none.
#[must_use]
pub fn request(head: &[u8]) -> Option<Request<'_>> {
    let (line, rest) = split_line(head)?;
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let fields = fields(rest);
    Some(Request {
        method,
        target,
        keep_alive: fields.keep_alive(minor(version)?),
        expects_continue: fields.expects_continue,
        body: fields.framing.unwrap_or(Framing::Exact(0)),
    })
}

/// The response whose whole head is `head`; `answers_head` if the request was a HEAD.
#[must_use]
pub fn response(head: &[u8], answers_head: bool) -> Option<Response> {
    let (line, rest) = split_line(head)?;
    let mut words = line.splitn(3, |b| *b == b' ');
    let (version, status) = (words.next()?, number(words.next()?)?);
    let status = u16::try_from(status).ok().filter(|status| (100..1000).contains(status))?;
    let fields = fields(rest);
    let bodiless = answers_head || status < 200 || status == 204 || status == 304;
    let framing = fields.framing.unwrap_or(Framing::UntilClose);
    let body = if bodiless { Framing::Exact(0) } else { framing };
    let keep_alive = fields.keep_alive(minor(version)?) && body != Framing::UntilClose;
    Some(Response { status, keep_alive, body })
}

#[derive(Default)]
struct Fields {
    framing: Option<Framing>,
    connection: Option<bool>,
    expects_continue: bool,
}

impl Fields {
    fn keep_alive(&self, minor: u8) -> bool {
        self.connection.unwrap_or(minor > 0)
    }
}

fn fields(mut rest: &[u8]) -> Fields {
    let mut fields = Fields::default();
    while let Some((line, next)) = split_line(rest) {
        rest = next;
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let exact = number(value).map(Framing::Exact);
                fields.framing = fields.framing.filter(|f| *f == Framing::Chunked).or(exact);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                fields.framing = Some(Framing::Chunked);
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                let has = |word| value.split(|b| *b == b',').any(|v| is(v, word));
                fields.connection = match (has(b"close"), has(b"keep-alive")) {
                    (true, _) => Some(false),
                    (false, true) => Some(true),
                    (false, false) => fields.connection,
                };
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                fields.expects_continue = is(value, b"100-continue");
            }
            _ => {}
        }
    }
    fields
}

fn is(value: &[u8], word: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(word)
}

/// The first line without its end, and what comes after it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

fn minor(version: &[u8]) -> Option<u8> {
    version.strip_prefix(b"HTTP/1.")?.first()?.checked_sub(b'0')
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody"), Some(24));
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nA: b\r\n\r"), None);
        assert_eq!(head_length(b""), None);
    }

    #[test]
    fn requests() {
        let check = |head: &str, keep_alive: bool, body: Framing| {
            let found = request(head.as_bytes()).unwrap();
            assert_eq!((found.keep_alive, found.body), (keep_alive, body), "{head}");
        };
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, Framing::Exact(0));
        check("GET / HTTP/1.0\r\n\r\n", false, Framing::Exact(0));
        check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, Framing::Exact(0));
        check("GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n", false, Framing::Exact(0));
        check("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", true, Framing::Exact(12));
        check("POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n", true, Framing::Chunked);
        assert_eq!(request(b"nonsense\r\n\r\n"), None);
        let expecting = request(b"PUT /1 HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n").unwrap();
        assert!(expecting.expects_continue);
        assert_eq!((expecting.method, expecting.target), (&b"PUT"[..], &b"/1"[..]));
    }

    #[test]
    fn responses() {
        let check = |head: &str, answers_head: bool, expected: (u16, bool, Framing)| {
            let found = response(head.as_bytes(), answers_head).unwrap();
            assert_eq!((found.status, found.keep_alive, found.body), expected, "{head}");
        };
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        check(ok, false, (200, true, Framing::Exact(3)));
        check(ok, true, (200, true, Framing::Exact(0)));
        check("HTTP/1.1 200\r\n\r\n", false, (200, false, Framing::UntilClose));
        check("HTTP/1.1 304 Not Modified\r\n\r\n", false, (304, true, Framing::Exact(0)));
        check("HTTP/1.1 100 Continue\r\n\r\n", false, (100, true, Framing::Exact(0)));
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n",
            false,
            (200, false, Framing::Exact(3)),
        );
        for bad in ["HTTP/1.1 20x OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "<html>\r\n\r\n"] {
            assert_eq!(response(bad.as_bytes(), false), None, "{bad}");
        }
    }
}
