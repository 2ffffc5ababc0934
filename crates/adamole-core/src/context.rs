//! What travels with one forward pass: dropout and the layout of the rows on the way in, routing and the auxiliary loss on
//! the way out. Modules keep none of it, so that a pass leaves nothing stale behind.

use crate::{
    DropoutScope, DropoutSeed, Method, Probability, RowGroup, Rows, auxiliary::AuxiliaryLoss, router::Routing,
};
use adamole_kernels::{Dropout, LoadBalance};
use burn::tensor::{DType, Device, Tensor};
use std::sync::Arc;

/// How much of the routing a pass records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoutingDetail {
    /// Nothing.
    Off,
    /// Counts per expert and the mean threshold of each routed layer.
    Counts,
    /// Also every token's threshold and number of active experts.
    Distributions,
    /// Also the router's decision for every token.
    Rows,
}

/// The routing of one routed layer in one pass, over T rows and N experts. Tensors carry no gradient.
#[derive(Debug, Clone)]
pub struct LayerRouting {
    /// Tokens that activated each expert, `[1, N]`.
    pub active_tokens: Tensor<2>,
    /// Sum of the thresholds over the tokens, `[1, 1]`, where the router learns one.
    pub threshold_sum: Option<Tensor<2>>,
    /// The auxiliary loss of this layer, one element.
    pub auxiliary_loss: Tensor<1>,
    /// Tokens counted.
    pub tokens: usize,
    /// What no threshold exceeds.
    pub max_threshold: f32,
    /// Active experts of each row, `[T, 1]`, from [`RoutingDetail::Distributions`] on; -1 in rows that are no tokens.
    pub active_experts: Option<Tensor<2>>,
    /// The thresholds of each row, `[T, 1]`, where the router learns them, from [`RoutingDetail::Distributions`] on.
    pub thresholds: Option<Tensor<2>>,
    /// The router's decision, with [`RoutingDetail::Rows`].
    pub decision: Option<Routing>,
}

/// Where the numbers of the gates' dropout masks start.
const GATE_MASKS: usize = 1 << 32;

/// Between the numbers of the masks of a layer's experts.
const EXPERT_MASKS: usize = 1 << 33;

/// The state of one forward pass. Adapters are numbered in the order in which it comes to them.
#[derive(Debug)]
pub struct ForwardContext {
    dropout: Option<DropoutSeed>,
    scope: DropoutScope,
    rows: Option<Rows>,
    /// Sequences that an input has where there is no layout.
    sequences: usize,
    detail: RoutingDetail,
    next_adapter: usize,
    auxiliary_loss: AuxiliaryLoss,
    layers: Vec<LayerRouting>,
    groups: Option<Groups>,
}

/// Rows with adapters of their own.
#[derive(Debug)]
struct Groups {
    groups: Vec<RowGroup>,
    next_linear: usize,
}

impl ForwardContext {
    /// No dropout, nothing recorded.
    pub fn evaluation() -> Self {
        Self {
            dropout: None,
            scope: DropoutScope::Layer,
            rows: None,
            sequences: 1,
            detail: RoutingDetail::Off,
            next_adapter: 0,
            auxiliary_loss: AuxiliaryLoss::default(),
            layers: Vec::new(),
            groups: None,
        }
    }

    /// A pass whose rows are these, one group after the other: each has its own adapters in place of those of the model, for
    /// evaluation.
    pub fn for_groups(groups: Vec<RowGroup>) -> Self {
        Self { groups: Some(Groups { groups, next_linear: 0 }), ..Self::evaluation() }
    }

    /// The groups of [`ForwardContext::for_groups`], with what they have recorded.
    pub fn into_groups(self) -> Vec<RowGroup> {
        self.groups.map_or_else(Vec::new, |groups| groups.groups)
    }

    /// The groups of rows, and the number of the linear that asks; `None` where all rows have the model's adapters.
    pub(crate) fn enter_linear(&mut self) -> Option<(usize, &mut [RowGroup])> {
        let groups = self.groups.as_mut()?;
        groups.next_linear += 1;
        Some((groups.next_linear - 1, &mut groups.groups))
    }

