//! What holds for every text, for the fuzz target `config`.

use super::{effective, load};

/// Checks a document: no panic; every finding lies inside the text and is rendered; a
/// configuration that loads is shown as a text that loads to the same.
#[allow(clippy::panic, clippy::missing_panics_doc)]
pub fn document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let report = match load(text, "fuzz") {
        Ok(checked) => {
            let shown = effective(&checked.config);
            match load(&shown, "effective") {
                Ok(again) => {
                    assert_eq!(effective(&again.config), shown);
                    // What the text leaves out would be the same in both.
                    assert_eq!(format!("{:?}", again.config), format!("{:?}", checked.config));
                }
                Err(report) => panic!("{report}\n{shown}"),
            }
            checked.warnings
        }
        Err(report) => {
            assert_ne!(report.errors(), 0);
            report
        }
    };
    for finding in &report.findings {
        let span = finding.span;
        assert!(text.get(span.start..span.end).is_some(), "{finding}: {span:?}");
        assert!(!finding.to_string().is_empty(), "{finding:?}");
    }
    assert!(report.to_string().lines().count() >= 3 * report.findings.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::document;

    const SEEDS: [&str; 3] = [
        include_str!("../../examples/edge.toml"),
        include_str!("../../examples/balanced.toml"),
        include_str!("../../examples/connections.toml"),
    ];

    /// Whether the files at hand load is for `tests/examples.rs`.
    #[test]
    fn every_prefix_and_every_lost_line_of_a_file() {
        for seed in SEEDS {
            for (cut, _) in seed.char_indices() {
                document(&seed.as_bytes()[..cut]);
            }
            let lines: Vec<&str> = seed.lines().collect();
            for lost in 0..lines.len() {
                let rest = [&lines[..lost], &lines[lost + 1..]].concat().join("\n");
                document(rest.as_bytes());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,80}") {
            document(text.as_bytes());
        }

        #[test]
        fn a_file_with_a_range_replaced(
            seed in 0..SEEDS.len(),
            at in any::<prop::sample::Index>(),
            lost in 0usize..12,
            new in "[a-z0-9\"'\\[\\]{}=,.~*/%\\\\\né-]{0,4}",
        ) {
            let seed = SEEDS[seed];
            let at = at.index(seed.len());
            let (Some(head), Some(tail)) = (seed.get(..at), seed.get(at + lost..)) else {
                return Ok(());
            };
            document(format!("{head}{new}{tail}").as_bytes());
        }
    }
}
