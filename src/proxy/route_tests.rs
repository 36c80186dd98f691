//! The router against a table, and against a twin that scans all routes.

use proptest::prelude::*;

use super::*;
use crate::config::load;

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
        let found = match router.find(listener, host, path, method) {
            Found::Route(id) => id.0.to_string(),
            Found::None => "404".to_owned(),
            Found::MethodNotAllowed => {
                let allowed = router.allowed(listener, host, path);
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

/// The precedence as a sort key over all routes and their hosts.
fn naive(config: &Config, listener: ListenerId, host: &str, path: &str, method: &str) -> Found {
    type Rank = ((u8, usize), (u8, usize), usize);
    let mut matching: Vec<(Rank, bool)> = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        if route.listeners.as_ref().is_some_and(|ids| !ids.contains(&listener)) {
            continue;
        }
        let longest_first = |length: usize| usize::MAX - length;
        let path_rank = match &route.path {
            PathPattern::Exact(p) if p == path => (0, 0),
            PathPattern::Prefix(p) if path == p || path.starts_with(&format!("{p}/")) => {
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
    (listeners, hosts, path, methods).prop_map(|(listeners, hosts, path, methods)| {
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
        text
    })
}

fn request() -> impl Strategy<Value = (u16, String, String, &'static str)> {
    let path = prop_oneof![9 => "(/[ab]{0,2}){1,4}", 1 => Just("*".to_owned())];
    (0u16..2, "\\.?([ab]\\.){0,3}[ab]", path, prop::sample::select(vec!["GET", "PUT", "X"]))
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
        for (listener, host, path, method) in requests {
            let listener = ListenerId(listener);
            let found = router.find(listener, host.as_bytes(), path.as_bytes(), method.as_bytes());
            let expected = naive(&config, listener, &host, &path, method);
            prop_assert_eq!(found, expected, "{} {} {}", host, path, method);
        }
    }
}
