//! One function for each fuzz target: it takes any bytes and asserts what must hold of the result,
//! whatever they are. The targets in `fuzz/` only call these, and tests run them over corpora.

use super::accept_encoding::{AcceptEncoding, Coding};
use super::bytes::{TEXT, is};
use super::chunked::{ChunkDecoder, Event};
use super::credentials::{Credentials, UserPass};
use super::encode;
use super::error::{ChunkError, ParseError};
use super::fields::FieldRef;
use super::forwarded::{Hop, Hops, listed_address, write_for, write_pair};
use super::framing::{Framing, request_framing, response_framing};
use super::head::{HeadLimits, Parsed};
use super::location::{self, Place};
use super::method::{Method, Version};
use super::name::{Name, is_identity};
use super::pairs;
use super::request::RequestHead;
use super::response::ResponseHead;
use super::set_cookie::CookieRules;
use super::target::{Scheme, TargetForm};
use super::template::{Template, push_text};
use super::trace::trace_id;
use super::upgrade;

const LIMITS: HeadLimits = HeadLimits { bytes: 2048, fields: 20 };
/// What is written anew may be a little larger than what was read.
const WIDER: HeadLimits = HeadLimits { bytes: 1 << 16, fields: 40 };
const MAX_TRAILERS: usize = 512;

/// `Accept-Encoding`: the choice is one of what is offered, is named and not refused, and does not
/// depend on how the list is split into fields.
pub fn accept_encoding(data: &[u8]) {
    let choose =
        |values: &mut dyn Iterator<Item = &[u8]>| AcceptEncoding::parse(values).choose(Coding::ALL);
    let chosen = choose(&mut std::iter::once(data));
    assert_eq!(chosen, choose(&mut data.split(|&byte| byte == b',')));
    assert_eq!(chosen, choose(&mut [data, b" , "].into_iter()));
    assert_eq!(choose(&mut [data, b"br;q="].into_iter()), None);
    assert_eq!(AcceptEncoding::parse([data]).choose([]), None);
    let Some(coding) = chosen else { return };
    let lower = data.to_ascii_lowercase();
    let name = coding.name().as_bytes();
    assert!(lower.contains(&b'*') || lower.windows(name.len()).any(|window| window == name));
    assert_eq!(choose(&mut [data, b";q=0"].into_iter()), None);
    let refused = [data, b",", name, b";q=0"].concat();
    assert_ne!(choose(&mut std::iter::once(&refused[..])), Some(coding));
}

/// A request head: a split delays a result at the most, and what is accepted means the same when it
/// is written anew and read again.
pub fn request_head(data: &[u8]) {
    let mut head = RequestHead::new();
    let whole = head.parse(data, &LIMITS);
    let mut split = RequestHead::new();
    check_split(in_pieces(data, |input| split.parse(input, &LIMITS)), whole);
    let Ok(Parsed::Complete(len)) = whole else { return };
    check_end(data, len);
    check_fields(head.fields(), |field| head.is_hop_by_hop(field));
    assert!(head.fields().len() <= LIMITS.fields);
    check_path(&head);
    check_merged(data);
    check_upgrade(&head);

    let again = reparse(&head);
    assert_eq!(head.method_bytes(), again.method_bytes());
    assert_eq!(head.path(), again.path());
    assert_eq!(head.query(), again.query());
    if !head.authority().is_empty() {
        assert_eq!(head.authority(), again.authority());
        assert_eq!(head.host(), again.host());
    }
    assert_eq!(head.connection(), again.connection());
    let end_to_end = |field: &FieldRef<'_>| field.name != Name::Host;
    assert!(head.fields().filter(end_to_end).eq(again.fields().filter(end_to_end)));
    if head.version() == Version::Http11 {
        assert_eq!(request_framing(&head), request_framing(&again));
    }
}

