//! Rows of one pass that have different adapters on the same frozen weights.

use crate::{Adapter, ForwardContext, LayerRouting, RoutingDetail, Rows};
use std::sync::Arc;

/// The adapters of a model, one place for each linear in the order of a forward pass.
#[derive(Debug, Clone, Default)]
pub struct AdapterSet(Vec<Option<Adapter>>);

impl AdapterSet {
    /// The adapter of the linear with this number.
    fn get(&self, number: usize) -> Option<&Adapter> {
        self.0.get(number)?.as_ref()
    }
}

impl FromIterator<Option<Adapter>> for AdapterSet {
    fn from_iter<I: IntoIterator<Item = Option<Adapter>>>(adapters: I) -> Self {
        Self(adapters.into_iter().collect())
    }
}

/// Adjacent rows of a pass with the same adapters, or with none. They are routed as if they were alone, and their routing is
/// recorded apart.
#[derive(Debug)]
pub struct RowGroup {
    rows: usize,
    adapters: Option<Arc<AdapterSet>>,
    context: ForwardContext,
}

impl RowGroup {
    /// Rows with these adapters, whose routing is recorded at this level.
    pub fn new(rows: Rows, adapters: Option<Arc<AdapterSet>>, detail: RoutingDetail) -> Self {
        let count = rows.total();
        let mut context = ForwardContext::evaluation().recording(detail);
        context.set_rows(rows);
        Self { rows: count, adapters, context }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The routing of each routed layer, in the order of the pass.
    pub fn into_layers(self) -> Vec<LayerRouting> {
        self.context.into_layers()
    }

    /// The adapter of these rows on the linear with this number, and what travels with their pass; `None` where there is no
    /// adapter, or one that is a part of experts that are whole blocks.
    pub(crate) fn on_linear(&mut self, number: usize) -> Option<(&Adapter, &mut ForwardContext)> {
        let adapter = self.adapters.as_ref()?.get(number).filter(|adapter| !is_of_block(adapter))?;
        Some((adapter, &mut self.context))
    }

    /// The adapters of these rows on the three linears of a feed-forward block from this number on, and what travels with
    /// their pass.
    pub(crate) fn on_block(&mut self, first: usize) -> ([Option<&Adapter>; 3], &mut ForwardContext) {
        let adapters = self.adapters.as_ref();
        ([first, first + 1, first + 2].map(|number| adapters?.get(number)), &mut self.context)
    }

    /// Whether the experts of these rows are whole feed-forward blocks, on that whose linears begin with this number.
    pub(crate) fn routes_block(&self, first: usize) -> bool {
        let adapters = self.adapters.as_ref();
        (first..first + 3).filter_map(|number| adapters?.get(number)).any(is_of_block)
    }
}

/// Whether an adapter is a part of experts that are whole feed-forward blocks.
fn is_of_block(adapter: &Adapter) -> bool {
    adapter.config().method.block_choices().is_some()
}