    /// The number of the next linear, with which a feed-forward block begins, and whether in all groups the experts are whole
    /// blocks; `None` where they are in no group.
    pub(crate) fn routed_blocks(&self) -> Option<(usize, bool)> {
        let Groups { groups, next_linear } = self.groups.as_ref()?;
        let routed: Vec<bool> = groups.iter().map(|group| group.routes_block(*next_linear)).collect();
        routed.contains(&true).then(|| (*next_linear, !routed.contains(&false)))
    }

    /// The groups of rows, where the next linear is that with this number.
    pub(crate) fn groups_before(&mut self, linear: usize) -> &mut [RowGroup] {
        self.groups.as_mut().map_or(&mut [], |groups| {
            groups.next_linear = linear;
            &mut groups.groups
        })
    }

    /// Dropout drawn from `seed`.
    pub fn training(seed: DropoutSeed) -> Self {
        Self { dropout: Some(seed), ..Self::evaluation() }
    }

    /// Which experts share a dropout mask; [`DropoutScope::Layer`] without it.
    pub fn with_dropout_scope(mut self, scope: DropoutScope) -> Self {
        self.scope = scope;
        self
    }

    /// Records routing at this level; anything above [`RoutingDetail::Off`] also sums the auxiliary loss.
    pub fn recording(mut self, detail: RoutingDetail) -> Self {
        self.detail = detail;
        self
    }

    /// Sets the layout of the rows that the linears are about to see: which are tokens, and of which sequence. Without it
    /// all rows are tokens of one sequence, or of those of a batch ([`AdaptedLinear::forward_batch`](crate::AdaptedLinear)). The auxiliary loss, the counts and limits within a sequence go by it.
    pub fn set_rows(&mut self, rows: Rows) {
        self.rows = Some(rows);
    }

