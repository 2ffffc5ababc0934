//! The shipped base model and data samples, for short runs.

use adamole::{
    core::{AdaMole, AdapterConfig},
    data::{
        Batch, Benchmark, Buckets, Collation, EncodeOptions, Encoder, Example, LabelScope, Layout, OnBadRow, Padding,
        Split, Tokenizer, read_split,
    },
    llama::{AdapterLayout, CausalLm, Targets, WeightTypes, load_base_as},
    train::Recipe,
};
use burn::tensor::Device;
use std::path::PathBuf;

/// The folder of the shipped data sets.
pub fn datasets() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../datasets")
}

/// Training and validation examples of CommitmentBank.
pub fn examples(training: usize, validation: usize) -> [Vec<Example>; 2] {
    let tokenizer = Tokenizer::from_folder(&datasets().join("base")).unwrap_or_else(|e| panic!("{e}"));
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let cb = Benchmark::by_name("cb").unwrap_or_else(|e| panic!("{e}"));
    [(Split::Train, training), (Split::Validation, validation)].map(|(split, limit)| {
        let read = read_split(cb, &datasets(), split, Some(limit), OnBadRow::Fail).unwrap_or_else(|e| panic!("{e}"));
        encoder.encode(&read.items).unwrap_or_else(|e| panic!("{e}"))
    })
}

/// The examples in micro-batches of `rows` sequences, with a loss on every token.
pub fn micro_batches(examples: &[Example], rows: usize) -> Vec<Batch> {
    let collation = Collation { pad_id: 0, labels: LabelScope::Text, layout: Layout::Padded(Padding::Right) };
    let indices: Vec<usize> = (0..examples.len()).collect();
    indices.chunks(rows).map(|indices| Batch::of_texts(examples, indices, collation, &Buckets::any())).collect()
}

/// AdaMoLE with eight experts of rank 4 and dropout.
pub fn adapter() -> AdapterConfig {
    let num_experts = 8.try_into().unwrap_or_else(|e| panic!("{e}"));
    AdapterConfig::new(AdaMole { num_experts, tau_max: None }, 4, 16.0, 0.05).unwrap_or_else(|e| panic!("{e}"))
}

/// The shipped base with [`adapter`] on its attention linears.
pub fn adapted_base(device: &Device) -> CausalLm {
    adapted_base_as(WeightTypes::default(), device)
}

/// [`adapted_base`] with frozen weights of these types.
pub fn adapted_base_as(types: WeightTypes, device: &Device) -> CausalLm {
    let mut model = load_base_as(&datasets().join("base"), types, device).unwrap_or_else(|e| panic!("{e}"));
    let layout = AdapterLayout::uniform(adapter(), &Targets::attention(), model.config());
    model.adapt(&layout.unwrap_or_else(|error| panic!("{error}")), 0);
    model
}

/// A recipe of a few steps with a short warm-up.
pub fn recipe(epochs: usize) -> Recipe {
    Recipe { epochs, learning_rate: 1e-3, warmup_steps: 5, ..Recipe::default() }
}
