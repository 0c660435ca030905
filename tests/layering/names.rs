//! No two types that are in sight of each other share a name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{Imports, Module};

/// Folders in which two types still share a name.
const PENDING: &[&str] = &[];

/// A file that stands in for another one in programs without a feature: its types have the names of the others'.
const STAND_IN: &str = "absent";

/// For each top-level folder, the names that its files define or import, with where they are defined.
fn sights(imports: &Imports) -> BTreeMap<String, BTreeMap<String, BTreeSet<Module>>> {
    let mut sights: BTreeMap<String, BTreeMap<String, BTreeSet<Module>>> = BTreeMap::new();
    for (module, name, home) in imports.types() {
        let Some(folder) = module.first() else { continue };
        if home.last().is_none_or(|file| file != STAND_IN) {
            sights.entry(folder.clone()).or_default().entry(name).or_default().insert(home);
        }
    }
    sights
}

#[test]
fn no_two_types_in_sight_share_a_name() {
    let imports = Imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (folder, names) in sights(&imports) {
        seen += names.len();
        let shared: Vec<_> = names.iter().filter(|(_, homes)| homes.len() > 1).collect();
        if PENDING.contains(&folder.as_str()) {
            assert!(
                !shared.is_empty(),
                "{folder} has no two types of one name any more: take it out of PENDING"
            );
            continue;
        }
        wrong.extend(shared.into_iter().map(|(name, homes)| {
            let homes: Vec<_> = homes.iter().map(|home| home.join("/")).collect();
            format!("{folder}: {name} in {}", homes.join(", "))
        }));
    }
    assert!(seen > 1_000, "only {seen} names found: is the search broken?");
    assert!(wrong.is_empty(), "types that share a name:\n{}", wrong.join("\n"));
}
