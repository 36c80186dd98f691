//! Messages put together piece by piece, each cut everywhere; what is refused.

use proptest::prelude::*;

use super::*;

/// A vector with a length of `N` bytes in front.
fn with_length<const N: usize>(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_be_bytes();
    [&length[8 - N..], bytes].concat()
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_length::<2>(value)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    let entry = [&[0][..], &with_length::<2>(name)].concat();
    extension(SERVER_NAME, &with_length::<2>(&entry))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(|name| with_length::<1>(name)).collect();
    extension(ALPN, &with_length::<2>(&names))
}

/// A message without extensions: its fields up to there.
fn fields(session: &[u8], ciphers: &[u8], compressions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(with_length::<1>(session));
    body.extend(with_length::<2>(ciphers));
    body.extend(with_length::<1>(compressions));
    body
}

fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = fields(&[5; 32], &[0x0A, 0x0A, 0x13, 0x01], &[0]);
    body.extend(with_length::<2>(&extensions.concat()));
    [&[CLIENT_HELLO][..], &with_length::<3>(&body)].concat()
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|part| [&[22, 3, 1][..], &with_length::<2>(part)].concat())
        .collect()
}

fn read(bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    HelloReader::default().read(bytes)
}

fn hello(server_name: &[u8], names: &[&[u8]]) -> ClientHello {
    let alpn = names.iter().flat_map(|name| with_length::<1>(name)).collect();
    ClientHello { server_name: server_name.to_vec(), alpn }
}

/// What a browser sends: GREASE first and last, an encrypted ClientHello, a large key share.
fn browser() -> Vec<u8> {
    message(&[
        extension(0x2A2A, &[]),
        extension(0xFE0D, &[0; 300]),
        sni(b"Outer.Example"),
        extension(51, &[9; 1300]),
        alpn(&[b"h2", b"http/1.1"]),
        extension(0xDADA, &[0]),
    ])
}

