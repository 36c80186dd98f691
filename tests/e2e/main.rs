//! End to end: the real binary between byte-level clients and origins, one file per feature.
//!
//! `RINGWAY_TEST_DRIVER=epoll cargo test --test e2e` runs the same on the other driver.
// These are tests: they may panic, block, lock and read the clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod access_log;
mod actions;
mod admin;
mod admin_cli;
mod admin_metrics;
mod admin_places;
mod auth_basic;
mod auth_certificate;
mod auth_jwt;
mod auth_listener;
mod auth_request;
mod balancing;
mod basic;
mod buffer_request;
mod buffer_response;
mod cache;
mod cache_disk;
mod cache_disk_faults;
mod cache_encodings;
mod cache_head;
mod cache_parts;
mod cache_random;
mod cache_stale;
mod cache_waiting;
mod compress;
mod compress_heads;
mod conditions;
mod conformance;
mod cuts;
mod descriptors;
mod early_answer;
mod error_pages;
mod failover;
mod failure;
mod fallback;
mod framing_and_smuggling;
mod golden;
mod hashing;
mod headers;
mod health;
mod https;
mod interim;
mod keepalive;
mod leaving;
mod life;
mod limits;
mod mirror;
mod names;
mod one_port;
mod outliers;
mod passthrough;
mod paths;
mod proxy_protocol;
mod queue;
mod rates;
mod regressions;
mod reloads;
mod replay;
mod response_splitting;
mod retry;
mod rewriting;
mod routing;
mod slow_clients;
mod spread;
mod stale;
mod stats;
mod sticky;
mod streaming;
mod streams;
mod tcp;
mod tls;
mod tls_certificates;
mod tls_ends;
mod tls_members;
mod udp;
mod unix_sockets;
mod upgrade;
