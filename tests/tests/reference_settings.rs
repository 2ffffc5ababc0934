//! A training step with the settings of the reference implementation equals the pass that the golden numbers hold.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::DropoutScope,
    data::{Batch, Buckets, Collation, Example, LabelScope, Layout, Padding},
    llama::{load_adapter, load_base},
    train::{Accumulation, CollatedBatch, Recipe, Replicas, StepInput, Workers, accumulate, trace},
};
use adamole_tests::{Case, assert_close, device, flat_gradients};

const PAD: u32 = 127;

fn example(tokens: usize) -> Example {
    let text: Vec<u32> = (0..tokens as u32).map(|t| (t * 13 + 5) % PAD).collect();
    Example {
        answer_at: Some(tokens - 2),
        prompt: text[..tokens - 2].to_vec(),
        text,
        answer: Some(0),
        choice_ids: vec![4, 5],
        truncated: false,
        item: 0,
    }
}

#[test]
fn a_step_with_left_padding_equals_that_of_the_reference_implementation() {
    let device = device().autodiff();
    for name in ["llama_gqa__ada_max1", "llama_gqa__mole_top2"] {
        let case = Case::open(name);
        let mut model = load_base(&case.folder.join(case.json["base"].as_str().unwrap()), &device).unwrap();
        load_adapter(&mut model, &case.folder).unwrap();

        let examples = [5, 16, 9].map(example);
        let collation = Collation { pad_id: PAD, labels: LabelScope::Text, layout: Layout::Padded(Padding::Left) };
        let batch = Batch::of_texts(&examples, &[0, 1, 2], collation, &Buckets::any());
        let tokens = batch.token_mask();
        let integers = |ids: &[u32]| ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>();
        let explicit = CollatedBatch {
            ids: integers(&batch.ids),
            attention_mask: tokens.iter().map(|token| i64::from(*token)).collect(),
            labels: Some(batch.ids.iter().map(|id| if *id == PAD { -100 } else { i64::from(*id) }).collect()),
            rows: batch.rows,
            padding_counts: true,
        };
        let explicit = explicit.on_device(model.config().vocab_size, &device).unwrap();
        let recipe = Recipe {
            balance_coefficient: 1e-2,
            accumulation: Accumulation::MicroBatches,
            dropout_scope: DropoutScope::Expert,
            ..Recipe::default()
        };
        let expected = trace(&model, explicit, recipe.balance_coefficient);
        let input = StepInput { batches: &[batch], step: 0, recipe: &recipe };
        let found = accumulate(&model, input, &Workers::new(1), &Replicas::default()).unwrap();
        assert_close("task", &[found.task_loss as f32], &[expected.task_loss.unwrap() as f32], 1e-6, 1e-6);
        let balance = |loss: Option<f64>| [loss.unwrap() as f32];
        assert_close("balance", &balance(found.balance_loss), &balance(expected.balance_loss), 1e-6, 1e-6);
        let (found, expected) = (found.gradients, expected.gradients.unwrap());
        assert_close("gradients", &flat_gradients(&model, &found), &flat_gradients(&model, &expected), 1e-7, 1e-5);
    }
}
