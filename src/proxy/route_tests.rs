//! The router against a table, and against a twin that scans all routes.

use proptest::prelude::*;

use std::net::IpAddr;

use super::*;
use crate::config::{Condition, Part, Test, load};
use crate::http::{HeadLimits, Parsed, RequestHead};

/// Routes on the listeners `a` and `b`, each given as the lines of its table but for the pool.
fn config(routes: &[&str]) -> Config {
    let mut text = String::new();
    for route in routes {
        text += &format!("[[route]]\npool = \"p\"\n{route}\n");
    }
    text += "[listener.a]\nbind = \"127.0.0.1:0\"\n[listener.b]\nbind = \"127.0.0.1:0\"\n";
    text += "[pool.p]\nmembers = [\"127.0.0.1:1\"]\n";
    load(&text, "test").unwrap_or_else(|report| panic!("{report}")).config
}

fn head(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = head.parse(text.as_bytes(), &HeadLimits { bytes: 4096, fields: 50 });
    assert_eq!(parsed, Ok(Parsed::Complete(text.len())), "{text:?}");
    head
}

/// Requests `[b:]METHOD HOST PATH` and the position of the route that takes each, or a word.
fn check(routes: &[&str], requests: &[(&str, &str)]) {
    let config = config(routes);
    let router = Router::new(&config);
    for (request, expected) in requests {
        let (listener, rest) = match request.strip_prefix("b:") {
            Some(rest) => (ListenerId(1), rest),
            None => (ListenerId(0), *request),
        };
        let parts: Vec<&[u8]> = rest.split(' ').map(str::as_bytes).collect();
        let (method, host, path) = (parts[0], parts[1], parts[2]);
        let (head, client) = (RequestHead::new(), || IpAddr::from([192, 0, 2, 1]));
        let asked = Asked { method, host, path, head: &head, client: &client };
        let found = match router.find(listener, &asked) {
            Found::Route(id) => id.0.to_string(),
            Found::None => "404".to_owned(),
            Found::MethodNotAllowed => {
                let allowed = router.allowed(listener, &asked);
                format!("405 {}", String::from_utf8(allowed.join(&b","[..])).unwrap())
            }
        };
        assert_eq!(&found, expected, "{request}");
    }
}

#[test]
fn hosts() {
    check(
        &[
            "",
            "hosts = [\"*.example.com\"]",
            "hosts = [\"*.a.example.com\"]",
            "hosts = [\"Example.com\", \"x.a.example.com\"]",
            "hosts = [\"[::1]\"]",
        ],
        &[
            ("GET example.com /", "3"),
            ("GET x.a.example.com /", "3"),
            ("GET example.com. /", "3"),
            ("GET b.example.com. /", "1"),
            ("GET y.a.example.com /", "2"),
            ("GET z.y.a.example.com /", "2"),
            ("GET a.example.com /", "1"),
            ("GET b.example.com /", "1"),
            ("GET .example.com /", "0"),
            ("GET xexample.com /", "0"),
            ("GET example.org /", "0"),
            ("GET [::1] /", "4"),
            ("GET  /", "0"),
        ],
    );
}

#[test]
fn paths() {
    check(
        &[
            "",
            "path = \"~ ^/api/v[0-9]+$\"",
            "path = \"~ x\"",
            "path = \"/api/*\"",
            "path = \"/api/v1/*\"",
            "path = \"/api/v1\"",
            "path = \"/api-x/*\"",
        ],
        &[
            ("GET h /api", "3"),
            ("GET h /api/", "3"),
            ("GET h /api/v1", "5"),
            ("GET h /api/v1/", "4"),
            ("GET h /api/v1/y", "4"),
            ("GET h /api/v2", "3"),
            ("GET h /api-x", "6"),
            ("GET h /api.x", "2"),
            ("GET h /apix", "2"),
            ("GET h /apiy", "0"),
            ("GET h /", "0"),
            ("OPTIONS h *", "0"),
        ],
    );
    check(
        &["path = \"/*\"", "path = \"~ y\"", "path = \"/x//*\""],
        &[
            ("GET h /", "0"),
            ("GET h /y", "0"),
            ("GET h /x", "0"),
            ("GET h /x/", "2"),
            ("GET h /x//", "2"),
            ("GET h /x//z", "2"),
            ("OPTIONS h *", "404"),
        ],
    );
}

