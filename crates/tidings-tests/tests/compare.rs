//! docs/COMPARE.md names tests that exist.

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn every_test_that_the_comparison_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let core = root.join("crates/tidings");
    let page = std::fs::read_to_string(root.join("docs/COMPARE.md")).unwrap();
    let mut sources = BTreeMap::new();
    let mut named = 0;
    // What stands between backticks and looks like "tests/file.rs: name".
    for (file, name) in page.split('`').filter_map(|code| code.split_once(".rs: ")) {
        let base = if file.starts_with("crates/") { &root } else { &core };
        let source = sources
            .entry(file)
            .or_insert_with(|| std::fs::read_to_string(base.join(format!("{file}.rs"))).unwrap());
        assert!(source.contains(&format!("fn {name}(")), "{file}.rs has no {name}");
        named += 1;
    }
    assert!(named > 100, "{named} were found");
    // Every row shows something, or says that it does not.
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    for row in rows {
        let shows = row.contains(".rs: ") || row.contains("| nothing to show |");
        assert!(shows || row.contains("| the compiler |"), "{row}");
    }
}
