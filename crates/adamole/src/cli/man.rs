//! `adamole man`: the manual, a page for each command.

use super::{
    Failure,
    output::{Format, print},
};
use crate::program;
use adamole::train::TrainError;
use clap::Args;
use serde::Serialize;
use std::{fs, path::PathBuf};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole man ~/.local/share/man/man1
  man adamole-train";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArguments {
    /// Folder for the pages, which is made if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    folder: PathBuf,
    pages: usize,
}

pub(crate) fn run(ManArguments { folder, format }: ManArguments) -> Result<(), Failure> {
    let written = fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(program::command(), &folder));
    written.map_err(|source| TrainError::Io { path: folder.clone(), source })?;
    let pages = pages(&program::command());
    let report = Report { folder, pages };
    print(format, &report, || format!("{} pages in {}", report.pages, report.folder.display()))
}

/// The number of a command's pages, its subcommands' included.
fn pages(command: &clap::Command) -> usize {
    1 + command.get_subcommands().filter(|it| !it.is_hide_set()).map(pages).sum::<usize>()
}
