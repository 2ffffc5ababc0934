//! The first twenty steps of the shipped base, against the curve that is kept here: what changes it is seen.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdapterConfig, Method},
    data::{Benchmark, EncodeOptions, Encoder, Example, OnBadRow, Split, Tokenizer, read_split},
    llama::{AdapterLayout, Targets, load_base},
    train::{Control, Recipe, TrainEvent, TrainingData, Workers, train},
};
use adamole_tests::device;
use std::path::Path;

/// Task loss, auxiliary loss and gradient norm of each step.
const CURVE: &str = include_str!("../loss_curve.json");

#[test]
fn the_first_twenty_steps_are_as_they_were() {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets");
    let tokenizer = Tokenizer::from_folder(&datasets.join("base")).unwrap();
    let encoder = Encoder::new(&tokenizer, &EncodeOptions::default()).unwrap();
    let cb = Benchmark::by_name("cb").unwrap();
    let examples = |split, limit| -> Vec<Example> {
        let read = read_split(cb, &datasets, split, Some(limit), OnBadRow::Fail).unwrap();
        encoder.encode(&read.items).unwrap()
    };
    let (training, validation) = (examples(Split::Train, 160), examples(Split::Validation, 4));

    let device = device().autodiff();
    let mut model = load_base(&datasets.join("base"), &device).unwrap();
    let method = Method::AdaMole { num_experts: 8.try_into().unwrap(), tau_max: None };
    let config = AdapterConfig { method, rank: 4.try_into().unwrap(), alpha: 16.0, dropout: 0.05.try_into().unwrap() };
    model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config().num_hidden_layers), 0);

    let recipe = Recipe { epochs: 2, learning_rate: 1e-3, warmup_steps: 5, ..Recipe::default() };
    let data = TrainingData { train: &training, validation: &validation, pad_id: 0 };
    let mut curve: Vec<[f64; 3]> = Vec::new();
    train(model, data, &recipe, &Workers::new(2), &device, Control::default(), |event, _| {
        if let TrainEvent::Step(step) = event {
            curve.push([step.task_loss, step.balance_loss.unwrap(), step.gradient_norm]);
        }
        Ok(())
    })
    .unwrap();
    let kept: Vec<[f64; 3]> = serde_json::from_str(CURVE).unwrap_or_default();
    let far = |(found, kept): (&f64, &f64)| (found - kept).abs() > 1e-5 * kept.abs().max(1.0);
    let differs = curve.len() != kept.len() || curve.iter().flatten().zip(kept.iter().flatten()).any(far);
    assert!(!differs, "expected {kept:?}, found\n{}", serde_json::to_string(&curve).unwrap());
    assert_eq!(curve.len(), 20);
}
