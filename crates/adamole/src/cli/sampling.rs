//! How texts are generated: the flags, and what ends a text.

use super::{Failure, headings, inputs::Base};
use adamole::{
    generate::StopStrings,
    llama::{Generation, ModelConfig, Sampling, SamplingSettings, end_tokens},
};
use clap::Args;

#[derive(Args)]
#[command(next_help_heading = headings::SAMPLING)]
pub(crate) struct SamplingFlags {
    /// Sample tokens at this temperature; 0 takes the most probable token [0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Sample from the most probable tokens, so many of them
    #[arg(long, requires = "temperature", value_name = "K")]
    top_k: Option<usize>,
    /// Sample from the fewest tokens whose probabilities reach this share
    #[arg(long, value_name = "X", requires = "temperature", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Sample from the tokens whose probability is at least this share of the largest
    #[arg(long, value_name = "X", requires = "temperature", allow_negative_numbers = true)]
    min_p: Option<f32>,
    /// Make tokens less probable that the text already has
    ///
    /// Their scores are divided by the factor where they are positive, and multiplied with it where they are negative. The
    /// prompt counts, too.
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// Seed of the sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// End the text before this string; may be given several times
    #[arg(long, value_name = "STRING")]
    stop: Vec<String>,
}

impl SamplingFlags {
    /// The options of a generation without end tokens, and the stop strings.
    pub(crate) fn options(&self, max_new_tokens: usize) -> Result<(Generation, StopStrings), Failure> {
        let default = SamplingSettings::default();
        let sampling = Sampling::new(SamplingSettings {
            temperature: self.temperature.filter(|temperature| *temperature != 0.0),
            top_k: self.top_k,
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            seed: self.seed,
        })?;
        Ok((Generation { sampling, ..Generation::greedy(max_new_tokens, Vec::new()) }, StopStrings::new(&self.stop)?))
    }
}

impl Base {
    /// The tokens that end a text: those of the model and that of the tokenizer.
    pub(crate) fn end_tokens(&self) -> Result<Vec<u32>, Failure> {
        Ok(end_tokens(&self.folder)?.into_iter().chain(self.tokenizer.eos()).collect())
    }
}

/// Warns of `what` with `length` tokens, if these exceed the model's positions.
pub(crate) fn warn_of_positions(model: &ModelConfig, what: &str, length: usize) {
    let positions = model.max_position_embeddings;
    if length > positions {
        say!(
            "warning: {what} {length} tokens, and the model was trained for {positions} positions (max_position_embeddings); \
             past them its text may make no sense"
        );
    }
}
