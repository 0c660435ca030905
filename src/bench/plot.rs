//! Line plots without a script: curves as SVG, which is stretched to the width of the page, and labels as text beside it,
//! which is not.

use std::fmt::Write;

/// Both sides of what is drawn, before it is stretched.
const SIDE: f64 = 1000.0;
/// Number of labels on an axis, about.
const LABELS: f64 = 5.0;
/// Labels of the horizontal axis that are closer than this, as a part of it, are left out on a phone.
const CROWDED: f64 = 0.12;
/// Maximum number of lines: the style sheet has a colour and a pattern for each.
const LINES_MAX: usize = 4;

/// A named line through points, in the order of x.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
}

/// What the horizontal axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Seconds.
    Time,
    /// Percentiles, stretched so that each further nine takes the same room.
    Percentile,
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Axis::Time => "seconds",
            Axis::Percentile => "percentile",
        }
    }

    fn place(self, x: f64) -> f64 {
        match self {
            Axis::Time => x,
            Axis::Percentile => -(1.0 - x.min(99.9999) / 100.0).log10(),
        }
    }

    fn labels(self, max: f64) -> Vec<(f64, String)> {
        match self {
            Axis::Time => steps(max).map(|x| (x, label(x))).collect(),
            Axis::Percentile => [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
                .into_iter()
                .filter(|&percentile| self.place(percentile) <= max)
                .map(|percentile| (self.place(percentile), percentile.to_string()))
                .collect(),
        }
    }
}

/// Appends a plot of `lines`, of which there may be four. Nothing if there is not a single stretch to draw.
pub(super) fn push_plot(out: &mut String, title: &str, unit: &str, axis: Axis, lines: &[Line<'_>]) {
    let lines = &lines[..lines.len().min(LINES_MAX)];
    let points = || lines.iter().flat_map(|line| &line.points);
    let x_max = points().map(|&(x, _)| axis.place(x)).fold(0.0, f64::max);
    let y_highest = points().map(|&(_, y)| y).fold(0.0, f64::max);
    let y_max = y_highest * 1.05;
    if x_max <= 0.0 || y_max <= 0.0 {
        return;
    }
    push(out, format_args!("<figure>\n<h2>{}</h2>", escaped(title)));
    push_legend(out, lines);
    let (name, by, highest) = (escaped(title), axis.name(), number(y_highest));
    push(
        out,
        format_args!(
            "<div class=\"plot\" role=\"img\" aria-label=\"{name}, by {by}; at most {highest} {unit}\">\n\
             <svg viewBox=\"0 0 {SIDE} {SIDE}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
        ),
    );
    let y = |value: f64| SIDE * (1.0 - value / y_max);
    for value in steps(y_max) {
        push(out, format_args!("<path class=\"grid\" d=\"M0 {:.1}H{SIDE}\"/>", y(value)));
    }
    for (number, line) in lines.iter().enumerate() {
        let place = |&(px, py): &(f64, f64)| format!("{:.1} {:.1}", axis.place(px) / x_max * SIDE, y(py));
        let path: Vec<String> = line.points.iter().map(place).collect();
        if !path.is_empty() {
            push(out, format_args!("<path class=\"line l{number}\" d=\"M{}\"/>", path.join("L")));
        }
    }
    out.push_str("</svg>\n");
    for value in steps(y_max) {
        let (part, text) = (value / y_max * 100.0, label(value));
        push(out, format_args!("<span class=\"y\" style=\"bottom:{part:.1}%\">{text} {unit}</span>"));
    }
    let mut before = f64::NEG_INFINITY;
    for (place, text) in axis.labels(x_max) {
        let part = place / x_max;
        // What stands at the beginning and what has room stays, also where there is little.
        let class = if part - before < CROWDED { "x crowded" } else { "x" };
        before = if class == "x" { part } else { before };
        push(out, format_args!("<span class=\"{class}\" style=\"left:{:.1}%\">{text}</span>", part * 100.0));
    }
    push(out, format_args!("</div>\n<p class=\"axis\">{}</p>\n</figure>", axis.name()));
}

fn push_legend(out: &mut String, lines: &[Line<'_>]) {
    out.push_str("<ul class=\"legend\">\n");
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty()) {
        let name = escaped(line.name);
        push(
            out,
            format_args!(
                "<li><svg viewBox=\"0 0 36 8\" aria-hidden=\"true\"><path class=\"line l{number}\" d=\"M0 4H36\"/></svg>{name}</li>"
            ),
        );
    }
    out.push_str("</ul>\n");
}

/// As text of a page, or in an attribute.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _a_string_takes_everything = writeln!(out, "{text}");
}

/// Round values from 0 to `max`.
fn steps(max: f64) -> impl Iterator<Item = f64> {
    let rough = max / LABELS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough);
    let step = step.unwrap_or(rough);
    (0_u8..).map(move |n| f64::from(n) * step).take_while(move |&value| value <= max)
}

/// The same without zeros at its end, for the round values of an axis.
fn label(value: f64) -> String {
    let text = number(value);
    if text.contains('.') && !text.ends_with('M') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// A number short enough for a label.
pub(super) fn number(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.3}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 100.0 || value == 0.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_round_values() {
        assert_eq!(steps(10.0).collect::<Vec<_>>(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(steps(0.7).count(), 4);
        assert_eq!(
            [0.0, 0.5, 12.345, 250.0, 43_000.0, 2_500_000.0].map(number),
            ["0", "0.500", "12.35", "250", "43k", "2.500M"]
        );
        assert_eq!(
            [0.0, 0.05, 20.0, 2.5, 200.0, 10_000.0].map(label),
            ["0", "0.05", "20", "2.5", "200", "10k"]
        );
        let percentiles: Vec<_> = Axis::Percentile.labels(2.5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(percentiles, ["0", "50", "90", "99"]);
    }

    #[test]
    fn every_line_is_drawn_inside_the_frame() {
        let mut out = String::new();
        let lines = [
            Line { name: "a", points: vec![(0.0, 1.0), (50.0, 2.0), (99.9, 30.0)] },
            Line { name: "b", points: vec![(0.0, 2.0), (100.0, 3.0)] },
        ];
        push_plot(&mut out, "T", "ms", Axis::Percentile, &lines);
        assert_eq!(out.matches("class=\"line l").count(), 4, "two lines, and two in the legend");
        assert!(!out.contains("NaN") && !out.contains("inf"), "{out}");
        let drawn = out.split("d=\"M").skip(1).flat_map(|path| path.split('"').next());
        for point in drawn.filter(|path| !path.contains('H')).flat_map(|path| path.split('L')) {
            let (x, y) = point.split_once(' ').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((0.0..=SIDE).contains(&x) && (0.0..=SIDE).contains(&y), "{point}");
        }
    }

    #[test]
    fn a_name_is_text_and_labels_without_room_are_marked() {
        let mut out = String::new();
        let line = Line { name: "<a> & \"b\"", points: vec![(0.0, 1.0), (99.99, 2.0)] };
        push_plot(&mut out, "T", "ms", Axis::Percentile, &[line]);
        assert!(out.contains("&lt;a&gt; &amp; &quot;b&quot;") && !out.contains("<a>"), "{out}");
        assert!(out.contains("class=\"x crowded\" style=\"left:7.5%\">50<"), "{out}");
        assert_eq!(out.matches("class=\"x\"").count(), 5, "{out}");
    }

    #[test]
    fn nothing_is_no_plot() {
        let mut out = String::new();
        push_plot(&mut out, "T", "ms", Axis::Time, &[Line { name: "a", points: vec![] }]);
        assert!(out.is_empty());
    }
}
