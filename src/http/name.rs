//! Field names that the proxy acts on, recognised without regard to case.

/// A field name. Everything else is [`Name::Other`], and the field keeps its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Name {
    /// `Authorization`
    Authorization,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Content-Type`
    ContentType,
    /// `Cookie`
    Cookie,
    /// `Date`
    Date,
    /// `Expect`
    Expect,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// `Host`
    Host,
    /// `Keep-Alive`
    KeepAlive,
    /// `Location`
    Location,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Referer`
    Referer,
    /// `Server`
    Server,
    /// `TE`
    Te,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `User-Agent`
    UserAgent,
    /// `Via`
    Via,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Real-IP`
    XRealIp,
    /// Any other name.
    Other,
}

/// `name` where `bytes` writes `text`, which is in lower case, else [`Name::Other`].
#[inline]
fn known<const N: usize>(bytes: &[u8], text: &[u8; N], name: Name) -> Name {
    match bytes.as_array::<N>() {
        Some(bytes) if is_same(bytes, text) => name,
        _ => Name::Other,
    }
}

/// Whether `bytes` writes `text`: lower-case letters and dashes. In words, the last of which may
/// overlap with the one before.
#[inline]
fn is_same<const N: usize>(bytes: &[u8; N], text: &[u8; N]) -> bool {
    let at = |start: usize| differs(word(bytes, start), word(text, start));
    match N {
        ..8 => at(0) == 0,
        8..=16 => at(0) | at(N - 8) == 0,
        _ => at(0) | at(8) | at(N - 8) == 0,
    }
}

/// The bits in which `word` is not `text` in any case.
#[inline]
const fn differs(word: u64, text: u64) -> u64 {
    // Of letters and dashes only letters have this bit, and those have one more in lower case.
    const LETTER: u64 = u64::from_le_bytes([0x40; 8]);
    (word | ((text & LETTER) >> 1)) ^ text
}

/// Up to eight bytes from `start` on.
#[inline]
fn word(bytes: &[u8], start: usize) -> u64 {
    let bytes = bytes.get(start..).unwrap_or_default();
    match (bytes.first_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(word), ..) => u64::from_le_bytes(*word),
        (_, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | (u64::from(u32::from_le_bytes(*last)) << 32)
        }
        _ => bytes.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte)),
    }
}

impl Name {
    /// The name that `bytes` writes, in any case.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        // The last byte tells the names of one length apart, so at most one is compared.
        let last = bytes.last().map_or(0, |last| last | 0x20);
        match (bytes.len(), last) {
            (2, _) => known(bytes, b"te", Self::Te),
            (3, _) => known(bytes, b"via", Self::Via),
            (4, b't') => known(bytes, b"host", Self::Host),
            (4, b'e') => known(bytes, b"date", Self::Date),
            (6, b'e') => known(bytes, b"cookie", Self::Cookie),
            (6, b't') => known(bytes, b"expect", Self::Expect),
            (6, b'r') => known(bytes, b"server", Self::Server),
            (7, b'e') => known(bytes, b"upgrade", Self::Upgrade),
            (7, b'r') => match bytes {
                [b't' | b'T', ..] => known(bytes, b"trailer", Self::Trailer),
                _ => known(bytes, b"referer", Self::Referer),
            },
            (8, b'n') => known(bytes, b"location", Self::Location),
            (9, b'd') => known(bytes, b"forwarded", Self::Forwarded),
            (9, b'p') => known(bytes, b"x-real-ip", Self::XRealIp),
            (10, b'n') => known(bytes, b"connection", Self::Connection),
            (10, b'e') => known(bytes, b"keep-alive", Self::KeepAlive),
            (10, b't') => known(bytes, b"user-agent", Self::UserAgent),
            (12, b'e') => known(bytes, b"content-type", Self::ContentType),
            (13, b'n') => known(bytes, b"authorization", Self::Authorization),
            (14, b'h') => known(bytes, b"content-length", Self::ContentLength),
            (15, b'r') => known(bytes, b"x-forwarded-for", Self::XForwardedFor),
            (16, b'n') => known(bytes, b"proxy-connection", Self::ProxyConnection),
            (16, b't') => match bytes {
                [.., b'r' | b'R', _] => known(bytes, b"x-forwarded-port", Self::XForwardedPort),
                _ => known(bytes, b"x-forwarded-host", Self::XForwardedHost),
            },
            (17, b'g') => known(bytes, b"transfer-encoding", Self::TransferEncoding),
            (17, b'o') => known(bytes, b"x-forwarded-proto", Self::XForwardedProto),
            (18, b'e') => known(bytes, b"proxy-authenticate", Self::ProxyAuthenticate),
            (19, b'n') => known(bytes, b"proxy-authorization", Self::ProxyAuthorization),
            _ => Self::Other,
        }
    }

    /// The name's bit in a set of names; [`Name::Other`] is in none.
    pub(super) const fn bit(self) -> u64 {
        (1 << self as u8) & !(1 << Self::Other as u8)
    }

    /// Whether the name is one of those that [`is_identity`] holds for.
    pub(super) const fn is_identity(self) -> bool {
        const SET: u64 = Name::Forwarded.bit()
            | Name::XForwardedFor.bit()
            | Name::XForwardedHost.bit()
            | Name::XForwardedPort.bit()
            | Name::XForwardedProto.bit()
            | Name::XRealIp.bit();
        SET & self.bit() != 0
    }

    /// Whether the field concerns this connection alone and never goes on (RFC 9110 7.6.1, 11.7).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        const SET: u64 = Name::Connection.bit()
            | Name::KeepAlive.bit()
            | Name::ProxyAuthenticate.bit()
            | Name::ProxyAuthorization.bit()
            | Name::ProxyConnection.bit()
            | Name::Te.bit()
            | Name::Trailer.bit()
            | Name::TransferEncoding.bit()
            | Name::Upgrade.bit();
        SET & self.bit() != 0
    }
}

/// Whether a field of this name speaks of who the client is: `Forwarded`, `X-Real-IP`,
/// `X-Forwarded` and `X-Forwarded-` followed by anything, and what [`is_client_certificate`] holds
/// for. Any byte that is neither a letter nor a digit counts as `-`, because origins that take
/// fields through CGI-like variables fold `X_Forwarded_For` and `X-Forwarded-For` into one.
#[inline]
#[must_use]
pub fn is_identity(name: &[u8]) -> bool {
    // `Forwarded` or `X-...`, whatever stands for the dash.
    match name {
        [b'f' | b'F', ..] => Name::of(name) == Name::Forwarded,
        [b'x' | b'X', second, rest @ ..] if !second.is_ascii_alphanumeric() => {
            is_identity_suffix(rest)
        }
        [b'c' | b'C', ..] => is_client_certificate(name),
        _ => false,
    }
}

/// What others could take a field for whose name is none that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookAlike {
    /// For nothing that matters here.
    Nothing,
    /// For one that concerns a connection alone.
    HopByHop,
    /// For one that says where a body ends.
    Framing,
}

impl LookAlike {
    /// Of this name: as for [`is_identity`], any byte that is neither a letter nor a digit counts as
    /// `-`. `Proxy` is among them, which CGI makes `HTTP_PROXY` of, and that many libraries obey.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        let (text, looks): (&[u8], _) = match name {
            [b'c' | b'C', ..] if name.len() == 14 => (b"content-length", Self::Framing),
            [b't' | b'T', ..] if name.len() == 17 => (b"transfer-encoding", Self::Framing),
            [b'h' | b'H', ..] if name.len() == 14 => (b"http2-settings", Self::HopByHop),
            [b'k' | b'K', ..] if name.len() == 10 => (b"keep-alive", Self::HopByHop),
            [b'p' | b'P', ..] => (proxy_name(name.len()), Self::HopByHop),
            _ => return Self::Nothing,
        };
        let same = name.len() == text.len() && name.iter().zip(text).all(folds);
        if same { looks } else { Self::Nothing }
    }
}

/// The name about proxies of this length.
const fn proxy_name(length: usize) -> &'static [u8] {
    match length {
        5 => b"proxy",
        16 => b"proxy-connection",
        18 => b"proxy-authenticate",
        _ => b"proxy-authorization",
    }
}

/// Whether a byte may be taken for one of a name in lower case.
fn folds((byte, text): (&u8, &u8)) -> bool {
    byte.eq_ignore_ascii_case(text) || (*text == b'-' && !byte.is_ascii_alphanumeric())
}

/// Whether a field of this name speaks of a client's certificate: `Client-Cert` (RFC 9440) and
/// `X-Client-Cert`, with anything behind them. Nobody is believed about that: it is shown, or not.
#[must_use]
pub fn is_client_certificate(name: &[u8]) -> bool {
    const TEXT: &[u8] = b"client-cert";
    let name = match name {
        [b'x' | b'X', second, rest @ ..] if !second.is_ascii_alphanumeric() => rest,
        name => name,
    };
    name.len() >= TEXT.len() && name.iter().zip(TEXT).all(folds)
}

#[inline(never)]
fn is_identity_suffix(rest: &[u8]) -> bool {
    if let Some((forwarded, rest)) = rest.split_at_checked(b"forwarded".len())
        && forwarded.eq_ignore_ascii_case(b"forwarded")
    {
        return rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric());
    }
    if let Some((real, [dash, ip @ ..])) = rest.split_at_checked(b"real".len())
        && real.eq_ignore_ascii_case(b"real")
    {
        return !dash.is_ascii_alphanumeric() && ip.eq_ignore_ascii_case(b"ip");
    }
    is_client_certificate(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, Name); 27] = [
        ("authorization", Name::Authorization),
        ("connection", Name::Connection),
        ("content-length", Name::ContentLength),
        ("content-type", Name::ContentType),
        ("cookie", Name::Cookie),
        ("date", Name::Date),
        ("expect", Name::Expect),
        ("forwarded", Name::Forwarded),
        ("host", Name::Host),
        ("keep-alive", Name::KeepAlive),
        ("location", Name::Location),
        ("proxy-authenticate", Name::ProxyAuthenticate),
        ("proxy-authorization", Name::ProxyAuthorization),
        ("proxy-connection", Name::ProxyConnection),
        ("referer", Name::Referer),
        ("server", Name::Server),
        ("te", Name::Te),
        ("trailer", Name::Trailer),
        ("transfer-encoding", Name::TransferEncoding),
        ("upgrade", Name::Upgrade),
        ("user-agent", Name::UserAgent),
        ("via", Name::Via),
        ("x-forwarded-for", Name::XForwardedFor),
        ("x-forwarded-host", Name::XForwardedHost),
        ("x-forwarded-port", Name::XForwardedPort),
        ("x-forwarded-proto", Name::XForwardedProto),
        ("x-real-ip", Name::XRealIp),
    ];

    #[test]
    fn each_name_in_any_case_and_nothing_near_it() {
        assert_eq!(KNOWN.len(), Name::Other as usize, "a name has no case");
        for (text, name) in KNOWN {
            assert_eq!(Name::of(text.as_bytes()), name, "{text}");
            assert_eq!(name.is_identity(), is_identity(text.as_bytes()), "{text}");
            assert_eq!(Name::of(text.to_ascii_uppercase().as_bytes()), name, "{text}");
            for at in 0..text.len() {
                let mut near = text.as_bytes().to_vec();
                near[at] = if near[at] == b'-' { b'_' } else { b'0' };
                assert_eq!(Name::of(&near), Name::Other, "{}", String::from_utf8_lossy(&near));
            }
        }
        assert_eq!(Name::of(b""), Name::Other);
    }

    #[test]
    fn names_that_look_like_others() {
        use LookAlike::{Framing, HopByHop, Nothing};
        let cases = [
            ("Content_Length", Framing),
            ("content.length", Framing),
            ("CONTENT!LENGTH", Framing),
            ("Transfer_Encoding", Framing),
            ("transfer~encoding", Framing),
            ("Keep_Alive", HopByHop),
            ("Proxy", HopByHop),
            ("PROXY", HopByHop),
            ("Proxy_Connection", HopByHop),
            ("Proxy_Authenticate", HopByHop),
            ("proxy.authorization", HopByHop),
            ("HTTP2-Settings", HopByHop),
            ("http2_settings", HopByHop),
            ("ContentLength", Nothing),
            ("Content-Lengths", Nothing),
            ("Content-Lengte", Nothing),
            ("XContent_Length", Nothing),
            ("Content-Type", Nothing),
            ("Proxy-", Nothing),
            ("Prox", Nothing),
            ("Proxy-Status", Nothing),
            ("Priority", Nothing),
            ("", Nothing),
        ];
        for (name, expected) in cases {
            assert_eq!(LookAlike::of(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn identity_with_everything_that_folds_into_it() {
        let yes = [
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Forwarded_For",
            "X.Forwarded.For",
            "X-Forwarded",
            "X-Forwarded-",
            "X-Forwarded-Anything-At-All",
            "X_REAL_IP",
            "x-real-ip",
            "Client-Cert",
            "client_cert_chain",
            "X-Client-Cert-Subject",
            "x.client.cert",
            "X-Client-Certificate",
        ];
        let no = [
            "X-Forwardedfor",
            "Forwarded-For",
            "X-Real-IPs",
            "X-Real",
            "X",
            "",
            "XForwardedFor",
            "Client-Car",
            "X-Client-IP",
            "Cache-Control",
            "XClient-Cert",
        ];
        for name in yes {
            assert!(is_identity(name.as_bytes()), "{name}");
        }
        for name in no {
            assert!(!is_identity(name.as_bytes()), "{name}");
        }
    }
}
