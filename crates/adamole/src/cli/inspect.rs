//! `adamole inspect`: the number of active experts of each token of a text, layer by layer.

use super::{
    Failure,
    inputs::{Base, warn_beyond_positions},
    inspect_page::page,
    output::{Format, print},
    routing_facts,
    token_texts::{TokenText, token_texts},
    weights::WeightFlags,
};
use adamole::{
    device,
    llama::write_atomically,
    train::{CollatedBatch, Trace, trace},
};
use clap::Args;
use serde::{Serialize, Serializer};
use std::{
    io::{IsTerminal, stdout},
    path::PathBuf,
};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole inspect runs/copa --model HuggingFaceTB/SmolLM2-135M --text 'The rope was cut.'
  adamole inspect runs/copa --model HuggingFaceTB/SmolLM2-135M --text 'It was cut.' --html a.html";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArguments {
    /// Adapter: its folder, a run directory, or org/name[@revision] on the hub
    adapter: String,
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: String,
    /// Text to inspect
    #[arg(long)]
    text: String,
    /// Also write an HTML page without external files
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    weights: WeightFlags,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The active experts of a text.
#[derive(Debug, Serialize)]
pub(crate) struct Inspection {
    /// Layers with routed linears, from the bottom.
    pub(crate) layers: Vec<usize>,
    /// The largest number of experts of a linear.
    pub(crate) experts: usize,
    pub(crate) tokens: Vec<Token>,
}

/// One token of the text.
#[derive(Debug, Serialize)]
pub(crate) struct Token {
    /// The token as the vocabulary writes it.
    pub(crate) token: String,
    /// The same as text.
    #[serde(serialize_with = "as_text")]
    pub(crate) text: TokenText,
    /// Its active experts in each layer.
    pub(crate) layers: Vec<Cell>,
}

/// The active experts of one token in one layer.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Cell {
    /// The number of active experts: the mean over the layer's linears.
    pub(crate) active: f64,
    /// The mean threshold, where one is learned.
    pub(crate) threshold: Option<f64>,
    /// The number of active experts on each linear, by its name.
    pub(crate) linears: Vec<(String, usize)>,
}

impl Token {
    /// Its active experts, the mean over the layers.
    pub(crate) fn mean(&self) -> f64 {
        self.layers.iter().map(|cell| cell.active).sum::<f64>() / self.layers.len().max(1) as f64
    }
}

fn as_text<S: Serializer>(text: &TokenText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.text)
}

pub(crate) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let device = device::open(&arguments.device)?;
    let mut base = Base::load(&arguments.model, arguments.weights, &device)?;
    base.adapt(&arguments.adapter)?;
    let ids = base.encode_text(&arguments.text)?;
    warn_beyond_positions(base.model.config(), std::iter::once(ids.len()));
    let batch = CollatedBatch {
        ids: ids.iter().map(|id| i64::from(*id)).collect(),
        attention_mask: vec![1; ids.len()],
        labels: None,
        rows: 1,
        padding_counts: false,
    };
    let trace = trace(&base.model, batch.on_device(base.model.config().vocab_size, &device)?, 0.0);
    super::trace::check_scores(&trace)?;
    let texts = token_texts(&base.tokenizer, &ids)?;
    let inspection = inspect(base.tokenizer.names(&ids).into_iter().zip(texts), &trace);
    if inspection.layers.is_empty() {
        return Err(Failure::Usage(format!("{} has no router, so no expert is inactive", arguments.adapter)));
    }
    if let Some(path) = &arguments.html {
        let mut about = routing_facts::of_model(&arguments.model, Some(&arguments.adapter), &base.model);
        about.push(("Text", format!("{} tokens", ids.len())));
        let mean = inspection.tokens.iter().map(Token::mean).sum::<f64>() / ids.len().max(1) as f64;
        about.push(("Result", format!("{mean:.2} of {} experts active for a token in a layer", inspection.experts)));
        write_atomically(path, page(&inspection, &about).as_bytes())?;
    }
    print(arguments.format, &inspection, || table(&inspection, stdout().is_terminal()))
}

