//! In no folder do files or sub-folders import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{Imports, Module};

/// Folders that still have a circle.
const PENDING: &[&str] = &[];

/// What a folder consists of: its own `mod.rs`, its files, its sub-folders; each with those that it imports and the
/// files that do so.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The graph of every folder. An import between two folders is one between those of their parents that are
/// neighbours.
fn graphs(imports: &Imports) -> BTreeMap<Module, Graph> {
    let mut graphs: BTreeMap<Module, Graph> = BTreeMap::new();
    for (from, to) in imports.pairs() {
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let folder = from[..shared].to_vec();
        // The crate's own file passes names on and belongs to no floor.
        if folder.is_empty() {
            continue;
        }
        let part = |module: &Module| module.get(shared).cloned().unwrap_or_else(|| "mod.rs".to_owned());
        let why = format!("{} uses {}", imports.file(&from).display(), imports.file(&to).display());
        let edges = graphs.entry(folder).or_default().entry(part(&from)).or_default();
        edges.entry(part(&to)).or_default().insert(why);
    }
    graphs
}

/// The parts that can be reached from `start`.
fn reached<'a>(graph: &'a Graph, start: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(at) = next.pop() {
        for to in graph.get(at).into_iter().flatten().map(|(to, _)| to.as_str()) {
            if seen.insert(to) {
                next.push(to);
            }
        }
    }
    seen
}

/// The imports that are part of a circle.
fn circle(graph: &Graph) -> Vec<String> {
    let all: BTreeMap<_, _> = graph.keys().map(|part| (part.as_str(), reached(graph, part))).collect();
    let mut found = Vec::new();
    for (from, edges) in graph {
        for (to, why) in edges {
            if all.get(to.as_str()).is_some_and(|reached| reached.contains(from.as_str())) {
                found.extend(why.iter().cloned());
            }
        }
    }
    found
}

#[test]
fn no_folder_has_a_circle() {
    let imports = Imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let graphs = graphs(&imports);
    let edges: usize = graphs.values().flat_map(Graph::values).map(BTreeMap::len).sum();
    assert!(edges > 300, "only {edges} imports found: is the search broken?");
    let mut wrong = Vec::new();
    for (folder, graph) in &graphs {
        let name = folder.join("/");
        let circle = circle(graph);
        if PENDING.contains(&name.as_str()) {
            assert!(!circle.is_empty(), "{name} has no circle any more: take it out of PENDING");
        } else if !circle.is_empty() {
            wrong.push(format!("{name}:\n  {}", circle.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "files that import each other in a circle, by folder:\n{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found_and_a_way_down_is_none() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            let why = BTreeSet::from([format!("{from} uses {to}")]);
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned(), why);
        }
        graph
    };
    assert!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])), ["b uses c", "c uses b"]);
}
