//! The keys of `auth` and `mirror` of a route.

use std::time::Duration;

use super::key_table::{KIB, MIB, key};
use super::keys::Key;
use super::keys::Kind::{self, Choice, Count, Flag, Form, Percent, Size, Switch, Time};
use super::keys::Section::{
    Auth, AuthBasic, AuthCertificate, AuthJwt, AuthRemember, AuthRequest, AuthRequestRemember,
    Listener, Mirror, Route,
};
use super::keys::TIME_MIN;

const ENTRIES: Kind = Count { default: 10_000, min: 1, max: 10_000_000 };

/// All of them.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key(Listener, "auth", Switch { section: Auth, on: false },
        "Who may send the requests of all routes that do not have an `auth` of their own: see [auth](auth.md). The keys are those of `[route.auth]`.",
        "auth = { basic = { realm = \"shop\", users = \"/etc/ringway/htpasswd\" } }"),
    key(Route, "auth", Form("`\"listener\"`, `\"off\"` or a table, see `[route.auth]`", "\"listener\""),
        "Who may send these requests: see [auth](auth.md). `\"listener\"`: whom `auth` of the listener lets in that a request comes by; `\"off\"`: everybody. With several methods all of them must let a request pass. Fields by which members learn who the client is (`X-User` and whatever else is named here) are taken off every request of every route, in every spelling.",
        "auth = { basic = { realm = \"shop\", users = \"/etc/ringway/htpasswd\" } }"),
    key(Route, "mirror", Switch { section: Mirror, on: false },
        "Copies of the requests go to a second pool, too, whose answers are thrown away: see [mirroring](mirroring.md). No client waits for it.",
        "mirror = { pool = \"shadow\", share = \"10%\" }"),

    key(Auth, "require", Choice(&["all", "any"]),
        "Whether all methods must let a request pass, or one is enough. They are tried in this order: `client_certificate`, `jwt`, `basic`, `request`.",
        "require = \"any\""),
    key(Auth, "client_certificate", Switch { section: AuthCertificate, on: false },
        "What the client's certificate must say; else 403. Needs a listener with `tls.client_auth`.",
        "client_certificate = { sans = [\"URI:spiffe://example/shop/*\"] }"),
    key(Auth, "jwt", Switch { section: AuthJwt, on: false },
        "A signed token (RFC 7519) that the request must have; else 401.",
        "jwt = { jwks = \"https://login.example/jwks.json\", issuer = \"https://login.example\", audience = \"shop\" }"),
    key(Auth, "basic", Switch { section: AuthBasic, on: false },
        "A user name and a password that the request must have (RFC 7617); else 401.",
        "basic = { realm = \"shop\", users = \"/etc/ringway/htpasswd\" }"),
    key(Auth, "request", Switch { section: AuthRequest, on: false },
        "A service that is asked about each request: 2xx lets it pass, 401 and 403 are passed on to the client, and anything else, or no answer, refuses it (502, 503).",
        "request = { pool = \"login\", path = \"/check\", copy = [\"X-User\"] }"),

    key(AuthCertificate, "subjects", Form("a list of patterns", "any subject"),
        "One of them must match the subject, written as in `X-Client-Cert-Subject`. `*` stands for anything but a comma.", "subjects = [\"CN=*,O=Shop\"]"),
    key(AuthCertificate, "sans", Form("a list of patterns", "any names"),
        "One of them must match one of the names, written as in `X-Client-Cert-San`.", "sans = [\"DNS:*.shop.example\"]"),
    key(AuthCertificate, "issuers", Form("a list of patterns", "any issuer"),
        "One of them must match the issuer, written as in `X-Client-Cert-Issuer`.", "issuers = [\"CN=Shop CA\"]"),
    key(AuthCertificate, "fingerprints", Form("a list of 64 hexadecimal digits each", "any certificate"),
        "SHA-256 of the certificates that are let in.", "fingerprints = [\"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"]"),

    key(AuthJwt, "jwks", Form("the path of a file, or a URL with `http://` or `https://`", "none: `secret_file` is given"),
        "The public keys, as a JWK set (RFC 7517). A file is read again when it changes. A URL is fetched by the control thread: again after `refresh`, and when a token names a key that is not known (every ten seconds at the most). Keys stay in use while a fetch fails.",
        "jwks = \"https://login.example/jwks.json\""),
    key(AuthJwt, "ca", Form("the path of a file", "the roots of the system"),
        "PEM: who may have issued the certificate of the server behind `jwks`.", "ca = \"internal.pem\""),
    key(AuthJwt, "refresh", Time { default: Duration::from_secs(600), min: Duration::from_secs(1) },
        "How often a URL is fetched.", "refresh = \"1h\""),
    key(AuthJwt, "secret_file", Form("the path of a file", "none: `jwks` is given"),
        "The secret of HS256 tokens, 32 to 4096 bytes; white space at its end does not count. It is read again when it changes.", "secret_file = \"/etc/ringway/jwt.secret\""),
    key(AuthJwt, "algorithms", Form("a list of `\"RS256\"`, `\"PS256\"`, `\"ES256\"`, `\"ES384\"`, `\"EdDSA\"`, `\"HS256\"`", "all that `jwks` can have; with `secret_file` `[\"HS256\"]`"),
        "What is accepted. A key has one kind of algorithm, whatever a token says; `none` does not exist, and HS256 goes with `secret_file` alone.", "algorithms = [\"ES256\"]"),
    key(AuthJwt, "issuer", Form("a text or a list of them", "any issuer"), "What `iss` must be.", "issuer = \"https://login.example\""),
    key(AuthJwt, "audience", Form("a text or a list of them", "any audience"),
        "What `aud` must have. Without it tokens for other services are good here, too.", "audience = \"shop\""),
    key(AuthJwt, "leeway", Time { default: Duration::from_secs(30), min: Duration::ZERO },
        "By how much clocks may differ, for `exp`, `nbf` and `iat`. A token without `exp` is refused.", "leeway = \"10s\""),
    key(AuthJwt, "claims", Form("a table: claims and the names of fields", "{}"),
        "What members get to know. A text, a number or a truth value is passed as it is, a list of them with commas between (in its texts `,` and `%` are `%2C` and `%25`); `a.b` is the claim `b` within `a`. A claim that is absent gives no field.",
        "claims = { sub = \"X-User\", \"realm_access.roles\" = \"X-Roles\" }"),
    key(AuthJwt, "from", Form("`\"bearer\"` or `\"cookie:NAME\"`", "\"bearer\""), "Where requests have the token: in `Authorization`, or in a cookie.", "from = \"cookie:session\""),
    key(AuthJwt, "forward", Flag { default: true }, "Whether members get `Authorization`, too, where the token is in it.", "forward = false"),
    key(AuthJwt, "remember", Switch { section: AuthRemember, on: true },
        "Tokens that were good, by an HMAC of each: none is verified again while it is remembered and has not run out.", "remember = { time = \"1m\" }"),

    key(AuthBasic, "realm", Form("a text", ""), "What clients are asked for.", "realm = \"shop\""),
    key(AuthBasic, "users", Form("the path of a file", ""),
        "A line `NAME:HASH` a user, with bcrypt (`htpasswd -B`) or argon2 (`$argon2id$...`); other hashes are refused. It is read again when it changes.", "users = \"/etc/ringway/htpasswd\""),
    key(AuthBasic, "header", Form("the name of a field", "none"), "The field in which members get the user's name.", "header = \"X-User\""),
    key(AuthBasic, "forward", Flag { default: false }, "Whether members get `Authorization`, too.", "forward = true"),
    key(AuthBasic, "remember", Switch { section: AuthRemember, on: true },
        "Passwords that were verified, by an HMAC of each: verifying one takes a processor 50 ms and more. A wrong one is remembered, too, for ten seconds at the most.", "remember = { time = \"10m\" }"),

    key(AuthRequest, "pool", Form("the name of a pool", ""), "The servers that are asked. Their keep-alive, health, timeouts and retries are those of the pool.", "pool = \"login\""),
    key(AuthRequest, "path", Form("a path, with or without a query", "\"/\""),
        "What is requested, by GET and without a body. The client's request is in `X-Original-Method`, `X-Original-URI`, `X-Original-Host`, `X-Forwarded-Method` and `X-Forwarded-Uri`, the client itself in `X-Forwarded-For` and the others of its kind.", "path = \"/check\""),
    key(AuthRequest, "headers", Form("a list of names of fields", "[\"Authorization\", \"Cookie\"]"),
        "The client's fields that are sent along.", "headers = [\"Authorization\", \"X-Api-Key\"]"),
    key(AuthRequest, "copy", Form("a list of names of fields", "[]"),
        "Fields of an answer 2xx that members get. A client's own fields of these names never pass.", "copy = [\"X-User\", \"X-Groups\"]"),
    key(AuthRequest, "pass", Form("a list of names of fields", "[]"),
        "Fields of a refusal that the client gets, besides `WWW-Authenticate` and, with `redirects`, `Location`.", "pass = [\"Set-Cookie\"]"),
    key(AuthRequest, "redirects", Flag { default: false },
        "Whether an answer 301, 302, 303, 307 or 308 is passed on to the client, as login pages need it.", "redirects = true"),
    key(AuthRequest, "timeout", Time { default: Duration::from_secs(1), min: TIME_MIN },
        "For the whole question, retries included. Then the request is refused with 503.", "timeout = \"500ms\""),
    key(AuthRequest, "remember", Switch { section: AuthRequestRemember, on: false },
        "Answers 2xx that are good for more than one request.", "remember = { time = \"10s\" }"),

    key(AuthRemember, "time", Time { default: Duration::from_secs(300), min: TIME_MIN }, "How long one is remembered.", "time = \"1m\""),
    key(AuthRemember, "entries", ENTRIES, "How many are remembered, per worker; the oldest are forgotten first.", "entries = 50000"),

    key(AuthRequestRemember, "time", Time { default: Duration::from_secs(10), min: TIME_MIN }, "How long one is remembered.", "time = \"30s\""),
    key(AuthRequestRemember, "entries", ENTRIES, "How many are remembered, per worker; the oldest are forgotten first.", "entries = 50000"),
    key(AuthRequestRemember, "by", Choice(&["request", "credential"]),
        "Whether an answer is good for requests that look the same to the service in everything, client and path included, or for all with the same values of `headers`.", "by = \"credential\""),

    key(Mirror, "pool", Form("the name of a pool", ""), "Who gets the copies.", "pool = \"shadow\""),
    key(Mirror, "share", Percent { default: 100 }, "The share of the requests that is copied, by chance.", "share = \"10%\""),
    key(Mirror, "body", Size { default: Some(64 * KIB), min: 0, max: MIB },
        "The body up to which a request is copied, counted as members get it. Others are not, and counted.", "body = \"8KiB\""),
];
