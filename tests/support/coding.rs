//! Content codings as clients decode them.

use std::io::Read as _;

use zstd_safe::{DCtx, InBuffer, OutBuffer};

/// What can be decoded of `bytes`, and whether that is a whole body with nothing behind it.
pub(crate) fn decode(coding: &str, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let whole = match coding {
        "gzip" => {
            let mut decoder = flate2::bufread::GzDecoder::new(bytes);
            decoder.read_to_end(&mut all).is_ok() && decoder.into_inner().is_empty()
        }
        "br" => brotli::Decompressor::new(bytes, 512).read_to_end(&mut all).is_ok(),
        "zstd" => zstd(bytes, &mut all),
        other => panic!("no coding {other:?}"),
    };
    (all, whole)
}

fn zstd(bytes: &[u8], all: &mut Vec<u8>) -> bool {
    let mut context = DCtx::create();
    let mut input = InBuffer::around(bytes);
    loop {
        all.reserve(4096);
        let (length, taken) = (all.len(), input.pos());
        let mut out = OutBuffer::around_pos(&mut *all, length);
        match context.decompress_stream(&mut out, &mut input) {
            Ok(0) => return input.pos() == bytes.len(),
            Ok(_) if all.len() > length || input.pos() > taken => {}
            _ => return false,
        }
    }
}

/// JSON of about `length` bytes.
pub(crate) fn json(length: usize) -> Vec<u8> {
    let mut text = "[".to_owned();
    let mut number = 7u32;
    while text.len() < length {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += &format!("{{\"id\":{},\"name\":\"member {}\"}},\n", number >> 12, number % 97);
    }
    text.into_bytes()
}
