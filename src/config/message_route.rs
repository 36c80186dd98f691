//! Mistakes of routes that are more than one value's, and their words.

use std::fmt;

use super::checked_route::Part;
use crate::http::LinkError;

/// What is wrong with a key of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No key that says what is done with the requests.
    NoAction,
    /// Two keys that each say what is done with the requests.
    TwoActions(&'static str),
    /// A key that means something only where requests go to members.
    Idle(&'static str),
    /// A text that no header, cookie or parameter has as its name.
    Name(Part),
    /// A condition on the host.
    Host,
    /// A text that no header or cookie can be.
    Text(Part),
    /// Neither a text nor a flag.
    NoTest,
    /// A split all of whose weights are 0.
    NoWeight,
    /// A status that redirects nobody.
    RedirectStatus,
    /// Nothing that can be sent as `Location`.
    Redirect(LinkError),
    /// A body of an answer that has none.
    NoBody(u16),
    /// A text and a file.
    TwoBodies,
    /// A text that cannot be the type of a body.
    ContentType,
    /// A text that no field has as its name.
    FieldName,
    /// A field that is ringway's own, or has a key of its own.
    OwnField(String),
    /// A text that no field has as its value.
    FieldText,
    /// A file that cannot be read.
    File(String),
    /// A file that is too large: over so many bytes.
    LargeFile(usize),
    /// Neither a status nor a class of them.
    Page,
    /// A text that is no beginning of a path.
    Strip,
    /// A prefix with a slash at its end; without it.
    StripSlash(String),
    /// A prefix that no path of the route has.
    StripOther,
    /// A new path that begins with neither a slash nor a group.
    RewriteStart,
    /// A group that the expression does not have.
    Group(String),
    /// A byte that no path has.
    RewriteByte(char),
}

const fn kind(part: Part) -> &'static str {
    match part {
        Part::Header => "header",
        Part::Cookie => "cookie",
        Part::Query => "parameter of a query",
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAction => {
                f.write_str("[[route]] needs \"pool\", \"split\", \"redirect\" or \"respond\"")
            }
            Self::TwoActions(other) => {
                write!(f, "there is {other:?} already: a route does one thing with its requests")
            }
            Self::Idle(key) => {
                write!(f, "{key:?} has no meaning here: no request of this route goes to a member")
            }
            Self::Name(part) => write!(f, "no {} has this name", kind(*part)),
            Self::Host => f.write_str("the host of a request has a key of its own"),
            Self::Text(part) => write!(f, "no {} can be this text", kind(*part)),
            Self::NoTest => f.write_str("this is neither a text nor true or false"),
            Self::NoWeight => f.write_str("every pool of this split has the weight 0"),
            Self::RedirectStatus => f.write_str("this status redirects nobody"),
            Self::Redirect(why) => write!(f, "this is no target of a redirection: {why}"),
            Self::NoBody(status) => write!(f, "an answer with the status {status} has no body"),
            Self::TwoBodies => f.write_str("\"body\" and \"file\" are two ways to give one body"),
            Self::ContentType => f.write_str("this is no type of a body"),
            Self::FieldName => f.write_str("no field has this name"),
            Self::OwnField(_) => f.write_str("this field is written by ringway itself"),
            Self::FieldText => {
                f.write_str("a field's value has no control characters and no space at its ends")
            }
            Self::File(why) => write!(f, "this file cannot be read: {why}"),
            Self::LargeFile(most) => write!(f, "this file has more than {most} bytes"),
            Self::Page => f.write_str("this is no status of an error, and no class of them"),
            Self::Strip => f.write_str("this is nothing that a path begins with"),
            Self::StripSlash(_) => f.write_str("whole segments are taken off: no slash at the end"),
            Self::StripOther => f.write_str("no path of this route begins with it"),
            Self::RewriteStart => f.write_str("a path begins with \"/\""),
            Self::Group(name) => write!(f, "the expression has no group {name:?}"),
            Self::RewriteByte(c) => write!(f, "no path has the character {c:?}"),
        }
    }
}

impl RouteError {
    /// What to do about it, if there is something to say.
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoAction => "as in: pool = \"api\"",
            Self::TwoActions(_) | Self::TwoBodies => "leave out one of the two",
            Self::Idle(_) => "leave it out, or name a pool",
            Self::Name(Part::Query) => "write the name as it is meant, without %",
            Self::Name(_) | Self::FieldName => {
                "a name has letters, digits and some of !#$%&'*+-.^_`|~"
            }
            Self::Host => "as in: hosts = [\"example.com\"]",
            Self::Text(_) | Self::FieldText | Self::File(_) | Self::LargeFile(_) => return None,
            Self::NoTest => {
                "write the text, \"~ REGEX\", true (it is there) or false (it is not there)"
            }
            Self::NoWeight => "give one of them a weight of at least 1",
            Self::RedirectStatus => "it may be 301, 302, 303, 307 or 308",
            Self::Redirect(why) => return Some(why.help()),
            Self::NoBody(_) => "leave the body out, or write another status",
            Self::ContentType => "as in: content_type = \"text/html; charset=utf-8\"",
            Self::OwnField(name) if name == "content-type" => {
                "write content_type = \"...\" beside it"
            }
            Self::OwnField(_) => "leave it out",
            Self::Page => "write a status from 400 to 599, \"4xx\" or \"5xx\"",
            Self::StripSlash(without) => return Some(format!("write {without:?}")),
            Self::Strip => "as in: strip = \"/api\"",
            Self::StripOther => "it must be what \"path\" begins with",
            Self::RewriteStart => "as in: to = \"/new/$1\"",
            Self::Group(_) => "$1 is the first group in parentheses, $$ is a dollar sign",
            Self::RewriteByte(_) => "write it percent-encoded, as in %20",
        };
        Some(help.to_owned())
    }
}
