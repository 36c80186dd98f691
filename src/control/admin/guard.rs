//! Who may ask: what a web page makes a browser send here is refused, since anybody may have
//! written that page.
//!
//! A page of another site shows itself by `Origin`; one whose name was pointed at this address
//! (DNS rebinding) by its name in `Host`.

use std::net::IpAddr;

use hyper::Request;
use hyper::Version;
use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;

/// Which `Host` belongs to the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Loopback, and the address that it is bound to; any address if it is bound to all of them.
    Tcp(IpAddr),
    /// Any: no browser reaches a Unix socket.
    Unix,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It comes from a web page.
    Origin,
    /// It names another host.
    Host,
    /// It does not say which host it is for.
    NoHost,
}

impl Suspicion {
    pub(super) const fn prose(self) -> &'static str {
        match self {
            Self::Origin => {
                "requests of web pages (with an Origin) are refused: any page could send them"
            }
            Self::Host => {
                "Host is neither loopback nor the address that server.admin names: a web page \
                 whose name was made to point here (DNS rebinding) would look so"
            }
            Self::NoHost => "there must be exactly one Host",
        }
    }
}

impl Guard {
    /// Lets a request pass, or says what is wrong with it.
    pub(super) fn check<B>(self, request: &Request<B>) -> Result<(), Suspicion> {
        if request.headers().contains_key(ORIGIN) {
            return Err(Suspicion::Origin);
        }
        let Self::Tcp(bound) = self else { return Ok(()) };
        if request.uri().host().is_some_and(|host| !is_ours(host, bound)) {
            return Err(Suspicion::Host);
        }
        match host(request.headers()) {
            // Browsers always send one.
            Ok(None) if request.version() == Version::HTTP_10 => Ok(()),
            Ok(Some(host)) if host.as_str().contains('@') => Err(Suspicion::Host),
            Ok(Some(host)) if is_ours(host.host(), bound) => Ok(()),
            Ok(Some(_)) => Err(Suspicion::Host),
            Ok(None) | Err(()) => Err(Suspicion::NoHost),
        }
    }
}

/// The one `Host`; an error if there are several, or it is none.
fn host(headers: &HeaderMap) -> Result<Option<Authority>, ()> {
    let mut all = headers.get_all(HOST).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => Authority::try_from(one.as_bytes()).map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

fn is_ours(host: &str, bound: IpAddr) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = bare.parse::<IpAddr>() else { return false };
    let address = address.to_canonical();
    address.is_loopback() || address == bound.to_canonical() || bound.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_could_be_made_to_send_is_refused() {
        use Suspicion::{Host, NoHost, Origin};
        let one: IpAddr = "192.0.2.7".parse().unwrap();
        let all: IpAddr = "::".parse().unwrap();
        type Case<'a> = (IpAddr, &'a [(&'a str, &'a str)], Result<(), Suspicion>);
        let cases: [Case<'_>; 18] = [
            (one, &[("host", "127.0.0.1:9901")], Ok(())),
            (one, &[("host", "127.9.9.9")], Ok(())),
            (one, &[("host", "[::1]:9901")], Ok(())),
            (one, &[("host", "[::ffff:127.0.0.1]:1")], Ok(())),
            (one, &[("host", "LocalHost:1")], Ok(())),
            (one, &[("host", "192.0.2.7:9901")], Ok(())),
            (one, &[("host", "192.0.2.8:9901")], Err(Host)),
            (all, &[("host", "192.0.2.8:9901")], Ok(())),
            (all, &[("host", "evil.example:9901")], Err(Host)),
            (one, &[("host", "127.0.0.1.evil.example")], Err(Host)),
            (one, &[("host", "localhost.evil.example")], Err(Host)),
            (one, &[("host", "evil.example@127.0.0.1")], Err(Host)),
            (one, &[("host", "127.0.0.1@evil.example")], Err(Host)),
            (one, &[("host", "")], Err(NoHost)),
            (one, &[], Err(NoHost)),
            (one, &[("host", "127.0.0.1"), ("host", "evil.example")], Err(NoHost)),
            (one, &[("host", "127.0.0.1"), ("origin", "http://127.0.0.1")], Err(Origin)),
            (one, &[("host", "127.0.0.1"), ("origin", "null")], Err(Origin)),
        ];
        for (bound, fields, expected) in cases {
            let request = |uri: &str| {
                let builder = fields
                    .iter()
                    .fold(Request::builder().uri(uri), |b, (name, value)| b.header(*name, *value));
                builder.body(()).unwrap()
            };
            assert_eq!(Guard::Tcp(bound).check(&request("/stats")), expected, "{fields:?}");
            let passed = expected != Err(Origin);
            assert_eq!(Guard::Unix.check(&request("/stats")).is_ok(), passed, "{fields:?}");
            if expected.is_ok() {
                let elsewhere = request("http://evil.example/stats");
                assert_eq!(Guard::Tcp(bound).check(&elsewhere), Err(Host));
            }
        }
        let mut old = Request::builder().uri("/livez").body(()).unwrap();
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(Guard::Tcp(one).check(&old), Ok(()));
    }
}
