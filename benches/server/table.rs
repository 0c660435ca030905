//! Medians, and the table made of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::rows::{Figure, Row};

/// The figures of all runs, by row and peer.
#[derive(Default)]
pub(crate) struct Figures {
    runs: BTreeMap<(usize, usize), Vec<Figure>>,
    /// Why a peer has no figure in a row.
    failures: BTreeMap<(usize, usize), String>,
}

impl Figures {
    pub(crate) fn add(&mut self, row: usize, peer: usize, figures: Figure) {
        self.runs.entry((row, peer)).or_default().push(figures);
    }

    pub(crate) fn fail(&mut self, row: usize, peer: usize, why: String) {
        self.failures.insert((row, peer), why);
    }

    pub(crate) fn median(&self, row: usize, peer: usize) -> Option<Figure> {
        let runs = self.runs.get(&(row, peer))?;
        let mut figures: Vec<f64> = runs.iter().map(|(figure, _)| *figure).collect();
        figures.sort_by(f64::total_cmp);
        // The kernel tells user mode by samples: over all runs there are enough of them.
        let mean = |number: usize| {
            runs.iter().filter_map(|(_, explaining)| explaining.get(number)).sum::<f64>() / runs.len() as f64
        };
        let means = (0..runs.first()?.1.len()).map(mean).collect();
        Some((*figures.get(figures.len() / 2)?, means))
    }

    /// Markdown: each cell the median, in brackets the means of what explains it; then each as a multiple of the better of the
    /// first two columns.
    pub(crate) fn table(&self, rows: &[Row], peers: &[String]) -> String {
        let mut text = String::new();
        let line = |text: &mut String, cells: &[String]| {
            let _infallible = writeln!(text, "| {} |", cells.join(" | "));
        };
        let head: Vec<String> = ["work".to_owned()].into_iter().chain(peers.iter().cloned()).collect();
        line(&mut text, &head);
        line(&mut text, &vec!["---".to_owned(); head.len()]);
        for (number, row) in rows.iter().enumerate() {
            let mut cells = vec![format!("{} ({})", row.name, row.unit.name())];
            let limit = (0..peers.len())
                .filter(|&peer| peers[peer].starts_with("raw"))
                .filter_map(|peer| self.median(number, peer))
                .map(|(figure, _)| figure)
                .min_by(f64::total_cmp);
            for peer in 0..peers.len() {
                cells.push(match (self.median(number, peer), limit) {
                    (Some((figure, other)), Some(limit)) => {
                        format!("{} ({}) ×{:.2}", short(figure), all(&other), figure / limit)
                    }
                    (Some((figure, other)), None) => format!("{} ({})", short(figure), all(&other)),
                    (None, _) if self.failures.contains_key(&(number, peer)) => "failed".to_owned(),
                    (None, _) => "–".to_owned(),
                });
            }
            line(&mut text, &cells);
        }
        for (&(row, peer), why) in &self.failures {
            let failed = if self.runs.contains_key(&(row, peer)) { "failed at least once" } else { "failed" };
            let (peer, row) = (&peers[peer], rows[row].name);
            let _infallible = writeln!(text, "\n{peer} {failed} in “{row}”: {why}");
        }
        text
    }
}

fn all(figures: &[f64]) -> String {
    figures.iter().map(|&figure| short(figure)).collect::<Vec<_>>().join(", ")
}

/// Three digits or so.
fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure if figure >= 1.0 => format!("{figure:.2}"),
        figure => format!("{figure:.3}"),
    }
}
