//! `adamole experiments`: studies of methods by benchmarks by seeds, each cell a run of this program.

use super::{
    Failure,
    output::{Format, print},
    signals::Signals,
};
use adamole::experiments::{Done, ExperimentError, Host, Options, run as study};
use clap::Args;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole experiments --preset smollm2 --dry-run
  adamole experiments --preset smollm2 --table 3 --benchmark copa --seeds 0";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExperimentsArguments {
    /// How the place of the report, or the list of a dry run, is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    options: Options,
}

/// This program, in the project's source or away from it.
struct Installed {
    root: Option<PathBuf>,
    signals: Signals,
}

impl Host for Installed {
    fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    fn program(&self, _device: &str, _needed: bool) -> Result<Option<PathBuf>, ExperimentError> {
        std::env::current_exe().map(Some).map_err(|error| ExperimentError::Host(Box::new(error)))
    }

    fn signal(&self) -> Arc<AtomicUsize> {
        self.signals.number()
    }

    fn command(&self) -> &'static str {
        "adamole experiments"
    }
}

pub(crate) fn run(arguments: &ExperimentsArguments) -> Result<(), Failure> {
    let here = std::env::current_dir().ok();
    let root = here.filter(|folder| folder.join("datasets/base/config.json").is_file());
    let signals = Signals::follow().map_err(Failure::Signals)?;
    match study(&arguments.options, &Installed { root, signals })? {
        Done::Planned(cells) => print(arguments.format, &json!({ "cells": cells }), || cells.clone()),
        Done::Reported(report) => {
            print(arguments.format, &json!({ "report": report }), || report.display().to_string())
        }
        Done::Submitted(jobs) => {
            let value: Vec<_> = jobs.iter().map(|job| json!({ "id": job.id, "what": job.what })).collect();
            let lines = || {
                let line = |job: &adamole::experiments::Job| format!("job {}: {}", job.id, job.what);
                jobs.iter().map(line).collect::<Vec<_>>().join("\n")
            };
            print(arguments.format, &json!({ "jobs": value }), lines)
        }
        Done::Ran => Ok(()),
        done => print(arguments.format, &json!({ "done": format!("{done:?}") }), || format!("{done:?}")),
    }
}
