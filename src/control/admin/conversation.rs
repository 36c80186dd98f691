//! Connections to the admin interface: one request each, bounded in number, size and time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1::Builder;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::guard::Guard;
use super::listener::Socket;
use super::refusal::Refusal;
use crate::stats::{Counter, Row};

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 64;
/// Bytes of a request head, and fields in it.
const HEAD: usize = 16 << 10;
const FIELDS: usize = 64;
/// For a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// For making the answer, the request's body included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a connection as a whole: the rest is for a slow reader.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);
/// What a client may still send behind its answer, and for how long: closing with unread bytes
/// would reset the connection before the answer is read.
const LINGER_BYTES: u64 = 256 << 10;
const LINGER: Duration = Duration::from_secs(1);
/// How long accepting pauses when the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever. Counts in `row`, the control thread's.
pub(super) async fn serve(socket: Socket, guard: Guard, router: Router, row: Arc<Row>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let (router, row) = (router.clone(), Arc::clone(&row));
        let accepted = match &socket {
            Socket::Tcp(listener) => {
                let accepted = listener.accept().await;
                accepted.map(|(stream, _)| tokio::spawn(converse(stream, guard, router)))
            }
            Socket::Unix(listener, _) => {
                let accepted = listener.accept().await;
                accepted.map(|(stream, _)| tokio::spawn(converse(stream, guard, router)))
            }
        };
        match accepted {
            Ok(conversation) => drop(tokio::spawn(async move {
                if conversation.await.is_err() {
                    row.add(Counter::Panics, 1);
                    tracing::error!("a request to the admin interface failed, a bug");
                }
                drop(place);
            })),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// One request and its answer.
async fn converse<S>(stream: S, guard: Guard, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| Box::pin(answer(request, guard, router.clone())));
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD)
        .max_headers(FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let served = poll_fn(|context| connection.poll_without_shutdown(context));
    if timeout(WHOLE_TIMEOUT, served).await.is_err() {
        return;
    }
    // Also behind an error: hyper has answered it, if it could.
    let mut stream = connection.into_parts().io.into_inner();
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let mut sink = tokio::io::sink();
        // What comes is of no interest, nor is how it ends.
        _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut sink)).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    guard: Guard,
    router: Router,
) -> Result<Response, Infallible> {
    let mut response = match guard.check(&request) {
        Err(why) => Refusal::new(StatusCode::FORBIDDEN, why.prose()).into_response(),
        Ok(()) => {
            let answer = TowerToHyperService::new(router).call(request);
            match timeout(ANSWER_TIMEOUT, answer).await {
                Ok(answer) => answer.into_response(),
                Err(_) => {
                    let why = "the request's body did not come, or the answer took too long";
                    Refusal::new(StatusCode::REQUEST_TIMEOUT, why).into_response()
                }
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