#[test]
fn names_and_protocols_are_found() {
    for (message, expected) in [
        (browser(), hello(b"outer.example", &[b"h2", b"http/1.1"])),
        (message(&[sni(b"a.example.")]), hello(b"a.example", &[])),
        (message(&[alpn(&[b"\x0A\x0A", b"h2"])]), hello(b"", &[b"\x0A\x0A", b"h2"])),
        (message(&[]), hello(b"", &[])),
        (message(&[extension(21, &[0; 16_000]), sni(b"b")]), hello(b"b", &[])),
    ] {
        for size in [1, 2, 3, 5, 100, 1000, RECORD_MOST] {
            let bytes = records(&message, size);
            if bytes.len() <= HELLO_MOST {
                assert_eq!(read(&bytes), Ok(Some(expected.clone())), "records of {size}");
            }
            // What a client may send behind it: early data.
            let more = [&bytes[..], &[23, 3, 3, 0, 1, 0]].concat();
            if more.len() <= HELLO_MOST {
                assert_eq!(read(&more), Ok(Some(expected.clone())), "records of {size}");
            }
        }
    }
    let found = read(&records(&browser(), 700)).unwrap().unwrap();
    assert_eq!(found.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
}

#[test]
fn a_message_without_extensions_is_one() {
    let body = fields(&[], &[0, 1], &[0]);
    let message = [&[CLIENT_HELLO][..], &with_length::<3>(&body)].concat();
    assert_eq!(read(&records(&message, 99)), Ok(Some(hello(b"", &[]))));
}

#[test]
fn every_cut_gives_the_same() {
    for size in [7, 1400, RECORD_MOST] {
        let bytes = records(&browser(), size);
        let whole = read(&bytes);
        for cut in 0..bytes.len() {
            let mut reader = HelloReader::default();
            assert_eq!(reader.read(&bytes[..cut]), Ok(None), "at {cut}");
            assert_eq!(reader.read(&bytes), whole, "at {cut}");
        }
        let mut reader = HelloReader::default();
        let steps = (1..bytes.len()).map(|cut| reader.read(&bytes[..cut]));
        assert!(steps.into_iter().all(|step| step == Ok(None)));
        assert_eq!(reader.read(&bytes), whole);
    }
}

#[test]
fn what_is_no_hello_is_told_early() {
    for (bytes, expected) in [
        (&b"G"[..], HelloError::NotTls),
        (b"\x80\x2e\x01", HelloError::NotTls),
        (b"\x16\x02", HelloError::NotTls),
        (b"\x15\x03\x01\x00\x02\x02\x70", HelloError::NotTls),
        (b"\x16\x03\x01\x00\x00", HelloError::Record),
        (b"\x16\x03\x01\x40\x01", HelloError::Record),
        (b"\x16\x03\x01\x00\x09\x02", HelloError::NotHello),
        (b"\x16\x03\x01\x00\x09\x01\x00\x80\x01", HelloError::TooLong),
        // Another record in the middle of the message.
        (b"\x16\x03\x01\x00\x01\x01\x14", HelloError::NotTls),
    ] {
        assert_eq!(read(bytes), Err(expected), "{bytes:?}");
        for cut in 0..bytes.len() {
            assert_ne!(read(&bytes[..cut]), Err(HelloError::Malformed), "{bytes:?}");
        }
    }
}

#[test]
fn messages_that_do_not_add_up_are_refused() {
    let raw = |body: &[u8]| [&[CLIENT_HELLO][..], &with_length::<3>(body)].concat();
    let good = fields(&[], &[0, 1], &[0]);
    let behind = |more: &[u8]| raw(&[&good, more].concat());
    let two_names = [&[0][..], &with_length::<2>(b"a"), &[0], &with_length::<2>(b"b")].concat();
    for message in [
        raw(&[]),
        raw(&[3; 33]),
        raw(&fields(&[0; 33], &[0, 1], &[0])),
        raw(&fields(&[], &[], &[0])),
        raw(&fields(&[], &[1], &[0])),
        raw(&fields(&[], &[0, 1], &[])),
        behind(&[0]),
        behind(&[0, 1]),
        behind(&[0, 0, 0]),
        behind(&[0, 3, 0, 0, 0]),
        message(&[sni(b"a"), sni(b"a")]),
        message(&[alpn(&[b"a"]), alpn(&[b"a"])]),
        message(&[sni(b"")]),
        message(&[sni(b".")]),
        message(&[sni(b"a b")]),
        message(&[sni(b"a\0")]),
        message(&[sni(&[b'a'; 256])]),
        message(&[extension(SERVER_NAME, &[])]),
        message(&[extension(SERVER_NAME, &[0, 0])]),
        message(&[extension(SERVER_NAME, &with_length::<2>(&two_names))]),
        message(&[extension(SERVER_NAME, &with_length::<2>(&[1, 0, 1, b'a']))]),
        message(&[extension(ALPN, &[])]),
        message(&[extension(ALPN, &[0, 0])]),
        message(&[alpn(&[b""])]),
        message(&[extension(ALPN, &[0, 2, 2, b'h'])]),
    ] {
        assert_eq!(read(&records(&message, 50)), Err(HelloError::Malformed), "{message:?}");
    }
}

#[test]
fn what_is_too_long_is_given_up() {
    let message = message(&[extension(21, &[0; 30_000])]);
    // In records of one byte it is six times as long.
    let bytes = records(&message, 1);
    assert_eq!(read(&bytes), Err(HelloError::TooLong));
    assert_eq!(read(&bytes[..HELLO_MOST]), Err(HelloError::TooLong));
    assert_eq!(read(&bytes[..HELLO_MOST - 1]), Ok(None));
    assert!(read(&records(&message, RECORD_MOST)).unwrap().is_some());
}

proptest! {
    #[test]
    fn a_cut_changes_nothing(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..60),
        size in 1usize..60,
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
    ) {
        // Half of them a good message with some bytes changed.
        if size % 2 == 0 {
            bytes = records(&message(&[sni(b"a.example"), alpn(&[b"h2"])]), size);
        }
        for (at, byte) in hits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let whole = read(&bytes);
        let mut reader = HelloReader::default();
        match reader.read(&bytes[..cut.index(bytes.len() + 1)]) {
            Ok(None) => prop_assert_eq!(reader.read(&bytes), whole),
            early => prop_assert_eq!(early, whole),
        }
    }
}
