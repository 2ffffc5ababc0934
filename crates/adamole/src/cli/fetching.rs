//! Models and data by name: from a folder, the cache or the hub, with progress on stderr.

use super::{
    Failure,
    output::{duration, size},
};
#[cfg(feature = "hub")]
use adamole::hub::{Pushed, Upload};
use adamole::{
    data::{Benchmark, HubPlace, text::TextSplits},
    hub::{Event, Hub, HubError, Kind, Source, Wanted},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{path::PathBuf, time::Instant};

/// Models whose names are suggested for mistyped ones.
const KNOWN_MODELS: [&str; 6] = [
    "meta-llama/Llama-2-7b-hf",
    "meta-llama/Llama-2-13b-hf",
    "meta-llama/Llama-3.2-1B",
    "google/gemma-7b",
    "HuggingFaceTB/SmolLM2-135M",
    "HuggingFaceTB/SmolLM2-360M",
];

/// The files of a tokenizer, with its chat templates.
const TOKENIZER: [&str; 1] = ["tokenizer.json"];
const TOKENIZER_IF_PRESENT: [&str; 5] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
];

/// Files of a model besides weights, and what else a copy of it needs.
const MODEL_IF_PRESENT: [&str; 2] = ["model.safetensors.index.json", "generation_config.json"];
const COMPANIONS: [&str; 6] = ["*.json", "*.jinja", "*.model", "*.txt", "*.md", "LICENSE*"];

/// The folder of a model with its weights.
pub(crate) fn model_folder(name: &str) -> Result<PathBuf, Failure> {
    fetch(&Source::parse(name)?, Kind::Model, &model_files())
}

/// The folder of a model with its weights and everything else that a copy of it needs.
pub(crate) fn whole_model_folder(name: &str) -> Result<PathBuf, Failure> {
    fetch(&Source::parse(name)?, Kind::Model, &model_files().and_if_present(COMPANIONS))
}

fn model_files() -> Wanted {
    Wanted::new(TOKENIZER.into_iter().chain(["config.json", "model*.safetensors"]))
        .and_if_present(TOKENIZER_IF_PRESENT.into_iter().chain(MODEL_IF_PRESENT))
}

/// The folder of a model, of which only the tokenizer is needed.
pub(crate) fn tokenizer_folder(name: &str) -> Result<PathBuf, Failure> {
    let wanted = Wanted::new(TOKENIZER).and_if_present(TOKENIZER_IF_PRESENT);
    fetch(&Source::parse(name)?, Kind::Model, &wanted)
}

/// The folder of an adapter; that of a run has it in `adapter`.
pub(crate) fn adapter_folder(name: &str) -> Result<PathBuf, Failure> {
    let of_run = PathBuf::from(name).join("adapter");
    if of_run.is_dir() {
        return Ok(of_run);
    }
    let wanted = Wanted::new(["adapter_config.json"]).and_if_present([
        "adapter_model.safetensors",
        "adapter_model.bin",
        "chat_template.jinja",
    ]);
    fetch(&Source::parse(name)?, Kind::Model, &wanted)
}

/// The folder of a benchmark that is no mixture: `data`, or the place that the benchmark has on the hub.
pub(crate) fn benchmark_folder(benchmark: &Benchmark, data: Option<&Source>) -> Result<PathBuf, Failure> {
    let own = |HubPlace { id, revision, .. }: &HubPlace| match revision {
        Some(revision) => Source::parse(&format!("{id}@{revision}")),
        None => Source::parse(id),
    };
    let source = match (data, benchmark.hub()) {
        (Some(data), _) => data.clone(),
        (None, Some(hub)) => own(hub)?,
        (None, None) => {
            return Err(Failure::Usage(format!("--data is needed: {} has no place on the hub", benchmark.name())));
        }
    };
    fetch(&source, Kind::Dataset, &rows_of(benchmark))
}

