//! The memory of a training process does not grow with the number of steps. The only test of its process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdaMole, AdapterConfig},
    data::{Benchmark, EncodeOptions, Encoder, Example, OnBadRow, Split, Tokenizer, read_split},
    llama::{AdapterLayout, Targets, load_base},
    train::{Checkpoints, Recipe, TrainEvent, Trainer, TrainingData, Workers},
};
use adamole_tests::{device, memory};
use std::path::Path;

/// Steps between two measurements.
const EVERY: usize = 100;
/// Measurements until every batch length has occurred on every worker, and all buffers are allocated.
const WARM_UP: usize = 2;
const STEPS: usize = 500;
/// The allowed growth in bytes. The allocator alone accounts for 5 MB either way; a leak of 32 KiB a step exceeds it.
const GROWTH: u64 = 8 << 20;

#[test]
fn memory_does_not_grow_with_the_steps() {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets");
    let tokenizer = Tokenizer::from_folder(&datasets.join("base")).unwrap();
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let copa = Benchmark::by_name("copa").unwrap();
    let examples = |split, limit| -> Vec<Example> {
        let read = read_split(copa, &datasets, split, Some(limit), OnBadRow::Fail).unwrap();
        encoder.encode(&read.items).unwrap()
    };
    // 20 epochs of 25 steps, each with a validation and a checkpoint.
    let (training, validation) = (examples(Split::Train, 200), examples(Split::Validation, 16));
    let device = device().autodiff();
    let mut model = load_base(&datasets.join("base"), &device).unwrap();
    let method = AdaMole { num_experts: 8.try_into().unwrap(), tau_max: None };
    let config = AdapterConfig::new(method, 4, 16.0, 0.05).unwrap();
    model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config()).unwrap(), 0);

    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(folder.path().to_owned(), EVERY, 1);
    let recipe = Recipe { epochs: 20, batch_size: 8, micro_batch_size: 4, warmup_steps: 5, ..Recipe::default() };
    let data = TrainingData { train: (&training).into(), validation: (&validation).into(), pad_id: 0 };
    let mut measured = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event
            && (step.step + 1).is_multiple_of(EVERY)
        {
            measured.push(memory("VmRSS"));
        }
        Ok(())
    };
    let trainer = Trainer::new(&recipe).workers(&Workers::new(2)).checkpoints(&checkpoints);
    trainer.fit(model, data, &mut observer).unwrap();
    eprintln!("bytes after every {EVERY} steps: {measured:?}");
    assert_eq!(measured.len(), STEPS / EVERY);
    let growth = measured[measured.len() - 1].saturating_sub(measured[WARM_UP - 1]);
    assert!(growth < GROWTH, "{growth} bytes more than after {} steps: {measured:?}", WARM_UP * EVERY);
}
