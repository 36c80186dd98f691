//! What can be wrong with what is done to fields, and the words for it.

use std::fmt;

use super::message::did_you_mean;
use crate::http::TemplateError;
use crate::http::cors::OriginError;

/// Why fields are not changed so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteError {
    /// No name of a field.
    Name,
    /// A star elsewhere than at the end of a name.
    Star,
    /// A field that says where bodies end.
    Framing,
    /// `Host`, which has its own key.
    Host,
    /// A field that concerns one connection.
    Hop,
    /// A field that says who the client is.
    Identity,
    /// A field that says what the client's certificate says.
    Certificate,
    /// A variable that there is not.
    Variable {
        /// As written.
        name: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// No text with variables for another reason.
    Template(TemplateError),
    /// `{response.status}` before there is an answer.
    NotYet,
    /// White space around a value.
    Padded,
    /// No origin.
    Origin(OriginError),
    /// A star for everything, with credentials.
    OpenCredentials,
    /// A star beside others.
    StarAmongOthers,
    /// No domain of a cookie.
    Domain,
    /// No path of a cookie.
    Path,
    /// `same_site = "none"` without `secure = true`.
    Insecure,
    /// No host with or without a port.
    Authority,
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "no field has this name",
            Self::Star => "a star stands for the rest of a name, at its end",
            Self::Framing => "where bodies end is ringway's own business",
            Self::Host => "Host has a key of its own",
            Self::Hop => "this field concerns one connection, and never goes on",
            Self::Identity => "what members are told of the client has keys of its own",
            Self::Certificate => "what a client's certificate says is said by nobody else",
            Self::Variable { name, .. } => {
                return write!(f, "there is no variable {{{name}}}");
            }
            Self::Template(TemplateError::Open(_)) => "this \"{\" has no \"}\"",
            Self::Template(TemplateError::Close(_)) => "this \"}\" has no \"{\"",
            Self::Template(TemplateError::TooLong) => "this is longer than 4096 bytes",
            Self::Template(_) => "no field has such a value",
            Self::NotYet => "a request has no answer yet whose status could be sent",
            Self::Padded => "white space around a value is lost on the way",
            Self::Origin(OriginError::Scheme) => {
                "this is no origin: http:// or https:// is missing"
            }
            Self::Origin(OriginError::Path) => {
                "this is no origin: it ends with the host or the port"
            }
            Self::Origin(OriginError::Star) => {
                "this is no origin: a star stands for the first labels of a host"
            }
            Self::Origin(OriginError::Host) => "this is no origin: the host is none",
            Self::Origin(OriginError::Form) => "browsers never send an origin in this form",
            Self::OpenCredentials => {
                "with credentials, a star would let every site act as the user: browsers refuse it"
            }
            Self::StarAmongOthers => {
                "a star stands for everything: nothing else may stand beside it"
            }
            Self::Domain => "this is no domain of a cookie",
            Self::Path => "this is no path of a cookie",
            Self::Insecure => {
                "browsers throw cookies with SameSite=None away unless they say Secure"
            }
            Self::Authority => "this is no host with or without a port",
        })
    }
}

impl RewriteError {
    /// What to do about it, if there is something to say.
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::Name => "as in: \"X-Request-Start\"",
            Self::Star => "as in: remove = [\"X-Int-*\"]",
            Self::Framing | Self::Hop => "leave it out: ringway writes what each side needs",
            Self::Host => "write on the route: host = \"member\", or the text to send",
            Self::Identity => "see trusted_proxies, trusted_hops and forwarded of the listener",
            Self::Certificate => "see client_auth of tls",
            Self::Variable { nearest: Some(nearest), .. } => return Some(did_you_mean(nearest)),
            Self::Variable { .. } => {
                let names: Vec<_> = crate::http::Variable::names().collect();
                return Some(format!("there are {}", names.join(", ")));
            }
            Self::Template(TemplateError::Open(_) | TemplateError::Close(_)) => {
                "write \"{{\" or \"}}\" for the brace itself"
            }
            Self::NotYet => "it can stand in response_headers",
            Self::Padded => "leave it out",
            Self::Origin(OriginError::Form) => {
                "write it in lower case, and leave the port out that the scheme has anyway"
            }
            Self::Origin(_) => "as in \"https://a.example\" or \"https://*.b.example\"",
            Self::OpenCredentials => "list those that may",
            Self::StarAmongOthers => "leave out the one or the other",
            Self::Domain => "as in: domain = { \"app.internal\" = \"example.com\" }",
            Self::Path => "as in: path = { \"/app\" = \"/\" }",
            Self::Insecure => "write secure = true beside it",
            Self::Authority => "as in \"app.internal:8080\"",
            Self::Template(_) => return None,
        };
        Some(help.to_owned())
    }
}
