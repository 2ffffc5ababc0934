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

    /// The adapter of these rows on the linear with this number, and what travels with their pass.
    pub(crate) fn on_linear(&mut self, number: usize) -> Option<(&Adapter, &mut ForwardContext)> {
        Some((self.adapters.as_ref()?.get(number)?, &mut self.context))
    }
}
