//! The keys of `cache`, of a route and of the server, and of `compress`.

use std::time::Duration;

use super::key_table::{KIB, MIB, key};
use super::keys::Key;
use super::keys::Kind::{Choice, Count, Flag, Form, Percent, Size, Switch, Time};
use super::keys::Section::{Cache, CacheDisk, CacheStore, Compress, CompressStored};

const TYPES: &str = "[\"text/*\", \"application/json\", \"application/*+json\", \"application/javascript\", \"application/xml\", \"application/*+xml\", \"application/wasm\", \"application/x-ndjson\", \"application/yaml\", \"image/svg+xml\", \"image/bmp\", \"image/x-icon\", \"font/otf\", \"font/ttf\", \"application/vnd.ms-fontobject\"]";

/// All of them.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key(Cache, "key", Form("a list of `\"scheme\"`, `\"host\"`, `\"path\"`, `\"query\"`, `\"header:NAME\"` and `\"cookie:NAME\"`", "[\"scheme\", \"host\", \"path\", \"query\"]"),
        "What tells answers apart, beside their `Vary`. `host` is with its port, `path` in normal form.", "key = [\"path\", \"query\"]"),
    key(Cache, "max_age", Form("a duration (up to a year), or a table of them by status or class of statuses", "{}"),
        "How long answers are fresh that do not say so themselves. A duration alone is for 200, 301 and 308. A status comes before its class.", "max_age = { 200 = \"10m\", 404 = \"1m\", 5xx = \"5s\" }"),
    key(Cache, "overrule", Flag { default: false },
        "Whether `max_age` also replaces what answers say of their freshness. `no-store`, `private` and `no-cache` hold in any case.", "overrule = false"),
    key(Cache, "max_object", Size { default: Some(8 * MIB), min: KIB, max: 1024 * MIB },
        "Bytes of the largest body that is stored.", "max_object = \"32MiB\""),
    key(Cache, "stale_while_revalidate", Time { default: Duration::ZERO, min: Duration::ZERO },
        "How long after its freshness an answer still serves while another one is fetched in the background, unless it says itself.", "stale_while_revalidate = \"30s\""),
    key(Cache, "stale_if_error", Time { default: Duration::from_secs(60), min: Duration::ZERO },
        "How long after its freshness an answer still serves when the pool has none: no member answers, or with 500, 502, 503 or 504. Unless it says itself.", "stale_if_error = \"1h\""),
    key(Cache, "heuristics", Percent { default: 10 },
        "Where nothing says how long an answer is fresh: this share of the time since its `Last-Modified`, a day at the most. `\"0%\"`: not at all.", "heuristics = \"0%\""),
    key(Cache, "set_cookie", Choice(&["if-shared", "store", "refuse"]),
        "What becomes of answers that set cookies, which the next client would get as well: stored if they say `public` or `s-maxage`, stored as others, or never.", "set_cookie = \"refuse\""),
    key(Cache, "bypass", Form("a list of `\"header:NAME\"`, `\"cookie:NAME\"` and `\"query:NAME\"`", "none"),
        "Requests that have one of these go past the cache: they are not answered from it, and their answers are not stored.", "bypass = [\"cookie:session\"]"),
    key(Cache, "ignore_client_directives", Flag { default: false },
        "Whether `Cache-Control` and `Pragma` of requests count for nothing.", "ignore_client_directives = true"),
    key(Cache, "status_header", Flag { default: false },
        "Whether answers tell in `Cache-Status` (RFC 9211) what the cache did.", "status_header = true"),
    key(Cache, "wait", Time { default: Duration::from_secs(5), min: Duration::ZERO },
        "How long a request waits for the answer that another request has asked for already. Then it asks itself.", "wait = \"1s\""),
    key(CacheStore, "memory", Size { default: Some(256 * MIB), min: MIB, max: 1 << 40 },
        "Bytes of memory that stored answers take at the most, over all workers. What was used once goes before what is used again and again.", "memory = \"1GiB\""),
    key(CacheStore, "disk", Switch { section: CacheDisk, on: false },
        "A second tier in files, for what leaves memory and for what is to be there after a restart.", "disk = { folder = \"/var/cache/ringway\", size = \"20GiB\" }"),
    key(CacheDisk, "folder", Form("a whole path (`/...`)", ""),
        "Where the files are: a folder of this process alone, which others cannot write to. It is made where it is missing.", "folder = \"/var/cache/ringway\""),
    key(CacheDisk, "size", Size { default: Some(1024 * MIB), min: MIB, max: 1 << 44 },
        "Bytes that the files take at the most.", "size = \"20GiB\""),
    key(CacheDisk, "files", Count { default: 100_000, min: 16, max: 10_000_000 },
        "How many files there are at the most. Each takes some hundred bytes of memory, 4 KiB at the most.", "files = 1000000"),
    key(CacheDisk, "max_object", Size { default: Some(64 * MIB), min: 4 * KIB, max: 1024 * MIB },
        "Bytes of the largest body that is written. No answer takes more than a quarter of `size` either.", "max_object = \"256MiB\""),
    key(CacheDisk, "admission", Choice(&["second-use", "always"]),
        "When an answer is written: when it is asked for the second time, so that what is asked for once costs the disk nothing; or as soon as it is stored.", "admission = \"always\""),
    key(CacheDisk, "threads", Count { default: 4, min: 1, max: 64 },
        "Threads that read files. One more writes.", "threads = 8"),

    key(Compress, "encodings", Form("a list of `\"zstd\"`, `\"br\"` and `\"gzip\"`", "[\"zstd\", \"br\", \"gzip\"]"),
        "What clients may get: the one that a client likes best, and of those that it likes alike the first of this list.",
        "encodings = [\"br\", \"gzip\"]"),
    key(Compress, "types", Form("a list of media types such as `\"text/*\"` or `\"application/*+json\"`", TYPES),
        "Answers of which `Content-Type` are encoded; parameters do not count. `\"*/*\"` is all.",
        "types = [\"text/*\", \"application/json\"]"),
    key(Compress, "min_size", Size { default: Some(KIB), min: 0, max: 1 << 30 },
        "Answers of a known length below this go as they are: it would save no packet.", "min_size = \"512B\""),
    key(Compress, "gzip_level", Count { default: 2, min: 2, max: 9 },
        "How hard `gzip` tries. Time doubles from 2 to 4, and again to 7.", "gzip_level = 4"),
    key(Compress, "br_level", Count { default: 4, min: 1, max: 7 },
        "How hard `br` tries. The higher levels that brotli has are for files that are compressed once.", "br_level = 5"),
    key(Compress, "zstd_level", Count { default: 3, min: 1, max: 9 },
        "How hard `zstd` tries.", "zstd_level = 1"),
    key(Compress, "stored", Switch { section: CompressStored, on: true },
        "Encoded forms of answers in the cache: made once, by the first hit that wants them, and kept beside the answer within the memory of the cache. `\"off\"`: every hit is encoded anew.", "stored = \"off\""),
    key(CompressStored, "gzip_level", Count { default: 6, min: 2, max: 9 },
        "How hard `gzip` tries for what is kept.", "gzip_level = 9"),
    key(CompressStored, "br_level", Count { default: 5, min: 1, max: 7 },
        "How hard `br` tries for what is kept: still by the worker, a block of 64 KiB at a time.", "br_level = 7"),
    key(CompressStored, "zstd_level", Count { default: 5, min: 1, max: 9 },
        "How hard `zstd` tries for what is kept.", "zstd_level = 9"),
];
