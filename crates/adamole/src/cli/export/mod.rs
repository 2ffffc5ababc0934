//! `adamole export`.

mod gguf;
mod modelfile;
mod python;

use super::{
    Failure,
    fetching::whole_model_folder,
    inputs::{adapt, load_model},
    output::{Format, print},
};
use adamole::{
    device,
    llama::{GgufType, Precision, merge, save_merged},
};
use clap::{ArgGroup, Args};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole export --model HuggingFaceTB/SmolLM2-135M --adapter runs/lora --merge --output merged
  adamole export --model HuggingFaceTB/SmolLM2-135M --gguf base.gguf --gguf-type q8_0
  adamole export --python runs/copa";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("form").required(true).args(["output", "gguf", "python"])))]
pub(crate) struct ExportArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, required_unless_present = "python", conflicts_with = "python")]
    model: Option<String>,
    /// Adapter folder, or a run directory
    #[arg(long, value_name = "NAME", conflicts_with = "python")]
    adapter: Option<String>,
    /// Merge the adapter into the weights; possible only for a plain LoRA
    #[arg(long, requires = "adapter")]
    merge: bool,
    /// Folder to write, which must not exist: the merged model, and the files of the base that hold no weights
    #[arg(long, value_name = "PATH", requires = "merge")]
    output: Option<PathBuf>,
    /// GGUF file to write for llama.cpp, with a Modelfile for Ollama beside it: the base, with --merge the merged model, or
    /// with --adapter alone a plain LoRA to put on the base there
    #[arg(long)]
    gguf: Option<PathBuf>,
    /// Type of the weights in the GGUF file: f32, f16, bf16 or q8_0 [default: f16, and f32 for an adapter]
    #[arg(long, requires = "gguf")]
    gguf_type: Option<GgufType>,
    /// Adapter folder, or a run directory, that gets adamole_adapter.py, which loads it in transformers
    #[arg(long)]
    python: Option<PathBuf>,
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
    if let Some(folder) = &arguments.python {
        return python::run(folder, arguments.format);
    }
    let Some(model) = &arguments.model else { return Err(Failure::Usage("--model is needed".into())) };
    if let Some(file) = &arguments.gguf {
        let adapter = arguments.adapter.as_deref().map(|adapter| (adapter, arguments.merge));
        return gguf::run(model, adapter, file, arguments.gguf_type, arguments.format);
    }
    let (Some(adapter), Some(output)) = (&arguments.adapter, arguments.output) else {
        return Err(Failure::Usage("--adapter and --output are needed".into()));
    };
    is_new(&output, "folder")?;
    let merged_linears = export_merged(model, adapter, &output)?;
    let report = Report { model: output, merged_linears };
    print(arguments.format, &report, || {
        format!("{} adapters merged into {}", report.merged_linears, report.model.display())
    })
}

/// That there is nothing at `path` yet.
fn is_new(path: &Path, what: &str) -> Result<(), Failure> {
    match path.exists() {
        true => Err(Failure::Usage(format!("{} exists, expected a new {what}", path.display()))),
        false => Ok(()),
    }
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
