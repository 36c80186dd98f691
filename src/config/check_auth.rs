//! `auth` of routes and listeners. The files that it names are not looked at here, but for those of secrets.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::check::Names;
use super::check_auth_jwt::jwt;
use super::check_route::{is_token, push_once};
use super::checked::{Config, ListenerConfig, RouteConfig};
use super::checked_auth::{
    Algorithm, AuthConfig, AuthRequestConfig, BasicConfig, CertificateRules, Pattern,
    RememberConfig, RouteAuth,
};
use super::document::{At, Findings, Table, in_order, not_a_choice, span_of, text, wrong_type};
use super::error::{Mistake, Span};
use super::keys::{Key, Section};
use crate::http::{Name, is_identity};
use crate::ids::{ListenerId, PoolId};

/// What the service gets of the client's fields, where nothing is said.
const SENT: [&str; 2] = ["Authorization", "Cookie"];

/// Fields of one list.
const FIELDS_MAX: usize = 32;

/// Patterns of one list.
const PATTERNS_MAX: usize = 1000;

/// Why there is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// A table without a method.
    NoMethod,
    /// No name of a field.
    Field,
    /// A field that is written by ringway itself, or belongs to one connection.
    OwnField,
    /// No realm.
    Realm,
    /// Neither `jwks` nor `secret_file`.
    NoKeys,
    /// Both of them, or a key that goes with the other one.
    TwoKeys,
    /// No algorithm; perhaps this one was meant.
    Algorithm(Option<&'static str>),
    /// An algorithm that does not go with the kind of keys.
    WrongAlgorithm(Algorithm),
    /// Neither `"bearer"` nor a cookie.
    From,
    /// No URL, and why.
    Url(&'static str),
    /// A claim without a name.
    Claim,
    /// No list of what a certificate must say.
    NoRule,
    /// No fingerprint.
    Fingerprint,
    /// No listener of the route asks for certificates.
    NoClientAuth(String),
    /// A listener that sends every request on to https, unasked.
    AllRedirected,
    /// A listener no route of which takes its rules.
    NobodyAsked,
    /// Nothing that can be requested.
    Path,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMethod => "this says nothing about who may pass",
            Self::Field => "no field has this name",
            Self::OwnField => "ringway writes this field itself",
            Self::Realm => "a realm is a text without control characters",
            Self::NoKeys => "there are no keys to verify tokens with",
            Self::TwoKeys => "\"secret_file\" is for HS256 alone and goes with no other keys",
            Self::Algorithm(_) => "no algorithm has this name",
            Self::WrongAlgorithm(Algorithm::Hs256) => "HS256 needs a secret, which no JWK set has",
            Self::WrongAlgorithm(other) => {
                return write!(f, "{} needs a public key, and this is a secret", other.name());
            }
            Self::From => "no request has its token there",
            Self::Url(why) => return write!(f, "this is no URL of keys: {why}"),
            Self::Claim => "a claim has a name",
            Self::NoRule => "this says nothing about which certificates may pass",
            Self::Fingerprint => "this is no fingerprint",
            Self::NoClientAuth(listener) => {
                return write!(f, "the listener {listener:?} does not ask for certificates");
            }
            Self::AllRedirected => {
                "nobody is asked here: \"redirect_https\" sends every request on before that"
            }
            Self::NobodyAsked => {
                "nobody is asked by this: every route of the listener has an \"auth\" of its own"
            }
            Self::Path => "nothing can be requested by this",
        })
    }
}

impl AuthError {
    /// What to do about it.
    pub(super) fn help(&self) -> String {
        let help = match self {
            Self::NoMethod => "name \"request\", \"basic\", \"jwt\" or \"client_certificate\"",
            Self::Field => "as in \"X-User\"",
            Self::OwnField => "leave it out",
            Self::Realm => "as in: realm = \"shop\"",
            Self::NoKeys => "as in: jwks = \"https://login.example/jwks.json\"",
            Self::TwoKeys => "leave out one of the two",
            Self::Algorithm(Some(nearest)) => return super::message::did_you_mean(nearest),
            Self::Algorithm(None) => "write RS256, PS256, ES256, ES384, EdDSA or HS256",
            Self::WrongAlgorithm(Algorithm::Hs256) => "leave it out, or write \"secret_file\"",
            Self::WrongAlgorithm(_) => "leave it out, or write \"jwks\"",
            Self::From => "write \"bearer\" or \"cookie:NAME\"",
            Self::Url(_) => "as in \"https://login.example/jwks.json\"",
            Self::Claim => "as in: claims = { sub = \"X-User\" }",
            Self::NoRule => "as in: subjects = [\"CN=*,O=Shop\"]",
            Self::Fingerprint => "write the 64 digits that openssl x509 -sha256 -fingerprint shows",
            Self::NoClientAuth(_) => {
                "give its tls client_auth = { ca = \"...\" }, or name other \"listeners\""
            }
            Self::AllRedirected => "write it for the listener that has \"tls\"",
            Self::NobodyAsked => "leave it out here, or in one of the routes",
            Self::Path => "write a path, as in \"/check\"",
        };
        help.to_owned()
    }
}

