//! One probe of one member, over a connection of its own: HTTP, or a bare connection; both in TLS
//! where the pool speaks it.
//!
//! The probe as a whole has one timeout. An answer counts once it is there whole, or its first
//! 64 KiB are. Must not know what a result leads to.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use memchr::memmem;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use super::channel::Channel;
use crate::balancer::Site;
use crate::balancer::health::{ProbeFailure, ProbeResult};
use crate::clock;
use crate::config::{HealthConfig, LimitsConfig, Probe, ProxyVersion};
use crate::http::{
    ChunkDecoder, Event, Framing, HeadLimits, Method, Parsed, ResponseHead, encode,
    response_framing,
};
use crate::net::Address;
use crate::net::tls::{TlsConnector, TlsPeer};
use crate::wire;

/// How much of a body is looked at.
const BODY_MOST: usize = 64 * 1024;

/// Between two attempts at a Unix socket that has no room for a connection.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// How a member is probed: everything that does not change from probe to probe.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    address: Address,
    timeout: Duration,
    http: Option<Http>,
    tls: Option<TlsPeer>,
    /// What every connection begins with.
    header: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Http {
    request: Vec<u8>,
    method: Method,
    status: Vec<(u16, u16)>,
    text: Option<String>,
    head: HeadLimits,
    trailers: usize,
}

/// Why a probe says nothing about its member: this host could not make it.
#[derive(Debug)]
pub(super) struct Skipped(pub(super) io::Error);

/// Why a probe ended without success.
enum Stop {
    Failed(ProbeFailure),
    Skipped(Skipped),
}

impl From<ProbeFailure> for Stop {
    fn from(failure: ProbeFailure) -> Self {
        Self::Failed(failure)
    }
}

impl Prober {
    /// Probes the member at `site`.
    pub(super) fn new(
        health: &HealthConfig,
        limits: &LimitsConfig,
        site: &Site,
        tls: Option<&TlsConnector>,
    ) -> Self {
        let mut address = site.address.clone();
        if let (Address::Ip(address), Some(port)) = (&mut address, health.port) {
            address.set_port(port);
        }
        let http = Http::new(&health.probe, limits, &site.host);
        let tls = tls.map(|tls| tls.peer(&site.host));
        Self { address, timeout: health.timeout, http, tls, header: Vec::new() }
    }

    /// The same, with the header in front that the member expects of connections; it names no
    /// client.
    pub(super) fn announced(mut self, version: Option<ProxyVersion>) -> Self {
        match version {
            None => {}
            Some(ProxyVersion::V1) => wire::local_v1(&mut self.header),
            Some(ProxyVersion::V2) => wire::local_v2(&mut self.header),
        }
        self
    }

    /// Makes one probe, which ends within its timeout.
    pub(super) async fn probe(&self) -> Result<ProbeResult, Skipped> {
        match self.run().await {
            Ok(()) => Ok(Ok(())),
            Err(Stop::Failed(failure)) => Ok(Err(failure)),
            Err(Stop::Skipped(skipped)) => Err(skipped),
        }
    }

    async fn run(&self) -> Result<(), Stop> {
        let start = clock::now();
        let connect = timeout(self.timeout, connect(&self.address)).await;
        let stream = connect.map_err(|_| ProbeFailure::ConnectTimeout)?.map_err(not_connected)?;
        let left = self.timeout.saturating_sub(clock::now().since(start));
        let rest = timeout(left, self.go_on(stream)).await.map_err(|_| ProbeFailure::Timeout)?;
        Ok(rest?)
    }

    async fn go_on(&self, mut stream: TcpStream) -> Result<(), ProbeFailure> {
        if !self.header.is_empty() {
            // Whether the member likes it shows in its answer, if one is asked for.
            _ = stream.write_all(&self.header).await;
        }
        let channel = match &self.tls {
            None => Channel::plain(stream),
            Some(peer) => Channel::secure(stream, peer).await.map_err(ProbeFailure::Tls)?,
        };
        match &self.http {
            None => Ok(()),
            Some(http) => http.ask(channel).await,
        }
    }
}

