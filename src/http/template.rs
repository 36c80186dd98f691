//! Texts with variables, such as `"{scheme}://{request.host}"`: cut into pieces once, rendered often.
//!
//! Must not know where the values come from. Whatever they are, what is rendered never ends a field:
//! bytes that no field value may have are left out.

use std::fmt;

use super::bytes::{TEXT, is, is_token, run};

/// Bytes of a template at the most.
const BYTES_MOST: usize = 4096;

/// What a variable stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `{client.ip}`
    ClientIp,
    /// `{client.port}`
    ClientPort,
    /// `{request.id}`
    RequestId,
    /// `{request.method}`
    Method,
    /// `{request.path}`: in its normal form.
    Path,
    /// `{request.query}`: as sent, without the question mark.
    Query,
    /// `{request.host}`: as sent, with its port.
    Host,
    /// `{scheme}`
    Scheme,
    /// `{header.NAME}`: of the first such field of the request.
    Header(Box<str>),
    /// `{cookie.NAME}`
    Cookie(Box<str>),
    /// `{query.NAME}`: as sent, with its escapes.
    Parameter(Box<str>),
    /// `{tls.sni}`
    ServerName,
    /// `{tls.version}`
    TlsVersion,
    /// `{tls.client.subject}` and its like.
    Certificate(CertificatePart),
    /// `{listener}`
    Listener,
    /// `{route}`
    Route,
    /// `{pool}`
    Pool,
    /// `{member}`
    Member,
    /// `{response.status}`
    Status,
    /// `{time.unix}`: whole seconds.
    UnixTime,
}

/// What is said of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificatePart {
    /// `{tls.client.subject}`
    Subject,
    /// `{tls.client.san}`
    San,
    /// `{tls.client.issuer}`
    Issuer,
    /// `{tls.client.serial}`
    Serial,
    /// `{tls.client.fingerprint}`
    Fingerprint,
}

/// Variables with one name each.
const NAMES: [(&str, Variable); 21] = [
    ("client.ip", Variable::ClientIp),
    ("client.port", Variable::ClientPort),
    ("request.id", Variable::RequestId),
    ("request.method", Variable::Method),
    ("request.path", Variable::Path),
    ("request.query", Variable::Query),
    ("request.host", Variable::Host),
    ("scheme", Variable::Scheme),
    ("tls.sni", Variable::ServerName),
    ("tls.version", Variable::TlsVersion),
    ("tls.client.subject", Variable::Certificate(CertificatePart::Subject)),
    ("tls.client.san", Variable::Certificate(CertificatePart::San)),
    ("tls.client.issuer", Variable::Certificate(CertificatePart::Issuer)),
    ("tls.client.serial", Variable::Certificate(CertificatePart::Serial)),
    ("tls.client.fingerprint", Variable::Certificate(CertificatePart::Fingerprint)),
    ("listener", Variable::Listener),
    ("route", Variable::Route),
    ("pool", Variable::Pool),
    ("member", Variable::Member),
    ("response.status", Variable::Status),
    ("time.unix", Variable::UnixTime),
];

/// Makes a variable of the rest of its name.
type Family = fn(Box<str>) -> Variable;

/// Families of variables, whose names go on with one of the operator's.
const FAMILIES: [(&str, Family); 3] =
    [("header.", Variable::Header), ("cookie.", Variable::Cookie), ("query.", Variable::Parameter)];

impl Variable {
    /// The variable of this name, without its braces.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if let Some((_, variable)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(variable.clone());
        }
        let (family, make) = FAMILIES.iter().find(|(family, _)| name.starts_with(family))?;
        let rest = name.get(family.len()..)?;
        is_token(rest.as_bytes()).then(|| make(rest.into()))
    }

    /// The names that there are; those of families with `NAME` in place of the operator's.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let families = ["header.NAME", "cookie.NAME", "query.NAME"];
        NAMES.iter().map(|(name, _)| *name).chain(families)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header.{name}"),
            Self::Cookie(name) => write!(f, "cookie.{name}"),
            Self::Parameter(name) => write!(f, "query.{name}"),
            known => {
                let name = NAMES.iter().find(|(_, variable)| variable == known);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// `{` without `}`; and where it stands.
    Open(usize),
    /// `}` without `{`; and where it stands.
    Close(usize),
    /// A variable that there is not, and the range of its name.
    Unknown {
        /// As written.
        name: String,
        /// Where it begins, in bytes.
        start: usize,
    },
    /// A character that no field may have.
    Control,
    /// More than 4096 bytes.
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Value(Variable),
}

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Box<[Piece]>,
}

