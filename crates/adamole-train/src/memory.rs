//! The memory that a run has taken, and an estimate of what it will take.

use adamole_llama::{AdapterLayout, LOSS_CHUNK, LinearShapes, ModelConfig, WeightTypes};
use burn::tensor::Device;

/// The largest resident set of this process so far, in bytes; `None` where the system does not say.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The most memory that this process can have, in bytes: of the machine with what it swaps, of its control group, of its
/// address space, whichever is least; `None` where the system does not say.
pub fn memory_limit_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let machine = read("/proc/meminfo").and_then(|text| {
        let kibibytes = |name: &str| text.lines().find_map(|line| number(line.strip_prefix(name)?));
        Some(1024 * (kibibytes("MemTotal:")? + kibibytes("SwapTotal:").unwrap_or(0)))
    });
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| number(&text));
    let limits = read("/proc/self/limits");
    let space = limits.and_then(|text| text.lines().find_map(|line| number(line.strip_prefix("Max address space")?)));
    [machine, group, space].into_iter().flatten().min()
}

/// Bytes that a device's allocator has of it, which is about its peak, since it keeps what it has had; `None` for the CPU,
/// whose memory is the process's.
pub fn device_memory_bytes(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
}

/// The micro-batches side by side that take the most memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchShape {
    /// Tokens of all of them, padding included.
    pub tokens: usize,
    /// Pairs of a token and one that it may attend to, in all sequences: the sum of their lengths' squares. Fused operations
    /// keep nothing of them.
    pub pairs: usize,
    /// Labels of all of them.
    pub labels: usize,
    /// How many there are.
    pub side_by_side: usize,
    /// Micro-batches in an optimizer step, whose gradients wait for each other.
    pub micro_batches: usize,
    /// Whether activations are recomputed in the backward pass (activation checkpointing).
    pub checkpoint_blocks: bool,
}

/// The kind of operations, which decides what is kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operations {
    /// The fused operations of the CPU, in the program's own memory.
    Fused,
    /// Operations composed of Burn's own, which keep more for the backward pass, on a device of its own.
    Composed,
}

/// An estimate of the peak memory of training in bytes, by what takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemoryEstimate {
    /// Frozen weights.
    pub weights: u64,
    /// Adapters, their gradients and the optimizer's moments.
    pub adapters: u64,
    /// Activations that wait for the backward pass.
    pub activations: u64,
    /// A chunk of the vocabulary product.
    pub vocabulary: u64,
    /// The program itself, and what an allocator cannot use.
    pub overhead: u64,
}

/// The program without a model: its code and its data.
const PROGRAM: f64 = 62e6;
/// The thread of a worker: the blocks that its allocator keeps.
const WORKER: f64 = 25e6;
/// What allocators and short-lived buffers add.
const SLACK: f64 = 0.05;
/// How much more the composed operations keep: measured on the CPU, with and without the fused ones.
const COMPOSED: f64 = 2.3;

impl MemoryEstimate {
    /// The estimate for a model that carries this layout and is kept in these types.
    pub fn of(
        config: &ModelConfig,
        layout: &AdapterLayout,
        types: impl Into<WeightTypes>,
        batch: BatchShape,
        operations: Operations,
    ) -> Self {
        let shapes = LinearShapes::of(config);
        let WeightTypes { precision, quantization } = types.into();
        let width = precision.dtype().size() as f64;
        let linears = shapes.linear_elements() as f64;
        let is_packed = operations == Operations::Composed;
        let of_linears = linears * quantization.map_or(width, |quantization| quantization.bytes(is_packed));
        let trained = shapes.adapter_elements(layout);
        let states = shapes.kept_adapter_elements(layout) - trained;
        let kept_by_adapters = shapes.kept_for_a_token(layout);
        let layers = config.num_hidden_layers as f64;
        let q_width = config.num_attention_heads * config.head_dim;
        let kv_width = config.num_key_value_heads * config.head_dim;
        // For a token in a layer: three residual-sized inputs; queries and the mixed values; keys and values; gate and up.
        let mut wide = 3 * config.hidden_size + 2 * (q_width + kv_width + config.intermediate_size);
        // What further norms take.
        if config.norms.of_outputs {
            wide += 2 * config.hidden_size;
        }
        if config.norms.of_heads {
            wide += q_width + kv_width;
        }
        let of_token = wide as f64 * width + 4.0 * kept_by_adapters as f64 / layers;
        // Composed operations keep probabilities, for some layers their gradients, and bounded scores.
        let matrices = if config.scores.cap.is_some() { 2.5 } else { 1.5 };
        let of_pair = match operations {
            Operations::Fused => 0.0,
            _ => matrices * 4.0 * config.num_attention_heads as f64,
        };
        let factor = if operations == Operations::Fused { 1.0 } else { COMPOSED };
        let of_layer = factor * (batch.tokens as f64 * of_token + batch.pairs as f64 * of_pair);
        // Again: the inputs of the layers, and the fused attention's result, with two numbers for each head.
        let of_attention = match operations {
            Operations::Fused => q_width as f64 * width + 8.0 * config.num_attention_heads as f64,
            _ => 0.0,
        };
        let of_input = config.hidden_size as f64 * width + of_attention;
        let activations = match batch.checkpoint_blocks {
            false => layers * of_layer,
            true => layers * batch.tokens as f64 * of_input + of_layer,
        };
        // Composed operations keep quantised weights as floats until their backward pass.
        let activations = match (quantization, operations, batch.checkpoint_blocks) {
            (None, ..) | (_, Operations::Fused, _) => activations,
            (_, _, false) => activations + linears * width,
            (_, _, true) => activations + linears * width / layers,
        };
        let chunk = batch.labels.min(LOSS_CHUNK * batch.side_by_side) * config.vocab_size;

        let weights = (shapes.elements() as f64 - linears) * width + of_linears;
        // The program keeps those of the best epoch, for its checkpoints.
        let kept = if operations == Operations::Composed { 4 } else { 5 };
        // A state has neither gradient nor moments.
        let of_states = states * (kept - 3);
        let adapters = 4.0 * (trained as f64 * (kept + batch.micro_batches) as f64 + of_states as f64);
        let vocabulary = 2.5 * 4.0 * chunk as f64;
        let overhead = PROGRAM
            + WORKER * batch.side_by_side.max(1) as f64
            + SLACK * (weights + adapters + activations + vocabulary);
        let [weights, adapters, activations, vocabulary, overhead] =
            [weights, adapters, activations, vocabulary, overhead].map(|bytes| bytes as u64);
        Self { weights, adapters, activations, vocabulary, overhead }
    }

    /// All together.
    pub fn total(&self) -> u64 {
        let parts = [self.weights, self.adapters, self.activations, self.vocabulary, self.overhead];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}
