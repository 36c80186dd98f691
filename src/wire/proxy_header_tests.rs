//! Headers as others write them, what is refused, and every cut.

use proptest::prelude::*;

use super::*;
use crate::wire::{TlsFacts, local_v1, local_v2, write_v1, write_v2};

fn client(client: &str, destination: &str) -> Source {
    let socket = |text: &str| text.parse().expect("a socket address");
    Source::Client { client: socket(client), destination: socket(destination) }
}

fn complete(length: usize, source: Source) -> Result<Parsed, HeaderError> {
    Ok(Parsed::Complete(Header { length, source }))
}

#[test]
fn lines() {
    let long = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let far = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 65535\r\n",
            client("192.0.2.1:1", "198.51.100.2:65535"),
        ),
        ("PROXY TCP6 2001:db8::1 ::1 0 443\r\n", client("[2001:db8::1]:0", "[::1]:443")),
        ("PROXY TCP6 ::ffff:10.0.0.1 ::1 5 443\r\n", client("10.0.0.1:5", "[::1]:443")),
        ("PROXY UNKNOWN\r\n", Source::Own),
        ("PROXY UNKNOWN ff::1 whatever it says\r\n", Source::Own),
        (long, client(far, far)),
    ] {
        let with_more = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(parse(line.as_bytes()), complete(line.len(), expected), "{line:?}");
        assert_eq!(parse(with_more.as_bytes()), complete(line.len(), expected), "{line:?}");
        for cut in 0..line.len() {
            assert_eq!(parse(&line.as_bytes()[..cut]), Ok(Parsed::Partial), "{line:?} at {cut}");
        }
    }
}

#[test]
fn lines_that_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY \r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWN \u{fe}\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(HeaderError::Line), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(LINE_MOST));
    assert_eq!(parse(endless.as_bytes()), Err(HeaderError::LongLine));
    assert_eq!(parse(&endless.as_bytes()[..LINE_MOST - 1]), Ok(Parsed::Partial));
}

#[test]
fn other_beginnings() {
    for bytes in ["GET / HTTP/1.1\r\n", "PROXYTCP4", "PROXX", "proxy ", "\r\n\r\nX", "\x16\x03\x01"]
    {
        assert_eq!(parse(bytes.as_bytes()), Ok(Parsed::Absent), "{bytes:?}");
    }
    for bytes in ["", "P", "PROXY", "\r\n\r\n\0\r\nQUIT"] {
        assert_eq!(parse(bytes.as_bytes()), Ok(Parsed::Partial), "{bytes:?}");
    }
}

/// A version 2 header with this command, family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).expect("a short rest").to_be_bytes());
    bytes.extend(rest);
    bytes
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0, 80];

#[test]
fn binary_headers() {
    let four = client("192.0.2.1:4660", "198.51.100.2:80");
    let with = |more: &[u8]| [&V4, more].concat();
    for (bytes, expected) in [
        (v2(0x21, 0x11, &V4), four),
        (v2(0x21, 0x12, &V4), four),
        // An extension that nobody knows, an empty one, and a NOOP.
        (v2(0x21, 0x11, &with(&[0xEE, 0, 2, 1, 2, 0xEF, 0, 0, 4, 0, 1, 0])), four),
        (v2(0x20, 0x00, &[]), Source::Own),
        (v2(0x20, 0x11, &V4), Source::Own),
        (v2(0x20, 0x11, &[1, 2, 3]), Source::Own),
        (v2(0x21, 0x00, &[9; 30]), Source::Own),
        (v2(0x21, 0x10, &V4), Source::Own),
        (v2(0x21, 0x31, &[0; 216]), Source::Own),
        (v2(0x21, 0x00, &[0; REST_MOST]), Source::Own),
    ] {
        assert_eq!(parse(&bytes), complete(bytes.len(), expected), "{bytes:?}");
        assert_eq!(parse(&[&bytes[..], b"more"].concat()), complete(bytes.len(), expected));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(Parsed::Partial), "{bytes:?} at {cut}");
        }
    }
}

