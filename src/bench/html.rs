//! A report as one HTML page that needs nothing else.

use super::about::About;
use super::compare::{Comparison, Pair};
use super::inside::{Inside, WaySlice};
use super::meter::{Slice, Summary};
use super::plan::Workload;
use super::plot::{Axis, Line, escaped, push_plot};
use super::progress::Verdict;
use super::report::Report;
use super::series::Series;

const STYLE: &str = include_str!("report.css");

/// The page of one run.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = begin(&format!("foghorn bench: {}", report.plan.mode()));
    push_verdict(&mut out, report.verdict);
    let facts: Vec<Vec<String>> = report.lines().into_iter().map(|(name, value)| vec![name, value]).collect();
    push_table(&mut out, "facts", "What was measured", None, &facts);
    if report.verdict.has_speed() {
        push_plots(&mut out, report);
    }
    out.push_str("</main>\n</html>\n");
    out
}

/// The page of several runs.
#[must_use]
pub fn series_page(series: &Series) -> String {
    let mut out = begin(&format!("foghorn bench: {}", series.mode));
    push_verdict(&mut out, series.verdict());
    if let Some(run) = series.runs.first() {
        let About { date, host, system, .. } = &run.report.about;
        let parameters = series.runs.iter().map(|run| (run.name.clone(), run.report.plan.parameters()));
        let known = [
            ("date".to_owned(), date.clone()),
            ("version".to_owned(), run.report.version()),
            ("host".to_owned(), format!("{host} ({system})")),
            ("server".to_owned(), run.report.url.clone()),
        ];
        let facts = known.into_iter().chain(parameters).map(|(name, value)| vec![name, value]);
        push_table(&mut out, "facts", "What was measured", None, &facts.collect::<Vec<_>>());
    }
    for (caption, table) in [("Figures", series.table()), ("The way inside", series.inside_table())] {
        if let Some((head, rows)) = table.split_first() {
            push_table(&mut out, "runs", caption, Some(head), rows);
        }
    }
    for remark in series.remarks() {
        out.push_str(&format!("<p>{}</p>\n", escaped(&remark)));
    }
    let clear = || series.runs.iter().filter(|run| run.report.verdict.has_speed());
    let lines = |points: fn(&Report) -> Vec<(f64, f64)>| -> Vec<Line<'_>> {
        clear().map(|run| Line { name: &run.name, points: points(&run.report) }).collect()
    };
    let curves = lines(|report| report.latency_to_last.as_ref().map_or_else(Vec::new, |l| l.curve.clone()));
    push_plot(&mut out, "Latency to the last member by percentile", "ms", Axis::Percentile, &curves);
    let rates = lines(|report| over_time(report, |slice| slice.deliveries_per_second));
    push_plot(&mut out, "Deliveries per second", "/s", Axis::Time, &rates);
    let tails = lines(|report| over_time(report, |slice| slice.p99));
    push_plot(&mut out, "Latency (p99) over time", "ms", Axis::Time, &tails);
    out.push_str("</main>\n</html>\n");
    out
}

/// The page of two reports side by side.
#[must_use]
pub fn comparison_page(comparison: &Comparison) -> String {
    let [first, second] = &comparison.names;
    let mut out = begin(&format!("foghorn bench: {first} and {second}"));
    for remark in comparison.remarks() {
        out.push_str(&format!("<p class=\"verdict bad\">{}</p>\n", escaped(&remark)));
    }
    let (tables, facts) = (comparison.tables(), comparison.facts());
    for (((name, table), facts), pair) in tables.iter().zip(facts).zip(&comparison.pairs) {
        if !name.is_empty() {
            out.push_str(&format!("<h2>{}</h2>\n", escaped(name)));
        }
        if let Some((head, rows)) = table.split_first() {
            let caption = if name.is_empty() { "Side by side" } else { name };
            let facts = facts.into_iter().map(|(name, [a, b])| vec![name.to_owned(), a, b]);
            push_table(
                &mut out,
                "facts sides",
                "What was measured",
                Some(&head[..3]),
                &facts.collect::<Vec<_>>(),
            );
            push_table(&mut out, "runs", caption, Some(head), rows);
        }
        push_pair(&mut out, &comparison.names, pair);
    }
    out.push_str("</main>\n</html>\n");
    out
}