fn inspect(tokens: impl Iterator<Item = (String, TokenText)>, trace: &Trace) -> Inspection {
    let mut layers: Vec<usize> = trace.layers.iter().filter_map(|layer| layer_of(&layer.module)).collect();
    layers.dedup();
    let none = vec![Cell::default(); layers.len()];
    let token = |(token, text)| Token { token, text, layers: none.clone() };
    let mut tokens: Vec<Token> = tokens.map(token).collect();
    let mut experts = 0;
    for layer in &trace.layers {
        let Some(column) = layer_of(&layer.module).and_then(|index| layers.iter().position(|l| *l == index)) else {
            continue;
        };
        let linear = layer.module.rsplit('.').next().unwrap_or_default();
        let active = floats(layer.routing.active.to_data());
        let thresholds = layer.routing.thresholds.as_ref().map(|thresholds| floats(thresholds.to_data()));
        let width = layer.routing.active.dims()[1];
        experts = experts.max(width);
        for (row, token) in tokens.iter_mut().enumerate() {
            let cell = &mut token.layers[column];
            let count = active[row * width..][..width].iter().filter(|share| **share > 0.5).count();
            // A running mean: the number of linears is known only at the end.
            let seen = cell.linears.len() as f64;
            let mean = |old: f64, new: f64| (old * seen + new) / (seen + 1.0);
            cell.active = mean(cell.active, count as f64);
            if let Some(thresholds) = &thresholds {
                cell.threshold = Some(mean(cell.threshold.unwrap_or_default(), thresholds[row]));
            }
            cell.linears.push((linear.to_owned(), count));
        }
    }
    Inspection { layers, experts, tokens }
}

/// The number after `layers.` in a linear's name.
fn layer_of(module: &str) -> Option<usize> {
    module.split("layers.").nth(1)?.split('.').next()?.parse().ok()
}

fn floats(data: burn::tensor::TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// A table of tokens by layers: the number of active experts, rounded; brighter for more on a terminal.
fn table(inspection: &Inspection, colours: bool) -> String {
    let Inspection { layers, experts, tokens } = inspection;
    let width = experts.max(layers.last().unwrap_or(&0)).to_string().len() + 1;
    let name = |token: &Token| token.text.label().chars().take(16).collect::<String>();
    let heading: String = layers.iter().map(|layer| format!("{layer:>width$}")).collect();
    let mut lines = vec![format!("{:16}{heading}   mean", "experts of layer")];
    for token in tokens {
        let cell = |cell: &Cell| {
            let text = format!("{:>width$.0}", cell.active);
            // The 24 greys of a terminal, and black on the bright ones.
            let grey = 232 + (23.0 * cell.active / (*experts).max(1) as f64).round() as u8;
            let ink = if grey > 243 { 16 } else { 231 };
            if colours { format!("\x1b[48;5;{grey};38;5;{ink}m{text}\x1b[0m") } else { text }
        };
        let cells: String = token.layers.iter().map(cell).collect();
        lines.push(format!("{:16}{cells}  {:5.2}", name(token), token.mean()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_in_names() {
        assert_eq!(layer_of("base_model.model.model.layers.12.self_attn.q_proj"), Some(12));
        assert_eq!(layer_of("lm_head"), None);
    }

    #[test]
    fn a_table_has_a_line_for_each_token() {
        let cell = |active| Cell { active, ..Cell::default() };
        let token = |text: &str, active| Token {
            token: format!("\u{2581}{text}"),
            text: TokenText { text: text.into(), part: (1, 1) },
            layers: vec![cell(active), cell(2.0)],
        };
        let inspection = Inspection { layers: vec![0, 1], experts: 8, tokens: vec![token(" a", 7.6), token("b", 0.0)] };
        let text = table(&inspection, false);
        assert_eq!(
            text.lines().collect::<Vec<_>>()[1..],
            [" a               8 2   4.80", "b                0 2   1.00"]
        );
        assert!(table(&inspection, true).contains("\x1b[48;5;254;38;5;16m 8\x1b[0m"));
    }
}
