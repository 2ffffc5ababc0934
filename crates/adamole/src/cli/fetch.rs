//! `adamole fetch`: downloads a model and benchmarks ahead of a run.

use super::{
    Failure,
    fetching::{benchmark_folder, model_folder},
    output::{Format, print},
    reading::benchmark,
};
use clap::Args;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole fetch --model HuggingFaceTB/SmolLM2-135M --benchmark copa --benchmark rte";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FetchArguments {
    /// Model: org/name[@revision]
    #[arg(long, required_unless_present = "benchmark")]
    model: Option<String>,
    /// Benchmark, by name or by its TOML file; may be given several times
    #[arg(long)]
    benchmark: Vec<String>,
    /// How the folders are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    model: Option<PathBuf>,
    /// A mixture has a folder for each of its data sets.
    benchmarks: BTreeMap<String, BTreeSet<PathBuf>>,
}

pub(crate) fn run(arguments: &FetchArguments) -> Result<(), Failure> {
    // Wrong names are refused before anything large is fetched.
    let benchmarks = arguments.benchmark.iter().map(|name| benchmark(name)).collect::<Result<Vec<_>, _>>()?;
    let mut report = Report { model: None, benchmarks: BTreeMap::new() };
    for benchmark in benchmarks {
        let folders = benchmark.parts().iter().map(|part| benchmark_folder(part, None)).collect::<Result<_, _>>()?;
        report.benchmarks.insert(benchmark.name().to_owned(), folders);
    }
    report.model = arguments.model.as_deref().map(model_folder).transpose()?;
    print(arguments.format, &report, || {
        let model = report.model.iter().map(|folder| format!("model: {}", folder.display()));
        let benchmarks = report
            .benchmarks
            .iter()
            .flat_map(|(name, folders)| folders.iter().map(move |folder| format!("{name}: {}", folder.display())));
        model.chain(benchmarks).collect::<Vec<_>>().join("\n")
    })
}
