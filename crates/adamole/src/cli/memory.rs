//! The memory of a run, estimated before it begins.

use super::{Failure, output::size, settings::Resolved};
use adamole::{
    data::{Buckets, Layout},
    llama::{AdapterLayout, ModelConfig},
    train::{BatchShape, MemoryEstimate, Operations, Recipe, memory_limit_bytes},
};

/// Epochs whose batches are examined; later ones are no different.
const EPOCHS: usize = 3;

/// The peak memory of a run, in its largest batch. `lengths` are those of the training texts.
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
        for step in recipe.batches(lengths, epoch) {
            let shapes =
                step.iter().map(|texts| shape(texts.iter().map(|&text| lengths[text]), recipe, &buckets)).collect();
            let together = side_by_side(shapes, workers, config.any_token_has_a_loss());
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
    MemoryEstimate::of(model, layout, config.weights(), batch, operations(on_cpu))
}

/// The kind of operations that a device has.
pub(crate) fn operations(on_cpu: bool) -> Operations {
    if on_cpu { Operations::Fused } else { Operations::Composed }
}

/// The rows and columns of a micro-batch of texts with these lengths.
fn shape(lengths: impl ExactSizeIterator<Item = usize>, recipe: &Recipe, buckets: &Buckets) -> [usize; 2] {
    match recipe.layout() {
        Layout::Padded(_) => [lengths.len(), buckets.columns(lengths.max().unwrap_or(0))],
        Layout::Packed => [1, lengths.sum()],
    }
}

/// What is held at the peak of the largest micro-batch, of it and of the next ones beside it; `shapes` are rows and columns.
/// When the largest ends its forward pass, one with a share r of its tokens has done (1 - r) / 2 r of its backward pass, which
/// takes twice as long as a forward pass.
fn side_by_side(mut shapes: Vec<[usize; 2]>, workers: usize, all_learned: bool) -> BatchShape {
    let tokens = |[rows, columns]: [usize; 2]| rows.saturating_mul(columns);
    shapes.sort_by_key(|shape| std::cmp::Reverse(tokens(*shape)));
    shapes.truncate(workers);
    let largest = shapes.first().map_or(1, |shape| tokens(*shape).max(1));
    let mut together = BatchShape { side_by_side: shapes.len(), ..BatchShape::default() };
    for shape @ [rows, columns] in shapes {
        let share = tokens(shape) as f64 / largest as f64;
        let held = ((3.0 * share - 1.0) / 2.0 / share).max(0.0);
        let part = |count: usize| (count as f64 * held) as usize;
        // Sums of what no machine holds stay what no machine holds.
        together.tokens = together.tokens.saturating_add(part(tokens(shape)));
        together.pairs = together.pairs.saturating_add(part(tokens(shape).saturating_mul(columns)));
        together.labels = together.labels.saturating_add(part(if all_learned { tokens(shape) } else { rows }));
    }
    together
}

/// The factor by which an estimate may exceed the memory before the run is refused.
const DOUBT: f64 = 1.25;

/// Checks that the process, one of so many on the machine, can have the memory of the run, before adapters of any size are created. Devices with memory of
/// their own report that themselves.
///
/// # Errors
/// There is far too little.
pub(crate) fn check(memory: &MemoryEstimate, on_cpu: bool, processes: usize) -> Result<(), Failure> {
    let limit = memory_limit_bytes().map(|limit| limit / processes.max(1) as u64);
    let Some(limit) = limit.filter(|limit| on_cpu && memory.total() > *limit) else { return Ok(()) };
    let needed = format!("the run takes {}, and there is {} of memory", text(memory), size(Some(limit)));
    if memory.total() as f64 > DOUBT * limit as f64 {
        let remedy = "a lower --rank, --num-experts, --micro-batch-size or --workers takes less";
        return Err(Failure::Usage(format!("{needed}: {remedy}")));
    }
    say!("warning: {needed}");
    Ok(())
}

/// For people.
pub(crate) fn text(memory: &MemoryEstimate) -> String {
    let MemoryEstimate { weights, adapters, activations, vocabulary, overhead } = *memory;
    let [all, weights, adapters, activations, rest] =
        [memory.total(), weights, adapters, activations, vocabulary + overhead].map(|bytes| size(Some(bytes)));
    format!("about {all} (weights {weights}, adapters {adapters}, activations {activations}, the rest {rest})")
}
