//! Session tickets: sealed by keys that all workers share, and that may come from a file, so that
//! restarts and other hosts share them, too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use rustls::server::ProducesTickets;

use super::certificates::{FileFault, read};
use crate::clock;

/// How often keys of the process change. The one before opens tickets as long again.
const ROTATION: Duration = Duration::from_secs(6 * 3600);

/// How long clients may keep a ticket.
const LIFETIME: u32 = 12 * 3600;

const KEY: usize = 32;
const ID: usize = 8;

/// Keys of a file.
const KEYS_MOST: usize = 64;

/// One key.
struct TicketKey {
    /// Stands in front of its tickets.
    id: [u8; ID],
    key: LessSafeKey,
}

/// What makes and opens tickets.
pub(super) struct Tickets {
    shared: Arc<Shared>,
    /// What tickets are bound to: a digest.
    policy: Vec<u8>,
}

/// Whatever the tickets are bound to.
struct Shared {
    /// The first makes tickets, all open them.
    keys: ArcSwap<Vec<Arc<TicketKey>>>,
    /// When the keys last changed, where that is our business.
    rotated: ArcSwap<Option<Duration>>,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the keys.
        f.debug_struct("Tickets")
            .field("keys", &self.shared.keys.load().len())
            .finish_non_exhaustive()
    }
}

impl TicketKey {
    fn new(secret: &[u8; KEY]) -> Option<Self> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"ringway ticket key");
        context.update(secret);
        let id = context.finish().as_ref().first_chunk().copied()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?);
        Some(Self { id, key })
    }

    fn random() -> Option<Self> {
        let mut secret = [0; KEY];
        rand::fill(&mut secret).ok()?;
        Self::new(&secret)
    }
}

impl Tickets {
    /// Tickets by the keys of a file, or by keys of their own; good only for connections under
    /// the same `policy`.
    pub(super) fn new(file: Option<&Path>, policy: Vec<u8>) -> Result<Self, FileFault> {
        let keys = match file {
            Some(path) => parse(path)?,
            None => TicketKey::random().map(Arc::new).into_iter().collect(),
        };
        let shared = Arc::new(Shared {
            keys: ArcSwap::from_pointee(keys),
            rotated: ArcSwap::from_pointee(file.is_none().then(clock::unix)),
        });
        Ok(Self { shared, policy: Vec::new() }.under(&policy))
    }

    /// By the same keys, good only for connections under another policy.
    pub(super) fn under(&self, policy: &[u8]) -> Self {
        let policy = digest::digest(&digest::SHA256, policy).as_ref().to_vec();
        Self { shared: Arc::clone(&self.shared), policy }
    }

    /// Takes the keys of a file that has changed.
    pub(super) fn reload(&self, path: &Path) -> Result<usize, FileFault> {
        let keys = parse(path)?;
        let count = keys.len();
        self.shared.keys.store(Arc::new(keys));
        Ok(count)
    }

    /// Changes keys of the process that are old.
    pub(super) fn rotate(&self, now: Duration) {
        let Some(last) = **self.shared.rotated.load() else { return };
        if now.saturating_sub(last) < ROTATION {
            return;
        }
        self.shared.rotated.store(Arc::new(Some(now)));
        let old = self.shared.keys.load();
        let Some(fresh) = TicketKey::random() else { return };
        let before = old.first().map(Arc::clone);
        self.shared.keys.store(Arc::new(std::iter::once(Arc::new(fresh)).chain(before).collect()));
    }

    fn bound_to(&self, id: &[u8]) -> Vec<u8> {
        [id, &self.policy].concat()
    }
}

/// A key a line, in hexadecimal; `#` begins a comment.
fn parse(path: &Path) -> Result<Vec<Arc<TicketKey>>, FileFault> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let key = secret(line).as_ref().and_then(TicketKey::new);
        keys.push(key.map(Arc::new).ok_or_else(|| {
            let what =
                format!("line {number} is no key: 64 hexadecimal digits (openssl rand -hex 32)");
            FileFault::new(path, what)
        })?);
        if keys.len() > KEYS_MOST {
            return Err(FileFault::new(path, format!("has more than {KEYS_MOST} keys")));
        }
    }
    if keys.is_empty() {
        return Err(FileFault::new(path, "has no key in it (a line of: openssl rand -hex 32)"));
    }
    Ok(keys)
}

