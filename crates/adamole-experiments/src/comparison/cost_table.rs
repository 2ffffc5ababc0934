//! What each method costs, in a comparison's report.

use super::{costs::Cost, markdown::Parts};
use crate::{
    outcome::Outcome,
    results::{mean, median},
    table::row_of,
};

impl Parts<'_> {
    /// The reported results of a method.
    fn outcomes<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Outcome> {
        let cells = self.results.cells.iter().filter(move |planned| planned.cell.key.method == method);
        cells.filter_map(|planned| planned.outcome())
    }

    pub(super) fn costs(&self) -> String {
        let header = [
            "trained parameters",
            "MFLOP a token of training",
            "active experts",
            "step of 16 x 64 tokens",
            "peak memory",
            "decode of a token",
        ];
        let mut out = format!(
            "\n## Cost\n\nParameters and operations are counted, and active experts are those of the chosen epochs on the items that \
             chose them. Times and memory are measured apart, on a machine that does nothing else (`--measure`), of all methods in turn: \
             the median of the rounds, with the smallest and the largest. Those of a chain of LoRA are of one link.\n\n{}\n|---|{}\n",
            row_of("method", &header.map(str::to_owned)),
            "---:|".repeat(header.len())
        );
        for method in self.comparison.rows() {
            let first = self.outcomes(&method).next();
            let active: Vec<f64> = self
                .outcomes(&method)
                .filter_map(|outcome| outcome.numbers()?.training.as_ref()?.mean_active_experts)
                .collect();
            let cost = self.costs.get(&method);
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
            let measured = |show: &dyn Fn(&Cost) -> Option<String>| {
                cost.map_or_else(|| "not measured".into(), |cost| or_dash(show(cost)))
            };
            let gibibytes = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
            let cells = [
                or_dash(first.map(|outcome| outcome.trainable_parameters.to_string())),
                or_dash(first.and_then(|outcome| outcome.operations_per_token).map(|it| format!("{:.0}", it / 1e6))),
                or_dash((!active.is_empty()).then(|| format!("{:.2}", mean(&active)))),
                measured(&|cost| Some(rounds(&cost.seconds_per_step, 1.0, 2, "s"))),
                measured(&|cost| cost.peak_memory_bytes.map(gibibytes)),
                measured(&|cost| Some(rounds(&cost.seconds_per_decoded_token, 1e3, 1, "ms"))),
            ];
            out += &format!("{}\n", row_of(&self.name(&method), &cells));
        }
        out
    }
}

/// The median of seconds with their range, as multiples of `1 / factor`.
fn rounds(seconds: &[f64], factor: f64, digits: usize, unit: &str) -> String {
    let shown = |value: f64| format!("{:.digits$}", factor * value);
    let extreme = |pick: fn(f64, f64) -> f64| shown(seconds.iter().copied().fold(f64::NAN, pick));
    format!("{} {unit} ({} to {})", shown(median(seconds)), extreme(f64::min), extreme(f64::max))
}