/// What may be switched to is a list that does not speak of HTTP, and what was asked for.
fn check_upgrade(head: &RequestHead) {
    let Some(protocols) = head.upgrade().filter(|value| upgrade::may_pass(value)) else { return };
    assert!(upgrade::is_among(protocols, protocols));
    let text = String::from_utf8_lossy(protocols).to_ascii_lowercase();
    let mut names = text.split(|c: char| ",/ \t".contains(c));
    assert!(!names.clone().any(|name| name == "h2c") || text.contains("/h2c"), "{text}");
    assert!(names.any(|name| !name.is_empty()));
}

/// With its slashes merged, a path has none in a row and is still in normal form.
fn check_merged(data: &[u8]) {
    let mut head = RequestHead::new();
    let parsed = head.parse(data, &LIMITS);
    let query = head.query().map(<[u8]>::to_vec);
    if matches!(parsed, Ok(Parsed::Complete(_))) && head.merge_slashes().is_ok() {
        assert!(memchr::memmem::find(head.path(), b"//").is_none());
        assert_eq!(head.query(), query.as_deref());
        check_path(&head);
    }
}

/// Cookies and parameters: the pairs stand in the text in their order, and what is decoded is never
/// longer than what was sent.
pub fn pairs(data: &[u8]) {
    let cookies: Vec<_> = pairs::cookies(data).collect();
    for (name, value) in &cookies {
        assert!(!name.contains(&b'=') && !name.contains(&b';') && !value.contains(&b';'));
    }
    let again: Vec<u8> = cookies.iter().flat_map(|(n, v)| [*n, b"=", *v, b"; "].concat()).collect();
    assert_eq!(pairs::cookies(&again).count(), cookies.len());
    let parameters: Vec<_> = pairs::parameters(data).collect();
    for (name, value) in &parameters {
        assert!(!name.contains(&b'=') && !name.contains(&b'&') && !value.contains(&b'&'));
        assert!(pairs::decoded(value).count() <= value.len());
    }
    let rejoined: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(rejoined <= data.len());
}

/// Writes `head` as the proxy does, with every field, and parses that.
fn reparse(head: &RequestHead) -> RequestHead {
    let mut out = Vec::new();
    let target = match head.target_form() {
        TargetForm::Authority => head.authority(),
        _ => head.path(),
    };
    encode::request_line(&mut out, head.method_bytes(), target, head.query());
    // Of HTTP/1.0 it may be absent.
    let host: &[u8] = if head.authority().is_empty() { b"none" } else { head.authority() };
    encode::field(&mut out, b"host", host);
    for field in head.fields().filter(|field| field.name != Name::Host) {
        encode::field_as_sent(&mut out, &field);
    }
    out.extend_from_slice(encode::CRLF);
    let mut again = RequestHead::new();
    assert_eq!(again.parse(&out, &WIDER), Ok(Parsed::Complete(out.len())));
    again
}

/// A response head: as [`request_head`].
pub fn response_head(data: &[u8]) {
    let mut head = ResponseHead::new();
    let whole = head.parse(data, &LIMITS);
    let mut split = ResponseHead::new();
    check_split(in_pieces(data, |input| split.parse(input, &LIMITS)), whole);
    let Ok(Parsed::Complete(len)) = whole else { return };
    check_end(data, len);
    check_fields(head.fields(), |field| head.is_hop_by_hop(field));
    assert!((100..=999).contains(&head.status()));

    let mut out = Vec::new();
    encode::status_line(&mut out, head.status(), head.reason());
    for field in head.fields() {
        encode::field_as_sent(&mut out, &field);
    }
    out.extend_from_slice(encode::CRLF);
    let mut again = ResponseHead::new();
    assert_eq!(again.parse(&out, &WIDER), Ok(Parsed::Complete(out.len())));
    assert_eq!((head.status(), head.reason()), (again.status(), again.reason()));
    assert!(head.fields().eq(again.fields()));
    if head.version() == Version::Http11 {
        let framing = response_framing(&head, Method::Get);
        assert_eq!(framing, response_framing(&again, Method::Get));
    }
}

