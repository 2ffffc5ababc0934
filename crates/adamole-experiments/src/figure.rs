//! The figures: active experts by layer, a panel for each benchmark.

use crate::{
    experiment::{Column, Experiment, Kind},
    outcome::Linear,
    planned::Planned,
    results::{Results, mean},
};
use adamole_chart::{Axis, Line, line_panels};

/// The panel of one benchmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    pub(crate) benchmark: String,
    pub(crate) title: String,
    pub(crate) curves: Vec<Curve>,
}

/// Active experts of one projection or of one gating.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// The row's method.
    pub(crate) method: String,
    /// `None` for the mean over projections.
    pub(crate) projection: Option<String>,
    /// Layer and active experts, in the mean over seeds; empty without results.
    pub(crate) points: Vec<(u64, f64)>,
    pub(crate) cells: Vec<String>,
}

/// The panels of a figure.
pub(crate) fn panels(results: &Results<'_>, experiment: &Experiment) -> Vec<Panel> {
    let panel = |column: &Column| {
        let of_row = |row: &String| {
            let cells = results.of_entry(experiment, column, row);
            let ids: Vec<String> = cells.iter().map(|planned| planned.cell.key.id()).collect();
            let curve = |projection: Option<String>| Curve {
                method: row.clone(),
                points: of_layers(&cells, projection.as_deref()),
                projection,
                cells: ids.clone(),
            };
            match experiment.kind {
                Kind::Projections => projections(&cells).into_iter().map(|name| curve(Some(name))).collect(),
                Kind::Gatings | Kind::Table => vec![curve(None)],
            }
        };
        Panel {
            benchmark: column.benchmark.clone(),
            title: results.definitions.benchmark_title(&column.benchmark).to_owned(),
            curves: experiment.rows.iter().flat_map(of_row).collect::<Vec<Curve>>(),
        }
    };
    experiment.columns.iter().map(panel).collect()
}

/// The figure as SVG; `None` without results.
pub(crate) fn svg(results: &Results<'_>, experiment: &Experiment) -> Option<String> {
    let panels = panels(results, experiment);
    let drawn: Vec<(String, Vec<Line>)> = panels
        .iter()
        .map(|panel| {
            let lines = panel.curves.iter().filter(|curve| !curve.points.is_empty());
            let line = |curve: &Curve| Line {
                name: curve.projection.clone().unwrap_or_else(|| gating(results, &curve.method)),
                points: curve.points.iter().map(|(layer, active)| (*layer as f64, *active)).collect(),
            };
            let lines: Vec<Line> = lines.map(line).collect();
            (if lines.is_empty() { format!("{}: not run", panel.title) } else { panel.title.clone() }, lines)
        })
        .collect();
    let points = || panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
    let last = points().map(|(layer, _)| *layer).max()?;
    let most = points().map(|(_, active)| *active).fold(0.0, f64::max);
    let x = Axis { label: "layer".into(), max: last.max(1) as f64, whole: true, ..Axis::default() };
    let y = Axis { label: "active experts (mean)".into(), max: most.ceil().max(1.0), ..Axis::default() };
    Some(line_panels(&format!("{}: {}", experiment.name(), experiment.caption), &x, &y, &drawn))
}

fn gating(results: &Results<'_>, method: &str) -> String {
    results.definitions.methods.get(method).map_or_else(|| method.to_owned(), |known| known.gating_title())
}

fn linears<'a>(cells: &'a [&Planned]) -> impl Iterator<Item = &'a Linear> {
    let training = cells.iter().filter_map(|planned| planned.outcome()?.numbers()?.training.as_ref());
    training.flat_map(|training| &training.linears)
}

/// The projections in the order of the forward pass.
fn projections(cells: &[&Planned]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for linear in linears(cells) {
        if !names.contains(&linear.projection) {
            names.push(linear.projection.clone());
        }
    }
    names
}

/// Layer and active experts, in the mean over seeds, and over projections if none is given.
pub(crate) fn of_layers(cells: &[&Planned], projection: Option<&str>) -> Vec<(u64, f64)> {
    let of_projection: Vec<&Linear> =
        linears(cells).filter(|linear| projection.is_none_or(|name| linear.projection == name)).collect();
    means(&of_projection)
}

fn means(linears: &[&Linear]) -> Vec<(u64, f64)> {
    let layers = linears.iter().map(|linear| linear.layer).max().map_or(0, |last| last + 1);
    let of_layer = |layer: u64| {
        let active = linears.iter().filter(|linear| linear.layer == layer).map(|linear| linear.mean_active_experts);
        let active: Vec<f64> = active.collect();
        (!active.is_empty()).then(|| (layer, mean(&active)))
    };
    (0..layers).filter_map(of_layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_means_over_the_linears_of_a_layer() {
        let linear = |layer, projection: &str, active| Linear {
            layer,
            projection: projection.into(),
            mean_active_experts: active,
            mean_threshold: None,
        };
        // Two seeds of two layers.
        let linears = [
            linear(0, "q_proj", 2.0),
            linear(1, "q_proj", 3.0),
            linear(0, "q_proj", 4.0),
            linear(1, "q_proj", 5.0),
            linear(3, "v_proj", 1.0),
        ];
        assert_eq!(means(&linears.iter().collect::<Vec<_>>()), [(0, 3.0), (1, 4.0), (3, 1.0)]);
    }
}
