//! `adamole push`: an adapter, or a base that it was folded into, onto the hub with its card.

use super::{
    Failure,
    card::{Card, Subject},
    export::export_merged,
    fetching,
    output::{Format, print, size},
};
use adamole::{
    hub::{Source, Upload},
    train::TrainError,
};
use clap::Args;
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

#[derive(Args)]
pub(crate) struct PushArguments {
    /// Adapter folder, or the folder of a run
    #[arg(value_name = "RUN_OR_ADAPTER")]
    adapter: PathBuf,
    /// Model repository on the hub, which is made if there is none
    #[arg(value_name = "ORG/NAME")]
    target: String,
    /// Make the repository private; one that is there already and public is refused
    #[arg(long)]
    private: bool,
    /// Branch that takes the files, made if there is none [main]
    #[arg(long)]
    revision: Option<String>,
    /// Upload the base with the adapter folded into its weights, which is possible for a plain LoRA alone
    #[arg(long)]
    merged: bool,
    /// With --merged: the base model, a folder or org/name[@revision] on the hub [the one that the adapter names]
    #[arg(long, requires = "merged")]
    model: Option<String>,
    /// How the result is printed
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

/// What an adapter is; a folder may hold other files, which stay where they are.
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

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
    let files = match arguments.merged {
        true => {
            let base = arguments.model.or_else(|| card.base_name().map(str::to_owned));
            let base = base.ok_or_else(|| Failure::Usage("--model is needed: the adapter names no base".into()))?;
            let output = merged.path().join("model");
            export_merged(&base, &folder.display().to_string(), &output)?;
            files_in(&output)?
        }
        false => {
            let weights = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            let none = || Failure::Usage(format!("{} has no {}", folder.display(), WEIGHTS.join(" and no ")));
            vec![folder.join("adapter_config.json"), weights.ok_or_else(none)?]
        }
    };
    let subject = if arguments.merged { Subject::Merged } else { Subject::Adapter };
    let mut upload = Upload::new(format!("Upload {}", if arguments.merged { "a merged model" } else { "an adapter" }));
    upload = upload.private(arguments.private);
    let mut bytes = 0;
    for path in files {
        bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
        upload = upload.with_file(path.file_name().unwrap_or_default().to_string_lossy(), &path);
    }
    // A card that is there may have been written on.
    let readme = folder.join("README.md");
    upload = match subject == Subject::Adapter && readme.is_file() {
        true => upload.with_file("README.md", readme),
        false => upload.with_text("README.md", card.text(subject)),
    };
    let files: Vec<String> = upload.names().map(str::to_owned).collect();
    say!("uploading {} files, {}, to {target}", files.len(), size(Some(bytes)));
    let pushed = fetching::push(&target, &upload)?;
    let report = Report { url: pushed.url, commit: pushed.commit, created: pushed.is_new, files };
    print(arguments.format, &report, || format!("{} at commit {}", report.url, report.commit))
}

/// The adapter's folder; that of a run has it in `adapter`.
fn adapter_folder(path: &Path) -> Result<PathBuf, Failure> {
    let candidates = [path.join("adapter"), path.to_owned()];
    let found = candidates.into_iter().find(|folder| folder.join("adapter_config.json").is_file());
    found.ok_or_else(|| {
        Failure::Usage(format!("{} is neither a run with an adapter nor an adapter's folder", path.display()))
    })
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let error = |source| TrainError::Io { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(error)?;
    let mut files = entries.map(|entry| Ok(entry.map_err(error)?.path())).collect::<Result<Vec<_>, Failure>>()?;
    files.sort();
    Ok(files)
}
