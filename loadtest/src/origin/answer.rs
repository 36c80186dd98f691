//! The bytes of answers, and how they are sent: at once, in pieces, slowly, or not to their end.

use super::behaviour::{Fault, Pace, Shape, Wanted};
use super::filler::{PIECE, piece};
use crate::timer::Timer;
use crate::wire::Wire;
use std::io::{self, Write};

/// The bytes of the last answer, kept because the next one is nearly always the same.
#[derive(Default)]
pub(super) struct Answer {
    built: Option<Shape>,
    bytes: Vec<u8>,
}

impl Shape {
    fn is_bodiless(self) -> bool {
        self.head_only || matches!(self.status, 204 | 304)
    }

    fn head(self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            204 => "No Content",
            304 => "Not Modified",
            404 => "Not Found",
            500 => "Internal Server Error",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "As Asked",
        };
        let mut head = format!(
            "HTTP/1.1 {} {reason}\r\nServer: loadtest\r\nContent-Type: text/plain\r\n",
            self.status
        );
        if self.close {
            head.push_str("Connection: close\r\n");
        }
        match (self.status, self.chunked) {
            (204, _) => {}
            (_, true) => head.push_str("Transfer-Encoding: chunked\r\n"),
            (_, false) => head.push_str(&format!("Content-Length: {}\r\n", self.size)),
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

impl Answer {
    /// Sends what is wanted; false if the connection is to be reset.
    pub(super) async fn send(
        &mut self,
        wire: &mut Wire,
        wanted: &Wanted,
        timer: &Timer,
    ) -> io::Result<bool> {
        let shape = wanted.shape;
        let is_small = shape.is_bodiless() || shape.size <= PIECE as u64;
        if wanted.fault.is_some() || wanted.pace.is_some() || !is_small {
            return stream(wire, wanted, timer).await;
        }
        if self.built != Some(shape) {
            self.bytes = shape.head();
            if !shape.is_bodiless() {
                append(&mut self.bytes, piece(0, shape.size), shape.chunked)?;
                append_end(&mut self.bytes, shape.chunked);
            }
            self.built = Some(shape);
        }
        self.bytes = wire.send(std::mem::take(&mut self.bytes)).await?;
        Ok(true)
    }
}

async fn stream(wire: &mut Wire, wanted: &Wanted, timer: &Timer) -> io::Result<bool> {
    let shape = wanted.shape;
    let mut head = shape.head();
    let end = match wanted.fault {
        Some(Fault::Before | Fault::Hang) => return Ok(false),
        Some(Fault::Head) => {
            head.truncate(head.len() / 2);
            wire.send(head).await?;
            return Ok(false);
        }
        Some(Fault::Body) => shape.size / 2,
        None => shape.size,
    };
    wire.send(head).await?;
    if shape.is_bodiless() {
        return Ok(wanted.fault.is_none());
    }
    let mut sent = 0;
    let mut bytes = Vec::new();
    while sent < end {
        let most = wanted.pace.map_or(PIECE as u64, |pace| pace.bytes);
        let piece = piece(sent, most.min(end - sent));
        sent += piece.len() as u64;
        if shape.chunked {
            bytes.clear();
            append(&mut bytes, piece, true)?;
            bytes = wire.send(bytes).await?;
        } else {
            wire.send(piece).await?;
        }
        if let Some(Pace { each, .. }) = wanted.pace
            && sent < end
        {
            timer.sleep(each).await;
        }
    }
    if wanted.fault.is_some() {
        return Ok(false);
    }
    bytes.clear();
    append_end(&mut bytes, shape.chunked);
    if !bytes.is_empty() {
        wire.send(bytes).await?;
    }
    Ok(true)
}

fn append(bytes: &mut Vec<u8>, piece: &[u8], chunked: bool) -> io::Result<()> {
    if chunked && !piece.is_empty() {
        write!(bytes, "{:x}\r\n", piece.len())?;
    }
    bytes.extend_from_slice(piece);
    if chunked && !piece.is_empty() {
        bytes.extend_from_slice(b"\r\n");
    }
    Ok(())
}

fn append_end(bytes: &mut Vec<u8>, chunked: bool) {
    if chunked {
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{self, Framing};

    #[test]
    fn heads_are_what_they_should_be() {
        let shape = Shape { status: 200, size: 7, chunked: false, head_only: false, close: false };
        let check = |shape: Shape, expected: (u16, bool, Framing)| {
            let found = head::response(&shape.head(), false).unwrap();
            assert_eq!((found.status, found.keep_alive, found.body), expected);
        };
        check(shape, (200, true, Framing::Exact(7)));
        check(Shape { chunked: true, close: true, ..shape }, (200, false, Framing::Chunked));
        check(Shape { status: 204, ..shape }, (204, true, Framing::Exact(0)));
        check(Shape { status: 999, ..shape }, (999, true, Framing::Exact(7)));
    }
}
