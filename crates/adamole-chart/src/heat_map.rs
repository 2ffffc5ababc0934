//! Heat maps as SVG.

use crate::{
    Scale,
    chart::{ABOVE, HEIGHT, LEFT, WIDTH, svg, text},
};

/// Steps of colour in the legend.
const STEPS: usize = 24;

/// A heat map of shares as an SVG element, with columns from left to right and rows from the bottom. A cell may be absent. The
/// colours go from the lowest share to the highest, and a legend says which these are.
pub fn heat_map(title: &str, x_label: &str, y_label: &str, columns: &[(String, Vec<f64>)]) -> String {
    let rows = columns.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let scale = Scale::of(columns.iter().flat_map(|(_, cells)| cells).copied());
    let (width, height) = (WIDTH / columns.len().max(1) as f64, (HEIGHT / rows.max(1) as f64).max(18.0));
    let (width, below) = (width.clamp(26.0, 60.0), ABOVE + height * rows as f64);
    // A narrow range needs another digit.
    let decimals = if scale.range().1 - scale.range().0 < 0.1 { 1 } else { 0 };
    let mut drawn = String::new();
    for (column, (name, cells)) in columns.iter().enumerate() {
        let left = LEFT + width * column as f64;
        drawn += &text(left + width / 2.0, below + 18.0, "middle", name);
        for (row, share) in cells.iter().enumerate() {
            let top = below - height * (row + 1) as f64;
            let (background, ink) = scale.colours(*share);
            let percent = 100.0 * share;
            drawn += &format!(
                "<g fill=\"{ink}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
                 fill=\"{background}\"/><title>{x_label} {name}, {y_label} {row}: {percent:.2} %</title>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\">{percent:.decimals$}</text></g>\n",
                left + width / 2.0,
                top + height / 2.0 + 4.0,
            );
        }
    }
    for row in 0..rows {
        drawn += &text(LEFT - 6.0, below - height * (row as f64 + 0.5) + 4.0, "end", &row.to_string());
    }
    let across = width * columns.len() as f64;
    drawn += &legend(scale, LEFT + across + 10.0, height * rows as f64);
    svg(title, x_label, y_label, (across, height * rows as f64), &drawn)
}

/// The colours from the lowest share, at the bottom, to the highest.
fn legend(scale: Scale, left: f64, height: f64) -> String {
    let (low, high) = scale.range();
    let step = height / STEPS as f64;
    let colour = |place: usize| {
        let value = low + (high - low) * place as f64 / (STEPS - 1) as f64;
        let top = ABOVE + height - step * (place + 1) as f64;
        // Half a pixel more, against lines between them.
        format!("<path d=\"M{left:.1} {top:.1}h12v{:.1}h-12z\" fill=\"{}\"/>", step + 0.5, scale.colours(value).0)
    };
    let named =
        |y: f64, what: &str, share: f64| text(left + 17.0, y, "start", &format!("{what} {:.1} %", 100.0 * share));
    (0..STEPS).map(colour).collect::<String>()
        + "\n"
        + &named(ABOVE + 10.0, "highest", high)
        + &named(ABOVE + height - 2.0, "lowest", low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_use_all_colours_and_the_legend_says_of_what() {
        let columns = [("0".to_owned(), vec![0.12, 0.13]), ("1".to_owned(), vec![0.125])];
        let svg = heat_map("load", "layer", "expert", &columns);
        assert_eq!(svg.matches("<rect").count(), 3);
        let of_cells = |colour: &str| svg.contains(&format!("fill=\"{colour}\"/><title>"));
        assert!(of_cells("#00224e") && of_cells("#fee838"), "{svg}");
        assert!(svg.contains(">lowest 12.0 %</text>") && svg.contains(">highest 13.0 %</text>"), "{svg}");
        assert!(svg.contains(">12.5</text>") && svg.contains("layer 1, expert 0: 12.50 %"), "{svg}");
    }
}
