//! Signed tokens of requests.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::{Auth, Memory};
use super::token::verify;
use super::{Question, Verdict};
use crate::clock;
use crate::config::{JwtConfig, TokenPlace};
use crate::http::{Credentials, Name, credentials};
use crate::net::{TICK, sleep};
use crate::proxy::hash_key::values;
use crate::stats::{Counter, Reason};

/// How long a token with a key that is not known waits for the keys to be fetched anew.
const PATIENCE: Duration = Duration::from_secs(2);

/// The request's token.
fn token<'a>(config: &'a JwtConfig, question: &Question<'a>) -> Result<&'a [u8], Reason> {
    let head = question.head;
    match &config.from {
        TokenPlace::Bearer => {
            let value = head.value(Name::Authorization).ok_or(Reason::AuthMissing)?;
            if head.has_repeated(Name::Authorization) {
                return Err(Reason::AuthMalformed);
            }
            match credentials(value) {
                Credentials::Bearer(token) => Ok(token),
                Credentials::Basic(_) | Credentials::Other => Err(Reason::AuthMissing),
            }
        }
        TokenPlace::Cookie(name) => {
            let cookies = head.fields().filter(|field| field.name == Name::Cookie);
            let mut found = cookies.flat_map(|field| values(field.value, b';', name.as_bytes()));
            let token = found.next().ok_or(Reason::AuthMissing)?;
            // A member might believe another one.
            if found.next().is_some() { Err(Reason::AuthMalformed) } else { Ok(token) }
        }
    }
}

/// The verdict; `None`: keys must be fetched before there is one.
pub(super) fn at_once(
    auth: &Auth,
    memory: &Memory,
    config: &JwtConfig,
    question: &Question<'_>,
) -> Option<Verdict> {
    match verdict(auth, memory, config, question) {
        Err(Reason::AuthUnknownKey | Reason::AuthNoKeys) => {
            let keys = memory.sources.keys.as_ref()?;
            let fetched = keys.want(question.now, PATIENCE);
            if fetched {
                return None;
            }
            let none = keys.current.get().is_none();
            Some(Err(if none { Reason::AuthNoKeys } else { Reason::AuthUnknownKey }))
        }
        verdict => Some(verdict),
    }
}

/// As [`at_once`], behind the fetch that is under way.
pub(super) async fn in_time(
    auth: &Auth,
    memory: &Memory,
    config: &JwtConfig,
    question: &Question<'_>,
) -> Verdict {
    let keys = memory.sources.keys.as_ref().ok_or(Reason::Internal)?;
    let before = keys.fetches.load(Ordering::Acquire);
    for _ in 0..PATIENCE.as_millis() / TICK.as_millis() {
        let verdict = verdict(auth, memory, config, question);
        if !matches!(verdict, Err(Reason::AuthUnknownKey | Reason::AuthNoKeys))
            || keys.fetches.load(Ordering::Acquire) != before
        {
            return verdict;
        }
        sleep(TICK).await;
    }
    verdict(auth, memory, config, question)
}

fn verdict(auth: &Auth, memory: &Memory, config: &JwtConfig, question: &Question<'_>) -> Verdict {
    let token = token(config, question)?;
    let keys = memory.sources.keys.as_ref().ok_or(Reason::Internal)?.current.get();
    let (version, keys) = keys.as_deref().ok_or(Reason::AuthNoKeys)?;
    let digest = memory.jwt.as_ref().map(|_| auth.digest(question.rules, &[b"jwt", token]));
    if let (Some(remembered), Some(digest)) = (&memory.jwt, &digest)
        && let Some(fields) = remembered.borrow_mut().get(digest, question.now, *version)
    {
        question.context.row.add(Counter::AuthRemembered, 1);
        return Ok(fields);
    }
    question.context.row.add(Counter::AuthTokens, 1);
    let wall = clock::unix();
    let verified = verify(token, keys, config, wall)?;
    let fields: std::rc::Rc<[u8]> = verified.fields.into();
    if let (Some(remembered), Some(digest), Some(remember)) = (&memory.jwt, digest, config.remember)
    {
        let time = remember.time.min(verified.until.saturating_sub(wall));
        let until = question.now.after(time);
        remembered.borrow_mut().insert(digest, std::rc::Rc::clone(&fields), until, *version);
    }
    Ok(fields)
}

/// Appends the challenge (RFC 6750 section 3).
pub(super) fn challenge(out: &mut Vec<u8>, reason: Reason) {
    out.extend_from_slice(b"WWW-Authenticate: Bearer");
    if reason != Reason::AuthMissing {
        out.extend_from_slice(b" error=\"invalid_token\", error_description=\"");
        out.extend_from_slice(reason.prose().as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}
