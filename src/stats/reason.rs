//! Why an exchange failed: which side, a short code, the status a client gets, and a sentence.
//!
//! The one vocabulary of log, counters and error answers.

/// Whose doing a failure was, and so where to look: the first two belong to the reverse-proxy
/// hat, the next two to the load-balancer hat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, or the way to it.
    Client,
    /// No route, or the route's rules.
    Route,
    /// The pool as a whole.
    Pool,
    /// One member, or the way to it.
    Member,
    /// ringway's own host.
    Proxy,
}

impl Side {
    /// Its word in codes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Route => "route",
            Self::Pool => "pool",
            Self::Member => "member",
            Self::Proxy => "proxy",
        }
    }
}

macro_rules! reasons {
    ($($variant:ident, $side:ident, $code:literal, $status:literal, $prose:literal;)*) => {
        /// Why an exchange failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Reason { $(#[doc = $prose] $variant,)* }

        impl Reason {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Whose doing it was.
            #[must_use]
            pub const fn side(self) -> Side {
                match self { $(Self::$variant => Side::$side,)* }
            }

            /// Its short code, unique within its side.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The status for the client while no answer has begun; 0: there is nobody to answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn prose(self) -> &'static str {
                match self { $(Self::$variant => $prose,)* }
            }
        }
    };
}

