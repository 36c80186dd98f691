//! The words for each mistake: what is wrong (`Display`), and what to do about it (`help`).

use std::fmt;

use super::address::AddressError;
use super::error::{Mistake, Place, Span};
use super::host::HostError;
use super::keys::Section;
use super::loanwords::Meaning;
use super::member_address::MemberAddressError;
use super::path::PathError;
use super::scalar::ScalarError;

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{}", error.message()),
            Self::UnknownKey { key, place, .. } => write!(f, "unknown key {key:?} in {place}"),
            Self::Loanword { key, place, .. } => write!(f, "unknown key {key:?} in {place}"),
            Self::ElsewhereKey { key, place, home } => elsewhere(f, key, place, *home),
            Self::FutureKey { key } => write!(f, "{key:?} is not supported by this version yet"),
            Self::MissingKey { key, place } => write!(f, "{place} needs {key:?}"),
            Self::MissingSection(section) => write!(f, "there is no {}", section.header()),
            Self::Unnamed(Section::Pool) => f.write_str("a pool needs a name"),
            Self::Unnamed(_) => f.write_str("a listener needs a name"),
            Self::NotAList => f.write_str("\"route\" is a list of tables"),
            Self::BadName => f.write_str(
                "a name has 1 to 64 characters: letters, digits, \"-\", \"_\" and \".\"",
            ),
            Self::TooMany { max } => write!(f, "there are more than {max}"),
            Self::UnknownName { section: Section::Pool, name, .. } => {
                write!(f, "there is no pool {name:?}")
            }
            Self::UnknownName { name, .. } => write!(f, "there is no listener {name:?}"),
            Self::NoWeight => f.write_str("every member of this pool has the weight 0"),
            Self::UnusedPool => f.write_str("no route uses this pool"),
            Self::UnusedListener => f.write_str("no route serves this listener"),
            Self::ShadowedRoute { .. } => {
                f.write_str("this route never matches: another one takes all its requests")
            }
            Self::NothingBelow { path } => {
                write!(
                    f,
                    "this is the path {path:?} alone, and no route takes all that lies below it"
                )
            }
            Self::HostLooksLike { nearest } => {
                write!(f, "members get this text as Host: was {nearest:?} meant?")
            }
            value => value.fmt_value(f),
        }
    }
}

fn elsewhere(f: &mut fmt::Formatter<'_>, key: &str, place: &Place, home: Section) -> fmt::Result {
    let (here, there) = (place.section.hat(), home.hat());
    if here == there {
        write!(f, "{key:?} is a key of {}, not of {place}", home.header())
    } else {
        write!(f, "{key:?} is a key of {} ({there}), not of {place} ({here})", home.header())
    }
}

