//! What can be wrong with a configuration file, and where. Must not know how it is shown.

use std::fmt;
use std::time::Duration;

use super::address::{AddressError, CidrError};
use super::admin_address::AdminAddressError;
use super::check_auth::AuthError;
use super::check_balance::HashKeyError;
use super::check_buffer::BufferError;
use super::check_cache::CacheError;
use super::check_guard::GuardError;
use super::check_health::FieldError;
use super::check_l4::{Speaks, Unfit};
use super::check_sticky::StickyError;
use super::host::HostError;
use super::keys::Section;
use super::loanwords::Meaning;
use super::member_address::MemberAddressError;
use super::message_rewrite::RewriteError;
use super::message_route::RouteError;
use super::path::PathError;
use super::scalar::ScalarError;
use super::status::StatusError;

/// A range of bytes of the file; both ends lie on character boundaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A mistake, or something worth a warning, at a place of the file.
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// Where.
    pub span: Span,
    /// What.
    pub mistake: Mistake,
}

/// A section of this file: with the name of the listener or pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which kind of section.
    pub section: Section,
    /// The name, where the section or the one above has one.
    pub name: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.section.header();
        match &self.name {
            // Of a listener, which takes the same as a route.
            Some(name) if header.starts_with("[route.auth") => {
                f.write_str(&header.replacen("route", &format!("listener.{name}"), 1))
            }
            Some(name) => f.write_str(&header.replace("NAME", name)),
            None => f.write_str(header),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug)]
