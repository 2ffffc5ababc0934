//! A recorded pass: logits, routing, losses and gradients by name, to compare with another implementation.

use crate::{
    DeviceBatch, RoutingStatistics,
    loss::{Forward, LossWeights},
    routing::floats,
};
use adamole_core::{Adapter, ForwardContext, ParameterValue, RoutingDetail, router::Routing};
use adamole_llama::{CausalLm, KEY_PREFIX, adapter_gradients};
use burn::{
    module::ParamId,
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use std::collections::HashMap;

/// What a forward and backward pass over one batch computes, without dropout. The losses and gradients are those of a
/// training step.
pub struct Trace {
    /// Scores over the vocabulary, `[B, L, V]`.
    pub logits: Tensor<3>,
    /// Mean cross-entropy over the labels; `None` where the batch has none.
    pub task_loss: Option<f64>,
    /// Load balancing loss, summed over the routed layers; `None` where nothing is routed.
    pub balance_loss: Option<f64>,
    /// Task loss and weighted load balancing loss together; `None` where there is no task loss.
    pub total_loss: Option<f64>,
    /// The routed layers, in the order of the forward pass.
    pub layers: Vec<TracedLayer>,
    /// Routing statistics of the whole pass.
    pub routing: RoutingStatistics,
    /// Gradients of the total loss; `None` where there is no task loss, the model is not on an autodiff device, or it has
    /// no adapter.
    pub gradients: Option<GradientsParams>,
}

/// What one routed layer did.
#[derive(Debug, Clone)]
pub struct TracedLayer {
    /// The linear, by its name in published adapter files (`base_model.model.model.layers.0.self_attn.q_proj`).
    pub module: String,
    /// The routing of every row.
    pub routing: Routing,
    /// Its load balancing loss.
    pub balance_loss: f64,
    /// Mean number of active experts, over the valid tokens.
    pub mean_active_experts: f64,
}

/// Runs a batch on the model's device through the model, without dropout, and records it.
pub fn trace(model: &CausalLm, batch: DeviceBatch, balance_coefficient: f32) -> Trace {
    let ([rows, length], [labels]) = (batch.tokens.ids().dims(), batch.label_targets.dims());
    let context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
    let weights = LossWeights { divisor: labels as f32, share: 1.0, coefficient: balance_coefficient };
    let forward = Forward::new(model, batch, context, weights);
    let (task_loss, balance_loss) = forward.losses();
    let task_loss = (labels > 0).then_some(task_loss);
    let is_trained = model.device().is_autodiff() && model.linears().iter().any(|(_, it)| it.adapter.is_some());
    let gradients = (is_trained && labels > 0).then(|| forward.gradients(model));

    let routing = RoutingStatistics::read(&forward.routing);
    let active = routing.mean_active_per_layer();
    let layers = model.routed().into_iter().zip(forward.routing).zip(active);
    let layers = layers.filter_map(|(((name, ..), layer), mean_active_experts)| {
        Some(TracedLayer {
            module: format!("{KEY_PREFIX}{name}"),
            balance_loss: floats(layer.auxiliary_loss.into_data())[0],
            routing: layer.decision?,
            mean_active_experts,
        })
    });
    Trace {
        logits: model.logits(forward.hidden.detach()).reshape([rows as i32, length as i32, -1]),
        task_loss,
        balance_loss,
        total_loss: task_loss.map(|task| task + balance_loss.unwrap_or(0.0) * f64::from(balance_coefficient)),
        layers: layers.collect(),
        routing,
        gradients,
    }
}

impl Trace {
    /// The gradients under the keys of published adapter files. An inactive expert has none where its router leaves
    /// inactive experts alone.
    pub fn named_gradients(&self, model: &CausalLm) -> Vec<(String, TensorData)> {
        let Some(gradients) = &self.gradients else { return Vec::new() };
        let id = |adapter: &Adapter| adapter.parameter("a").map(ParameterValue::id);
        let inactive = self.routing.inactive_experts(model).into_iter();
        let inactive: HashMap<Option<ParamId>, Vec<bool>> =
            inactive.map(|(adapter, experts)| (id(adapter), experts)).collect();
        let mut named = Vec::new();
        for (name, linear) in model.linears() {
            let Some(adapter) = &linear.adapter else { continue };
            for (key, data) in adapter_gradients(adapter, gradients) {
                let expert: Option<usize> = key.split('.').nth(1).and_then(|number| number.parse().ok());
                let is_inactive =
                    expert.zip(inactive.get(&id(adapter))).is_some_and(|(expert, inactive)| inactive[expert]);
                if !is_inactive {
                    named.push((format!("{KEY_PREFIX}{name}.{key}"), data));
                }
            }
        }
        named
    }
}
