//! What `ringway check` says: golden reports of mistakes, the manual, exit codes.
//!
//! `UPDATE_GOLDEN=1` writes the golden files and the manual anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ringway::config::{self, Mistake, Report, load};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares with a golden file, or writes it.
fn golden(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(expected == actual, "{} is stale: UPDATE_GOLDEN=1 renews it\n{actual}", path.display());
}

/// The cases: files with mistakes.
fn cases() -> Vec<(String, PathBuf, String)> {
    let folder = root().join("tests/golden/config_errors");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, path, text)
    };
    paths.into_iter().map(read).collect()
}

fn report(name: &str, text: &str) -> Report {
    load(text, name).map_or_else(|report| report, |checked| checked.warnings)
}

#[test]
fn reports_are_as_agreed() {
    for (name, path, text) in cases() {
        let report = report(&name, &text);
        let summary = format!("{} errors of {}\n", report.errors(), report.findings.len());
        golden(&path.with_extension("out"), &format!("{report}{summary}"));
    }
}

#[test]
fn findings_come_by_position() {
    for (name, _, text) in cases() {
        let report = report(&name, &text);
        assert!(report.findings.is_sorted_by_key(|finding| finding.span.start), "{name}");
    }
}

/// What is written short means what its long form does.
#[test]
fn short_forms_mean_the_long_ones() {
    let minimal = std::fs::read_to_string(root().join("examples/minimal.toml")).unwrap();
    let meant = |keys: &str| {
        let text = minimal.replacen("[[route]]", &format!("[[route]]\n{keys}"), 1);
        let checked = load(&text, "short").unwrap_or_else(|report| panic!("{report}"));
        config::effective(&checked.config)
    };
    let cases = [
        (
            "cache = { max_age = \"10m\" }",
            "cache = { max_age = { 200 = \"10m\", 301 = \"10m\", 308 = \"10m\" } }",
        ),
        ("rate = \"10/s\"", "rate = { rate = \"10/s\" }"),
        (
            "rate = [\"10/s\", { per = \"route\", rate = \"9/m\" }]",
            "rate = [{ rate = \"10/s\" }, { per = \"route\", rate = \"9/m\" }]",
        ),
        (
            "path = \"/x\"\nrespond = 503\n[[route]]",
            "path = \"/x\"\nrespond = { status = 503 }\n[[route]]",
        ),
    ];
    for (short, long) in cases {
        assert_eq!(meant(short), meant(long), "{short}");
    }
}

