//! User names and passwords (RFC 7617).

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::state::{Auth, Memory};
use super::{Question, Verdict, no_fields};
use crate::config::BasicConfig;
use crate::http::{Credentials, Name, UserPass, credentials, encode};
use crate::net::{Either, race};
use crate::stats::{Counter, Reason};

/// How long a wrong password is remembered at the most.
const WRONG_MOST: Duration = Duration::from_secs(10);

/// The token of the request's credentials.
fn token<'a>(question: &Question<'a>) -> Result<&'a [u8], Reason> {
    let value = question.head.value(Name::Authorization).ok_or(Reason::AuthMissing)?;
    if question.head.has_repeated(Name::Authorization) {
        return Err(Reason::AuthMalformed);
    }
    match credentials(value) {
        Credentials::Basic(token) => Ok(token),
        Credentials::Bearer(_) | Credentials::Other => Err(Reason::AuthMissing),
    }
}

/// The verdict, if it needs nobody else; `None`: the password must be verified.
pub(super) fn at_once(auth: &Auth, memory: &Memory, question: &Question<'_>) -> Option<Verdict> {
    let token = match token(question) {
        Ok(token) => token,
        Err(reason) => return Some(Err(reason)),
    };
    let remembered = memory.basic.as_ref()?;
    let version = memory.sources.users.as_ref()?.get().as_ref()?.0;
    let digest = auth.digest(question.rules, &[b"basic", token]);
    let verdict = remembered.borrow_mut().get(&digest, question.now, version)?;
    question.context.row.add(Counter::AuthRemembered, 1);
    Some(verdict.ok_or(Reason::AuthPassword))
}

/// The verdict of a thread that takes its time.
pub(super) async fn in_time(
    auth: &Auth,
    memory: &Memory,
    config: &BasicConfig,
    question: &Question<'_>,
) -> Verdict {
    let token = token(question)?;
    let pair = UserPass::read(token).ok_or(Reason::AuthMalformed)?;
    let desk = auth.desk.as_ref().ok_or(Reason::Internal)?;
    let users = memory.sources.users.as_ref().ok_or(Reason::Internal)?;
    let users = Arc::clone(users.get().as_ref().ok_or(Reason::Internal)?);
    let digest = auth.digest(question.rules, &[b"basic", token]);
    let fields = fields(config, pair.user());
    question.context.row.add(Counter::AuthPasswords, 1);
    // By the version, too: a verdict of users that were is none of those that are.
    let ticket = auth.digest(question.rules, &[b"verify", token, &users.0.to_be_bytes()]);
    let verified = pin!(desk.verify(&users, pair, ticket));
    let left = pin!(question.stream.ended());
    let right = match race(verified, left).await {
        Either::First(right) => right.ok_or(Reason::AuthBusy)?,
        Either::Second(()) => return Err(Reason::ClientGone),
    };
    let verdict = right.then_some(fields);
    if let (Some(remembered), Some(remember)) = (&memory.basic, config.remember) {
        let time = if right { remember.time } else { remember.time.min(WRONG_MOST) };
        let until = crate::clock::coarse().after(time);
        remembered.borrow_mut().insert(digest, verdict.clone(), until, users.0);
    }
    verdict.ok_or(Reason::AuthPassword)
}

/// What the member gets to know: a name that is in the file, or nothing that will be used.
fn fields(config: &BasicConfig, user: &[u8]) -> Rc<[u8]> {
    let Some(header) = &config.header else { return no_fields() };
    let mut line = Vec::new();
    encode::field(&mut line, header.as_bytes(), user);
    line.into()
}

/// Appends the challenge.
pub(super) fn challenge(out: &mut Vec<u8>, config: &BasicConfig) {
    out.extend_from_slice(b"WWW-Authenticate: Basic realm=\"");
    for byte in config.realm.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.extend_from_slice(b"\", charset=\"UTF-8\"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms_are_quoted() {
        let mut out = Vec::new();
        let config = BasicConfig {
            realm: "a \"b\" \\c".to_owned(),
            users: "u".into(),
            header: None,
            forward: false,
            remember: None,
        };
        challenge(&mut out, &config);
        let expected = "WWW-Authenticate: Basic realm=\"a \\\"b\\\" \\\\c\", charset=\"UTF-8\"\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
