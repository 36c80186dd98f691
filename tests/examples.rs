//! Every file of `examples/` loads without a warning.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use ringway::config::{effective, load, load_file};

#[test]
fn every_example_loads_and_its_effective_form_is_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut loaded = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let checked = load_file(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(checked.warnings.to_string(), "", "{}", path.display());
        let shown = effective(&checked.config);
        let again = load(&shown, "effective").unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(effective(&again.config), shown, "{}", path.display());
        loaded += 1;
    }
    assert!(loaded >= 2, "{loaded}");
}
