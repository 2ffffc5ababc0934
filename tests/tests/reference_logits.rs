//! Logits and text of real checkpoints, where they are available.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::ForwardContext,
    data::Tokenizer,
    llama::{CausalLm, TokenBatch, load_base},
};
use adamole_tests::{device, max_difference, shared, values};
use burn::tensor::{Int, Tensor, TensorData};
use std::path::PathBuf;

fn last_logits(model: &CausalLm, ids: &[i32]) -> Vec<f32> {
    let device = device();
    let input = Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), [1, ids.len()]), &device);
    let hidden = model.hidden(&TokenBatch::causal(input), &mut ForwardContext::evaluation());
    let last = hidden.narrow(0, ids.len() - 1, 1);
    values(model.logits(last).into_data())
}

/// The folder written by `make_smollm2.py`: `ADAMOLE_SMOLLM2`, or `smollm2` in the home directory.
fn smollm2() -> Option<PathBuf> {
    let folder = std::env::var_os("ADAMOLE_SMOLLM2")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join("smollm2")))?;
    if !folder.join("model.safetensors").exists() {
        eprintln!("skipped: no SmolLM2 in {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn smollm2_has_the_recorded_logits() {
    let (Some(models), Some(folder)) = (shared("models"), smollm2()) else { return };
    let text = std::fs::read_to_string(models.join("smollm2_ref_logits.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: &str| recorded[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let ids: Vec<i32> = numbers("ids").iter().map(|&id| id as i32).collect();
    let expected: Vec<f32> = numbers("last_logits").iter().map(|&v| v as f32).collect();
    let model = load_base(&folder, &device()).unwrap();
    let difference = max_difference(&last_logits(&model, &ids), &expected);
    eprintln!("SmolLM2: largest difference {difference:e}");
    assert!(difference < 2e-3, "logits differ by {difference:e}");
}

#[test]
fn stories260k_tells_a_story() {
    let Some(folder) = shared("models/stories260k") else { return };
    let model = load_base(&folder, &device()).unwrap();
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    let mut ids: Vec<i32> =
        tokenizer.encode_text("Once upon a time, there was").unwrap().iter().map(|&id| id as i32).collect();
    for _ in 0..24 {
        let logits = last_logits(&model, &ids);
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        ids.push(best as i32);
    }
    let text = tokenizer.decode(&ids.iter().map(|&id| id as u32).collect::<Vec<_>>()).unwrap();
    insta::assert_snapshot!(text);
}
