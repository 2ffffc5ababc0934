//! `cargo xtask reproduce`: the paper's tables and figures, from this workspace.

use crate::{Failure, cargo, root};
use adamole_experiments::{Done, ExperimentError, Host, Options};
use std::path::{Path, PathBuf};

/// The workspace, with the shipped models and samples, in which cargo builds the program.
struct Workspace(PathBuf);

impl Host for Workspace {
    fn root(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn program(&self, device: &str, needed: bool) -> Result<Option<PathBuf>, ExperimentError> {
        let program = match needed {
            true => cargo::program_for(device).map(Some),
            false => cargo::built_program().map(|program| Some(program).filter(|program| program.is_file())),
        };
        program.map_err(|failure| ExperimentError::Host(failure.to_string().into()))
    }

    fn program_without_hub(&self, device: &str) -> Result<Option<PathBuf>, ExperimentError> {
        let program = cargo::program_without_hub(device);
        program.map(Some).map_err(|failure| ExperimentError::Host(failure.to_string().into()))
    }

    fn command(&self) -> &'static str {
        "cargo xtask reproduce"
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    match adamole_experiments::run(options, &Workspace(root()))? {
        Done::Planned(cells) => println!("{cells}"),
        Done::Reported(report) => println!("{}", report.display()),
        Done::Submitted(jobs) => jobs.iter().for_each(|job| println!("job {}: {}", job.id, job.what)),
        Done::Ran => {}
        done => println!("{done:?}"),
    }
    Ok(())
}
