//! `adamole export`.

use super::{
    Failure,
    fetching::{adapter_folder, model_folder},
    output::{Format, print},
};
use adamole::{
    device,
    llama::{ModelError, load_adapter, load_base, merge, save_base},
};
use clap::Args;
use serde::Serialize;
use std::{fs, path::PathBuf};

#[derive(Args)]
pub(crate) struct ExportArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    model: String,
    /// Adapter folder, or the folder of a run
    #[arg(long)]
    adapter: String,
    /// Fold the adapter into the weights; the only form of export there is, and possible for a plain LoRA alone
    #[arg(long, required = true)]
    merge: bool,
    /// Folder to write, in the layout of the base; it must not exist
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

/// What belongs to a model beside its weights and their shapes.
const COMPANIONS: [&str; 5] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "tokenizer.model"];

pub(crate) fn run(arguments: ExportArguments) -> Result<(), Failure> {
    if arguments.output.exists() {
        return Err(Failure::Usage(format!("{} exists, expected a new folder", arguments.output.display())));
    }
    let folder = model_folder(&arguments.model)?;
    let mut model = load_base(&folder, &device::open("cpu")?)?;
    let layout = load_adapter(&mut model, &adapter_folder(&arguments.adapter)?)?;
    let merged = merge(model)?;
    save_base(&merged, &arguments.output)?;
    for companion in COMPANIONS.iter().map(|name| folder.join(name)).filter(|path| path.exists()) {
        let target = arguments.output.join(companion.file_name().unwrap_or_default());
        fs::copy(&companion, &target).map_err(|source| ModelError::Io { path: target, source })?;
    }
    let report = Report { model: arguments.output, merged_linears: layout.iter().count() };
    print(arguments.format, &report, || {
        format!("{} adapters folded into {}", report.merged_linears, report.model.display())
    })
}
