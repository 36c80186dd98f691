//! What of a request decides its member, in a pool that hashes.

use std::net::IpAddr;

use super::exchange::Ask;
use crate::balancer;
use crate::config::HashKey;
use crate::http::{Name, RequestHead};

/// The hash of the request's key; 0 where the pool needs none. A request without the header, cookie
/// or parameter goes by its client's address.
pub(super) fn of(ask: &Ask<'_>, client: IpAddr, hashed: Option<&HashKey>) -> u64 {
    let Some(hashed) = hashed else { return 0 };
    of_key(ask.head, client, hashed)
}

/// The hash of one key of a request from `client`.
pub(super) fn of_key(head: &RequestHead, client: IpAddr, hashed: &HashKey) -> u64 {
    let found = match hashed {
        HashKey::ClientIp => None,
        HashKey::Path => Some(head.path()),
        HashKey::Header(name) => head
            .fields()
            .find(|field| field.name_bytes.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value),
        HashKey::Cookie(name) => head
            .fields()
            .filter(|field| field.name == Name::Cookie)
            .find_map(|field| values(field.value, b';', name.as_bytes()).next()),
        HashKey::Query(name) => {
            head.query().and_then(|query| values(query, b'&', name.as_bytes()).next())
        }
    };
    match found {
        Some(text) => balancer::hash_key(text),
        None => of_address(client),
    }
}

/// The hash of a client's address.
pub(super) fn of_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => balancer::hash_key(&address.octets()),
        IpAddr::V6(address) => balancer::hash_key(&address.octets()),
    }
}

/// The values of `name` in a list of `name=value`.
pub(super) fn values<'a>(
    list: &'a [u8],
    separator: u8,
    name: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    list.split(move |byte| *byte == separator).filter_map(move |entry| {
        let entry = entry.trim_ascii();
        let (found, value) = entry.split_at_checked(name.len())?;
        value.strip_prefix(b"=").filter(|_| found == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        for (list, separator, name, expected) in [
            (&b"a=1; sid=x; b=2"[..], b';', &b"sid"[..], Some(&b"x"[..])),
            (b"xsid=1;sid=", b';', b"sid", Some(b"")),
            (b"sid", b';', b"sid", None),
            (b"side=1", b';', b"sid", None),
            (b"q=a&user=7&user=8", b'&', b"user", Some(b"7")),
        ] {
            assert_eq!(values(list, separator, name).next(), expected);
        }
    }
}
