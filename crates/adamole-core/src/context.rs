//! What travels with one forward pass: dropout on the way in, routing and the auxiliary loss on the way out.
//! Modules keep none of it, so that a pass leaves nothing stale behind.

use crate::{
    DropoutScope, DropoutSeed, Probability, Rows, ValidRows,
    router::{Router, RouterInput, Routing},
};
use adamole_kernels::Dropout;
use burn::tensor::{Device, Tensor};

/// How much of the routing a pass keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoutingDetail {
    /// Nothing.
    Off,
    /// Counts per expert and the mean threshold, per site.
    Counts,
    /// Also every row's threshold and how many experts it fired.
    Distributions,
    /// Also every row's probabilities, thresholds and selection.
    Rows,
}

/// One adapted linear's routing in one pass. Tensors carry no gradient.
#[derive(Debug, Clone)]
pub struct SiteRouting {
    /// Rows that selected each expert, `[1, N]`.
    pub selected_count: Tensor<2>,
    /// Sum of the thresholds over the rows, `[1, 1]`, where the router has one.
    pub threshold_sum: Option<Tensor<2>>,
    /// This site's share of the auxiliary loss, one element.
    pub balance_loss: Tensor<1>,
    /// Rows that counted.
    pub rows: usize,
    /// What each row fired, from [`RoutingDetail::Distributions`] on.
    pub row_counts: Option<RowCounts>,
    /// Every row, with [`RoutingDetail::Rows`].
    pub routed: Option<RoutedRows>,
}

/// How each of T rows was routed among N experts. Tensors carry no gradient.
#[derive(Debug, Clone)]
pub struct RoutedRows {
    /// The gate's softmax, `[T, N]`.
    pub probs: Tensor<2>,
    /// The thresholds, `[T, 1]`, where the router learns them.
    pub thresholds: Option<Tensor<2>>,
    /// 1 where the expert fired, else 0, `[T, N]`.
    pub selected: Tensor<2>,
    /// Weight of each expert's output, `[T, N]`.
    pub weights: Tensor<2>,
}

/// What each of T rows fired. Tensors carry no gradient.
#[derive(Debug, Clone)]
pub struct RowCounts {
    /// Experts that fired, `[T, 1]`; -1 in rows that do not count.
    pub active: Tensor<2>,
    /// The thresholds, `[T, 1]`, where the router learns them.
    pub thresholds: Option<Tensor<2>>,
    /// What no threshold exceeds.
    pub max_threshold: f32,
}

/// Where the numbers of the gates' dropout masks start.
const GATE_SITES: usize = 1 << 32;

/// Between the numbers of the masks of a layer's experts.
const EXPERT_SITES: usize = 1 << 33;

/// The state of one forward pass. Sites (adapted linears with a gate) are numbered in the order of their calls.
#[derive(Debug)]
pub struct ForwardContext {
    dropout: Option<DropoutSeed>,
    scope: DropoutScope,
    valid_rows: Option<ValidRows>,
    sequences: usize,
    detail: RoutingDetail,
    next_site: usize,
    balance_loss: Option<Tensor<1>>,
    sites: Vec<SiteRouting>,
}

