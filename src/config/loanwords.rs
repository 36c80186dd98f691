//! Keys as nginx, HAProxy and others call them, and what they are called here: a newcomer writes the
//! word that he knows. Must not know TOML.
//!
//! Only words that no nearest key and no key of another section explains as well.

use super::keys::Section::{
    self, AuthBasic, AuthJwt, Balance, Buffers, Cache, CacheDisk, CacheStore, Certificate,
    ClientAuth, Compress, Cors, Eject, Health, Keepalive, Listener, ListenerLimits, ListenerRate,
    ListenerTimeouts, Member, Pool, PoolTimeouts, PoolTls, Queue, Redirect, RequestHeaders,
    Respond, ResponseHeaders, Retry, Rewrite, Root, Route, RouteRate, RouteRequestHeaders,
    RouteResponseHeaders, RouteTimeouts, Server, Split, Sticky, Tls,
};

/// What a word is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// This key of this section.
    Key(Section, &'static str),
    /// No key: a sentence says what to do.
    Said(&'static str),
}

use Meaning::{Key, Said};

type Loanwords = (&'static [Section], &'static [&'static str], Meaning);

/// What `word` means to who writes it into `section`.
pub(super) fn meaning(section: Section, word: &str) -> Option<Meaning> {
    let folded = word.replace('-', "_").to_ascii_lowercase();
    let found = TABLE.iter().find(|(sections, words, _)| {
        sections.contains(&section) && words.contains(&folded.as_str())
    });
    found.map(|&(_, _, meaning)| meaning)
}

/// A choice as others call it, and its word here; empty: the sentence of [`said_of_choice`].
pub(super) fn choice(key: &str, word: &str) -> Option<&'static str> {
    let folded = word.replace('-', "_").to_ascii_lowercase();
    let found = CHOICES.iter().find(|(of, words, _)| *of == key && words.contains(&&*folded));
    found.map(|&(_, _, meant)| meant)
}

#[rustfmt::skip]
const CHOICES: &[(&str, &[&str], &str)] = &[
    ("balance", &["roundrobin", "round_robin", "rr", "static_rr", "wrr"], "write \"round-robin\""),
    ("balance", &["leastconn", "least_conn", "least_request", "lc"], "write \"least-connections\""),
    ("balance", &["random", "p2c"], "write \"random-two\""),
    ("balance", &["fastest", "peak_ewma", "ewma"], "write \"least-time\""),
    ("balance", &["source", "ip_hash", "client_ip", "ring_hash", "maglev", "consistent"], "write { hash = \"client-ip\" }"),
    ("balance", &["uri", "path"], "write { hash = \"path\" }"),
    ("balance", &["hdr", "header"], "write { hash = \"header:NAME\" }"),
    ("balance", &["cookie"], "write { hash = \"cookie:NAME\" }, or give the pool \"sticky\""),
    ("balance", &["url_param", "query"], "write { hash = \"query:NAME\" }"),
    ("compress", &["brotli"], "write \"br\""),
    ("compress", &["zst", "zstandard"], "write \"zstd\""),
    ("compress", &["deflate"], "write \"gzip\": every client that takes deflate takes that"),
    ("encodings", &["brotli"], "write \"br\""),
    ("encodings", &["zst", "zstandard"], "write \"zstd\""),
    ("encodings", &["deflate"], "write \"gzip\": every client that takes deflate takes that"),
    ("type", &["udp"], "datagrams are not probed: write \"tcp\" or \"http\", with a \"port\" of the member that speaks it"),
    ("access_log_format", &["combined", "clf", "apache", "ncsa"], "write \"common\": it is the combined form, with more behind it"),
    ("protocol", &["https", "tls", "ssl"], "write \"http\", and give the listener \"tls\""),
    ("protocol", &["http1", "http/1.1", "h1"], "write \"http\""),
    ("protocol", &["dns"], "write \"udp\""),
    ("mode", &["nodelay"], "write \"refuse\", which does not delay"),
    ("min_version", &["tlsv1.2", "tls1.2"], "write \"1.2\""),
    ("min_version", &["tlsv1.3", "tls1.3"], "write \"1.3\""),
];

const FIELDS: &[Section] =
    &[RequestHeaders, ResponseHeaders, RouteRequestHeaders, RouteResponseHeaders];
const RATES: &[Section] = &[ListenerRate, RouteRate];
const NO_FILES: &str = "ringway serves no files: give the pool an address of a server that does; a single answer may be `respond = { file = \"...\" }`";

#[rustfmt::skip]
const TABLE: &[Loanwords] = &[
    // The top level.
    (&[Root], &["upstream", "upstreams", "backend", "backends", "cluster", "clusters", "services", "service"], Key(Root, "pool")),
    (&[Root], &["frontend", "frontends", "listen", "entrypoints", "entrypoint", "http", "site", "sites"], Key(Root, "listener")),
    (&[Root], &["location", "locations", "router", "routers", "rule", "rules", "virtual_hosts", "vhost"], Key(Root, "route")),
    (&[Root], &["global", "main", "events", "process"], Key(Root, "server")),
    (&[Root], &["defaults", "default"], Said("there are no defaults to set for several sections: each says what differs from the built-in ones, which `ringway check FILE --effective` shows")),
    (&[Root], &["stats", "stats_uri", "metrics", "prometheus", "api", "dashboard", "admin"], Key(Server, "admin")),
    (&[Root], &["worker_processes", "nbthread", "threads", "workers"], Key(Server, "workers")),
    (&[Root], &["stream", "tcp", "udp"], Said("a listener says it, as in: [listener.db] with protocol = \"tcp\" and pool = \"db\"")),
    (&[Root], &["include", "includes"], Said("a configuration is one file")),
    (&[Root, Server], &["log", "logging", "accesslog", "error_log", "log_level", "loglevel"], Said("requests are written where server.access_log says; everything else goes to the standard error, as much as the variable RUST_LOG says (warn, info, debug)")),
    // The process.
    (&[Server], &["log_format", "access_log_json"], Key(Server, "access_log_format")),
    (&[Server], &["worker_processes", "nbthread", "threads", "worker", "cpus"], Key(Server, "workers")),
    (&[Server], &["user", "group", "uid", "gid", "chroot"], Said("leave it out: the service manager starts it as that user, see docs/operations.md")),
    (&[Server], &["pid", "pidfile", "pid_file", "daemon", "daemonize", "master_process"], Said("leave it out: it stays in the foreground, and the service manager knows its process")),
    (&[Server, Root, Listener], &["worker_connections", "maxconn", "max_connections", "max_conn", "worker_rlimit_nofile"], Key(ListenerLimits, "connections")),
    (&[Server], &["listen", "bind", "port"], Key(Listener, "bind")),
    (&[Server, Listener], &["server_name", "server_names", "host", "hosts", "hostname", "domain", "domains", "virtual_hosts"], Key(Route, "hosts")),
    (&[Server, Listener], &["location", "locations", "path", "root", "routes"], Key(Route, "path")),
    (&[Server], &["resolver", "dns", "nameservers", "nameserver"], Key(Server, "resolvers")),
    (&[Server], &["drain", "shutdown_timeout", "worker_shutdown_timeout", "hard_stop_after", "grace", "graceful_timeout", "grace_period"], Key(Server, "drain_timeout")),
    (&[Server], &["stats", "stats_socket", "metrics", "prometheus", "admin_address", "stub_status"], Key(Server, "admin")),
    (&[Server], &["proxy_cache_path", "cache_path", "cache_dir"], Key(CacheDisk, "folder")),
    (&[Server], &["ssl_certificate", "certificates"], Key(Tls, "certificates")),
    (&[CacheStore], &["size", "max_size", "memory_size"], Key(CacheStore, "memory")),
    (&[CacheStore, CacheDisk, Buffers], &["path", "dir", "directory", "location"], Said("write \"folder\", in \"buffers\" or in \"cache\" in its table \"disk\"")),
    (&[CacheDisk], &["max_size"], Key(CacheDisk, "size")),
    (&[CacheDisk], &["max_files", "inodes"], Key(CacheDisk, "files")),
    // Where clients connect.
    (&[Listener], &["listen", "address", "addresses", "port", "ports", "socket"], Key(Listener, "bind")),
    (&[Listener], &["mode", "type"], Key(Listener, "protocol")),
    (&[Listener], &["default_backend", "use_backend", "backend", "proxy_pass", "upstream", "default_pool", "default_service", "default_server"], Said("a route leads to a pool: [[route]] with pool = \"NAME\"; without hosts and path it takes everything")),
    (&[Listener, Route], &["ssl", "ssl_certificate", "cert", "certificate", "crt", "https", "ssl_certificate_key"], Key(Listener, "tls")),
    (&[Listener], &["accept_proxy", "send_proxy", "proxy"], Key(Listener, "proxy_protocol")),
    (&[Listener], &["keepalive_timeout", "idle_timeout", "keep_alive", "keepalive"], Key(ListenerTimeouts, "idle")),
    (&[Listener], &["client_header_timeout", "header_timeout", "read_timeout"], Key(ListenerTimeouts, "head")),
    (&[Listener], &["client_body_timeout", "body_timeout"], Key(ListenerTimeouts, "body")),
    (&[Listener], &["send_timeout", "write_timeout"], Key(ListenerTimeouts, "write")),
    (&[Listener, Route], &["client_max_body_size", "max_body_size", "max_body", "body_limit", "max_request_body"], Key(ListenerLimits, "body")),
    (&[Listener], &["set_real_ip_from", "real_ip", "trusted", "trusted_ips", "real_ip_header"], Key(Listener, "trusted_proxies")),
    (&[Listener, Route], &["limit_req", "rate_limit", "ratelimit", "rate_limits", "limit", "throttle", "stick_table"], Key(Route, "rate")),
    (&[Listener, Route], &["limit_conn", "max_connections_per_ip"], Key(ListenerLimits, "connections_per_client")),
    (&[Listener, Route], &["allow", "deny", "ip_allow", "ip_deny", "whitelist", "blacklist", "allowlist", "denylist", "ip_whitelist"], Key(Route, "access")),
    (&[Listener, Route], &["acl", "acls", "if", "when", "condition", "conditions"], Said("a route takes requests by its hosts, path, methods, headers, cookies, query and clients; who may come at all is said by access")),
    (&[Listener, Route], &["http3", "quic", "h2", "alpn"], Said("HTTP/1.1 and 1.0 are spoken; others not yet")),
    (&[Listener, Route], &["ssl_redirect", "https_redirect", "force_https", "redirect_scheme", "http_to_https"], Key(Listener, "redirect_https")),
    (&[Listener, Route], &["strict_transport_security"], Key(Listener, "hsts")),
    (&[Listener], &["proxy_responses", "responses"], Key(Listener, "replies")),
    (&[Listener], &["proxy_timeout", "timeout_tunnel"], Key(ListenerTimeouts, "tunnel")),
    (&[ListenerTimeouts], &["client_header_timeout", "http_request", "header", "request", "read", "request_header", "read_header", "handshake"], Key(ListenerTimeouts, "head")),
    (&[ListenerTimeouts], &["http_keep_alive", "keep_alive", "keepalive", "keepalive_timeout"], Key(ListenerTimeouts, "idle")),
    (&[ListenerTimeouts], &["client_body_timeout", "request_body"], Key(ListenerTimeouts, "body")),
    (&[ListenerTimeouts], &["send_timeout", "send", "response"], Key(ListenerTimeouts, "write")),
    (&[ListenerTimeouts], &["client", "timeout"], Said("there is one for each thing that a client may be slow in: head, body, idle, write; of relayed connections: tunnel")),
    (&[ListenerTimeouts], &["proxy_timeout", "websocket", "upgrade"], Key(ListenerTimeouts, "tunnel")),
    (&[ListenerTimeouts], &["connect", "server", "upstream"], Key(Pool, "timeouts")),
    (&[ListenerLimits], &["client_max_body_size", "max_body", "body_size", "max_body_size", "request_body"], Key(ListenerLimits, "body")),
    (&[ListenerLimits], &["maxconn", "max_connections", "conn", "conns", "worker_connections"], Key(ListenerLimits, "connections")),
    (&[ListenerLimits], &["per_ip", "limit_conn", "connections_per_ip", "connections_per_source"], Key(ListenerLimits, "connections_per_client")),
    (&[ListenerLimits], &["header_size", "max_header", "max_header_size", "large_client_header_buffers", "header", "request_head"], Key(ListenerLimits, "head")),
    (&[ListenerLimits], &["rate", "rps", "limit_rate"], Key(Listener, "rate")),
    (&[Tls], &["cert", "crt", "certificate", "ssl_certificate", "chain", "cert_file", "key", "key_file", "certificate_key", "ssl_certificate_key", "pem"], Key(Tls, "certificates")),
    (&[Tls], &["protocols", "ssl_protocols", "min_protocol", "minimum_version", "ssl_min_ver", "versions", "version"], Key(Tls, "min_version")),
    (&[Tls], &["crt_list", "cert_dir", "certs_dir", "directory", "dir", "certs"], Key(Tls, "certificates_dir")),
    (&[Tls], &["ca", "ca_file", "verify", "client_ca", "mtls", "ssl_verify_client", "ssl_client_certificate"], Key(Tls, "client_auth")),
    (&[Tls], &["session_tickets", "ticket_keys", "ssl_session_ticket_key", "ssl_session_tickets"], Key(Tls, "tickets")),
    (&[Tls], &["strict_sni", "sni"], Key(Tls, "unknown_sni")),
    (&[Tls], &["session_cache", "ssl_session_cache", "curves", "ecdh_curve", "dhparam", "prefer_server_ciphers", "ssl_prefer_server_ciphers", "stapling"], Said("leave it out: there is nothing to set")),
    (&[Certificate], &["cert", "crt", "certificate", "cert_file", "fullchain", "file", "pem", "ssl_certificate"], Key(Certificate, "chain")),
    (&[Certificate], &["key_file", "private_key", "certificate_key", "ssl_certificate_key"], Key(Certificate, "key")),
    (&[Certificate], &["names", "hosts", "sni", "server_name", "domains", "host", "domain"], Said("leave it out: the names are those of the certificate")),
    (&[ClientAuth], &["ca_file", "cafile", "chain", "ca_cert", "certificate"], Key(ClientAuth, "ca")),
    (&[ClientAuth], &["verify", "required", "optional"], Key(ClientAuth, "mode")),
    (&[PoolTls], &["ca_file", "cafile", "trusted_certificate", "roots"], Key(PoolTls, "ca")),
    (&[PoolTls], &["sni", "name", "host", "hostname", "proxy_ssl_name", "verifyhost"], Key(PoolTls, "server_name")),
    (&[PoolTls], &["insecure", "skip_verify", "insecure_skip_verify", "verify_peer"], Key(PoolTls, "verify")),
    (&[PoolTls], &["cert", "crt", "certificate", "key", "client_cert"], Key(PoolTls, "client_certificate")),
    // Routes.
    (&[Route], &["server_name", "server_names", "domain", "domains", "hostname", "hostnames", "sni"], Key(Route, "hosts")),
    (&[Route], &["paths", "uri", "url", "prefix", "path_prefix", "path_beg", "match", "pathprefix", "path_regex", "regex"], Key(Route, "path")),
    (&[Route], &["proxy_pass", "backend", "upstream", "cluster", "use_backend", "service", "to", "target", "pass", "forward", "members", "servers", "reverse_proxy", "pools", "default_backend"], Key(Route, "pool")),
    (&[Route], &["listener", "frontend", "entrypoint", "entrypoints"], Key(Route, "listeners")),
    (&[Route], &["root", "alias", "index", "try_files", "static", "files", "autoindex", "file_server"], Said(NO_FILES)),
    (&[Route], &["return", "status", "answer", "http_response", "direct_response", "deny_status", "fixed", "body", "file"], Key(Route, "respond")),
    (&[Route], &["strip_prefix", "stripprefix", "prefix_rewrite", "trim_prefix", "handle_path"], Key(Route, "strip")),
    (&[Route], &["add_prefix", "replace_path", "regex_rewrite", "set_path", "http_request_set_path"], Key(Route, "rewrite")),
    (&[Route], &["websocket", "websockets", "upgrade", "allow_upgrade"], Said("leave it out: upgrades pass; timeouts.tunnel of the route or the listener says how long they may be silent")),
    (&[Route], &["canary", "weighted_clusters", "split_clients", "weights", "traffic_split", "weighted"], Key(Route, "split")),
    (&[Route], &["gzip", "brotli", "zstd", "compression", "encode", "gzip_types", "gzip_min_length"], Key(Route, "compress")),
    (&[Route], &["proxy_cache", "proxy_cache_valid", "caching", "ttl"], Key(Route, "cache")),
    (&[Route], &["auth_basic", "basic_auth", "basicauth", "auth_basic_user_file"], Key(Section::Auth, "basic")),
    (&[Route], &["auth_jwt", "jwt_auth", "jwt_authn"], Key(Section::Auth, "jwt")),
    (&[Route], &["auth_request", "forward_auth", "ext_authz", "forwardauth"], Key(Section::Auth, "request")),
    (&[Route], &["proxy_set_header", "set_headers", "set_header", "request_header", "headers_up", "header_up", "custom_request_headers"], Key(Route, "request_headers")),
    (&[Route, Listener], &["add_header", "response_header", "header_down", "add_headers", "custom_response_headers"], Key(Route, "response_headers")),
    (&[Route], &["proxy_redirect"], Key(Route, "location")),
    (&[Route], &["proxy_cookie_path", "proxy_cookie_domain", "proxy_cookie_flags"], Key(Route, "set_cookie")),
    (&[Route, Listener], &["error_page", "errorfile", "errorpage", "http_errors"], Key(Route, "error_pages")),
    (&[Route], &["proxy_buffering", "response_buffering"], Key(Route, "buffer_response")),
    (&[Route], &["proxy_request_buffering", "request_buffering"], Key(Route, "buffer_request")),
    (&[Route], &["timeout", "proxy_read_timeout", "read_timeout", "response_timeout"], Key(Route, "timeouts")),
    (&[Route], &["proxy_connect_timeout", "connect_timeout"], Key(Pool, "timeouts")),
    (&[RouteTimeouts], &["connect", "server", "upstream"], Key(Pool, "timeouts")),
    (&[RouteTimeouts], &["read", "proxy_read"], Key(RouteTimeouts, "response")),
    (&[Route], &["proxy_next_upstream", "retries", "retry", "retry_on", "retry_policy"], Key(Pool, "retry")),
    (&[Route], &["method"], Key(Route, "methods")),
    (&[Route], &["header"], Key(Route, "headers")),
    (&[Route], &["cookie"], Key(Route, "cookies")),
    (&[Route], &["src", "source", "client_ip", "client", "ip", "remote_addr", "source_ip", "from"], Key(Route, "clients")),
    (&[Route], &["priority", "order", "precedence", "default"], Said("leave it out: the more exact host and path come first, then the order of the file; see docs/routing.md")),
    (&[Route], &["name", "id"], Said("leave it out: routes have no names")),
    (&[Split], &["backend", "upstream", "cluster", "name", "service"], Key(Split, "pool")),
    (&[Split], &["percent", "percentage", "share"], Key(Split, "weight")),
    (&[Redirect], &["url", "location", "target", "uri"], Key(Redirect, "to")),
    (&[Redirect, Respond], &["code", "status_code", "permanent"], Said("write \"status\", as in: status = 302")),
    (&[Respond], &["text", "content", "string", "response"], Key(Respond, "body")),
    (&[Respond], &["type", "mime"], Key(Respond, "content_type")),
    (&[Rewrite], &["from", "regex", "pattern", "path"], Key(Rewrite, "match")),
    (&[Rewrite], &["replacement", "substitution", "replace", "with", "target"], Key(Rewrite, "to")),
    (&[Cache], &["ttl", "valid", "proxy_cache_valid", "default_ttl", "time", "times", "duration", "expires", "age", "inactive"], Key(Cache, "max_age")),
    (&[Cache], &["size", "max_size", "memory", "zone", "path", "proxy_cache_path"], Key(Server, "cache")),
    (&[Cache], &["use_stale", "proxy_cache_use_stale", "stale", "grace", "serve_stale"], Key(Cache, "stale_if_error")),
    (&[Cache], &["background_update", "swr", "proxy_cache_background_update"], Key(Cache, "stale_while_revalidate")),
    (&[Cache], &["lock", "proxy_cache_lock", "lock_timeout", "coalesce"], Key(Cache, "wait")),
    (&[Cache], &["no_cache", "proxy_cache_bypass", "cache_bypass", "except"], Key(Cache, "bypass")),
    (&[Cache], &["max_object_size", "max_body", "max_file_size"], Key(Cache, "max_object")),
    (&[Cache], &["ignore_headers", "proxy_ignore_headers", "force", "override"], Key(Cache, "overrule")),
    (&[Cache], &["cache_key", "proxy_cache_key", "vary"], Key(Cache, "key")),
    (&[Cache], &["methods", "proxy_cache_methods", "min_uses", "revalidate", "enabled"], Said("leave it out: answers to GET (and HEAD from them) are stored, and validated when stale")),
    (&[Compress], &["min_length", "minimum_length", "gzip_min_length", "minimum", "threshold"], Key(Compress, "min_size")),
    (&[Compress], &["level", "comp_level", "gzip_comp_level", "quality"], Said("each coding has its own: gzip_level, br_level, zstd_level")),
    (&[Compress], &["algorithms", "algorithm", "algo", "codings", "formats"], Key(Compress, "encodings")),
    (&[Compress], &["mime_types", "content_types", "gzip_types"], Key(Compress, "types")),
    (RATES, &["requests", "limit", "average", "rps", "events", "interval", "period", "window"], Key(ListenerRate, "rate")),
    (RATES, &["key", "by", "zone", "source", "track"], Key(ListenerRate, "per")),
    (RATES, &["delay", "nodelay"], Key(ListenerRate, "mode")),
    (RATES, &["code", "status_code"], Key(ListenerRate, "status")),
    (RATES, &["headers"], Key(ListenerRate, "fields")),
    (&[AuthJwt], &["secret", "key", "hmac", "shared_secret"], Key(AuthJwt, "secret_file")),
    (&[AuthJwt], &["jwks_url", "jwks_uri", "jwks_file", "key_file", "keys", "public_key", "remote_jwks"], Key(AuthJwt, "jwks")),
    (&[AuthJwt], &["iss", "issuers"], Key(AuthJwt, "issuer")),
    (&[AuthJwt], &["aud", "audiences"], Key(AuthJwt, "audience")),
    (&[AuthJwt], &["alg", "algs"], Key(AuthJwt, "algorithms")),
    (&[AuthJwt], &["header", "cookie", "token", "from_headers", "location"], Key(AuthJwt, "from")),
    (&[AuthJwt], &["skew", "clock_skew"], Key(AuthJwt, "leeway")),
    (&[AuthBasic], &["file", "user_file", "htpasswd", "users_file", "password_file", "auth_basic_user_file"], Key(AuthBasic, "users")),
    (&[Cors], &["allow_origin", "allowed_origins", "origin", "allow_origins"], Key(Cors, "origins")),
    (&[Cors], &["allow_methods", "allowed_methods"], Key(Cors, "methods")),
    (&[Cors], &["allow_headers", "allowed_headers"], Key(Cors, "headers")),
    (FIELDS, &["delete", "del", "unset", "hide"], Said("write remove = [\"NAME\"]")),
    // Pools.
    (&[Pool], &["server", "servers", "hosts", "backends", "endpoints", "targets", "upstreams", "addresses", "address", "nodes", "urls", "lb_endpoints"], Key(Pool, "members")),
    (&[Pool], &["lb_method", "lb_policy", "algorithm", "method", "policy", "lb", "load_balancing", "strategy", "balancing", "least_conn", "ip_hash", "hash"], Key(Pool, "balance")),
    (&[Pool], &["health_check", "healthcheck", "health_checks", "check", "checks", "httpchk", "option", "probe", "active_health_check"], Key(Pool, "health")),
    (&[Pool], &["outlier_detection", "circuit_breaker", "circuit_breakers", "max_fails", "fail_timeout", "passive_health_check", "observe"], Key(Pool, "eject")),
    (&[Pool], &["retries", "proxy_next_upstream", "retry_on", "retry_policy", "redispatch"], Key(Pool, "retry")),
    (&[Pool], &["sticky_cookie", "session", "affinity", "persistence", "cookie", "session_affinity", "stick", "stickiness"], Key(Pool, "sticky")),
    (&[Pool], &["timeout", "proxy_read_timeout", "response_timeout", "read_timeout", "timeout_server"], Key(PoolTimeouts, "response")),
    (&[Pool], &["connect_timeout", "proxy_connect_timeout", "timeout_connect"], Key(PoolTimeouts, "connect")),
    (&[Pool], &["maxconn", "max_conns", "fullconn"], Key(Pool, "max_connections")),
    (&[Pool], &["send_proxy", "send_proxy_v2", "proxy"], Key(Pool, "proxy_protocol")),
    (&[Pool], &["slowstart"], Key(Pool, "slow_start")),
    (&[Pool], &["ssl", "https", "scheme", "proxy_ssl", "proxy_ssl_verify", "verify"], Key(Pool, "tls")),
    (&[Pool], &["keepalive_connections", "pool_size", "pool_max_conn"], Key(Pool, "keepalive")),
    (&[Pool], &["host", "host_header", "path", "headers", "request_headers", "response_headers"], Said("what is done to requests is for routes: host, request_headers, strip, rewrite and so on of [[route]]")),
    (&[Member], &["host", "addr", "server", "url", "target", "ip", "port", "hostname"], Key(Member, "address")),
    (&[Member], &["maxconn", "max_conns"], Key(Member, "max_connections")),
    (&[Member], &["down", "disabled", "enabled", "drain", "disable"], Key(Member, "state")),
    (&[Member], &["check", "inter", "rise", "fall"], Key(Pool, "health")),
    (&[Member], &["max_fails", "fail_timeout"], Key(Pool, "eject")),
    (&[Member], &["send_proxy", "send_proxy_v2"], Key(Pool, "proxy_protocol")),
    (&[Member], &["ssl", "tls", "verify", "sni", "https"], Key(Pool, "tls")),
    (&[Member], &["cookie"], Key(Pool, "sticky")),
    (&[Member], &["resolve", "resolvers", "init_addr"], Said("leave it out: names are always resolved, and again as their records run out")),
    (&[Member], &["slow_start", "slowstart"], Key(Pool, "slow_start")),
    (&[Member], &["name", "id", "label"], Said("leave it out: a member is known by its address")),
    (&[Keepalive], &["connections", "size", "max", "max_idle", "pool_max_conn"], Key(Keepalive, "idle")),
    (&[Keepalive], &["timeout", "keepalive_timeout", "pool_purge_delay"], Key(Keepalive, "idle_timeout")),
    (&[Keepalive], &["requests", "keepalive_requests"], Key(Keepalive, "max_requests")),
    (&[Keepalive], &["time", "keepalive_time", "max_time"], Key(Keepalive, "max_age")),
    (&[PoolTimeouts], &["server", "read", "proxy_read", "proxy_read_timeout", "timeout", "first_byte", "idle", "send", "write", "proxy_send_timeout"], Key(PoolTimeouts, "response")),
    (&[PoolTimeouts], &["connection", "dial", "proxy_connect_timeout", "tls"], Key(PoolTimeouts, "connect")),
    (&[PoolTimeouts], &["queue"], Key(Queue, "timeout")),
    (&[PoolTimeouts], &["tunnel", "client"], Key(Listener, "timeouts")),
    (&[PoolTimeouts], &["check"], Key(Health, "timeout")),
    (&[Health], &["uri", "url", "endpoint", "request", "http"], Key(Health, "path")),
    (&[Health], &["expect", "expected_status", "expect_status", "match", "statuses", "expected_statuses", "code", "codes"], Key(Health, "status")),
    (&[Health], &["inter", "every", "period", "frequency"], Key(Health, "interval")),
    (&[Health], &["passes", "healthy_threshold", "healthy", "success"], Key(Health, "rise")),
    (&[Health], &["fails", "unhealthy_threshold", "unhealthy", "max_fails", "failures"], Key(Health, "fall")),
    (&[Health], &["mandatory", "initial", "initial_state"], Key(Health, "start")),
    (&[Health], &["expect_body", "string", "rstring"], Key(Health, "body")),
    (&[Health], &["tcp", "protocol", "mode"], Key(Health, "type")),
    (&[Eject], &["max_fails", "consecutive_5xx", "errors", "error_limit", "threshold"], Key(Eject, "failures")),
    (&[Eject], &["fail_timeout", "base_ejection_time", "duration", "time", "ban"], Key(Eject, "for")),
    (&[Eject], &["interval"], Key(Eject, "window")),
    (&[Eject], &["max_ejection_percent", "max_percent"], Key(Eject, "max_share")),
    (&[Retry], &["tries", "retries", "max", "max_retries", "num_retries", "count"], Key(Retry, "attempts")),
    (&[Retry], &["conditions", "retry_on", "statuses"], Key(Retry, "on")),
    (&[Retry], &["timeout", "per_try_timeout"], Key(Retry, "try_timeout")),
    (&[Sticky], &["name", "cookie_name"], Key(Sticky, "cookie")),
    (&[Sticky], &["ttl", "expires", "expire", "timeout", "maxlife", "maxidle"], Key(Sticky, "max_age")),
    (&[Sticky], &["secret", "secret_key"], Key(Sticky, "key_file")),
    (&[Sticky], &["samesite"], Key(Sticky, "same_site")),
    (&[Sticky], &["httponly", "http_only", "domain"], Said("leave it out: the cookie is always for this host alone, and no script may read it")),
    (&[Balance], &["key", "on", "by", "header", "cookie", "uri"], Key(Balance, "hash")),
    (&[Queue], &["size", "max", "max_queue", "max_pending"], Key(Queue, "length")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_foreign_and_what_it_means_is_a_key() {
        for (sections, words, meaning) in TABLE {
            for (section, word) in sections.iter().flat_map(|s| words.iter().map(move |w| (s, w))) {
                assert!(section.key(word).is_none(), "{word} is a key of {}", section.header());
                assert_eq!(super::meaning(*section, word), Some(*meaning), "{word} stands twice");
            }
            if let Key(section, key) = meaning {
                assert!(section.key(key).is_some(), "{key} is no key of {}", section.header());
            }
        }
    }

    #[test]
    fn words_in_another_spelling() {
        assert_eq!(meaning(Member, "send-proxy-v2"), Some(Key(Pool, "proxy_protocol")));
        assert_eq!(meaning(Root, "Upstream"), Some(Key(Root, "pool")));
        assert_eq!(meaning(Root, "nonsense"), None);
        assert_eq!(choice("balance", "Least_Conn"), Some("write \"least-connections\""));
        assert_eq!(choice("balance", "nonsense"), None);
    }
}