/// The framing of a request and of a response with `data` as their fields: what is accepted says so
/// once and in one way, by a reading of the fields that shares nothing with the one under test.
pub fn framing(data: &[u8]) {
    let mut text = b"POST / HTTP/1.1\r\nHost: a\r\n".to_vec();
    text.extend_from_slice(data);
    let mut request = RequestHead::new();
    if let Ok(Parsed::Complete(_)) = request.parse(&text, &LIMITS)
        && let Ok(framing) = request_framing(&request)
    {
        check_framing(framing, request.fields(), Framing::None);
    }
    let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
    text.extend_from_slice(data);
    let mut response = ResponseHead::new();
    if let Ok(Parsed::Complete(_)) = response.parse(&text, &LIMITS)
        && let Ok(framing) = response_framing(&response, Method::Get)
    {
        check_framing(framing, response.fields(), Framing::UntilClose);
        assert_eq!(response_framing(&response, Method::Head), Ok(Framing::None));
    }
}

fn check_framing<'a>(
    framing: Framing,
    fields: impl Iterator<Item = FieldRef<'a>>,
    undeclared: Framing,
) {
    let declaring = |field: &FieldRef<'_>| {
        let name = field.name_bytes.to_ascii_lowercase();
        matches!(name.as_slice(), b"content-length" | b"transfer-encoding")
    };
    let declared: Vec<FieldRef<'_>> = fields.filter(declaring).collect();
    match declared.as_slice() {
        [] => assert_eq!(framing, undeclared),
        [field] if field.name_bytes.len() == b"content-length".len() => {
            let length = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
            assert_eq!(length.map(Framing::Length), Some(framing));
            assert!(!field.value.starts_with(b"+"));
        }
        [field] => {
            assert_eq!(framing, Framing::Chunked);
            assert_eq!(field.value.to_ascii_lowercase(), b"chunked");
        }
        _ => assert_eq!(declared.len(), 1, "{framing:?} from {declared:?}"),
    }
}

/// A chunked body: any split gives the same data, end, trailers or error, and the data survive
/// being encoded anew.
pub fn chunked(data: &[u8]) {
    let whole = decode(data, data.len().max(1), MAX_TRAILERS);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(decode(data, piece, MAX_TRAILERS), whole, "in pieces of {piece}");
    }
    let Ok(Some(body)) = whole else { return };
    assert!(body.consumed <= data.len());
    let mut out = Vec::new();
    if !body.data.is_empty() {
        encode::chunk_size_line(&mut out, body.data.len());
        out.extend_from_slice(&body.data);
        out.extend_from_slice(encode::CRLF);
    }
    out.extend_from_slice(encode::LAST_CHUNK_BEFORE_TRAILERS);
    for (name, value) in &body.trailers {
        encode::field(&mut out, name, value);
    }
    out.extend_from_slice(encode::CRLF);
    let consumed = out.len();
    // A field written anew may be longer than it came: `a:b` becomes `a: b`.
    let again = decode(&out, out.len(), 2 * MAX_TRAILERS);
    assert_eq!(again, Ok(Some(Body { consumed, ..body })));
}

/// A decoded body.
#[derive(Debug, Default, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    consumed: usize,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Decodes `data` given `piece` bytes at a time; nothing when the body does not end.
fn decode(data: &[u8], piece: usize, max_trailers: usize) -> Result<Option<Body>, ChunkError> {
    let mut decoder = ChunkDecoder::new(max_trailers);
    let mut body = Body::default();
    for input in data.chunks(piece) {
        let mut input = input;
        loop {
            let step = decoder.decode(input)?;
            body.consumed += step.consumed;
            match step.event {
                Event::NeedMore => {
                    assert_eq!(step.consumed, input.len());
                    break;
                }
                Event::Data { start, end } => {
                    assert!(start < end && end <= step.consumed);
                    body.data.extend_from_slice(input.get(start..end).unwrap_or_default());
                }
                Event::End => {
                    assert!(decoder.is_done());
                    check_fields(decoder.trailers(), |field| field.name.is_hop_by_hop());
                    let own = |f: FieldRef<'_>| (f.name_bytes.to_vec(), f.value.to_vec());
                    body.trailers = decoder.trailers().map(own).collect();
                    return Ok(Some(body));
                }
            }
            input = input.get(step.consumed..).unwrap_or_default();
        }
    }
    assert!(!decoder.is_done());
    Ok(None)
}

