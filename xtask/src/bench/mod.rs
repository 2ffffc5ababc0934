//! `cargo xtask bench`: the time and memory of the methods compared with LoRA, and of this program compared with PEFT. Every number is
//! measured in a process of its own. The processes of a comparison take turns, so that other load on the machine affects all of them.

mod comparison;
mod measured;
pub(crate) mod page;
mod python;
mod table;

use crate::{Failure, cargo, root};
use adamole_experiments::machine;
use clap::Args;
use comparison::{Comparison, Sizes};
use measured::{Measured, Setting};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Options {
    /// Base model: a Hugging Face folder [default: the shipped base]
    #[arg(long)]
    model: Option<PathBuf>,
    /// Compare with PEFT and transformers in place of comparing the methods
    #[arg(long)]
    peers: bool,
    /// Virtual environment of PEFT and transformers, created if it is missing [default: `peers` in the target folder]
    #[arg(long, value_name = "DIR")]
    python: Option<PathBuf>,
    /// Device of this program; PEFT and transformers use the CPU
    #[arg(long, default_value = "auto")]
    device: String,
    /// Data type of the frozen weights: float32, bfloat16 or float16
    #[arg(long, default_value = "float32")]
    dtype: String,
    /// Quantise the frozen linears: int8 or int4
    #[arg(long)]
    quantize: Option<String>,
    /// Measure training steps only
    #[arg(long)]
    steps_only: bool,
    /// Measure training steps on texts of several lengths, from 64 to 8192 tokens; PEFT's, with --peers, up to 2048
    #[arg(long, conflicts_with = "steps_only")]
    lengths: bool,
    /// Threads of every process [default: the number of cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Runs of each process, of which the median counts
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    #[command(flatten)]
    sizes: Sizes,
    /// Write the result to docs/benchmarks.md too
    #[arg(long)]
    write: bool,
}

/// Runs the comparisons and prints their table.
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
    let comparisons = match (options.peers, options.steps_only) {
        (peers, _) if options.lengths => comparison::lengths(peers),
        (true, _) => comparison::peers(options.sizes),
        (false, false) => comparison::methods(options.sizes),
        (false, true) => comparison::steps(options.sizes),
    };
    let rounds = options.rounds.max(1);
    let run = |comparison: Comparison| {
        let measured = take_turns(&comparison, &setting, rounds);
        (comparison, measured)
    };
    let results: Vec<_> = comparisons.into_iter().map(run).collect();

    let model = model.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
    let (title, reference) = match (options.lengths, options.peers) {
        (true, _) => ("Lengths", "the first"),
        (false, true) => ("Beside PEFT", "PEFT LoRA"),
        (false, false) => ("Methods", "LoRA"),
    };
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

/// The measurement of each system, in the median over the rounds; `None` for one that failed.
fn take_turns(comparison: &Comparison, setting: &Setting, rounds: usize) -> Vec<Option<Measured>> {
    let mut measured = vec![Vec::new(); comparison.systems.len()];
    for round in 1..=rounds {
        for (system, results) in comparison.systems.iter().zip(&mut measured) {
            eprintln!("[{round}/{rounds}] {}: {}", comparison.title, system.name);
            match setting.measure(system) {
                Ok(result) => results.push(result),
                Err(failure) => eprintln!("failed: {failure}"),
            }
        }
    }
    measured.iter().map(|results| Measured::median(results)).collect()
}
