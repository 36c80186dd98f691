//! The access log: off unless asked for, one line an exchange, and nothing a client sends breaks it.

use std::collections::BTreeMap;
use std::fs;

use crate::support::proxy::wait_lines;
use crate::support::{Client, Origin, Proxy, Setup, answer_with, eventually, ok};

const FILE: &str = "access_log = \"{directory}/access.log\"";

fn lines_of(proxy: &Proxy, count: usize) -> Vec<String> {
    wait_lines(&proxy.directory().join("access.log"), count)
}

#[test]
fn off_by_default() {
    let origin = Origin::saying("ok");
    let mut proxy = Setup::to(&[&origin]).start();
    Client::connect(proxy.address()).get("/");
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
    assert_eq!(proxy.output.text(), "");
    let names = fs::read_dir(proxy.directory()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["ringway.toml"]);
}

#[test]
fn common_lines_begin_like_everybody_elses() {
    let origin =
        Origin::serving(|_| answer_with("201 Created", &[("Content-Type", "a/b")], b"hello"));
    let proxy = Setup::to(&[&origin]).server(FILE).start();
    let mut client = Client::connect(proxy.address());
    client.ask("POST /a?b=c HTTP/1.1\r\nHost: t\r\nReferer: http://r/\r\nUser-Agent: agent/1\r\nContent-Length: 0\r\n\r\n");
    client.ask("GET /plain HTTP/1.1\r\nHost: t\r\n\r\n");
    let lines = lines_of(&proxy, 2);
    let (start, rest) = lines[0].split_once(" [").expect("a date");
    let (date, rest) = rest.split_once("] ").expect("the end of the date");
    assert_eq!(start, "127.0.0.1 - -");
    // 02/Jan/2006:15:04:05 +0000
    assert_eq!((date.len(), date.matches([':', '/']).count()), (26, 5), "{date}");
    let expected = "\"POST /a?b=c HTTP/1.1\" 201 5 \"http://r/\" \"agent/1\"";
    assert!(rest.starts_with(expected), "{rest}");
    assert!(lines[1].contains("\"GET /plain HTTP/1.1\" 201 5 \"-\" \"-\""), "{}", lines[1]);
}

#[test]
fn lines_may_go_to_the_standard_output() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).server("access_log = \"stdout\"").start();
    Client::connect(proxy.address()).get("/out");
    let seen = proxy.output.wait(0, |line| line.contains("\"GET /out HTTP/1.1\" 200 2 "));
    assert_eq!(seen, Some(0), "{:?}", proxy.output.all());
}

#[test]
fn json_lines_are_json() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).server(FILE).server("access_log_format = \"json\"").start();
    let mut client = Client::connect(proxy.address());
    client.send(b"GET /q\"x HTTP/1.1\r\nHost: t\r\n");
    let answer = client.ask(b"User-Agent: a\"b\\c\td\xe9\xff\r\nReferer: r\r\n\r\n");
    let path_is_legal = answer.status() == 200;
    let mut client = Client::connect(proxy.address());
    client.ask(b"GET /x HTTP/1.1\r\nHost: t\r\nUser-Agent: a\"b\\c\td\xe9\xff\r\n\r\n");
    let lines = lines_of(&proxy, if path_is_legal { 2 } else { 1 });
    let line = lines.iter().find(|line| line.contains("/x")).expect("the line of /x");
    let values = json_object(line);
    let has = |text: &str| values.values().any(|value| value == text);
    assert!(has("GET") && has("/x") && has("200") && has("127.0.0.1"), "{values:?}");
    assert!(values.values().any(|value| value.starts_with("a\"b\\c\td")), "{values:?}");
    for line in &lines {
        json_object(line);
    }
}

