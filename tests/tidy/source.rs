//! A source file as the rules see it: its lines as written, and the same lines with comments and
//! literals blanked, so that a rule meets only code. Knows no rule.

use std::fs;
use std::path::Path;

/// One file of the tree.
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// The lines as written.
    pub(crate) raw: Vec<String>,
    /// The same lines, with comments, strings and character literals replaced by spaces.
    pub(crate) code: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Self { path: path.to_owned(), raw: lines(text), code: lines(&blanked(text)) }
    }

    /// True if the file is `prefix` itself or lies in the folder `prefix`.
    pub(crate) fn is_in(&self, prefix: &str) -> bool {
        self.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// A finding on line `index` (counted from 0).
    pub(crate) fn at(&self, index: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, index + 1)
    }
}

/// Every `.rs` file below the given folders of `root`, in order of path.
pub(crate) fn tree(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root.join(folder), folder, &mut found);
    }
    found.sort_by(|a: &Source, b: &Source| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, name: &str, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let file = entry.file_name().into_string().expect("file names are UTF-8");
        let path = format!("{name}/{file}");
        if entry.path().is_dir() && file != "target" {
            walk(&entry.path(), &path, found);
        } else if file.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            found.push(Source::new(&path, &text));
        }
    }
}

/// The byte offsets in `line` at which `word` stands alone, not as a part of a longer name.
pub(crate) fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !line[..at].ends_with(in_name) && !line[at + word.len()..].starts_with(in_name)
    })
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    words(line, word).next().is_some()
}

/// `text` with the inside of comments, strings and character literals turned into spaces.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let after_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let length = skipped(&chars[at..], after_name);
        for &c in &chars[at..at + length.max(1)] {
            out.push(if length == 0 || c == '\n' { c } else { ' ' });
        }
        at += length.max(1);
    }
    out
}

/// The length of the comment or literal that `rest` begins with; 0 if it begins with code.
fn skipped(rest: &[char], after_name: bool) -> usize {
    let next = |i: usize| rest.get(i).copied().unwrap_or('\n');
    match (rest[0], next(1)) {
        ('/', '/') => rest.iter().take_while(|&&c| c != '\n').count(),
        ('/', '*') => block_comment(rest),
        ('"', _) => string(rest, 0),
        ('r', '"' | '#') if !after_name => raw_string(rest, 1),
        ('b' | 'c', 'r') if !after_name => raw_string(rest, 2),
        ('b' | 'c', '"') if !after_name => string(rest, 1),
        ('\'', '\\') => 3 + rest.iter().skip(3).take_while(|&&c| c != '\'').count() + 1,
        ('\'', _) if next(2) == '\'' => 3,
        _ => 0,
    }
    .min(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[char], start: usize) -> usize {
    let hashes = rest[start..].iter().take_while(|&&c| c == '#').count();
    if rest.get(start + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = start + hashes + 1;
    while at < rest.len() {
        if rest[at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
        {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

#[test]
fn comments_and_literals_are_blanked() {
    let check = |text: &str, expected: &str| assert_eq!(blanked(text), expected, "{text}");
    check("a // b", "a     ");
    check("a /* b /* c */ d */ e", "a                   e");
    check("f(\"x\\\"y\") z", "f(      ) z");
    check("r#\"a\"b\"# z", "         z");
    check("b\"x\" c\"x\" br\"x\" z", &format!("{}z", " ".repeat(16)));
    check("'a' '\\'' '\\n' '\\u{1}' &'a str", &format!("{}&'a str", " ".repeat(22)));
    check("r#type for\"\"", "r#type for  ");
    check("\"a\nb\"", "  \n  ");
}
