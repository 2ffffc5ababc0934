//! Attention of single new positions over keys and values in blocks of a cache, which are read where they are.

use super::{
    elementwise::{dot, largest, sum},
    exp::exp,
    tiles::bound,
};
use crate::{CachedSequence, operations::AttentionScores, team::share, wide::wide};
use std::ops::Range;

/// Multiplications of queries and keys from which on sequences are shared by threads.
const PARALLEL: usize = 1 << 16;

/// The sizes of an attention: query heads, key heads, slots of the cache, and the width of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) slots: usize,
    pub(super) width: usize,
}

/// `q` `[heads, sequences, width]`, keys and values `[kv_heads, slots, width]` to the mixed values, `[sequences, heads width]`.
pub(super) fn single_queries(
    q: &[f32],
    [keys, values]: [&[f32]; 2],
    sizes: Sizes,
    sequences: &[CachedSequence],
    window: Option<usize>,
    scores: AttentionScores,
) -> Vec<f32> {
    let Sizes { heads, kv_heads, slots, width } = sizes;
    let group = heads / kv_heads;
    let mut mixed = vec![0.0; sequences.len() * heads * width];
    let mix = |(index, mixed): (usize, &mut [f32])| {
        let (sequence, kv_head) = (index / kv_heads, index % kv_heads);
        let query = |head: usize| &q[((kv_head * group + head) * sequences.len() + sequence) * width..][..width];
        let queries: Vec<f32> = (0..group).flat_map(|head| query(head).iter().copied()).collect();
        let of_head = |cache| &<[f32]>::as_ref(cache)[kv_head * slots * width..][..slots * width];
        let sequence = &sequences[sequence];
        attend(mixed, &queries, [of_head(keys), of_head(values)], &sequence.runs(sequence.seen(window)), width, scores);
    };
    let parts = mixed.chunks_mut(group * width).enumerate();
    match sequences.iter().map(|sequence| sequence.keys).sum::<usize>() * heads * width < PARALLEL {
        true => parts.for_each(mix),
        false => share(parts.collect(), mix),
    }
    mixed
}

wide! {
    /// The mixed values of the queries of a key head, `[group, width]`, which are 0 before, over the slots of the `runs`.
    fn attend(
        mixed: &mut [f32], queries: &[f32], cache: [&[f32]; 2], runs: &[Range<usize>], width: usize, scores: AttentionScores,
    ) {
        let [keys, values] = cache;
        let count = runs.iter().map(|run| run.len()).sum::<usize>();
        let mut s = Vec::with_capacity(queries.len() / width * count);
        for query in queries.chunks_exact(width) {
            for run in runs {
                let keys = &keys[run.start * width..run.end * width];
                s.extend(keys.chunks_exact(width).map(|key| dot(query, key)));
            }
        }
        bound(&mut s, scores);
        for (s, mixed) in s.chunks_exact_mut(count).zip(mixed.chunks_exact_mut(width)) {
            let most = largest(s);
            s.iter_mut().for_each(|s| *s = exp(*s - most));
            let inverse = 1.0 / sum(s);
            let mut weights = s.iter();
            for run in runs {
                let values = &values[run.start * width..run.end * width];
                for (value, weight) in values.chunks_exact(width).zip(&mut weights) {
                    let weight = weight * inverse;
                    mixed.iter_mut().zip(value).for_each(|(mixed, value)| *mixed += weight * value);
                }
            }
        }
    }
}
