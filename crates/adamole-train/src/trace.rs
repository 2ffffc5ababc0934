//! One forward and backward pass laid open: logits, routing, losses and gradients by name, to hold beside another
//! implementation.

use crate::{
    RoutingStatistics, TrainError,
    batch::{integers, with_tokens},
    routing::floats,
};
use adamole_core::{Adapter, ForwardContext, ParameterValue, RoutingDetail, router::Routing};
use adamole_llama::{AttentionMask, CausalLm, KEY_PREFIX, TokenBatch, adapter_gradients, frozen_cross_entropy};
use burn::{
    module::ParamId,
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use std::collections::HashMap;

/// A batch of token ids, in rows of one length.
#[derive(Debug, Clone)]
pub struct TraceBatch {
    /// Token ids, `[B, L]` in row-major order.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for padding, on whichever side; `[B, L]`.
    pub attention_mask: Vec<i64>,
    /// The token that each position should have been predicted as, or -100; `[B, L]`.
    pub labels: Option<Vec<i64>>,
    /// Number of rows B.
    pub rows: usize,
}

/// What is done with a batch.
#[derive(Debug, Clone, Copy)]
pub struct TraceOptions {
    /// Weight of the auxiliary loss.
    pub balance_coefficient: f32,
    /// Whether gradients are computed; the model then lives on an autodiff device.
    pub gradients: bool,
    /// Whether padding counts in the auxiliary loss, in the counts, and where a label follows it, as published.
    pub padding_counts: bool,
}

/// What one adapted linear did.
#[derive(Debug, Clone)]
pub struct TracedSite {
    /// The linear, by its name in published adapter files (`base_model.model.model.layers.0.self_attn.q_proj`).
    pub module: String,
    /// Every row's routing.
    pub routing: Routing,
    /// Its auxiliary loss.
    pub balance_loss: f64,
    /// Experts that a row fires, over the rows that count.
    pub mean_active_experts: f64,
}

/// What came out.
pub struct Trace {
    /// `[B, L, V]`.
    pub logits: Tensor<3>,
    /// Mean cross-entropy over the labels; `None` where no label is left.
    pub task_loss: Option<f64>,
    /// Sum of the sites' auxiliary losses; `None` where nothing is routed.
    pub balance_loss: Option<f64>,
    /// The routed linears, in the order of the forward pass.
    pub sites: Vec<TracedSite>,
    /// Who fired.
    pub routing: RoutingStatistics,
    /// Of the total loss, where asked for and where there is a loss.
    pub gradients: Option<GradientsParams>,
}

impl Trace {
    /// Task loss and auxiliary loss together; `None` where there is no task loss.
    pub fn total_loss(&self, options: TraceOptions) -> Option<f64> {
        let balance = self.balance_loss.unwrap_or(0.0) * f64::from(options.balance_coefficient);
        self.task_loss.map(|task| task + balance)
    }

    /// The gradients under the keys of published adapter files. An expert that fired for no row has none, where its
    /// router rests such experts.
    pub fn named_gradients(&self, model: &CausalLm) -> Vec<(String, TensorData)> {
        let Some(gradients) = &self.gradients else { return Vec::new() };
        let id = |adapter: &Adapter| adapter.parameter("a").map(ParameterValue::id);
        let inactive: HashMap<Option<ParamId>, Vec<bool>> =
            self.routing.inactive_experts(model).into_iter().map(|(adapter, idle)| (id(adapter), idle)).collect();
        let mut named = Vec::new();
        for (name, linear) in model.linears() {
            let Some(adapter) = &linear.adapter else { continue };
            for (key, data) in adapter_gradients(adapter, gradients) {
                let expert: Option<usize> = key.split('.').nth(1).and_then(|number| number.parse().ok());
                let is_inactive = expert.zip(inactive.get(&id(adapter))).is_some_and(|(expert, idle)| idle[expert]);
                if !is_inactive {
                    named.push((format!("{KEY_PREFIX}{name}.{key}"), data));
                }
            }
        }
        named
    }
}

/// Runs a batch through the model, without dropout.
///
/// # Errors
/// The batch is empty, its parts differ in size, or an id is outside the vocabulary.
pub fn trace(
    model: &CausalLm,
    batch: &TraceBatch,
    options: TraceOptions,
    device: &Device,
) -> Result<Trace, TrainError> {
    let length = batch.check(model.config().vocab_size)?;
    let tokens: Vec<u8> = batch.attention_mask.iter().map(|&mask| u8::from(mask != 0)).collect();
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
    let ids = integers(batch.ids.iter().map(|&id| id as i32), device).reshape([batch.rows, length]);
    let token_batch = TokenBatch::new(ids, AttentionMask::padded(&tokens, length, device));
    let token_batch = if options.padding_counts { token_batch } else { with_tokens(token_batch, &tokens, device) };
    let hidden = model.hidden(&token_batch, &mut context);

    let labelled = batch.labelled(length, |position| options.padding_counts || tokens[position] == 1);
    let task = (!labelled.is_empty()).then(|| {
        let positions = integers(labelled.iter().map(|&(position, _)| position as i32), device);
        let targets = integers(labelled.iter().map(|&(_, target)| target as i32), device);
        let selected = hidden.clone().select(0, positions);
        frozen_cross_entropy(selected, model.projection(), targets, labelled.len() as f32)
    });
    let balance = context.auxiliary_loss();
    let scalar = |loss: &Tensor<1>| floats(loss.to_data())[0];
    let (task_loss, balance_loss) = (task.as_ref().map(scalar), balance.as_ref().map(scalar));
    let logits = model.logits(hidden.detach()).reshape([batch.rows as i32, length as i32, -1]);
    let gradients = task.filter(|_| options.gradients).map(|task| {
        let total = match balance {
            Some(balance) if options.balance_coefficient != 0.0 => task + balance * options.balance_coefficient,
            _ => task,
        };
        GradientsParams::from_grads(total.backward(), model)
    });

    let sites = context.into_layers();
    let routing = RoutingStatistics::read(&sites);
    let active = routing.mean_active_per_layer();
    let sites = model.routed().into_iter().zip(sites).zip(active);
    let sites = sites.filter_map(|(((name, ..), site), mean_active_experts)| {
        Some(TracedSite {
            module: format!("{KEY_PREFIX}{name}"),
            balance_loss: scalar(&site.auxiliary_loss),
            routing: site.decision?,
            mean_active_experts,
        })
    });
    Ok(Trace { logits, task_loss, balance_loss, sites: sites.collect(), routing, gradients })
}

impl TraceBatch {
    /// The length of a row.
    fn check(&self, vocabulary: usize) -> Result<usize, TrainError> {
        let wrong = |what: String| Err(TrainError::Batch { what });
        let size = self.ids.len();
        if size == 0 || self.rows == 0 || !size.is_multiple_of(self.rows) {
            return wrong(format!("input_ids has {size} ids in {} rows, expected at least one in each", self.rows));
        }
        for (name, found) in
            [("attention_mask", self.attention_mask.len()), ("labels", self.labels.as_ref().map_or(size, Vec::len))]
        {
            if found != size {
                return wrong(format!("{name} has {found} elements, expected as many as input_ids, {size}"));
            }
        }
        let outside = |id: &&i64| !(0..vocabulary as i64).contains(*id);
        if let Some(id) = self.ids.iter().find(outside) {
            return wrong(format!("input_ids holds {id}, expected ids below the vocabulary's {vocabulary}"));
        }
        if let Some(id) = self.labels.iter().flatten().find(|id| **id != IGNORED && outside(id)) {
            return wrong(format!("labels holds {id}, expected {IGNORED} or ids below the vocabulary's {vocabulary}"));
        }
        Ok(size / self.rows)
    }

    /// The positions that predict a label, with the label: each predicts the next one of its row.
    fn labelled(&self, length: usize, counts: impl Fn(usize) -> bool) -> Vec<(usize, i64)> {
        let Some(labels) = &self.labels else { return Vec::new() };
        let predicts = |&position: &usize| (position + 1) % length != 0 && counts(position);
        let positions = (0..labels.len().saturating_sub(1)).filter(predicts);
        positions.map(|position| (position, labels[position + 1])).filter(|(_, label)| *label != IGNORED).collect()
    }
}

/// The label of a position that is not trained on.
const IGNORED: i64 = -100;
