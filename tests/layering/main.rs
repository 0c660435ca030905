//! The house has eight floors, and imports point downwards only; `circles`: in no folder do files import each other in
//! a circle; `maps`: every folder names its files; `names`: no two types in sight share a name; `words`: names that are gone
//! stay away.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod circles;
mod imports;
mod maps;
mod names;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use self::imports::{Imports, Module};

/// The floor of each top-level module. Modules of one floor may use each other.
const FLOORS: &[(&str, u32)] = &[
    ("ws", 1),
    ("http", 1),
    ("proxy", 1),
    ("config", 1),
    ("limit_hits", 1),
    ("histogram", 1),
    ("rate", 1),
    ("calendar", 1),
    ("system", 1),
    ("rooms", 2),
    ("handshake", 2),
    ("auth", 2),
    ("request", 2),
    ("cluster", 3),
    ("store", 3),
    ("transport", 3),
    ("reactor", 4),
    ("workers", 4),
    ("server", 5),
    ("admin", 6),
    ("chat", 6),
    ("demo", 6),
    ("feed", 6),
    ("signaling", 6),
    ("stomp", 6),
    ("testing", 6),
    ("guide", 6),
    ("metrics", 6),
    ("web", 6),
    ("bench", 7),
    ("cli", 7),
    ("main", 8),
];

/// What floor 6 serves. None imports another: what two of them need stands in `request`, or below `server`.
const APPLICATIONS: &[&str] = &["admin", "chat", "demo", "feed", "signaling", "stomp", "web", "metrics"];

/// Modules that exist for tests and fuzzing only: they may look at everything.
const OUTSIDE: &[&str] = &["lib", "cut", "every_split", "fuzzing", "simulation"];

fn floor(module: &str) -> u32 {
    let found = FLOORS.iter().find(|(name, _)| *name == module);
    found.unwrap_or_else(|| panic!("module `{module}` stands on no floor: add it to FLOORS")).1
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a source names after `crate::`, outside of comments (doc links may point anywhere).
fn imports(source: &str) -> Vec<String> {
    let code =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let after = code.split("crate::").skip(1);
    after
        .flat_map(|rest| {
            let list = match rest.strip_prefix('{') {
                Some(braced) => braced.split('}').next().unwrap_or_default().split(',').collect(),
                None => vec![rest],
            };
            list.into_iter().map(|item| {
                item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
            })
        })
        .filter(|module| !module.is_empty())
        .collect()
}

#[test]
fn imports_point_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut upwards, mut seen) = (Vec::new(), Vec::new(), 0);
    sources(&src, &mut files);
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if OUTSIDE.contains(&module) {
            continue;
        }
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            if OUTSIDE.contains(&import.as_str()) {
                continue;
            }
            seen += 1;
            if floor(&import) > floor(module) {
                upwards.push(format!("{} uses {import}", relative.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} imports found: is the search broken?");
    assert!(upwards.is_empty(), "imports that point upwards:\n{}", upwards.join("\n"));
}

#[test]
fn applications_do_not_import_each_other() {
    let imports = Imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let application =
        |module: &Module| module.first().filter(|first| APPLICATIONS.contains(&first.as_str())).cloned();
    let between = |(from, to): &(Module, Module)| matches!((application(from), application(to)), (Some(a), Some(b)) if a != b);
    let wrong: Vec<_> = imports.pairs().into_iter().filter(between).collect();
    let shown = wrong.iter().map(|(from, to)| format!("{} uses {}", from.join("/"), to.join("/")));
    assert!(wrong.is_empty(), "{}", shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_pure_floors_touch_no_socket_thread_or_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let impure = [
        "std::thread",
        "std::net::Tcp",
        "mio::",
        "crossbeam_channel",
        "std::time::Instant",
        "std::fs",
        "std::env",
    ];
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for module in
        ["ws", "http", "proxy", "handshake", "rooms", "auth", "request", "stomp/codec", "stomp/session"]
    {
        sources(&src.join(module), &mut files);
    }
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        found.extend(
            impure
                .iter()
                .filter(|name| code.contains(*name))
                .map(|name| format!("{}: {name}", file.display())),
        );
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn braces_and_comments_are_understood() {
    let source =
        "use crate::{ws, http::Head};\n// crate::server is not meant\nlet x = crate::rooms::Shard::new();";
    assert_eq!(imports(source), ["ws", "http", "rooms"]);
}
