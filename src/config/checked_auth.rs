//! `auth = {...}` of a route: who may send the requests that it takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, ListenerConfig, RouteConfig};
use crate::ids::{ListenerId, PoolId, RouteId};

/// `auth = {...}` of a route. At least one of the methods is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// `require = "any"`: one of the methods is enough. Default: all of them.
    pub any: bool,
    /// What the client's certificate must say.
    pub certificate: Option<CertificateRules>,
    /// Signed tokens.
    pub jwt: Option<JwtConfig>,
    /// User names and passwords.
    pub basic: Option<BasicConfig>,
    /// A service that is asked.
    pub request: Option<AuthRequestConfig>,
}

impl AuthConfig {
    /// The names of the fields by which members learn who the client is, as written.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let basic = self.basic.iter().filter_map(|basic| basic.header.as_deref());
        let jwt = self.jwt.iter().flat_map(|jwt| &jwt.claims).map(|(_, field)| field.as_str());
        let request = self.request.iter().flat_map(|request| &request.copy).map(String::as_str);
        basic.chain(jwt).chain(request)
    }
}

/// Who may send the requests of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteAuth {
    /// `auth = "listener"`: whom the listener lets in that a request comes by.
    #[default]
    Listener,
    /// `auth = "off"`: everybody.
    Off,
    /// Who passes these rules.
    Own(Box<AuthConfig>),
}

impl RouteAuth {
    /// Its own rules.
    #[must_use]
    pub fn own(&self) -> Option<&AuthConfig> {
        match self {
            Self::Own(rules) => Some(rules),
            Self::Listener | Self::Off => None,
        }
    }
}

/// Rules among all of a configuration: by route first, then by listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesId(pub u32);

impl Config {
    /// The rules of every route, then of every listener; [`RulesId`] is the position.
    pub fn rules(&self) -> impl Iterator<Item = Option<&AuthConfig>> + Clone {
        let own = self.routes.iter().map(|route| route.auth.own());
        own.chain(self.listeners.iter().map(|listener| listener.auth.as_deref()))
    }

    /// The rules for the requests of a route that come by a listener.
    #[must_use]
    pub fn rules_for<'a>(
        &'a self,
        (at, listener): (ListenerId, &'a ListenerConfig),
        (id, route): (RouteId, &'a RouteConfig),
    ) -> Option<(&'a AuthConfig, RulesId)> {
        match &route.auth {
            RouteAuth::Listener => {
                let rules = listener.auth.as_deref()?;
                let before = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
                Some((rules, RulesId(before.saturating_add(u32::from(at.0)))))
            }
            RouteAuth::Off => None,
            RouteAuth::Own(rules) => Some((rules, RulesId(u32::from(id.0)))),
        }
    }

    /// The listeners by which the requests of a route may come.
    pub(super) fn listeners_of<'a>(
        &'a self,
        route: &'a RouteConfig,
    ) -> impl Iterator<Item = &'a ListenerConfig> {
        let all = self.listeners.iter().zip((0..=u16::MAX).map(ListenerId));
        let takes = |id| route.listeners.as_ref().is_none_or(|ids| ids.contains(&id));
        all.filter(move |(_, id)| takes(*id)).map(|(listener, _)| listener)
    }

    /// Whether some of a route's requests are asked who sends them.
    #[must_use]
    pub fn may_ask(&self, route: &RouteConfig) -> bool {
        match &route.auth {
            RouteAuth::Listener => self.listeners_of(route).any(|one| one.auth.is_some()),
            RouteAuth::Off => false,
            RouteAuth::Own(_) => true,
        }
    }
}

impl AuthConfig {
    /// Paths that are not absolute are below `folder`.
    pub(super) fn root_at(&mut self, folder: &Path) {
        let users = self.basic.iter_mut().map(|basic| &mut basic.users);
        let keys = self.jwt.iter_mut().filter_map(|jwt| match &mut jwt.keys {
            KeySource::File(path) | KeySource::Secret(path) => Some(path),
            KeySource::Url { ca, .. } => ca.as_mut(),
        });
        for path in users.chain(keys) {
            *path = folder.join(&path);
        }
    }
}

/// `remember = {...}`: how long a verdict that lets pass is good, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberConfig {
    /// For so long.
    pub time: Duration,
    /// So many, per worker.
    pub entries: usize,
    /// One verdict of the service for all requests with the same fields. Default: for requests
    /// that are the same in everything that the service is told.
    pub by_credential: bool,
}

