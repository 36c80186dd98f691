//! Encoders against the decoders of their codings: any pieces, pauses, levels; what a worker keeps.

use proptest::prelude::*;

use super::*;

// What the end-to-end tests decode by.
#[allow(dead_code)]
#[path = "../../tests/support/coding.rs"]
mod coding;

const ALL: [Quality; 7] = [
    Quality { coding: Coding::Gzip, level: 9 },
    Quality { coding: Coding::Gzip, level: 2 },
    Quality { coding: Coding::Gzip, level: 6 },
    Quality { coding: Coding::Brotli, level: 1 },
    Quality { coding: Coding::Brotli, level: 4 },
    Quality { coding: Coding::Zstd, level: 1 },
    Quality { coding: Coding::Zstd, level: 3 },
];

/// What a client makes of it: all that can be decoded, and whether that was a whole body.
fn decode(coding: Coding, bytes: &[u8]) -> (Vec<u8>, bool) {
    coding::decode(coding.name(), bytes)
}

/// Text with repetitions near and far, and some noise.
fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    let mut body = Vec::with_capacity(length + 100);
    while body.len() < length {
        match next() % 8 {
            0 => body.extend_from_slice(&next().to_le_bytes()),
            1 if !body.is_empty() => {
                let from = usize::try_from(next()).unwrap() % body.len();
                let to = (from + 100).min(body.len());
                body.extend_from_within(from..to);
            }
            _ => body.extend_from_slice(
                format!("{{\"id\":{},\"name\":\"x\"}},", next() % 9999).as_bytes(),
            ),
        }
    }
    body.truncate(length);
    body
}

/// Pushes `body` in pieces; behind each piece whose number is in `flushes` all of it must be there.
fn encode(quality: Quality, body: &[u8], pieces: &[usize], flushes: u32) -> Vec<u8> {
    let mut encoder = Encoder::take(quality, usize::MAX).unwrap();
    let (mut out, mut at) = (Vec::new(), 0);
    for (number, piece) in pieces.iter().cycle().enumerate() {
        let end = (at + piece).min(body.len());
        encoder.push(&body[at..end], &mut out).unwrap();
        at = end;
        if at == body.len() {
            break;
        }
        if number < 32 && flushes >> number & 1 == 1 {
            encoder.flush(&mut out).unwrap();
            let (seen, whole) = decode(quality.coding, &out);
            assert!(seen == body[..at] && !whole, "{quality:?}: {} of {at} bytes", seen.len());
            let length = out.len();
            encoder.flush(&mut out).unwrap();
            assert_eq!(out.len(), length, "nothing is held");
        }
    }
    encoder.end(&mut out).unwrap();
    out
}

#[test]
fn whole_bodies_of_all_sizes() {
    for quality in ALL {
        for length in [0, 1, 2, 100, 5000, 65_535, 65_536, 200_000, 700_000] {
            let body = body(length, 7);
            let coded = encode(quality, &body, &[16 << 10], 0);
            assert_eq!(decode(quality.coding, &coded), (body, true), "{quality:?} {length}");
        }
    }
}

#[test]
fn what_cannot_be_compressed_hardly_grows() {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noise: Vec<u8> = (0..300_000).map(|_| next()).collect();
    for quality in ALL {
        let coded = encode(quality, &noise, &[16 << 10], 0);
        assert!(coded.len() < noise.len() + noise.len() / 500 + 100, "{}", coded.len());
    }
}

#[test]
fn one_that_was_given_up_leaves_no_trace() {
    let body = body(50_000, 3);
    for quality in ALL {
        let expected = encode(quality, &body, &[8192], 0);
        for flush in [false, true] {
            let mut given_up = Encoder::take(quality, usize::MAX).unwrap();
            let mut out = Vec::new();
            given_up.push(&body[7..20_000], &mut out).unwrap();
            if flush {
                given_up.flush(&mut out).unwrap();
            }
            drop(given_up);
            assert!(encode(quality, &body, &[8192], 0) == expected, "{quality:?}");
        }
    }
}

#[test]
fn a_worker_has_no_more_than_it_may_and_keeps_no_more_than_it_should() {
    let quality = Quality { coding: Coding::Zstd, level: 1 };
    let mut taken: Vec<_> = std::iter::from_fn(|| Encoder::take(quality, 12)).take(100).collect();
    assert_eq!(taken.len(), 12);
    taken.pop();
    taken.push(Encoder::take(Quality { coding: Coding::Gzip, level: 2 }, 12).unwrap());
    assert!(Encoder::take(quality, 12).is_none());
    for encoder in &mut taken {
        encoder.push(b"x", &mut Vec::new()).unwrap();
    }
    drop(taken);
    let kept = |coding| {
        SHELF.with_borrow(|shelf| shelf.free.iter().filter(|(q, _)| q.coding == coding).count())
    };
    assert_eq!((kept(Coding::Zstd), kept(Coding::Gzip), kept(Coding::Brotli)), (KEPT, 1, 0));
    assert_eq!(SHELF.with_borrow(|shelf| shelf.used), 0);
}

#[test]
fn one_that_encoded_nothing_had_no_memory() {
    let quality = Quality { coding: Coding::Gzip, level: 9 };
    drop(Encoder::take(quality, 1).unwrap());
    assert!(SHELF.with_borrow(|shelf| shelf.free.iter().all(|(kept, _)| *kept != quality)));
    assert_eq!(decode(Coding::Gzip, &encode(quality, b"", &[1], 0)), (Vec::new(), true));
}

#[test]
fn the_memory_of_one_is_what_the_documentation_says() {
    let mut encoder = State::new(Quality { coding: Coding::Zstd, level: 3 }).unwrap();
    encoder.push(&body(400_000, 5), &mut Vec::new()).unwrap();
    let State::Zstd(context) = encoder else { panic!("zstd") };
    assert!(context.sizeof() < 1800 << 10, "{}", context.sizeof());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_pieces_and_pauses(
        which in 0..ALL.len(),
        length in 0usize..60_000,
        seed: u64,
        pieces in prop::collection::vec(1usize..20_000, 1..6),
        flushes: u32,
    ) {
        let (quality, body) = (ALL[which], body(length, seed));
        let coded = encode(quality, &body, &pieces, flushes);
        prop_assert_eq!(decode(quality.coding, &coded), (body, true));
    }
}