/// A request target, with each method that has a form of its own.
pub fn target(data: &[u8]) {
    for method in ["GET", "OPTIONS", "CONNECT"] {
        let mut text = format!("{method} ").into_bytes();
        text.extend_from_slice(data);
        text.extend_from_slice(b" HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut head = RequestHead::new();
        let Ok(Parsed::Complete(len)) = head.parse(&text, &LIMITS) else { continue };
        if len == text.len() && head.fields().len() == 1 {
            assert_eq!(head.target_bytes(), data);
        }
        check_path(&head);
        let again = reparse(&head);
        assert_eq!((head.path(), head.query()), (again.path(), again.query()));
        // A target may hold the end of a head of HTTP/1.0, which needs no host.
        if !head.authority().is_empty() {
            assert_eq!((head.authority(), head.host()), (again.authority(), again.host()));
        }
    }
}

/// The path of a head is in its normal form, judged by its looks.
fn check_path(head: &RequestHead) {
    let path = head.path();
    match head.target_form() {
        TargetForm::Authority => assert!(path.is_empty()),
        TargetForm::Asterisk => assert_eq!(path, b"*"),
        TargetForm::Absolute if path == b"*" => assert_eq!(head.method(), Method::Options),
        TargetForm::Absolute | TargetForm::Origin => {
            assert!(path.starts_with(b"/"));
            assert!(!path.split(|&byte| byte == b'/').any(|part| matches!(part, b"." | b"..")));
        }
    }
    assert!(path.iter().all(|byte| byte.is_ascii_graphic() && !b"#?\\".contains(byte)));
    for escape in path.split(|&byte| byte == b'%').skip(1) {
        let digits = escape.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        assert!(digits.is_some_and(|digits| !digits.contains(|c: char| c.is_ascii_lowercase())));
        assert!(byte.is_some_and(|byte| byte != 0 && !byte.is_ascii_alphanumeric()));
        assert!(byte.is_some_and(|byte| !b"-._~".contains(&byte)));
    }
    assert!(!head.host().iter().any(u8::is_ascii_uppercase));
}

/// Fields hold nothing that ends a line or a name, and are what their flags say.
fn check_fields<'a>(
    fields: impl Iterator<Item = FieldRef<'a>>,
    is_hop_by_hop: impl Fn(&FieldRef<'a>) -> bool,
) {
    for field in fields {
        assert!(!field.name_bytes.is_empty());
        assert!(field.name_bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':'));
        assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0 | 0x7f)));
        assert_eq!(field.value.trim_ascii(), field.value);
        assert_eq!(field.name, Name::of(field.name_bytes));
        assert_eq!(field.identity, is_identity(field.name_bytes));
        assert!(is_hop_by_hop(&field) || !field.name.is_hop_by_hop());
    }
}

/// A complete head ends where its first empty line does, apart from those before it.
fn check_end(data: &[u8], len: usize) {
    let head = data.get(..len).unwrap_or_default();
    assert!(head.ends_with(b"\r\n\r\n"), "no empty line ends the head");
    let mut start = head;
    while let Some(rest) = start.strip_prefix(b"\r\n") {
        start = rest;
    }
    assert_eq!(memchr::memmem::find(start, b"\r\n\r\n"), Some(start.len() - 4));
}

/// The same, except that a mistake may show only when more bytes follow.
fn check_split(split: Result<Parsed, ParseError>, whole: Result<Parsed, ParseError>) {
    assert!(split == whole || (split == Ok(Parsed::Partial) && whole.is_err()), "{split:?}");
}

/// Parses growing prefixes of `data` until one is enough. The step depends on the data, so that a
/// fuzzer finds splits too.
fn in_pieces(
    data: &[u8],
    mut parse: impl FnMut(&[u8]) -> Result<Parsed, ParseError>,
) -> Result<Parsed, ParseError> {
    let step = 1 + usize::from(data.last().copied().unwrap_or(0) % 13);
    for len in (0..data.len()).step_by(step) {
        match parse(data.get(..len).unwrap_or_default()) {
            Ok(Parsed::Partial) => {}
            result => return result,
        }
    }
    parse(data)
}

