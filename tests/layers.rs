//! The house keeps its layers: edges use the model, the model uses the data plane, never back.
//!
//! Reads the `crate::` paths of every source file, so that a dependency in the wrong direction is
//! seen in review and not years later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms, from those that everything may use to those that nothing may.
const LAYERS: &[(&str, &[&str])] = &[
    ("words that all speak", &["limits", "cores", "threads", "memory", "prefetch", "diagnostic"]),
    ("data plane", &["wire", "geo", "snapshot", "answer", "serve"]),
    ("model", &["zone", "health", "route", "dnssec", "model", "compile"]),
    (
        "edges",
        &[
            "probe",
            "resolve",
            "config",
            "load",
            "state",
            "keys",
            "publish",
            "watch",
            "notify",
            "querylog",
            "metrics",
            "admin",
            "encrypted",
            "bundles",
            "http",
            "daemon",
            "demo",
            "cli",
        ],
    ),
];

/// Inside a layer too: what queries run through knows nothing of sockets.
const WITHIN: &[(&str, &[&str])] = &[
    ("wire", &["limits", "wire"]),
    ("geo", &["limits", "prefetch", "diagnostic", "wire", "geo"]),
    ("snapshot", &["limits", "cores", "prefetch", "wire", "geo", "snapshot"]),
    ("answer", &["limits", "wire", "geo", "snapshot", "answer"]),
];

fn layer_of(room: &str) -> usize {
    LAYERS.iter().position(|(_, rooms)| rooms.contains(&room)).unwrap_or_else(|| {
        panic!("src/{room} has no layer: add it to LAYERS here, and to the map in src/lib.rs")
    })
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The rooms that a file names, tests aside: these may look anywhere.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|after| after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>())
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&source) {
        let inside = path.strip_prefix(&source).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if room == "lib" || room == "main" || inside.to_str().unwrap().ends_with("tests.rs") {
            continue;
        }
        for used in rooms_used(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            let within = WITHIN.iter().find(|(name, _)| *name == room);
            let allowed = match within {
                Some((_, allowed)) => allowed.contains(&used.as_str()),
                None => layer_of(&used) <= layer_of(&room),
            };
            if !allowed {
                wrong.push(format!("{}: {room} may not use {used}", inside.display()));
            }
        }
    }
    assert!(seen > 100, "the reader of `crate::` paths found only {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_has_few_addresses() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut allowed: Vec<String> = sources(&source)
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("allow(unsafe_code"))
        .map(|path| path.strip_prefix(&source).unwrap().display().to_string())
        .collect();
    allowed.sort();
    assert_eq!(allowed, ["memory.rs", "prefetch.rs", "serve/udp/sys.rs"]);
}
