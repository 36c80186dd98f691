//! A line of the access log.

use std::io::Write;

use crate::config::Config;
use crate::net::Address;
use crate::proxy::access_log::{Record, Text};

/// The "combined" form of Apache and nginx, then ringway's own columns:
/// `CLIENT - - [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT" host="H" listener=L pool=P member=M
/// reason=R us=N`, on routes that cache ` cache=WORD`, and for clients that speak TLS ` tls=VERSION`. What is not known is `-`. A line of a
/// relayed connection has ` in=N` before `us`: the bytes of its client. Where the request was sent
/// more than once, or a retry was refused, ` tries=N` and ` no_retry=R` follow; where a rule that is run
/// dry would have refused it, ` dry_run=R`; where ringway encoded the body, ` enc=C plain=N`: how, and
/// its bytes before; where the listener names requests ` id=ID`, and where it looks at traces
/// ` trace=ID`.
pub(super) fn common(out: &mut Vec<u8>, record: &Record, config: &Config) {
    // Writing to a vector cannot fail.
    _ = write!(out, "{} - - [", record.client);
    clf_time(out, record.at.as_secs());
    out.extend_from_slice(b"] \"");
    if record.text(Text::Method).is_empty() {
        out.push(b'-');
    } else {
        escape(out, record.text(Text::Method), Quoting::Common);
        out.push(b' ');
        target(out, record, Quoting::Common);
        out.extend_from_slice(version(record));
    }
    _ = write!(out, "\" {} {} \"", record.status, record.sent);
    text_or_dash(out, record.text(Text::Referer));
    out.extend_from_slice(b"\" \"");
    text_or_dash(out, record.text(Text::UserAgent));
    out.extend_from_slice(b"\" host=\"");
    text_or_dash(out, record.text(Text::Host));
    let names = Names::of(record, config);
    _ = write!(out, "\" listener={} pool={} member=", names.listener, names.pool);
    match &record.member {
        Some(Address::Ip(member)) => _ = write!(out, "{member}"),
        // A path may have spaces in it, which end a column.
        Some(member) => {
            let text = member.to_string().replace(' ', "%20");
            escape(out, text.as_bytes(), Quoting::Common);
        }
        None => out.push(b'-'),
    }
    match record.reason {
        Some(reason) => _ = write!(out, " reason={}_{}", reason.side().word(), reason.code()),
        None => out.extend_from_slice(b" reason=-"),
    }
    if let Some(received) = record.received {
        _ = write!(out, " in={received}");
    }
    _ = write!(out, " us={}", record.took.as_micros());
    if let Some(word) = record.cache {
        _ = write!(out, " cache={word}");
    }
    if let Some(version) = record.tls {
        _ = write!(out, " tls={version}");
    }
    if record.tries > 1 || record.no_retry.is_some() {
        _ = write!(out, " tries={}", record.tries);
    }
    if let Some(refusal) = record.no_retry {
        _ = write!(out, " no_retry={}", refusal.word());
    }
    if let Some(reason) = record.dry_run {
        _ = write!(out, " dry_run={}_{}", reason.side().word(), reason.code());
    }
    if let Some((coding, plain)) = record.coded {
        _ = write!(out, " enc={} plain={plain}", coding.name());
    }
    for (key, which) in [(" id=", Text::Id), (" trace=", Text::Trace)] {
        if !record.text(which).is_empty() {
            out.extend_from_slice(key.as_bytes());
            escape(out, record.text(which), Quoting::Common);
        }
    }
    out.push(b'\n');
}

