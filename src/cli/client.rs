//! A request to the admin interface, and its answer: blocking, one connection each.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ringway::config::AdminAddress;
use ringway::control::admin::{reachable, view::ErrorView};
use ringway::http::{Framing, HeadLimits, Method, Parsed, ResponseHead, response_framing};
use ringway::net::dial_unix;
use serde::de::DeserializeOwned;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For each piece of an answer. The server takes less for the whole.
const SILENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer; a pool of 4096 members takes about 2 MiB.
const MOST: usize = 256 << 20;
const HEAD: HeadLimits = HeadLimits { bytes: 64 << 10, fields: 100 };

/// The way to one process.
#[derive(Debug)]
pub(super) struct Client {
    address: AdminAddress,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// No connection, or it broke.
    Unreachable {
        /// Which process.
        address: AdminAddress,
        /// What the system said.
        source: io::Error,
    },
    /// It answered no.
    Refused {
        /// The status.
        status: u16,
        /// Its words.
        why: String,
    },
    /// What answered is no ringway.
    Strange(AdminAddress),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, source } => {
                write!(f, "cannot reach the process at {address}: {source}")?;
                match source.kind() {
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                        f.write_str(" (does it run, with this address as its server.admin?)")
                    }
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        f.write_str(" (it takes the connection and does not answer)")
                    }
                    io::ErrorKind::PermissionDenied => {
                        f.write_str(" (the socket is for the user that runs ringway)")
                    }
                    _ => Ok(()),
                }
            }
            Self::Refused { why, .. } => f.write_str(why),
            Self::Strange(address) => {
                write!(f, "what listens at {address} does not answer like ringway")
            }
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } => Some(source),
            Self::Refused { .. } | Self::Strange(_) => None,
        }
    }
}

impl Client {
    pub(super) const fn new(address: AdminAddress) -> Self {
        Self { address }
    }

    /// Asks for JSON; its value and its text.
    pub(super) fn get<A: DeserializeOwned>(&self, path: &str) -> Result<(A, String), AskError> {
        let text = self.text("GET", path)?;
        Ok((self.read(&text)?, text))
    }

    /// Tells something.
    pub(super) fn post<A: DeserializeOwned>(&self, path: &str) -> Result<A, AskError> {
        self.read(&self.text("POST", path)?)
    }

    fn read<A: DeserializeOwned>(&self, text: &str) -> Result<A, AskError> {
        serde_json::from_str(text).map_err(|_| AskError::Strange(self.address.clone()))
    }

    /// The body of a good answer.
    pub(super) fn text(&self, method: &str, path: &str) -> Result<String, AskError> {
        let unreachable = |source| AskError::Unreachable { address: self.address.clone(), source };
        let bytes = self.exchange(method, path).map_err(unreachable)?;
        let (status, body) =
            take_apart(&bytes).ok_or_else(|| AskError::Strange(self.address.clone()))?;
        if status == 200 {
            return Ok(body);
        }
        let why = serde_json::from_str::<ErrorView>(&body).map(|view| view.error);
        Err(match why {
            Ok(why) => AskError::Refused { status, why },
            Err(_) => AskError::Strange(self.address.clone()),
        })
    }

    fn exchange(&self, method: &str, path: &str) -> io::Result<Vec<u8>> {
        let request = |host: &dyn fmt::Display| {
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
                 Content-Length: 0\r\n\r\n"
            )
        };
        match &self.address {
            AdminAddress::Tcp(address) => {
                let address = SocketAddr::new(reachable(address.ip()), address.port());
                let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
                stream.set_read_timeout(Some(SILENCE))?;
                stream.set_write_timeout(Some(SILENCE))?;
                converse(stream, &request(&address))
            }
            AdminAddress::Unix(path) => {
                let stream = dial_unix(path)?;
                stream.set_read_timeout(Some(SILENCE))?;
                stream.set_write_timeout(Some(SILENCE))?;
                converse(stream, &request(&"localhost"))
            }
        }
    }
}

fn converse(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut part) = (Vec::new(), vec![0; 64 << 10]);
    // What listens there may be no ringway, and not close.
    while answer.len() < MOST && !is_whole(&answer) {
        let read = stream.read(&mut part)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(part.get(..read).unwrap_or_default());
    }
    Ok(answer)
}

/// Whether all is there that the head announced.
fn is_whole(bytes: &[u8]) -> bool {
    let mut head = ResponseHead::new();
    let Ok(Parsed::Complete(begin)) = head.parse(bytes, &HEAD) else { return false };
    let framing = response_framing(&head, Method::Get);
    matches!(framing, Ok(Framing::Length(length)) if (bytes.len() - begin) as u64 >= length)
}

/// Status and body of a whole answer; `None`: it is none.
fn take_apart(bytes: &[u8]) -> Option<(u16, String)> {
    let mut head = ResponseHead::new();
    let Ok(Parsed::Complete(length)) = head.parse(bytes, &HEAD) else { return None };
    let body = bytes.get(length..)?;
    match response_framing(&head, Method::Get).ok()? {
        Framing::Length(length) if length != body.len() as u64 => None,
        Framing::Chunked => None,
        _ => Some((head.status(), String::from_utf8(body.to_vec()).ok()?)),
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some((200, "ok"))),
            ("HTTP/1.1 404 Not Found\r\n\r\nno", Some((404, "no"))),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n", None),
            ("SSH-2.0-OpenSSH_9.9\r\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(status, body)| (status, body.to_owned()));
            assert_eq!(take_apart(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn names_become_segments() {
        for (name, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "%5B::1%5D:80"),
            ("unix:/run/a b", "unix:%2Frun%2Fa%20b"),
            ("ä?", "%C3%A4%3F"),
        ] {
            assert_eq!(segment(name), expected);
        }
    }

    #[test]
    fn all_addresses_are_reached_over_loopback() {
        for (bound, expected) in
            [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), expected);
        }
    }
}
