//! What is known of an exchange where a text with variables is written.
//!
//! Values are appended as they are found, and nothing is allocated.

use std::io::Write as _;

use super::context::Context;
use super::exchange::{Ask, Client, Facts};
use super::forwarded::{self, TlsVersion};
use super::hash_key::values;
use super::named;
use crate::clock;
use crate::config::{ListenerConfig, RouteConfig};
use crate::http::{
    CertificatePart, Name, RequestHead, Scheme, Template, Variable, encode, push_text,
};
use crate::net::Stream;

/// An exchange, as far as it has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) context: &'a Context,
    pub(super) listener: &'a ListenerConfig,
    /// `None`: it could not be read.
    pub(super) head: Option<&'a RequestHead>,
    pub(super) stream: &'a Stream,
    /// What the client's certificate says of it, as whole fields.
    pub(super) identity: Option<&'a [u8]>,
    pub(super) facts: &'a Facts,
}

impl<'a> Known<'a> {
    /// Of a request on its way to a member.
    pub(super) fn of(ask: &Ask<'a>, facts: &'a Facts) -> Self {
        Self {
            context: ask.context,
            listener: ask.listener,
            head: Some(ask.head),
            stream: ask.stream,
            identity: ask.peer.identity.as_deref(),
            facts,
        }
    }

    /// Of a client that is answered here; `None` where its listener is not known.
    pub(super) fn of_client(
        context: &'a Context,
        client: &'a Client,
        head: Option<&'a RequestHead>,
        facts: &'a Facts,
    ) -> Option<Self> {
        let listener = context.listener(client.listener)?;
        let (stream, identity) = (&client.stream, client.peer.identity.as_deref());
        Some(Self { context, listener, head, stream, identity, facts })
    }

    /// The route, once there is one.
    pub(super) fn route(&self) -> Option<&'a RouteConfig> {
        self.context.config.routes.get(self.facts.route.get()?.index())
    }

    /// How the client asks, as far as is believed.
    pub(super) fn scheme(&self) -> Scheme {
        let claimed = || forwarded::claimed(self.head?, self.listener).scheme;
        let own = if self.facts.tls.is_some() { Scheme::Https } else { Scheme::Http };
        if self.facts.trusted { claimed().unwrap_or(own) } else { own }
    }

    /// Whom the client asks, as far as is believed; empty: nobody by name.
    pub(super) fn host(&self) -> &'a [u8] {
        let Some(head) = self.head else { return b"" };
        let claimed = || forwarded::claimed(head, self.listener).host;
        if self.facts.trusted { claimed().unwrap_or(head.authority()) } else { head.authority() }
    }

    /// Appends a text with its variables filled in.
    pub(super) fn render(&self, out: &mut Vec<u8>, template: &Template) {
        template.render(out, |out, variable| self.value(out, variable));
    }

    /// Appends what a variable stands for; what is not known is nothing.
    fn value(&self, out: &mut Vec<u8>, variable: &Variable) {
        let facts = self.facts;
        // Writing to a vector cannot fail.
        match variable {
            Variable::ClientIp => _ = write!(out, "{}", facts.client.get()),
            Variable::ClientPort => number(out, u64::from(facts.source_port.get())),
            Variable::RequestId => named::write(out, self),
            Variable::Scheme => out.extend_from_slice(self.scheme().word()),
            Variable::ServerName => self.stream.look_at_tls(|tls| {
                push_text(out, tls.map_or(b"", |tls| tls.server_name));
            }),
            Variable::TlsVersion => {
                let version = facts.tls.map_or("", TlsVersion::word);
                out.extend_from_slice(version.as_bytes());
            }
            Variable::Certificate(part) => push_text(out, self.certificate(*part)),
            Variable::Listener => out.extend_from_slice(self.listener.name.as_bytes()),
            Variable::Route => number(out, facts.route.get().map_or(0, |id| id.index() as u64 + 1)),
            Variable::Pool => {
                let pool = facts.pool.get().and_then(|pool| self.context.config.pool(pool));
                out.extend_from_slice(pool.map_or(b"", |pool| pool.name.as_bytes()));
            }
            Variable::Member => {
                facts.look_at_site(|site| {
                    push_text(out, site.map_or(b"", |site| site.host.as_bytes()));
                });
            }
            Variable::Status => number(out, u64::from(facts.status.get())),
            Variable::UnixTime => encode::decimal(out, clock::unix().as_secs()),
            of_request => self.value_of_request(out, of_request),
        }
    }

    fn value_of_request(&self, out: &mut Vec<u8>, variable: &Variable) {
        let Some(head) = self.head else { return };
        let value = match variable {
            Variable::Method => Some(head.method_bytes()),
            Variable::Path => Some(head.path()),
            Variable::Query => head.query(),
            Variable::Host => Some(head.authority()),
            Variable::Header(name) => {
                let same = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
                head.fields().find(|field| same(field.name_bytes)).map(|field| field.value)
            }
            Variable::Cookie(name) => head
                .fields()
                .filter(|field| field.name == Name::Cookie)
                .find_map(|field| values(field.value, b';', name.as_bytes()).next()),
            Variable::Parameter(name) => {
                head.query().and_then(|query| values(query, b'&', name.as_bytes()).next())
            }
            _ => None,
        };
        push_text(out, value.unwrap_or_default());
    }

    /// A part of what the client's certificate says.
    fn certificate(&self, part: CertificatePart) -> &'a [u8] {
        let name: &[u8] = match part {
            CertificatePart::Subject => b"X-Client-Cert-Subject: ",
            CertificatePart::San => b"X-Client-Cert-San: ",
            CertificatePart::Issuer => b"X-Client-Cert-Issuer: ",
            CertificatePart::Serial => b"X-Client-Cert-Serial: ",
            CertificatePart::Fingerprint => b"X-Client-Cert-Fingerprint: ",
        };
        let mut lines = self.identity.unwrap_or_default().split(|byte| *byte == b'\n');
        lines.find_map(|line| line.trim_ascii_end().strip_prefix(name)).unwrap_or_default()
    }
}

/// A number, where it is known.
fn number(out: &mut Vec<u8>, number: u64) {
    if number != 0 {
        encode::decimal(out, number);
    }
}
