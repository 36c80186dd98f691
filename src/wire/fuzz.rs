//! What holds for every input, for the fuzz targets.

use super::client_hello::{HELLO_MOST, HelloReader};
use super::proxy_header::{self, HEADER_MOST, Parsed};

/// Looks for a header of the PROXY protocol: no panic, within its bounds, and the same at every cut.
#[allow(clippy::panic, clippy::missing_panics_doc)]
pub fn proxy_header(data: &[u8]) {
    let whole = proxy_header::parse(data);
    match whole {
        Ok(Parsed::Complete(header)) => {
            assert!(header.length <= data.len() && header.length <= HEADER_MOST);
            let alone = data.get(..header.length).unwrap_or_default();
            assert_eq!(proxy_header::parse(alone), whole);
        }
        Ok(Parsed::Partial) => assert!(data.len() < HEADER_MOST),
        Ok(Parsed::Absent) | Err(_) => {}
    }
    for cut in 0..data.len().min(300) {
        let early = proxy_header::parse(data.get(..cut).unwrap_or_default());
        assert!(early == Ok(Parsed::Partial) || early == whole);
    }
}

/// Reads a ClientHello: no panic, within its bounds, and the same at every cut.
#[allow(clippy::panic, clippy::missing_panics_doc)]
pub fn client_hello(data: &[u8]) {
    let whole = HelloReader::default().read(data);
    match &whole {
        Ok(Some(hello)) => {
            assert!(hello.server_name.len() <= 255 && !hello.server_name.contains(&b' '));
            assert!(hello.alpn().all(|name| (1..=255).contains(&name.len())));
        }
        Ok(None) => assert!(data.len() < HELLO_MOST),
        Err(_) => {}
    }
    let mut reader = HelloReader::default();
    for cut in 0..data.len() {
        match reader.read(data.get(..cut).unwrap_or_default()) {
            Ok(None) => {}
            early => {
                assert_eq!(early, whole);
                return;
            }
        }
    }
    assert_eq!(reader.read(data), whole);
}
