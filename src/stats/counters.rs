//! The one list of counters: name, whether it only grows, and what it means.

macro_rules! counters {
    ($($variant:ident, $name:literal, $prose:literal;)*) => {
        /// Something a worker counts. The order is the order of a report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $(#[doc = $prose] $variant,)* }

        impl Counter {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence on what it counts.
            #[must_use]
            pub const fn prose(self) -> &'static str {
                match self { $(Self::$variant => $prose,)* }
            }
        }
    };
}

counters! {
    Accepts, "accepts", "Client connections accepted.";
    ConnectionsActive, "connections_active", "Client connections open now (a gauge).";
    ConnectionsMoved, "connections_moved", "Client connections given to another worker, which had fewer of them or less to do.";
    ConnectionsRefused, "connections_refused", "Client connections closed at once because the listener's `limits.connections` was reached.";
    TlsHandshakes, "tls_handshakes", "TLS handshakes with clients that succeeded, resumed ones included.";
    TlsResumed, "tls_resumed", "Of these, those resumed by a ticket.";
    HttpsRedirects, "https_redirects", "Requests sent on to https by `redirect_https`.";
    CorsPreflights, "cors_preflights", "Questions of browsers, whether scripts of other origins may ask, that were answered by `cors`.";
    Redirects, "redirects", "Requests sent on by a `redirect` of their route.";
    FixedAnswers, "fixed_answers", "Requests answered by a `respond` of their route.";
    ErrorPages, "pages_sent", "Answers whose body was a page of `error_pages`.";
    AcceptPauses, "accept_pauses", "Times that accepting paused because the process had no descriptors or memory left.";
    Exchanges, "exchanges", "Requests whose head was read whole, whatever became of them.";
    RequestsDelayed, "requests_delayed", "Requests that waited until they were due by a `rate` with the mode `delay`.";
    DryRunRefusals, "dry_run_refusals", "Requests and connections that a rule with `dry_run` would have refused.";
    BytesIn, "bytes_in", "Bytes received from clients.";
    BytesOut, "bytes_out", "Bytes sent to clients.";
    AuthPassed, "auth_passed", "Requests that `auth` of their route let pass.";
    AuthRemembered, "auth_remembered", "Credentials whose verdict was remembered.";
    AuthRequests, "auth_requests", "Requests to the services of `auth.request`, retries not counted.";
    AuthRedirects, "auth_redirects", "Requests that the service of `auth.request` sent elsewhere.";
    AuthPasswords, "auth_passwords", "Passwords given to be verified.";
    AuthTokens, "auth_tokens", "Tokens verified.";
    AccessReloads, "access_reloads", "Lists of addresses of `access` taken because their files changed (control).";
    AccessReloadsRefused, "access_reloads_refused", "Changed files of addresses that were not taken because they are not good (control).";
    AuthReloads, "auth_reloads", "Files of users, keys and secrets of `auth` taken because they changed (control).";
    AuthReloadsRefused, "auth_reloads_refused", "Changed files of `auth` that were not taken because they are not good (control).";
    JwksFetches, "jwks_fetches", "Sets of keys fetched for `auth.jwt` (control).";
    JwksFetchesFailed, "jwks_fetches_failed", "Sets of keys for `auth.jwt` that could not be fetched, or are not good: the keys that were known stay in use (control).";
    Mirrored, "mirrored", "Copies of requests that the pool of `mirror` answered.";
    MirrorFailed, "mirror_failed", "Copies of requests that failed.";
    MirrorDropped, "mirror_dropped", "Requests that were not copied because too many copies were under way.";
    MirrorTooLarge, "mirror_too_large", "Requests that were not copied because their body is larger than `mirror.body`, or did not come to its end.";
    MirrorsActive, "mirrors_active", "Copies of requests under way now (a gauge).";
    UpstreamOpens, "upstream_opens", "Connections to members established.";
    UpstreamReuses, "upstream_reuses", "Leases served by an idle kept-alive connection.";
    UpstreamStale, "upstream_stale", "Kept-alive connections found closed by the member before or at their reuse.";
    UpstreamExcess, "upstream_excess", "Connections to members closed because more came than belongs to the answer: its `Content-Length` is too small, or a body where there is none (to `HEAD`, with 204 or 304).";
    UpstreamRetired, "upstream_retired", "Connections to members closed because they reached `keepalive.max_age` or `keepalive.max_requests`.";
    UpstreamRetries, "upstream_retries", "Requests sent again on a fresh connection because a kept-alive one turned out closed.";
    UpstreamFailovers, "upstream_failovers", "Requests that went on to another member, or once more to be queued for one, after an attempt failed.";
    Retries, "retries", "Requests that were granted another attempt after a member failed.";
    RetryNotIdempotent, "retry_not_idempotent", "Retries refused because the request is not idempotent and the member may have seen the request.";
    RetryBodyGone, "retry_body_gone", "Retries refused because more of the request body was sent than `retry.body` keeps.";
    RetryAttempts, "retry_attempts", "Retries refused because `retry.attempts` were used up.";
    RetryDeadline, "retry_deadline", "Retries refused because the request was older than `retry.deadline`.";
    RetryBudget, "retry_budget", "Retries refused because the pool's `retry.budget` was spent.";
    UpstreamIdle, "upstream_idle", "Idle kept-alive connections to members now (a gauge).";
    UpstreamActive, "upstream_active", "Leases held now: exchanges that occupy a member (a gauge).";
    Queued, "queued", "Requests that had to wait because every member that could serve them, or the pool, was at its `max_connections`, or others waited already.";
    QueueWaiting, "queue_waiting", "Requests that wait for a member now (a gauge).";
    SplitFallbacks, "split_fallbacks", "Requests that went to another pool of their `split`, as theirs had no member that may serve.";
    CacheHits, "cache_hits", "Requests answered from the cache with a fresh answer.";
    CacheStale, "cache_stale", "Requests answered from the cache with a stale answer: while another one was fetched, because none could be had, or because the client took it.";
    CacheRevalidated, "cache_revalidated", "Requests answered from the cache after a member said that the answer is still good (304).";
    CacheMisses, "cache_misses", "Requests on routes that cache which were answered by a member, or by what another request had just asked it for.";
    CachePast, "cache_past", "Requests on routes that cache which went past the cache: by their method, by their own wish or by `bypass`.";
    CacheCollapsed, "cache_collapsed", "Times that a request waited for what another request had asked for already.";
    CacheRefreshes, "cache_refreshes", "Fetches in the background for answers that served while they were stale.";
    CacheStored, "cache_stored", "Answers that were stored.";
    CacheInvalidated, "cache_invalidated", "Stored answers given up because a request changed what they are of.";
    CacheEvicted, "cache_evicted", "Keys of the cache that made room for others, with all their answers.";
    CacheKeys, "cache_keys", "Keys that the cache knows now (a gauge).";
    CacheBytes, "cache_bytes", "Bytes of memory that stored answers take now (a gauge).";
    CacheEncodings, "cache_encodings", "Encoded forms of stored answers that were made, to be kept beside them.";
    CacheEncodingBytes, "cache_encoding_bytes", "Bytes of these forms when they were made.";
    CacheEncodedHits, "cache_encoded_hits", "Answers whose body was the encoded form kept in the cache: nothing was encoded for them.";
    CacheDiskHits, "cache_disk_hits", "Requests answered from a file of the cache; they count among `cache_hits` and `cache_stale`, too.";
    CacheDiskWrites, "cache_disk_writes", "Answers written to files.";
    CacheDiskEvicted, "cache_disk_evicted", "Files that made room for others.";
    CacheDiskDamaged, "cache_disk_damaged", "Files found damaged, and thrown away.";
    CacheDiskErrors, "cache_disk_errors", "Times that the file system refused to read or write a file of the cache.";
    CacheDiskBusy, "cache_disk_busy", "Answers not read from or written to files because too many reads or writes were under way.";
    CacheDiskFiles, "cache_disk_files", "Files of the cache now (a gauge).";
    CacheDiskBytes, "cache_disk_bytes", "Bytes that they have (a gauge).";
    CachePurged, "cache_purged", "Stored answers purged by an operator (control).";
    CompressGzip, "compress_gzip", "Answers encoded with gzip.";
    CompressGzipIn, "compress_gzip_in", "Bytes of their bodies as members sent them.";
    CompressGzipOut, "compress_gzip_out", "Bytes of their bodies as clients got them.";
    CompressBr, "compress_br", "Answers encoded with br.";
    CompressBrIn, "compress_br_in", "Bytes of their bodies as members sent them.";
    CompressBrOut, "compress_br_out", "Bytes of their bodies as clients got them.";
    CompressZstd, "compress_zstd", "Answers encoded with zstd.";
    CompressZstdIn, "compress_zstd_in", "Bytes of their bodies as members sent them.";
    CompressZstdOut, "compress_zstd_out", "Bytes of their bodies as clients got them.";
    CompressActive, "compress_active", "Answers that are being encoded now (a gauge).";
    CompressStatus, "compress_status", "Answers on a route with `compress` left as they are because of their status, or because they have no body.";
    CompressRange, "compress_range", "Answers left as they are because they are a part of a body, or a part was asked for.";
    CompressEncoded, "compress_encoded", "Answers left as they are because the member had encoded them.";
    CompressNoTransform, "compress_no_transform", "Answers left as they are because the member or the client said `no-transform`.";
    CompressType, "compress_type", "Answers left as they are because of their `Content-Type`.";
    CompressSmall, "compress_small", "Answers left as they are because they are smaller than `min_size`.";
    CompressUnaccepted, "compress_unaccepted", "Answers left as they are because their client accepts no encoding of the route.";
    CompressUseless, "compress_useless", "Stored answers left as they are because encoding makes them no smaller.";
    CompressBusy, "compress_busy", "Answers left as they are because the worker encoded `limits.encoders` already.";
    Tunnels, "tunnels", "Connections upgraded (WebSocket and others).";
    Relays, "relays", "Connections relayed to a member byte by byte (`tcp`, TLS that passes through).";
    Flows, "flows", "Flows of datagrams begun (`udp`).";
    FlowsActive, "flows_active", "Flows of datagrams now (a gauge).";
    DatagramsIn, "datagrams_in", "Datagrams passed on from clients to members.";
    DatagramsOut, "datagrams_out", "Datagrams passed on from members to clients.";
    DatagramsNoFlow, "datagrams_no_flow", "Datagrams of clients dropped because there were `limits.sessions` flows already, or ringway drains.";
    DatagramsNoMember, "datagrams_no_member", "Datagrams of clients dropped because no member could take their flow.";
    DatagramsUnsent, "datagrams_unsent", "Datagrams either way dropped because the kernel had no room for them or refused them.";
    Probes, "probes", "Probes of members that had a result (control).";
    ProbesFailed, "probes_failed", "Probes that failed (control).";
    ProbesSkipped, "probes_skipped", "Probes that this host could not make, for want of descriptors, memory or ports (control).";
    ProbeEjections, "probe_ejections", "Times that failed probes took a member out (control).";
    Ejections, "ejections", "Times that failed requests took a member out, repeated ejections after a trial included (control).";
    EjectionsSpared, "ejections_spared", "Failures that would have ejected a member, had `max_share` allowed it or another member been in (control).";
    MembersOut, "members_out", "Members that are not in now: out, on trial or draining; a place without an address is none (a gauge; control).";
    Resolutions, "resolutions", "Answers to the names of members (control).";
    ResolutionsFailed, "resolutions_failed", "Names of members that could not be resolved, each attempt counted: they keep the addresses that they have (control).";
    NamesFailing, "names_failing", "Names of members whose last resolution failed (a gauge; control).";
    AddressesAdded, "addresses_added", "Addresses that became members because a name had them (control).";
    AddressesRemoved, "addresses_removed", "Addresses that are no members any more because their name had them no more (control).";
    ObservationsDropped, "observations_dropped", "Failures of members that the health monitor did not hear of because its queue was full (control).";
    TlsReloads, "tls_reloads", "Certificates, authorities and files of ticket keys taken, or given up, because their files changed (control).";
    TlsReloadsRefused, "tls_reloads_refused", "Changed files of certificates, authorities and ticket keys that were not taken because they are not good (control).";
    AccessLogDropped, "access_log_dropped", "Access log lines dropped because the writer's queue was full.";
    AccessLogFailed, "access_log_failed", "Access log lines lost because the file could not be written: no space left, say (control).";
    RequestsBuffered, "requests_buffered", "Requests whose body was taken in whole before a member was chosen.";
    RequestsOver, "requests_over_buffer", "Requests on routes with `buffer_request` whose body found no room: it went on as it came, or was refused.";
    AnswersBuffered, "answers_buffered", "Answers that were taken in to their end, at the speed of their member.";
    AnswersOver, "answers_over_buffer", "Answers on routes with `buffer_response` that found no room: their member waited for their client.";
    BuffersFull, "buffers_full", "Of both, those for which the bounds of the process left no room.";
    BodiesSpilled, "bodies_spilled", "Bodies of which some went to disk.";
    SpillFailures, "spill_failures", "Bodies on disk that could not be written or read.";
    BufferMemory, "buffer_memory", "Bytes of memory that bodies take now which are taken in (a gauge).";
    BufferDisk, "buffer_disk", "Bytes of disk that they take now (a gauge).";
    FileJobs, "file_jobs", "Operations on files that workers handed over to the threads for them.";
    FileJobsRefused, "file_jobs_refused", "Operations on files that were not begun because too many of the worker waited.";
    FileJobsLate, "file_jobs_late", "Operations on files that were given up because they were not done in time: a disk that does not answer.";
    FileJobsWaiting, "file_jobs_waiting", "Operations on files that wait or are under way now (a gauge).";
    Panics, "panics", "Connections ended by a bug in ringway; please report them.";
    Completions, "completions", "Operations on sockets that the worker has done (receives, sends, connects, waits).";
    Wakes, "wakes", "Times that the worker's loop slept and was woken (voluntary context switches).";
}

