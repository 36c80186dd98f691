//! The requests of a run: what each is made of, how often it comes, and what a good answer is.
//! Pure, apart from reading body files.

use crate::rng::Rng;
use crate::units;
use serde::Deserialize;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A request as it is written in a mix file or on the command line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// For reports [default: method and path].
    pub name: Option<String>,
    /// For example `GET`.
    #[serde(default = "get")]
    pub method: String,
    /// `{1..1000}` in it is a number drawn for each request.
    pub path: String,
    /// How often it comes, against the weights of the others.
    #[serde(default = "one")]
    pub weight: f64,
    /// Header lines, `Name: value`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The body.
    pub body: Option<String>,
    /// A file that holds the body; a path from the folder of the mix file.
    pub body_file: Option<String>,
    /// The body is this many bytes.
    pub body_size: Option<String>,
    /// The status of a good answer.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body length of a good answer [default: that of the first answer].
    pub length: Option<u64>,
    /// The CRC-32 of a good answer's body, in hexadecimal digits; `same`: that of the first answer.
    pub crc: Option<String>,
}

/// The file of a mix.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MixFile {
    request: Vec<Written>,
}

fn get() -> String {
    "GET".to_owned()
}
fn one() -> f64 {
    1.0
}
fn ok() -> u16 {
    200
}

/// Reads a mix file.
///
/// # Errors
/// What is wrong with it, with line and column.
pub fn read_mix(path: &Path) -> io::Result<Vec<Written>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let file: MixFile = toml::from_str(&text)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    Ok(file.request)
}

/// A checked request.
#[derive(Debug)]
pub struct Request {
    /// For reports.
    pub name: String,
    /// The request is a HEAD: its answer has no body.
    pub is_head: bool,
    /// What a good answer is.
    pub expected: Expected,
    start: Vec<Part>,
    rest: Vec<u8>,
    weight: f64,
}

/// What a good answer is.
#[derive(Debug)]
pub struct Expected {
    /// Its status.
    pub status: u16,
    /// Its body is summed.
    pub is_summed: bool,
    length: First,
    crc: First,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    Number(u64, u64),
}

/// A value that is given, or that of the first answer on any thread, or does not matter.
#[derive(Debug)]
enum First {
    Any,
    Is(AtomicU64),
}

const UNKNOWN: u64 = u64::MAX;

impl First {
    fn new(given: Option<u64>) -> Self {
        Self::Is(AtomicU64::new(given.unwrap_or(UNKNOWN)))
    }

    fn takes(&self, value: u64) -> bool {
        let Self::Is(known) = self else { return true };
        match known.load(Ordering::Relaxed) {
            UNKNOWN => {
                match known.compare_exchange(UNKNOWN, value, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => true,
                    Err(other) => other == value,
                }
            }
            known => known == value,
        }
    }
}

impl Expected {
    /// Whether a body of this length is the right one.
    #[must_use]
    pub fn takes_length(&self, length: u64) -> bool {
        self.length.takes(length)
    }

    /// Whether a body with this checksum, if it has one, is the right one.
    #[must_use]
    pub fn takes_sum(&self, sum: Option<u32>) -> bool {
        sum.is_none_or(|sum| self.crc.takes(sum.into()))
    }
}

/// All requests of a run.
#[derive(Debug)]
pub struct Mix {
    requests: Vec<Request>,
    weights: f64,
}

impl Mix {
    /// Checks `written`, to be sent to `host`; body files are searched for in `folder`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(written: &[Written], host: &str, folder: &Path) -> io::Result<Self> {
        let requests = written
            .iter()
            .map(|request| Request::new(request, host, folder))
            .collect::<io::Result<Vec<_>>>()?;
        let weights: f64 = requests.iter().map(|request| request.weight).sum();
        if weights <= 0.0 {
            return Err(invalid("the requests' weights are all 0".to_owned()));
        }
        Ok(Self { requests, weights })
    }

    /// The requests, in the order of the file.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The place of the next request among them.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        if self.requests.len() == 1 {
            return 0;
        }
        let mut point = rng.unit() * self.weights;
        for (index, request) in self.requests.iter().enumerate() {
            point -= request.weight;
            if point < 0.0 {
                return index;
            }
        }
        self.requests.len() - 1
    }
}

