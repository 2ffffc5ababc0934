//! The first twenty steps of the shipped base against a recorded loss curve, which shows any change. On devices other than the
//! CPU, both curves are printed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::train::{Recipe, TrainEvent, Trainer, TrainingData};
use adamole_tests::{
    device, device_name, paces,
    shipped::{adapted_base, examples, recipe},
    workers,
};

/// Task loss, load balancing loss and gradient norm of each step on the CPU.
const CURVE: &str = include_str!("../../loss_curve.json");

/// Whether steps begin before the results of those before them are read changes nothing but the device on which the norm that
/// clips is rounded.
#[test]
fn the_first_twenty_steps_equal_the_recorded_ones() {
    for &runs_ahead in paces() {
        let curve = curve(runs_ahead);
        let kept: Vec<[f64; 3]> = serde_json::from_str(CURVE).unwrap_or_default();
        if device_name() != "cpu" {
            let name = device_name();
            eprintln!("| step | task loss, cpu | {name} | balance loss, cpu | {name} |\n|---:|---:|---:|---:|---:|");
            for (step, (kept, found)) in kept.iter().zip(&curve).enumerate() {
                eprintln!("| {step} | {:.6} | {:.6} | {:.6} | {:.6} |", kept[0], found[0], kept[1], found[1]);
            }
        }
        // Adam scales rounding errors of gradients up to steps, and twenty of them add up, most where one makes an expert of a
        // token active or not. Sums in another order change this curve by 1e-5; other devices get the bound of their arithmetic.
        let tolerance = if device_name() == "cpu" { 3e-5 } else { 1e-4 };
        let far = |(found, kept): (&f64, &f64)| (found - kept).abs() > tolerance * kept.abs().max(1.0);
        let differs = curve.len() != kept.len() || curve.iter().flatten().zip(kept.iter().flatten()).any(far);
        assert!(!differs, "expected {kept:?}, found\n{}", serde_json::to_string(&curve).unwrap());
        assert_eq!(curve.len(), 20);
    }
}

fn curve(runs_ahead: bool) -> Vec<[f64; 3]> {
    let [training, validation] = examples(160, 4);
    let device = device().autodiff();
    let data = TrainingData { train: (&training).into(), validation: (&validation).into(), pad_id: 0 };
    let mut curve = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event {
            curve.push([step.task_loss, step.balance_loss.unwrap(), step.gradient_norm]);
        }
        Ok(())
    };
    let recipe = recipe(2);
    let trainer = Trainer::new(&recipe).workers(&workers()).run_ahead(runs_ahead);
    trainer.fit(adapted_base(&device), data, &mut observer).unwrap();
    curve
}

#[test]
fn steps_that_are_not_finite_are_skipped_until_there_are_too_many() {
    let [training, validation] = examples(64, 4);
    let data = TrainingData { train: (&training).into(), validation: (&validation).into(), pad_id: 0 };
    // The auxiliary loss and its gradient overflow; the losses themselves are finite.
    let recipe = Recipe { balance_coefficient: f32::MAX, max_skipped_steps: 2, ..recipe(1) };
    for &runs_ahead in paces() {
        let (mut skipped, device) = (Vec::new(), device().autodiff());
        let mut observer = |event: &TrainEvent| {
            if let TrainEvent::Skipped { step, what } = event {
                skipped.push((*step, what.starts_with("gradient of model.layers.0")));
            }
            Ok(())
        };
        let trainer = Trainer::new(&recipe).workers(&workers()).run_ahead(runs_ahead);
        let error = trainer.fit(adapted_base(&device), data, &mut observer).unwrap_err().to_string();
        assert_eq!(skipped, [(0, true), (1, true)]);
        assert!(error.contains("step 2") && error.contains("gradient of model.layers.0"), "{error}");
    }
}
