//! `sticky` of a pool: the cookie, and the key that signs it.

use std::fmt;
use std::io;
use std::time::Duration;

use super::check_route::is_token;
use super::checked_sticky::{SameSite, Secret, StickyConfig, StickyKey};
use super::document::{Findings, Table, span_of};
use super::error::Mistake;
use super::load::words_of;
use super::scalar::{self, show_duration};

/// The least that a key has: as much as the hash gives.
const KEY_MIN: usize = 32;
/// The most that a file with a key may have.
const KEY_MAX: usize = 4096;

/// The name of a cookie, where none is given.
const COOKIE: &str = "ringway";

/// What `max_age` may be.
const AGE_MIN: Duration = Duration::from_secs(1);
/// Browsers keep no cookie for longer than 400 days.
const AGE_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

/// Why there is no cookie, or no key for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyError {
    /// A text that cannot be the name of a cookie.
    Name,
    /// A text that cannot be the path of a cookie.
    Path,
    /// Neither `key` nor `key_file`.
    NoKey,
    /// Both `key` and `key_file`.
    TwoKeys,
    /// Fewer bytes than a key has: so many.
    ShortKey(usize),
    /// A file that is too large to be a key.
    LongKey,
    /// The file of the key cannot be read.
    KeyFile(String),
    /// A cookie that browsers take only if it is `secure`.
    Insecure,
}

impl fmt::Display for StickyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("no cookie has this name"),
            Self::Path => f.write_str("no cookie has this path"),
            Self::NoKey => f.write_str("there is no key to sign the cookie with"),
            Self::TwoKeys => f.write_str("\"key\" and \"key_file\" are two ways to give one key"),
            Self::ShortKey(bytes) => {
                write!(f, "the key has {bytes} bytes; fewer than {KEY_MIN} can be guessed")
            }
            Self::LongKey => write!(f, "this file has more than {KEY_MAX} bytes: it is no key"),
            Self::KeyFile(why) => write!(f, "the key cannot be read: {why}"),
            Self::Insecure => {
                f.write_str("browsers throw this cookie away unless it says \"secure\"")
            }
        }
    }
}

impl StickyError {
    /// What to do about it.
    pub(super) const fn help(&self) -> &'static str {
        match self {
            Self::Name => "as in: cookie = \"ringway\"",
            Self::Path => "write a path without \";\", as in \"/\" or \"/shop\"",
            Self::NoKey => "as in: key_file = \"/etc/ringway/sticky.key\"",
            Self::TwoKeys => "leave out one of the two",
            Self::ShortKey(_) | Self::LongKey | Self::KeyFile(_) => {
                "make one, the same for all hosts: openssl rand -base64 32 > sticky.key"
            }
            Self::Insecure => "write secure = true, if the clients come by https",
        }
    }
}

pub(super) fn sticky(pool: &Table<'_>, findings: &mut Findings) -> Option<StickyConfig> {
    let table = pool.switch("sticky", findings)?;
    let same_site = match table.choice("same_site", findings) {
        0 => SameSite::Lax,
        1 => SameSite::Strict,
        _ => SameSite::None,
    };
    let sticky = StickyConfig {
        cookie: cookie(&table, findings),
        key: key(&table, findings),
        max_age: max_age(&table, findings),
        path: path(&table, findings),
        same_site,
        secure: table.flag("secure", findings),
    };
    let prefix = sticky.cookie.get(..7).unwrap_or_default().to_ascii_lowercase();
    let wants_secure = same_site == SameSite::None || matches!(&*prefix, "__host-" | "__secur");
    if wants_secure && !sticky.secure {
        findings.add(table.span, Mistake::BadSticky(StickyError::Insecure));
    }
    Some(sticky)
}

fn cookie(table: &Table<'_>, findings: &mut Findings) -> String {
    let Some(text) = table.text("cookie", findings) else { return COOKIE.to_owned() };
    if !is_token(text.value) {
        findings.add(text.span, Mistake::BadSticky(StickyError::Name));
    }
    text.value.to_owned()
}

