//! Activation checkpointing by layers (Chen et al. 2016): the forward pass keeps the inputs of the layers, and the backward
//! pass recomputes one layer at a time. It costs a second forward pass and holds the activations of one layer. The result of
//! attention is kept too where there is a kernel: it is small, and what takes longest for long texts.

use crate::{CausalLm, TokenBatch, attention::Memory, layer::DecoderLayer, precision::widened, token_batch::Sequences};
use adamole_core::ForwardContext;
use burn::{module::Module, optim::GradientsParams, tensor::Tensor};

impl CausalLm {
    /// The value of `head(hidden)`, and the gradients of `head(hidden) + auxiliary_weight * auxiliary_loss` in the adapters
    /// of each layer. `hidden` is that of [`CausalLm::hidden`], `[B L, hidden]`, on the model's autodiff device.
    ///
    /// The model lives on an autodiff device, the batch on the plain one beneath. The context records what it records in a
    /// plain forward pass; its auxiliary loss has no gradient.
    pub fn gradients_by_layers(
        &self,
        batch: &TokenBatch,
        context: &mut ForwardContext,
        auxiliary_weight: f32,
        head: impl FnOnce(Tensor<2>) -> Tensor<1>,
    ) -> (Tensor<1>, Vec<GradientsParams>) {
        let plain = self.valid();
        let [_, length] = batch.ids().dims();
        let sequences = batch.sequences(0, length, self.config());
        let mut inputs = Vec::with_capacity(plain.model.layers.len());
        context.set_rows(batch.rows().clone());
        let mut x = plain.embed(batch.ids());
        for layer in &plain.model.layers {
            let (input, adapter, mut kept) = (x.clone(), context.next_adapter(), None);
            x = layer.forward(x, &sequences, Memory::Keep(&mut kept), context);
            inputs.push((input, adapter, kept));
        }

        let leaf = Tensor::from_inner(x).require_grad();
        let value = head(self.model.norm.forward(leaf.clone()));
        let mut gradients = value.backward();
        let mut of_output = leaf.grad_remove(&mut gradients);

        let sequences = sequences.tracked();
        let mut of_layers = Vec::with_capacity(inputs.len());
        for (layer, (x, adapter, kept)) in self.model.layers.iter().zip(inputs).rev() {
            let Some(d) = of_output else { break };
            let leaf = Tensor::from_inner(x).require_grad();
            let mut again = context.replayed_from(adapter);
            let memory = kept.as_ref().map_or(Memory::Nothing, Memory::Again);
            let surrogate = layer.surrogate(leaf.clone(), d, &sequences, memory, &mut again);
            let mut gradients = match again.auxiliary_loss() {
                Some(auxiliary) if auxiliary_weight > 0.0 => (surrogate + auxiliary * auxiliary_weight).backward(),
                _ => surrogate.backward(),
            };
            of_output = leaf.grad_remove(&mut gradients);
            of_layers.push(GradientsParams::from_grads(gradients, layer));
        }
        (value.inner(), of_layers)
    }
}

impl DecoderLayer {
    /// A scalar whose gradients are those of the layer where its output's gradient is `d`, `[T, hidden]`.
    fn surrogate(
        &self,
        x: Tensor<2>,
        d: Tensor<2>,
        sequences: &Sequences,
        memory: Memory<'_>,
        context: &mut ForwardContext,
    ) -> Tensor<1> {
        let down = &self.mlp.down_proj;
        if down.adapter.is_some() || self.post_feedforward_layernorm.is_some() {
            return inner_product(self.forward(x, sequences, memory, context), d);
        }
        // The output itself is not needed, and without an adapter its gradient is known beforehand.
        let attended = self.attend(x, sequences, memory, context);
        let gated = self.mlp.gated(self.feed_forward_norm().forward(attended.clone()), context);
        let of_gated = down.input_gradient(d.clone());
        inner_product(attended, d) + inner_product(gated, of_gated)
    }
}

/// `sum(x y)` with `y` a constant, in float32.
fn inner_product(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    widened(x * Tensor::from_inner(y)).sum()
}