pub enum Mistake {
    // The form of the file.
    /// It is no TOML here.
    Syntax(Box<toml::de::Error>),
    /// No section knows the key.
    UnknownKey {
        /// As written.
        key: String,
        /// Where it stands.
        place: Place,
        /// The key of that section that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Another section knows the key.
    ElsewhereKey {
        /// As written.
        key: &'static str,
        /// Where it stands.
        place: Place,
        /// Where it belongs.
        home: Section,
    },
    /// No section knows the key, but other proxies do.
    Loanword {
        /// As written.
        key: String,
        /// Where it stands.
        place: Place,
        /// What it is called here.
        meaning: Meaning,
    },
    /// A later version brings the key.
    FutureKey {
        /// As written.
        key: &'static str,
    },
    /// A key without which the section means nothing.
    MissingKey {
        /// Its name.
        key: &'static str,
        /// Where it is missing.
        place: Place,
    },
    /// No `[listener.NAME]`, or no `[[route]]`.
    MissingSection(Section),
    /// `[listener]` or `[pool]` without a name.
    Unnamed(Section),
    /// `[route]` where `[[route]]` is meant.
    NotAList,
    /// A listener's or pool's name that is no word.
    BadName,
    /// More sections of a kind, or entries of a list, than can be numbered.
    TooMany {
        /// The most.
        max: usize,
    },

    // Values.
    /// A value of another type.
    WrongType {
        /// The key.
        key: &'static str,
        /// What it may hold.
        expected: &'static str,
        /// What it holds.
        found: &'static str,
        /// A line that uses the key.
        example: &'static str,
    },
    /// No duration.
    BadDuration {
        /// Why.
        why: ScalarError,
        /// The number that stands without its unit.
        number: Option<u64>,
    },
    /// No size.
    BadSize(ScalarError),
    /// Too small or too large.
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// The least, as it is written.
        min: String,
        /// The most, as it is written.
        max: String,
    },
    /// None of the words that the key may hold.
    NotAChoice {
        /// The key.
        key: &'static str,
        /// As written.
        word: String,
        /// The words.
        choices: &'static [&'static str],
        /// The one that was probably meant.
        nearest: Option<&'static str>,
        /// What to write for a word of another proxy.
        said: Option<&'static str>,
    },
    /// A list with nothing in it.
    EmptyList {
        /// The key.
        key: &'static str,
    },
    /// The same thing twice in a list.
    Twice {
        /// Where it stands first.
        first: Span,
    },
    /// No `IP:PORT`.
    BadAddress(AddressError),
    /// No address of a member.
    BadMemberAddress(MemberAddressError),
    /// Several places for a member that has one address.
    OnePlace,
    /// A member without a port to connect to.
    PortZero,
    /// An address that is bound already.
    DuplicateBind {
        /// Where.
        first: Span,
    },
    /// No address block.
    BadCidr(CidrError),
    /// No host to match.
    BadHost(HostError),
    /// No path of a route.
    BadPath(PathError),
    /// No method (RFC 9110 section 9.1: a token).
    BadMethod,
    /// A method in lower case: methods are case-sensitive.
    MethodCase {
        /// In upper case.
        upper: String,
    },
    /// No media type, nor several.
    BadMediaType,
    /// Neither `preserve` nor `member` nor a text that may be sent as `Host`.
    BadHostPolicy,
    /// A name server without a port to ask at.
    ResolverPort,
    /// No core id.
    BadCore,
    /// No place for the admin interface.
    BadAdmin(AdminAddressError),
    /// Neither a word that `access_log` knows nor the path of a file.
    BadAccessLog {
        /// The word that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A name that nothing has.
    UnknownName {
        /// Of a listener or of a pool.
        section: Section,
        /// As written.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
        /// Whether there are none at all.
        none: bool,
    },
    /// A pool all of whose members have the weight 0.
    NoWeight,

    /// A key of a route, beside the values above.
    BadRoute(RouteError),

    // Of pools: how members are chosen, watched and tried again.
    /// A pool all of whose members are backups.
    OnlyBackups,
    /// `balance = "hash"` without what is hashed.
    BareHash,
    /// Nothing that can be hashed.
    BadHashKey(HashKeyError),
    /// No cookie that keeps clients on their member, or no key for it.
    BadSticky(StickyError),
    /// Something of a cache.
    BadCache(CacheError),
    /// Something of what is buffered.
    BadBuffer(BufferError),
    /// No share.
    BadPercent {
        /// Why.
        why: ScalarError,
        /// The number that stands without its unit.
        number: Option<u64>,
    },
    /// No status, or none that makes sense here.
    BadStatus(StatusError),
    /// A word that is no failure of a member.
    BadFailure {
        /// As written.
        word: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A key of probes by request on a probe that only connects.
    TcpProbe {
        /// The key.
        key: &'static str,
    },
    /// A probe that may take until the next one or longer.
    ProbeTimeout {
        /// `timeout`, as written or by default.
        timeout: Duration,
        /// `interval`, as written or by default.
        interval: Duration,
    },
    /// Nothing that can be requested.
    BadProbePath,
    /// Nothing that can be sent as `Host` of a probe.
    BadProbeHost,
    /// No field for a probe.
    BadField(FieldError),
    /// A probe that looks for text in an answer that has none.
    BodyOfHead,

    /// Fields that are not changed so.
    BadRewrite(RewriteError),

    // Of routes.
    /// No rule for who may send requests.
    BadAuth(AuthError),

    // Of TLS.
    /// An empty path of a file.
    BadPathOfFile,
    /// No cipher that is known.
    BadCipher {
        /// As written.
        word: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Only ciphers that the least version does not have.
    NoCipher,
    /// A server name with a star in it.
    BadServerName,
    /// Neither `"off"` nor `true` nor a port.
    BadRedirect,
    /// A status, where clients would be sent to a port.
    RedirectStatus(u16),
    /// No age.
    BadAge,
    /// A key that needs TLS on the listener.
    NeedsTls {
        /// The key.
        key: &'static str,
    },
    /// A redirection to HTTPS on a listener that has it.
    RedirectOnTls,
    // Of listeners below HTTP.
    /// A key that means nothing for what the clients of the listener speak.
    NotSpoken {
        /// The key.
        key: &'static str,
        /// Where it stands.
        place: Place,
        /// What the clients speak.
        speaks: Speaks,
        /// The key to use in its place.
        instead: Option<&'static str>,
    },
    /// A route for a listener that gets no requests.
    NoRequests {
        /// What its clients speak.
        speaks: Speaks,
    },
    /// A pool that hashes what a connection does not have.
    NoSuchHash {
        /// The pool.
        pool: String,
        /// What its connections or datagrams are.
        speaks: Speaks,
    },
    /// A pool that cannot serve what its listener sends there.
    UnfitPool {
        /// The pool.
        pool: String,
        /// What its connections or datagrams are.
        speaks: Speaks,
        /// Why it cannot.
        unfit: Unfit,
    },
    /// A pool that announces connections, on a listener for datagrams.
    NoAnnouncement {
        /// The pool.
        pool: String,
    },

    // Of what guards listeners and routes.
    /// No list of addresses, no rate, or the like.
    BadGuard(GuardError),

    // Warnings.
    /// Members that need not prove who they are.
    Unverified,
    /// A pool that no route names.
    UnusedPool,
    /// A listener that no route serves.
    UnusedListener,
    /// A route for a path that ends with a slash, and none for what lies below it.
    NothingBelow {
        /// The path.
        path: String,
    },
    /// A route that another one leaves nothing.
    ShadowedRoute {
        /// The other route.
        first: Span,
    },
    /// Places in a queue that no request ever waits in.
    UselessQueue,
    /// A bound of attempts whose excess is no reason for another one.
    UselessTryTimeout,
    /// A literal `Host` that looks like a mistyped word.
    HostLooksLike {
        /// The word.
        nearest: &'static str,
    },
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

impl Mistake {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Unverified
            | Self::UnusedPool
            | Self::UnusedListener
            | Self::ShadowedRoute { .. }
            | Self::NothingBelow { .. }
            | Self::UselessQueue
            | Self::UselessTryTimeout
            | Self::HostLooksLike { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.mistake {
            Mistake::Syntax(error) => Some(error),
            Mistake::BadPath(PathError::Regex(error, _)) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.mistake, f)
    }
}