/// `client_certificate = {...}`: of each list that is not empty one pattern must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRules {
    /// As `X-Client-Cert-Subject` says it.
    pub subjects: Vec<Pattern>,
    /// One of the names of `X-Client-Cert-San`.
    pub sans: Vec<Pattern>,
    /// As `X-Client-Cert-Issuer` says it.
    pub issuers: Vec<Pattern>,
    /// SHA-256, in lower case, without colons.
    pub fingerprints: Vec<String>,
}

/// A text in which `*` is anything but a comma.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub String);

impl Pattern {
    /// Whether the pattern describes the whole of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let pieces: Vec<&str> = pieces.collect();
        let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
        // Each star takes as little as it can; the last piece has its place at the end.
        for piece in middle {
            let Some((skipped, behind)) = rest.split_once(piece) else { return false };
            if skipped.contains(',') {
                return false;
            }
            rest = behind;
        }
        rest.strip_suffix(last).is_some_and(|skipped| !skipped.contains(','))
    }
}

/// `jwt = {...}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// Where the keys are.
    pub keys: KeySource,
    /// Algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// `iss` must be one of them; empty: any.
    pub issuers: Vec<String>,
    /// `aud` must have one of them; empty: any.
    pub audiences: Vec<String>,
    /// By how much the clocks may differ. Default 30 s.
    pub leeway: Duration,
    /// Claims, and the fields in which members get them.
    pub claims: Vec<(String, String)>,
    /// Where requests have their tokens.
    pub from: TokenPlace,
    /// Whether members get the token, too, where it is in `Authorization`. Default true.
    pub forward: bool,
    /// `None`: each token is verified each time.
    pub remember: Option<RememberConfig>,
}

/// Where the keys of tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file with a JWK set.
    File(PathBuf),
    /// A JWK set at a URL.
    Url {
        /// Where.
        url: JwksUrl,
        /// Who may have issued the server's certificate; `None`: the roots of the system.
        ca: Option<PathBuf>,
        /// How often it is fetched.
        refresh: Duration,
    },
    /// A file with the secret of HS256.
    Secret(PathBuf),
}

/// An `http` or `https` URL without user, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// `https`.
    pub secure: bool,
    /// The host: a name, or an address without brackets.
    pub host: String,
    /// The port, written or by the scheme.
    pub port: u16,
    /// The path, with the query if there is one.
    pub path: String,
    /// As written.
    pub text: String,
}

/// How a token is signed (RFC 7518 section 3.1, RFC 8037). There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS#1, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// P-256, SHA-256.
    Es256,
    /// P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC, SHA-256.
    Hs256,
}

impl Algorithm {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("RS256", Self::Rs256),
        ("PS256", Self::Ps256),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
        ("HS256", Self::Hs256),
    ];

    /// The one of this name; names are case-sensitive.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// Where a request has its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer ...`
    Bearer,
    /// A cookie of this name.
    Cookie(String),
}

/// `basic = {...}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicConfig {
    /// What clients are asked for.
    pub realm: String,
    /// The file with users and hashes of their passwords.
    pub users: PathBuf,
    /// The field in which members get the user's name.
    pub header: Option<String>,
    /// Whether members get `Authorization`, too. Default false.
    pub forward: bool,
    /// `None`: each password is verified each time.
    pub remember: Option<RememberConfig>,
}

/// `request = {...}`: a service that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthRequestConfig {
    /// Its servers.
    pub pool: PoolId,
    /// What is requested there.
    pub path: String,
    /// Names of the client's fields that it gets.
    pub headers: Vec<String>,
    /// Names of its answer's fields that members get.
    pub copy: Vec<String>,
    /// Names of its answer's fields that clients get with a refusal, besides `WWW-Authenticate`.
    pub pass: Vec<String>,
    /// Whether it may send clients elsewhere. Default false.
    pub redirects: bool,
    /// For its whole answer. Default 1 s.
    pub timeout: Duration,
    /// `None`, the default: it is asked each time.
    pub remember: Option<RememberConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything_but_commas() {
        for (pattern, text, expected) in [
            ("CN=a", "CN=a", true),
            ("CN=a", "CN=ab", false),
            ("CN=*", "CN=", true),
            ("CN=*", "CN=a,O=b", false),
            ("CN=*,O=Shop", "CN=anna,O=Shop", true),
            ("CN=*,O=Shop", "CN=a,O=Evil,O=Shop", false),
            ("*", "", true),
            ("*", "a,b", false),
            ("URI:spiffe://a/*/b", "URI:spiffe://a/x/b", true),
            ("URI:spiffe://a/*/b", "URI:spiffe://a/x/c/b", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a,b2c", false),
            ("a*a", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern(pattern.to_owned()).matches(text), expected, "{pattern} {text}");
        }
    }
}
