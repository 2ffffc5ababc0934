//! `adamole bench generate`.

use super::{Circumstances, Failure, Subject, median, positive, random_ids, threads_of_one_batch, timed};
use crate::cli::output::print;
use adamole::llama::{Generation, generate};
use clap::Args;
use serde::Serialize;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench generate --shape smollm2-135m --dtype bfloat16";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GenerateArguments {
    #[command(flatten)]
    subject: Subject,
    /// The base alone, without adapters
    #[arg(long, conflicts_with = "method")]
    base: bool,
    /// Sequences that are continued together
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Tokens of each prompt
    #[arg(long, default_value_t = 32)]
    prompt_tokens: usize,
    /// New tokens of each sequence
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// Timed runs, whose median is reported, after one that is not timed
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[derive(Serialize)]
struct Report {
    batch: usize,
    prompt_tokens: usize,
    new_tokens: usize,
    /// Includes the prompt.
    seconds: f64,
    /// New tokens of all sequences.
    tokens_per_second: f64,
    #[serde(flatten)]
    circumstances: Circumstances,
}

pub(crate) fn run(arguments: &GenerateArguments) -> Result<(), Failure> {
    let GenerateArguments { subject, base, batch, prompt_tokens, new_tokens, runs } = arguments;
    positive(&[("batch", *batch), ("prompt-tokens", *prompt_tokens), ("new-tokens", *new_tokens), ("runs", *runs)])?;
    let device = subject.place.device()?;
    let model = if *base { subject.load_base(&device)? } else { subject.load(&device)? };
    let ids = random_ids(batch * prompt_tokens, model.config().vocab_size);
    let prompts: Vec<Vec<u32>> = ids.chunks(*prompt_tokens).map(<[u32]>::to_vec).collect();
    // Without an end of sequence, so that every run is as long.
    let options = Generation::greedy(*new_tokens, Vec::new());
    let mut outcome = Ok(Vec::new());
    let seconds = median(&timed(*runs, || outcome = generate(&model, &prompts, &options, &device)));
    outcome?;
    let report = Report {
        batch: *batch,
        prompt_tokens: *prompt_tokens,
        new_tokens: *new_tokens,
        seconds,
        tokens_per_second: (batch * new_tokens) as f64 / seconds,
        circumstances: Circumstances::now((!base).then_some(subject.adapter.0.method), threads_of_one_batch()),
    };
    print(subject.place.format, &report, || {
        format!("{:.1} tokens/s on {}", report.tokens_per_second, report.circumstances.text())
    })
}
