//! The process that still has our address: one that is draining answers there to its end, and the
//! next one, which starts meanwhile, waits for its turn.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::view::ReadyView;
use crate::config::AdminAddress;
use crate::net;

/// For each step of asking: the start of the process waits for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of the answer.
const MOST: u64 = 64 << 10;

/// Whether a ringway listens at `address` that is draining. Blocks: for the start.
pub(super) fn is_draining(address: &AdminAddress) -> bool {
    ask(address).is_ok_and(|answer| says_draining(&answer))
}

fn ask(address: &AdminAddress) -> io::Result<String> {
    match address {
        AdminAddress::Tcp(address) => {
            let loopback =
                SocketAddr::new(super::listener::reachable(address.ip()), address.port());
            let stream = TcpStream::connect_timeout(&loopback, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            converse(stream)
        }
        AdminAddress::Unix(path) => {
            let stream = net::dial_unix(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            converse(stream)
        }
    }
}

fn converse(mut stream: impl Read + Write) -> io::Result<String> {
    // Without a Host, so that any address will do.
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(answer)
}

fn says_draining(answer: &str) -> bool {
    let Some((_, body)) = answer.split_once("\r\n\r\n") else { return false };
    serde_json::from_str::<ReadyView>(body).is_ok_and(|view| view.draining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ringway_that_says_so_is_draining() {
        let view = |draining| {
            format!("{{\"ready\":false,\"draining\":{draining},\"pools_without_member\":[]}}")
        };
        let cases = [
            (format!("HTTP/1.0 503 x\r\na: b\r\n\r\n{}", view(true)), true),
            (format!("HTTP/1.0 503 x\r\na: b\r\n\r\n{}", view(false)), false),
            (view(true), false),
            ("HTTP/1.0 200 OK\r\n\r\n\"draining\":true".to_owned(), false),
            (String::new(), false),
        ];
        for (answer, expected) in cases {
            assert_eq!(says_draining(&answer), expected, "{answer}");
        }
    }
}
