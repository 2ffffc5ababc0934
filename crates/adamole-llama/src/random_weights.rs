//! Models to train from nothing.

use crate::{CausalLm, ModelConfig, model::TensorSource};
use adamole_core::CounterRng;
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

impl CausalLm {
    /// A model with all weights trainable, as a function of `seed`: the embedding normal with deviation 0.5, or with
    /// deviation 1 once it is scaled where the family scales it; linears normal with variance 1 / d_in, biases 0,
    /// normalisations without effect.
    ///
    /// Where queries and keys have one shape, the keys start close to the queries (correlation 0.9), so that a head looks
    /// for tokens like its own from the beginning. Small models learn to look things up in a fraction of the steps.
    pub fn random(config: ModelConfig, seed: u64, device: &Device) -> Self {
        let norm_offset = config.norm_offset();
        let embedding = config.embedding_scale().map_or(0.5, f32::recip);
        let mut source = RandomSource { seed, drawn: 0, queries: Vec::new(), norm_offset, embedding, device };
        Self::build(config, &mut source).unfreeze()
    }
}

/// Initial weights for training from nothing; see [`CausalLm::random`].
struct RandomSource<'a> {
    seed: u64,
    drawn: u64,
    queries: Vec<f32>,
    norm_offset: f32,
    /// Deviation of the embedding.
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