/// A connection to a member. That of a Unix socket is used as if it were one of TCP: all that is done
/// with it is done by its descriptor.
async fn connect(address: &Address) -> io::Result<TcpStream> {
    let path = match address {
        Address::Ip(address) => return TcpStream::connect(address).await,
        Address::Unix(path) => path,
    };
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => {
                let descriptor = OwnedFd::from(stream.into_std()?);
                return TcpStream::from_std(descriptor.into());
            }
            // The backlog is full, and nothing tells when it has room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(BACKLOG_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a failed connect says: that no descriptor, memory or port is left is no fault of a member.
fn not_connected(error: io::Error) -> Stop {
    let code = error.raw_os_error().unwrap_or(0);
    match code {
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL => {
            Stop::Skipped(Skipped(error))
        }
        libc::ECONNREFUSED | libc::ENOENT => ProbeFailure::Refused.into(),
        libc::ETIMEDOUT => ProbeFailure::ConnectTimeout.into(),
        _ => ProbeFailure::Unreachable(code).into(),
    }
}

impl Http {
    fn new(probe: &Probe, limits: &LimitsConfig, member: &str) -> Option<Self> {
        let Probe::Http { method, path, host, headers, status, body } = probe else { return None };
        let mut request = Vec::new();
        encode::request_line(&mut request, method.as_bytes(), path.as_bytes(), None);
        let host = host.as_deref().unwrap_or(member);
        encode::field(&mut request, b"Host", host.as_bytes());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            let agent = concat!("ringway-health/", env!("CARGO_PKG_VERSION"));
            encode::field(&mut request, b"User-Agent", agent.as_bytes());
        }
        for (name, value) in headers {
            encode::field(&mut request, name.as_bytes(), value.as_bytes());
        }
        // RFC 9110 8.6: these methods are expected to have a body.
        if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            encode::content_length(&mut request, 0);
        }
        encode::field(&mut request, b"Connection", b"close");
        request.extend_from_slice(encode::CRLF);
        Some(Self {
            request,
            method: if method == "HEAD" { Method::Head } else { Method::Get },
            status: status.clone(),
            text: body.clone(),
            head: HeadLimits { bytes: limits.response_head, fields: limits.response_headers },
            trailers: limits.trailers,
        })
    }

    async fn ask(&self, mut stream: Channel) -> Result<(), ProbeFailure> {
        // A member that does not read the request may have answered all the same.
        _ = stream.write_all(&self.request).await;
        let mut received = Vec::new();
        let head = self.read_head(&mut stream, &mut received).await?;
        let status = head.status();
        if !self.status.iter().any(|(low, high)| (*low..=*high).contains(&status)) {
            return Err(ProbeFailure::Status(status));
        }
        let framing = response_framing(&head, self.method).map_err(|_| ProbeFailure::BadAnswer)?;
        let body = self.read_body(&mut stream, received, framing).await?;
        match &self.text {
            Some(text) if memmem::find(&body, text.as_bytes()).is_none() => Err(ProbeFailure::Body),
            _ => Ok(()),
        }
    }

    /// Reads the final head, and takes it and what came before off `received`.
    async fn read_head(
        &self,
        stream: &mut Channel,
        received: &mut Vec<u8>,
    ) -> Result<ResponseHead, ProbeFailure> {
        let mut head = ResponseHead::new();
        loop {
            match head.parse(received, &self.head).map_err(|_| ProbeFailure::BadAnswer)? {
                Parsed::Complete(end) => {
                    received.drain(..end);
                    if !matches!(head.status(), 100 | 102..=199) {
                        return Ok(head);
                    }
                    head.clear();
                }
                Parsed::Partial => read_more(stream, received).await?,
            }
        }
    }

    /// The body, or as much of it as is looked at. `body` is what came with the head.
    async fn read_body(
        &self,
        stream: &mut Channel,
        mut body: Vec<u8>,
        framing: Framing,
    ) -> Result<Vec<u8>, ProbeFailure> {
        match framing {
            Framing::None => body.clear(),
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(BODY_MOST);
                while body.len() < length {
                    read_more(stream, &mut body).await?;
                }
                body.truncate(length);
            }
            Framing::UntilClose => {
                while body.len() < BODY_MOST && receive(stream, &mut body).await? > 0 {}
                body.truncate(BODY_MOST);
            }
            Framing::Chunked => return self.read_chunks(stream, body).await,
        }
        Ok(body)
    }

    async fn read_chunks(
        &self,
        stream: &mut Channel,
        mut received: Vec<u8>,
    ) -> Result<Vec<u8>, ProbeFailure> {
        let mut decoder = ChunkDecoder::new(self.trailers);
        let mut body = Vec::new();
        while body.len() < BODY_MOST {
            let step = decoder.decode(&received).map_err(|_| ProbeFailure::BadAnswer)?;
            if let Event::Data { start, end } = step.event {
                body.extend_from_slice(received.get(start..end).unwrap_or_default());
            }
            received.drain(..step.consumed);
            match step.event {
                Event::End => break,
                Event::Data { .. } => {}
                Event::NeedMore => read_more(stream, &mut received).await?,
            }
        }
        body.truncate(BODY_MOST);
        Ok(body)
    }
}

/// Receives a piece, which may be the end (0 bytes).
async fn receive(stream: &mut Channel, into: &mut Vec<u8>) -> Result<usize, ProbeFailure> {
    stream.read_buf(into).await.map_err(|_| ProbeFailure::Closed)
}

/// Receives a piece; the end is a failure.
async fn read_more(stream: &mut Channel, into: &mut Vec<u8>) -> Result<(), ProbeFailure> {
    match receive(stream, into).await? {
        0 => Err(ProbeFailure::Closed),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