/// The folder of a data set with text of one's own.
pub(crate) fn text_folder(source: &Source, splits: &TextSplits) -> Result<PathBuf, Failure> {
    let train = splits.train.as_deref().unwrap_or("train");
    let wanted = Wanted::default().and_first_of(splits.file_patterns()).at_least_one(format!(
        "files with rows of the split {train} (as data/{train}-*.parquet or {train}.jsonl; --text-train-split names another)"
    ));
    fetch(source, Kind::Dataset, &wanted)
}

/// The files with rows, in every layout in which they are read.
fn rows_of(benchmark: &Benchmark) -> Wanted {
    let example = benchmark.splits().first().map_or("train", |&split| split.into());
    Wanted::default().and_if_present(benchmark.named_files()).and_first_of(benchmark.file_patterns()).at_least_one(
        format!("files with rows of {} (as data/{example}-*.parquet or {example}.jsonl)", benchmark.name()),
    )
}

fn fetch(source: &Source, kind: Kind, wanted: &Wanted) -> Result<PathBuf, Failure> {
    // A local folder is read without a hub, so that wrong settings of the hub do not matter.
    if let Some(folder) = source.folder() {
        return Ok(folder);
    }
    let mut progress = Progress::new();
    let datasets = Benchmark::all().iter().filter_map(Benchmark::hub).map(|hub| hub.id.as_str());
    let known: Vec<&str> = match kind {
        Kind::Model => KNOWN_MODELS.to_vec(),
        Kind::Dataset => datasets.collect(),
    };
    let folder = Hub::from_env()?.with_known_names(known).fetch(source, kind, wanted, &mut |event| {
        progress.observe(&event);
    });
    // Few repositories have no owner, and many folders have no slash in their names.
    if matches!(folder, Err(HubError::Network { .. })) && !source.to_string().contains('/') {
        say!("note: there is no folder {source} here, so that it was looked for on the hub");
    }
    if progress.planned && folder.is_ok() {
        say!("{source} fetched in {}", duration(progress.started.elapsed().as_secs_f64()));
    }
    Ok(folder?)
}

/// Puts files onto the hub.
#[cfg(feature = "hub")]
pub(crate) fn push(target: &Source, upload: &Upload) -> Result<Pushed, Failure> {
    let mut progress = Progress::new();
    Ok(Hub::from_env()?.push(target, upload, &mut |event| progress.observe(&event))?)
}

/// Shows the events of a download or an upload on stderr: lines, and on a terminal a bar.
struct Progress {
    started: Instant,
    planned: bool,
    /// Of the file in transfer.
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new() -> Self {
        Self { started: Instant::now(), planned: false, bar: None }
    }

    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { files, bytes } => {
                self.planned = true;
                self.say(&format!("fetching {files} files, {}", size(Some(*bytes))));
            }
            Event::Started { file, offset, total } => {
                let bar = bar(*total).with_position(*offset).with_message((*file).to_owned());
                // What an earlier transfer has left takes no time.
                bar.reset_eta();
                self.bar = Some(bar);
            }
            Event::Advanced { done, .. } => self.bar.iter().for_each(|bar| bar.set_position(*done)),
            Event::Uploading { done, total } => {
                self.bar.get_or_insert_with(|| bar(*total).with_message("sent")).set_position(*done);
            }
            Event::Finished { file } => {
                self.bar = None;
                say!("{file}");
            }
            Event::Waiting { file } => self.say(&format!("waiting for another process that downloads {file}")),
            Event::Retrying { error, delay } => {
                self.say(&format!("{error}; trying again in {:.1} s", delay.as_secs_f64()));
            }
            Event::UsingCache { error, snapshot } => {
                self.say(&format!("warning: {error}; using {}, which may be out of date", snapshot.display()));
            }
            _ => {}
        }
    }

    /// A line above the bar.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say!("{line}")),
            None => say!("{line}"),
        }
    }
}

/// A bar of bytes, cleared when it is dropped; hidden where stderr is not a terminal.
fn bar(total: u64) -> ProgressBar {
    let template = "{bar:24.cyan} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