reasons! {
    BadHead, Client, "bad_head", 400, "the request head is not valid HTTP/1";
    HeadTooLarge, Client, "head_too_large", 431, "the request head exceeds limits.head or limits.headers of the listener";
    TargetTooLong, Client, "target_too_long", 414, "the request line exceeds limits.head of the listener";
    UnsupportedVersion, Client, "unsupported_version", 505, "the request is not of HTTP/1.0, nor of HTTP/1.1 or a later 1.x";
    BadFraming, Client, "bad_framing", 400, "Content-Length and Transfer-Encoding do not say beyond doubt where the request ends";
    UnsupportedCoding, Client, "unsupported_coding", 501, "the request has a transfer coding other than chunked";
    Misdirected, Client, "misdirected", 421, "the request is for an https URL, and did not come over TLS";
    BadExpectation, Client, "bad_expectation", 417, "the request expects something else than 100-continue";
    BadBody, Client, "bad_body", 400, "the chunked request body is malformed";
    BodyOverBuffer, Client, "body_over_buffer", 413, "the request body exceeds what buffer_request of the route takes in, and its over is refuse";
    BodyTooLarge, Client, "body_too_large", 413, "the request body exceeds limits.body of the route or the listener";
    UriTooLong, Client, "uri_too_long", 414, "the request target exceeds limits.uri of the listener";
    AddressDenied, Client, "address_denied", 403, "access of the listener or the route does not let the client's address in";
    RateLimited, Client, "rate_limited", 429, "more requests came than a rate of the listener or the route allows";
    TooManyRequests, Client, "too_many_requests", 429, "the client has limits.requests_per_client of the listener under way already";
    TooManyConnections, Client, "too_many_connections", 0, "the client has limits.connections_per_client of the listener open already";
    TlsPlainHttp, Client, "tls_plain_http", 400, "this port speaks TLS, and the client spoke plain HTTP: use https";
    TlsTimeout, Client, "tls_timeout", 0, "the TLS handshake did not end within timeouts.head of the listener";
    TlsGone, Client, "tls_gone", 0, "the client left during the TLS handshake";
    TlsUnknownName, Client, "tls_unknown_name", 0, "no certificate of the listener has the name that the client asked for";
    TlsIncompatible, Client, "tls_incompatible", 0, "client and listener have no TLS version, cipher or protocol in common";
    TlsCertificate, Client, "tls_certificate", 0, "the client showed no certificate, or none that client_auth of the listener accepts";
    TlsAlert, Client, "tls_alert", 0, "the client gave up the TLS handshake, mostly because it does not accept the certificate";
    TlsProtocol, Client, "tls_protocol", 0, "what the client sent is no TLS handshake";
    HttpsOnHttp, Client, "https_on_http", 400, "this port speaks plain HTTP, and the client spoke TLS: use http";
    HeadTimeout, Client, "head_timeout", 408, "the request head did not arrive within timeouts.head of the listener";
    BodyTimeout, Client, "body_timeout", 408, "the request body stalled for timeouts.body of the listener";
    WriteTimeout, Client, "write_timeout", 0, "the client took nothing of its answer for timeouts.write of the listener";
    SlowBody, Client, "slow_body", 408, "the client sent its request body more slowly than limits.min_rate of the listener for longer than timeouts.slow";
    SlowReader, Client, "slow_reader", 0, "the client took its answer more slowly than limits.min_rate of the listener for longer than timeouts.slow";
    ClientGone, Client, "gone", 0, "the client closed its connection before its exchange was complete";
    ProxyUntrusted, Client, "proxy_untrusted", 0, "the peer is not among proxy_protocol.trusted of the listener, which requires a header";
    NoProxyHeader, Client, "no_proxy_header", 0, "a trusted peer sent no header of the PROXY protocol, which the listener requires";
    BadProxyHeader, Client, "bad_proxy_header", 0, "the header of the PROXY protocol is malformed, or its checksum is wrong";
    ProxyHeaderTimeout, Client, "proxy_header_timeout", 0, "the header of the PROXY protocol did not arrive within timeouts.head of the listener";
    BadHello, Client, "bad_hello", 0, "the connection does not begin with a TLS ClientHello that can be read";
    HelloTimeout, Client, "hello_timeout", 0, "the TLS ClientHello did not arrive within timeouts.head of the listener";
    TunnelIdle, Client, "tunnel_idle", 0, "no byte passed in either direction for timeouts.tunnel of the route or the listener";
    NotImplemented, Client, "not_implemented", 501, "ringway does not serve the method: CONNECT, one longer than 32 bytes, or TRACE where methods of the route do not name it";
    OnlyIfCached, Client, "only_if_cached", 504, "the client takes nothing but a stored answer, and there is none that is fresh";
    NoRoute, Route, "no_route", 404, "no route matches this host and path";
    MethodNotAllowed, Route, "method_not_allowed", 405, "a route matches this host and path, but not for this method";
    BadPath, Route, "bad_path", 400, "what rewrite of the route makes of the path has no normal form";
    AuthMissing, Route, "auth_missing", 401, "the request has no credentials, and its route wants some";
    AuthMalformed, Route, "auth_malformed", 401, "the request's credentials cannot be read, or it has more than one";
    AuthPassword, Route, "auth_password", 401, "nobody has this name and this password";
    AuthToken, Route, "auth_token", 401, "the token cannot be read";
    AuthAlgorithm, Route, "auth_algorithm", 401, "the token is signed in a way that auth.jwt.algorithms does not have";
    AuthUnknownKey, Route, "auth_unknown_key", 401, "no key that is known fits the token";
    AuthSignature, Route, "auth_signature", 401, "the token's signature is wrong";
    AuthExpired, Route, "auth_expired", 401, "the token has expired, or does not say when it does";
    AuthEarly, Route, "auth_early", 401, "the token is not valid yet";
    AuthIssuer, Route, "auth_issuer", 401, "the token is of an issuer that auth.jwt.issuer does not have";
    AuthAudience, Route, "auth_audience", 401, "the token is for somebody else";
    AuthNoCertificate, Route, "auth_no_certificate", 403, "the client showed no certificate, and its route wants one";
    AuthCertificate, Route, "auth_certificate", 403, "auth.client_certificate does not have the client's certificate";
    AuthRefused, Route, "auth_refused", 401, "the service of auth.request wants other credentials";
    AuthForbidden, Route, "auth_forbidden", 403, "the service of auth.request does not let this request pass";
    AuthDown, Route, "auth_down", 503, "the service of auth.request did not answer in time";
    AuthBadAnswer, Route, "auth_bad_answer", 502, "the service of auth.request answered with something else than 2xx, 401 or 403";
    AuthBusy, Route, "auth_busy", 503, "too many passwords wait for their verification";
    AuthNoKeys, Route, "auth_no_keys", 503, "the keys of auth.jwt could not be fetched yet";
    NoPassthrough, Route, "no_passthrough", 0, "no passthrough of the listener takes the name that the client asks for, and there is no passthrough_default";
    NoMember, Pool, "no_member", 503, "the pool has no member that may serve this request";
    NoAddress, Pool, "no_address", 503, "no member of the pool has an address: their names have not been resolved yet";
    QueueFull, Pool, "queue_full", 503, "every member that could serve this request, or the pool, is at its max_connections, and the queue of the pool is full";
    QueueTimeout, Pool, "queue_timeout", 503, "no member that could serve this request had room within queue.timeout of the pool";
    ConnectRefused, Member, "connect_refused", 502, "the member refused the connection";
    ConnectTimeout, Member, "connect_timeout", 504, "no connection to the member within timeouts.connect of the pool";
    ConnectFailed, Member, "connect_failed", 502, "the member could not be reached";
    MemberExpired, Member, "tls_expired", 502, "the member's certificate has expired or is not valid yet";
    MemberWrongName, Member, "tls_wrong_name", 502, "the member's certificate is for another name than tls.server_name of the pool";
    MemberUnknownIssuer, Member, "tls_unknown_issuer", 502, "nobody whom tls.ca of the pool trusts issued the member's certificate";
    MemberCertificate, Member, "tls_certificate", 502, "the member's certificate is not good";
    MemberHandshake, Member, "tls_handshake", 502, "the TLS handshake with the member failed";
    MemberReset, Member, "reset", 502, "the member closed the connection before its answer";
    ResponseTimeout, Member, "response_timeout", 504, "the member did not answer within timeouts.response of the route or the pool (or retry.try_timeout)";
    BadResponse, Member, "bad_head", 502, "the member's answer is not valid HTTP/1";
    LargeResponse, Member, "head_too_large", 502, "the head of the member's answer exceeds limits.response_head or limits.response_headers";
    BadStatus, Member, "status", 502, "the member answered with a status for which the request goes to another one";
    ShortBody, Member, "short_body", 502, "the member closed the connection in the middle of its answer";
    BadResponseBody, Member, "bad_body", 502, "the member's chunked answer is malformed";
    ResponseBodyTimeout, Member, "body_timeout", 504, "the member stalled in its answer for timeouts.response of the route or the pool";
    TunnelReset, Member, "tunnel_reset", 0, "the member reset a connection that is relayed";
    MemberStalled, Member, "write_timeout", 0, "the member took nothing of what a client sent for timeouts.response of the route or the pool";
    BuffersFull, Proxy, "buffers_full", 503, "there is no room in buffers of the server for the request body, and buffer_request.over of the route is refuse";
    BufferLost, Proxy, "buffer_lost", 500, "what went to disk of a body cannot be read back";
    BufferStalled, Proxy, "buffer_stalled", 500, "the disk did not take or give back in time what went there of a body";
    NoDescriptors, Proxy, "no_descriptors", 503, "ringway has no file descriptors left (RLIMIT_NOFILE)";
    CacheDisk, Proxy, "cache_disk", 500, "a file of the cache could not be read, or turned out to be damaged, in the middle of an answer";
    Internal, Proxy, "internal", 500, "ringway failed at something it should not fail at";
    DrainCut, Proxy, "drain_cut", 503, "the exchange did not end within server.drain_timeout";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_within_their_side() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|r| (r.side().word(), r.code())).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::COUNT);
        assert!(Reason::ALL.iter().all(|r| matches!(r.status(), 0 | 400..=599)));
    }
}