impl Request {
    fn new(written: &Written, host: &str, folder: &Path) -> io::Result<Self> {
        let Written { method, path, headers, weight, .. } = written;
        let name = written.name.clone().unwrap_or_else(|| format!("{method} {path}"));
        let wrong = |what: String| invalid(format!("request `{name}`: {what}"));
        let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if method.is_empty()
            || !is_token(method)
            || !is_token(path)
            || !path.starts_with(['/', '*'])
        {
            return Err(wrong(
                "method and path have no spaces, and the path begins with /".to_owned(),
            ));
        }
        if !(weight.is_finite() && *weight >= 0.0) {
            return Err(wrong("the weight is 0 or more".to_owned()));
        }
        let body = body(written, folder).map_err(|error| wrong(error.to_string()))?;
        let mut rest = b" HTTP/1.1\r\n".to_vec();
        let is_set = |name: &str| {
            headers.iter().any(|line| {
                line.split_once(':').is_some_and(|(n, _)| n.trim().eq_ignore_ascii_case(name))
            })
        };
        if !is_set("host") {
            write!(rest, "Host: {host}\r\n")?;
        }
        for line in headers {
            if !line.contains(':') || line.contains(['\r', '\n']) {
                return Err(wrong(format!("`{line}` is no header line, `Name: value`")));
            }
            write!(rest, "{line}\r\n")?;
        }
        if let Some(body) = &body
            && !is_set("content-length")
            && !is_set("transfer-encoding")
        {
            write!(rest, "Content-Length: {}\r\n", body.len())?;
        }
        rest.extend_from_slice(b"\r\n");
        rest.extend_from_slice(&body.unwrap_or_default());
        let crc = match written.crc.as_deref() {
            None => First::Any,
            Some("same") => First::new(None),
            Some(digits) => {
                First::new(Some(u32::from_str_radix(digits, 16).map(u64::from).map_err(|_| {
                    wrong(format!("crc = \"{digits}\" is neither hexadecimal nor `same`"))
                })?))
            }
        };
        let start = parts(method, path).map_err(wrong)?;
        let is_summed = !matches!(crc, First::Any);
        let varies = start.len() > 1;
        let length = if varies && written.length.is_none() {
            First::Any
        } else {
            First::new(written.length)
        };
        let expected = Expected { status: written.status, is_summed, length, crc };
        Ok(Self { name, is_head: method == "HEAD", expected, start, rest, weight: *weight })
    }

    /// Appends the bytes of one such request to `out`; `last`: it asks to close the connection.
    pub fn write(&self, out: &mut Vec<u8>, rng: &mut Rng, last: bool) {
        for part in &self.start {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Number(from, to) => {
                    let number = from + rng.below(to - from + 1);
                    _ = write!(out, "{number}"); // a Vec takes everything
                }
            }
        }
        if last {
            out.extend_from_slice(b" HTTP/1.1\r\nConnection: close\r\n");
            out.extend_from_slice(self.rest.get(" HTTP/1.1\r\n".len()..).unwrap_or_default());
        } else {
            out.extend_from_slice(&self.rest);
        }
    }
}

fn body(written: &Written, folder: &Path) -> io::Result<Option<Vec<u8>>> {
    match (&written.body, &written.body_file, &written.body_size) {
        (None, None, None) => Ok(None),
        (Some(text), None, None) => Ok(Some(text.clone().into_bytes())),
        (None, Some(file), None) => {
            let path = folder.join(file);
            let read = std::fs::read(&path);
            read.map(Some).map_err(|error| invalid(format!("{}: {error}", path.display())))
        }
        (None, None, Some(size)) => {
            let size = units::size(size).map_err(invalid)?;
            let size = usize::try_from(size).map_err(io::Error::other)?;
            Ok(Some(vec![b'x'; size]))
        }
        _ => Err(invalid("one of body, body_file and body_size".to_owned())),
    }
}

