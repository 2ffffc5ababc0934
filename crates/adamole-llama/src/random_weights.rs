//! Models with random weights, to train from scratch.

use crate::{CausalLm, ModelConfig, model::TensorSource};
use adamole_core::CounterRng;
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

impl CausalLm {
    /// A model with random weights, all trainable, as a function of `seed`. The embedding is normal with deviation 0.5, or
    /// 1 after scaling in families that scale it; linears are normal with variance 1 / d_in, biases 0, normalisations the
    /// identity.
    ///
    /// Where the query and key projections have the same shape, they start with correlation 0.9, so that a head attends to
    /// similar tokens from the start. Small models then learn retrieval in a fraction of the steps.
    pub fn random(config: ModelConfig, seed: u64, device: &Device) -> Self {
        let norm_offset = config.norms.offset;
        let embedding = config.embedding_scale.map_or(0.5, f32::recip);
        let mut source = RandomSource { seed, drawn: 0, queries: Vec::new(), norm_offset, embedding, device };
        Self::build(config, &mut source).unfreeze()
    }
}

/// The initial weights of [`CausalLm::random`].
struct RandomSource<'a> {
    seed: u64,
    drawn: u64,
    queries: Vec<f32>,
    norm_offset: f32,
    /// The deviation of the embedding.
    embedding: f32,
    device: &'a Device,
}

impl TensorSource for RandomSource<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.drawn += 1;
        if D == 1 {
            let initial = if name.ends_with("norm.weight") { 1.0 - self.norm_offset } else { 0.0 };
            return Tensor::full(shape, initial, self.device);
        }
        let deviation = if name.contains("embed") { self.embedding } else { (shape[1] as f32).sqrt().recip() };
        let mut values = CounterRng::new(&[self.seed, self.drawn]).normal(shape.iter().product(), deviation);
        if name.ends_with("q_proj.weight") {
            self.queries = values.clone();
        } else if name.ends_with("k_proj.weight") && self.queries.len() == values.len() {
            let alike = 0.9_f32;
            let rest = (1.0 - alike * alike).sqrt();
            values = values.iter().zip(&self.queries).map(|(key, query)| alike * query + rest * key).collect();
        }
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}
