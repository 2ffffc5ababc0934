//! States of routers, which change after a step of training.

use crate::CausalLm;

impl CausalLm {
    /// Changes the states of the routers after a step. `active_tokens` are the tokens that activated each expert, of each
    /// routed layer, in the order of a forward pass.
    pub fn update_states<'a>(&mut self, active_tokens: impl IntoIterator<Item = &'a [f64]>) {
        let linears = self.linears_mut().into_iter();
        let adapters = linears.filter_map(|(_, linear)| linear.adapter.as_mut());
        let routed = adapters.filter(|adapter| adapter.config().method.router().is_some());
        for (adapter, active_tokens) in routed.zip(active_tokens) {
            let method = adapter.config().method.clone();
            let next = method.router().and_then(|router| router.feedback()?.next_state(adapter, active_tokens));
            if let Some((name, values)) = next {
                adapter.set(name, values);
            }
        }
    }
}
