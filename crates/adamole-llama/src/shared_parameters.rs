//! Parameters that the adapters of several linears share.

use crate::CausalLm;
use adamole_core::{Adapter, SharedParameters};

impl CausalLm {
    /// The model in which every adapter has the shared parameters of the first one that has them. Whatever replaces
    /// parameters one by one ends with it: adapters have copies of their own after that.
    pub fn tied(mut self) -> Self {
        self.tie();
        self
    }

    /// [`CausalLm::tied`] in place.
    pub(crate) fn tie(&mut self) {
        let mut first = SharedParameters::default();
        self.adapters_mut().for_each(|adapter| adapter.tie(&mut first));
    }

    fn adapters_mut(&mut self) -> impl Iterator<Item = &mut Adapter> {
        let layers = self.model.layers.iter_mut();
        layers.flat_map(|layer| layer.linears_mut()).filter_map(|(_, linear)| linear.adapter.as_mut())
    }
}