fn secret(text: &str) -> Option<[u8; KEY]> {
    let mut secret = [0; KEY];
    if text.len() != 2 * KEY || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(secret)
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.shared.keys.load();
        let key = keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let aad = Aad::from(self.bound_to(&key.id));
        let mut sealed = plain.to_vec();
        let nonce_of_key = Nonce::assume_unique_for_key(nonce);
        key.key.seal_in_place_append_tag(nonce_of_key, aad, &mut sealed).ok()?;
        Some([&key.id[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = ticket.split_first_chunk::<ID>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.shared.keys.load();
        let key = keys.iter().find(|key| key.id == *id)?;
        let mut bytes = sealed.to_vec();
        let aad = Aad::from(self.bound_to(id));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.key.open_in_place(nonce, aad, &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str, policy: &[u8]) -> Result<Tickets, FileFault> {
        let path = std::env::temp_dir().join(format!("tickets-{:p}-{}", text, text.len()));
        std::fs::write(&path, text).unwrap();
        let tickets = Tickets::new(Some(&path), policy.to_vec());
        std::fs::remove_file(&path).unwrap();
        tickets
    }

    #[test]
    fn tickets_open_with_the_key_that_made_them_under_the_same_policy() {
        let (a, b) = ("aa".repeat(32), "0b".repeat(32));
        let made = from_file(&a, b"").unwrap().encrypt(b"session").unwrap();
        let opened = |text: &str, policy| from_file(text, policy).unwrap().decrypt(&made);
        assert_eq!(opened(&a, b"").as_deref(), Some(&b"session"[..]));
        assert_eq!(
            opened(&format!("# new\n{b}\n\n{a} # old\n"), b"").as_deref(),
            Some(&b"session"[..])
        );
        assert_eq!(opened(&b, b""), None);
        assert_eq!(opened(&a, b"clients must show certificates"), None);
        let other = from_file(&a, b"").unwrap().under(b"clients must show certificates");
        assert_eq!(other.decrypt(&made), None);
        assert!(other.under(b"").decrypt(&made).is_some());
        for cut in 0..made.len() {
            assert_eq!(from_file(&a, b"").unwrap().decrypt(&made[..cut]), None);
        }
        for at in 0..made.len() {
            let mut changed = made.clone();
            changed[at] ^= 1;
            assert_eq!(from_file(&a, b"").unwrap().decrypt(&changed), None, "{at}");
        }
    }

    #[test]
    fn files_that_are_no_keys_are_refused() {
        for (text, says) in [
            ("", "no key"),
            ("# nothing\n", "no key"),
            ("abc", "line 1"),
            (&*format!("{}\n{}", "aa".repeat(32), "zz".repeat(32)), "line 2"),
            (&*format!("+{}", "a".repeat(63)), "line 1"),
        ] {
            let fault = from_file(text, b"").unwrap_err();
            assert!(fault.what.contains(says), "{fault}");
        }
    }

    #[test]
    fn keys_of_the_process_change_and_the_one_before_still_opens() {
        let tickets = Tickets::new(None, Vec::new()).unwrap();
        let start = clock::unix();
        let first = tickets.encrypt(b"1").unwrap();
        tickets.rotate(start + ROTATION - Duration::from_secs(60));
        assert_eq!(tickets.shared.keys.load().len(), 1);
        tickets.rotate(start + ROTATION + Duration::from_secs(60));
        assert!(tickets.decrypt(&first).is_some());
        assert_ne!(tickets.encrypt(b"2").unwrap()[..ID], first[..ID]);
        tickets.rotate(start + 3 * ROTATION);
        assert!(tickets.decrypt(&first).is_none());
    }
}