impl Template {
    /// Cuts a text at its variables. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// Braces without a partner, a variable that there is not, a character that no field may have.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > BYTES_MOST {
            return Err(TemplateError::TooLong);
        }
        if text.bytes().any(|byte| !is(byte, TEXT)) {
            return Err(TemplateError::Control);
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        let at = |rest: &str| text.len() - rest.len();
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at_checked(brace).unwrap_or_default();
            plain.push_str(before);
            if let Some(doubled) = tail.get(..2).filter(|two| matches!(*two, "{{" | "}}")) {
                plain.push_str(doubled.get(1..).unwrap_or_default());
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            let Some(inside) = tail.strip_prefix('{') else {
                return Err(TemplateError::Close(at(tail)));
            };
            let Some((name, behind)) = inside.split_once('}') else {
                return Err(TemplateError::Open(at(tail)));
            };
            let Some(variable) = Variable::of(name) else {
                let (name, start) = (name.to_owned(), at(inside));
                return Err(TemplateError::Unknown { name, start });
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(Piece::Value(variable));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// Appends the text; `value` appends what a variable stands for, by [`push_text`] where it may
    /// be any bytes.
    pub fn render(&self, out: &mut Vec<u8>, mut value: impl FnMut(&mut Vec<u8>, &Variable)) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Value(variable) => value(out, variable),
            }
        }
    }

    /// Its variables.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(variable) => Some(variable),
        })
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    f.write_str(&text.replace('{', "{{").replace('}', "}}"))?;
                }
                Piece::Value(variable) => write!(f, "{{{variable}}}")?,
            }
        }
        Ok(())
    }
}

/// Appends a value without the bytes that no field may have: CR, LF, NUL and other controls.
pub fn push_text(out: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    loop {
        let (good, bad) = rest.split_at_checked(run(rest, TEXT)).unwrap_or_default();
        out.extend_from_slice(good);
        match bad {
            [] => return,
            [_, tail @ ..] => rest = tail,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(text: &str) -> String {
        let mut out = Vec::new();
        let template = Template::parse(text).unwrap();
        template
            .render(&mut out, |out, variable| push_text(out, format!("<{variable}>").as_bytes()));
        assert_eq!(template.to_string(), text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_cut_at_their_variables() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{scheme}://{request.host}{request.path}", "<scheme>://<request.host><request.path>"),
            ("{{{scheme}}}", "{<scheme>}"),
            ("a{{b}}c", "a{b}c"),
            ("é {header.X-A}{cookie.s}{query.q}", "é <header.X-A><cookie.s><query.q>"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
        for (name, _) in NAMES {
            assert_eq!(rendered(&format!("{{{name}}}")), format!("<{name}>"));
        }
        for name in Variable::names() {
            assert!(Variable::of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_no_template() {
        let unknown = |name: &str, start| TemplateError::Unknown { name: name.to_owned(), start };
        for (text, expected) in [
            ("a{", TemplateError::Open(1)),
            ("a{scheme", TemplateError::Open(1)),
            ("a}b", TemplateError::Close(1)),
            ("{scheme}}", TemplateError::Close(8)),
            ("{}", unknown("", 1)),
            ("x{client.ipp}", unknown("client.ipp", 2)),
            ("{header.}", unknown("header.", 1)),
            ("{header.a b}", unknown("header.a b", 1)),
            ("a\r\nb", TemplateError::Control),
            ("\0", TemplateError::Control),
            ("\u{7f}", TemplateError::Control),
        ] {
            assert_eq!(Template::parse(text), Err(expected), "{text:?}");
        }
        assert_eq!(Template::parse(&"a".repeat(4097)), Err(TemplateError::TooLong));
    }

    proptest! {
        #[test]
        fn no_value_ends_a_field(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            let template = Template::parse("a{header.X}b{query.y}").unwrap();
            template.render(&mut out, |out, _| push_text(out, &value));
            prop_assert!(out.iter().all(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
            let kept: Vec<_> = value.iter().copied().filter(|byte| is(*byte, TEXT)).collect();
            prop_assert_eq!(out, [b"a", &*kept, b"b", &kept].concat());
        }

        #[test]
        fn any_text_is_cut_or_refused(text in "[a-z.{} ]{0,40}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
