//! Charts as SVG.

use crate::page::{COLOURS, escaped};

/// The size of the plot area in pixels.
pub(crate) const WIDTH: f64 = 560.0;
pub(crate) const HEIGHT: f64 = 240.0;
/// The margins for ticks and labels.
pub(crate) const LEFT: f64 = 60.0;
const BELOW: f64 = 50.0;
pub(crate) const ABOVE: f64 = 30.0;
/// The margin for the legend.
const RIGHT: f64 = 160.0;

/// An axis that starts at 0.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// The label, with the unit.
    pub label: String,
    /// The end of the axis.
    pub max: f64,
    /// Whether the axis has whole numbers only.
    pub whole: bool,
    /// The names of 0, 1 and so on, if the axis has names in place of numbers.
    pub names: Vec<String>,
}

/// A line through points.
#[derive(Debug, Clone)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// The points from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Several line charts with headings, one below the other, with the same axes, as one SVG element.
pub fn line_panels(title: &str, x_axis: &Axis, y_axis: &Axis, panels: &[(String, Vec<Line>)]) -> String {
    const TITLE: f64 = 24.0;
    const PANEL: f64 = ABOVE + HEIGHT + BELOW + 10.0;
    let drawn = panels.iter().enumerate().map(|(place, (heading, lines))| {
        let at = TITLE + PANEL * place as f64;
        format!("<g transform=\"translate(0 {at})\">\n{}</g>\n", line_chart(heading, x_axis, y_axis, lines))
    });
    let (width, height) = (LEFT + WIDTH + RIGHT, TITLE + PANEL * panels.len() as f64);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"currentColor\" role=\"img\">\n<text x=\"8\" y=\"16\" font-size=\"15\" \
         font-weight=\"bold\">{}</text>\n{}</svg>\n",
        escaped(title),
        drawn.collect::<String>(),
    )
}

/// A line chart with a legend as an SVG element, which is a valid file too. Up to seven lines have different colours.
pub fn line_chart(title: &str, x_axis: &Axis, y_axis: &Axis, lines: &[Line]) -> String {
    let across = |value: f64| LEFT + WIDTH * value / x_axis.max;
    let up = |value: f64| ABOVE + HEIGHT * (1.0 - value / y_axis.max);
    let mut drawn = String::new();
    for (value, name) in ticks(y_axis) {
        let at = up(value);
        drawn += &format!("<path d=\"M{LEFT} {at:.1}h{WIDTH}\" stroke=\"currentColor\" stroke-opacity=\"0.15\"/>");
        drawn += &text(LEFT - 6.0, at + 4.0, "end", &name);
    }
    for (value, name) in ticks(x_axis) {
        let at = across(value);
        drawn += &format!("<path d=\"M{at:.1} {}v5\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>", ABOVE + HEIGHT);
        drawn += &text(at, ABOVE + HEIGHT + 18.0, "middle", &name);
    }
    for (place, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<String> = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
        let name = escaped(&line.name);
        drawn += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"><title>{name}</title>\
             </polyline>\n",
            points.join(" ")
        );
        for (point, (x, y)) in points.iter().zip(&line.points).filter(|_| x_axis.whole) {
            let (cx, cy) = point.split_once(',').unwrap_or_default();
            drawn += &format!(
                "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3.5\" fill=\"{colour}\"><title>{name}, {}: {y:.3}</title>\
                 </circle>",
                place_name(x_axis, *x),
            );
        }
        let at = ABOVE + 10.0 + 20.0 * place as f64;
        drawn += &format!("<path d=\"M{} {at}h20\" stroke=\"{colour}\" stroke-width=\"3\"/>", LEFT + WIDTH + 14.0);
        drawn += &text(LEFT + WIDTH + 40.0, at + 4.0, "start", &line.name);
    }
    svg(title, &x_axis.label, &y_axis.label, (WIDTH, HEIGHT), &drawn)
}

/// The SVG element with title and axis labels.
pub(crate) fn svg(title: &str, x_label: &str, y_label: &str, (width, height): (f64, f64), drawn: &str) -> String {
    let (right, below) = (LEFT + width, ABOVE + height);
    let (all, high, middle) = (right.max(LEFT + 400.0) + RIGHT, below + BELOW, ABOVE + height / 2.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all:.0}\" height=\"{high:.0}\" \
         viewBox=\"0 0 {all:.0} {high:.0}\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"currentColor\" role=\"img\">\n\
         <text x=\"{LEFT}\" y=\"16\" font-size=\"14\" font-weight=\"bold\">{}</text>\n{drawn}\
         <path d=\"M{LEFT} {ABOVE}V{below:.1}H{right:.1}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>\n{}\
         <text x=\"16\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle:.1})\">{}</text>\n\
         </svg>\n",
        escaped(title),
        text(LEFT + width / 2.0, below + 38.0, "middle", x_label),
        escaped(y_label),
    )
}

pub(crate) fn text(x: f64, y: f64, anchor: &str, content: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n", escaped(content))
}

/// The name of a value on an axis, or its number.
fn place_name(axis: &Axis, value: f64) -> String {
    axis.names.get(value as usize).cloned().unwrap_or_else(|| value.to_string())
}

/// About six round numbers along an axis, or all of its names.
fn ticks(axis: &Axis) -> Vec<(f64, String)> {
    if !axis.names.is_empty() {
        return axis.names.iter().enumerate().map(|(place, name)| (place as f64, name.clone())).collect();
    }
    let step = round_step(axis.max).max(if axis.whole { 1.0 } else { 0.0 });
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let count = (axis.max / step + 1e-9) as usize;
    (0..=count).map(|tick| (tick as f64 * step, format!("{:.decimals$}", tick as f64 * step))).collect()
}

/// The step between about six round numbers along an axis of this length.
pub(crate) fn round_step(length: f64) -> f64 {
    let raw = length / 6.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw * 0.999);
    step.unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_their_headings_and_share_their_axes() {
        let axis = Axis { max: 2.0, whole: true, ..Axis::default() };
        let line = |top| Line { name: "q".into(), points: vec![(0.0, 0.0), (2.0, top)] };
        let panels = [("one".to_owned(), vec![line(1.0)]), ("two".to_owned(), vec![line(2.0)])];
        let svg = line_panels("both", &axis, &axis, &panels);
        assert_eq!(svg.matches("<svg").count(), 3);
        assert!(["both", "one", "two"].iter().all(|heading| svg.contains(&format!(">{heading}</text>"))), "{svg}");
        // Half of the height in the first, all of it in the second.
        assert!(svg.contains("620.0,150.0") && svg.contains("620.0,30.0"), "{svg}");
    }

    #[test]
    fn ticks_are_round_numbers() {
        let names = |max, whole| -> Vec<String> {
            ticks(&Axis { max, whole, ..Axis::default() }).into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names(0.125, false), ["0.00", "0.05", "0.10"]);
        assert_eq!(names(3.0, true), ["0", "1", "2", "3"]);
        assert_eq!(names(8.0, false), ["0", "2", "4", "6", "8"]);
        let named = Axis { max: 1.0, names: vec!["low".into(), "high".into()], ..Axis::default() };
        assert_eq!(ticks(&named), [(0.0, "low".to_owned()), (1.0, "high".to_owned())]);
    }
}