    /// Does something with an input of so many sequences of one length, unless the layout says otherwise.
    pub(crate) fn with_sequences<T>(&mut self, sequences: usize, with: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.sequences, sequences);
        let result = with(self);
        self.sequences = before;
        result
    }

    /// The auxiliary loss of all routed layers so far, their sum unless the method says otherwise, with its gradient; `None`
    /// where nothing was routed.
    pub fn auxiliary_loss(&self) -> Option<Tensor<1>> {
        self.auxiliary_loss.value()
    }

    /// The number of adapters so far, which is that of the next one.
    pub fn next_adapter(&self) -> usize {
        self.next_adapter
    }

    /// A context for tensors with autodiff that does again what this one, for plain tensors, did from an adapter on: the
    /// same dropout, over the same rows. It has recorded nothing yet.
    pub fn replayed_from(&self, adapter: usize) -> Self {
        Self {
            dropout: self.dropout,
            scope: self.scope,
            rows: self.rows.as_ref().map(Rows::tracked),
            detail: self.detail,
            next_adapter: adapter,
            auxiliary_loss: self.auxiliary_loss.replayed(),
            ..Self::evaluation()
        }
    }

    /// The routing of each routed layer, in the order of the pass.
    pub fn into_layers(self) -> Vec<LayerRouting> {
        self.layers
    }

    /// The dropout on the input of `experts` experts in training: one for all of them, or one for each; `None` where
    /// nothing is dropped.
    pub fn input_dropout(&self, p: Probability, adapter: usize, experts: usize) -> Option<Vec<Dropout>> {
        let seed = self.dropout.filter(|_| p.get() > 0.0)?;
        Some(match self.scope {
            DropoutScope::Layer => vec![seed.dropout(adapter, p)],
            DropoutScope::Expert => (1..=experts).map(|i| seed.dropout(adapter + i * EXPERT_MASKS, p)).collect(),
        })
    }

    /// Rows with dropout, by one of the masks of an adapter: 0 is that of its input.
    pub fn dropped(&self, x: Tensor<2>, p: Probability, adapter: usize, mask: usize) -> Tensor<2> {
        let Some(seed) = self.dropout.filter(|_| p.get() > 0.0) else { return x };
        let mask = seed.dropout(adapter + mask * EXPERT_MASKS, p).mask(x.dims(), &x.device());
        x.cast(DType::F32) * mask
    }

    /// A number for the adapter that asks, unique within the pass.
    pub fn enter_adapter(&mut self) -> usize {
        self.next_adapter += 1;
        self.next_adapter - 1
    }

    /// The router's dropout on `[T, N]` probabilities: 0 or 1 / (1 - p); `None` outside training.
    pub(crate) fn gate_mask(
        &self,
        p: Probability,
        adapter: usize,
        shape: [usize; 2],
        device: &Device,
    ) -> Option<Tensor<2>> {
        // A stream of its own beside the one of the input's mask.
        self.dropout.map(|seed| seed.dropout(GATE_MASKS + adapter, p).mask(shape, device))
    }

    /// The layout of an input of so many rows.
    ///
    /// # Panics
    /// [`ForwardContext::set_rows`] was given another number of rows.
    pub(crate) fn rows(&self, total: usize) -> Rows {
        let rows = self.rows.clone().unwrap_or_else(|| Rows::new(total, self.sequences, None));
        let expected = rows.total();
        assert!(
            expected == total,
            "an adapted linear has an input of {total} rows, the context a layout of {expected}"
        );
        rows
    }

    pub(crate) fn record(&mut self, method: &Arc<dyn Method>, rows: &Rows, routing: &Routing) {
        let Some(router) = method.router().filter(|_| self.detail > RoutingDetail::Off) else { return };
        let LoadBalance { loss, active_tokens, threshold_sum } = match router.auxiliary_loss(routing, rows) {
            Some(loss) => routing.with_loss(loss, rows),
            None => routing.load_balance(rows),
        };
        let thresholds = routing.thresholds.clone().map(Tensor::detach);
        let from = |detail: RoutingDetail| self.detail >= detail;
        self.layers.push(LayerRouting {
            active_tokens,
            threshold_sum,
            auxiliary_loss: loss.clone().detach(),
            tokens: rows.count(),
            max_threshold: router.max_threshold(),
            active_experts: from(RoutingDetail::Distributions)
                .then(|| rows.masked(routing.active.clone().detach().sum_dim(1) + 1.0) - 1.0),
            thresholds: thresholds.filter(|_| from(RoutingDetail::Distributions)),
            decision: from(RoutingDetail::Rows).then(|| routing.detached()),
        });
        self.auxiliary_loss.add(method, loss, routing, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_share_a_mask_or_draw_their_own() {
        let device = Device::default();
        let seed = DropoutSeed { run: 1, step: 2, micro_batch: 3 };
        let half = Probability::try_from(0.5).expect("valid");
        let masks = |scope, adapter| {
            let dropouts = ForwardContext::training(seed).with_dropout_scope(scope).input_dropout(half, adapter, 3);
            let values =
                |dropout: Dropout| dropout.mask([50, 40], &device).into_data().try_to_vec::<f32>().expect("float32");
            dropouts.expect("dropped").into_iter().map(values).collect::<Vec<_>>()
        };
        assert_eq!(masks(DropoutScope::Layer, 0).len(), 1);
        let own = masks(DropoutScope::Expert, 0);
        let [first, second, third] = &own[..] else { panic!("three experts have {} masks", own.len()) };
        assert!(first != second && second != third && first != third);
        assert_ne!(own, masks(DropoutScope::Expert, 1));
        for mask in &own {
            assert!(mask.iter().all(|kept| *kept == 0.0 || *kept == 2.0));
            assert!((mask.iter().sum::<f32>() / 2000.0 - 1.0).abs() < 0.1);
        }
        assert!(ForwardContext::evaluation().input_dropout(half, 0, 3).is_none());
    }
}
