//! An HTML page of routing statistics.

use super::routing_facts::Facts;
use adamole::train::{Analysis, LinearAnalysis};
use adamole_chart::{Axis, Line, document, escaped, facts, heat_map, line_chart};
use std::collections::BTreeMap;

/// The page as HTML: what it is of, and for each benchmark the experts by layer, the thresholds and the load.
pub(super) fn page(analyses: &[Analysis], about: &Facts) -> String {
    let sections: String = analyses.iter().map(section).collect();
    document("Routing", "svg{margin:1em 0}", &(facts(about) + &sections))
}

fn section(analysis: &Analysis) -> String {
    let Analysis { benchmark, tokens, linears } = analysis;
    let projections = projections(linears);
    format!(
        "<h2>{}</h2>\n<p>{tokens} tokens. Rest the pointer on a point or a cell for its value.</p>\n{}",
        escaped(benchmark),
        [active_by_layer(&projections), thresholds(&projections), load_by_layer(linears)].map(scrolling).concat(),
    )
}

/// A chart that scrolls by itself where the page is narrow.
fn scrolling(chart: String) -> String {
    if chart.is_empty() { chart } else { format!("<div class=\"wide\">{chart}</div>\n") }
}

/// The linears of each projection, from the bottom; the projections in the order of the forward pass.
fn projections(linears: &[LinearAnalysis]) -> Vec<(&str, Vec<&LinearAnalysis>)> {
    let mut projections: Vec<(&str, Vec<&LinearAnalysis>)> = Vec::new();
    for linear in linears {
        match projections.iter_mut().find(|(name, _)| *name == linear.projection) {
            Some((_, of)) => of.push(linear),
            None => projections.push((&linear.projection, vec![linear])),
        }
    }
    projections
}

fn active_by_layer(projections: &[(&str, Vec<&LinearAnalysis>)]) -> String {
    let all = || projections.iter().flat_map(|(_, linears)| linears);
    let layers = all().map(|linear| linear.layer).max().unwrap_or(0).max(1) as f64;
    let experts = all().map(|linear| linear.num_experts).max().unwrap_or(0).max(1) as f64;
    let line = |(name, linears): &(&str, Vec<&LinearAnalysis>)| Line {
        name: (*name).to_owned(),
        points: linears.iter().map(|linear| (linear.layer as f64, linear.mean_active_experts)).collect(),
    };
    let lines: Vec<Line> = projections.iter().map(line).collect();
    let x = Axis { label: "layer".into(), max: layers, whole: true, ..Axis::default() };
    let y = Axis { label: "active experts per token (mean)".into(), max: experts, ..Axis::default() };
    line_chart("Active experts by layer", &x, &y, &lines)
}

/// Empty where no threshold is learned.
fn thresholds(projections: &[(&str, Vec<&LinearAnalysis>)]) -> String {
    let histograms = |linears: &[&LinearAnalysis]| -> Vec<(f64, Vec<u64>)> {
        let histograms = linears.iter().filter_map(|linear| linear.threshold_histogram.as_ref());
        histograms.map(|found| (found.edges.last().copied().unwrap_or(1.0), found.counts.clone())).collect()
    };
    let all: Vec<(f64, Vec<u64>)> = projections.iter().flat_map(|(_, linears)| histograms(linears)).collect();
    let Some((max, _)) = all.first() else { return String::new() };
    // Layers with different numbers of experts have different upper ends; the share of it is comparable.
    let (max, label) = match all.iter().all(|(other, _)| other == max) {
        true => (*max, "threshold (probability)"),
        false => (1.0, "threshold (share of its upper end)"),
    };
    let outline = |(name, linears): &(&str, Vec<&LinearAnalysis>)| {
        let mut counts: Vec<u64> = Vec::new();
        for (_, found) in histograms(linears) {
            counts.resize(counts.len().max(found.len()), 0);
            counts.iter_mut().zip(found).for_each(|(sum, count)| *sum += count);
        }
        let (sum, bins) = (counts.iter().sum::<u64>().max(1) as f64, counts.len().max(1) as f64);
        let steps = counts.iter().enumerate().flat_map(|(bin, count)| {
            let height = 100.0 * *count as f64 / sum;
            [(max * bin as f64 / bins, height), (max * (bin + 1) as f64 / bins, height)]
        });
        Line { name: (*name).to_owned(), points: steps.collect() }
    };
    let lines: Vec<Line> = projections.iter().map(outline).collect();
    let most = lines.iter().flat_map(|line| &line.points).map(|(_, height)| *height).fold(1.0, f64::max);
    let x = Axis { label: label.into(), max, ..Axis::default() };
    let y = Axis { label: "tokens (%)".into(), max: 1.05 * most, ..Axis::default() };
    line_chart("Learned thresholds by projection", &x, &y, &lines)
}

/// Each expert's share of all activations, the mean over the layer's linears.
fn load_by_layer(linears: &[LinearAnalysis]) -> String {
    let mut layers: BTreeMap<usize, Vec<&LinearAnalysis>> = BTreeMap::new();
    for linear in linears {
        layers.entry(linear.layer).or_default().push(linear);
    }
    let column = |(layer, linears): (usize, Vec<&LinearAnalysis>)| {
        let experts = linears.iter().map(|linear| linear.load.len()).max().unwrap_or(0);
        let share = |expert| {
            let shares = linears.iter().map(|linear| linear.load.get(expert).copied().unwrap_or(0.0));
            shares.sum::<f64>() / linears.len() as f64
        };
        (layer.to_string(), (0..experts).map(share).collect())
    };
    let columns: Vec<(String, Vec<f64>)> = layers.into_iter().map(column).collect();
    heat_map("Load of each expert by layer (% of the layer's activations)", "layer", "expert", &columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adamole::train::ThresholdHistogram;

    fn linear(layer: usize, projection: &str, learned: bool) -> LinearAnalysis {
        let histogram = ThresholdHistogram { edges: vec![0.0, 0.25, 0.5], counts: vec![3, 1] };
        LinearAnalysis {
            layer,
            projection: projection.into(),
            num_experts: 2,
            mean_active_experts: 1.5,
            active_histogram: vec![0, 2, 2],
            load: vec![0.75, 0.25],
            mean_threshold: learned.then_some(0.2),
            threshold_histogram: learned.then_some(histogram),
        }
    }

    #[test]
    fn a_page_draws_lines_and_cells_and_stands_alone() {
        let linears =
            |learned| vec![linear(0, "q_proj", learned), linear(0, "v_proj", learned), linear(1, "q_proj", learned)];
        let analysis = |learned| Analysis { benchmark: "a<b".into(), tokens: 4, linears: linears(learned) };
        let about = vec![("Base model", "a/base".to_owned()), ("Result", "accuracy 61.2 %".to_owned())];
        let page = page(&[analysis(true), analysis(false)], &about);
        assert!(page.find("accuracy 61.2 %") < page.find("<h2>"), "{page}");
        // Two projections in three charts of lines, of which one has points.
        assert_eq!((page.matches("<polyline").count(), page.matches("<circle").count()), (3 * 2, 2 * 3));
        assert_eq!((page.matches("<rect").count(), page.matches("<svg").count()), (2 * 4, 5), "{page}");
        assert!(page.contains("<h2>a&lt;b</h2>") && page.contains("layer 1, expert 0: 75.00 %"));
        assert!(
            !page.replace("http://www.w3.org/2000/svg", "").contains("http") && !page.contains("<script"),
            "the page stands alone"
        );
    }
}
