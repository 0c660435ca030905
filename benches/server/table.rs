//! Medians, and the table made of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::rows::Row;

/// The figures of all runs, by row and peer.
#[derive(Default)]
pub(crate) struct Figures {
    runs: BTreeMap<(usize, usize), Vec<(f64, f64)>>,
    /// Why a peer has no figure in a row.
    failures: BTreeMap<(usize, usize), String>,
}

impl Figures {
    pub(crate) fn add(&mut self, row: usize, peer: usize, figures: (f64, f64)) {
        self.runs.entry((row, peer)).or_default().push(figures);
    }

    pub(crate) fn fail(&mut self, row: usize, peer: usize, why: String) {
        self.failures.insert((row, peer), why);
    }

    pub(crate) fn median(&self, row: usize, peer: usize) -> Option<(f64, f64)> {
        let runs = self.runs.get(&(row, peer))?;
        let (mut figures, explaining): (Vec<f64>, Vec<f64>) = runs.iter().copied().unzip();
        figures.sort_by(f64::total_cmp);
        // The kernel tells user mode by samples: over all runs there are enough of them.
        let mean = explaining.iter().sum::<f64>() / runs.len() as f64;
        Some((*figures.get(figures.len() / 2)?, mean))
    }

    /// Markdown: each cell the median, in brackets the mean of the explaining figure; then each as a multiple of the better of
    /// the first two columns.
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
                        format!("{} ({}) ×{:.2}", short(figure), short(other), figure / limit)
                    }
                    (Some((figure, other)), None) => format!("{} ({})", short(figure), short(other)),
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

/// Three digits or so.
fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure if figure >= 1.0 => format!("{figure:.2}"),
        figure => format!("{figure:.3}"),
    }
}
