//! Tests of whole heads: tables of good and refused ones, and properties over random ones.

mod chunked;
mod generate;
mod properties;
mod refused;
mod requests;
mod responses;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 50 };

fn request(text: &[u8]) -> Result<RequestHead, ParseError> {
    let mut head = RequestHead::new();
    match head.parse(text, &LIMITS)? {
        Parsed::Complete(_) => Ok(head),
        Parsed::Partial => panic!("partial: {}", text.escape_ascii()),
    }
}

fn response(text: &[u8]) -> Result<ResponseHead, ParseError> {
    let mut head = ResponseHead::new();
    match head.parse(text, &LIMITS)? {
        Parsed::Complete(_) => Ok(head),
        Parsed::Partial => panic!("partial: {}", text.escape_ascii()),
    }
}
