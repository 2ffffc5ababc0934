//! Logits and text of real checkpoints, where they are available.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::ForwardContext,
    data::Tokenizer,
    llama::{CausalLm, TensorFile, TokenBatch, load_base},
};
use adamole_tests::{device, floats, max_difference, shared, values};
use burn::tensor::{Int, Tensor, TensorData};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The hidden states of one text: `[L, hidden]`.
fn hidden(model: &CausalLm, ids: &[i32]) -> Tensor<2> {
    let input = Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), [1, ids.len()]), &device());
    model.hidden(&TokenBatch::causal(input), &mut ForwardContext::evaluation())
}

fn last_logits(model: &CausalLm, ids: &[i32]) -> Vec<f32> {
    values(model.logits(hidden(model, ids).narrow(0, ids.len() - 1, 1)).into_data())
}

fn argmax(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

/// The folder written by `smollm2.py`: `ADAMOLE_SMOLLM2`, or `smollm2` in the home directory.
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
    let text = fs::read_to_string(models.join("smollm2_ref_logits.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: &str| recorded[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let ids: Vec<i32> = numbers("ids").iter().map(|&id| id as i32).collect();
    let expected: Vec<f32> = numbers("last_logits").iter().map(|&v| v as f32).collect();
    let model = load_base(&folder, &device()).unwrap();
    let difference = max_difference(&last_logits(&model, &ids), &expected);
    eprintln!("SmolLM2: largest difference {difference:e}");
    assert!(difference < 2e-3, "logits differ by {difference:e}");
}

/// `reference.json` of `interop/reference.py`.
#[derive(Deserialize)]
struct References {
    texts: BTreeMap<String, Reference>,
}

#[derive(Deserialize)]
struct Reference {
    text: String,
    float64_differs_by: f32,
}

/// The folders in `ADAMOLE_REFERENCES` whose numbers are beside them.
fn referenced_models() -> Vec<(PathBuf, PathBuf)> {
    let Some(folder) = std::env::var_os("ADAMOLE_REFERENCES") else {
        eprintln!("skipped: ADAMOLE_REFERENCES is not set");
        return Vec::new();
    };
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pair = |numbers: PathBuf| {
        Some((numbers.with_file_name(numbers.file_name()?.to_str()?.strip_suffix("-reference")?), numbers))
    };
    folders.filter_map(pair).collect()
}

/// Compares tokens, the last logits and every best token with those of transformers; returns the largest difference.
fn compare(model: &CausalLm, tokenizer: &Tokenizer, numbers: &Path, reference: &Reference) -> f32 {
    const ROWS: usize = 64;
    let name = numbers.display();
    let file = TensorFile::open(numbers).unwrap();
    let ids: Vec<i32> = file.integers("input_ids").unwrap().0.into_iter().map(|id| id as i32).collect();
    let encoded = tokenizer.encode_text(&reference.text).unwrap();
    assert_eq!(encoded.iter().map(|&id| id as i32).collect::<Vec<_>>(), ids, "{name}: tokens");

    let hidden = hidden(model, &ids);
    let expected = floats(&file, "logits");
    let vocabulary = model.config().vocab_size;
    let last = expected.len() / vocabulary;
    let logits = values(model.logits(hidden.clone().narrow(0, ids.len() - last, last)).into_data());
    let difference = max_difference(&logits, &expected);
    let tolerance = 2e-4 + 4.0 * reference.float64_differs_by;
    assert!(difference < tolerance, "{name}: logits differ by {difference:e}, more than {tolerance:e}");

    let best = file.integers("best").unwrap().0;
    let lead = floats(&file, "lead");
    for start in (0..ids.len()).step_by(ROWS) {
        // Of all positions at once they can take a gigabyte.
        let rows = hidden.clone().narrow(0, start, ROWS.min(ids.len() - start));
        for (row, logits) in values(model.logits(rows).into_data()).chunks(vocabulary).enumerate() {
            let position = start + row;
            let is_close = lead[position] < 2.0 * tolerance;
            assert!(is_close || argmax(logits) as i64 == best[position], "{name}: another best token at {position}");
        }
    }
    difference
}

#[test]
fn real_models_have_the_tokens_and_logits_of_transformers() {
    for (folder, numbers) in referenced_models() {
        let model = load_base(&folder, &device()).unwrap();
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        let text = fs::read_to_string(numbers.join("reference.json")).unwrap();
        let references: References = serde_json::from_str(&text).unwrap();
        assert!(!references.texts.is_empty(), "{}: no texts", numbers.display());
        for (name, reference) in references.texts {
            let difference = compare(&model, &tokenizer, &numbers.join(format!("{name}.safetensors")), &reference);
            eprintln!("{}, {name}: largest difference {difference:e}", folder.display());
        }
    }
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
        ids.push(argmax(&logits) as i32);
    }
    let text = tokenizer.decode(&ids.iter().map(|&id| id as u32).collect::<Vec<_>>()).unwrap();
    insta::assert_snapshot!(text);
}
