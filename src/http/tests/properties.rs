//! Properties of heads, with `httparse` as the second opinion.

use proptest::prelude::*;

use super::generate::{nearly_request, nearly_response, soup};
use super::*;

/// Everything that we accept as a request, httparse accepts, and reads the same. Two differences are
/// known: `httparse` skips any number of empty lines, we two, and knows no versions but 1.0 and 1.1.
fn check_request(text: &[u8]) -> Result<bool, TestCaseError> {
    let mut head = RequestHead::new();
    let Ok(Parsed::Complete(len)) = head.parse(text, &LIMITS) else { return Ok(false) };
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut oracle = httparse::Request::new(&mut fields);
    let parsed = oracle.parse(text);
    if parsed == Err(httparse::Error::Version) && head.version() == Version::Http11 {
        return Ok(true);
    }
    prop_assert_eq!(parsed, Ok(httparse::Status::Complete(len)));
    prop_assert_eq!(oracle.method.map(str::as_bytes), Some(head.method_bytes()));
    prop_assert_eq!(oracle.path.map(str::as_bytes), Some(head.target_bytes()));
    prop_assert_eq!(oracle.version, Some(u8::from(head.version() == Version::Http11)));
    prop_assert!(
        oracle.headers.iter().map(pair).eq(head.fields().map(|f| (f.name_bytes, f.value)))
    );
    Ok(true)
}

/// As for requests.
fn check_response(text: &[u8]) -> Result<bool, TestCaseError> {
    let mut head = ResponseHead::new();
    let Ok(Parsed::Complete(len)) = head.parse(text, &LIMITS) else { return Ok(false) };
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut oracle = httparse::Response::new(&mut fields);
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let parsed = config.parse_response(&mut oracle, text);
    if parsed == Err(httparse::Error::Version) && head.version() == Version::Http11 {
        return Ok(true);
    }
    prop_assert_eq!(parsed, Ok(httparse::Status::Complete(len)));
    prop_assert_eq!(oracle.code, Some(head.status()));
    // httparse gives no reason at all where it holds obs-text.
    if head.reason().is_ascii() {
        prop_assert_eq!(oracle.reason.map(str::as_bytes), Some(head.reason()));
    }
    prop_assert!(
        oracle.headers.iter().map(pair).eq(head.fields().map(|f| (f.name_bytes, f.value)))
    );
    Ok(true)
}

fn pair<'a>(header: &httparse::Header<'a>) -> (&'a [u8], &'a [u8]) {
    (header.name.as_bytes(), header.value)
}

proptest! {
    #[test]
    fn httparse_reads_the_same_request(text in prop_oneof![nearly_request(), soup()]) {
        check_request(&text)?;
    }

    #[test]
    fn httparse_reads_the_same_response(text in prop_oneof![nearly_response(), soup()]) {
        check_response(&text)?;
    }

    #[test]
    fn postconditions_of_random_heads(text in prop_oneof![nearly_request(), nearly_response(), soup()]) {
        fuzz::request_head(&text);
        fuzz::response_head(&text);
        fuzz::framing(&text);
        fuzz::target(&text);
    }

    /// Whatever comes in between: a head parses alike however it is cut, and stale prefixes of it
    /// leave nothing behind.
    #[test]
    fn any_split_gives_the_same(text in nearly_request(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut whole = RequestHead::new();
        let expected = whole.parse(&text, &LIMITS);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut head = RequestHead::new();
        for cut in cuts {
            match head.parse(&text[..cut], &LIMITS) {
                Ok(Parsed::Partial) => {}
                result => {
                    prop_assert_eq!(result, expected);
                    return Ok(());
                }
            }
        }
        let last = head.parse(&text, &LIMITS);
        // Without an empty line, a mistake may show only when more bytes follow.
        let open = !text.windows(4).any(|end| end == b"\r\n\r\n");
        prop_assert!(last == expected || (open && last == Ok(Parsed::Partial) && expected.is_err()));
        if let Ok(Parsed::Complete(_)) = expected {
            prop_assert_eq!((head.path(), head.host()), (whole.path(), whole.host()));
            prop_assert!(head.fields().eq(whole.fields()));
        }
    }
}

/// The generators are worth something: a good part of what they make is accepted.
#[test]
fn generated_heads_are_often_accepted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut requests, mut responses) = (0, 0);
    for _ in 0..200 {
        let request = nearly_request().new_tree(&mut runner).unwrap().current();
        let response = nearly_response().new_tree(&mut runner).unwrap().current();
        requests += usize::from(check_request(&request).unwrap());
        responses += usize::from(check_response(&response).unwrap());
    }
    assert!(requests > 20 && responses > 60, "{requests} and {responses} of 200");
}

/// A client that sends its head byte by byte costs time linear in the length: the input is parsed
/// in full a few times only.
#[test]
fn a_head_in_single_bytes() {
    let mut text = b"GET / HTTP/1.1\r\nHost: h\r\nA: ".to_vec();
    text.resize(32 * 1024, b'a');
    text.extend_from_slice(b"\r\n\r\n");
    let limits = HeadLimits { bytes: 1 << 16, fields: 10 };
    let mut head = RequestHead::new();
    for len in 0..text.len() {
        assert_eq!(head.parse(&text[..len], &limits), Ok(Parsed::Partial));
    }
    assert_eq!(head.parse(&text, &limits), Ok(Parsed::Complete(text.len())));
}
