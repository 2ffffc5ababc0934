//! The training whose steps are measured: a model, its optimizer, and a batch of random texts.

use super::{Failure, random_ids, step::StepArguments};
use crate::cli::memory;
use adamole::{
    data::{Batch, Buckets, Collation, Example, LabelScope, Layout, Padding},
    device::is_cpu,
    llama::CausalLm,
    train::{
        AdamW, AdamWSettings, BatchShape, MemoryEstimate, Recipe, Replicas, StepInput, Workers, accumulate,
        device_memory_bytes,
    },
};
use burn::tensor::Device;

/// Steps of a batch, one after the other.
pub(super) struct Training {
    pub(super) model: CausalLm,
    device: Device,
    pub(super) workers: Workers,
    batches: Vec<Batch>,
    recipe: Recipe,
    optimizer: AdamW,
    replicas: Replicas,
    steps: usize,
}

impl Training {
    /// The training of this model, which is on a device with autodiff.
    pub(super) fn new(arguments: &StepArguments, model: CausalLm, device: &Device) -> Self {
        let StepArguments { batch: rows, tokens, labels, checkpoint_blocks, .. } = *arguments;
        let workers = arguments.subject.place.workers(&device.clone().inner());
        let micro_batch = arguments.micro_batch.unwrap_or(rows.div_ceil(workers.count())).clamp(1, rows);
        Self {
            batches: batches(rows, tokens, micro_batch, labels, model.config().vocab_size),
            model,
            device: device.clone(),
            workers,
            recipe: Recipe { checkpoint_blocks, ..Recipe::default() },
            optimizer: AdamW::new(AdamWSettings::default()),
            replicas: Replicas::default(),
            steps: 0,
        }
    }

    /// One step: forward, backward, optimizer. Returns the task loss when the device is done.
    pub(super) fn step(&mut self) -> Result<f64, Failure> {
        let step = self.steps;
        self.steps += 1;
        let input = StepInput { batches: &self.batches, step, recipe: &self.recipe };
        let outcome = accumulate(&self.model, input, &self.workers, &self.replicas)?;
        let applied = self.optimizer.step(1e-4, &mut self.model, outcome.gradients, &outcome.routing);
        applied.map_err(|error| error.in_step(step, step))?;
        // A GPU may still be at the optimizer's last operations.
        let _ = self.device.sync();
        Ok(outcome.task_loss)
    }

    /// What the device's allocator has of it; `None` on the CPU.
    pub(super) fn device_memory_bytes(&self) -> Option<u64> {
        device_memory_bytes(&self.device)
    }

    /// The rows of the largest micro-batch.
    pub(super) fn micro_batch(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows).max().unwrap_or_default()
    }

    /// The labels of all micro-batches.
    pub(super) fn labels(&self) -> usize {
        self.batches.iter().map(|batch| batch.label_positions.len()).sum()
    }

    /// The memory of a step over the micro-batches, as many at a time as there are workers.
    pub(super) fn memory_estimate(&self, arguments: &StepArguments) -> MemoryEstimate {
        let together = &self.batches[..self.workers.count().min(self.batches.len())];
        let sum = |count: fn(&Batch) -> usize| together.iter().map(count).sum();
        let shape = BatchShape {
            tokens: sum(|batch| batch.ids.len()),
            pairs: sum(|batch| batch.ids.len() * batch.cols),
            labels: sum(|batch| batch.label_positions.len()),
            side_by_side: together.len(),
            micro_batches: self.batches.len(),
            checkpoint_blocks: arguments.checkpoint_blocks,
        };
        let operations = memory::operations(is_cpu(&self.model.device().inner()));
        let weights = arguments.subject.weights;
        MemoryEstimate::of(self.model.config(), &self.model.layout(), weights, shape, operations)
    }
}

/// The batch as micro-batches, of random texts without padding.
pub(super) fn batches(
    rows: usize,
    tokens: usize,
    micro_batch: usize,
    labels: LabelScope,
    vocabulary: usize,
) -> Vec<Batch> {
    let ids = random_ids(rows * tokens, vocabulary);
    let example = |(item, text): (usize, &[u32])| Example {
        text: text.to_vec(),
        answer_at: Some(tokens - 1),
        prompt: text[..tokens - 1].to_vec(),
        choice_ids: vec![0, 1],
        answer: Some(0),
        truncated: false,
        item,
    };
    let examples: Vec<Example> = ids.chunks(tokens).enumerate().map(example).collect();
    let indices: Vec<usize> = (0..rows).collect();
    let buckets = Buckets::fitting(&[tokens], 1);
    let collation = Collation { pad_id: 0, labels, layout: Layout::Padded(Padding::Right) };
    indices.chunks(micro_batch).map(|indices| Batch::of_texts(&examples, indices, collation, &buckets)).collect()
}
