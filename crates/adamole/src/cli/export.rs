//! `adamole export`.

use super::{
    Failure,
    fetching::whole_model_folder,
    inputs::{adapt, load_model},
    output::{Format, print},
};
use adamole::{
    device,
    llama::{Precision, merge, save_merged},
};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct ExportArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: String,
    /// Adapter folder, or a run directory
    #[arg(long)]
    adapter: String,
    /// Merge the adapter into the weights; the only form of export, and possible only for a plain LoRA
    #[arg(long, required = true)]
    merge: bool,
    /// Folder to write, which must not exist; it also gets the files of the base that hold no weights
    #[arg(long)]
    output: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    merged_linears: usize,
}

pub(crate) fn run(arguments: ExportArguments) -> Result<(), Failure> {
    if arguments.output.exists() {
        return Err(Failure::Usage(format!("{} exists, expected a new folder", arguments.output.display())));
    }
    let merged_linears = export_merged(&arguments.model, &arguments.adapter, &arguments.output)?;
    let report = Report { model: arguments.output, merged_linears };
    print(arguments.format, &report, || {
        format!("{} adapters merged into {}", report.merged_linears, report.model.display())
    })
}

/// Writes the base `model` with the adapter merged in, and every file of the base that holds no weights, to the new folder
/// `output`. Returns the number of adapted linears.
pub(crate) fn export_merged(model: &str, adapter: &str, output: &Path) -> Result<usize, Failure> {
    let folder = whole_model_folder(model)?;
    let mut model = load_model(&folder, Precision::Float32, &device::open("cpu")?)?;
    let layout = adapt(&mut model, adapter)?;
    let merged = merge(model)?;
    for link in save_merged(&merged, &folder, output)? {
        say!("warning: {} is left out: it is a link out of {}", link.display(), folder.display());
    }
    Ok(layout.iter().count())
}
