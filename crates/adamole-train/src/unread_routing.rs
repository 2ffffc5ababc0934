//! Routing statistics that are still on the device.

use crate::{
    Distribution, LayerStatistics, RoutingStatistics,
    routing::{floats, plain},
};
use adamole_core::LayerRouting;
use burn::tensor::{Device, Tensor};

/// The routing of one pass.
#[derive(Debug, Clone)]
pub(crate) struct UnreadRouting {
    /// All numbers side by side, `[n]`: the active tokens of all layers, and after them the others layer by layer. `None` where
    /// nothing is routed.
    values: Option<Tensor<1>>,
    layers: Vec<UnreadLayer>,
    tokens: usize,
}

#[derive(Debug, Clone)]
struct UnreadLayer {
    experts: usize,
    /// How many numbers there are of the sum of thresholds, the active experts and the thresholds of each row.
    others: [Option<usize>; 3],
    max_threshold: f64,
}

/// The tokens that activated each expert in a step, of all routed layers one after the other.
#[derive(Debug, Clone)]
pub(crate) struct ActiveTokens {
    /// The experts of each layer.
    pub(crate) layers: Vec<usize>,
    /// `[sum of layers]`; `None` where nothing is routed.
    pub(crate) tokens: Option<Tensor<1>>,
}

impl UnreadRouting {
    /// Queues what is to be read, and lets go of the rest.
    pub(crate) fn new(layers: &[LayerRouting]) -> Self {
        let mut values: Vec<Tensor<2>> = layers.iter().map(|layer| layer.active_tokens.clone()).collect();
        let mut unread = Vec::new();
        for layer in layers {
            let of_rows = |rows: &Option<Tensor<2>>| rows.clone().map(Tensor::transpose);
            let others = [layer.threshold_sum.clone(), of_rows(&layer.active_experts), of_rows(&layer.thresholds)];
            unread.push(UnreadLayer {
                experts: layer.active_tokens.dims()[1],
                others: others.each_ref().map(|part| part.as_ref().map(|part| part.dims()[1])),
                max_threshold: f64::from(layer.max_threshold),
            });
            values.extend(others.into_iter().flatten());
        }
        let values = (!values.is_empty()).then(|| plain(Tensor::cat(values, 1)).flatten(0, 1));
        Self { values, layers: unread, tokens: layers.first().map_or(0, |layer| layer.tokens) }
    }

    pub(crate) fn read(self) -> RoutingStatistics {
        let all = self.values.map(|values| floats(values.into_data())).unwrap_or_default();
        let (mut active, mut others) = all.split_at(self.layers.iter().map(|layer| layer.experts).sum());
        let layers = self.layers.into_iter().map(|UnreadLayer { experts, others: widths, max_threshold }| {
            let active_tokens = next(&mut active, experts).to_vec();
            let [threshold_sum, active, thresholds] = widths.map(|width| width.map(|width| next(&mut others, width)));
            let thresholds = thresholds.map(|values| (values, max_threshold));
            LayerStatistics {
                threshold_sum: threshold_sum.map(|sum| sum.iter().sum()),
                distribution: active.map(|active| Distribution::of(active, thresholds, active_tokens.len())),
                active_tokens,
            }
        });
        RoutingStatistics { layers: layers.collect(), tokens: self.tokens }
    }

    /// The active tokens, which stay on the device.
    fn active_tokens(&self) -> ActiveTokens {
        let layers: Vec<usize> = self.layers.iter().map(|layer| layer.experts).collect();
        let experts = layers.iter().sum();
        ActiveTokens { layers, tokens: self.values.clone().map(|values| values.narrow(0, 0, experts)) }
    }
}

impl ActiveTokens {
    /// Those of the micro-batches of a step on one device together.
    pub(crate) fn of_all<'a>(routing: impl Iterator<Item = &'a UnreadRouting>) -> Self {
        let all = routing.map(UnreadRouting::active_tokens);
        let none = Self { layers: Vec::new(), tokens: None };
        all.reduce(|sum, next| Self { tokens: sum.tokens.zip(next.tokens).map(|(sum, next)| sum + next), ..sum })
            .unwrap_or(none)
    }

    /// Those of statistics that the host has.
    pub(crate) fn on_device(routing: &RoutingStatistics, device: &Device) -> Self {
        let layers = routing.layers.iter().map(|layer| layer.active_tokens.len()).collect();
        let tokens: Vec<f32> =
            routing.layers.iter().flat_map(|layer| &layer.active_tokens).map(|it| *it as f32).collect();
        Self { layers, tokens: (!tokens.is_empty()).then(|| Tensor::from_floats(tokens.as_slice(), device)) }
    }
}

/// Takes the next values.
fn next<'a>(values: &mut &'a [f64], count: usize) -> &'a [f64] {
    let (next, rest) = values.split_at(count);
    *values = rest;
    next
}
