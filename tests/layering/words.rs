//! Words that are gone for good as names of types, functions, fields, files and modules; CONTRIBUTING.md has the words that stand in their
//! place. What is meant is a name of our own: the wire, `std` and ordinary English may use all of them.

use std::fs;
use std::path::Path;

use syn::visit::Visit;

/// A folder, and the names that nothing in it has.
const GONE: &[(&str, &[&str])] = &[
    (
        "reactor",
        &[
            "Alarms",
            "Arrival",
            "Bell",
            "Door",
            "Exchange",
            "Follow",
            "Following",
            "Guard",
            "Hold",
            "LaterOr",
            "Letter",
            "Mailbox",
            "Meter",
            "Opening",
            "Otherwise",
            "Ration",
            "Reach",
            "Side",
            "Standing",
            "TURNED_AWAY_MAX",
            "Turn",
            "Why",
            "census",
            "doors",
            "flood",
            "go_on_opening",
            "lane",
            "letters",
            "settle",
            "shut_out",
        ],
    ),
    (
        "rooms",
        &[
            "Alone",
            "Ask",
            "Crew",
            "Guests",
            "Journal",
            "Latest",
            "Ledger",
            "News",
            "Paid",
            "Readers",
            "Seat",
            "Seats",
            "Tie",
            "Title",
            "Why",
            "asker",
            "asks",
            "disowned",
            "ghost",
            "journal",
            "mend",
            "renewal",
            "served",
            "settle",
            "show",
            "turn_page",
        ],
    ),
    ("workers", &["Alone", "Crew", "Desk", "Job", "Journal", "Lane", "Station", "hands", "lane"]),
    ("transport", &["Share", "Tally", "untaken"]),
    ("store", &["From", "Gate", "Ledger", "bell", "settle"]),
    ("server", &["Gate", "Guard", "Why", "arrival", "asker", "places", "turn_page"]),
    (
        "stomp",
        &[
            "Departure",
            "Desk",
            "Flight",
            "Heart",
            "Hub",
            "Line",
            "Places",
            "SILENCE",
            "beat",
            "land",
            "obey",
            "settle",
        ],
    ),
    ("chat", &["Manner", "Permit", "Refusal", "demand", "dress", "hello", "tag"]),
    ("feed", &["Wanted", "Way"]),
    ("config", &["Given", "Kind", "Word", "Written"]),
    ("cli", &["passed"]),
    ("http", &["Reply"]),
    (
        "bench",
        &["Fleet", "Ledger", "Link", "Stock", "beside", "ceiling", "deaf", "drive", "heard", "stamp", "walk"],
    ),
];

/// The names that a file defines.
#[derive(Default)]
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    #[expect(clippy::wildcard_enum_match_arm, reason = "an item of `syn`, which adds kinds")]
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let name = match item {
            syn::Item::Const(item) => Some(&item.ident),
            syn::Item::Enum(item) => Some(&item.ident),
            syn::Item::Fn(item) => Some(&item.sig.ident),
            syn::Item::Mod(item) => Some(&item.ident),
            syn::Item::Static(item) => Some(&item.ident),
            syn::Item::Struct(item) => Some(&item.ident),
            syn::Item::Trait(item) => Some(&item.ident),
            syn::Item::Type(item) => Some(&item.ident),
            _ => None,
        };
        self.0.extend(name.map(ToString::to_string));
        syn::visit::visit_item(self, item);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.0.extend(field.ident.as_ref().map(ToString::to_string));
        syn::visit::visit_field(self, field);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.0.push(variant.ident.to_string());
        syn::visit::visit_variant(self, variant);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.0.push(item.sig.ident.to_string());
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.0.push(item.sig.ident.to_string());
        syn::visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn words_that_are_gone_stay_away() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (folder, gone) in GONE {
        let mut files = Vec::new();
        super::sources(&src.join(folder), &mut files);
        for file in files {
            let mut names = Names::default();
            names.visit_file(&syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap());
            names.0.push(file.file_stem().unwrap().to_str().unwrap().to_owned());
            seen += names.0.len();
            let found = names.0.iter().filter(|name| gone.contains(&name.as_str()));
            wrong.extend(found.map(|name| format!("{}: {name}", file.strip_prefix(&src).unwrap().display())));
        }
    }
    assert!(seen > 3_000, "only {seen} names found: is the search broken?");
    assert!(wrong.is_empty(), "names that CONTRIBUTING.md has other words for:\n{}", wrong.join("\n"));
}
