//! `adamole metrics`: the metrics of a run in the formats of other programs.

use super::{
    Failure,
    output::{Format, print},
};
use adamole::train::write_event_file;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole metrics runs/copa --tensorboard boards/copa
  tensorboard --logdir boards";

/// How other programs take the files.
const IN_OTHER_PROGRAMS: &str = "\
Examples:
  adamole metrics runs/copa --tensorboard boards/copa
  tensorboard --logdir boards

The run may be finished or still going on; called again, the command replaces the file that it wrote before. `adamole train
--tensorboard` writes such files while it trains. Weights & Biases reads them, too:
  wandb sync --sync-tensorboard boards/copa";

#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = IN_OTHER_PROGRAMS)]
pub(crate) struct MetricsArguments {
    /// Run directory, with a metrics.jsonl
    run: PathBuf,
    /// Folder for an event file of TensorBoard
    #[arg(long, value_name = "DIR")]
    tensorboard: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    file: PathBuf,
    /// Steps and validations.
    events: usize,
}

pub(crate) fn run(arguments: &MetricsArguments) -> Result<(), Failure> {
    let (file, events) = write_event_file(&arguments.run, &arguments.tensorboard)?;
    let report = Report { file, events };
    print(arguments.format, &report, || format!("{} steps and validations in {}", report.events, report.file.display()))
}
