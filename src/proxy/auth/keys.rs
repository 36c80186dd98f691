//! The keys that tokens are verified with: JWK sets (RFC 7517), or one secret. Pure.
//!
//! A key has one algorithm, which its kind and its set decide, never a token: a public key cannot be
//! taken for a secret, and there is no `none`.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, VerificationAlgorithm,
};
use serde::Deserialize;

use crate::config::Algorithm;
use crate::http::base64;

/// Keys of one set.
const KEYS_MOST: usize = 256;

/// Bytes that a secret has at the least: as much as the hash gives.
const SECRET_LEAST: usize = 32;

/// Keys by which tokens may be signed.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// One key in its one use.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.id, self.algorithm)
    }
}

enum Material {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// It is no JSON of that form.
    NotASet,
    /// None that can be used.
    NoKey,
    /// More than are looked through.
    TooMany,
    /// A secret that can be guessed.
    ShortSecret,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotASet => "is no JWK set: { \"keys\": [...] }",
            Self::NoKey => {
                "has no key for signatures by RS256, PS256, ES256, ES384 or EdDSA that can be used"
            }
            Self::TooMany => "has more than 256 keys",
            Self::ShortSecret => "has fewer than 32 bytes, which can be guessed",
        })
    }
}

impl std::error::Error for KeysError {}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys of kinds that are not known, secrets among them, are passed over.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn read(text: &[u8]) -> Result<Self, KeysError> {
        let set: Set = serde_json::from_slice(text).map_err(|_| KeysError::NotASet)?;
        if set.keys.len() > KEYS_MOST {
            return Err(KeysError::TooMany);
        }
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<_> = jwks.flat_map(|jwk: Jwk| public(&jwk)).collect();
        if keys.is_empty() { Err(KeysError::NoKey) } else { Ok(Self { keys }) }
    }

    /// The one secret of HS256.
    ///
    /// # Errors
    /// It is too short.
    pub fn secret(bytes: &[u8]) -> Result<Self, KeysError> {
        let bytes = bytes.trim_ascii_end();
        if bytes.len() < SECRET_LEAST {
            return Err(KeysError::ShortSecret);
        }
        let key = Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes));
        let material = Material::Secret(key);
        Ok(Self { keys: vec![Key { id: None, algorithm: Algorithm::Hs256, material }] })
    }

    /// How many there are, each use counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether one of the keys that fit made the signature; `None`: none fits. A token without the id
    /// of a key may be of any; a secret has no id.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let fits = |key: &&Key| {
            key.algorithm == algorithm
                && match (&key.material, id, &key.id) {
                    (Material::Secret(_), ..) | (_, None, _) => true,
                    (_, Some(id), known) => known.as_deref() == Some(id),
                }
        };
        let mut keys = self.keys.iter().filter(fits).peekable();
        keys.peek()?;
        Some(keys.any(|key| match &key.material {
            Material::Public(public) => public.verify_sig(signed, signature).is_ok(),
            Material::Secret(secret) => hmac::verify(secret, signed, signature).is_ok(),
        }))
    }
}

/// The uses of a public key.
fn public(jwk: &Jwk) -> Vec<Key> {
    let signs = jwk.r#use.as_deref().is_none_or(|word| word == "sig");
    let verifies = jwk.key_ops.as_ref().is_none_or(|list| list.iter().any(|word| word == "verify"));
    if !signs || !verifies {
        return Vec::new();
    }
    let (uses, bytes) = match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => (&[Algorithm::Rs256, Algorithm::Ps256][..], rsa(jwk)),
        ("EC", Some("P-256")) => (&[Algorithm::Es256][..], point(jwk, 32)),
        ("EC", Some("P-384")) => (&[Algorithm::Es384][..], point(jwk, 48)),
        ("OKP", Some("Ed25519")) => (&[Algorithm::EdDsa][..], number(jwk.x.as_ref(), 32)),
        _ => return Vec::new(),
    };
    let Some(bytes) = bytes else { return Vec::new() };
    let meant =
        |algorithm: &&Algorithm| jwk.alg.as_deref().is_none_or(|name| name == algorithm.name());
    let key = |algorithm: &Algorithm| {
        let public = ParsedPublicKey::new(verification(*algorithm)?, &bytes).ok()?;
        let material = Material::Public(public);
        Some(Key { id: jwk.kid.clone(), algorithm: *algorithm, material })
    };
    uses.iter().filter(meant).filter_map(key).collect()
}

fn verification(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDsa => &ED25519,
        Algorithm::Hs256 => return None,
    })
}

fn decoded(text: Option<&String>) -> Option<Vec<u8>> {
    base64::url(text?.as_bytes())
}

/// Exactly so many bytes.
fn number(text: Option<&String>, bytes: usize) -> Option<Vec<u8>> {
    decoded(text).filter(|number| number.len() == bytes)
}

/// An uncompressed point (SEC 1 section 2.3.3).
fn point(jwk: &Jwk, bytes: usize) -> Option<Vec<u8>> {
    let mut point = vec![4];
    point.extend(number(jwk.x.as_ref(), bytes)?);
    point.extend(number(jwk.y.as_ref(), bytes)?);
    Some(point)
}

/// `RSAPublicKey` (RFC 8017 appendix A.1.1) in DER.
fn rsa(jwk: &Jwk) -> Option<Vec<u8>> {
    let mut numbers = integer(&decoded(jwk.n.as_ref())?);
    numbers.extend(integer(&decoded(jwk.e.as_ref())?));
    Some(tagged(0x30, &numbers))
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut value = bytes.get(zeros..).unwrap_or_default().to_vec();
    if value.first().is_none_or(|first| *first >= 0x80) {
        value.insert(0, 0);
    }
    tagged(2, &value)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let length = length.get(zeros..).unwrap_or_default();
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_of_numbers() {
        assert_eq!(integer(&[0, 0, 1, 0, 1]), [2, 3, 1, 0, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(tagged(0x30, &[0; 0x7f])[..2], [0x30, 0x7f]);
        assert_eq!(tagged(0x30, &[0; 0x80])[..3], [0x30, 0x81, 0x80]);
        assert_eq!(tagged(0x30, &[0; 257])[..4], [0x30, 0x82, 1, 1]);
    }

    #[test]
    fn sets_without_a_key_that_can_be_used() {
        for (text, expected) in [
            ("", KeysError::NotASet),
            ("[]", KeysError::NotASet),
            ("{\"keys\":{}}", KeysError::NotASet),
            ("{\"keys\":[]}", KeysError::NoKey),
            (
                "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\"}]}",
                KeysError::NoKey,
            ),
            ("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"!\"}]}", KeysError::NoKey),
            (
                "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}, 7]}",
                KeysError::NoKey,
            ),
        ] {
            assert_eq!(KeySet::read(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
        assert_eq!(KeySet::secret(&[b'x'; 31]).unwrap_err(), KeysError::ShortSecret);
        assert_eq!(
            KeySet::secret(b"0123456789012345678901234567890\n").unwrap_err(),
            KeysError::ShortSecret
        );
        assert_eq!(KeySet::secret(&[b'x'; 32]).unwrap().count(), 1);
    }
}
