//! The operations of a training step, and the speed of the machine.

use crate::Workers;
use adamole_data::{Batch, Layout};
use adamole_llama::{AdapterLayout, CausalLm, LinearShapes, ModelConfig, Precision};
use burn::tensor::{Device, Tensor};
use std::time::Instant;

/// The floating-point operations of matrix products in a pass over a model, a multiplication and an addition being two.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Frozen linears, for a token, forward; as much again backward, since only the input's gradient is formed.
    linears: f64,
    /// Adapters, for a token, forward; twice that backward.
    adapters: f64,
    /// The vocabulary product, for a label, forward; as much again for its gradient.
    vocabulary: f64,
    /// Scores and mixing of values, for a token and a position that it sees in a layer, forward; twice that backward.
    attention: f64,
    /// The most positions that a token sees, in each layer; `None` for all before it.
    windows: Vec<Option<usize>>,
}

impl Cost {
    /// The cost of this model with its adapters.
    pub fn of(model: &CausalLm) -> Self {
        Self::of_shape(model.config(), &model.layout())
    }

    /// The cost of a model of this shape that carries this layout.
    pub fn of_shape(config: &ModelConfig, layout: &AdapterLayout) -> Self {
        let shapes = LinearShapes::of(config);
        let (linears, adapters) = (shapes.linear_elements(), shapes.adapter_products(layout));
        Self {
            linears: 2.0 * linears as f64,
            adapters: 2.0 * adapters as f64,
            vocabulary: 2.0 * (config.vocab_size * config.hidden_size) as f64,
            attention: 4.0 * (config.num_attention_heads * config.head_dim) as f64,
            windows: config.layers.iter().map(|layer| layer.window).collect(),
        }
    }

    /// Operations of a step over these micro-batches, padding included.
    pub(crate) fn of_batches(&self, batches: &[Batch]) -> f64 {
        let of_texts = |batch: &Batch| match batch.layout {
            Layout::Padded(_) => self.step(batch.rows, batch.cols, batch.label_positions.len()),
            Layout::Packed => {
                let texts: f64 = batch.lengths.iter().map(|length| self.step(1, *length, 0)).sum();
                texts + self.step(0, 0, batch.label_positions.len())
            }
        };
        batches.iter().map(of_texts).sum()
    }

    /// Operations of a forward pass over one prompt of `length` tokens; the few rows of the vocabulary are left out.
    pub fn prompt(&self, length: usize) -> f64 {
        length as f64 * (self.linears + self.adapters) + self.attention * self.pairs(length)
    }

    /// The pairs of a token and a position that it sees, in all layers, for a sequence of `length` tokens.
    fn pairs(&self, length: usize) -> f64 {
        let in_layer = |window: &Option<usize>| {
            let window = window.map_or(length, |window| window.min(length));
            (window * (window + 1) / 2 + (length - window) * window) as f64
        };
        self.windows.iter().map(in_layer).sum()
    }

    /// Operations of a forward and backward pass over `rows` sequences of `length` tokens with so many labels in all.
    pub fn step(&self, rows: usize, length: usize, labels: usize) -> f64 {
        let tokens = (rows * length) as f64;
        tokens * (2.0 * self.linears + 3.0 * self.adapters)
            + 3.0 * self.attention * rows as f64 * self.pairs(length)
            + labels as f64 * 2.0 * self.vocabulary
    }
}

/// Rows, inner and outer width of the product that is measured: those of a small model's feed-forward block. Each is doubled
/// until a product takes a millisecond, so that a GPU is filled too.
const PRODUCT: [usize; 3] = [512, 576, 1536];

/// The speed of matrix products on this device in this type, in operations a second, on all workers: the best of three runs
/// of about 30 milliseconds.
pub fn matmul_peak(workers: &Workers, device: &Device, precision: Precision) -> f64 {
    let jobs = vec![(); workers.count()];
    let run = |shape: [usize; 3], times: usize| {
        let [rows, inner, outer] = shape;
        let ones = |shape: [usize; 2]| Tensor::<2>::ones(shape, (device, precision.dtype()));
        let (left, right) = (ones([rows, inner]), ones([inner, outer]));
        let product = |left: &Tensor<2>| left.clone().matmul(right.clone());
        // Kernels are compiled and chosen, and what is waiting is done, before the clock starts.
        product(&left);
        let _ = device.sync();
        let started = Instant::now();
        workers.map(&jobs, |()| {
            let last = (0..times).fold(None, |_, _| Some(product(&left)));
            // Waits until it is done where the device runs on its own.
            drop(last.map(|last| last.slice([0..1, 0..1]).into_data()));
            let _ = device.sync();
        });
        started.elapsed().as_secs_f64()
    };
    let mut shape = PRODUCT;
    while run(shape, 1) < 1e-3 && shape[0] < 8 * PRODUCT[0] {
        shape = shape.map(|width| 2 * width);
    }
    let times = (0.03 / run(shape, 1)).ceil().clamp(1.0, 1000.0) as usize;
    let best = (0..3).map(|_| run(shape, times)).fold(f64::INFINITY, f64::min);
    2.0 * shape.iter().product::<usize>() as f64 * (times * jobs.len()) as f64 / best
}