#[test]
fn the_next_level_of_hosts_gets_what_a_path_leaves() {
    check(
        &[
            "hosts = [\"a.example.com\"]\npath = \"/only\"",
            "hosts = [\"*.example.com\"]\npath = \"/some/*\"",
            "path = \"/some/exact\"",
            "path = \"/rest/*\"",
        ],
        &[
            ("GET a.example.com /only", "0"),
            ("GET a.example.com /some/exact", "1"),
            ("GET a.example.com /rest", "3"),
            ("GET a.example.com /else", "404"),
        ],
    );
}

#[test]
fn methods() {
    check(
        &[
            "path = \"/x/*\"\nmethods = [\"GET\", \"HEAD\"]",
            "path = \"/x/y/*\"\nmethods = [\"POST\"]",
            "path = \"/x/y/*\"\nmethods = [\"PUT\", \"GET\"]",
            "hosts = [\"h\"]\npath = \"/x/y/z\"\nmethods = [\"DELETE\", \"POST\"]",
        ],
        &[
            ("GET g /x", "0"),
            ("get g /x", "405 GET,HEAD"),
            ("GET g /x/y", "2"),
            ("HEAD g /x/y", "0"),
            ("POST g /x/y", "1"),
            ("PATCH g /x/y", "405 POST,PUT,GET,HEAD"),
            ("POST h /x/y/z", "3"),
            ("GET h /x/y/z", "2"),
            ("PATCH h /x/y/z", "405 DELETE,POST,PUT,GET,HEAD"),
            ("GET g /", "404"),
        ],
    );
}

#[test]
fn listeners() {
    check(
        &["listeners = [\"b\"]\npath = \"/x\"", "listeners = [\"a\", \"b\"]\npath = \"/x/*\""],
        &[("GET h /x", "1"), ("b:GET h /x", "0"), ("b:GET h /x/y", "1"), ("GET h /", "404")],
    );
}

#[test]
fn among_equals_file_order() {
    let routes: Vec<String> =
        (0..40).map(|n| format!("path = \"/x/*\"\nmethods = [\"M{n}\"]")).collect();
    let routes: Vec<&str> =
        routes.iter().map(String::as_str).chain(["path = \"/x/*\""; 2]).collect();
    check(&routes, &[("M7 h /x", "7"), ("M39 h /x/y", "39"), ("GET h /x", "40")]);
}

