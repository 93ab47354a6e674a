//! `docs/rfcs.md` and the tests say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::lab::repository;

/// Names of tests that begin with an RFC.
fn tests(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("fn ")?.split('(').next());
        found.extend(names.filter(|name| name.starts_with("rfc")).map(str::to_owned));
    }
}

/// The RFC in a test's name, `rfc1035_4_1_1_...`.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("rfc")?.split_once('_')?.0.parse().ok()
}

#[test]
fn every_rfc_has_its_row_and_every_row_its_tests() {
    let mut found = BTreeSet::new();
    tests(&repository().join("tests/it"), &mut found);
    tests(&repository().join("src"), &mut found);
    let table = fs::read_to_string(repository().join("docs/rfcs.md")).unwrap();
    let rows: Vec<(u32, &str)> = table
        .lines()
        .filter_map(|line| Some((line.strip_prefix("| ")?.split(' ').next()?.parse().ok()?, line)))
        .collect();
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "rows are sorted by number");
    for (_, row) in &rows {
        for pattern in row.split('`').filter(|text| text.starts_with("rfc")) {
            let stem = pattern.trim_end_matches('*');
            assert!(found.iter().any(|name| name.starts_with(stem)), "{pattern}: there is no such test");
        }
    }
    for (name, number) in found.iter().filter_map(|name| Some((name, number(name)?))) {
        assert!(rows.iter().any(|(rfc, _)| *rfc == number), "{name}: the RFC has no row");
    }
}
