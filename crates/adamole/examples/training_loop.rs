//! A training loop of one's own on the crates: a base model with adapters, Burn's data loader, an optimizer of Burn.
//!
//! `adamole::train::Trainer` does more: it accumulates micro-batches side by side, keeps inactive experts still, chooses the
//! best epoch, and resumes to the bit. This is for who wants the loop.
//!
//! `cargo run --release --example training_loop [-- ADAPTER_FOLDER]` in `crates/adamole`.

use adamole::{
    core::{AdaMole, AdapterConfig, DropoutSeed, ForwardContext, RoutingDetail, ValidRows},
    data::{
        Benchmark, Buckets, Collation, EncodeOptions, Encoder, Example, ExampleBatcher, LabelScope, Layout, OnBadRow,
        Padding, Split, TensorBatch, Tokenizer, read_split,
    },
    llama::{AdapterLayout, CausalLm, Targets, TokenBatch, frozen_cross_entropy, load_base, save_adapter},
    train::{Workers, evaluate},
};
use burn::{
    data::{dataloader::DataLoaderBuilder, dataset::InMemDataset},
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor},
};
use std::{error::Error, path::Path};

/// The loss of the answers, and the load balancing loss.
fn losses(model: &CausalLm, batch: TensorBatch, seed: DropoutSeed) -> (Tensor<1>, Tensor<1>) {
    let (count, labels) = (batch.token_mask.clone().int().sum().into_scalar::<i64>(), batch.label_targets.dims()[0]);
    let positions = batch.token_mask.dims().iter().product::<usize>();
    let mask = batch.token_mask.float().reshape([positions, 1]);
    // Padding has no part in routing, and no token sees it: it is on the right.
    let tokens = TokenBatch::causal(batch.ids).with_tokens(ValidRows { mask, count: count as usize });
    let mut context = ForwardContext::training(seed).recording(RoutingDetail::Counts);
    let hidden = model.hidden(&tokens, &mut context).select(0, batch.label_positions);
    // Logits where the labels are, in chunks, and never a matrix of all tokens by the whole vocabulary.
    let task = frozen_cross_entropy(hidden, model.projection(), None, batch.label_targets, labels as f32);
    let balance = context.auxiliary_loss().unwrap_or_else(|| task.zeros_like());
    (task, balance)
}

fn main() -> Result<(), Box<dyn Error>> {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let base = datasets.join("base");
    let device = Device::default().autodiff();

    let tokenizer = Tokenizer::from_folder(&base)?;
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default())?;
    let examples = |split, limit| -> Result<Vec<Example>, Box<dyn Error>> {
        let items = read_split(Benchmark::by_name("cb")?, &datasets, split, Some(limit), OnBadRow::Fail)?.items;
        Ok(encoder.encode(&items)?)
    };
    let (training, validation) = (examples(Split::Train, 320)?, examples(Split::Validation, 100)?);

    let mut model = load_base(&base, &device)?;
    let config = AdapterConfig::new(AdaMole { num_experts: 8.try_into()?, tau_max: None }, 4, 16.0, 0.05)?;
    model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config())?, /* seed */ 0);

    // Evaluation is on the plain device, where no graph is kept.
    let score = |model: &CausalLm| evaluate(&model.valid(), &validation, &Workers::new(1), &device.clone().inner());
    let before = score(&model)?;

    let collation = Collation { pad_id: 0, labels: LabelScope::Answer, layout: Layout::Padded(Padding::Right) };
    let batcher = ExampleBatcher { collation, buckets: Buckets::any() };
    let builder = DataLoaderBuilder::new(batcher).batch_size(16).shuffle(/* seed */ 0).set_device(device.clone());
    let loader = builder.build(InMemDataset::new(training));
    let mut optimizer = AdamWConfig::new().init();
    for epoch in 0..2 {
        let mut sum = 0.0;
        for (step, batch) in loader.iter().enumerate() {
            let seed = DropoutSeed { run: 0, step: (epoch * 1000 + step) as u64, micro_batch: 0 };
            let (task, balance) = losses(&model, batch?, seed);
            sum += task.clone().into_scalar::<f32>();
            let gradients = GradientsParams::from_grads((task + balance * 1e-3).backward(), &model);
            model = optimizer.step(1e-3, model, gradients);
        }
        eprintln!("epoch {}: mean loss {:.3}", epoch + 1, sum / 20.0);
    }

    let after = score(&model)?;
    eprintln!(
        "accuracy {:.2} to {:.2}, loss {:.3} to {:.3}",
        before.accuracy, after.accuracy, before.choice_loss, after.choice_loss
    );
    assert!(after.choice_loss < before.choice_loss, "the adapter learns");
    let scratch = tempfile::tempdir()?;
    let given = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = given.map_or_else(|| scratch.path().join("adapter"), Into::into);
    save_adapter(&model, Some("datasets/base"), &folder)?;
    eprintln!("saved to {}", folder.display());
    Ok(())
}
