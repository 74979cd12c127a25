//! docs/COMPARE.md and docs/SECURITY.md name tests that exist.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Asserts that each test that a page names exists; returns how many it names.
///
/// The page names them between backticks, as "tests/file.rs: name".
fn assert_named_tests_exist(page: &str) -> usize {
    let (root, mut sources, mut named) = (root(), BTreeMap::new(), 0);
    for (file, name) in page.split('`').filter_map(|code| code.split_once(".rs: ")) {
        let base =
            if file.starts_with("crates/") { root.clone() } else { root.join("crates/tidings") };
        let source = sources
            .entry(file)
            .or_insert_with(|| read_to_string(base.join(format!("{file}.rs"))).unwrap());
        assert!(is_test(source, name), "{file}.rs has no test {name}");
        named += 1;
    }
    named
}

/// Whether a source has a test of this name: a function with an attribute, or one in the list of a
/// macro.
fn is_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else { return false };
    let before = source[..at].trim_end().lines().rev().map(str::trim_start);
    let mut attributes = before.take_while(|line| line.starts_with("#["));
    attributes.any(|line| line == "#[test]") || source.contains(&format!(" {name},\n"))
}

#[test]
fn every_test_that_the_comparison_names_exists() {
    let page = read_to_string(root().join("docs/COMPARE.md")).unwrap();
    let named = assert_named_tests_exist(&page);
    assert!(named > 100, "{named} were found");
    // Every row shows something, or says that it does not.
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    for row in rows {
        let shows = row.contains(".rs: ") || row.contains("| nothing to show |");
        assert!(shows || row.contains("| the compiler |"), "{row}");
    }
}

#[test]
fn every_promise_of_the_security_page_names_a_test_that_exists() {
    let page = read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let named = assert_named_tests_exist(&page);
    assert!(named > 100, "{named} were found");
    let (mut promises, mut in_table) = (0, false);
    for line in page.lines() {
        match line {
            _ if line.starts_with("| promise |") || line.ends_with("| test |") => in_table = true,
            _ if !line.starts_with('|') => in_table = false,
            _ if line.starts_with("|---") || !in_table => {}
            promise => {
                let tests = promise.trim_end_matches([' ', '|']).rsplit("| ").next().unwrap();
                assert!(tests.contains(".rs: "), "{promise}");
                promises += 1;
            }
        }
    }
    assert!(promises > 40, "{promises} were found");
}
