//! Line plots as SVG, without a script.

use std::fmt::Write;

/// Size of a plot, and the space for its labels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;
/// Number of labels on an axis, about.
const LABELS: f64 = 5.0;
const COLOURS: [&str; 4] = ["#1668c5", "#c2410c", "#15803d", "#7e22ce"];

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
    fn place(self, x: f64) -> f64 {
        match self {
            Axis::Time => x,
            Axis::Percentile => -(1.0 - x.min(99.9999) / 100.0).log10(),
        }
    }

    fn labels(self, max: f64) -> Vec<(f64, String)> {
        match self {
            Axis::Time => steps(max).map(|x| (x, format!("{x} s"))).collect(),
            Axis::Percentile => [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
                .into_iter()
                .filter(|&percentile| self.place(percentile) <= max)
                .map(|percentile| (self.place(percentile), format!("{percentile} %")))
                .collect(),
        }
    }
}

/// Appends a plot of `lines`. Nothing if there is not a single stretch to draw.
pub(super) fn push_plot(out: &mut String, title: &str, unit: &str, axis: Axis, lines: &[Line<'_>]) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let x_max = points().map(|&(x, _)| axis.place(x)).fold(0.0, f64::max);
    let y_max = points().map(|&(_, y)| y).fold(0.0, f64::max) * 1.05;
    if x_max <= 0.0 || y_max <= 0.0 {
        return;
    }
    let x = |value: f64| LEFT + value / x_max * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / y_max * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!("<h2>{title}</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
    for value in steps(y_max) {
        let (y, right) = (y(value), WIDTH - RIGHT);
        push(&mut svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        let (x, y) = (LEFT - 6.0, y + 4.0);
        let label = number(value);
        push(&mut svg, format_args!("<text class=\"y\" x=\"{x}\" y=\"{y:.1}\">{label} {unit}</text>"));
    }
    for (place, label) in axis.labels(x_max) {
        let (x, y) = (x(place), HEIGHT - BOTTOM + 16.0);
        push(&mut svg, format_args!("<text class=\"x\" x=\"{x:.1}\" y=\"{y}\">{label}</text>"));
    }
    for (line, colour) in lines.iter().zip(COLOURS) {
        let path: Vec<String> =
            line.points.iter().map(|&(px, py)| format!("{:.1} {:.1}", x(axis.place(px)), y(py))).collect();
        if !path.is_empty() {
            let path = path.join("L");
            push(&mut svg, format_args!("<path class=\"line\" stroke=\"{colour}\" d=\"M{path}\"/>"));
        }
    }
    push_legend(&mut svg, lines);
    svg.push_str("</svg>\n");
    out.push_str(&svg);
}

fn push_legend(svg: &mut String, lines: &[Line<'_>]) {
    let mut x = LEFT;
    let y = HEIGHT - 6.0;
    for (line, colour) in lines.iter().zip(COLOURS) {
        push(svg, format_args!("<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>", line.name));
        x += 160.0;
    }
}

fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    let _a_string_takes_everything = writeln!(svg, "{text}");
}

/// Round values from 0 to `max`.
fn steps(max: f64) -> impl Iterator<Item = f64> {
    let rough = max / LABELS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough);
    let step = step.unwrap_or(rough);
    (0_u8..).map(move |n| f64::from(n) * step).take_while(move |&value| value <= max)
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
        let percentiles: Vec<_> = Axis::Percentile.labels(2.5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(percentiles, ["0 %", "50 %", "90 %", "99 %"]);
    }

    #[test]
    fn every_line_is_drawn_inside_the_frame() {
        let mut out = String::new();
        let lines = [
            Line { name: "a", points: vec![(0.0, 1.0), (50.0, 2.0), (99.9, 30.0)] },
            Line { name: "b", points: vec![(0.0, 2.0), (100.0, 3.0)] },
        ];
        push_plot(&mut out, "T", "ms", Axis::Percentile, &lines);
        assert_eq!(out.matches("class=\"line\"").count(), 2);
        assert!(!out.contains("NaN") && !out.contains("inf"), "{out}");
        let drawn = out.split("d=\"M").skip(1).flat_map(|path| path.split('"').next());
        for point in drawn.filter(|path| !path.contains('H')).flat_map(|path| path.split('L')) {
            let (x, y) = point.split_once(' ').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
        }
    }

    #[test]
    fn nothing_is_no_plot() {
        let mut out = String::new();
        push_plot(&mut out, "T", "ms", Axis::Time, &[Line { name: "a", points: vec![] }]);
        assert!(out.is_empty());
    }
}
