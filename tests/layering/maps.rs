//! The first words of each folder, in its `mod.rs`, are a map that names every file in it; `docs/architecture.md` names
//! every folder.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, ItemMod};

/// Folders whose map is not whole yet.
const PENDING: &[&str] = &[];

/// After it the maps stand in `docs/architecture.md`.
const MARK: &str = "<!-- maps -->\n";

fn folders(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.join("mod.rs").is_file() {
            folders(&path, found);
            found.push(path);
        }
    }
}

/// The modules that a `mod.rs` declares, without those for tests.
fn declared(source: &str) -> Vec<String> {
    let items = syn::parse_file(source).unwrap().items;
    let modules =
        items.into_iter().filter_map(|item| if let Item::Mod(module) = item { Some(module) } else { None });
    let has_file = |module: &ItemMod| module.content.is_none() && !module.attrs.iter().any(is_cfg_test);
    modules.filter(has_file).map(|module| module.ident.to_string()).collect()
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}

/// Whether the map names it: in backquotes, alone or as a part of a path.
fn names(map: &str, module: &str) -> bool {
    map.split('`')
        .skip(1)
        .step_by(2)
        .any(|quoted| quoted.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == module))
}

#[test]
fn every_folder_has_a_map_of_its_files() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    folders(&src, &mut all);
    assert!(all.len() > 20, "only {} folders found: is the search broken?", all.len());
    for folder in all {
        let source = fs::read_to_string(folder.join("mod.rs")).unwrap();
        let map: Vec<_> = source.lines().take_while(|line| line.starts_with("//!")).collect();
        let map = map.join("\n");
        let missing: Vec<_> = declared(&source).into_iter().filter(|module| !names(&map, module)).collect();
        let name = folder.strip_prefix(&src).unwrap().display().to_string();
        if PENDING.contains(&name.as_str()) {
            assert!(!missing.is_empty(), "the map of {name} is whole: take it out of PENDING");
        } else if !missing.is_empty() {
            wrong.push(format!("{name}: {}", missing.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "files that the map of their folder does not name:\n{}", wrong.join("\n"));
}

/// What `docs/architecture.md` says after [`MARK`]: the map of each folder, below the folder's name.
fn every_map(src: &Path) -> String {
    let mut all = Vec::new();
    folders(src, &mut all);
    all.sort();
    let mut page = String::new();
    for folder in all {
        let source = fs::read_to_string(folder.join("mod.rs")).unwrap();
        let tables = tables(&source);
        if !tables.is_empty() {
            let name = folder.strip_prefix(src).unwrap().display();
            page.push_str(&format!("\n### `{name}/`\n\n{}\n", tables.join("\n\n")));
        }
    }
    page
}

/// The tables of a file's first words, each as lines.
fn tables(source: &str) -> Vec<String> {
    let words: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let parts = words.split(|line| !line.starts_with(" |"));
    let table =
        |rows: &[&str]| rows.iter().map(|row| without_links(row.trim_start())).collect::<Vec<_>>().join("\n");
    parts.filter(|rows| !rows.is_empty()).map(table).collect()
}

/// A row without the links of rustdoc: "[`a`](b)" is "`a`".
fn without_links(row: &str) -> String {
    let mut out = String::new();
    let mut rest = row;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, after)) = after.split_once("`]") else { break };
        out.push_str(&format!("{before}`{name}`"));
        rest = match after.strip_prefix('(').and_then(|target| target.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    out + rest
}

#[test]
fn the_page_of_the_architecture_has_every_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/architecture.md");
    let page = fs::read_to_string(&path).unwrap();
    let (own, maps) = page.split_once(MARK).expect("a mark before the maps");
    let wanted = every_map(&root.join("src"));
    if std::env::var_os("FOGHORN_WRITE_MAP").is_some() {
        fs::write(&path, format!("{own}{MARK}{wanted}")).unwrap();
    } else {
        assert!(
            maps == wanted,
            "docs/architecture.md is behind: FOGHORN_WRITE_MAP=1 cargo test --test layering writes it"
        );
    }
}

/// What CONTRIBUTING.md names as places that do not exist yet.
const EXAMPLES: &[&str] = &["mqtt", "store/mongodb"];

#[test]
fn every_path_of_contributing_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let (_, recipes) = page.split_once("## How to add").expect("its recipes");
    let quoted =
        recipes.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains('/') && !quoted.contains(' '));
    let is_there = |path: &str| {
        let in_src = root.join("src").join(path.trim_end_matches('/'));
        in_src.is_dir() || in_src.with_extension("rs").is_file() || root.join(path).exists()
    };
    let is_example = |path: &str| EXAMPLES.iter().any(|example| path.contains(example));
    let wrong: Vec<_> = quoted.filter(|path| !is_there(path) && !is_example(path)).collect();
    assert!(wrong.is_empty(), "CONTRIBUTING.md names what is not there: {wrong:?}");
}

#[test]
fn declarations_and_maps_are_understood() {
    let source = "//! `one`\nmod one;\n#[cfg(test)]\nmod tests;\npub(crate) mod two;\npub(in crate::a) mod three;\nmod inline {\n}";
    assert_eq!(declared(source), ["one", "two", "three"]);
    assert!(names("see `one` and [`two::Two`]", "two"));
    assert!(!names("one and `two`, three", "three"));
    assert_eq!(
        tables("//! A.\n//!\n//! | a |\n//! | [`b`] |\n//!\n//! | c |\n//!\nmod d;\n//! | e |"),
        ["| a |\n| `b` |", "| c |"]
    );
    assert_eq!(without_links(" [`a`](b::c), [`d`] | e |"), " `a`, `d` | e |");
}
