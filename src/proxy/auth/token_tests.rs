//! Tokens by keys of every kind, and everything that can be wrong with one.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use super::keys::KeySet;
use super::token::{Verified, verify};
use crate::config::{Algorithm, JwtConfig, KeySource, TokenPlace};
use crate::stats::Reason;

const NOW: u64 = 1_800_000_000;

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let six = |start: usize| (start..start + 6).fold(0, |n, at| n * 2 + usize::from(bit(at)));
    (0..bytes.len() * 8).step_by(6).map(|at| char::from(ALPHABET[six(at)])).collect()
}

fn config() -> JwtConfig {
    JwtConfig {
        keys: KeySource::File("keys".into()),
        algorithms: Algorithm::ALL.iter().map(|(_, one)| *one).collect(),
        issuers: vec!["login".into()],
        audiences: vec!["shop".into(), "cart".into()],
        leeway: Duration::from_secs(30),
        claims: vec![
            ("sub".into(), "X-User".into()),
            ("realm.roles".into(), "X-Roles".into()),
            ("n".into(), "X-N".into()),
        ],
        from: TokenPlace::Bearer,
        forward: true,
        remember: None,
    }
}

fn claims() -> Value {
    json!({ "sub": "ada", "iss": "login", "aud": "shop", "exp": NOW + 60, "iat": NOW - 5 })
}

fn signed(header: &Value, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.as_bytes()));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", base64(&signature))
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn by_secret(header: &Value, claims: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    signed(header, claims, |text| hmac::sign(&key, text).as_ref().to_vec())
}

fn check(token: &str, keys: &KeySet, config: &JwtConfig) -> Result<Verified, Reason> {
    verify(token.as_bytes(), keys, config, Duration::from_secs(NOW))
}

/// A pair of keys of each kind: as a JWK, and what signs.
type Signer = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn signers() -> Vec<(&'static str, Value, Signer)> {
    let random = SystemRandom::new();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ec384 =
        EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = std::rc::Rc::new(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap());
    let point = ec.public_key().as_ref().to_vec();
    let point384 = ec384.public_key().as_ref().to_vec();
    // 30 82 01 0a, 02 82 01 01 00 and the modulus, 02 03 and the exponent.
    let der = rsa.public_key().as_ref().to_vec();
    let rsa_jwk = json!({
        "kty": "RSA",
        "n": base64(&der[9..265]),
        "e": base64(&der[267..270]),
        "kid": "rsa",
    });
    let ec_jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
        "x": base64(&point[1..33]), "y": base64(&point[33..]) });
    let ec384_jwk = json!({ "kty": "EC", "crv": "P-384", "kid": "ec384", "alg": "ES384",
        "x": base64(&point384[1..49]), "y": base64(&point384[49..]) });
    let ed_jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed",
        "x": base64(ed.public_key().as_ref()) });
    let by_rsa = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding| -> Signer {
        let rsa = std::rc::Rc::clone(&rsa);
        Box::new(move |text| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(padding, &SystemRandom::new(), text, &mut signature).unwrap();
            signature
        })
    };
    vec![
        ("RS256", rsa_jwk.clone(), by_rsa(&RSA_PKCS1_SHA256)),
        ("PS256", rsa_jwk, by_rsa(&RSA_PSS_SHA256)),
        ("ES256", ec_jwk, {
            let random = random.clone();
            Box::new(move |text| ec.sign(&random, text).unwrap().as_ref().to_vec())
        }),
        (
            "ES384",
            ec384_jwk,
            Box::new(move |text| ec384.sign(&random, text).unwrap().as_ref().to_vec()),
        ),
        ("EdDSA", ed_jwk, Box::new(move |text| ed.sign(text).as_ref().to_vec())),
    ]
}

