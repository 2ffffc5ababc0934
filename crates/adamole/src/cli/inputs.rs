//! From names on the command line to a model, a tokenizer and encoded examples.

use super::Failure;
use adamole::{
    data::{Benchmark, DataError, EncodeOptions, Encoder, Example, Split, Tokenizer, read_split, require_labels},
    hub::{Kind, Source},
    llama::{CausalLm, Precision, load_base_as},
};
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// The base model and its tokenizer.
pub(crate) struct Base {
    pub(crate) model: CausalLm,
    pub(crate) tokenizer: Tokenizer,
}

/// The folder of the model `name`, which is one already or a cached repository.
pub(crate) fn model_folder(name: &str) -> Result<PathBuf, Failure> {
    Ok(Source::parse(name)?.locate(Kind::Model)?)
}

/// The folder of an adapter: the folder itself, or a run's.
pub(crate) fn adapter_folder(folder: &Path) -> PathBuf {
    let of_run = folder.join("adapter");
    if of_run.is_dir() { of_run } else { folder.to_owned() }
}

impl Base {
    /// Loads the model `name`, a folder or a cached repository, onto `device`.
    pub(crate) fn load(name: &str, precision: Precision, device: &Device) -> Result<Self, Failure> {
        let folder = model_folder(name)?;
        // The tokenizer first: it is small, and a folder without one is found out before weights are read.
        let tokenizer = Tokenizer::from_folder(&folder)?;
        Ok(Self { model: load_base_as(&folder, precision, device)?, tokenizer })
    }

    /// Reads and encodes a labelled split.
    pub(crate) fn examples(
        &self,
        benchmark: &'static Benchmark,
        folder: &Path,
        split: Split,
        limit: Option<usize>,
        max_tokens: usize,
    ) -> Result<Vec<Example>, Failure> {
        let in_file = |error: DataError| Failure::Item(split_path(folder, split), error);
        let items = read_split(benchmark, folder, split, limit)?;
        require_labels(&items).map_err(in_file)?;
        let encoder = Encoder::new(&self.tokenizer, &EncodeOptions { max_tokens, ..EncodeOptions::default() })?;
        let examples = encoder.encode(&items).map_err(in_file)?;
        let rows = self.model.config().vocab_size;
        let ids = examples.iter().flat_map(|example| example.ids.iter().chain(&example.choice_ids));
        match ids.max() {
            Some(&id) if id as usize >= rows => Err(Failure::Usage(format!(
                "the tokenizer gives token {id}, but the model's vocabulary has {rows}: they are not of one model"
            ))),
            _ => Ok(examples),
        }
    }

    /// Any token: padding is never seen.
    pub(crate) fn pad_id(&self) -> u32 {
        self.tokenizer.eos().unwrap_or(0)
    }
}

fn split_path(folder: &Path, split: Split) -> PathBuf {
    folder.join(format!("{split}.jsonl"))
}

/// Micro-batches side by side: one worker per core on the CPU, one on a GPU.
pub(crate) fn workers(asked: Option<usize>, device: &str) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    asked.unwrap_or(if adamole::device::is_cpu(device) { cores } else { 1 }).max(1)
}
