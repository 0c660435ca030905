//! Which file of `src` imports which, read from the syntax: `use` and paths in the code, through re-exports to the file
//! that defines the name. What is compiled for tests alone does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, Item, UseTree};

/// Below `src`, without `.rs` or `/mod.rs`: `["rooms", "log"]`. The crate itself is the empty one.
pub(crate) type Module = Vec<String>;

/// A module as its file has it.
#[derive(Default)]
struct Source {
    /// Names that the file itself defines.
    defined: BTreeSet<String>,
    /// What each name that a `use` brings in stands for, as it is written there.
    used: BTreeMap<String, Vec<String>>,
    /// What a `use …::*` brings in.
    globs: Vec<Vec<String>>,
    /// The paths that the file names, except those that it only passes on (`pub use`).
    paths: Vec<Vec<String>>,
    /// The files that it declares for tests alone.
    for_tests: Vec<String>,
}

/// All modules that have a file of their own, and their imports.
pub(crate) struct Imports {
    modules: BTreeMap<Module, (PathBuf, Source)>,
}

impl Imports {
    pub(crate) fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        super::sources(src, &mut files);
        let modules: BTreeMap<Module, (PathBuf, Source)> = files
            .into_iter()
            .map(|file| {
                let text = fs::read_to_string(&file).unwrap();
                let parsed =
                    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                let relative = file.strip_prefix(src).unwrap().to_path_buf();
                let mut source = Source::default();
                Reader { source: &mut source }.items(&parsed.items);
                (module_of(&relative), (relative, source))
            })
            .collect();
        let mut imports = Self { modules };
        let for_tests = imports.for_tests();
        imports.modules.retain(|module, _| !for_tests.iter().any(|left_out| module.starts_with(left_out)));
        imports
    }

    fn for_tests(&self) -> Vec<Module> {
        let declared = |(module, (_, source)): (&Module, &(PathBuf, Source))| {
            let within = |name: &String| module.iter().cloned().chain([name.clone()]).collect();
            source.for_tests.iter().map(within).collect::<Vec<Module>>()
        };
        self.modules.iter().flat_map(declared).collect()
    }

    pub(crate) fn file(&self, module: &Module) -> &Path {
        &self.modules[module].0
    }

    /// Each pair of modules of which the first imports the second.
    pub(crate) fn pairs(&self) -> BTreeSet<(Module, Module)> {
        let mut found = BTreeSet::new();
        for (module, (_, source)) in &self.modules {
            for path in &source.paths {
                if let Some(target) = self.target(module, path, 0)
                    && target != *module
                {
                    found.insert((module.clone(), target));
                }
            }
        }
        found
    }

    /// Each type that a module defines or imports under its own name: the module, the name, the module that defines it.
    pub(crate) fn types(&self) -> Vec<(Module, String, Module)> {
        let is_type = |name: &str| {
            name.chars().next().is_some_and(char::is_uppercase) && name.chars().any(char::is_lowercase)
        };
        let mut found = Vec::new();
        for (module, (_, source)) in &self.modules {
            for name in source.defined.iter().filter(|name| is_type(name)) {
                found.push((module.clone(), name.clone(), module.clone()));
            }
            for (name, path) in
                source.used.iter().filter(|(name, path)| is_type(name) && path.last() == Some(*name))
            {
                if let Some(home) = self.target(module, path, 0)
                    && self.modules[&home].1.defined.contains(name)
                {
                    found.push((module.clone(), name.clone(), home));
                }
            }
        }
        found
    }

    /// The module that defines what `path` names, as seen from `module`.
    fn target(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        // A re-export of a re-export of …: more than a handful is a loop of globs.
        if depth > 8 {
            return None;
        }
        let (mut at, mut rest) = self.start(module, path)?;
        while let Some((first, others)) = rest.split_first() {
            let mut child = at.clone();
            child.push(first.clone());
            if !self.modules.contains_key(&child) {
                break;
            }
            (at, rest) = (child, others);
        }
        let source = &self.modules.get(&at)?.1;
        let Some(name) = rest.first() else { return Some(at) };
        if source.defined.contains(name) {
            return Some(at);
        }
        if let Some(meant) = source.used.get(name) {
            let whole: Vec<_> = meant.iter().chain(&rest[1..]).cloned().collect();
            return self.target(&at, &whole, depth + 1);
        }
        let through_globs = source.globs.iter().find_map(|glob| {
            let whole: Vec<_> = glob.iter().chain(rest).cloned().collect();
            let target = self.target(&at, &whole, depth + 1)?;
            self.modules[&target].1.defined.contains(name).then_some(target)
        });
        Some(through_globs.unwrap_or(at))
    }

    /// Where a path begins: a module of this crate, and what is left of the path; none for what is not of this crate.
    fn start<'a>(&self, module: &Module, path: &'a [String]) -> Option<(Module, &'a [String])> {
        let (first, mut rest) = path.split_first()?;
        let mut at = module.clone();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
                while rest.first().is_some_and(|next| next == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            name => {
                at.push(name.to_owned());
                if !self.modules.contains_key(&at) {
                    // A name that a `use` of this file brought in was counted there.
                    return None;
                }
            }
        }
        Some((at, rest))
    }
}

fn module_of(relative: &Path) -> Module {
    let mut module: Module =
        relative.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            syn::Meta::List(_) | syn::Meta::Path(_) | syn::Meta::NameValue(_) => return false,
        };
        text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test" || word == "doctest")
            && !text.starts_with("not")
    })
}

struct Reader<'a> {
    source: &'a mut Source,
}

impl Reader<'_> {
    fn items(&mut self, items: &[Item]) {
        items.iter().for_each(|item| self.visit_item(item));
    }

    fn tree(&mut self, tree: &UseTree, before: &[String], passes_on: bool) {
        let mut path = before.to_vec();
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, &path, passes_on);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, &path, passes_on)),
            UseTree::Glob(_) => {
                self.import(&path, passes_on);
                self.source.globs.push(path);
            }
            UseTree::Name(name) => {
                let ident = name.ident.to_string();
                let known_as =
                    if ident == "self" { path.last().cloned().unwrap_or_default() } else { ident.clone() };
                if ident != "self" {
                    path.push(ident);
                }
                self.import(&path, passes_on);
                self.source.used.insert(known_as, path);
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.import(&path, passes_on);
                self.source.used.insert(rename.rename.to_string(), path);
            }
        }
    }

    fn import(&mut self, path: &[String], passes_on: bool) {
        if !passes_on {
            self.source.paths.push(path.to_vec());
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    /// Who may see an item is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    #[expect(clippy::wildcard_enum_match_arm, reason = "an item of `syn`, which adds kinds")]
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Mod(item) => (&item.attrs, item.content.is_some().then_some(&item.ident)),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            _ => return syn::visit::visit_item(self, item),
        };
        if is_for_tests(attributes) {
            if let Item::Mod(item) = item {
                self.source.for_tests.push(item.ident.to_string());
            }
            return;
        }
        if let Some(name) = name {
            self.source.defined.insert(name.to_string());
        }
        if let Item::Use(item) = item {
            let passes_on = !matches!(item.vis, syn::Visibility::Inherited);
            self.tree(&item.tree, &[], passes_on);
        } else {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.source.paths.push(segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
}
