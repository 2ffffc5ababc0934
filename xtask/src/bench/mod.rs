//! What the methods cost beside LoRA, and what this program costs beside PEFT: every number is of a process of its own,
//! and the processes of a contest take turns, so that what else the machine does meets all of them.

mod contest;
mod measured;
mod page;
mod python;
mod table;

use crate::{Failure, cargo, root};
use adamole_experiments::machine;
use clap::Args;
use contest::{Contest, Sizes};
use measured::{Measured, Setting};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Options {
    /// Base model: a Hugging Face folder [the shipped base]
    #[arg(long)]
    model: Option<PathBuf>,
    /// Measure beside PEFT and transformers in place of comparing the methods
    #[arg(long)]
    peers: bool,
    /// Virtual environment of the peers, created where it is missing [peers in the target folder]
    #[arg(long, value_name = "DIR")]
    python: Option<PathBuf>,
    /// Device of this program; the peers use the CPU
    #[arg(long, default_value = "auto")]
    device: String,
    /// Type of the frozen weights: float32, bfloat16 or float16
    #[arg(long, default_value = "float32")]
    dtype: String,
    /// Keep the frozen linears in 8 or 4 bits: int8 or int4
    #[arg(long)]
    quantize: Option<String>,
    /// Measure training steps alone
    #[arg(long)]
    steps_only: bool,
    /// Threads of every process [the number of cores]
    #[arg(long)]
    threads: Option<usize>,
    /// How often all of a contest take their turn; medians count
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    #[command(flatten)]
    sizes: Sizes,
    /// Put the result into docs/benchmarks.md too
    #[arg(long)]
    write: bool,
}

/// Runs the contests and prints their table.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let model = options.model.clone().unwrap_or_else(|| root().join("datasets/base"));
    let setting = Setting {
        program: cargo::program_for(&options.device)?,
        python: match options.peers {
            true => Some(python::ready(&match &options.python {
                Some(folder) => folder.clone(),
                None => cargo::target()?.join("peers"),
            })?),
            false => None,
        },
        model: model.clone(),
        device: options.device.clone(),
        weights: ["--dtype", &options.dtype]
            .into_iter()
            .chain(options.quantize.iter().flat_map(|quantize| ["--quantize", quantize]))
            .map(str::to_owned)
            .collect(),
        threads: options.threads.unwrap_or_else(machine::cores),
    };
    let contests = match (options.peers, options.steps_only) {
        (true, _) => contest::peers(options.sizes),
        (false, false) => contest::methods(options.sizes),
        (false, true) => contest::steps(options.sizes),
    };
    let rounds = options.rounds.max(1);
    let run = |contest: Contest| {
        let measured = take_turns(&contest, &setting, rounds);
        (contest, measured)
    };
    let results: Vec<_> = contests.into_iter().map(run).collect();

    let model = model.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
    let (title, reference) = if options.peers { ("Beside PEFT", "PEFT LoRA") } else { ("Methods", "LoRA") };
    let heading = format!("{title}: {model}, {}, {}", machine::processor(), machine::today());
    let versions = if options.peers { format!(", {}", python::versions()?) } else { String::new() };
    let body = format!(
        "{}, device {}, weights {}, {} threads, {}{versions}; rounds: {}.\n\n{}",
        machine::size(),
        setting.device,
        setting.weights[1..].join(" "),
        setting.threads,
        machine::version(&setting.program)?,
        rounds,
        table::markdown(&results, reference),
    );
    println!("## {heading}\n\n{body}");
    if options.write { page::write(&heading, &body) } else { Ok(()) }
}

/// What each contestant took, the median over the rounds; `None` for one that failed.
fn take_turns(contest: &Contest, setting: &Setting, rounds: usize) -> Vec<Option<Measured>> {
    let mut measured = vec![Vec::new(); contest.contestants.len()];
    for round in 1..=rounds {
        for (contestant, results) in contest.contestants.iter().zip(&mut measured) {
            eprintln!("[{round}/{rounds}] {}: {}", contest.title, contestant.name);
            match setting.measure(contestant) {
                Ok(result) => results.push(result),
                Err(failure) => eprintln!("failed: {failure}"),
            }
        }
    }
    measured.iter().map(|results| Measured::median(results)).collect()
}
