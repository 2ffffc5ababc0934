//! Steps of many texts on one base: each text is as it is alone, whatever it shares a step with.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{
        AdaMole, AdapterConfig, AdapterSet, ForwardContext, HydraLora, Lora, MixLora, MixLoraPart, Mole, RoutingDetail,
        Selection,
    },
    experiments::median,
    llama::{AdapterLayout, BlockCache, CausalLm, NextTokens, Targets, TokenBatch, TokenRouting, load_base},
};
use adamole_tests::{assert_close, device, golden, max_difference, values, with_random_adapters};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::sync::Arc;

const FAMILIES: [&str; 8] = [
    "gemma2_caps",
    "gemma3_pattern2",
    "phi3_window",
    "qwen3_norms",
    "smollm3_interval",
    "llama_llama3",
    "llama_yarn",
    "mistral_window",
];

/// Of the largest hidden value: the median of rounding over the steps of a family.
const ROUNDED: f64 = 1e-5;
/// Of the largest hidden value: what AdaMoLE and MoLE with random weights make of rounding where a token is near a threshold, or
/// two experts undo each other. The same token, read at once in texts of two lengths, was seen to differ by 1e-3; another text
/// or adapter differs by far more.
const AMPLIFIED: f32 = 5e-3;

fn adapted(base: &CausalLm, config: AdapterConfig, seed: u64) -> CausalLm {
    let mut model = base.clone();
    model.adapt(&AdapterLayout::uniform(config, &Targets::all(), base.config()).unwrap(), seed);
    with_random_adapters(model, 1000 * seed, 0.3)
}

/// Hidden states of the last positions of a text that is read at once, and the routing of the last token.
fn alone(model: &CausalLm, text: &[u32], last: usize, device: &Device) -> (Vec<f32>, Vec<u32>) {
    let ids: Vec<i32> = text.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, text.len()]), device);
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Distributions);
    let hidden = model.hidden(&TokenBatch::causal(ids), &mut context).narrow(0, text.len() - last, last);
    let active = |column: Tensor<2>| values(column.into_data()).last().unwrap().round() as u32;
    let layers = context.into_layers().into_iter();
    (values(hidden.into_data()), layers.map(|layer| active(layer.active_experts.unwrap())).collect())
}

/// A text with its place in the cache.
struct Text {
    tokens: Vec<u32>,
    read: usize,
    blocks: Arc<[u32]>,
    model: usize,
}

#[test]
fn texts_in_one_step_are_as_they_are_apart() {
    let device = device();
    for family in FAMILIES.map(|family| golden(&format!("families/{family}/base"))) {
        let base = load_base(&family, &device).unwrap();
        let adamole = AdaMole { num_experts: 4.try_into().unwrap(), tau_max: None };
        let mole = Mole { num_experts: 3.try_into().unwrap(), selection: Selection::TopK(2.try_into().unwrap()) };
        let hydra = HydraLora { num_experts: 2.try_into().unwrap() };
        let blocks =
            MixLora { num_experts: 4.try_into().unwrap(), top_k: 2.try_into().unwrap(), part: MixLoraPart::Attention };
        let models = [
            base.clone(),
            adapted(&base, AdapterConfig::new(adamole, 2, 4.0, 0.0).unwrap(), 1),
            adapted(&base, AdapterConfig::new(mole, 2, 4.0, 0.0).unwrap(), 2),
            adapted(&base, AdapterConfig::new(Lora, 4, 4.0, 0.0).unwrap(), 3),
            adapted(&base, AdapterConfig::new(hydra, 2, 4.0, 0.0).unwrap(), 4),
            // A model whose gate and up are one linear has no experts that are whole blocks.
            match base.config().fused_linears {
                true => adapted(&base, AdapterConfig::new(Lora, 2, 4.0, 0.0).unwrap(), 5),
                false => adapted(&base, AdapterConfig::new(blocks, 2, 4.0, 0.0).unwrap(), 5),
            },
        ];
        let sets: Vec<Option<Arc<AdapterSet>>> = models
            .iter()
            .enumerate()
            .map(|(index, model)| (index > 0).then(|| Arc::new(model.adapter_set())))
            .collect();
        let vocabulary = base.config().vocab_size as u32;
        let mut cache = BlockCache::new(base.config(), 18, &device);
        let text = |number: usize| Text {
            tokens: (0..90).map(|t| (t * 31 + number as u32 * 17 + 1) % vocabulary).collect(),
            read: 0,
            // Three blocks each, which are not adjacent.
            blocks: [number, number + 6, 17 - number].map(|block| block as u32).into(),
            model: number,
        };
        let mut texts: Vec<Text> = (0..6).map(text).collect();
        // Prompts of several lengths, one of them in two parts; then tokens one by one, some texts ahead of others.
        let steps = [
            [7, 40, 33, 0, 20, 12],
            [1, 1, 30, 64, 1, 30],
            [1, 1, 1, 1, 0, 0],
            [0, 1, 1, 1, 1, 1],
            [0, 0, 0, 0, 0, 2],
            [1, 0, 2, 1, 1, 1],
            [1, 1, 1, 1, 1, 1],
        ];
        let mut differences = Vec::new();
        for lengths in steps {
            let taking_part: Vec<(usize, usize)> =
                lengths.into_iter().enumerate().filter(|(_, length)| *length > 0).collect();
            let next: Vec<NextTokens<'_>> = taking_part
                .iter()
                .map(|&(number, length)| {
                    let Text { tokens, read, blocks, model } = &texts[number];
                    NextTokens {
                        tokens: &tokens[*read..read + length],
                        start: *read,
                        longest: read + length,
                        blocks: blocks.clone(),
                        adapters: sets[*model].as_ref(),
                        routing: number != 2,
                    }
                })
                .collect();
            let step = base.step(&next, &mut cache).unwrap();
            let mut row = 0;
            for (&(number, length), routing) in taking_part.iter().zip(&step.routing) {
                let text = &mut texts[number];
                text.read += length;
                let (expected, active) = alone(&models[text.model], &text.tokens[..text.read], length, &device);
                let found = values(step.hidden.clone().narrow(0, row, length).into_data());
                row += length;
                let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                let share = if [1, 2].contains(&text.model) { AMPLIFIED } else { 2e-5 };
                assert_close(&format!("{family:?}, text {number}"), &found, &expected, share * largest, 1e-4);
                differences.push(f64::from(max_difference(&found, &expected) / largest));
                let is_routed = number != 2 && !active.is_empty();
                assert_eq!(routing.len(), if is_routed { length } else { 0 }, "{family:?}, text {number}");
                if let Some(TokenRouting { token, active: found, thresholds }) = routing.last() {
                    assert_eq!((*token, found), (text.tokens[text.read - 1], &active), "{family:?}, text {number}");
                    assert_eq!(thresholds.as_ref().map(Vec::len), (number == 1).then_some(active.len()));
                }
            }
        }
        let median = median(&differences);
        assert!(median < ROUNDED, "{family:?}: {median:e}");
    }
}
