//! A service that is asked about each request: it gets no body, and may be asked twice.

use std::pin::pin;
use std::rc::Rc;

use super::cache::Digest;
use super::state::{Auth, Memory};
use super::{Question, Refusal, Verdict, no_fields};
use crate::clock;
use crate::config::{AuthRequestConfig, RememberConfig};
use crate::http::{Name, ResponseHead, encode, may_be_copied};
use crate::net::{Buffer, Either, Size, TICK, race, sleep};
use crate::proxy::call::{self, Call};
use crate::proxy::forwarded;
use crate::stats::{Counter, Reason};

/// What is asked, but for the first line and `Host`.
fn write(out: &mut Vec<u8>, config: &AuthRequestConfig, question: &Question<'_>) {
    let head = question.head;
    for field in head.fields().filter(|field| is_sent(config, field.name_bytes)) {
        if !head.is_hop_by_hop(&field) {
            encode::field_as_sent(out, &field);
        }
    }
    for name in [&b"X-Original-Method"[..], b"X-Forwarded-Method"] {
        encode::field(out, name, head.method_bytes());
    }
    for name in [&b"X-Original-URI: "[..], b"X-Forwarded-Uri: "] {
        out.extend_from_slice(name);
        out.extend_from_slice(head.path());
        if let Some(query) = head.query() {
            out.push(b'?');
            out.extend_from_slice(query);
        }
        out.extend_from_slice(encode::CRLF);
    }
    if !head.authority().is_empty() {
        encode::field(out, b"X-Original-Host", head.authority());
    }
    forwarded::write(out, head, question.peer, question.listener, question.client);
    if let Some(identity) = question.identity {
        out.extend_from_slice(identity);
    }
    out.extend_from_slice(encode::CRLF);
}

/// Whether the service gets a client's field. What it is told by us nobody else says.
fn is_sent(config: &AuthRequestConfig, name: &[u8]) -> bool {
    config.headers.iter().any(|sent| sent.as_bytes().eq_ignore_ascii_case(name))
}

/// By what an answer is remembered; `None`: it is not.
fn digest(
    auth: &Auth,
    config: &AuthRequestConfig,
    remember: RememberConfig,
    question: &Question<'_>,
) -> Option<Digest> {
    let mut text = Buffer::take(Size::Medium);
    if remember.by_credential {
        let fields = question.head.fields();
        for field in fields.filter(|field| is_sent(config, field.name_bytes)) {
            encode::field(text.tail(), field.name_bytes, field.value);
        }
        if text.is_empty() {
            // Nobody's credentials are not everybody's.
            return None;
        }
    } else {
        write(text.tail(), config, question);
    }
    Some(auth.digest(question.rules, &[b"request", text.data()]))
}

/// The answer, if it is remembered; `None`: the service must be asked.
pub(super) fn at_once(
    auth: &Auth,
    memory: &Memory,
    config: &AuthRequestConfig,
    question: &Question<'_>,
) -> Option<Verdict> {
    let (remembered, remember) = (memory.request.as_ref()?, config.remember?);
    let digest = digest(auth, config, remember, question)?;
    let fields = remembered.borrow_mut().get(&digest, question.now, 0)?;
    question.context.row.add(Counter::AuthRemembered, 1);
    Some(Ok(fields))
}

/// Asks the service.
pub(super) async fn in_time(
    auth: &Auth,
    memory: &Memory,
    config: &AuthRequestConfig,
    question: &Question<'_>,
) -> Result<Rc<[u8]>, Refusal> {
    let context = question.context;
    context.row.add(Counter::AuthRequests, 1);
    let mut fields = Vec::with_capacity(1024);
    write(&mut fields, config, question);
    let call = Call {
        context,
        pool: config.pool,
        client: Some(question.stream),
        ends: question.peer.ends(question.stream),
        key: question.client,
        until: clock::now().after(config.timeout),
        retries: true,
    };
    let mut scratch = context.take_scratch();
    let answered = {
        let write = |out: &mut Vec<u8>, host: &str| {
            encode::request_line(out, b"GET", config.path.as_bytes(), None);
            encode::field(out, b"Host", host.as_bytes());
            out.extend_from_slice(&fields);
        };
        let call = pin!(call::call(&call, &write, &mut scratch.response));
        // Deadlines end what hangs; this is for a queue, and for a connection that takes too long.
        let late = pin!(sleep(config.timeout + TICK * 2));
        match race(call, late).await {
            Either::First(answered) => answered,
            Either::Second(()) => Err(Reason::ResponseTimeout),
        }
    };
    let verdict = match answered {
        Ok(()) => read(config, &scratch.response),
        Err(Reason::ClientGone) => Err(Reason::ClientGone.into()),
        Err(reason) => {
            context.row.error(reason);
            Err(Reason::AuthDown.into())
        }
    };
    context.keep_scratch(scratch);
    if let (Ok(fields), Some(remembered), Some(remember)) =
        (&verdict, &memory.request, config.remember)
        && let Some(digest) = digest(auth, config, remember, question)
    {
        let until = clock::coarse().after(remember.time);
        remembered.borrow_mut().insert(digest, Rc::clone(fields), until, 0);
    }
    verdict
}

/// What an answer says.
fn read(config: &AuthRequestConfig, answer: &ResponseHead) -> Result<Rc<[u8]>, Refusal> {
    let mut fields = Vec::new();
    let mut copy = |listed: &dyn Fn(&[u8]) -> bool| {
        for field in answer.fields() {
            let passes = may_be_copied(field.name_bytes) && !answer.is_hop_by_hop(&field);
            if passes && listed(field.name_bytes) {
                encode::field(&mut fields, field.name_bytes, field.value);
            }
        }
    };
    let is_in = |list: &[String], name: &[u8]| {
        list.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
    };
    let told =
        |name: &[u8]| name.eq_ignore_ascii_case(b"www-authenticate") || is_in(&config.pass, name);
    let (reason, redirect) = match answer.status() {
        200..=299 => {
            copy(&|name| is_in(&config.copy, name));
            return Ok(if fields.is_empty() { no_fields() } else { fields.into() });
        }
        401 => (Reason::AuthRefused, None),
        403 => (Reason::AuthForbidden, None),
        status @ (301 | 302 | 303 | 307 | 308)
            if config.redirects && answer.value(Name::Location).is_some() =>
        {
            copy(&|name| Name::of(name) == Name::Location || is_in(&config.pass, name));
            return Err(Refusal { reason: Reason::AuthRefused, fields, redirect: Some(status) });
        }
        _ => return Err(Reason::AuthBadAnswer.into()),
    };
    copy(&told);
    Err(Refusal { reason, fields, redirect })
}
