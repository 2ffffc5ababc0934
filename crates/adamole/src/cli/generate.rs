//! `adamole generate`.

use super::{
    Failure,
    inputs::Base,
    output::{Format, print},
    weights::WeightFlags,
};
use adamole::{
    device,
    llama::{Generation, Sampling, end_tokens, generate},
};
use clap::Args;
use serde::Serialize;
use std::time::Instant;

#[derive(Args)]
pub(crate) struct GenerateArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: String,
    /// Adapter: its folder, a run directory, or org/name[@revision] on the hub; without it, the base alone
    #[arg(long)]
    adapter: Option<String>,
    /// Text to continue
    #[arg(long)]
    prompt: String,
    /// Largest number of new tokens
    #[arg(long, default_value_t = 64)]
    max_new_tokens: usize,
    /// Sample tokens at this temperature; without it, take the most probable token
    #[arg(long)]
    temperature: Option<f32>,
    /// Sample from the fewest tokens whose probabilities reach this share
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Seed of the sampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    weights: WeightFlags,
    /// auto, cpu, cuda, vulkan or wgpu, the last three with :INDEX or without
    #[arg(long, default_value = "auto")]
    device: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    text: String,
    tokens: usize,
    seconds: f64,
    tokens_per_second: f64,
}

pub(crate) fn run(arguments: GenerateArguments) -> Result<(), Failure> {
    let usage = |name: &str, value: f32, expected: &str| {
        Failure::Usage(format!("--{name} is {value}, expected a number {expected}"))
    };
    if !(arguments.top_p > 0.0 && arguments.top_p <= 1.0) {
        return Err(usage("top-p", arguments.top_p, "above 0 and at most 1"));
    }
    let sampling = match arguments.temperature {
        None => Sampling::Greedy,
        Some(temperature) if temperature > 0.0 && temperature.is_finite() => {
            Sampling::Random { temperature, top_p: arguments.top_p, seed: arguments.seed }
        }
        Some(temperature) => return Err(usage("temperature", temperature, "above 0")),
    };
    let device = device::open(&arguments.device)?;
    let mut base = Base::load(&arguments.model, arguments.weights, &device)?;
    if let Some(adapter) = &arguments.adapter {
        base.adapt(adapter)?;
    }
    let prompt = base.encode_text(&arguments.prompt)?;
    if prompt.is_empty() {
        return Err(Failure::Usage("--prompt is empty, expected at least one token".into()));
    }
    let positions = base.model.config().max_position_embeddings;
    let prompt_length = prompt.len();
    if prompt_length > positions {
        warn_of_positions(&format!("the prompt has {prompt_length} tokens"), positions);
    }
    let eos = end_tokens(&base.folder)?.into_iter().chain(base.tokenizer.eos()).collect();
    let options = Generation { max_new_tokens: arguments.max_new_tokens, sampling, eos, cached: true };
    let started = Instant::now();
    let new = generate(&base.model, &[prompt], &options, &device)?.pop().unwrap_or_default();
    let seconds = started.elapsed().as_secs_f64();
    if prompt_length <= positions && prompt_length + new.len() > positions {
        warn_of_positions(&format!("prompt and new text have {} tokens", prompt_length + new.len()), positions);
    }
    let report = Report {
        text: base.tokenizer.decode(&new)?,
        tokens: new.len(),
        seconds,
        tokens_per_second: new.len() as f64 / seconds,
    };
    print(arguments.format, &report, || format!("{}{}", arguments.prompt, report.text))
}

fn warn_of_positions(what: &str, positions: usize) {
    say!(
        "warning: {what}, and the model was trained for {positions} positions (max_position_embeddings); past them its text \
         may make no sense"
    );
}
