//! Inverted dropout whose mask is a function of (seed, step, micro-batch, adapter, element): the same on every
//! backend, for any number of workers and after any interruption.

use crate::{CounterRng, Probability};
use adamole_kernels::Dropout;
use serde::{Deserialize, Serialize};

/// Which experts share a mask on their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropoutScope {
    /// All experts of a layer, which are one product then.
    #[default]
    Layer,
    /// None: every expert has its own mask, as in the reference implementation, and is a product of its own.
    Expert,
}

/// Names one micro-batch of one run; every adapted linear draws its own mask from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropoutSeed {
    /// The run's seed.
    pub run: u64,
    /// Optimizer step.
    pub step: u64,
    /// Micro-batch within the step.
    pub micro_batch: u64,
}

impl DropoutSeed {
    /// The dropout of an adapter, or of anything else with a number of its own.
    pub(crate) fn dropout(self, adapter: usize, p: Probability) -> Dropout {
        let key = CounterRng::new(&[self.run, self.step, self.micro_batch, adapter as u64]).counter();
        Dropout::new(key, p.get())
    }
}