#[test]
fn what_a_client_sends_cannot_break_a_common_line() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).server(FILE).start();
    let mut client = Client::connect(proxy.address());
    client.ask(
        b"GET / HTTP/1.1\r\nHost: t\r\nUser-Agent: x\" 200 \"y\\z\tt\xe9\r\nReferer: \"\r\n\r\n",
    );
    let line = lines_of(&proxy, 1).remove(0);
    assert!(!line.contains("x\" 200"), "{line}");
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    assert!(line.contains("x\\\" 200") || line.contains("x\\x22 200"), "{line}");
    assert!(line.contains("y\\\\z") || line.contains("y\\x5Cz") || line.contains("y\\x5cz"));
}

#[test]
fn refused_and_failed_requests_have_lines_too() {
    let origin = Origin::blurting("garbage\r\n\r\n");
    let body = format!(
        "[[route]]\npath = \"/here\"\npool = \"p\"\n[pool.p]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).server(FILE).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/there").status(), 404);
    assert_eq!(client.get("/here").status(), 502);
    let lines = lines_of(&proxy, 2);
    assert!(lines[0].contains("\"GET /there HTTP/1.1\" 404 "), "{lines:?}");
    assert!(lines[0].contains("no_route"), "the reason is one of the columns: {lines:?}");
    assert!(lines[1].contains("\"GET /here HTTP/1.1\" 502 "), "{lines:?}");
    assert!(lines[1].contains("bad_head"), "{lines:?}");
}

/// Behind the columns that every line has, and only where there is something to say.
#[test]
fn lines_tell_of_tries_and_of_what_was_not_tried_again() {
    let bad = || {
        Origin::owning(|mut conn| {
            conn.expect_request()?;
            conn.wire.reset();
            Ok(())
        })
    };
    let put = |length: usize| {
        let body = ".".repeat(length);
        format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n".to_owned();
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n".to_owned();
    let cases = [
        (get.clone(), "", " reason=- us=N tries=2"),
        (get.clone(), "attempts = 1", " reason=- us=N tries=2"),
        (post, "", " reason=member_reset us=N tries=1 no_retry=not_idempotent"),
        (put(9000), "body = \"8KiB\"", " reason=member_reset us=N tries=1 no_retry=body_gone"),
        (
            get.clone(),
            "budget = \"0%\", floor = 0",
            " reason=member_reset us=N tries=1 no_retry=budget",
        ),
        (get, "on = [\"connect\"]", " reason=member_reset us=N"),
    ];
    for format in ["common", "json"] {
        for (request, retry, expected) in &cases {
            let (bad, good) = (bad(), Origin::saying("ok"));
            let proxy = Setup::to(&[&bad, &good])
                .server(FILE)
                .server(format!("access_log_format = \"{format}\""))
                .pool(format!("eject = \"off\"\nretry = {{ {retry} }}"))
                .workers(1)
                .start();
            let mut client = Client::connect(proxy.address());
            client.ask(request);
            // By now it is the turn of the other one, and there is nothing to tell.
            client = Client::connect(proxy.address());
            client.get("/plain");
            let lines = lines_of(&proxy, 2);
            let ends = lines.iter().map(|line| ending(line, format)).collect::<Vec<_>>();
            assert_eq!(ends, [expected, " reason=- us=N"], "{lines:?}");
        }
    }
}

/// What stands from the reason on, as in a common line.
fn ending(line: &str, format: &str) -> String {
    if format == "common" {
        let at = line.find(" reason=").expect("a reason");
        let digits = |word: &&str| !word.starts_with("us=");
        let words: Vec<_> =
            line[at..].split(' ').map(|w| if digits(&w) { w } else { "us=N" }).collect();
        return words.join(" ");
    }
    let values = json_object(line);
    let mut out = format!(" reason={} us=N", values.get("reason").map_or("-", String::as_str));
    for key in ["tries", "no_retry"] {
        if let Some(value) = values.get(key) {
            out.push_str(&format!(" {key}={value}"));
        }
    }
    out
}

#[test]
fn every_exchange_has_one_line() {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let mut proxy = Setup::to(&[&origin]).server(FILE).start();
    let mut client = Client::connect(proxy.address());
    for number in 0..500 {
        client.get(&format!("/{number}"));
    }
    drop(client);
    let dropped = proxy.stats().total("access_log_dropped");
    assert_eq!(dropped, 0);
    // What is still on its way is written before the process ends.
    proxy.signal(libc::SIGTERM);
    assert_eq!(proxy.wait_exit(), Some(0));
    let text = fs::read_to_string(proxy.directory().join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 500);
    for (number, line) in text.lines().enumerate() {
        assert!(line.contains(&format!("\"GET /{number} HTTP/1.1\" 200 ")), "{number}: {line}");
    }
}

/// A disk that is full costs lines, and they are counted; it costs no request.
#[test]
fn lines_that_cannot_be_written_are_counted() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).server("access_log = \"/dev/full\"").start();
    let mut client = Client::connect(proxy.address());
    let long = format!("/{}", "x".repeat(20_000));
    eventually("lines are lost", || {
        assert_eq!(client.get(&long).text(), "ok");
        proxy.stats().total("access_log_failed") > 0
    });
    assert_eq!(proxy.stats().total("access_log_dropped"), 0);
    eventually("the log says why", || {
        proxy.log.all().iter().any(|line| line.contains("cannot write the access log"))
    });
}

