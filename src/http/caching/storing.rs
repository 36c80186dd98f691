//! Whether an answer may be stored, and for how long it is fresh (RFC 9111 3 and 4.2). A shared
//! cache. All times in seconds.

use super::answer::{CacheAnswer, CacheRequest, Varies, span};
use super::directives::SECONDS_MAX;

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoringPolicy {
    /// How long answers are fresh that do not say so themselves: statuses from, to, seconds. The
    /// first that fits.
    pub times: Vec<(u16, u16, u64)>,
    /// `times` also replace what answers say of their freshness.
    pub overrule: bool,
    /// What part of the time since its last change an answer is fresh for, in percent, where
    /// nothing else says; 0: for none.
    pub heuristic: u64,
    /// The most that makes.
    pub heuristic_most: u64,
    /// What becomes of answers that set cookies.
    pub cookies: CookiePolicy,
    /// Where answers say nothing of it.
    pub stale_while_revalidate: u64,
    /// Where answers say nothing of it.
    pub stale_if_error: u64,
}

/// What becomes of answers that set cookies: the next client would get them, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookiePolicy {
    /// They are stored if they say that they are for everybody: `public`, `s-maxage`, or a field
    /// meant for shared caches.
    IfShared,
    /// They are stored as others are.
    Store,
    /// They are not stored.
    Refuse,
}

/// For how long a stored answer is good for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Its age when it came.
    pub initial_age: u64,
    /// Up to this age it is fresh.
    pub fresh: u64,
    /// It is to be validated before each use.
    pub always_validate: bool,
    /// So long after that it may be used while another one is fetched.
    pub stale_while_revalidate: u64,
    /// So long after that it may be used when no other one can be had.
    pub stale_if_error: u64,
    /// A client may take it stale if it wants to.
    pub may_be_stale: bool,
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    /// The request or the answer says `no-store`.
    NoStore,
    /// It is for one client.
    Private,
    /// It answers a request with `Authorization`, and does not say that it is for others, too.
    Authorized,
    /// It sets cookies.
    SetsCookies,
    /// No other request is sure to get the same: `Vary: *`.
    VariesByAnything,
    /// Its status is a part of an answer, or unknown where it must be understood, or one that is
    /// only stored if the answer says for how long.
    Status,
    /// It is stale, and could not be validated.
    Useless,
    /// It is larger than what is stored, or there is no room.
    TooLarge,
}