/// Requests `METHOD TARGET` with further fields, from a client, and the position of the route that
/// takes each, or a word.
fn check_fields(routes: &[&str], requests: &[(&str, &str, &str, &str)]) {
    let config = config(routes);
    let router = Router::new(&config);
    for (line, fields, client, expected) in requests {
        let head = head(&format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let client = || client.parse::<IpAddr>().unwrap();
        let asked = Asked::of(&head, &client);
        let found = match router.find(ListenerId(0), &asked) {
            Found::Route(id) => id.0.to_string(),
            Found::None => "404".to_owned(),
            Found::MethodNotAllowed => {
                let allowed = router.allowed(ListenerId(0), &asked).join(&b","[..]);
                format!("405 {}", String::from_utf8(allowed).unwrap())
            }
        };
        assert_eq!(&found, expected, "{line} {fields:?} {}", client());
    }
}

#[test]
fn headers() {
    check_fields(
        &[
            "headers = { X-Version = \"2\" }",
            "headers = { x-debug = true, \"User-Agent\" = \"~ ^curl/\" }",
            "headers = { X-Old = false, Accept = \"~ json\" }",
        ],
        &[
            ("GET /", "x-version: 2\r\n", "::1", "0"),
            ("GET /", "X-Version:  2 \r\n", "::1", "0"),
            ("GET /", "X-Version: 1\r\nX-Version: 2\r\n", "::1", "0"),
            ("GET /", "X-Version: 1, 2\r\n", "::1", "404"),
            ("GET /", "X_Version: 2\r\n", "::1", "404"),
            ("GET /", "X-Debug:\r\nuser-agent: curl/8\r\n", "::1", "1"),
            ("GET /", "X-Debug: 0\r\nuser-agent: x curl/8\r\n", "::1", "404"),
            ("GET /", "user-agent: curl/8\r\n", "::1", "404"),
            ("GET /", "Accept: text/x, application/json\r\n", "::1", "2"),
            ("GET /", "Accept: application/json\r\nX-Old:\r\n", "::1", "404"),
            ("GET /", "", "::1", "404"),
        ],
    );
}

#[test]
fn cookies_parameters_and_clients() {
    check_fields(
        &[
            "cookies = { beta = \"1\" }",
            "query = { \"a b\" = \"c+d\" }",
            "query = { v = \"~ ^2$\", w = false }",
            "query = { debug = true }",
            "clients = [\"10.0.0.0/8\", \"2001:db8::/32\"]",
        ],
        &[
            ("GET /", "Cookie: alpha=2; beta=1\r\n", "::1", "0"),
            ("GET /", "Cookie: alpha=2\r\nCookie: beta=1\r\n", "::1", "0"),
            ("GET /", "Cookie: xbeta=1; beta=11\r\n", "::1", "404"),
            ("GET /?a%20b=c%2bd", "", "::1", "1"),
            ("GET /?x&a+b=c%2Bd", "", "::1", "1"),
            ("GET /?a+b=c+d", "", "::1", "404"),
            ("GET /?v=1&v=%32", "", "::1", "2"),
            ("GET /?v=2&w", "", "::1", "404"),
            ("GET /?v=22", "", "::1", "404"),
            ("GET /?debug", "", "::1", "3"),
            ("GET /?debug=0", "", "::1", "3"),
            ("GET /?debug2", "", "::1", "404"),
            ("GET /", "", "10.255.0.1", "4"),
            ("GET /", "", "2001:db8::7", "4"),
            ("GET /", "", "11.0.0.1", "404"),
        ],
    );
}

#[test]
fn conditions_are_filters_and_nothing_more() {
    check_fields(
        &[
            "path = \"/x/*\"\nmethods = [\"GET\"]",
            "path = \"/x/y\"\nheaders = { A = true }\nmethods = [\"PUT\"]",
            "path = \"/x/y\"",
            "path = \"/x/y\"\nheaders = { B = true }",
            "path = \"/z\"\nheaders = { B = true }\nmethods = [\"PUT\"]",
        ],
        &[
            ("PUT /x/y", "A: 1\r\n", "::1", "1"),
            ("GET /x/y", "A: 1\r\n", "::1", "2"),
            ("GET /x/y", "B: 1\r\n", "::1", "2"),
            ("GET /x/z", "B: 1\r\n", "::1", "0"),
            ("PUT /x/z", "A: 1\r\n", "::1", "405 GET"),
            ("GET /z", "B: 1\r\n", "::1", "405 PUT"),
            ("GET /z", "", "::1", "404"),
            ("PUT /z", "", "::1", "404"),
        ],
    );
}

/// What a condition means, said in another way: all values at once, decoded by hand.
fn naive_holds(condition: &Condition, headers: &[(&str, &str)], query: &str) -> bool {
    let values: Vec<String> = match condition.part {
        Part::Header => {
            let of_name = headers.iter().filter(|(name, _)| name.to_lowercase() == condition.name);
            of_name.map(|(_, value)| (*value).to_owned()).collect()
        }
        Part::Cookie => {
            let cookies = headers.iter().filter(|(name, _)| *name == "Cookie");
            let pairs = cookies.flat_map(|(_, value)| value.split("; "));
            let pairs = pairs.filter_map(|pair| pair.split_once('='));
            pairs.filter(|(n, _)| *n == condition.name).map(|(_, v)| v.to_owned()).collect()
        }
        Part::Query => {
            let plain = query.replace("%61", "a").replace("%62", "b").replace('+', " ");
            let pairs = plain.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let pairs = pairs.filter(|(name, _)| !name.is_empty() && *name == condition.name);
            pairs.map(|(_, value)| value.to_owned()).collect()
        }
    };
    match &condition.test {
        Test::Present => !values.is_empty(),
        Test::Absent => values.is_empty(),
        Test::Is(text) => values.contains(text),
        Test::Matches(regex) => values.iter().any(|value| regex.is_match(value.as_bytes())),
    }
}

/// A request as the twin sees it.
#[derive(Debug)]
struct Request {
    listener: u16,
    host: String,
    path: String,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    query: String,
    client: IpAddr,
}

impl Request {
    fn holds(&self, route: &RouteConfig) -> bool {
        let Some(conditions) = &route.conditions else { return true };
        let in_block = |block: &crate::config::Cidr| match (block.network, self.client) {
            (IpAddr::V4(network), IpAddr::V4(client)) => {
                let bits = 32 - u32::from(block.prefix);
                u64::from(u32::from(network)) >> bits == u64::from(u32::from(client)) >> bits
            }
            _ => false,
        };
        conditions.parts.iter().all(|c| naive_holds(c, &self.headers, &self.query))
            && (conditions.clients.is_empty() || conditions.clients.iter().any(in_block))
    }
}

/// The precedence as a sort key over all routes and their hosts.
fn naive(config: &Config, request: &Request) -> Found {
    let Request { host, path, method, .. } = request;
    let listener = ListenerId(request.listener);
    type Rank = ((u8, usize), (u8, usize), usize);
    let mut matching: Vec<(Rank, bool)> = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        if route.listeners.as_ref().is_some_and(|ids| !ids.contains(&listener)) {
            continue;
        }
        if !request.holds(route) {
            continue;
        }
        let longest_first = |length: usize| usize::MAX - length;
        let path_rank = match &route.path {
            PathPattern::Exact(p) if p == path => (0, 0),
            PathPattern::Prefix(p) if *path == *p || path.starts_with(&format!("{p}/")) => {
                (1, longest_first(p.len()))
            }
            PathPattern::Regex(regex) if regex.is_match(path.as_bytes()) => (2, 0),
            PathPattern::Any => (3, 0),
            _ => continue,
        };
        let host_ranks = route.hosts.iter().filter_map(|pattern| match pattern {
            HostPattern::Exact(h) => (h == host).then_some((0, 0)),
            HostPattern::Wildcard(suffix) => (host.ends_with(suffix) && host.len() > suffix.len())
                .then(|| (1, longest_first(suffix.len()))),
        });
        let host_rank = if route.hosts.is_empty() { Some((2, 0)) } else { host_ranks.min() };
        if let Some(host_rank) = host_rank {
            matching.push(((host_rank, path_rank, index), route.allows(method.as_bytes())));
        }
    }
    matching.sort();
    match matching.iter().find(|(_, allows)| *allows) {
        Some(((_, _, index), _)) => Found::Route(RouteId(u16::try_from(*index).unwrap())),
        None if matching.is_empty() => Found::None,
        None => Found::MethodNotAllowed,
    }
}