/// Method and path, cut where a number is drawn.
fn parts(method: &str, path: &str) -> Result<Vec<Part>, String> {
    let mut bytes = format!("{method} ").into_bytes();
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (range, next) = after.split_once('}').ok_or("`{` without `}` in the path")?;
        let number = |text: &str| text.parse::<u64>().ok();
        let range = range.split_once("..").and_then(|(a, b)| Some((number(a)?, number(b)?)));
        let (from, to) = range
            .filter(|(from, to)| from <= to && *to < u64::MAX)
            .ok_or("what is in {} is a range like 1..1000")?;
        bytes.extend_from_slice(before.as_bytes());
        parts.push(Part::Bytes(std::mem::take(&mut bytes)));
        parts.push(Part::Number(from, to));
        rest = next;
    }
    bytes.extend_from_slice(rest.as_bytes());
    parts.push(Part::Bytes(bytes));
    Ok(parts)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(text: &str) -> Result<Mix, String> {
        let file: MixFile = toml::from_str(text).map_err(|error| error.to_string())?;
        Mix::new(&file.request, "h:1", Path::new("/nowhere")).map_err(|error| error.to_string())
    }

    fn bytes(request: &Request, last: bool) -> String {
        let mut out = Vec::new();
        request.write(&mut out, &mut Rng::new(3), last);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_written_as_asked() {
        let mix = mix(r#"
            [[request]]
            path = "/a"
            [[request]]
            method = "POST"
            path = "/item/{5..5}/x"
            headers = ["Host: other", "A: b"]
            body = "four"
        "#)
        .unwrap();
        let [get, post] = mix.requests() else { panic!() };
        assert_eq!(bytes(get, false), "GET /a HTTP/1.1\r\nHost: h:1\r\n\r\n");
        assert_eq!(bytes(get, true), "GET /a HTTP/1.1\r\nConnection: close\r\nHost: h:1\r\n\r\n");
        let expected =
            "POST /item/5/x HTTP/1.1\r\nHost: other\r\nA: b\r\nContent-Length: 4\r\n\r\nfour";
        assert_eq!(bytes(post, false), expected);
        assert_eq!(post.name, "POST /item/{5..5}/x");
    }

    #[test]
    fn weights_are_kept() {
        let mix = mix(
            "request = [{path = \"/a\", weight = 3}, {path = \"/b\"}, {path = \"/c\", weight = 0}]",
        );
        let (mix, mut rng, mut counts) = (mix.unwrap(), Rng::new(1), [0; 3]);
        for _ in 0..10_000 {
            counts[mix.draw(&mut rng)] += 1;
        }
        assert!((7300..7700).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [
            ("request = [{path = \"/a\", wieght = 3}]", "wieght"),
            ("request = [{path = \"/{1..}\"}]", "range"),
            ("request = [{path = \"/{9..1}\"}]", "range"),
            ("request = [{path = \"/a b\"}]", "spaces"),
            ("request = [{path = \"/a\", headers = [\"x\"]}]", "header line"),
            ("request = [{path = \"/a\", body = \"\", body_size = \"1\"}]", "one of"),
            ("request = [{path = \"/a\", body_file = \"b\"}]", "/nowhere/b"),
            ("request = [{path = \"/a\", crc = \"xyz\"}]", "hexadecimal"),
            ("request = [{path = \"/a\", weight = 0}]", "weights"),
            ("request = []", "weights"),
        ] {
            let error = mix(text).expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn the_first_answer_decides_unless_told() {
        let mix = mix(r#"request = [
            {path = "/a", crc = "same"}, {path = "/b", length = 3, crc = "cbf43926"}, {path = "/{1..2}"}
        ]"#)
        .unwrap();
        let [first, told, varied] = mix.requests() else { panic!() };
        assert!(first.expected.takes_length(7) && !first.expected.takes_length(8));
        assert!(first.expected.takes_sum(Some(1)) && !first.expected.takes_sum(Some(2)));
        assert!(!told.expected.takes_length(7) && told.expected.takes_length(3));
        assert!(told.expected.takes_sum(Some(0xcbf4_3926)) && !told.expected.takes_sum(Some(0)));
        assert!(varied.expected.takes_length(7) && varied.expected.takes_length(8));
        assert!(varied.expected.takes_sum(None));
    }
}