impl ForwardContext {
    /// No dropout, nothing recorded.
    pub fn evaluation() -> Self {
        Self {
            dropout: None,
            scope: DropoutScope::Layer,
            valid_rows: None,
            sequences: 1,
            detail: RoutingDetail::Off,
            next_site: 0,
            balance_loss: None,
            sites: Vec::new(),
        }
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

    /// Records routing at this level; anything above [`RoutingDetail::Off`] also accumulates the auxiliary loss.
    pub fn recording(mut self, detail: RoutingDetail) -> Self {
        self.detail = detail;
        self
    }

    /// Counts only these rows in the auxiliary loss and in the counts; all rows, padding included, without it.
    pub fn counting(mut self, rows: ValidRows) -> Self {
        self.valid_rows = Some(rows);
        self
    }

    /// Declares the rows to be those of `sequences` sequences of one length, one after the other; a single one without
    /// it. Routers that share experts out within a sequence need to know.
    pub fn set_sequences(&mut self, sequences: usize) {
        self.sequences = sequences;
    }

    /// The auxiliary loss summed over all sites so far, with its gradient; `None` where nothing was routed.
    pub fn balance_loss(&self) -> Option<Tensor<1>> {
        self.balance_loss.clone()
    }

    /// The number of sites so far, which is that of the next one.
    pub fn next_site(&self) -> usize {
        self.next_site
    }

    /// A pass over tensors with autodiff that does again what this one, over plain tensors, did from a site on: the same
    /// dropout, over the same rows. It has recorded nothing yet.
    pub fn replayed_from(&self, site: usize) -> Self {
        let tracked = |rows: &ValidRows| ValidRows { mask: Tensor::from_inner(rows.mask.clone()), count: rows.count };
        Self {
            dropout: self.dropout,
            scope: self.scope,
            valid_rows: self.valid_rows.as_ref().map(tracked),
            sequences: self.sequences,
            detail: self.detail,
            next_site: site,
            ..Self::evaluation()
        }
    }

    /// What each routed site did, in the order of the calls.
    pub fn into_sites(self) -> Vec<SiteRouting> {
        self.sites
    }

    /// The dropout on the input of `experts` experts in training: one for all of them, or one for each; `None` where
    /// nothing is dropped.
    pub(crate) fn input_dropout(&self, p: Probability, site: usize, experts: usize) -> Option<Vec<Dropout>> {
        let seed = self.dropout.filter(|_| p.get() > 0.0)?;
        Some(match self.scope {
            DropoutScope::Layer => vec![seed.dropout(site, p)],
            DropoutScope::Expert => (1..=experts).map(|i| seed.dropout(site + i * EXPERT_SITES, p)).collect(),
        })
    }

    /// A number for the adapter that asks, unique within the pass.
    pub(crate) fn enter_site(&mut self) -> usize {
        self.next_site += 1;
        self.next_site - 1
    }

    /// The router's dropout on `[T, N]` probabilities: 0 or 1 / (1 - p); `None` outside training.
    pub(crate) fn gate_mask(
        &self,
        p: Probability,
        site: usize,
        shape: [usize; 2],
        device: &Device,
    ) -> Option<Tensor<2>> {
        // A stream of its own beside the one of the input's mask.
        self.dropout.map(|seed| seed.dropout(GATE_SITES + site, p).mask(shape, device))
    }

    pub(crate) fn is_training(&self) -> bool {
        self.dropout.is_some()
    }

    /// The layout of an input of so many rows.
    pub(crate) fn rows(&self, total: usize) -> Rows {
        Rows::new(total, self.sequences, self.valid_rows.clone())
    }

    pub(crate) fn record(&mut self, router: &dyn Router, input: &RouterInput<'_>, routing: &Routing) {
        if self.detail == RoutingDetail::Off {
            return;
        }
        let rows = input.rows;
        let loss = router.balance_loss(routing, rows);
        let thresholds = router.thresholds(input).map(Tensor::detach);
        self.sites.push(SiteRouting {
            selected_count: rows.sum(routing.selected.clone()).detach(),
            threshold_sum: thresholds.clone().map(|thresholds| rows.sum(thresholds)),
            balance_loss: loss.clone().detach(),
            rows: rows.count(),
            row_counts: (self.detail >= RoutingDetail::Distributions).then(|| RowCounts {
                active: rows.masked(routing.selected.clone().detach().sum_dim(1) + 1.0) - 1.0,
                thresholds: thresholds.clone(),
                max_threshold: router.max_threshold(),
            }),
            routed: (self.detail == RoutingDetail::Rows).then(|| RoutedRows {
                probs: input.probs().detach(),
                thresholds,
                selected: routing.selected.clone().detach(),
                weights: routing.weights.clone().detach(),
            }),
        });
        self.balance_loss = Some(match self.balance_loss.take() {
            None => loss,
            Some(sum) => sum + loss,
        });
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
        let masks = |scope, site| {
            let dropouts = ForwardContext::training(seed).with_dropout_scope(scope).input_dropout(half, site, 3);
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
