//! Attention of sequences of different lengths whose keys and values are in blocks of one cache (Kwon et al. 2023).

use crate::{AttentionScores, Visibility, attention};
use burn::tensor::{Int, Tensor, TensorData};
use std::{ops::Range, sync::Arc};

#[cfg(feature = "flex")]
use {
    crate::{nodes::CachedKernels, operations::is_cpu},
    burn::backend::Dispatch,
    burn::tensor::DType,
};

/// The new positions of one sequence in a pass, and the place of its keys in the cache.
#[derive(Debug, Clone)]
pub struct CachedSequence {
    /// The number of new positions, the last ones of the sequence; at least 1.
    pub queries: usize,
    /// The number of positions, the new ones among them.
    pub keys: usize,
    /// The blocks that hold them, in order.
    pub blocks: Arc<[u32]>,
    /// The number of positions of a block.
    pub block: usize,
}

impl CachedSequence {
    /// Runs of slots that hold these positions, each as many adjacent ones as there are.
    pub fn runs(&self, positions: Range<usize>) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut position = positions.start;
        while position < positions.end {
            let end = positions.end.min((position / self.block + 1) * self.block);
            let start = self.blocks[position / self.block] as usize * self.block + position % self.block;
            match runs.last_mut().filter(|run| run.end == start) {
                Some(run) => run.end += end - position,
                None => runs.push(start..start + end - position),
            }
            position = end;
        }
        runs
    }

    /// The slots of the new positions.
    pub fn new_runs(&self) -> Vec<Range<usize>> {
        self.runs(self.keys - self.queries..self.keys)
    }

    /// The positions that some new one sees.
    pub(crate) fn seen(&self, window: Option<usize>) -> Range<usize> {
        let first_query = self.keys - self.queries;
        window.map_or(0, |window| (first_query + 1).saturating_sub(window))..self.keys
    }
}

/// Attention with grouped heads of the new positions of some sequences, one after the other: `q` `[1, heads, T, d]` with T
/// the sum of their queries, `keys` and `values` `[kv_heads, slots, d]` to `[T, heads d]`. A query sees the positions of its
/// sequence up to its own, of these the last `window`.
///
/// Keys and values are float32, whatever `q` is. Without gradients. On the CPU, single new positions read the cache where it is.
pub fn cached_attention(
    q: Tensor<4>,
    [keys, values]: [&Tensor<3>; 2],
    sequences: &[CachedSequence],
    window: Option<usize>,
    scores: AttentionScores,
) -> Tensor<2> {
    let mut row = 0;
    let groups = sequences.chunk_by(|one, other| one.queries == 1 && other.queries == 1);
    let mut mixed: Vec<Tensor<2>> = groups
        .map(|group| {
            let rows = group.iter().map(|sequence| sequence.queries).sum();
            let q = q.clone().narrow(2, row, rows);
            row += rows;
            of_group(q, [keys, values], group, window, scores)
        })
        .collect();
    if mixed.len() == 1 { mixed.remove(0) } else { Tensor::cat(mixed, 0) }
}

fn of_group(
    q: Tensor<4>,
    cache: [&Tensor<3>; 2],
    group: &[CachedSequence],
    window: Option<usize>,
    scores: AttentionScores,
) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_cpu(&q.device())
        && matches!(q.dtype(), DType::F32 | DType::BF16 | DType::F16)
        && group.iter().all(|sequence| sequence.queries == 1)
    {
        let [keys, values] = cache.map(|cache| cache.clone().into_dispatch());
        let q = q.into_dispatch();
        return Tensor::from_dispatch(Dispatch::single_queries(q, keys, values, group.to_vec(), window, scores));
    }
    gathered_attention(q, cache, group, window, scores)
}

/// [`cached_attention`] with the keys and values of each sequence copied out of the cache.
pub fn gathered_attention(
    q: Tensor<4>,
    cache: [&Tensor<3>; 2],
    sequences: &[CachedSequence],
    window: Option<usize>,
    scores: AttentionScores,
) -> Tensor<2> {
    let (mut row, dtype, device) = (0, q.dtype(), q.device());
    let of_sequence = |sequence: &CachedSequence| {
        let seen = sequence.seen(window);
        let slots: Vec<i32> = sequence.runs(seen.clone()).into_iter().flatten().map(|slot| slot as i32).collect();
        let slots = Tensor::<1, Int>::from_data(TensorData::new(slots, [seen.len()]), &device);
        let [k, v] = cache.map(|cache| cache.clone().select(1, slots.clone()).cast(dtype).unsqueeze::<4>());
        let visible = Visibility::padded(&vec![1; seen.len()], seen.len(), seen.len() - sequence.queries);
        let visible = window.and_then(|window| visible.within(window)).unwrap_or(visible);
        let q = q.clone().narrow(2, row, sequence.queries);
        row += sequence.queries;
        attention(q, k, v, &visible, scores)
    };
    Tensor::cat(sequences.iter().map(of_sequence).collect(), 0)
}
