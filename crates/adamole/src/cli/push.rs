//! `adamole push`: uploads an adapter, or a model that it is merged into, to the hub with a model card.

use super::{
    Failure,
    card::{self, Card, Subject},
    chat,
    export::export_merged,
    fetching,
    output::{Format, print, size},
};
use adamole::{
    hub::{Content, Source, Upload},
    train::TrainError,
};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole push runs/copa YOU/SmolLM2-135M-copa --private
  adamole push runs/lora YOU/SmolLM2-135M-merged --merged";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PushArguments {
    /// Adapter folder or run directory
    #[arg(value_name = "RUN_OR_ADAPTER")]
    adapter: PathBuf,
    /// Model repository on the hub; created if it does not exist
    #[arg(value_name = "ORG/NAME")]
    target: String,
    /// Create the repository as private; a public one that exists is refused
    #[arg(long)]
    private: bool,
    /// Branch of the commit, created if it does not exist [main]
    #[arg(long)]
    revision: Option<String>,
    /// Upload the base model with the adapter merged into its weights; only for a plain LoRA
    #[arg(long)]
    merged: bool,
    /// With --merged: the base model, a folder or org/name[@revision] on the hub [the one that the adapter names]
    #[arg(long, requires = "merged")]
    model: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    url: String,
    commit: String,
    created: bool,
    files: Vec<String>,
}

/// The files of an adapter; others in its folder are not uploaded.
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Files, and their keys, that may hold the path of a model.
const WITH_PATHS: [(&str, &str); 3] =
    [(CONFIG, "base_model_name_or_path"), ("config.json", "_name_or_path"), ("tokenizer_config.json", "name_or_path")];

pub(crate) fn run(arguments: PushArguments) -> Result<(), Failure> {
    let target = match &arguments.revision {
        Some(_) if arguments.target.contains('@') => {
            return Err(Failure::Usage("the branch is given twice, after @ and by --revision".into()));
        }
        Some(revision) => Source::parse(&format!("{}@{revision}", arguments.target))?,
        None => Source::parse(&arguments.target)?,
    };
    let folder = adapter_folder(&arguments.adapter)?;
    let card = Card::of(&folder)?;
    // Removed at the end.
    let merged = TempDir::new().map_err(Failure::Output)?;
    let (subject, what, files) = match arguments.merged {
        true => {
            let base = arguments.model.or_else(|| card.base_name().map(str::to_owned));
            let base =
                base.ok_or_else(|| Failure::Usage("--model is needed: the adapter names no base model".into()))?;
            let output = merged.path().join("model");
            export_merged(&base, &folder.display().to_string(), &output)?;
            (Subject::Merged, "a merged model", files_below(&output)?)
        }
        false => (Subject::Adapter, "an adapter", files_of_adapter(&folder)?),
    };
    let mut contents = Vec::new();
    let mut bytes = 0;
    // The base model's own card does not describe what was made of it.
    for (name, path) in files.into_iter().filter(|(name, _)| name != "README.md") {
        bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let content = without_path(&name, &path, &card)?.map_or(Content::File(path), Content::Text);
        contents.push((name, content));
    }
    // A card in the adapter's folder may have been edited.
    let readme = folder.join("README.md");
    let readme = match subject == Subject::Adapter && readme.is_file() {
        true => Content::File(readme),
        false => Content::Text(card.text(subject)),
    };
    contents.push(("README.md".into(), readme));
    let files: Vec<String> = contents.iter().map(|(name, _)| name.clone()).collect();
    say!("uploading {} files, {}, to {target}", files.len(), size(Some(bytes)));
    let upload = Upload { message: format!("Upload {what}"), is_private: arguments.private, files: contents };
    let pushed = fetching::push(&target, &upload)?;
    let report = Report { url: pushed.url, commit: pushed.commit, created: pushed.is_new, files };
    print(arguments.format, &report, || format!("{} at commit {}", report.url, report.commit))
}

/// The adapter's folder; a run directory has it in `adapter`.
fn adapter_folder(path: &Path) -> Result<PathBuf, Failure> {
    let candidates = [path.join("adapter"), path.to_owned()];
    let found = candidates.into_iter().find(|folder| folder.join(CONFIG).is_file());
    found.ok_or_else(|| {
        Failure::Usage(format!("{} is neither a run directory with an adapter nor an adapter folder", path.display()))
    })
}

fn files_of_adapter(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let weights = WEIGHTS.into_iter().find(|name| folder.join(name).is_file());
    let weights =
        weights.ok_or_else(|| Failure::Usage(format!("{} has no {}", folder.display(), WEIGHTS.join(" and no "))))?;
    let template = Some(chat::OF_ADAPTER).filter(|name| folder.join(name).is_file());
    let names = [CONFIG, weights].into_iter().chain(template);
    Ok(names.map(|name| (name.to_owned(), folder.join(name))).collect())
}

/// The files in and below a folder, with their names relative to it, sorted.
fn files_below(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let error = |source| TrainError::Io { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_below(&path)?.into_iter().map(|(below, path)| (format!("{name}/{below}"), path)));
        } else {
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}

/// The file's text with the base model's name on the hub in place of a path of this machine; `None` if the file holds no
/// such path and can be uploaded as it is.
fn without_path(name: &str, path: &Path, card: &Card) -> Result<Option<String>, Failure> {
    let Some((_, key)) = WITH_PATHS.iter().find(|(file, _)| *file == name) else { return Ok(None) };
    let mut json = card::read(path)?;
    let Some(base) = json[*key].as_str().filter(|base| !base.is_empty()).map(str::to_owned) else { return Ok(None) };
    let is_local = card::is_local(&base);
    // PEFT expects a revision in a field of its own.
    let has_revision = name == CONFIG && base.contains('@') && json["revision"].is_null();
    let Some(fields) = json.as_object_mut().filter(|_| is_local || has_revision) else { return Ok(None) };
    match card.base_on_hub() {
        Some(known) => {
            if is_local {
                say!("{name} names {known} as the base model instead of the folder {base}");
            }
            if has_revision || (is_local && name == CONFIG) {
                fields.insert("revision".into(), json!(card.base_revision()));
            }
            fields.insert((*key).into(), json!(known));
        }
        None => {
            say!("warning: {name} names no base model: {base} is a folder, and its name on the hub is not known");
            fields.remove(*key);
        }
    }
    Ok(Some(format!("{json:#}\n")))
}
