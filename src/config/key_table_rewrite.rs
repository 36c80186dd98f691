//! The keys of what is done to fields on their way. Must not know TOML.

use super::key_table::key;
use super::keys::Kind::{Choice, Count, Flag, Form, Percent, Switch, TimeCap};
use super::keys::Section::{
    Cors, Listener, Location, RequestHeaders, RequestId, ResponseHeaders, Route,
    RouteRequestHeaders, RouteResponseHeaders, SetCookie, Tracing,
};
use super::keys::{Key, TIME_MIN};

const NAMES: &str = "a list of names, or of beginnings of names such as `\"X-Int-*\"`";
const VALUES: &str = "a table of texts, which may have [variables](headers.md#variables)";
const LISTS: &str =
    "a table of texts or lists of texts, which may have [variables](headers.md#variables)";
const SET: &str =
    "Fields that take the place of all of their name. A text that comes out empty sends none.";
const ADD: &str = "Fields in addition to those of their name.";
const SET_LINE: &str = "set = { \"X-Client\" = \"{client.ip}\" }";
const ADD_LINE: &str = "add = { \"X-Tag\" = [\"a\", \"{listener}\"] }";
const REMOVE_LINE: &str = "remove = [\"X-Debug\", \"X-Int-*\"]";

const REQUESTS: &str = "Fields of requests that members do not get, or get otherwise: first `remove`, then `set`, then `add`; first those of the listener, then those of the route. See [headers](headers.md).";
const ANSWERS: &str = "The same for answers, those that ringway gives itself included.";

