//! What a run is going to need, said before it begins.

use super::{output::size, settings::Resolved};
use adamole::{
    data::{Buckets, LabelScope, plan_epoch},
    llama::{AdapterLayout, ModelConfig, Precision},
    train::{BatchShape, MemoryEstimate, Operations},
};

/// Epochs whose batches are looked through; later ones are no different.
const EPOCHS: usize = 3;

/// The peak of a run: of the batches that it is going to see, the largest. `lengths` are those of the training texts.
pub(crate) fn estimate(
    config: &Resolved,
    layout: &AdapterLayout,
    model: &ModelConfig,
    lengths: &[usize],
    (workers, on_cpu): (usize, bool),
) -> MemoryEstimate {
    let recipe = &config.recipe;
    let buckets = Buckets::fitting(lengths, Buckets::FEW);
    let mut batch = BatchShape { checkpoint_blocks: recipe.checkpoint_blocks, ..BatchShape::default() };
    for epoch in 1..=recipe.epochs.min(EPOCHS) {
        let (batch_size, micro_batch) = (recipe.batch_size, recipe.micro_batch_size);
        for step in plan_epoch(lengths, batch_size, micro_batch, recipe.order, recipe.seed, epoch as u64) {
            let longest = |rows: &Vec<usize>| rows.iter().map(|&row| lengths[row]).max().unwrap_or(0);
            let shapes = step.iter().map(|rows| [rows.len(), buckets.columns(longest(rows))]).collect();
            let together = side_by_side(shapes, workers, recipe.labels);
            batch.micro_batches = batch.micro_batches.max(step.len());
            if together.tokens > batch.tokens {
                batch = BatchShape {
                    micro_batches: batch.micro_batches,
                    checkpoint_blocks: batch.checkpoint_blocks,
                    ..together
                };
            }
        }
    }
    let is_fused = on_cpu && config.dtype == Precision::Float32;
    let operations = if is_fused { Operations::Fused } else { Operations::Composed };
    MemoryEstimate::of(model, layout, config.weights(), batch, operations)
}

/// The largest of the micro-batches, by rows and columns, and of the next ones what is held while it is at its peak: when
/// the largest has come to its end, one of a share r of its tokens has gone back (1 - r) / 2 r of its way, since backward
/// takes twice as long as forward.
fn side_by_side(mut shapes: Vec<[usize; 2]>, workers: usize, labels: LabelScope) -> BatchShape {
    let tokens = |[rows, columns]: [usize; 2]| rows * columns;
    shapes.sort_by_key(|shape| std::cmp::Reverse(tokens(*shape)));
    shapes.truncate(workers);
    let largest = shapes.first().map_or(1, |shape| tokens(*shape).max(1));
    let mut together = BatchShape { side_by_side: shapes.len(), ..BatchShape::default() };
    for shape @ [rows, columns] in shapes {
        let share = tokens(shape) as f64 / largest as f64;
        let held = ((3.0 * share - 1.0) / 2.0 / share).max(0.0);
        let part = |count: usize| (count as f64 * held) as usize;
        together.tokens += part(tokens(shape));
        together.pairs += part(tokens(shape) * columns);
        together.labels += part(if labels == LabelScope::Text { tokens(shape) } else { rows });
    }
    together
}

pub(crate) fn text(memory: &MemoryEstimate) -> String {
    let MemoryEstimate { weights, adapters, activations, vocabulary, overhead } = *memory;
    let [all, weights, adapters, activations, rest] =
        [memory.total(), weights, adapters, activations, vocabulary + overhead].map(|bytes| size(Some(bytes)));
    format!("about {all} (weights {weights}, adapters {adapters}, activations {activations}, the rest {rest})")
}
