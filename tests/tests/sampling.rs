//! What sampling leaves of the scores equals the logits processors of transformers (`interop/sampling.py`).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::llama::{Sampling, SamplingSettings};
use adamole_tests::golden;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    scores: Vec<f32>,
    text: Vec<u32>,
    temperature: f32,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    /// Tokens with their probabilities, by their ids.
    kept: Vec<(u32, f64)>,
}

#[test]
fn the_tokens_that_are_left_are_those_of_transformers() {
    let text = std::fs::read_to_string(golden("sampling.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), 32);
    for (number, case) in cases.iter().enumerate() {
        let settings = SamplingSettings {
            temperature: Some(case.temperature),
            top_k: case.top_k,
            top_p: case.top_p.unwrap_or(1.0),
            min_p: case.min_p.unwrap_or(0.0),
            repetition_penalty: case.repetition_penalty.unwrap_or(1.0),
            seed: 0,
        };
        let mut kept = Sampling::new(settings).unwrap().distribution(&case.scores, &case.text);
        kept.sort_by_key(|(id, _)| *id);
        let ids = |kept: &[(u32, f64)]| kept.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(ids(&kept), ids(&case.kept), "case {number}: {settings:?}");
        for ((id, found), (_, expected)) in kept.iter().zip(&case.kept) {
            assert!((found - expected).abs() < 1e-6, "case {number}, token {id}: {found}, expected {expected}");
        }
    }
}