#[test]
fn every_algorithm_and_no_other_for_its_key() {
    let signers = signers();
    for (name, jwk, sign) in &signers {
        let keys = KeySet::read(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        let claims = claims().to_string();
        for header in [json!({ "alg": name, "kid": jwk["kid"] }), json!({ "alg": name })] {
            let token = signed(&header, &claims, sign);
            let verified = check(&token, &keys, &config()).unwrap();
            assert_eq!(String::from_utf8_lossy(&verified.fields), "X-User: ada\r\n");
            assert_eq!(verified.until, Duration::from_secs(NOW + 90));
            // With one bit of the claims changed.
            let mut bad = token.into_bytes();
            let at = bad.iter().position(|byte| *byte == b'.').unwrap() + 3;
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert_eq!(check(&bad, &keys, &config()), Err(Reason::AuthSignature), "{name}");
        }
        let stranger = signed(&json!({ "alg": name, "kid": "other" }), &claims, sign);
        assert_eq!(check(&stranger, &keys, &config()), Err(Reason::AuthUnknownKey), "{name}");
        // The token says another algorithm than its key has.
        for (other, ..) in &signers {
            let token = signed(&json!({ "alg": other, "kid": jwk["kid"] }), &claims, sign);
            assert_eq!(check(&token, &keys, &config()).is_ok(), other == name, "{name} {other}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret_and_there_is_no_none() {
    let (_, jwk, _) = signers().remove(0);
    let text = json!({ "keys": [jwk] }).to_string();
    let keys = KeySet::read(text.as_bytes()).unwrap();
    // Signed with what everybody knows.
    for secret in [text.as_bytes(), jwk["n"].as_str().unwrap().as_bytes()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let sign = |text: &[u8]| hmac::sign(&key, text).as_ref().to_vec();
        let token = signed(&json!({ "alg": "HS256", "kid": "rsa" }), &claims().to_string(), sign);
        assert_eq!(check(&token, &keys, &config()), Err(Reason::AuthUnknownKey));
    }
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let token = signed(&json!({ "alg": none }), &claims().to_string(), |_| Vec::new());
        assert_eq!(check(&token, &keys, &config()), Err(Reason::AuthAlgorithm));
    }
    let (secret, header) = (KeySet::secret(SECRET).unwrap(), json!({ "alg": "HS256" }));
    let token = by_secret(&header, &claims().to_string());
    assert!(check(&token, &secret, &config()).is_ok());
    let mut narrow = config();
    narrow.algorithms = vec![Algorithm::Es256];
    assert_eq!(check(&token, &secret, &narrow), Err(Reason::AuthAlgorithm));
}

#[test]
fn what_a_token_must_say() {
    let keys = KeySet::secret(SECRET).unwrap();
    let cases: Vec<(&str, Value, Result<(), Reason>)> = vec![
        ("exp", json!(NOW - 29), Ok(())),
        ("exp", json!(NOW - 30), Err(Reason::AuthExpired)),
        ("exp", json!(NOW as f64 + 0.5), Ok(())),
        ("exp", Value::Null, Err(Reason::AuthToken)),
        ("exp", json!("soon"), Err(Reason::AuthToken)),
        ("exp", json!(-1), Err(Reason::AuthToken)),
        ("exp", json!(1e300), Err(Reason::AuthToken)),
        ("nbf", json!(NOW + 30), Ok(())),
        ("nbf", json!(NOW + 31), Err(Reason::AuthEarly)),
        ("iat", json!(NOW + 31), Err(Reason::AuthEarly)),
        ("iss", json!("Login"), Err(Reason::AuthIssuer)),
        ("iss", json!(["login"]), Err(Reason::AuthIssuer)),
        ("iss", Value::Null, Err(Reason::AuthIssuer)),
        ("aud", json!("cart"), Ok(())),
        ("aud", json!(["x", "cart"]), Ok(())),
        ("aud", json!([]), Err(Reason::AuthAudience)),
        ("aud", json!("shop "), Err(Reason::AuthAudience)),
        ("aud", Value::Null, Err(Reason::AuthAudience)),
    ];
    for (claim, value, expected) in cases {
        let mut all = claims();
        all[claim] = value.clone();
        let token = by_secret(&json!({ "alg": "HS256" }), &all.to_string());
        assert_eq!(check(&token, &keys, &config()).map(drop), expected, "{claim} {value}");
        if claim != "nbf" && claim != "iat" && expected.is_err() {
            all.as_object_mut().unwrap().remove(claim);
            let token = by_secret(&json!({ "alg": "HS256" }), &all.to_string());
            assert!(check(&token, &keys, &config()).is_err(), "without {claim}");
        }
    }
}

#[test]
fn what_members_get_to_know() {
    let keys = KeySet::secret(SECRET).unwrap();
    let cases: Vec<(Value, Result<&str, Reason>)> = vec![
        (json!({ "sub": "ada", "n": 7 }), Ok("X-User: ada\r\nX-N: 7\r\n")),
        (json!({ "realm": { "roles": ["a", "b,c", "d%"] } }), Ok("X-Roles: a,b%2Cc,d%25\r\n")),
        (json!({ "realm.roles": true }), Ok("X-Roles: true\r\n")),
        (json!({ "sub": "Zoë" }), Ok("X-User: Zoë\r\n")),
        (json!({ "sub": "" }), Ok("")),
        (json!({ "sub": null, "n": { "a": 1 } }), Ok("")),
        (json!({ "realm": { "roles": [["a"]] } }), Ok("")),
        (json!({ "sub": "ada\r\nX-Admin: 1" }), Err(Reason::AuthToken)),
        (json!({ "sub": "ada\u{0}" }), Err(Reason::AuthToken)),
        (json!({ "sub": " ada" }), Err(Reason::AuthToken)),
        (json!({ "sub": "x".repeat(4097) }), Err(Reason::AuthToken)),
        (json!({ "realm": { "roles": ["a\n"] } }), Err(Reason::AuthToken)),
    ];
    for (more, expected) in cases {
        let mut all = claims();
        all.as_object_mut().unwrap().remove("sub");
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = by_secret(&json!({ "alg": "HS256" }), &all.to_string());
        let fields = check(&token, &keys, &config()).map(|verified| verified.fields);
        let fields = fields.map(|fields| String::from_utf8(fields).unwrap());
        assert_eq!(fields.as_deref().map_err(|reason| *reason), expected, "{more}");
    }
}

#[test]
fn texts_that_are_no_tokens() {
    let keys = KeySet::secret(SECRET).unwrap();
    let good = by_secret(&json!({ "alg": "HS256" }), &claims().to_string());
    let mut bad = vec![
        String::new(),
        "a".to_owned(),
        "a.b".to_owned(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}.x"),
        format!(" {good}"),
        format!("{good}="),
        good.replace('.', ".."),
        by_secret(&json!({ "alg": "HS256", "crit": ["exp"] }), &claims().to_string()),
        by_secret(&json!({ "alg": "HS256", "crit": [] }), &claims().to_string()),
        by_secret(&json!({ "alg": "HS256", "b64": false }), &claims().to_string()),
        by_secret(&json!({ "alg": 7 }), &claims().to_string()),
        by_secret(&json!([]), &claims().to_string()),
        by_secret(&json!({ "alg": "HS256" }), "no json"),
        by_secret(&json!({ "alg": "HS256", "x": "y".repeat(20_000) }), &claims().to_string()),
    ];
    bad.extend((0..good.len()).map(|end| good[..end].to_owned()));
    for text in bad {
        super::token::fuzz(text.as_bytes());
        assert!(check(&text, &keys, &config()).is_err(), "{text}");
    }
    assert!(check(&good, &keys, &config()).is_ok());
}
