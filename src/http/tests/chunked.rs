//! Chunked bodies: accepted, refused, and against a decoder that is as plain as can be.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What a body came to: its data, its trailers, and the bytes it took.
type Outcome = (Vec<u8>, Vec<(String, String)>, usize);

/// Decodes `text` cut at `cuts`. Nothing when the body does not end.
fn decode(text: &[u8], cuts: &[usize]) -> Result<Option<Outcome>, ChunkError> {
    let mut decoder = ChunkDecoder::new(256);
    let (mut data, mut consumed) = (Vec::new(), 0);
    let mut edges = cuts.to_vec();
    edges.extend([0, text.len()]);
    edges.sort_unstable();
    for edge in edges.windows(2) {
        loop {
            let input = &text[consumed.min(edge[1])..edge[1]];
            let step = decoder.decode(input)?;
            consumed += step.consumed;
            match step.event {
                Event::Data { start, end } => data.extend_from_slice(&input[start..end]),
                Event::NeedMore => break,
                Event::End => {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let own = |f: FieldRef<'_>| (text(f.name_bytes), text(f.value));
                    return Ok(Some((data, decoder.trailers().map(own).collect(), consumed)));
                }
            }
        }
    }
    Ok(None)
}

#[test]
fn accepted() {
    let cases: &[(&str, &str)] = &[
        ("0\r\n\r\n", ""),
        ("0000\r\n\r\n", ""),
        ("0;a=b\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000001\r\na\r\n1\r\nb\r\n0\r\n\r\n", "ab"),
        ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
        ("1;a\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a=b;c=d\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a=\"b;\\\"\\\\ \u{e9}\t\"\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a=\"\";b\r\nx\r\n0\r\n\r\n", "x"),
    ];
    for (text, data) in cases {
        let outcome = decode(text.as_bytes(), &[]).unwrap().expect(text);
        assert_eq!(outcome, (data.as_bytes().to_vec(), vec![], text.len()), "{text}");
        let more = format!("{text}GET / HTTP/1.1\r\n");
        assert_eq!(decode(more.as_bytes(), &[]), Ok(Some(outcome)), "the next request is left");
        for len in 0..text.len() {
            assert_eq!(decode(&text.as_bytes()[..len], &[]), Ok(None), "{len} bytes of {text}");
        }
    }
}

fn check_refused(cases: &[(&[u8], ChunkError)]) {
    for (text, expected) in cases {
        let shown = text.escape_ascii();
        assert_eq!(decode(text, &[]), Err(*expected), "{shown}");
        let every: Vec<usize> = (0..text.len()).collect();
        assert_eq!(decode(text, &every), Err(*expected), "{shown} byte by byte");
    }
}

#[test]
fn refused_sizes_and_line_ends() {
    use ChunkError::*;
    let cases: &[(&[u8], ChunkError)] = &[
        // Sizes.
        (b"\r\n", BadSize),
        (b"\n", BadSize),
        (b" 5\r\n", BadSize),
        (b"\t5\r\n", BadSize),
        (b"5 \r\n", BadSize),
        (b"5\t\r\n", BadSize),
        (b"+5\r\n", BadSize),
        (b"-5\r\n", BadSize),
        (b"-1\r\n", BadSize),
        (b"0x5\r\n", BadSize),
        (b"5h\r\n", BadSize),
        (b"g\r\n", BadSize),
        (b"5,\r\n", BadSize),
        (b"5_0\r\n", BadSize),
        (b"5 5\r\n", BadSize),
        (b";a=b\r\n", BadSize),
        (b"\0\r\n", BadSize),
        (b"5\0\r\n", BadSize),
        (b"\x0b5\r\n", BadSize),
        (b"\xef\xbc\x95\r\n", BadSize),
        (b"00000000000000005\r\n", SizeTooLarge),
        (b"10000000000000005\r\n", SizeTooLarge),
        (b"8000000000000000\r\n", SizeTooLarge),
        (b"ffffffffffffffff\r\n", SizeTooLarge),
        // Line ends.
        (b"5\nhello", BadLineEnd),
        (b"5\rhello", BadLineEnd),
        (b"5\r\r\nhello", BadLineEnd),
        (b"5;a\nhello", BadLineEnd),
        (b"5;a=\"\n\"\r\nhello", BadLineEnd),
        (b"0\n\r\n", BadLineEnd),
        (b"0\r\r\n", BadLineEnd),
    ];
    check_refused(cases);
}

