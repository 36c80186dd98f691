//! The cookie that keeps a client on its member: found in requests, set in answers.

use super::exchange::{Ask, Facts};
use super::hash_key::values;
use crate::balancer::Sticky;
use crate::config::{SameSite, StickyConfig};
use crate::http::{Name, encode};
use crate::ids::MemberId;

/// The member that the request's cookie names, if the pool keeps clients on theirs. A cookie that is
/// forged, or of a member that is gone, names nobody; of several the first that names one counts.
pub(super) fn named(ask: &Ask<'_>) -> Option<MemberId> {
    let sticky = ask.context.pools.sticky(ask.pool)?;
    let name = sticky.config().cookie.as_bytes();
    let fields = ask.head.fields().filter(|field| field.name == Name::Cookie);
    let mut texts = fields.flat_map(|field| values(field.value, b';', name));
    texts.find_map(|text| sticky.member(text))
}

/// Appends the field that sets the cookie, if the answer is another member's than the one that the
/// request named.
pub(super) fn write(out: &mut Vec<u8>, ask: &Ask<'_>, facts: &Facts) {
    if let Some(member) = facts.moved_to.get()
        && let Some(sticky) = ask.context.pools.sticky(ask.pool)
    {
        write_field(out, &sticky, member);
    }
}

fn write_field(out: &mut Vec<u8>, sticky: &Sticky, member: MemberId) {
    let Some(text) = sticky.text(member) else { return };
    let StickyConfig { cookie, max_age, path, same_site, secure, .. } = sticky.config();
    for part in [b"Set-Cookie: ", cookie.as_bytes(), b"=", text, b"; Path=", path.as_bytes()] {
        out.extend_from_slice(part);
    }
    if let Some(age) = max_age {
        out.extend_from_slice(b"; Max-Age=");
        encode::decimal(out, age.as_secs());
    }
    out.extend_from_slice(if *secure { b"; Secure; HttpOnly" } else { b"; HttpOnly" });
    out.extend_from_slice(match same_site {
        SameSite::Lax => b"; SameSite=Lax\r\n",
        SameSite::Strict => b"; SameSite=Strict\r\n",
        SameSite::None => b"; SameSite=None\r\n",
    });
}
