//! Training through Burn's own data loader.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_data::{
    Benchmark, Buckets, Collation, EncodeOptions, Encoder, Example, ExampleBatcher, LabelScope, Layout, OnBadRow,
    Padding, Split, TensorBatch, Tokenizer, read_split,
};
use adamole_tests::device;
use burn::{
    data::{
        dataloader::{DataLoader, DataLoaderBuilder},
        dataset::InMemDataset,
    },
    nn::{EmbeddingConfig, loss::CrossEntropyLossConfig},
    optim::{AdamWConfig, GradientsParams},
    tensor::Device,
};
use std::{path::Path, sync::Arc};

/// Fifty items of COPA and the number of tokens of the vocabulary.
fn examples() -> (Vec<Example>, usize) {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets");
    let copa = Benchmark::by_name("copa").unwrap();
    let split = read_split(copa, &datasets, Split::Validation, Some(50), OnBadRow::Fail).unwrap();
    let tokenizer = Tokenizer::from_folder(&datasets.join("base")).unwrap();
    let examples = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap().encode(&split.items).unwrap();
    (examples, tokenizer.vocab_size())
}

fn loader(
    examples: Vec<Example>,
    labels: LabelScope,
    buckets: Buckets,
    device: &Device,
) -> Arc<dyn DataLoader<TensorBatch>> {
    let collation = Collation { pad_id: 0, labels, layout: Layout::Padded(Padding::Right) };
    let builder = DataLoaderBuilder::new(ExampleBatcher { collation, buckets });
    builder.batch_size(8).shuffle(3).set_device(device.clone()).build(InMemDataset::new(examples))
}

#[test]
fn burns_data_loader_gives_every_item_once() {
    let (examples, _) = examples();
    let lengths: Vec<usize> = examples.iter().map(|example| example.text.len()).collect();
    let buckets = Buckets::fitting(&lengths, 4);
    let (mut labels, mut tokens) = (0, 0);
    for batch in loader(examples, LabelScope::Answer, buckets.clone(), &device()).iter() {
        let TensorBatch { ids, token_mask, label_positions, label_targets } = batch.unwrap();
        assert!(buckets.lengths().contains(&ids.dims()[1]));
        labels += label_targets.dims()[0];
        tokens += token_mask.int().sum().into_scalar::<i64>() as usize;
        // The target of a position is the token after it.
        let next = ids.flatten::<1>(0, 1).select(0, label_positions + 1);
        assert_eq!(next.into_data(), label_targets.into_data());
    }
    assert_eq!((labels, tokens), (50, lengths.iter().sum()));
}

/// The loop of the crate's README.
#[test]
fn a_model_trains_through_burns_data_loader() {
    let (examples, vocab_size) = examples();
    let device = device().autodiff();
    let loader = loader(examples, LabelScope::Text, Buckets::any(), &device);
    let mut model = EmbeddingConfig::new(vocab_size, vocab_size).init(&device);
    let mut optimizer = AdamWConfig::new().init();
    let mut epoch = || -> f32 {
        let mut sum = 0.0;
        for batch in loader.iter() {
            let batch = batch.unwrap();
            let logits = model.forward(batch.ids).flatten::<2>(0, 1).select(0, batch.label_positions);
            let loss = CrossEntropyLossConfig::new().init(&device).forward(logits, batch.label_targets);
            sum += loss.clone().into_scalar::<f32>();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.5, model.clone(), gradients);
        }
        sum
    };
    let (first, second) = (epoch(), epoch());
    assert!(second < first, "the loss falls: {first} to {second}");
}