fn path(table: &Table<'_>, findings: &mut Findings) -> String {
    let Some(text) = table.text("path", findings) else { return "/".to_owned() };
    let sendable = |b: u8| b.is_ascii_graphic() && b != b';';
    if !text.value.starts_with('/') || !text.value.bytes().all(sendable) {
        findings.add(text.span, Mistake::BadSticky(StickyError::Path));
    }
    text.value.to_owned()
}

/// `None`: until the browser is closed.
fn max_age(table: &Table<'_>, findings: &mut Findings) -> Option<Duration> {
    let text = table.text("max_age", findings)?;
    if text.value == "session" {
        return None;
    }
    let mistake = match scalar::duration(text.value) {
        Ok(age) if (AGE_MIN..=AGE_MAX).contains(&age) => {
            // Max-Age counts seconds.
            return Some(Duration::from_secs(age.as_secs()));
        }
        Ok(_) => Mistake::OutOfBounds {
            key: "max_age",
            min: show_duration(AGE_MIN),
            max: show_duration(AGE_MAX),
        },
        Err(why) => Mistake::BadDuration { why, number: text.value.parse().ok() },
    };
    findings.add(text.span, mistake);
    None
}

/// The key; of one with a mistake a stand-in.
fn key(table: &Table<'_>, findings: &mut Findings) -> StickyKey {
    let (text, file) = (table.text("key", findings), table.text("key_file", findings));
    let (written, named) = (table.get("key").is_some(), table.get("key_file"));
    match (written, named) {
        (false, None) => findings.add(table.span, Mistake::BadSticky(StickyError::NoKey)),
        (true, Some((_, value))) => {
            findings.add(span_of(value), Mistake::BadSticky(StickyError::TwoKeys));
        }
        _ => {}
    }
    if let Some(file) = file {
        let path = std::path::PathBuf::from(file.value);
        let secret = findings.read(&path, KEY_MAX + 1).and_then(|read| match secret(read) {
            Ok(secret) => Some(secret),
            Err(why) => {
                findings.add(file.span, Mistake::BadSticky(why));
                None
            }
        });
        return StickyKey::File { path, secret };
    }
    let text = text.inspect(|text| {
        if text.value.len() < KEY_MIN {
            let why = StickyError::ShortKey(text.value.len());
            findings.add(text.span, Mistake::BadSticky(why));
        }
    });
    StickyKey::Text(Secret::new(text.map_or("", |text| text.value).as_bytes()))
}

/// What a file has, but for white space at its end, which editors and tools add.
fn secret(read: io::Result<Vec<u8>>) -> Result<Secret, StickyError> {
    let bytes = read.map_err(|error| StickyError::KeyFile(words_of(&error)))?;
    if bytes.len() > KEY_MAX {
        return Err(StickyError::LongKey);
    }
    match bytes.trim_ascii_end() {
        short if short.len() < KEY_MIN => Err(StickyError::ShortKey(short.len())),
        key => Ok(Secret::new(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_the_file_has_but_for_the_last_line_end() {
        let long = vec![b'x'; KEY_MAX + 1];
        let key = b"0123456789012345678901234567890\xff";
        let cases: [(&[u8], _); 5] = [
            (key, Ok(Secret::new(key))),
            (b"0123456789012345678901234567890\xff\r\n", Ok(Secret::new(key))),
            (b"0123456789012345678901234567890\n", Err(StickyError::ShortKey(31))),
            (b"", Err(StickyError::ShortKey(0))),
            (&long, Err(StickyError::LongKey)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(secret(Ok(bytes.to_vec())), expected, "{bytes:?}");
        }
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(secret(Err(denied)), Err(StickyError::KeyFile("Permission denied".to_owned())));
    }
}
