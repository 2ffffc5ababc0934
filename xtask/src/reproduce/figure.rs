//! The figures, as SVG.

use super::{
    definition::{Experiment, Kind},
    outcome::Linear,
    results::{Results, mean},
};
use adamole_chart::{Axis, Line, line_chart};

/// The drawing of a figure; `None` while it has no results.
pub(crate) fn svg(results: &Results<'_>, experiment: &Experiment) -> Option<String> {
    let routed: Vec<(String, Vec<Linear>)> = experiment
        .rows
        .iter()
        .filter_map(|row| {
            let benchmark = experiment.benchmarks.first()?;
            let cells = results.of_row(experiment, benchmark, &row.method);
            let training = cells.iter().filter_map(|planned| planned.outcome()?.numbers()?.training.as_ref());
            let linears: Vec<Linear> = training.flat_map(|training| training.linears.clone()).collect();
            let label = row.label.clone().unwrap_or_else(|| row.method.clone());
            (!linears.is_empty()).then_some((label, linears))
        })
        .collect();
    let projections = projections(&routed);
    let by_layer = experiment.kind == Kind::Layers;
    let lines: Vec<Line> = projections
        .iter()
        .map(|projection| Line {
            name: projection.clone(),
            points: if by_layer { of_layers(&routed, projection) } else { of_rows(&routed, projection) },
        })
        .collect();
    let most = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(0.0, f64::max);
    let last = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(0.0, f64::max);
    if routed.is_empty() {
        return None;
    }
    let names = if by_layer { Vec::new() } else { routed.iter().map(|(label, _)| label.clone()).collect() };
    let label = experiment.axis.clone().unwrap_or_else(|| "layer".into());
    let x = Axis { label, max: last.max(1.0), whole: true, names };
    let y = Axis { label: "active experts per token (mean)".into(), max: most.ceil().max(1.0), ..Axis::default() };
    Some(line_chart(&format!("{}: {}", experiment.name(), experiment.title), &x, &y, &lines))
}

/// In the order of the forward pass.
fn projections(routed: &[(String, Vec<Linear>)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for linear in routed.iter().flat_map(|(_, linears)| linears) {
        if !names.contains(&linear.projection) {
            names.push(linear.projection.clone());
        }
    }
    names
}

/// Layer and active experts, the mean over seeds.
fn of_layers(routed: &[(String, Vec<Linear>)], projection: &str) -> Vec<(f64, f64)> {
    let linears = || routed.iter().flat_map(|(_, linears)| linears).filter(|linear| linear.projection == projection);
    let layers = linears().map(|linear| linear.layer).max().map_or(0, |last| last + 1);
    (0..layers)
        .filter_map(|layer| {
            let of_layer = linears().filter(|linear| linear.layer == layer);
            let active: Vec<f64> = of_layer.map(|linear| linear.mean_active_experts).collect();
            (!active.is_empty()).then(|| (layer as f64, mean(&active)))
        })
        .collect()
}

/// Place of the row and active experts, the mean over layers and seeds.
fn of_rows(routed: &[(String, Vec<Linear>)], projection: &str) -> Vec<(f64, f64)> {
    let row = |(place, (_, linears)): (usize, &(String, Vec<Linear>))| {
        let of_projection = linears.iter().filter(|linear| linear.projection == projection);
        let active: Vec<f64> = of_projection.map(|linear| linear.mean_active_experts).collect();
        (place as f64, mean(&active))
    };
    routed.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_means_over_seeds_and_layers() {
        let linear = |layer, projection: &str, active| Linear {
            layer,
            projection: projection.into(),
            mean_active_experts: active,
            mean_threshold: None,
        };
        // Two seeds of two layers.
        let linears = vec![
            linear(0, "q_proj", 2.0),
            linear(1, "q_proj", 3.0),
            linear(0, "q_proj", 4.0),
            linear(1, "q_proj", 5.0),
            linear(0, "v_proj", 1.0),
        ];
        let routed = vec![("1/N".to_owned(), linears)];
        assert_eq!(projections(&routed), ["q_proj", "v_proj"]);
        assert_eq!(of_layers(&routed, "q_proj"), [(0.0, 3.0), (1.0, 4.0)]);
        assert_eq!(of_rows(&routed, "q_proj"), [(0.0, 3.5)]);
    }
}
