//! Which experts are active for a token.

use adamole_core::LayerRouting;
use burn::tensor::{Int, Tensor};

/// The routing of one token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenRouting {
    /// The token.
    pub token: u32,
    /// The number of active experts on each routed linear, in the order of [`CausalLm::routed`](crate::CausalLm::routed). Empty where nothing is
    /// routed.
    pub active: Vec<u32>,
    /// The threshold on each of them, where the router learns one.
    pub thresholds: Option<Vec<f32>>,
}

impl TokenRouting {
    /// The mean number of active experts; `None` where nothing is routed.
    pub fn mean_active_experts(&self) -> Option<f64> {
        let total: u32 = self.active.iter().sum();
        (!self.active.is_empty()).then(|| f64::from(total) / self.active.len() as f64)
    }
}

/// The routing of these tokens, in these rows of a pass, or in all of them; empty where nothing was recorded.
pub(crate) fn token_routing(
    layers: Vec<LayerRouting>,
    tokens: &[u32],
    rows: Option<&Tensor<1, Int>>,
) -> Vec<TokenRouting> {
    let columns = |of: fn(&LayerRouting) -> Option<Tensor<2>>| {
        let selected = |column: Tensor<2>| match rows {
            Some(rows) => column.select(0, rows.clone()),
            None => column,
        };
        let columns: Vec<Tensor<2>> = layers.iter().filter_map(of).map(selected).collect();
        let width = columns.len();
        let values = (width > 0).then(|| Tensor::cat(columns, 1).into_data().iter::<f32>().collect::<Vec<_>>())?;
        Some(values.chunks(width).map(<[f32]>::to_vec).collect::<Vec<_>>())
    };
    let Some(active) = columns(|layer| layer.active_experts.clone()) else { return Vec::new() };
    let mut thresholds = columns(|layer| layer.thresholds.clone()).map(Vec::into_iter);
    let of_token = |(token, active): (&u32, Vec<f32>)| TokenRouting {
        token: *token,
        active: active.into_iter().map(|count| count.round() as u32).collect(),
        thresholds: thresholds.as_mut().and_then(Iterator::next),
    };
    tokens.iter().zip(active).map(of_token).collect()
}