/// The files of lists of addresses are read with the configuration.
#[test]
fn lists_in_files_are_checked() {
    let folder = std::env::temp_dir().join(format!("ringway-lists-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("ringway.toml");
    let minimal = std::fs::read_to_string(root().join("examples/minimal.toml")).unwrap();
    let text =
        minimal.replacen("[[route]]", "[[route]]\naccess = { deny = [\"file:deny.txt\"] }", 1);
    std::fs::write(&file, text).unwrap();
    let cases = [
        (None, Err("the addresses cannot be read: No such file or directory")),
        (Some("# none\n10.0.0.0/8\n10.0.0.1/8\n"), Err("line 3 of this file is no address block")),
        (Some("# some\n10.0.0.0/8\n"), Ok(())),
    ];
    for (text, expected) in cases {
        text.iter().for_each(|text| std::fs::write(folder.join("deny.txt"), text).unwrap());
        match (config::load_file(&file), expected) {
            (Ok(checked), Ok(())) => {
                let access = checked.config.routes[0].access.as_ref().unwrap();
                assert!(!access.allows(&access.set, "10.9.9.9".parse().unwrap()));
                assert!(access.allows(&access.set, "11.0.0.0".parse().unwrap()));
                // From anywhere the same file is meant.
                let shown = config::effective(&checked.config);
                assert!(shown.contains(&format!("file:{}", folder.join("deny.txt").display())));
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (got, _) => panic!("{got:?}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The file of a key is looked at with the configuration.
#[test]
fn keys_in_files_are_checked() {
    let folder = std::env::temp_dir().join(format!("ringway-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, key) = (folder.join("ringway.toml"), folder.join("sticky.key"));
    let minimal = std::fs::read_to_string(root().join("examples/minimal.toml")).unwrap();
    std::fs::write(&file, format!("{minimal}sticky = {{ key_file = {key:?} }}\n")).unwrap();
    let cases = [
        (None, Some("the key cannot be read: No such file or directory")),
        (Some("0123456789abcdef0123456789abcde\n"), Some("the key has 31 bytes")),
        (Some("0123456789abcdef0123456789abcdef\n"), None),
    ];
    for (text, expected) in cases {
        text.iter().for_each(|text| std::fs::write(&key, text).unwrap());
        match (config::load_file(&file), expected) {
            (Ok(checked), None) => {
                let sticky = checked.config.pools[0].sticky.as_ref().unwrap();
                assert_eq!(sticky.key.secret().unwrap().bytes(), &text.unwrap().as_bytes()[..32]);
                assert!(!format!("{:?}", checked.config).contains("0123456789abcdef"));
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (loaded, _) => panic!("{loaded:?}, not {expected:?}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// It is the same configuration wherever it is kept, and from wherever it is looked at.
#[test]
fn the_effective_configuration_names_files_in_full() {
    let folder = std::env::temp_dir().join(format!("ringway-full-{}", std::process::id()));
    let (below, other) = (folder.join("below"), folder.join("other"));
    [&below, &other].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    std::fs::write(below.join("sticky.key"), [b'k'; 32]).unwrap();
    let minimal = std::fs::read_to_string(root().join("examples/minimal.toml")).unwrap();
    let text =
        format!("{minimal}sticky = {{ key_file = \"sticky.key\" }}\ntls = {{ ca = \"ca.pem\" }}\n");
    std::fs::write(below.join("ringway.toml"), text).unwrap();
    let show = |within: &Path, file: &str| {
        let binary = env!("CARGO_BIN_EXE_ringway");
        let mut command = Command::new(binary);
        let output = command.args(["check", "--effective", file]).current_dir(within).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let authority = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    std::fs::write(below.join("ca.pem"), authority.cert.pem()).unwrap();
    let shown = show(&folder, "below/ringway.toml");
    let full = |name: &str| format!("{:?}", below.join(name));
    assert!(shown.contains(&format!("key_file = {}", full("sticky.key"))), "{shown}");
    assert!(shown.contains(&format!("ca = {}", full("ca.pem"))), "{shown}");
    std::fs::write(other.join("again.toml"), &shown).unwrap();
    assert_eq!(show(&other, "again.toml"), shown);
    assert_eq!(show(&below, "ringway.toml"), shown);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A case that would be a large file.
fn too_many_members() -> String {
    let members: Vec<_> =
        (0..4097).map(|n| format!("\"10.0.{}.{}:80\"", n / 256, n % 256)).collect();
    std::fs::read_to_string(root().join("examples/minimal.toml"))
        .unwrap()
        .replace("members = [", &format!("members = [{}, ", members.join(", ")))
}

/// The first word of what `Debug` shows is the variant.
fn variant(mistake: &Mistake) -> String {
    let shown = format!("{mistake:?}");
    shown.chars().take_while(|c| c.is_ascii_alphanumeric()).collect()
}

#[test]
fn every_kind_of_mistake_has_a_case() {
    let source = std::fs::read_to_string(root().join("src/config/error.rs")).unwrap();
    let body = source.split("pub enum Mistake {").nth(1).unwrap().split("\n}").next().unwrap();
    let variants: BTreeSet<String> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.chars().take_while(|c| c.is_ascii_alphanumeric()).collect())
        .collect();
    let mut cases: Vec<_> = cases().into_iter().map(|(name, _, text)| (name, text)).collect();
    cases.push(("too_many.toml".to_owned(), too_many_members()));
    let reports = cases.into_iter().map(|(name, text)| report(&name, &text));
    let seen: BTreeSet<String> = reports
        .flat_map(|report| report.findings.iter().map(|f| variant(&f.mistake)).collect::<Vec<_>>())
        .collect();
    assert_eq!(seen, variants);
}

#[test]
fn colours_are_for_terminals_only() {
    let report = report("x.toml", "[serve]\n");
    assert!(!report.to_string().contains('\u{1b}'));
    assert!(format!("{report:#}").contains("\u{1b}[1;31merror\u{1b}[0m"));
}

#[test]
fn the_manual_is_that_of_the_table_of_keys() {
    golden(&root().join("docs/configuration.md"), &config::manual::manual());
}

fn ringway(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway")).args(args).current_dir(root()).output().unwrap()
}

#[test]
fn check_says_ok() {
    let output = ringway(&["check", "examples/minimal.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "examples/minimal.toml: ok, 1 listener, 1 route, 1 pool\n");
    assert!(output.stderr.is_empty());
}

#[test]
fn check_shows_the_effective_configuration() {
    let output = ringway(&["check", "--effective", "examples/edge.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    let again = load(&shown, "effective").unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config::effective(&again.config), shown);
}

#[test]
fn check_reports_mistakes_and_counts_them() {
    let file = "tests/golden/config_errors/ten_at_once.toml";
    let output = ringway(&["check", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let expected = format!("{}{file}: 10 errors\n", report(file, &text));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn check_passes_a_file_with_warnings() {
    let output = ringway(&["check", "tests/golden/config_errors/warnings.toml"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("warnings\n"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("warning: no route uses this pool"));
}

#[test]
fn mistakes_of_the_user_exit_with_1() {
    let cases: [(&[&str], &str); 7] = [
        (
            &["check", "/no/such/file"],
            "ringway: cannot read /no/such/file: No such file or directory",
        ),
        (&["run", "--config", "/no/such/file"], "ringway: cannot read /no/such/file: No such"),
        (&["check", "-c", "/no/such/file"], "ringway: cannot read /no/such/file: No such"),
        (&["check", "--config", "a", "b"], "error: the argument '"),
        (&["run", "/no/such/file"], "ringway: cannot read /no/such/file: No such"),
        (&["run", "--driver", "kqueue"], "error: invalid value 'kqueue'"),
        (&["serve"], "error: unrecognized subcommand 'serve'"),
    ];
    for (args, expected) in cases {
        let output = ringway(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.starts_with(expected), "{args:?}: {said}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for (args, expected) in [(["--help"], "Usage: ringway"), (["--version"], "ringway 0.")] {
        let output = ringway(&args);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected));
    }
}
