//! Cold starts against wasted memory, as SVG: one point for each policy, a line through the fixed times. Whatever is
//! left of and below that line is better than any fixed time.

use std::fmt::Write;

/// The drawing, px.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
/// Around the axes, px: left, right, top, bottom.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 60.0;
/// About so many marks on an axis.
const MARKS: f64 = 6.0;
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.axis{stroke:#222;fill:none}\
.grid{stroke:#ddd}.line{stroke:#4477aa;stroke-width:1.5;fill:none}.fixed{fill:#4477aa}.other{fill:#cc3311}";

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What stands beside it.
    pub name: String,
    /// Wasted memory, in parts of a yardstick or in GiB · h.
    pub wasted: f64,
    /// Share of cold starts, 0 to 1.
    pub cold: f64,
    /// Whether it is one of those that the line goes through.
    pub is_on_line: bool,
}

/// A scale from 0 to a round number.
struct Axis {
    step: f64,
    end: f64,
}

impl Axis {
    fn to(largest: f64) -> Axis {
        let largest = if largest.is_finite() && largest > 0.0 { largest } else { 1.0 };
        let rough = largest / MARKS;
        let magnitude = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
        let step = round.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        Axis { step, end: (largest / step).ceil() * step }
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        (0..=(self.end / self.step).round() as u32).map(|mark| f64::from(mark) * self.step)
    }
}

/// Draws it.
pub fn svg(points: &[Point]) -> String {
    let largest = |value: fn(&Point) -> f64| points.iter().map(value).fold(0.0, f64::max);
    let (wasted, cold) =
        (Axis::to(largest(|point| point.wasted)), Axis::to(largest(|point| point.cold)));
    let x = |value: f64| LEFT + value / wasted.end * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / cold.end * (HEIGHT - TOP - BOTTOM);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for mark in wasted.marks() {
        let (x, top, bottom) = (x(mark), TOP, HEIGHT - BOTTOM);
        let label = number(mark);
        let below = bottom + 18.0;
        put(&mut text, format_args!("<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>"));
        put(
            &mut text,
            format_args!("<text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"),
        );
    }
    for mark in cold.marks() {
        let (y, right, label) = (y(mark), WIDTH - RIGHT, number(100.0 * mark));
        let (before, middle) = (LEFT - 8.0, y + 4.0);
        put(&mut text, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        put(
            &mut text,
            format_args!(
                "<text x=\"{before}\" y=\"{middle:.1}\" text-anchor=\"end\">{label}</text>"
            ),
        );
    }
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    put(&mut text, format_args!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
    let mut line: Vec<&Point> = points.iter().filter(|point| point.is_on_line).collect();
    line.sort_by(|one, other| one.wasted.total_cmp(&other.wasted));
    let corners: Vec<String> =
        line.iter().map(|point| format!("{:.1},{:.1}", x(point.wasted), y(point.cold))).collect();
    put(&mut text, format_args!("<polyline class=\"line\" points=\"{}\"/>", corners.join(" ")));
    for point in points {
        let (x, y, name) = (x(point.wasted), y(point.cold), escaped(&point.name));
        let class = if point.is_on_line { "fixed" } else { "other" };
        let (beside, above) = (x + 8.0, y - 6.0);
        put(
            &mut text,
            format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>"),
        );
        put(&mut text, format_args!("<text x=\"{beside:.1}\" y=\"{above:.1}\">{name}</text>"));
    }
    let (middle_x, middle_y) = (LEFT + (right - LEFT) / 2.0, TOP + (bottom - TOP) / 2.0);
    let lowest = HEIGHT - 16.0;
    put(
        &mut text,
        format_args!(
            "<text x=\"{middle_x}\" y=\"{lowest}\" text-anchor=\"middle\">memory held for nobody (fixed:10m is 1)</text>"
        ),
    );
    put(
        &mut text,
        format_args!(
            "<text transform=\"translate(20 {middle_y}) rotate(-90)\" text-anchor=\"middle\">\
             cold starts of the third quartile's function, %</text>"
        ),
    );
    text + "</svg>\n"
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = writeln!(text, "{line}");
}

/// A mark's label, with no more digits than it has.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, wasted: f64, cold: f64) -> Point {
        Point { name: name.into(), wasted, cold, is_on_line: name.starts_with("fixed") }
    }

    #[test]
    fn each_policy_is_a_point_and_fixed_times_are_a_line() {
        let drawn = svg(&[
            point("fixed:1m", 0.2, 0.5),
            point("fixed:2h", 4.0, 0.1),
            point("<&>", 0.5, 0.1),
        ]);
        assert_eq!(drawn.matches("<circle").count(), 3);
        assert!(drawn.contains(">&lt;&amp;&gt;</text>"));
        // 4 of 4 is the right end, 0.5 of 0.5 the top.
        assert!(
            drawn.contains("<polyline class=\"line\" points=\"100.0,30.0 670.0,342.0\"/>"),
            "{drawn}"
        );
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        let drawn = svg(&[]);
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n") && !drawn.contains("NaN"));
        assert!(!svg(&[point("lru", 0.0, 0.0)]).contains("NaN"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        let marks = |largest| Axis::to(largest).marks().map(number).collect::<Vec<_>>().join(" ");
        assert_eq!(marks(5.5), "0 1 2 3 4 5 6");
        assert_eq!(marks(0.11), "0 0.02 0.04 0.06 0.08 0.1 0.12");
    }
}
