//! The file of users: names and hashes of passwords, by bcrypt or argon2. Pure.

use std::collections::HashMap;
use std::fmt;

use argon2::{Argon2, PasswordHash, PasswordVerifier};

/// Users of one file.
const USERS_MOST: usize = 1_000_000;

/// The work that a hash may demand: bcrypt's cost, and memory (KiB) and passes of argon2.
const COST_MOST: u32 = 16;
const MEMORY_MOST: u32 = 1 << 20;
const PASSES_MOST: u32 = 64;

/// The bytes of a password that bcrypt looks at.
const BCRYPT_MOST: usize = 72;

/// Who may come in.
#[derive(Clone, Default)]
pub struct Users {
    hashes: HashMap<Vec<u8>, Box<str>>,
    /// One of the hashes: verified for who is unknown, so that it takes as long.
    some: Box<str>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.hashes.len())
    }
}

/// What is wrong with a line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersError {
    /// Counted from 1.
    pub line: usize,
    /// What.
    pub what: &'static str,
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for UsersError {}

impl Users {
    /// Reads a file: a line `NAME:HASH` a user; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is not good.
    pub fn read(text: &[u8]) -> Result<Self, UsersError> {
        let mut users = Self::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (name, hash) = user(line).map_err(|what| UsersError { line: index + 1, what })?;
            if users.some.is_empty() {
                users.some = hash.into();
            }
            if users.hashes.len() >= USERS_MOST {
                let what = "there are more than a million users";
                return Err(UsersError { line: index + 1, what });
            }
            if users.hashes.insert(name.to_vec(), hash.into()).is_some() {
                return Err(UsersError { line: index + 1, what: "this user has a line already" });
            }
        }
        Ok(users)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Whether this is the user's password. Takes about as long for who is unknown. Slow: for
    /// threads that may take their time.
    #[must_use]
    pub fn verify(&self, user: &[u8], password: &[u8]) -> bool {
        let hash = self.hashes.get(user);
        let right = matches(hash.unwrap_or(&self.some), password);
        hash.is_some() && right
    }
}

/// Cuts a line, and looks whether its hash can be verified.
fn user(line: &[u8]) -> Result<(&[u8], &str), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("it is no NAME:HASH")?;
    let (name, rest) = line.split_at_checked(colon).unwrap_or_default();
    let hash = std::str::from_utf8(rest.get(1..).unwrap_or_default());
    let hash = hash.map_err(|_| "the hash is no text")?;
    // A field's value loses the spaces around it, and with them who was meant.
    if name.is_empty() || name.trim_ascii() != name || name.iter().any(u8::is_ascii_control) {
        return Err("the user has no name, or one with control characters or spaces around it");
    }
    if is_bcrypt(hash) {
        let cost = hash.get(4..6).and_then(|cost| cost.parse().ok());
        let good = hash.parse::<bcrypt::HashParts>().is_ok();
        return match cost {
            Some(cost) if good && (4..=COST_MOST).contains(&cost) => Ok((name, hash)),
            Some(cost) if good && cost > COST_MOST => Err("its bcrypt cost is above 16"),
            _ => Err("the hash is no good bcrypt"),
        };
    }
    if hash.starts_with("$argon2") {
        return argon2(hash).map(|_| (name, hash));
    }
    if hash.starts_with('{') || hash.starts_with("$apr1$") {
        return Err("the hash is a {SHA} or apr1, which is found out in no time: use htpasswd -B");
    }
    Err("the hash is neither bcrypt nor argon2: use htpasswd -B")
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2y$", "$2b$", "$2a$"].iter().any(|start| hash.starts_with(start))
}

fn argon2(hash: &str) -> Result<PasswordHash<'_>, &'static str> {
    let hash = PasswordHash::new(hash).map_err(|_| "the hash is no good argon2")?;
    let params = argon2::Params::try_from(&hash).map_err(|_| "the hash is no good argon2")?;
    argon2::Algorithm::try_from(hash.algorithm).map_err(|_| "the hash is no good argon2")?;
    if params.m_cost() > MEMORY_MOST || params.t_cost() > PASSES_MOST {
        return Err("the hash takes more than 1 GiB or 64 passes");
    }
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err("the hash is no good argon2");
    }
    Ok(hash)
}

/// Both compare in constant time.
fn matches(hash: &str, password: &[u8]) -> bool {
    if is_bcrypt(hash) {
        // Longer ones would all be the same to it.
        let fits = password.len() <= BCRYPT_MOST && !password.contains(&0);
        return bcrypt::verify(password, hash).unwrap_or(false) && fits;
    }
    let Ok(hash) = argon2(hash) else { return false };
    Argon2::default().verify_password(password, &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argon(password: &str) -> String {
        use argon2::password_hash::{PasswordHasher, SaltString};
        let params = argon2::Params::new(16, 2, 1, None).unwrap();
        let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let salt = SaltString::from_b64("c29tZXNhbHQxMjM0").unwrap();
        argon.hash_password(password.as_bytes(), &salt).unwrap().to_string()
    }

    #[test]
    fn passwords_by_both_hashes() {
        let bcrypt = bcrypt::hash("open sesame", 4).unwrap();
        let text = format!("# users\n\nada:{bcrypt}\r\n  bob:{}  \n", argon("hunter2"));
        let users = Users::read(text.as_bytes()).unwrap();
        assert_eq!(users.count(), 2);
        for (user, password, expected) in [
            ("ada", "open sesame", true),
            ("ada", "open sesam", false),
            ("ada", "", false),
            ("bob", "hunter2", true),
            ("bob", "open sesame", false),
            ("Bob", "hunter2", false),
            ("eve", "open sesame", false),
            ("", "open sesame", false),
        ] {
            assert_eq!(users.verify(user.as_bytes(), password.as_bytes()), expected, "{user}");
        }
        assert!(!Users::default().verify(b"ada", b""));
    }

    #[test]
    fn a_long_password_is_not_cut() {
        let long = "x".repeat(72);
        let hash = bcrypt::hash(&long, 4).unwrap();
        let users = Users::read(format!("ada:{hash}").as_bytes()).unwrap();
        assert!(users.verify(b"ada", long.as_bytes()));
        assert!(!users.verify(b"ada", format!("{long}y").as_bytes()));
    }

    #[test]
    fn lines_that_are_not_good_are_named() {
        let bcrypt = bcrypt::hash("a", 4).unwrap();
        let costly = bcrypt.replace("$04$", "$17$");
        for (text, line, what) in [
            ("ada".to_owned(), 1, "it is no NAME:HASH"),
            (":x".to_owned(), 1, "the user has no name"),
            ("ada :x".to_owned(), 1, "the user has no name"),
            (format!("ada:{bcrypt}\nada:{bcrypt}"), 2, "this user has a line already"),
            ("\n\nada:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=".to_owned(), 3, "the hash is a {SHA}"),
            ("ada:$apr1$salt$hash".to_owned(), 1, "the hash is a {SHA} or apr1"),
            ("ada:secret".to_owned(), 1, "the hash is neither"),
            ("ada:$2y$05$short".to_owned(), 1, "the hash is no good bcrypt"),
            (format!("ada:{costly}"), 1, "its bcrypt cost is above 16"),
            ("ada:$argon2id$v=19$m=16,t=2,p=1$c2FsdA".to_owned(), 1, "the hash is no good argon2"),
            (format!("ada:{}", argon("a").replace("m=16", "m=2000000")), 1, "the hash takes more"),
        ] {
            let error = Users::read(text.as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.what.starts_with(what), "{text}: {error}");
        }
    }
}
