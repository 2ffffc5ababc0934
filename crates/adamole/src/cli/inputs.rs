//! The base model that a command works with.

use super::{
    Failure,
    fetching::{adapter_folder, model_folder},
    reading::Items,
};
use adamole::{
    data::{Example, MultipleChoice, Split, Tokenizer},
    llama::{CausalLm, ModelConfig, WeightTypes, load_adapter, load_base_as},
};
use burn::tensor::Device;
use std::path::PathBuf;

/// The base model and its tokenizer.
pub(crate) struct Base {
    pub(crate) model: CausalLm,
    pub(crate) tokenizer: Tokenizer,
    /// Where it is from.
    pub(crate) folder: PathBuf,
}

impl Base {
    /// Loads the model `name`, a folder or a repository of the hub, onto `device`.
    pub(crate) fn load(name: &str, types: impl Into<WeightTypes>, device: &Device) -> Result<Self, Failure> {
        let folder = model_folder(name)?;
        // The tokenizer first: it is small, and a folder without one is found out before weights are read.
        let tokenizer = Tokenizer::from_folder(&folder)?;
        Ok(Self { model: load_base_as(&folder, types, device)?, tokenizer, folder })
    }

    /// Puts the adapter `name` on the model, a folder, a run's folder or a repository of the hub.
    pub(crate) fn adapt(&mut self, name: &str) -> Result<(), Failure> {
        load_adapter(&mut self.model, &adapter_folder(name)?)?;
        Ok(())
    }

    /// Encodes the items of a split for this model.
    pub(crate) fn encode(&self, items: &Items, split: Split, read: &[MultipleChoice]) -> Result<Vec<Example>, Failure> {
        let examples = items.encode(&self.tokenizer, split, read)?;
        let rows = self.model.config().vocab_size;
        let ids = examples.iter().flat_map(|example| example.text.iter().chain(&example.prompt));
        match ids.chain(examples.iter().flat_map(|example| &example.choice_ids)).max() {
            Some(&id) if id as usize >= rows => Err(Failure::Usage(format!(
                "the tokenizer gives token {id}, but the model's vocabulary has {rows}: they are not of one model"
            ))),
            _ => Ok(examples),
        }
    }

    /// The end of sequence, as published; it is never seen, and never a label.
    pub(crate) fn pad_id(&self) -> u32 {
        self.tokenizer.eos().unwrap_or(0)
    }
}

/// Warns of texts, of so many tokens each, that are longer than the model knows positions.
pub(crate) fn warn_beyond_positions(model: &ModelConfig, lengths: impl Iterator<Item = usize>) {
    let positions = model.max_position_embeddings;
    let (longer, all) =
        lengths.fold((0, 0), |(longer, all), length| (longer + usize::from(length > positions), all + 1));
    if longer > 0 {
        say!(
            "warning: {longer} of {all} texts have more tokens than the {positions} positions that the model was made for \
             (max_position_embeddings); --max-tokens {positions} truncates them"
        );
    }
}

/// The most workers: more than any machine has cores for.
const MAX_WORKERS: usize = 1024;

/// Micro-batches side by side: one worker per core on the CPU, one on a GPU.
pub(crate) fn workers(asked: Option<usize>, on_cpu: bool) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    asked.unwrap_or(if on_cpu { cores } else { 1 }).clamp(1, MAX_WORKERS)
}