/// `auth` of a route.
pub(super) fn route(route: &Table<'_>, pools: &Names<'_>, findings: &mut Findings) -> RouteAuth {
    let Some((key, value)) = route.get("auth") else { return RouteAuth::Listener };
    let mistake = match value.get_ref() {
        DeValue::Table(table) => {
            let table = route.child(Section::Auth, span_of(value), table, findings);
            return rules(&table, pools, findings).map_or(RouteAuth::Off, RouteAuth::Own);
        }
        DeValue::String(word) if word == "listener" => return RouteAuth::Listener,
        DeValue::String(word) if word == "off" => return RouteAuth::Off,
        DeValue::String(word) => not_a_choice(key, word, &["listener", "off"]),
        _ => wrong_type(key, value),
    };
    findings.add(span_of(value), mistake);
    RouteAuth::Off
}

/// `auth` of a listener.
pub(super) fn listener(
    listener: &Table<'_>,
    pools: &Names<'_>,
    findings: &mut Findings,
) -> Option<Box<AuthConfig>> {
    let table = listener.switch("auth", findings)?;
    rules(&table, pools, findings)
}

fn rules(table: &Table<'_>, pools: &Names<'_>, findings: &mut Findings) -> Option<Box<AuthConfig>> {
    let auth = AuthConfig {
        any: table.choice("require", findings) == 1,
        certificate: certificate(table, findings),
        jwt: jwt(table, findings),
        basic: basic(table, findings),
        request: request(table, pools, findings),
    };
    let methods = ["client_certificate", "jwt", "basic", "request"];
    if !methods.iter().any(|method| table.get(method).is_some()) {
        bad(table.span, AuthError::NoMethod, findings);
    }
    let none = auth.certificate.is_none() && auth.jwt.is_none() && auth.basic.is_none();
    // All of them written as "off".
    if none && auth.request.is_none() {
        return None;
    }
    Some(Box::new(auth))
}

pub(super) fn bad(span: Span, why: AuthError, findings: &mut Findings) {
    findings.add(span, Mistake::BadAuth(why));
}

fn certificate(auth: &Table<'_>, findings: &mut Findings) -> Option<CertificateRules> {
    let table = auth.switch("client_certificate", findings)?;
    if table.entries().next().is_none() {
        bad(table.span, AuthError::NoRule, findings);
    }
    let mut patterns = |key: &str| {
        let texts = table.texts(key, true, findings).unwrap_or_default();
        limit(&texts, PATTERNS_MAX, findings);
        texts.into_iter().map(|text| Pattern(text.value.to_owned())).collect()
    };
    let (subjects, sans, issuers) = (patterns("subjects"), patterns("sans"), patterns("issuers"));
    let mut fingerprints = Vec::new();
    for text in table.texts("fingerprints", true, findings).unwrap_or_default() {
        let digits: String = text.value.chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            bad(text.span, AuthError::Fingerprint, findings);
        }
        fingerprints.push(digits.to_ascii_lowercase());
    }
    Some(CertificateRules { subjects, sans, issuers, fingerprints })
}

fn limit<T>(items: &[At<T>], max: usize, findings: &mut Findings) {
    if let Some(item) = items.get(max) {
        findings.add(item.span, Mistake::TooMany { max });
    }
}

fn basic(auth: &Table<'_>, findings: &mut Findings) -> Option<BasicConfig> {
    let table = auth.switch("basic", findings)?;
    let mut realm = String::new();
    if table.required("realm", findings).is_some()
        && let Some(text) = table.text("realm", findings)
    {
        if text.value.is_empty() || text.value.chars().any(char::is_control) {
            bad(text.span, AuthError::Realm, findings);
        }
        text.value.clone_into(&mut realm);
    }
    let written = table.required("users", findings).is_some();
    let users = written.then(|| path(&table, "users", findings)).flatten();
    Some(BasicConfig {
        realm,
        users: users.unwrap_or_default(),
        header: table.text("header", findings).map(|text| field(text, findings)),
        forward: table.flag("forward", findings),
        remember: remember(&table, findings),
    })
}

pub(super) fn path(table: &Table<'_>, key: &str, findings: &mut Findings) -> Option<PathBuf> {
    let text = table.text(key, findings)?;
    if text.value.is_empty() {
        findings.add(text.span, Mistake::BadPathOfFile);
    }
    Some(PathBuf::from(text.value))
}

/// The name of a field that may be set for members, or sent on.
pub(super) fn field(text: At<&str>, findings: &mut Findings) -> String {
    let bytes = text.value.as_bytes();
    let name = Name::of(bytes);
    let framed = matches!(
        name,
        Name::Host | Name::ContentLength | Name::Expect | Name::Via | Name::Date | Name::Server
    );
    let folded: Vec<u8> = bytes.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect();
    let told = folded.get(..11).is_some_and(|start| start.eq_ignore_ascii_case(b"x-original-"));
    if !is_token(text.value) {
        bad(text.span, AuthError::Field, findings);
    } else if told || framed || name.is_hop_by_hop() || is_identity(bytes) {
        bad(text.span, AuthError::OwnField, findings);
    }
    text.value.to_owned()
}