#[test]
fn binary_headers_that_are_refused() {
    let with = |more: &[u8]| v2(0x21, 0x11, &[&V4, more].concat());
    for (bytes, expected) in [
        (v2(0x11, 0x11, &V4), HeaderError::Version),
        (v2(0x22, 0x11, &V4), HeaderError::Version),
        (v2(0x21, 0x41, &V4), HeaderError::Family),
        (v2(0x21, 0x13, &V4), HeaderError::Family),
        (v2(0x21, 0x11, &V4[..11]), HeaderError::Lengths),
        (v2(0x21, 0x21, &V4), HeaderError::Lengths),
        (v2(0x21, 0x31, &V4), HeaderError::Lengths),
        (with(&[1, 0]), HeaderError::Lengths),
        (with(&[1, 0, 2, 1]), HeaderError::Lengths),
        (with(&[CRC32C, 0, 3, 1, 2, 3]), HeaderError::Lengths),
        (with(&[CRC32C, 0, 4, 1, 2, 3, 4]), HeaderError::Checksum),
        (v2(0x21, 0x00, &[0; REST_MOST + 1]), HeaderError::TooLong),
    ] {
        assert_eq!(parse(&bytes), Err(expected), "{bytes:?}");
    }
    // Told from the first 16 bytes, without waiting for what they announce.
    assert_eq!(
        parse(&[&SIGNATURE[..], &[0x21, 0x11, 0xFF, 0xFF]].concat()),
        Err(HeaderError::TooLong)
    );
}

#[test]
fn what_is_written_can_be_read() {
    let addresses = ["10.1.2.3:5", "[2001:db8::7]:65535", "255.255.255.255:0"];
    let tls = TlsFacts { server_name: b"a.example", alpn: b"h2", version: b"TLSv1.3" };
    for (from, to) in addresses.iter().flat_map(|a| addresses.iter().map(move |b| (a, b))) {
        let (from, to) = (from.parse().expect("from"), to.parse().expect("to"));
        let expected = Source::Client { client: from, destination: to };
        for write in 0..3 {
            let mut out = b"before".to_vec();
            match write {
                0 => write_v1(&mut out, from, to),
                1 => write_v2(&mut out, from, to, None),
                _ => write_v2(&mut out, from, to, Some(&tls)),
            }
            let header = &out[6..];
            assert_eq!(parse(header), complete(header.len(), expected), "{header:?}");
        }
    }
    for write in [local_v1, local_v2] {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(parse(&out), complete(out.len(), Source::Own));
    }
}

/// Byte for byte, as in the document of the protocol.
#[test]
fn what_is_written_is_as_agreed() {
    let mut out = Vec::new();
    write_v1(
        &mut out,
        "192.168.0.1:56324".parse().expect("from"),
        "192.168.0.11:443".parse().expect("to"),
    );
    assert_eq!(out, b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    out.clear();
    let tls = TlsFacts { server_name: b"a.b", alpn: b"h2", version: b"TLSv1.3" };
    write_v2(
        &mut out,
        "192.0.2.1:4660".parse().expect("from"),
        "198.51.100.2:80".parse().expect("to"),
        Some(&tls),
    );
    let mut expected = SIGNATURE.to_vec();
    expected.extend([0x21, 0x11, 0, 12 + 5 + 6 + 18 + 7]);
    expected.extend(V4);
    expected
        .extend(b"\x01\0\x02h2\x02\0\x03a.b\x20\0\x0f\x01\0\0\0\x01\x21\0\x07TLSv1.3\x03\0\x04");
    assert_eq!(out[..out.len() - 4], expected);
}

proptest! {
    #[test]
    fn a_bit_that_flips_is_seen_or_changes_what_is_said(bit in 0usize..(16 + 12 + 7) * 8) {
        // As another extension it is no checksum.
        prop_assume!(bit / 8 != 28);
        let mut out = Vec::new();
        let (from, to) = ("192.0.2.1:4660".parse().expect("from"), "198.51.100.2:80".parse().expect("to"));
        write_v2(&mut out, from, to, None);
        let whole = parse(&out);
        out[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(parse(&out), whole);
    }

    #[test]
    fn a_header_is_never_seen_before_it_is_whole(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0usize..3) {
        let start: &[u8] = [&b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"[..], &SIGNATURE, b""][version];
        let bytes = [start, &bytes].concat();
        let whole = parse(&bytes);
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(Parsed::Partial) => {}
                early => prop_assert_eq!(early, whole, "at {}", cut),
            }
        }
    }
}
