//! Experiments are data: a TOML file names the cells, each is one run of the program, and the report is made of the
//! result files alone.

mod cell;
mod experiment;
mod report;

use crate::{Failure, cargo, root};
use cell::{Cell, CellResult};
use clap::Args;
use experiment::Experiment;
use std::{fs, path::PathBuf, time::Instant};

#[derive(Args)]
pub(crate) struct Options {
    /// Experiment: the name of a file in xtask/experiments
    #[arg(long, default_value = "tiny")]
    experiment: String,
    /// Folder of the results [results/EXPERIMENT]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Only these benchmarks, comma-separated
    #[arg(long, value_delimiter = ',')]
    benchmark: Vec<String>,
    /// Only these methods, comma-separated, as the experiment names them
    #[arg(long, value_delimiter = ',')]
    method: Vec<String>,
    /// Write the report from the results that are there
    #[arg(long)]
    report_only: bool,
    /// Fail unless every cell has gained on the untuned base what the experiment asks for
    #[arg(long)]
    check: bool,
}

impl Options {
    fn folder(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| root().join("results").join(&self.experiment))
    }
}

/// Runs the cells whose result is missing or whose definition has changed, then writes `report.md`. A cell that fails
/// is shown as failed and does not stop the others.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let experiment = Experiment::read(&options.experiment)?;
    let folder = options.folder();
    fs::create_dir_all(&folder)?;
    let mut cells = experiment.cells(&folder);
    for (what, asked, known) in [
        ("benchmark", &options.benchmark, cells.iter().map(|cell| cell.benchmark.clone()).collect::<Vec<_>>()),
        ("method", &options.method, cells.iter().map(|cell| cell.method.clone()).collect()),
    ] {
        if let Some(unknown) = asked.iter().find(|name| !known.contains(name)) {
            return Err(
                format!("{what} {unknown} is not in {}; known: {}", options.experiment, known.join(", ")).into()
            );
        }
    }
    let chosen = |asked: &[String], name: &String| asked.is_empty() || asked.contains(name);
    if !options.report_only {
        let program = cargo::program()?;
        cells.retain(|cell| chosen(&options.benchmark, &cell.benchmark) && chosen(&options.method, &cell.method));
        let started = Instant::now();
        let pending: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_complete()).collect();
        eprintln!("{} cells, {} to run", cells.len(), pending.len());
        for (done, cell) in pending.iter().enumerate() {
            let left = match done {
                0 => String::new(),
                _ => {
                    let per_cell = started.elapsed().as_secs_f64() / done as f64;
                    format!(", about {:.0} s left", per_cell * (pending.len() - done) as f64)
                }
            };
            eprintln!("[{}/{}] {}{left}", done + 1, pending.len(), cell.name());
            if let Err(failure) = cell.run(&program) {
                eprintln!("{} failed: {failure}", cell.name());
            }
        }
    }
    let results: Vec<CellResult> = experiment.cells(&folder).iter().map(Cell::result).collect();
    let path = folder.join("report.md");
    fs::write(&path, report::markdown(&experiment, &results))?;
    println!("{}", path.display());
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    if failed > 0 {
        return Err(format!("{failed} cells failed, see {}", path.display()).into());
    }
    if options.check { check(&experiment, &results) } else { Ok(()) }
}

/// Every cell is there, and training has gained over the untuned base on the test split.
fn check(experiment: &Experiment, results: &[CellResult]) -> Result<(), Failure> {
    for result in results {
        let name = format!("{} on {}", result.method, result.benchmark);
        let number = |of: &str| result.number(of, "accuracy").ok_or_else(|| format!("the report lacks {name}"));
        let (untuned, tuned) = (number("untuned")?, number("test")?);
        if tuned < untuned + experiment.least_gain {
            let (tuned, untuned) = (report::percent(tuned), report::percent(untuned));
            return Err(format!("{name}: {tuned} after training, {untuned} before").into());
        }
    }
    eprintln!("the report is whole");
    Ok(())
}
