//! `adamole bench eval`.

use super::{Circumstances, Failure, Subject, median, positive, random_ids};
use crate::cli::output::print;
use adamole::{core::CounterRng, data::Example, train::evaluate};
use clap::Args;
use serde::Serialize;

/// Items before those that are timed.
const WARM_UP: usize = 8;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench eval --shape smollm2-135m --method adamole";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EvalArguments {
    #[command(flatten)]
    subject: Subject,
    /// The base alone, without adapters
    #[arg(long, conflicts_with = "method")]
    base: bool,
    /// Items of four choices each
    #[arg(long, default_value_t = 64)]
    items: usize,
    /// Longest prompt in tokens; lengths are uniform up to it
    #[arg(long, value_name = "N", default_value_t = 96)]
    tokens: usize,
    /// Timed runs, whose median is reported, after a warm-up over a few items
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[derive(Serialize)]
struct Report {
    items: usize,
    /// The tokens of all prompts, without padding.
    tokens: usize,
    seconds: f64,
    items_per_second: f64,
    tokens_per_second: f64,
    #[serde(flatten)]
    circumstances: Circumstances,
}

pub(crate) fn run(arguments: &EvalArguments) -> Result<(), Failure> {
    let EvalArguments { subject, base, items, tokens, runs } = arguments;
    positive(&[("items", *items), ("tokens", *tokens), ("runs", *runs)])?;
    let device = subject.place.device()?;
    let workers = subject.place.workers(&device);
    let model = if *base { subject.load_base(&device)? } else { subject.load(&device)? };
    let examples = examples(*items, *tokens, model.config().vocab_size);
    evaluate(&model, &examples[..WARM_UP.min(*items)], &workers, &device)?;
    let run = |_| evaluate(&model, &examples, &workers, &device).map(|evaluation| evaluation.seconds);
    let seconds = median(&(0..*runs).map(run).collect::<Result<Vec<_>, _>>()?);
    let tokens = examples.iter().map(|example| example.prompt.len()).sum();
    let report = Report {
        items: *items,
        tokens,
        seconds,
        items_per_second: *items as f64 / seconds,
        tokens_per_second: tokens as f64 / seconds,
        circumstances: Circumstances::now((!base).then_some(subject.adapter.0.method), workers.count()),
    };
    print(subject.place.format, &report, || {
        format!(
            "{:.1} items/s, {:.0} tokens/s on {}",
            report.items_per_second,
            report.tokens_per_second,
            report.circumstances.text()
        )
    })
}

/// Items of random tokens and of random lengths up to `longest`. The Python benchmarks use the same lengths.
fn examples(items: usize, longest: usize, vocabulary: usize) -> Vec<Example> {
    let mut rng = CounterRng::new(&[]);
    let lengths: Vec<usize> = (0..items).map(|_| 1 + (rng.next_u64() % longest as u64) as usize).collect();
    let ids = random_ids(items * longest, vocabulary);
    let prompts = ids.chunks(longest).zip(lengths).map(|(ids, length)| ids[..length].to_vec()).enumerate();
    prompts
        .map(|(item, prompt)| Example {
            text: prompt.clone(),
            answer_at: None,
            prompt,
            choice_ids: (0..4).map(|id| id % vocabulary as u32).collect(),
            answer: Some(0),
            truncated: false,
            item,
        })
        .collect()
}