#[test]
fn refused_extensions_and_ends() {
    use ChunkError::*;
    let cases: &[(&[u8], ChunkError)] = &[
        // Extensions.
        (b"5 ;a\r\n", BadSize),
        (b"5; a\r\n", BadExtension),
        (b"5;a =b\r\n", BadExtension),
        (b"5;a= b\r\n", BadExtension),
        (b"5;a=b \r\n", BadExtension),
        (b"5;\r\n", BadExtension),
        (b"5;;a\r\n", BadExtension),
        (b"5;=b\r\n", BadExtension),
        (b"5;a=\r\n", BadExtension),
        (b"5;a=;b\r\n", BadExtension),
        (b"5;a=b=c\r\n", BadExtension),
        (b"5;a=\"b\r\n", BadExtension),
        (b"5;a=\"b\"c\r\n", BadExtension),
        (b"5;a=b\"c\"\r\n", BadExtension),
        (b"5;a=\"\0\"\r\n", BadExtension),
        (b"5;a=\"\\\r\n", BadExtension),
        (b"5;a\rb\r\n", BadLineEnd),
        (b"5;a\0\r\n", BadExtension),
        (b"5;\xe9\r\n", BadExtension),
        // After the data.
        (b"5\r\nhello0\r\n", BadDataEnd),
        (b"5\r\nhello\n0\r\n", BadDataEnd),
        (b"5\r\nhello\r0\r\n", BadDataEnd),
        (b"5\r\nhello\r\r\n", BadDataEnd),
        (b"5\r\nhelloXX0\r\n", BadDataEnd),
        (b"5\r\nhello!\r\n0\r\n", BadDataEnd),
        (b"4\r\nhello\r\n0\r\n", BadDataEnd),
        (b"5\r\nhello\r\n\r\n", BadSize),
        // Trailers.
        (b"0\r\n\n", BadTrailer),
        (b"0\r\n\rx", BadTrailer),
        (b"0\r\nA: b\n\r\n", BadTrailer),
        (b"0\r\nA: b\r\n\n", BadTrailer),
        (b"0\r\nA: b\rc\r\n\r\n", BadTrailer),
        (b"0\r\nA\r\n\r\n", BadTrailer),
        (b"0\r\nA : b\r\n\r\n", BadTrailer),
        (b"0\r\n: b\r\n\r\n", BadTrailer),
        (b"0\r\n A: b\r\n\r\n", BadTrailer),
        (b"0\r\nA: b\r\n c\r\n\r\n", BadTrailer),
        (b"0\r\nA: b\0\r\n\r\n", BadTrailer),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", BadTrailer),
    ];
    check_refused(cases);
}

#[test]
fn bounds() {
    let line = |len: usize| format!("1;{}\r\nx\r\n", "a".repeat(len - 4));
    let end = "0\r\n\r\n";
    let decoded = |text: String| decode(text.as_bytes(), &[]).map(|outcome| outcome.is_some());
    assert_eq!(decoded(line(4096) + end), Ok(true));
    assert_eq!(decoded(line(4097) + end), Err(ChunkError::LineTooLong));
    // Four lines with 4096 bytes of extension are one whole allowance.
    let lines = |count| line(1024 + 3).repeat(count) + end;
    assert_eq!(decoded(lines(16)), Ok(true));
    assert_eq!(decoded(lines(17)), Err(ChunkError::ExtensionsTooLarge));
    assert_eq!(decoded("1\r\nx\r\n".repeat(20_000) + end), Ok(true));

    let trailers = |len: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(len - 4));
    assert_eq!(decoded(trailers(256)), Ok(true));
    assert_eq!(decoded(trailers(257)), Err(ChunkError::TrailersTooLarge));
    let many = |count: usize| {
        let text = format!("0\r\n{}\r\n", "A:\r\n".repeat(count));
        let step = ChunkDecoder::new(1000).decode(text.as_bytes());
        step.map(|step| step.event)
    };
    assert_eq!(many(100), Ok(Event::End));
    assert_eq!(many(101), Err(ChunkError::TooManyTrailers));
    assert_eq!(ChunkDecoder::new(0).decode(end.as_bytes()).unwrap().event, Event::End);
}

