//! `adamole experiments`: studies of methods by benchmarks by seeds, each cell a run of this program.

use super::{
    Failure,
    output::{Format, print},
};
use adamole::experiments::{Done, ExperimentError, Host, Options, run as study};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Args)]
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
}

impl Host for Installed {
    fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    fn program(&self, _device: &str, _needed: bool) -> Result<Option<PathBuf>, ExperimentError> {
        std::env::current_exe().map(Some).map_err(|error| ExperimentError::Host(Box::new(error)))
    }

    fn command(&self) -> &'static str {
        "adamole experiments"
    }
}

pub(crate) fn run(arguments: &ExperimentsArguments) -> Result<(), Failure> {
    let here = std::env::current_dir().ok();
    let root = here.filter(|folder| folder.join("datasets/base/config.json").is_file());
    match study(&arguments.options, &Installed { root })? {
        Done::Planned(cells) => print(arguments.format, &json!({ "cells": cells }), || cells.clone()),
        Done::Reported(report) => {
            print(arguments.format, &json!({ "report": report }), || report.display().to_string())
        }
        done => print(arguments.format, &json!({ "done": format!("{done:?}") }), || format!("{done:?}")),
    }
}