/// The hops of `Forwarded`: as many as there can be, and those with an address mean the same when they
/// are written anew. An entry of `X-Forwarded-For` is an address or nothing.
pub fn forwarded(data: &[u8]) {
    let hops: Vec<_> = Hops::new(data).collect();
    assert!(hops.len() <= data.len());
    let whole = hops.iter().all(Option::is_some);
    assert!(
        whole || hops.iter().filter(|hop| hop.is_none()).count() == 1 && hops.last() == Some(&None)
    );
    for hop in hops.into_iter().flatten() {
        let Some(address) = hop.address else { continue };
        let mut out = Vec::new();
        write_for(&mut out, address);
        if let Some(host) = hop.host {
            write_pair(&mut out, "host", host);
        }
        let again: Vec<_> = Hops::new(&out).collect();
        assert_eq!(again, [Some(Hop { scheme: None, ..hop })]);
    }
    let addresses = data.split(|byte| *byte == b',').filter_map(listed_address);
    assert!(addresses.count() <= data.len() / 2 + 1);
}

/// References and cookies of answers, traces and texts with variables: what is written is still the
/// value of one field, and what nobody asked to change is as it was.
pub fn rewriting(data: &[u8]) {
    let text: Vec<u8> = data.iter().copied().filter(|byte| is(*byte, TEXT)).collect();
    let place = Place {
        scheme: Scheme::Https,
        authority: b"shop.test",
        member_scheme: Scheme::Http,
        prefix: b"",
    };
    let mut out = Vec::new();
    if location::rewrite(&mut out, &text, &place, |_, _| true) {
        assert!(out.starts_with(b"https://shop.test") || out.starts_with(b"//shop.test"));
    } else {
        assert!(out.is_empty());
    }
    assert!(!location::rewrite(
        &mut Vec::new(),
        &text,
        &Place { scheme: Scheme::Http, ..place },
        |_, _| false
    ));
    let mut out = Vec::new();
    if location::rewrite_refresh(&mut out, &text, &place, |_, _| true) {
        assert!(out.len() >= b"//shop.test".len());
    } else {
        assert!(out.is_empty());
    }
    let mut out = Vec::new();
    CookieRules::default().write(&mut out, &text);
    assert_eq!(out, text);
    let rules = CookieRules {
        domain: vec![("a.test".to_owned(), "b.test".to_owned())],
        path: vec![("/a".to_owned(), "/".to_owned())],
        secure: Some(true),
        http_only: Some(false),
        same_site: Some("Lax"),
    };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    rules.write(&mut once, &text);
    assert!(once.iter().all(|byte| is(*byte, TEXT)) && once.ends_with(b"; SameSite=Lax"));
    rules.write(&mut twice, &once);
    assert!(twice.iter().all(|byte| is(*byte, TEXT)));
    if let Some(trace) = trace_id(data) {
        assert_eq!(trace.len(), 32);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(template) = Template::parse(text)
    {
        assert_eq!(template.to_string(), text);
        let mut out = Vec::new();
        template.render(&mut out, |out, _| push_text(out, data));
        assert!(out.iter().all(|byte| is(*byte, TEXT)));
    }
}
/// What holds for every value of `Authorization`, for the fuzz target `credentials`.
#[allow(clippy::missing_panics_doc)]
pub fn credentials(data: &[u8]) {
    match super::credentials(data) {
        Credentials::Basic(token) => {
            assert!(data.ends_with(token));
            if let Some(pair) = UserPass::read(token) {
                let (user, password) = (pair.user(), pair.password());
                assert!(!user.is_empty() && !user.contains(&b':'));
                assert!(!user.iter().chain(password).any(u8::is_ascii_control));
                assert!(user.len() + password.len() < token.len());
            }
        }
        Credentials::Bearer(token) => assert!(data.ends_with(token)),
        Credentials::Other => {}
    }
}