#[test]
fn lines_are_appended_to_what_is_there() {
    let origin = Origin::saying("ok");
    let directory = crate::support::proxy::Directory::new();
    let file = directory.path().join("kept.log");
    fs::write(&file, "before\n").unwrap();
    let line = format!("access_log = \"{}\"", file.display());
    for number in 1..3 {
        let mut proxy = Setup::to(&[&origin]).server(&line).start();
        Client::connect(proxy.address()).get("/");
        proxy.signal(libc::SIGTERM);
        assert_eq!(proxy.wait_exit(), Some(0));
        eventually("the line is there", || {
            fs::read_to_string(&file).unwrap().lines().count() == 1 + number
        });
    }
    assert!(fs::read_to_string(&file).unwrap().starts_with("before\n127.0.0.1 "));
}

/// A JSON object without nesting, its values as text; panics on anything else.
fn json_object(line: &str) -> BTreeMap<String, String> {
    let mut rest = line.strip_prefix('{').expect("an object");
    let mut values = BTreeMap::new();
    loop {
        let (key, after) = json_value(rest);
        let (value, after) = json_value(after.strip_prefix(':').expect("a colon"));
        assert!(values.insert(key, value).is_none(), "a key twice: {line}");
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                assert_eq!(after, "}", "the end of {line}");
                return values;
            }
        }
    }
}

/// A string, a number or a word, and what follows it.
fn json_value(text: &str) -> (String, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '}']).expect("the end of a value");
        let (word, rest) = text.split_at(end);
        let known = ["true", "false", "null"].contains(&word) || word.parse::<f64>().is_ok();
        assert!(known, "not a JSON value: {word}");
        return (word.to_owned(), rest);
    };
    let mut value = String::new();
    loop {
        let c = rest.chars().next().expect("the end of a string");
        assert!(c >= ' ', "a bare control character in a string");
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return (value, rest),
            '\\' => {
                let (escaped, after) = json_escape(rest);
                value.push(escaped);
                rest = after;
            }
            _ => value.push(c),
        }
    }
}

fn json_escape(text: &str) -> (char, &str) {
    let c = text.chars().next().expect("an escape");
    let rest = &text[c.len_utf8()..];
    match c {
        '"' | '\\' | '/' => (c, rest),
        'b' => ('\u{8}', rest),
        'f' => ('\u{c}', rest),
        'n' => ('\n', rest),
        'r' => ('\r', rest),
        't' => ('\t', rest),
        'u' => {
            let (digits, rest) = rest.split_at(4);
            let code = u32::from_str_radix(digits, 16).expect("four hex digits");
            (char::from_u32(code).expect("no half of a pair"), rest)
        }
        _ => panic!("an unknown escape: \\{c}"),
    }
}