/// Statuses whose answers are stored without being told (RFC 9110 15.1).
const fn is_heuristic(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Statuses whose meaning for caches is known, for `must-understand`.
const fn is_understood(status: u16) -> bool {
    is_heuristic(status)
        || matches!(status, 201 | 202 | 205 | 302 | 303 | 307 | 400..=403 | 406..=409)
        || matches!(status, 411..=413 | 415..=417 | 421 | 422 | 429 | 451 | 500 | 502..=504)
}

impl StoringPolicy {
    fn time(&self, status: u16) -> Option<u64> {
        let fits = |(from, to, _): &&(u16, u16, u64)| (*from..=*to).contains(&status);
        self.times.iter().find(fits).map(|(_, _, time)| *time)
    }
}

/// Whether `answer` may be stored for others than who asked, and for how long it is good.
///
/// # Errors
/// It may not.
pub fn judge(
    answer: &CacheAnswer<'_>,
    request: &CacheRequest<'_>,
    policy: &StoringPolicy,
    asked_at: u64,
    came_at: u64,
) -> Result<Lifetime, Unstorable> {
    let control = &answer.control;
    let understands = control.must_understand && is_understood(answer.status);
    if request.control.no_store || (control.no_store && !understands) {
        return Err(Unstorable::NoStore);
    }
    if control.private {
        return Err(Unstorable::Private);
    }
    if matches!(answer.status, ..200 | 206 | 304) || (control.must_understand && !understands) {
        return Err(Unstorable::Status);
    }
    let shared = control.public || control.s_maxage.is_some() || answer.targeted;
    if request.authorized && !shared && !control.must_revalidate {
        return Err(Unstorable::Authorized);
    }
    if answer.sets_cookies {
        match policy.cookies {
            CookiePolicy::Store => {}
            CookiePolicy::IfShared if shared => {}
            _ => return Err(Unstorable::SetsCookies),
        }
    }
    if answer.varies == Varies::ByAnything {
        return Err(Unstorable::VariesByAnything);
    }
    let fresh = freshness(answer, policy, came_at).ok_or(Unstorable::Status)?;
    let lifetime = lifetime(answer, policy, fresh, initial_age(answer, asked_at, came_at));
    let promised = control.stale_while_revalidate.is_some() || control.stale_if_error.is_some();
    let serves = lifetime.fresh > lifetime.initial_age && !lifetime.always_validate;
    if !serves && !promised && !answer.has_validator() {
        return Err(Unstorable::Useless);
    }
    Ok(lifetime)
}

/// RFC 9111 4.2.3.
fn initial_age(answer: &CacheAnswer<'_>, asked_at: u64, came_at: u64) -> u64 {
    let apparent = answer.date.map_or(0, |date| span(came_at, date));
    let corrected = answer.age.unwrap_or(0) + span(came_at, asked_at);
    apparent.max(corrected).min(SECONDS_MAX)
}

/// RFC 9111 4.2.1; `None`: nothing says that it may be stored.
fn freshness(answer: &CacheAnswer<'_>, policy: &StoringPolicy, came_at: u64) -> Option<u64> {
    let control = &answer.control;
    let time = policy.time(answer.status);
    if let (true, Some(time)) = (policy.overrule, time) {
        return Some(time);
    }
    let since = answer.date.unwrap_or(came_at);
    let expires = answer.expires.filter(|_| !answer.targeted);
    let expires = expires.map(|at| at.map_or(0, |at| span(at, since)));
    if let Some(said) = control.s_maxage.or(control.max_age).or(expires).or(time) {
        return Some(said);
    }
    if !is_heuristic(answer.status) && !control.public {
        return None;
    }
    let unchanged = answer.last_modified.map_or(0, |at| span(since, at));
    Some((unchanged.saturating_mul(policy.heuristic) / 100).min(policy.heuristic_most))
}

fn lifetime(
    answer: &CacheAnswer<'_>,
    policy: &StoringPolicy,
    fresh: u64,
    initial_age: u64,
) -> Lifetime {
    let control = &answer.control;
    let strict = control.must_revalidate || control.proxy_revalidate || control.no_cache;
    // s-maxage forbids stale use (RFC 9111 5.2.2.10), but an answer that says both means both.
    let unless_said = |policy: u64| if control.s_maxage.is_some() { 0 } else { policy };
    let window = |said: Option<u64>, policy: u64| match said {
        _ if strict => 0,
        Some(said) => said,
        None => unless_said(policy),
    };
    Lifetime {
        initial_age,
        fresh,
        always_validate: control.no_cache,
        stale_while_revalidate: window(
            control.stale_while_revalidate,
            policy.stale_while_revalidate,
        ),
        stale_if_error: window(control.stale_if_error, policy.stale_if_error),
        may_be_stale: !strict && control.s_maxage.is_none(),
    }
}

/// What a stored answer is good for, for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It answers.
    Fresh,
    /// It answers, though it is stale, because the client allows that.
    Stale,
    /// It answers, while another one is fetched.
    StaleWhileRevalidate,
    /// It is to be validated first. Where that fails it still answers if `if_error`.
    Validate {
        /// See there.
        if_error: bool,
    },
}

impl Lifetime {
    /// Its age, `resident` after it came.
    #[must_use]
    pub const fn age(&self, resident: u64) -> u64 {
        self.initial_age.saturating_add(resident)
    }

    /// For how long it will be fresh; negative: since when it is not.
    #[must_use]
    pub fn ttl(&self, resident: u64) -> i64 {
        let seconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        seconds(self.fresh) - seconds(self.age(resident))
    }

    /// What it is good for, `resident` after it came. `stale_since`: it was made stale then.
    #[must_use]
    pub fn fitness(
        &self,
        request: &CacheRequest<'_>,
        resident: u64,
        stale_for: Option<u64>,
    ) -> Fitness {
        let (age, ttl) = (self.age(resident), self.ttl(resident));
        let ttl = stale_for.map_or(ttl, |span| ttl.min(0_i64.saturating_sub_unsigned(span)));
        let stale_for = ttl.min(0).unsigned_abs();
        let if_error = stale_for <= self.stale_if_error && self.stale_if_error > 0;
        let wanted = &request.control;
        let old_enough = wanted.max_age.is_some_and(|most| age > most || most == 0);
        if self.always_validate || wanted.no_cache || old_enough {
            // Only what became stale may stand in for an error, and what is fresh.
            return Fitness::Validate { if_error: if_error && !self.always_validate };
        }
        if let Some(left) = wanted.min_fresh
            && ttl < i64::try_from(left).unwrap_or(i64::MAX)
        {
            return Fitness::Validate { if_error };
        }
        match wanted.max_stale {
            _ if ttl > 0 => Fitness::Fresh,
            Some(most) if self.may_be_stale && stale_for <= most => Fitness::Stale,
            _ if stale_for < self.stale_while_revalidate => Fitness::StaleWhileRevalidate,
            _ => Fitness::Validate { if_error },
        }
    }
}

#[cfg(test)]
#[path = "storing_tests.rs"]
mod tests;