fn route() -> impl Strategy<Value = String> {
    let listeners = prop::option::of(prop::sample::subsequence(vec!["a", "b"], 1..=2));
    let labels = "(\\*\\.)?([ab]\\.){0,2}[ab]";
    let hosts = prop::option::of(prop::collection::hash_set(labels, 1..3));
    let path = prop::option::of(prop_oneof![
        "(/[ab]{0,2}){1,3}",
        "(/[ab]{0,2}){0,3}/\\*",
        "~ \\^?(/|a|b){1,2}\\$?",
    ]);
    let methods = prop::option::of(prop::sample::subsequence(vec!["GET", "PUT"], 1..=2));
    (listeners, hosts, path, methods, conditions()).prop_map(
        |(listeners, hosts, path, methods, conditions)| {
            let mut text = String::new();
            if let Some(listeners) = listeners {
                text += &format!("listeners = {listeners:?}\n");
            }
            if let Some(hosts) = hosts {
                text += &format!("hosts = {:?}\n", hosts.into_iter().collect::<Vec<_>>());
            }
            if let Some(path) = path {
                text += &format!("path = '{path}'\n");
            }
            if let Some(methods) = methods {
                text += &format!("methods = {methods:?}\n");
            }
            text + &conditions
        },
    )
}

/// Lines of conditions; mostly none.
fn conditions() -> impl Strategy<Value = String> {
    let test = prop::sample::select(vec!["\"a\"", "\"\"", "\"~ ^a\"", "\"~ b$\"", "true", "false"]);
    let of_part = |key: &'static str, names: &[&'static str]| {
        let names = prop::sample::subsequence(names.to_vec(), 1..=names.len());
        let fields = (names, prop::collection::vec(test.clone(), 2));
        fields.prop_map(move |(names, tests)| {
            let fields: Vec<_> =
                names.iter().zip(tests).map(|(n, t)| format!("\"{n}\" = {t}")).collect();
            format!("{key} = {{ {} }}\n", fields.join(", "))
        })
    };
    let clients =
        prop::sample::select(vec!["10.0.0.0/8", "10.0.0.0/31", "10.0.0.1/32", "0.0.0.0/0"]);
    prop_oneof![
        4 => Just(String::new()),
        1 => of_part("headers", &["X-A", "x-b"]),
        1 => of_part("cookies", &["a", "b"]),
        1 => of_part("query", &["a", "a b"]),
        1 => clients.prop_map(|block| format!("clients = [\"{block}\"]\n")),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let path = prop_oneof![9 => "(/[ab]{0,2}){1,4}", 1 => Just("*".to_owned())];
    let fields = vec![
        ("x-a", "a"),
        ("X-A", "ab"),
        ("X-B", ""),
        ("Cookie", "a=a; b=ab"),
        ("Cookie", "b=a"),
        ("Cookie", "a="),
    ];
    let headers = prop::sample::subsequence(fields, 0..=3);
    let query = "((a|%61|b|a\\+%62|a%20b)(=(a|%62|ab|)){0,1}&{0,2}){0,3}";
    let client = prop::sample::select(vec!["10.0.0.0", "10.0.0.1", "10.0.0.2", "11.0.0.1"]);
    let line =
        (0u16..2, "\\.?([ab]\\.){0,3}[ab]", path, prop::sample::select(vec!["GET", "PUT", "X"]));
    (line, headers, query, client).prop_map(|(line, headers, query, client)| {
        let (listener, host, path, method) = line;
        // The twin decodes by replacing.
        let query = query.replace("%20", "+");
        let client = client.parse().unwrap();
        Request { listener, host, path, method, headers, query, client }
    })
}

proptest! {
    #[test]
    fn equals_its_naive_twin(
        routes in prop::collection::vec(route(), 1..24),
        requests in prop::collection::vec(request(), 32),
    ) {
        let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
        let config = config(&routes);
        let router = Router::new(&config);
        for request in requests {
            let fields: String =
                request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let query = &request.query;
            let head = head(&format!("GET /?{query} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
            let client = || request.client;
            let asked = Asked {
                host: request.host.as_bytes(),
                path: request.path.as_bytes(),
                method: request.method.as_bytes(),
                head: &head,
                client: &client,
            };
            let found = router.find(ListenerId(request.listener), &asked);
            prop_assert_eq!(found, naive(&config, &request), "{:?}", request);
        }
    }
}
