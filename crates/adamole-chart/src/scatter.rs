//! Named points with error bars as SVG.

use crate::{
    chart::{ABOVE, HEIGHT, LEFT, WIDTH, round_step, svg, text},
    page::{COLOURS, escaped},
};

/// A named point with the interval of its y.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The name beside it.
    pub name: String,
    /// From left to right.
    pub x: f64,
    /// From bottom to top.
    pub y: f64,
    /// The ends of the bar through the point.
    pub interval: (f64, f64),
}

/// How far apart the lines of the names are, unless there are too many for that.
const PITCH: f64 = 16.0;

/// Points as an SVG element, which is a valid file too. The axes end a little beyond the points and need not start at 0.
/// The names are beside the plot in the order of the points' heights, each with a line to its point.
pub fn scatter(title: &str, x_label: &str, y_label: &str, points: &[Point]) -> String {
    let (x_from, x_to) = range(points.iter().map(|point| point.x));
    let (y_from, y_to) = range(points.iter().flat_map(|point| [point.interval.0, point.y, point.interval.1]));
    let across = |value: f64| LEFT + WIDTH * (value - x_from) / (x_to - x_from);
    let up = |value: f64| ABOVE + HEIGHT * (1.0 - (value - y_from) / (y_to - y_from));
    let mut drawn = String::new();
    for value in ticks(y_from, y_to) {
        let at = up(value);
        drawn += &format!("<path d=\"M{LEFT} {at:.1}h{WIDTH}\" stroke=\"currentColor\" stroke-opacity=\"0.15\"/>");
        drawn += &text(LEFT - 6.0, at + 4.0, "end", &number(value));
    }
    for value in ticks(x_from, x_to) {
        let at = across(value);
        drawn += &format!("<path d=\"M{at:.1} {}v5\" stroke=\"currentColor\" stroke-opacity=\"0.6\"/>", ABOVE + HEIGHT);
        drawn += &text(at, ABOVE + HEIGHT + 18.0, "middle", &number(value));
    }
    let right = LEFT + WIDTH;
    let name_heights = apart(&points.iter().map(|point| up(point.y)).collect::<Vec<_>>());
    for ((point, name_height), colour) in points.iter().zip(name_heights).zip(COLOURS.iter().cycle()) {
        let (x, y, name) = (across(point.x), up(point.y), escaped(&point.name));
        let (low, high) = (up(point.interval.0), up(point.interval.1));
        drawn += &format!(
            "<path d=\"M{x:.1} {y:.1}L{right} {name_height:.1}h10\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.6\"/>\
             <path d=\"M{x:.1} {low:.1}V{high:.1}\" stroke=\"{colour}\" stroke-opacity=\"0.5\" stroke-width=\"3\"/><circle cx=\"{x:.1}\" \
             cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"><title>{name}: {}, {}</title></circle>\n",
            number(point.x),
            number(point.y),
        );
        drawn += &text(right + 14.0, name_height + 4.0, "start", &point.name);
    }
    svg(title, x_label, y_label, (WIDTH, HEIGHT), &drawn)
}

/// These heights in pixels, moved so that none is within a pitch of the next and all are beside the plot. They keep their order.
fn apart(heights: &[f64]) -> Vec<f64> {
    let pitch = PITCH.min(HEIGHT / heights.len() as f64);
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|a, b| heights[*a].total_cmp(&heights[*b]));
    let mut moved = heights.to_vec();
    let mut free_from = ABOVE;
    for place in &order {
        moved[*place] = moved[*place].max(free_from);
        free_from = moved[*place] + pitch;
    }
    let mut free_to = ABOVE + HEIGHT;
    for place in order.iter().rev() {
        moved[*place] = moved[*place].min(free_to);
        free_to = moved[*place] - pitch;
    }
    moved
}

/// The range of the values with a margin of a twentieth; of a single value one around it.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    match high - low {
        width if width > 0.0 => (low - width / 20.0, high + width / 20.0),
        0.0 => (low - 0.5 * low.abs().max(1.0), high + 0.5 * high.abs().max(1.0)),
        _ => (0.0, 1.0),
    }
}

/// About six round numbers of a range.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let step = round_step(to - from);
    let first = (from / step).ceil() as i64;
    let last = (to / step).floor() as i64;
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// A number without the tail of a sum.
fn number(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, x: f64, y: f64) -> Point {
        Point { name: name.into(), x, y, interval: (y - 1.0, y + 1.0) }
    }

    #[test]
    fn points_lie_within_the_axes_and_have_their_names() {
        let svg = scatter("both", "cost", "accuracy", &[point("a < b", 2.0, 60.0), point("c", 2.2, 70.0)]);
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(">c</text>"), "{svg}");
        // A twentieth of the width from either end.
        assert!(svg.contains("cx=\"85.5\"") && svg.contains("cx=\"594.5\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn names_of_points_at_one_height_do_not_lie_on_each_other() {
        assert_eq!(apart(&[100.0, 101.0, 200.0, 100.5]), [100.0, 132.0, 200.0, 116.0]);
        // Those at the lower end move up.
        assert_eq!(apart(&[269.0, 270.0]), [254.0, 270.0]);
        let crowded = apart(&[150.0; 48]);
        let ends = crowded.iter().fold((f64::MAX, f64::MIN), |(low, high), y| (low.min(*y), high.max(*y)));
        assert!(ends.0 >= ABOVE && ends.1 <= ABOVE + HEIGHT, "{ends:?}");
        assert!(apart(&[]).is_empty());
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(ticks(58.4, 71.6), [60.0, 65.0, 70.0]);
        assert_eq!(ticks(1.99, 2.21).len(), 5);
        assert_eq!(range([3.0, 5.0].into_iter()), (2.9, 5.1));
        assert_eq!(range([4.0].into_iter()), (2.0, 6.0));
        assert_eq!(range(std::iter::empty()), (0.0, 1.0));
    }
}