impl Mistake {
    /// Mistakes in values.
    fn fmt_value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { key, expected, found, .. } => {
                write!(f, "{key:?} takes {}; this is {found}", without_links(expected))
            }
            Self::BadDuration { why, .. } => write!(f, "this is no duration: {why}"),
            Self::BadSize(why) => write!(f, "this is no size: {why}"),
            Self::OutOfBounds { key, min, max } => {
                write!(f, "{key:?} must lie between {min} and {max}")
            }
            Self::NotAChoice { key, word, .. } => write!(f, "{key:?} does not know {word:?}"),
            Self::EmptyList { key } => write!(f, "{key:?} is an empty list"),
            Self::Twice { .. } => f.write_str("this is listed already"),
            Self::BadAddress(why) => write!(f, "this is no address: {why}"),
            Self::BadMemberAddress(why) => write!(f, "this is no address of a member: {why}"),
            Self::ResolverPort => f.write_str("no name server can be asked on port 0"),
            Self::PortZero => f.write_str("a member cannot be reached on port 0"),
            Self::DuplicateBind { .. } => f.write_str("this address is bound already"),
            Self::BadCidr(why) => write!(f, "this is no address block: {why}"),
            Self::BadHost(why) => write!(f, "this is no host: {why}"),
            Self::BadPath(why @ PathError::Regex(..)) => write!(f, "{why}"),
            Self::BadPath(why) => write!(f, "this is no path: {why}"),
            Self::BadMethod => f.write_str("this is no method"),
            Self::MethodCase { .. } => {
                f.write_str("methods are case-sensitive, and this one is in lower case")
            }
            Self::BadMediaType => f.write_str("this is no media type"),
            Self::BadHostPolicy => f.write_str("this cannot be sent as Host"),
            Self::BadRoute(why) => write!(f, "{why}"),
            Self::BadCore => f.write_str("a core id is a number from 0 to 1023"),
            Self::BadAdmin(why) => write!(f, "this is no place for the admin interface: {why}"),
            Self::BadAuth(why) => write!(f, "{why}"),
            Self::BadAccessLog { .. } => f.write_str("this is no place for an access log"),
            Self::NotSpoken { .. }
            | Self::NoRequests { .. }
            | Self::NoSuchHash { .. }
            | Self::UnfitPool { .. }
            | Self::NoAnnouncement { .. } => self.fmt_l4(f),
            Self::BadRewrite(why) => write!(f, "{why}"),
            pool => pool.fmt_pool(f),
        }
    }

    /// What to do about it, if there is something to say. `line` tells the line of a span.
    #[must_use]
    pub fn help(&self, line: impl Fn(Span) -> usize) -> Option<String> {
        match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => Some(did_you_mean(nearest)),
            Self::UnknownKey { place, nearest: None, .. } => {
                let known: Vec<_> = place.section.keys().map(|key| key.name).collect();
                Some(format!("{place} knows {}", known.join(", ")))
            }
            Self::Loanword { place, meaning, .. } => Some(help_loanword(place, *meaning)),
            Self::ElsewhereKey { key, home, .. } => Some(match home.key(key) {
                Some(known) => {
                    format!("write it under {}, as in: {}", home.header(), known.example)
                }
                None => "and this version does not support it yet".to_owned(),
            }),
            Self::MissingKey { key, place } => {
                place.section.key(key).map(|key| format!("as in: {}", key.example))
            }
            Self::MissingSection(Section::Listener) => {
                Some("add one, as in: [listener.web] with bind = [\"0.0.0.0:8080\"]".to_owned())
            }
            Self::MissingSection(_) => {
                Some("add one, as in: [[route]] with pool = \"NAME\"".to_owned())
            }
            Self::Unnamed(section) => Section::Root
                .key(if *section == Section::Pool { "pool" } else { "listener" })
                .map(|key| format!("write {}", key.example)),
            Self::NotAList => Some("write [[route]]".to_owned()),
            Self::UnknownName { nearest: Some(nearest), .. } => Some(did_you_mean(nearest)),
            Self::UnknownName { section, none: true, .. } => {
                Some(format!("there is no {} at all", section.header()))
            }
            Self::Twice { first } | Self::DuplicateBind { first } => {
                Some(format!("it stands first in line {}", line(*first)))
            }
            Self::ShadowedRoute { first } => {
                Some(format!("that route begins in line {}", line(*first)))
            }
            Self::NothingBelow { path } => Some(format!("write \"{path}*\" for both")),
            Self::NoWeight => Some("give one of them a weight of at least 1".to_owned()),
            Self::UnusedPool => Some("name it in a route: pool = \"...\"".to_owned()),
            Self::UnusedListener => Some("every request to it is answered with 404".to_owned()),
            value => value.help_value(),
        }
    }

    fn help_value(&self) -> Option<String> {
        match self {
            Self::WrongType { example, .. } => Some(format!("as in: {example}")),
            Self::BadDuration { number: Some(n), .. } => {
                Some(format!("write \"{n}s\" for seconds"))
            }
            Self::BadDuration { why: ScalarError::Unit(Some(unit)), .. } => {
                Some(format!("did you mean the unit \"{unit}\"?"))
            }
            Self::BadDuration { .. } => {
                Some("write a number and ms, s, m or h, as in \"500ms\" or \"10s\"".to_owned())
            }
            Self::BadSize(ScalarError::Unit(Some(unit))) => {
                Some(format!("did you mean the unit \"{unit}\"?"))
            }
            Self::BadSize(_) => Some(
                "write a number of bytes, or a number and KiB, MiB, GiB, as in \"64KiB\""
                    .to_owned(),
            ),
            Self::NotAChoice { said: Some(said), .. } => Some((*said).to_owned()),
            Self::NotAChoice { nearest: Some(nearest), .. } => Some(did_you_mean(nearest)),
            Self::NotAChoice { choices, .. } => Some(format!("it may be {}", quoted(choices))),
            Self::BadAddress(why) => help_address(*why).map(str::to_owned),
            Self::BadMemberAddress(why) => Some(help_member(*why).to_owned()),
            Self::BadCidr(why) => why.help().or_else(|| {
                Some("as in \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.7\"".to_owned())
            }),
            Self::BadHost(HostError::Character(c)) if !c.is_ascii() => {
                Some("write the name in its ASCII form, as in \"xn--bcher-kva.example\"".to_owned())
            }
            Self::BadHost(why) => help_host(*why).map(str::to_owned),
            Self::BadPath(why) => help_path(why),
            Self::MethodCase { upper } => Some(format!("write {upper:?}")),
            Self::BadMethod => Some("as in: methods = [\"GET\", \"HEAD\"]".to_owned()),
            Self::BadMediaType => Some(
                "as in \"text/html\", \"text/*\" or \"application/*+json\"; without parameters"
                    .to_owned(),
            ),
            Self::BadHostPolicy => {
                Some("write \"preserve\", \"member\", or a host with or without a port".to_owned())
            }
            Self::BadAdmin(why) => Some(why.help()),
            Self::BadRoute(why) => why.help(),
            Self::BadAccessLog { nearest: Some(nearest) } => Some(did_you_mean(nearest)),
            Self::BadAccessLog { nearest: None } => {
                Some("write \"off\", \"stdout\" or a path with a \"/\" in it".to_owned())
            }
            Self::BadAuth(why) => Some(why.help()),
            Self::FutureKey { .. } => Some("leave it out for now".to_owned()),
            Self::NotSpoken { .. }
            | Self::NoRequests { .. }
            | Self::NoSuchHash { .. }
            | Self::UnfitPool { .. }
            | Self::NoAnnouncement { .. } => self.help_l4(),
            Self::BadRewrite(why) => why.help(),
            pool => pool.help_pool(),
        }
    }
}

pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean {word:?}?")
}

/// The manual's words for a terminal: of `[text](address)` the text.
fn without_links(prose: &str) -> String {
    let mut plain = String::with_capacity(prose.len());
    let mut rest = prose;
    while let Some((before, link)) = rest.split_once("](") {
        let (open, (_, after)) =
            (before.rfind('[').unwrap_or(0), link.split_once(')').unwrap_or(("", link)));
        plain.push_str(before.get(..open).unwrap_or_default());
        plain.push_str(before.get(open + 1..).unwrap_or_default());
        rest = after;
    }
    plain + rest
}

fn help_loanword(place: &Place, meaning: Meaning) -> String {
    let (home, name) = match meaning {
        Meaning::Said(said) => return said.to_owned(),
        Meaning::Key(home, name) => (home, name),
    };
    // Rates of routes and listeners take the same keys.
    let here = place.section == home || place.section.key(name).is_some();
    let example = home.key(name).map_or("", |key| key.example);
    if here {
        format!("here it is called {name:?}, as in: {example}")
    } else {
        format!("here it is {name:?} of {}, as in: {example}", home.header())
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or ")
}

const fn help_member(why: MemberAddressError) -> &'static str {
    match why {
        MemberAddressError::Address(AddressError::Brackets) => "as in \"[::1]:8080\"",
        MemberAddressError::Address(AddressError::Url) => "write HOST:PORT, without http://",
        MemberAddressError::Address(_) | MemberAddressError::Name(_) => {
            "write HOST:PORT, as in \"10.0.1.11:8080\" or \"api.internal:8080\""
        }
        MemberAddressError::Options => {
            "what else there is to say of a member has keys, as in { address = \"10.0.1.11:8080\", weight = 2 }"
        }
        MemberAddressError::ServicePort => "as in \"srv:_http._tcp.api.internal\"",
        MemberAddressError::RelativePath
        | MemberAddressError::LongPath
        | MemberAddressError::ZeroInPath
        | MemberAddressError::BarePath => "as in \"unix:/run/app.sock\"",
    }
}

fn help_path(why: &PathError) -> Option<String> {
    Some(match why {
        PathError::Start => {
            "as in \"/x\" (this path alone), \"/x/*\" (and all below it), \"~ ^/x[0-9]\" or \"~ \\\\.php$\"".to_owned()
        }
        PathError::NoCase => "write \"~ (?i)REGEX\"".to_owned(),
        PathError::Star => {
            "for all that begins so, by segment, write \"/x/*\"; else a regular expression, as in \"~ ^/x/[^/]+/y$\"".to_owned()
        }
        PathError::Normal(normal) => format!("write {normal:?}"),
        _ => return None,
    })
}

const fn help_host(why: HostError) -> Option<&'static str> {
    match why {
        HostError::Port | HostError::Url => Some("write the name alone, as in \"example.com\""),
        HostError::Character(' ' | ',') => {
            Some("write a list, as in [\"example.com\", \"www.example.com\"]")
        }
        HostError::Character('~' | '^' | '$' | '\\') => Some(
            "hosts are names, or \"*.example.com\" for all below one; expressions are for paths",
        ),
        HostError::Any => Some("leave \"hosts\" out: then it is any host"),
        HostError::EmptyLabel => {
            Some("for a name and all below it write [\"example.com\", \"*.example.com\"]")
        }
        HostError::Wildcard => Some("for any host leave \"hosts\" out"),
        HostError::Empty | HostError::Character(_) | HostError::TooLong => None,
    }
}

const fn help_address(why: AddressError) -> Option<&'static str> {
    match why {
        AddressError::NoPort | AddressError::Url | AddressError::Malformed => {
            Some("write IP:PORT, as in \"127.0.0.1:8080\" or \"[::1]:8080\"")
        }
        AddressError::OnlyPort => Some(
            "write \"0.0.0.0:PORT\" for every IPv4 address of the host, \"[::]:PORT\" for IPv6",
        ),
        AddressError::Brackets => Some("as in \"[::1]:8080\""),
        AddressError::Name => Some("write IP:PORT"),
        AddressError::Port => Some("what is spoken there is said by \"protocol\" and \"tls\""),
        AddressError::Unix => None,
    }
}
