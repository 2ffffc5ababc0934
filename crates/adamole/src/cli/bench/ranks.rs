//! `adamole bench ranks`.

use super::{
    super::{
        output::{Format, print, size},
        ranks::Crew,
    },
    Failure,
};
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// What is exchanged for a latency.
const WORD: usize = 8;

/// Networks that the result is reckoned for, in bits a second.
const NETWORKS: [f64; 3] = [1e9, 1e10, 1e11];

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench ranks
  mpirun -n 4 adamole bench ranks";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RanksArguments {
    /// Trained parameters, whose gradients are exchanged [default: those of AdaMoLE on Llama-2-7B]
    #[arg(long, value_name = "N", default_value_t = 38_273_152)]
    parameters: usize,
    /// Exchanges of each size
    #[arg(long, value_name = "N", default_value_t = 10)]
    repeat: usize,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    ranks: usize,
    ranks_on_this_machine: usize,
    /// Bytes that each rank sends in a step, and as many that it receives.
    bytes_per_step: usize,
    /// Of an exchange of a few bytes.
    latency_seconds: f64,
    /// Of the two exchanges of a step's gradients.
    seconds_per_step: f64,
    /// The same by the bits a second of a network, with two latencies and nothing in the way.
    reckoned: Vec<(f64, f64)>,
}

pub(crate) fn run(arguments: &RanksArguments, crew: &Crew) -> Result<(), Failure> {
    let ranks = crew.ranks().ok_or_else(|| {
        Failure::Usage("one process exchanges nothing: start several, `mpirun -n 4 adamole bench ranks`".into())
    })?;
    let part = 4 * arguments.parameters / ranks.count();
    let exchanges = |bytes: usize, number: usize| -> Result<f64, Failure> {
        let mut seconds = Vec::new();
        // The first exchanges open connections.
        for _ in 0..arguments.repeat.max(1) + 2 {
            let started = Instant::now();
            for _ in 0..number {
                ranks.exchange(vec![vec![1; bytes]; ranks.count()], &|| false).map_err(Failure::ranks)?;
            }
            seconds.push(started.elapsed().as_secs_f64());
        }
        seconds.drain(..2);
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    };
    let latency_seconds = exchanges(WORD, 1)?;
    let seconds_per_step = exchanges(part, 2)?;
    if !crew.is_first() {
        return Ok(());
    }
    let bytes_per_step = 2 * part * (ranks.count() - 1);
    let reckoned = NETWORKS.map(|bits| (bits, 8.0 * bytes_per_step as f64 / bits + 2.0 * latency_seconds)).to_vec();
    let report = Report {
        ranks: ranks.count(),
        ranks_on_this_machine: crew.on_this_machine(),
        bytes_per_step,
        latency_seconds,
        seconds_per_step,
        reckoned,
    };
    print(arguments.format, &report, || text(&report))
}

fn text(report: &Report) -> String {
    let Report { ranks, bytes_per_step, latency_seconds, seconds_per_step, reckoned, .. } = report;
    let network =
        |(bits, seconds): &(f64, f64)| format!("\n{:>4.0} Gbit/s: {:.0} ms a step", bits / 1e9, 1e3 * seconds);
    format!(
        "{ranks} ranks, {} of them here; each sends {} a step\nmeasured: {:.0} µs for a few bytes, {:.0} ms a step{}",
        report.ranks_on_this_machine,
        size(Some(*bytes_per_step as u64)),
        1e6 * latency_seconds,
        1e3 * seconds_per_step,
        reckoned.iter().map(network).collect::<String>()
    )
}
