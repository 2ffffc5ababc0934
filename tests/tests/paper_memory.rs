//! Memory estimates of the paper's models, which fit one GPU of 80 GB. `docs/gpu.md` repeats them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    llama::{AdapterLayout, ModelConfig, Precision, Quantization, Targets, WeightTypes},
    train::{BatchShape, MemoryEstimate, Operations},
};
use adamole_tests::shipped::adapter;
use serde_json::json;

/// Hidden size, intermediate size, layers, heads, key-value heads, head width, vocabulary.
const MODELS: [(&str, &str, [usize; 7]); 3] = [
    ("Llama-2-7B", "llama", [4096, 11008, 32, 32, 32, 128, 32000]),
    ("Llama-2-13B", "llama", [5120, 13824, 40, 40, 40, 128, 32000]),
    ("Gemma-7B", "gemma", [3072, 24576, 28, 16, 16, 256, 256_000]),
];

fn config(family: &str, [hidden, inner, layers, heads, kv_heads, width, vocabulary]: [usize; 7]) -> ModelConfig {
    let json = json!({
        "model_type": family, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": width, "vocab_size": vocabulary,
        "hidden_act": if family == "gemma" { "gelu" } else { "silu" }, "tie_word_embeddings": family == "gemma",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    });
    ModelConfig::from_json(&json).unwrap()
}

#[test]
fn the_papers_models_fit_one_gpu() {
    // Micro-batches of 4 sequences of 256 tokens, with a loss on every token.
    let batch = |checkpoint_blocks| BatchShape {
        tokens: 1024,
        pairs: 4 * 256 * 256,
        labels: 1024,
        side_by_side: 1,
        micro_batches: 4,
        checkpoint_blocks,
    };
    eprintln!(
        "| model | weights | blocks | GB: all | weights | adapters | activations |\n|---|---|---|---:|---:|---:|---:|"
    );
    for (name, family, shape) in MODELS {
        let config = config(family, shape);
        let layout = AdapterLayout::uniform(adapter(), &Targets::attention(), &config).unwrap();
        for (weights, quantization) in [("bfloat16", None), ("int4", Some(Quantization::Int4))] {
            for checkpoint_blocks in [true, false] {
                let types = WeightTypes { precision: Precision::BFloat16, quantization };
                let estimate =
                    MemoryEstimate::of(&config, &layout, types, batch(checkpoint_blocks), Operations::Composed);
                let [all, base, adapters, activations] =
                    [estimate.total(), estimate.weights, estimate.adapters, estimate.activations]
                        .map(|bytes| bytes as f64 / 1e9);
                let blocks = if checkpoint_blocks { "again" } else { "kept" };
                eprintln!(
                    "| {name} | {weights} | {blocks} | {all:.1} | {base:.1} | {adapters:.1} | {activations:.1} |"
                );
                assert!(all < 80.0, "{name}");
                let elements = config_elements(shape, family == "gemma");
                if quantization.is_none() {
                    assert!((base - 2.0 * elements / 1e9).abs() < 0.01, "{name}: {base}");
                }
            }
        }
    }
}

/// The number of weights, without norms.
fn config_elements([hidden, inner, layers, heads, kv_heads, width, vocabulary]: [usize; 7], tied: bool) -> f64 {
    let of_layer = 2 * hidden * heads * width + 2 * hidden * kv_heads * width + 3 * hidden * inner;
    (of_layer * layers + (if tied { 1 } else { 2 }) * vocabulary * hidden) as f64
}
