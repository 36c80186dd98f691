//! The exact bytes that an origin and a client get: `tests/golden/{request,response}_heads`.
//!
//! A case is `NAME.in`, what one side sends, and `NAME.out`, the head the other side gets. Line
//! ends are written out as `\r\n`; a line break in the file means nothing. `{listener}` and
//! `{member}` stand for ports. `{cookie}` stands for a text that names the member. Lines `# listener:`, `# route:`, `# pool:` and
//! `# client:` at the top of a `.in` set the case up. `UPDATE_GOLDEN=1` writes the `.out` files anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::{Client, Origin, Proxy, Setup, ok};

/// One case, read from its file.
struct Case {
    name: String,
    /// The `.out` file.
    expected: PathBuf,
    /// What is sent, with placeholders.
    input: String,
    /// What the client asks in a case about answers.
    client: String,
    listener: String,
    route: String,
    pool: String,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = fs::read_to_string(path).expect("a case");
        let directive = |name: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(str::trim).collect::<Vec<_>>().join("\n")
        };
        Case {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            expected: path.with_extension("out"),
            input: text.lines().filter(|line| !line.starts_with('#')).collect(),
            client: directive("# client:"),
            listener: directive("# listener:"),
            route: directive("# route:"),
            pool: directive("# pool:"),
        }
    }

    fn start(&self, origin: &Origin) -> Proxy {
        Setup::to(&[origin]).listener(&self.listener).route(&self.route).pool(&self.pool).start()
    }

    /// Compares, or rewrites; what differs, if anything.
    fn differs(&self, got: &[u8], ports: &Ports) -> Option<String> {
        let got = ports.hide(&escape(got));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&self.expected, &got).expect("writing a golden file");
            return None;
        }
        let expected = fs::read_to_string(&self.expected).unwrap_or_default();
        (got != expected).then(|| format!("{}: got\n{got}expected\n{expected}", self.name))
    }
}

/// The ports of one run.
struct Ports {
    listener: String,
    member: String,
}

impl Ports {
    fn of(proxy: &Proxy, origin: &Origin) -> Ports {
        let listener = proxy.address().port().to_string();
        Ports { listener, member: origin.address().port().to_string() }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{listener}", &self.listener).replace("{member}", &self.member)
    }

    fn hide(&self, text: &str) -> String {
        // 32 characters that depend on the member's port.
        let text = &match text.split_once("Set-Cookie: ringway=") {
            Some((before, after)) => {
                let (value, after) = after.split_at(32);
                let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                assert!(value.bytes().all(is_base64), "{value}");
                format!("{before}Set-Cookie: ringway={{cookie}}{after}")
            }
            None => text.to_owned(),
        };
        text.replace(&self.listener, "{listener}").replace(&self.member, "{member}")
    }
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let files = fs::read_dir(folder).expect("the golden files").map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "in")).collect();
    files.sort();
    assert!(files.len() > 5, "golden files are missing");
    files.iter().map(|path| Case::read(path)).collect()
}

#[test]
fn origins_get_these_request_heads() {
    let mut differences = Vec::new();
    for case in cases("request_heads") {
        let origin = Origin::saying("ok");
        let proxy = case.start(&origin);
        let ports = Ports::of(&proxy, &origin);
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(unescape(&ports.fill(&case.input)));
        assert_eq!(answer.status(), 200, "{}: {}", case.name, answer.text());
        differences.extend(case.differs(&origin.only_request().head.raw, &ports));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn clients_get_these_answer_heads() {
    let mut differences = Vec::new();
    for case in cases("response_heads") {
        // Known only when the ports are.
        let input = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::clone(&input);
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            let bytes = answer.lock().unwrap().clone();
            conn.send(bytes)
        });
        let proxy = case.start(&origin);
        let ports = Ports::of(&proxy, &origin);
        *input.lock().unwrap() = unescape(&ports.fill(&case.input));
        let mut client = Client::connect(proxy.address());
        client.send(unescape(&case.client));
        let mut heads = Vec::new();
        loop {
            let head = client.head();
            heads.extend_from_slice(&head.raw);
            if head.status() >= 200 {
                break;
            }
        }
        differences.extend(case.differs(&heads, &ports));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Bytes as text on lines: what is not printable is escaped, and LF ends a line.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The bytes of a text that [`escape`] could have made.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars().filter(|&c| c != '\n');
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.push(u8::try_from(c).expect("ASCII"));
            continue;
        }
        match chars.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hex digits"));
            }
            other => panic!("an unknown escape: {other:?}"),
        }
    }
    bytes
}

#[test]
fn escapes_survive_the_way_there_and_back() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(unescape(&escape(&all)), all);
    assert!(escape(&ok("x")).ends_with("\\r\\n\nx"));
}
