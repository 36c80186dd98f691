//! One GET of a URL: its body, within bounds. Nothing is followed, and nothing is kept open.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::channel::Channel;
use super::resolve::{self, ResolveError};
use crate::config::JwksUrl;
use crate::http::{
    ChunkDecoder, Event, Framing, HeadLimits, Method, Parsed, ResponseHead, encode,
    response_framing,
};
use crate::net::tls::{TlsConnector, TlsFault};

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// For one address of several.
const CONNECT: Duration = Duration::from_secs(3);

/// Addresses of a name that are tried.
const ADDRESSES_MOST: usize = 8;

/// Bytes of a body.
const BODY_MOST: usize = 1 << 20;

/// Of a head.
const HEAD: HeadLimits = HeadLimits { bytes: 32 << 10, fields: 200 };

/// Why there is no body.
#[derive(Debug)]
pub(super) enum FetchError {
    Resolve(ResolveError),
    Connect(io::Error),
    Tls(TlsFault),
    Broken(io::Error),
    BadAnswer,
    Status(u16),
    TooLarge,
    Late,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "{error}"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Tls(fault) => write!(f, "no TLS: {fault:?}"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::BadAnswer => f.write_str("the answer is not valid HTTP/1"),
            Self::Status(status) => write!(f, "the status is {status}, not 200"),
            Self::TooLarge => f.write_str("the answer has more than 1 MiB"),
            Self::Late => f.write_str("no answer in time"),
        }
    }
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Fetches what stands at `url`; `servers` are asked for its host, if that is a name.
pub(super) async fn fetch(
    url: &JwksUrl,
    tls: Option<&TlsConnector>,
    servers: &[SocketAddr],
) -> Result<Vec<u8>, FetchError> {
    timeout(PATIENCE, get(url, tls, servers)).await.unwrap_or(Err(FetchError::Late))
}

async fn get(
    url: &JwksUrl,
    tls: Option<&TlsConnector>,
    servers: &[SocketAddr],
) -> Result<Vec<u8>, FetchError> {
    let addresses = match url.host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => resolve::lookup(&url.host, servers).await.map_err(FetchError::Resolve)?,
    };
    let stream = connect(&addresses, url.port).await?;
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let authority = format!("{host}:{}", url.port);
    let mut channel = match tls {
        None => Channel::plain(stream),
        Some(tls) => {
            let peer = tls.peer(&authority);
            Channel::secure(stream, &peer).await.map_err(FetchError::Tls)?
        }
    };
    let standard = url.port == if url.secure { 443 } else { 80 };
    let named = if standard { &host } else { &authority };
    let mut request = Vec::new();
    encode::request_line(&mut request, b"GET", url.path.as_bytes(), None);
    encode::field(&mut request, b"Host", named.as_bytes());
    encode::field(&mut request, b"Accept", b"application/jwk-set+json, application/json");
    encode::field(
        &mut request,
        b"User-Agent",
        concat!("ringway/", env!("CARGO_PKG_VERSION")).as_bytes(),
    );
    encode::field(&mut request, b"Connection", b"close");
    request.extend_from_slice(encode::CRLF);
    channel.write_all(&request).await?;
    let mut received = Vec::new();
    let head = read_head(&mut channel, &mut received).await?;
    if head.status() != 200 {
        return Err(FetchError::Status(head.status()));
    }
    let framing = response_framing(&head, Method::Get).map_err(|_| FetchError::BadAnswer)?;
    read_body(&mut channel, received, framing).await
}

/// The first address that takes a connection.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, FetchError> {
    let mut last = FetchError::Late;
    for address in addresses.iter().take(ADDRESSES_MOST) {
        match timeout(CONNECT, TcpStream::connect((*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = FetchError::Connect(error),
            Err(_) => last = FetchError::Late,
        }
    }
    Err(last)
}

/// Takes the final head off `received`.
async fn read_head(
    channel: &mut Channel,
    received: &mut Vec<u8>,
) -> Result<ResponseHead, FetchError> {
    let mut head = ResponseHead::new();
    loop {
        match head.parse(received, &HEAD).map_err(|_| FetchError::BadAnswer)? {
            Parsed::Complete(end) => {
                received.drain(..end);
                if head.status() >= 200 {
                    return Ok(head);
                }
                head.clear();
            }
            Parsed::Partial => more(channel, received).await?,
        }
    }
}

async fn more(channel: &mut Channel, into: &mut Vec<u8>) -> Result<(), FetchError> {
    if into.len() > BODY_MOST {
        return Err(FetchError::TooLarge);
    }
    match channel.read_buf(into).await? {
        0 => Err(FetchError::Broken(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}

/// The body; `body` is what came with the head.
async fn read_body(
    channel: &mut Channel,
    mut body: Vec<u8>,
    framing: Framing,
) -> Result<Vec<u8>, FetchError> {
    match framing {
        Framing::None => body.clear(),
        Framing::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= BODY_MOST);
            let length = length.ok_or(FetchError::TooLarge)?;
            while body.len() < length {
                more(channel, &mut body).await?;
            }
            body.truncate(length);
        }
        Framing::UntilClose => loop {
            match more(channel, &mut body).await {
                Ok(()) => {}
                Err(FetchError::Broken(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    break;
                }
                Err(error) => return Err(error),
            }
        },
        Framing::Chunked => return read_chunks(channel, body).await,
    }
    Ok(body)
}

async fn read_chunks(channel: &mut Channel, mut coded: Vec<u8>) -> Result<Vec<u8>, FetchError> {
    let (mut decoder, mut body) = (ChunkDecoder::new(HEAD.bytes), Vec::new());
    loop {
        let step = decoder.decode(&coded).map_err(|_| FetchError::BadAnswer)?;
        match step.event {
            Event::End => return Ok(body),
            Event::Data { start, end } => {
                body.extend_from_slice(coded.get(start..end).unwrap_or_default());
            }
            Event::NeedMore => {}
        }
        if body.len() > BODY_MOST {
            return Err(FetchError::TooLarge);
        }
        coded.drain(..step.consumed);
        if step.event == Event::NeedMore {
            more(channel, &mut coded).await?;
        }
    }
}
