//! `ringway demo`: three origins inside the process and a proxy in front of them.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::http::{HeadLimits, Parsed, RequestHead, encode};
use crate::net::{self, Acceptor, BindError, Buffer, Driver, Size, Stream};

/// Names of the origins, and what two of them are for.
const ORIGINS: [&str; 3] = ["red", "green", "blue"];

/// Where the demo looks for a place for its admin interface.
const ADMIN_PORTS: RangeInclusive<u16> = 9901..=9999;

/// Starts the origins, each on a thread and a port of its own.
///
/// # Errors
/// No port or no thread is to be had.
pub fn start_origins(driver: Driver) -> Result<Vec<SocketAddr>, BindError> {
    let mut addresses = Vec::new();
    for name in ORIGINS {
        let mut listening = net::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1, false)?;
        addresses.push(listening.address);
        let Some(socket) = listening.sockets.pop() else { continue };
        let serve = move || {
            let served = net::block_on(driver, async move {
                let acceptor = Acceptor::new(socket);
                accept_all(&acceptor, name).await
            });
            if let Err(error) | Ok(Err(error)) = served {
                tracing::error!(%error, origin = name, "the origin ended");
            }
        };
        std::thread::Builder::new()
            .name(format!("origin-{name}"))
            .spawn(serve)
            .map_err(|source| BindError { address: listening.address, source })?;
    }
    Ok(addresses)
}

/// A free address for the admin interface: the usual port, or one of those that follow.
#[must_use]
pub fn admin_address() -> Option<SocketAddr> {
    let mut candidates = ADMIN_PORTS.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    candidates.find(|address| TcpListener::bind(address).is_ok())
}

/// The configuration that the demo runs.
#[must_use]
pub fn config(listen: SocketAddr, admin: Option<SocketAddr>, origins: &[SocketAddr]) -> String {
    let quoted: Vec<String> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
    let first = quoted.first().cloned().unwrap_or_default();
    let all = quoted.join(", ");
    let admin = admin.map_or_else(String::new, |admin| format!("admin = \"{admin}\"\n"));
    format!(
        r#"[server]
workers = "auto"                   # one per core
{admin}access_log = "stdout"

[listener.web]                     # the reverse-proxy hat: what is done to a request
bind = ["{listen}"]

[[route]]
path = "/red/*"
pool = "red"

[[route]]
path = "/*"
pool = "all"

[pool.all]                         # the load-balancer hat: how a member is picked and reached
balance = "round-robin"
members = [{all}]

[pool.red]
balance = "least-connections"
members = [{first}]
"#
    )
}

/// What to try, for people.
#[must_use]
pub fn advice(listen: SocketAddr, admin: Option<SocketAddr>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = writeln!(text, "\nTry, from another terminal:");
    let asking = admin.map(|admin| {
        [
            (format!("ringway top --admin {admin}"), "rates, anew every second"),
            (format!("ringway members --admin {admin}"), "members and their states"),
            (format!("curl http://{admin}/metrics"), "for Prometheus"),
        ]
    });
    let commands = [
        (format!("curl http://{listen}/"), "again and again: red, green and blue take turns"),
        (format!("curl http://{listen}/red/x"), "a route of its own"),
        (format!("curl -v -d hello http://{listen}/form"), "a body; the origin tells what it got"),
        (
            format!("curl -H 'X-Forwarded-For: 6.6.6.6' http://{listen}/"),
            "a spoofed client is not believed",
        ),
        ("kill -USR1 $(pgrep -x ringway)".to_owned(), "counters per core, printed here"),
        ("kill $(pgrep -x ringway)".to_owned(), "drain and end (or Ctrl-C here)"),
    ];
    for (command, what) in commands.into_iter().chain(asking.into_iter().flatten()) {
        _ = writeln!(text, "  {command:<58} # {what}");
    }
    text
}

async fn accept_all(acceptor: &Acceptor, name: &'static str) -> io::Result<()> {
    let panicked = || tracing::error!("a demo connection ended by a bug");
    loop {
        acceptor.ready().await?;
        while let Some((stream, _)) = acceptor.accept()? {
            net::spawn(serve(Rc::new(stream), name), panicked);
        }
    }
}

/// Answers every request with what arrived of it.
async fn serve(stream: Rc<Stream>, name: &'static str) {
    let limits = HeadLimits { bytes: 64 << 10, fields: 200 };
    let (mut head, mut received) = (RequestHead::new(), Buffer::take(Size::Large));
    loop {
        let length = match head.parse(received.data(), &limits) {
            Ok(Parsed::Complete(length)) => length,
            Ok(Parsed::Partial) if stream.recv(&mut received).await.is_ok() => continue,
            _ => return,
        };
        let mut body = format!("Hello from origin {name}. It was asked:\n\n");
        body.push_str(&String::from_utf8_lossy(received.data().get(..length).unwrap_or_default()));
        received.consume(length);
        let mut out = Buffer::take(Size::Large);
        encode::status_line(out.tail(), 200, b"OK");
        encode::field(out.tail(), b"Content-Type", b"text/plain; charset=utf-8");
        encode::content_length(out.tail(), body.len() as u64);
        out.tail().extend_from_slice(b"\r\n");
        out.tail().extend_from_slice(body.as_bytes());
        // A body is not read: the connection ends behind its answer.
        let ends = crate::http::request_framing(&head) != Ok(crate::http::Framing::None);
        if stream.send(&mut out).await.is_err() || ends {
            return;
        }
        head.clear();
    }
}