#[test]
fn a_chunk_of_any_size_is_passed_on_as_it_comes() {
    let mut decoder = ChunkDecoder::new(0);
    let step = decoder.decode(b"7fffffffffffffff\r\nabc").unwrap();
    assert_eq!(step, Step { consumed: 21, event: Event::Data { start: 18, end: 21 } });
    assert_eq!(decoder.decode(b"").unwrap(), Step { consumed: 0, event: Event::NeedMore });
    let step = decoder.decode(b"de").unwrap();
    assert_eq!(step, Step { consumed: 2, event: Event::Data { start: 0, end: 2 } });
    assert!(!decoder.is_done());
}

#[test]
fn trailers_that_go_on() {
    let text =
        b"0\r\nServer-Timing: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\
                 grpc-status:\t0 \r\nX_Forwarded_For: a\r\nForwarded: a\r\nSet-Cookie: a\r\n\
                 Connection: x\r\nAuthorization: a\r\nContent-Anything: a\r\nCache-Control: a\r\n\
                 TRAILER: a\r\nVary: a\r\nLocation: a\r\nContents: \r\n\r\n";
    let mut decoder = ChunkDecoder::new(1000);
    assert_eq!(decoder.decode(text).unwrap(), Step { consumed: text.len(), event: Event::End });
    let fields: Vec<_> = decoder.trailers().map(|f| (f.name_bytes, f.value)).collect();
    let expected: [(&[u8], &[u8]); 3] =
        [(b"Server-Timing", b"a"), (b"grpc-status", b"0"), (b"Contents", b"")];
    assert_eq!(fields, expected);
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"more").unwrap(), Step { consumed: 0, event: Event::End });

    decoder.reset();
    assert!(!decoder.is_done() && decoder.trailers().next().is_none());
    assert_eq!(decoder.decode(b"0\r\n\r\n").unwrap().event, Event::End);
    assert_eq!(decoder.trailers().count(), 0);
}

/// Decodes a whole body line by line; no extensions but tokens, no trailers.
fn naive(mut text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let whole = text.len();
    let mut data = Vec::new();
    loop {
        let end = text.windows(2).position(|end| end == b"\r\n")?;
        let line = std::str::from_utf8(&text[..end]).ok()?;
        let size = line.split_once(';').map_or(line, |(size, _)| size);
        let size = usize::from_str_radix(size, 16).ok()?;
        text = &text[end + 2..];
        let chunk = text.get(..size)?;
        data.extend_from_slice(chunk);
        text = text[size..].strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some((data, whole - text.len()));
        }
    }
}

/// Bodies in chunks, some with an extension, and what they hold.
fn body() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let chunk = (prop::collection::vec(any::<u8>(), 1..40), "(|;[a-z]{1,5}(=[a-z]{1,5})?)");
    prop::collection::vec(chunk, 0..6).prop_map(|chunks| {
        let (mut text, mut data) = (Vec::new(), Vec::new());
        for (chunk, extension) in chunks {
            encode::chunk_size_line(&mut text, chunk.len());
            text.truncate(text.len() - 2);
            text.extend_from_slice(extension.as_bytes());
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(&chunk);
            text.extend_from_slice(b"\r\n");
            data.extend_from_slice(&chunk);
        }
        text.extend_from_slice(encode::LAST_CHUNK);
        (text, data)
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_under_any_split(
        (text, data) in body(),
        cuts in prop::collection::vec(any::<Index>(), 0..8),
        behind in "[0-9a-f\r\n]{0,6}",
    ) {
        let text = [text.as_slice(), behind.as_bytes()].concat();
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        let len = text.len() - behind.len();
        prop_assert_eq!(naive(&text), Some((data.clone(), len)));
        prop_assert_eq!(decode(&text, &cuts), Ok(Some((data, vec![], len))));
    }

    /// Of bodies with a byte damaged, those that we accept the naive decoder reads alike.
    #[test]
    fn damage_is_refused_or_harmless((text, _) in body(), at in any::<Index>(), byte in any::<u8>()) {
        let mut text = text;
        let at = at.index(text.len());
        text[at] = byte;
        fuzz::chunked(&text);
        if let Ok(Some((data, trailers, len))) = decode(&text, &[at]) && trailers.is_empty() {
            prop_assert_eq!(naive(&text), Some((data, len)));
        }
    }

    #[test]
    fn postconditions_of_random_bodies(text in "[0-9a-c;=\"\r\nX: \\\\]{0,40}") {
        fuzz::chunked(text.as_bytes());
    }
}