/// The plots of a run, with a line for each of the reports.
fn push_pair(out: &mut String, names: &[String; 2], pair: &Pair) {
    let lines = |points: &dyn Fn(&Report) -> Vec<(f64, f64)>| -> Vec<Line<'_>> {
        let both = names.iter().zip(&pair.reports);
        both.filter(|(_, report)| report.verdict.has_speed())
            .map(|(name, report)| Line { name, points: points(report) })
            .collect()
    };
    let curve = |latency: &Option<Summary>| latency.as_ref().map_or_else(Vec::new, |l| l.curve.clone());
    let each = lines(&|report| curve(&report.latency));
    push_plot(out, "Latency by percentile", "ms", Axis::Percentile, &each);
    let last = lines(&|report| curve(&report.latency_to_last));
    push_plot(out, "Latency to the last member by percentile", "ms", Axis::Percentile, &last);
    let rates = lines(&|report| over_time(report, |slice| slice.deliveries_per_second));
    push_plot(out, "Deliveries per second", "/s", Axis::Time, &rates);
    let tails = lines(&|report| over_time(report, |slice| slice.p99));
    push_plot(out, "Latency (p99) over time", "ms", Axis::Time, &tails);
}

/// A table whose rows begin with what they are about. It scrolls by itself where it is too wide for the page, and can be
/// reached with the keyboard.
fn push_table(out: &mut String, class: &str, caption: &str, head: Option<&[String]>, rows: &[Vec<String>]) {
    let caption = escaped(caption);
    out.push_str(&format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n<table class=\"{class}\">\n"
    ));
    if let Some(head) = head {
        let cell = |text: &String| match &**text {
            "" => "<td></td>".to_owned(),
            text => format!("<th scope=\"col\">{}</th>", escaped(text)),
        };
        out.push_str(&format!("<thead><tr>{}</tr></thead>\n", head.iter().map(cell).collect::<String>()));
    }
    out.push_str("<tbody>\n");
    for (name, cells) in rows.iter().filter_map(|row| row.split_first()) {
        let cells: String = cells.iter().map(|text| format!("<td>{}</td>", escaped(text))).collect();
        out.push_str(&format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escaped(name)));
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn begin(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<main>\n<h1>{title}</h1>\n"
    )
}

fn push_verdict(out: &mut String, verdict: Verdict) {
    let class = if verdict.is_result() { "verdict" } else { "verdict bad" };
    out.push_str(&format!("<p class=\"{class}\">{}</p>\n", escaped(&verdict.to_string())));
}

fn push_plots(out: &mut String, report: &Report) {
    let name = if matches!(report.plan.workload, Workload::Recovery(_)) {
        "until recovered"
    } else {
        "each delivery"
    };
    let mut curves = Vec::new();
    if let Some(latency) = &report.latency {
        curves.push(Line { name, points: latency.curve.clone() });
    }
    if let Some(latency) = &report.latency_to_last {
        curves.push(Line { name: "last member", points: latency.curve.clone() });
    }
    push_plot(out, "Latency by percentile", "ms", Axis::Percentile, &curves);
    let rate = over_time(report, |slice| slice.deliveries_per_second);
    let rate = Line { name: report.unit(), points: rate };
    push_plot(out, "Throughput", "/s", Axis::Time, &[rate]);
    let latencies = [
        Line { name: "p50", points: over_time(report, |slice| slice.p50) },
        Line { name: "p99", points: over_time(report, |slice| slice.p99) },
    ];
    push_plot(out, "Latency over time", "ms", Axis::Time, &latencies);
    push_way(out, report);
}

/// The steps inside, if they were looked at several times.
fn push_way(out: &mut String, report: &Report) {
    let Some(Inside::Known(way)) = &report.inside else { return };
    let points = |step: fn(&WaySlice) -> Option<f64>| -> Vec<(f64, f64)> {
        way.over_time.iter().filter_map(|slice| Some((slice.at, step(slice)?))).collect()
    };
    let lines = [
        Line { name: "read to shard", points: points(|slice| slice.read_to_shard) },
        Line { name: "shard to commit", points: points(|slice| slice.shard_to_commit) },
        Line { name: "commit to send", points: points(|slice| slice.commit_to_send) },
    ];
    push_plot(out, "The way inside (p99) over time", "ms", Axis::Time, &lines);
}

fn over_time(report: &Report, value: impl Fn(&Slice) -> f64) -> Vec<(f64, f64)> {
    report.slices.iter().map(|slice| (slice.at, value(slice))).collect()
}