/// One JSON object; keys as in `common`, absent where nothing is known.
pub(super) fn json(out: &mut Vec<u8>, record: &Record, config: &Config) {
    let names = Names::of(record, config);
    // Writing to a vector cannot fail.
    _ = write!(out, "{{\"time\":{}.{:06}", record.at.as_secs(), record.at.subsec_micros());
    _ = write!(out, ",\"client\":\"{}\"", record.client);
    if !record.text(Text::Method).is_empty() {
        member_text(out, "method", record.text(Text::Method));
        out.extend_from_slice(b",\"target\":\"");
        target(out, record, Quoting::Json);
        out.extend_from_slice(b"\",\"version\":\"");
        out.extend_from_slice(version(record).trim_ascii_start());
        out.push(b'"');
    }
    match record.received {
        None => _ = write!(out, ",\"status\":{},\"bytes\":{}", record.status, record.sent),
        Some(received) => _ = write!(out, ",\"bytes\":{},\"received\":{received}", record.sent),
    }
    for (key, which) in
        [("host", Text::Host), ("referer", Text::Referer), ("user_agent", Text::UserAgent)]
    {
        if !record.text(which).is_empty() {
            member_text(out, key, record.text(which));
        }
    }
    member_text(out, "listener", names.listener.as_bytes());
    if record.pool.is_some() {
        member_text(out, "pool", names.pool.as_bytes());
    }
    if let Some(member) = &record.member {
        member_text(out, "member", member.to_string().as_bytes());
    }
    if let Some(reason) = record.reason {
        _ = write!(out, ",\"reason\":\"{}_{}\"", reason.side().word(), reason.code());
    }
    _ = write!(out, ",\"us\":{}", record.took.as_micros());
    if let Some(word) = record.cache {
        member_text(out, "cache", word.as_bytes());
    }
    if let Some(version) = record.tls {
        member_text(out, "tls", version.as_bytes());
    }
    if record.tries > 1 || record.no_retry.is_some() {
        _ = write!(out, ",\"tries\":{}", record.tries);
    }
    if let Some(refusal) = record.no_retry {
        member_text(out, "no_retry", refusal.word().as_bytes());
    }
    if let Some(reason) = record.dry_run {
        _ = write!(out, ",\"dry_run\":\"{}_{}\"", reason.side().word(), reason.code());
    }
    if let Some((coding, plain)) = record.coded {
        member_text(out, "encoding", coding.name().as_bytes());
        _ = write!(out, ",\"plain\":{plain}");
    }
    for (key, which) in [("id", Text::Id), ("trace", Text::Trace)] {
        if !record.text(which).is_empty() {
            member_text(out, key, record.text(which));
        }
    }
    out.extend_from_slice(b"}\n");
}

struct Names<'a> {
    listener: &'a str,
    pool: &'a str,
}

impl<'a> Names<'a> {
    fn of(record: &Record, config: &'a Config) -> Self {
        let pool = record.pool.and_then(|id| config.pool(id));
        Self {
            listener: config.listener(record.listener).map_or("-", |l| l.name.as_str()),
            pool: pool.map_or("-", |pool| pool.name.as_str()),
        }
    }
}

const fn version(record: &Record) -> &'static [u8] {
    if record.modern { b" HTTP/1.1" } else { b" HTTP/1.0" }
}

fn target(out: &mut Vec<u8>, record: &Record, quoting: Quoting) {
    escape(out, record.text(Text::Path), quoting);
    if !record.text(Text::Query).is_empty() {
        out.push(b'?');
        escape(out, record.text(Text::Query), quoting);
    }
}

fn text_or_dash(out: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        out.push(b'-');
    } else {
        escape(out, text, Quoting::Common);
    }
}

fn member_text(out: &mut Vec<u8>, key: &str, text: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    escape(out, text, Quoting::Json);
    out.push(b'"');
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// `\xHH` for what would break a line or its quotes.
    Common,
    /// JSON: also bytes that are no UTF-8 become `\u00HH`.
    Json,
}

fn escape(out: &mut Vec<u8>, text: &[u8], quoting: Quoting) {
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' | 0..=0x1f | 0x7f => escape_byte(out, byte, quoting),
                _ => out.push(byte),
            }
        }
        for byte in chunk.invalid() {
            escape_byte(out, *byte, quoting);
        }
    }
}

fn escape_byte(out: &mut Vec<u8>, byte: u8, quoting: Quoting) {
    // Writing to a vector cannot fail.
    match (quoting, byte) {
        (Quoting::Json, b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
        (Quoting::Json, _) => _ = write!(out, "\\u00{byte:02x}"),
        (Quoting::Common, _) => _ = write!(out, "\\x{byte:02X}"),
    }
}

/// `23/Nov/2026:15:04:05 +0000`, from the parts of an HTTP date.
fn clf_time(out: &mut Vec<u8>, secs: u64) {
    let mut date = Vec::with_capacity(32);
    crate::http::date::write(&mut date, secs);
    // "Mon, 23 Nov 2026 15:04:05 GMT"
    let part = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
    for (piece, behind) in
        [(part(5, 7), "/"), (part(8, 11), "/"), (part(12, 16), ":"), (part(17, 25), " +0000")]
    {
        out.extend_from_slice(piece);
        out.extend_from_slice(behind.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_common_form() {
        let mut out = Vec::new();
        clf_time(&mut out, 784_111_777);
        assert_eq!(out, b"06/Nov/1994:08:49:37 +0000");
    }

    #[test]
    fn a_client_cannot_break_a_line_or_its_quotes() {
        for (quoting, text, expected) in [
            (Quoting::Common, &b"a\"b\\c\nd\xff"[..], "a\\x22b\\x5Cc\\x0Ad\\xFF"),
            (Quoting::Json, b"a\"b\\c\nd\xff", "a\\\"b\\\\c\\u000ad\\u00ff"),
            (Quoting::Json, "Grüße".as_bytes(), "Grüße"),
            (Quoting::Common, b"\x7f", "\\x7F"),
        ] {
            let mut out = Vec::new();
            escape(&mut out, text, quoting);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
