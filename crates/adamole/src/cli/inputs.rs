//! The base model of a command.

use super::{
    Failure,
    fetching::{adapter_folder, model_folder},
    reading::Items,
};
use adamole::{
    data::{Example, MultipleChoice, Split, Tokenizer},
    llama::{AdapterLayout, CausalLm, ModelConfig, ModelWarning, WeightTypes, load_adapter, load_base_as},
};
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// The base model and its tokenizer.
pub(crate) struct Base {
    pub(crate) model: CausalLm,
    pub(crate) tokenizer: Tokenizer,
    /// Its folder.
    pub(crate) folder: PathBuf,
}

impl Base {
    /// Loads the model `name`, a folder or a repository of the hub, onto `device`.
    pub(crate) fn load(name: &str, types: impl Into<WeightTypes>, device: &Device) -> Result<Self, Failure> {
        let folder = model_folder(name)?;
        // The tokenizer first: it is small, and its absence is reported before weights are read.
        let tokenizer = Tokenizer::from_folder(&folder)?;
        Ok(Self { model: load_model(&folder, types, device)?, tokenizer, folder })
    }

    /// [`Self::load`] with the adapter of this name on it, if one is named.
    pub(crate) fn load_with(
        name: &str,
        adapter: Option<&str>,
        types: impl Into<WeightTypes>,
        device: &Device,
    ) -> Result<Self, Failure> {
        let mut base = Self::load(name, types, device)?;
        if let Some(adapter) = adapter {
            base.adapt(adapter)?;
        }
        Ok(base)
    }

    /// Puts the adapter `name`, a folder, a run directory or a repository of the hub, on the model.
    pub(crate) fn adapt(&mut self, name: &str) -> Result<(), Failure> {
        adapt(&mut self.model, name).map(drop)
    }

    /// The token ids of a text, all of which are in the model's vocabulary.
    pub(crate) fn encode_text(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let ids = self.tokenizer.encode_text(text)?;
        self.model.check_tokens(&ids)?;
        Ok(ids)
    }

    /// Encodes the items of a split for this model.
    pub(crate) fn encode(&self, items: &Items, split: Split, read: &[MultipleChoice]) -> Result<Vec<Example>, Failure> {
        let examples = items.encode(&self.tokenizer, split, read)?;
        let ids = examples.iter().flat_map(|example| example.text.iter().chain(&example.prompt));
        self.model.check_tokens(ids.chain(examples.iter().flat_map(|example| &example.choice_ids)))?;
        Ok(examples)
    }

    /// The token that fills rows up: the end of sequence, as in the reference implementation. It is masked, and never a
    /// label.
    pub(crate) fn pad_id(&self) -> u32 {
        self.tokenizer.eos().unwrap_or(0)
    }
}

/// Loads the base model in `folder`. Its warnings go to stderr.
pub(crate) fn load_model(folder: &Path, types: impl Into<WeightTypes>, device: &Device) -> Result<CausalLm, Failure> {
    let model = load_base_as(folder, types, device)?;
    warn(model.warnings());
    Ok(model)
}

/// Puts the adapter `name`, a folder, a run directory or a repository of the hub, on a model. New warnings go to stderr.
pub(crate) fn adapt(model: &mut CausalLm, name: &str) -> Result<AdapterLayout, Failure> {
    let known = model.warnings().len();
    let layout = load_adapter(model, &adapter_folder(name)?)?;
    warn(&model.warnings()[known..]);
    Ok(layout)
}

/// Shows warnings on stderr.
pub(crate) fn warn(warnings: &[ModelWarning]) {
    for warning in warnings {
        say!("warning: {warning}");
    }
}

/// Warns of texts with these lengths that exceed the model's positions.
pub(crate) fn warn_beyond_positions(model: &ModelConfig, lengths: impl Iterator<Item = usize>) {
    let mut long = LongTexts::beyond(model.max_position_embeddings);
    lengths.for_each(|length| long.count(length));
    long.warn();
}

/// A count of the texts that exceed a model's positions, for one warning about all of them.
pub(crate) struct LongTexts {
    positions: usize,
    longer: usize,
    all: usize,
}

impl LongTexts {
    pub(crate) fn beyond(positions: usize) -> Self {
        Self { positions, longer: 0, all: 0 }
    }

    /// Counts a text of `length` tokens.
    pub(crate) fn count(&mut self, length: usize) {
        self.longer += usize::from(length > self.positions);
        self.all += 1;
    }

    pub(crate) fn warn(&self) {
        let Self { positions, longer, all } = self;
        if *longer > 0 {
            say!(
                "warning: {longer} of {all} texts have more tokens than the {positions} positions that the model was made for \
                 (max_position_embeddings); --max-tokens {positions} truncates them"
            );
        }
    }
}

/// The most workers for each core. More than one of a core does the same work no sooner, and each takes 2 MiB of address space
/// for its stack.
const MAX_WORKERS_PER_CORE: usize = 4;

/// The number of micro-batches in parallel: by default one per core on the CPU, one on a GPU.
pub(crate) fn workers(asked: Option<usize>, on_cpu: bool) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    asked.unwrap_or(if on_cpu { cores } else { 1 }).clamp(1, MAX_WORKERS_PER_CORE * cores)
}