impl Counter {
    /// Whether it rises and falls; all others only grow.
    #[must_use]
    pub fn is_gauge(self) -> bool {
        self.prose().contains("(a gauge")
    }

    /// Whether the control thread counts it, and no worker.
    #[must_use]
    pub fn is_of_control(self) -> bool {
        self.prose().ends_with("control).")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_snake_case() {
        let mut names: Vec<_> = Counter::ALL.iter().map(|c| c.name()).collect();
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::COUNT);
        assert!(Counter::ALL.iter().all(|c| c.prose().ends_with('.')));
    }

    #[test]
    fn the_prose_says_what_kind_it_is() {
        let gauges: Vec<_> =
            Counter::ALL.iter().filter(|c| c.is_gauge()).map(|c| c.name()).collect();
        let expected = [
            "connections_active",
            "mirrors_active",
            "upstream_idle",
            "upstream_active",
            "queue_waiting",
            "cache_keys",
            "cache_bytes",
            "cache_disk_files",
            "cache_disk_bytes",
            "compress_active",
            "flows_active",
            "members_out",
            "names_failing",
            "buffer_memory",
            "buffer_disk",
            "file_jobs_waiting",
        ];
        assert_eq!(gauges, expected);
        assert!(Counter::Probes.is_of_control() && Counter::MembersOut.is_of_control());
        assert!(!Counter::Accepts.is_of_control() && !Counter::UpstreamIdle.is_of_control());
    }
}