/// Every key.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key(Listener, "trusted_hops", Count { default: 0, min: 0, max: 32 },
        "How many proxies stand in front, at whatever addresses: the client is so many entries from the right end of what the peer sends. With `trusted_proxies` only peers of those blocks are believed, and without it every peer is: nobody else must be able to connect.",
        "trusted_hops = 2"),
    key(Listener, "trusted_field", Choice(&["x-forwarded-for", "forwarded"]),
        "In which field trusted peers say who the client is. Only one is believed, for a proxy in front may pass the other one on as its client sent it.",
        "trusted_field = \"forwarded\""),
    key(Listener, "forwarded", Form("a list of `\"x-forwarded\"` and `\"rfc7239\"`, or `\"off\"`", "[\"x-forwarded\"]"),
        "How members are told of the client: by `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Real-IP`; by `Forwarded` (RFC 7239). What is not written passes from trusted peers, and is dropped of all others.",
        "forwarded = [\"x-forwarded\", \"rfc7239\"]"),
    key(Listener, "request_headers", Switch { section: RequestHeaders, on: false }, REQUESTS, "request_headers = { remove = [\"X-Debug\"] }"),
    key(Listener, "response_headers", Switch { section: ResponseHeaders, on: false }, ANSWERS, "response_headers = { set = { \"X-Frame-Options\" = \"DENY\" } }"),
    key(Listener, "request_id", Switch { section: RequestId, on: false },
        "A name for every request: made here, or taken over from a trusted peer; sent to the member and in the access log.",
        "request_id = { header = \"X-Request-Id\" }"),
    key(Listener, "tracing", Switch { section: Tracing, on: false },
        "`traceparent` and `tracestate` (W3C Trace Context): what is none is dropped, and the trace is in the access log.",
        "tracing = { mode = \"start\", sample = \"1%\" }"),

    key(RequestHeaders, "remove", Form(NAMES, "none"), "Fields that end here.", REMOVE_LINE),
    key(RequestHeaders, "set", Form(VALUES, "none"), SET, SET_LINE),
    key(RequestHeaders, "add", Form(LISTS, "none"), ADD, ADD_LINE),
    key(ResponseHeaders, "remove", Form(NAMES, "none"), "Fields that end here.", REMOVE_LINE),
    key(ResponseHeaders, "set", Form(VALUES, "none"), SET, SET_LINE),
    key(ResponseHeaders, "add", Form(LISTS, "none"), ADD, ADD_LINE),

    key(RequestId, "header", Form("the name of a field", "\"X-Request-Id\""), "The field that it is in, to members and from trusted peers.", "header = \"X-Request-Id\""),
    key(RequestId, "echo", Flag { default: true }, "Whether clients get it, too, with every answer.", "echo = false"),

    key(Tracing, "mode", Choice(&["pass", "start"]),
        "Whether a request without a trace goes on without one, or begins one.", "mode = \"start\""),
    key(Tracing, "sample", Percent { default: 100 }, "The share of the traces begun here that are marked as to be recorded.", "sample = \"1%\""),

    key(Route, "request_headers", Switch { section: RouteRequestHeaders, on: false }, REQUESTS, "request_headers = { set = { \"X-App\" = \"shop\" } }"),
    key(Route, "response_headers", Switch { section: RouteResponseHeaders, on: false }, ANSWERS, "response_headers = { remove = [\"Server\", \"X-Powered-By\"] }"),
    key(Route, "location", Switch { section: Location, on: true },
        "References in `Location`, `Content-Location` and `Refresh` that name the member, by its address or by the `Host` that it got, name what the client asked instead; and who came by https is not sent to plain http of the same host.",
        "location = { hosts = [\"app.internal:8080\"] }"),
    key(Route, "set_cookie", Switch { section: SetCookie, on: false },
        "Attributes of the cookies that members set.", "set_cookie = { domain = { \"app.internal\" = \"example.com\" }, secure = true }"),
    key(Route, "cors", Switch { section: Cors, on: false },
        "Which scripts of other origins may ask, and see answers. Questions ahead (preflights) are answered here; members' own `Access-Control-*` fields are dropped.",
        "cors = { origins = [\"https://a.example\"] }"),

    key(RouteRequestHeaders, "remove", Form(NAMES, "none"), "Fields that end here.", REMOVE_LINE),
    key(RouteRequestHeaders, "set", Form(VALUES, "none"), SET, SET_LINE),
    key(RouteRequestHeaders, "add", Form(LISTS, "none"), ADD, ADD_LINE),
    key(RouteResponseHeaders, "remove", Form(NAMES, "none"), "Fields that end here.", REMOVE_LINE),
    key(RouteResponseHeaders, "set", Form(VALUES, "none"), SET, SET_LINE),
    key(RouteResponseHeaders, "add", Form(LISTS, "none"), ADD, ADD_LINE),

    key(Location, "hosts", Form("a list of hosts, with or without a port", "[]"), "Further names of members, as they may write them.", "hosts = [\"app.internal:8080\"]"),

    key(SetCookie, "domain", Form("a table of texts", "none"), "Domains and what takes their place; `\"\"`: the cookie is for the host alone.", "domain = { \"app.internal\" = \"example.com\" }"),
    key(SetCookie, "path", Form("a table of texts", "none"), "Beginnings of paths, whole segments, and what takes their place. The first that fits counts.", "path = { \"/app\" = \"/\" }"),
    key(SetCookie, "secure", Form("`true` or `false`", "as the member says"), "Whether browsers send them by https only.", "secure = true"),
    key(SetCookie, "http_only", Form("`true` or `false`", "as the member says"), "Whether scripts see them not.", "http_only = true"),
    key(SetCookie, "same_site", Choice(&["keep", "lax", "strict", "none"]), "Whether browsers send them with requests that other sites cause. `\"none\"` needs `secure = true`.", "same_site = \"lax\""),

    key(Cors, "origins", Form("a list of origins, with a star in place of the first labels, or `\"*\"`", ""),
        "Those that may.", "origins = [\"https://a.example\", \"https://*.b.example\"]"),
    key(Cors, "methods", Form("a list of methods", "[\"GET\", \"HEAD\", \"POST\"]"), "With which methods.", "methods = [\"GET\", \"PUT\"]"),
    key(Cors, "headers", Form("a list of names of fields, or `\"*\"`", "[]"), "With which fields, beyond those that are always allowed.", "headers = [\"Authorization\"]"),
    key(Cors, "expose", Form("a list of names of fields, or `\"*\"`", "[]"), "Which fields of answers they see, beyond those that they always see.", "expose = [\"X-Total\"]"),
    key(Cors, "credentials", Flag { default: false }, "Whether with cookies and the like. Not together with a star for everything.", "credentials = true"),
    key(Cors, "max_age", TimeCap { min: TIME_MIN }, "How long browsers need not ask again. `\"none\"`: what they like, some seconds.", "max_age = \"1h\""),
];
