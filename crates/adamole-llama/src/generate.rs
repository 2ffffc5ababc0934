//! Text generation with a key-value cache.

use crate::{CausalLm, KvCache, ModelError, TokenBatch, Visibility};
use adamole_core::{CounterRng, ForwardContext};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The sampling of the next token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most probable token; the first among equals.
    Greedy,
    /// A random draw from the distribution.
    Random {
        /// The divisor of the logits, above 0.
        temperature: f32,
        /// Nucleus sampling: the draw is among the fewest tokens whose probabilities reach this share; 1 for all.
        top_p: f32,
        /// The seed. With the row and the step it determines the draw.
        seed: u64,
    },
}

/// Options of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The largest number of new tokens.
    pub max_new_tokens: usize,
    /// The sampling.
    pub sampling: Sampling,
    /// End-of-text tokens. A sequence ends with the first of them, which is kept.
    pub eos: Vec<u32>,
    /// Whether keys and values are cached. Without the cache each step processes the whole text, with the same result.
    pub cached: bool,
}

/// The largest number of attention scores of a pass, over all heads. Longer prompts are processed in pieces, so that memory
/// grows with their length and not with its square.
const MOST_SCORES: usize = 1 << 26;

/// Continues each prompt and returns the new tokens. Prompts of different lengths are padded on the left.
///
/// # Errors
/// A token of a prompt is outside the vocabulary, or activations overflow.
pub fn generate(
    model: &CausalLm,
    prompts: &[Vec<u32>],
    options: &Generation,
    device: &Device,
) -> Result<Vec<Vec<u32>>, ModelError> {
    model.check_tokens(prompts.iter().flatten())?;
    let rows = prompts.len();
    let width = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let mut texts: Vec<Vec<u32>> = prompts
        .iter()
        .map(|prompt| std::iter::repeat_n(0, width - prompt.len()).chain(prompt.iter().copied()).collect())
        .collect();
    let first_token: Vec<usize> = prompts.iter().map(|prompt| width - prompt.len()).collect();
    let mut done = vec![width == 0; rows];
    let mut cache = KvCache::new(model);
    for step in 0..options.max_new_tokens {
        if done.iter().all(|done| *done) {
            break;
        }
        if !options.cached {
            cache = KvCache::new(model);
        }
        let length = width + step;
        let logits = next_logits(model, &texts, &first_token, length, &mut cache, device);
        for (row, logits) in logits.chunks(model.config().vocab_size).enumerate() {
            if !done[row] && !logits.iter().all(|logit| logit.is_finite()) {
                return Err(ModelError::ScoresNotFinite { position: length - first_token[row] });
            }
            let next = sample(logits, options.sampling, row, step);
            texts[row].push(next);
            // Tokens after the end are dropped below.
            done[row] |= options.eos.contains(&next);
        }
    }
    Ok(texts.into_iter().map(|text| until_end(&text[width..], &options.eos)).collect())
}

/// The logits of the token after position `length`, `[rows, vocab]` flattened. Positions that are not cached yet are added
/// to the cache.
fn next_logits(
    model: &CausalLm,
    texts: &[Vec<u32>],
    first_token: &[usize],
    length: usize,
    cache: &mut KvCache,
    device: &Device,
) -> Vec<f32> {
    let rows = texts.len();
    let piece = (MOST_SCORES / (rows * model.config().num_attention_heads * length).max(1)).max(1);
    let mut last_hidden = None;
    cache.expect(length, model);
    while cache.length() < length {
        let start = cache.length();
        let end = length.min(start + piece);
        let ids = texts.iter().flat_map(|text| text[start..end].iter().map(|&id| id as i32)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new::<i32, _>(ids, [rows, end - start]), device);
        let seen = |&first: &usize| (0..end).map(move |position| u8::from(position >= first));
        let tokens: Vec<u8> = first_token.iter().flat_map(seen).collect();
        let visible = Visibility::padded(&tokens, end, start);
        let hidden = model.hidden_cached(&TokenBatch::new(ids, visible), cache, &mut ForwardContext::evaluation());
        let last = (0..rows).map(|row| ((row + 1) * (end - start) - 1) as i32).collect();
        let last = Tensor::<1, Int>::from_data(TensorData::new::<i32, _>(last, [rows]), device);
        last_hidden = Some(hidden.select(0, last));
    }
    let logits = last_hidden.map(|hidden| model.logits(hidden).into_data());
    logits.and_then(|logits| logits.as_slice::<f32>().map(<[f32]>::to_vec).ok()).unwrap_or_default()
}

fn sample(logits: &[f32], sampling: Sampling, row: usize, step: usize) -> u32 {
    let best = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    let Sampling::Random { temperature, top_p, seed } = sampling else {
        return (0..logits.len()).fold(0, best) as u32;
    };
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let mut weighted: Vec<(f64, usize)> =
        logits.iter().enumerate().map(|(id, logit)| (f64::from((logit - max) / temperature).exp(), id)).collect();
    weighted.sort_by(|(one, i), (other, j)| other.total_cmp(one).then(i.cmp(j)));
    let total: f64 = weighted.iter().map(|(weight, _)| weight).sum();
    let mut kept = 0.0;
    let count = weighted.iter().take_while(|(weight, _)| {
        let needed = kept < f64::from(top_p) * total;
        kept += weight;
        needed
    });
    let count = count.count().max(1);
    let kept: f64 = weighted[..count].iter().map(|(weight, _)| weight).sum();
    // 53 random bits as a number in [0, 1).
    let draw = (CounterRng::new(&[seed, row as u64, step as u64]).next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut rest = draw * kept;
    for (weight, id) in &weighted[..count] {
        if rest < *weight {
            return *id as u32;
        }
        rest -= weight;
    }
    weighted[count - 1].1 as u32
}

fn until_end(tokens: &[u32], eos: &[u32]) -> Vec<u32> {
    let end = tokens.iter().position(|token| eos.contains(token)).map_or(tokens.len(), |end| end + 1);
    tokens[..end].to_vec()
}
