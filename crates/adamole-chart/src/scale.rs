//! Colours of numbers, and what they mean.

/// The colours from the lowest number to the highest: cividis (Nunez, Anderton and Renslow, 2018), which looks alike with and
/// without colour blindness.
const RAMP: [(u8, u8, u8); 6] =
    [(0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 184, 102), (254, 232, 56)];

/// The colours of numbers between the lowest and the highest of some data, so that data of any range has all colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    /// Whether numbers are below or above these.
    beyond: [bool; 2],
}

impl Scale {
    /// The scale of these numbers; those that are not finite are left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        Self::of_most(values, 0.0)
    }

    /// The same without this share of the numbers at either end, which have the colours of the ends: a few that are unlike
    /// all others do not take the colours from them.
    pub fn of_most(values: impl IntoIterator<Item = f64>, share: f64) -> Self {
        let mut all: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        let skipped = (share.clamp(0.0, 0.5) * all.len().saturating_sub(1) as f64).round() as usize;
        let (first, last) = (all.first(), all.last());
        let (low, high) = (all.get(skipped), all.iter().rev().nth(skipped));
        let beyond = [low != first, high != last];
        Self { low: low.copied().unwrap_or(0.0), high: high.copied().unwrap_or(0.0), beyond }
    }

    /// The numbers that have the first and the last colour.
    pub fn range(self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// The background of a number, and the colour of text on it. The middle colour where all numbers are the same.
    pub fn colours(self, value: f64) -> (String, &'static str) {
        let width = self.high - self.low;
        shade(if width > 0.0 { (value - self.low) / width } else { 0.5 })
    }

    /// The scale as a paragraph of HTML: `what` it is of, its ends as `shown`, and the colours between them. It says where
    /// numbers are beyond an end.
    pub fn legend(self, what: &str, shown: impl Fn(f64) -> String) -> String {
        let stops: Vec<String> = RAMP.iter().map(|(red, green, blue)| format!("rgb({red} {green} {blue})")).collect();
        let beyond = |is_beyond: bool, sign: &'static str| if is_beyond { sign } else { "" };
        let ends = [(self.low, beyond(self.beyond[0], "at most ")), (self.high, beyond(self.beyond[1], "at least "))];
        let ends = ends.map(|(end, sign)| crate::escaped(&format!("{sign}{}", shown(end))));
        format!(
            "<p class=\"scale\">{}: {} <span style=\"background:linear-gradient(to right,{})\"></span> {}</p>\n",
            crate::escaped(what),
            ends[0],
            stops.join(","),
            ends[1],
        )
    }
}

/// The background and text colour for a share in `[0, 1]`.
fn shade(share: f64) -> (String, &'static str) {
    let place = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let (low, rest) = (place as usize, place.fract());
    let (from, to) = (RAMP[low], RAMP[(low + 1).min(RAMP.len() - 1)]);
    let mix = |from: u8, to: u8| (f64::from(from) * (1.0 - rest) + f64::from(to) * rest).round() as u8;
    let (red, green, blue) = (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2));
    (format!("#{red:02x}{green:02x}{blue:02x}"), if place > 2.5 { "#000" } else { "#fff" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_and_the_highest_number_have_the_ends_of_the_colours() {
        let scale = Scale::of([0.13, 0.12, f64::NAN, 0.125]);
        assert_eq!(scale.range(), (0.12, 0.13));
        assert_eq!(scale.colours(0.12), ("#00224e".into(), "#fff"));
        assert_eq!(scale.colours(0.13), ("#fee838".into(), "#000"));
        let legend = scale.legend("load", |value| format!("{value:.2}"));
        assert!(legend.starts_with("<p class=\"scale\">load: 0.12 <span") && legend.ends_with("</span> 0.13</p>\n"));
    }

    #[test]
    fn a_number_unlike_all_others_does_not_take_the_colours_from_them() {
        let numbers = (0..20).map(f64::from).chain([1000.0]);
        let scale = Scale::of_most(numbers, 0.05);
        assert_eq!(scale.range(), (1.0, 19.0));
        assert_eq!((scale.colours(1000.0), scale.colours(0.0)), (scale.colours(19.0), scale.colours(1.0)));
        let legend = scale.legend("n", |value| value.to_string());
        assert!(legend.contains("n: at most 1 <span") && legend.contains("</span> at least 19<"), "{legend}");
        assert_eq!(Scale::of_most([2.0, 3.0], 0.05), Scale::of([3.0, 2.0]));
    }

    #[test]
    fn equal_numbers_have_the_middle_colour() {
        assert_eq!(Scale::of([2.0, 2.0]).colours(2.0), shade(0.5));
        assert_eq!(Scale::of([]).range(), (0.0, 0.0));
    }
}
