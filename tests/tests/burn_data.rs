//! Training through Burn's own data loader.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_data::{
    Benchmark, Buckets, Collation, EncodeOptions, Encoder, ExampleBatcher, LabelScope, OnBadRow, Padding, Split,
    TensorBatch,
};
use adamole_tests::device;
use burn::data::{dataloader::DataLoaderBuilder, dataset::InMemDataset};
use std::path::Path;

#[test]
fn burns_data_loader_gives_every_item_once() {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets");
    let copa = Benchmark::by_name("copa").unwrap();
    let split = adamole_data::read_split(copa, &datasets, Split::Validation, Some(50), OnBadRow::Fail).unwrap();
    let tokenizer = adamole_data::Tokenizer::from_folder(&datasets.join("base")).unwrap();
    let examples = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap().encode(&split.items).unwrap();
    let lengths: Vec<usize> = examples.iter().map(|example| example.text.len()).collect();
    let buckets = Buckets::fitting(&lengths, 4);

    let batcher = ExampleBatcher {
        collation: Collation { pad_id: 0, labels: LabelScope::Answer, padding: Padding::Right },
        buckets: buckets.clone(),
    };
    let examples = InMemDataset::new(examples);
    let loader = DataLoaderBuilder::new(batcher).batch_size(8).shuffle(3).set_device(device()).build(examples);
    let (mut labels, mut tokens) = (0, 0);
    for batch in loader.iter() {
        let TensorBatch { ids, token_mask, label_positions, label_targets } = batch.unwrap();
        assert!(buckets.lengths().contains(&ids.dims()[1]));
        labels += label_targets.dims()[0];
        tokens += token_mask.int().sum().into_scalar::<i64>() as usize;
        // The target of a position is the next token.
        let next = ids.flatten::<1>(0, 1).select(0, label_positions + 1);
        assert_eq!(next.into_data(), label_targets.into_data());
    }
    assert_eq!((labels, tokens), (50, lengths.iter().sum()));
}