fn fields(table: &Table<'_>, key: &str, default: &[&str], findings: &mut Findings) -> Vec<String> {
    let Some((known, value)) = table.get(key) else {
        return default.iter().map(|name| (*name).to_owned()).collect();
    };
    // A list with nothing in it has a meaning here: nothing is sent.
    let DeValue::Array(items) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(known, value));
        return Vec::new();
    };
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut written = Vec::new();
    for text in items.iter().filter_map(|item| text(known, item, findings)).collect::<Vec<_>>() {
        push_once(&mut names, text.value.to_ascii_lowercase(), text.span, findings);
        written.push(field(text, findings));
        if written.len() == FIELDS_MAX + 1 {
            findings.add(text.span, Mistake::TooMany { max: FIELDS_MAX });
        }
    }
    written
}

fn request(
    auth: &Table<'_>,
    pools: &Names<'_>,
    findings: &mut Findings,
) -> Option<AuthRequestConfig> {
    let table = auth.switch("request", findings)?;
    let mut pool = None;
    if table.required("pool", findings).is_some()
        && let Some(name) = table.text("pool", findings)
    {
        pool = pools.find(name, findings);
    }
    let path = table.text("path", findings).map_or("/", |text| {
        if !is_target(text.value) {
            bad(text.span, AuthError::Path, findings);
        }
        text.value
    });
    Some(AuthRequestConfig {
        pool: PoolId(pool.unwrap_or(0)),
        path: path.to_owned(),
        headers: fields(&table, "headers", &SENT, findings),
        copy: fields(&table, "copy", &[], findings),
        pass: fields(&table, "pass", &[], findings),
        redirects: table.flag("redirects", findings),
        timeout: table.time("timeout", findings),
        remember: remember(&table, findings),
    })
}

/// A path with or without a query (RFC 9112 section 3.2.1), sent as it is.
pub(super) fn is_target(text: &str) -> bool {
    let sendable = |b: u8| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b);
    text.starts_with('/') && text.bytes().all(sendable)
}

pub(super) fn remember(method: &Table<'_>, findings: &mut Findings) -> Option<RememberConfig> {
    let table = method.switch("remember", findings)?;
    let by = table.place().section == Section::AuthRequestRemember;
    Some(RememberConfig {
        time: whole(table.time("time", findings)),
        entries: table.count("entries", findings),
        by_credential: by && table.choice("by", findings) == 1,
    })
}

/// As it is shown: in whole milliseconds.
fn whole(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The texts of a table of texts, by their keys, in file order.
pub(super) fn pairs<'a>(
    (key, value): (&'static Key, &'a toml::Spanned<DeValue<'a>>),
    findings: &mut Findings,
) -> Vec<(At<&'a str>, At<&'a str>)> {
    let DeValue::Table(table) = value.get_ref() else {
        findings.add(span_of(value), wrong_type(key, value));
        return Vec::new();
    };
    let entries = in_order(table).into_iter();
    entries.filter_map(|(name, value)| Some((name, text(key, value, findings)?))).collect()
}

fn asks(listener: &ListenerConfig) -> bool {
    listener.tls.as_ref().is_some_and(|tls| tls.client_auth.is_some())
}

/// Rules of listeners that do not go with what else these are; `spans`: where they are written.
pub(super) fn of_listeners(config: &Config, spans: &[Span], findings: &mut Findings) {
    let listeners = (0..=u16::MAX).map(ListenerId).zip(&config.listeners);
    for ((id, listener), span) in listeners.zip(spans) {
        let Some(rules) = &listener.auth else { continue };
        if rules.certificate.is_some() && !asks(listener) {
            bad(*span, AuthError::NoClientAuth(listener.name.clone()), findings);
        }
        let serves = |route: &&RouteConfig| {
            route.listeners.as_ref().is_none_or(|listeners| listeners.contains(&id))
        };
        let mut routes = config.routes.iter().filter(serves).peekable();
        if listener.redirect_https.is_some() {
            bad(*span, AuthError::AllRedirected, findings);
        } else if routes.peek().is_some() && !routes.any(|it| it.auth == RouteAuth::Listener) {
            bad(*span, AuthError::NobodyAsked, findings);
        }
    }
}

/// Routes that want certificates of clients that are never asked for one.
pub(super) fn of_routes(config: &Config, spans: &[Span], findings: &mut Findings) {
    for (route, span) in config.routes.iter().zip(spans) {
        if route.auth.own().is_none_or(|auth| auth.certificate.is_none()) {
            continue;
        }
        let Some(ids) = &route.listeners else {
            if !config.listeners.iter().any(asks) {
                let name = config.listeners.first().map_or("", |listener| &listener.name);
                bad(*span, AuthError::NoClientAuth(name.to_owned()), findings);
            }
            continue;
        };
        for listener in ids.iter().filter_map(|id| config.listener(*id)) {
            if !asks(listener) {
                bad(*span, AuthError::NoClientAuth(listener.name.clone()), findings);
            }
        }
    }
}
