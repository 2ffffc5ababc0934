//! How a run trains. Defaults are the paper's; where ours differ, the field says so.

use crate::{Accumulation, AdamWSettings, Decay, Schedule, TrainError};
use adamole_core::DropoutScope;
use adamole_data::{LabelScope, Order, Padding};
use serde::{Deserialize, Serialize};

/// The settings of a fine-tuning run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Passes over the training data.
    pub epochs: usize,
    /// Examples per optimizer step.
    pub batch_size: usize,
    /// Examples per forward and backward pass; the auxiliary loss is computed within one.
    pub micro_batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises.
    pub warmup_steps: usize,
    /// Whether it rises from 0, as published, which gives the first step no effect; otherwise from its first part.
    pub warmup_from_zero: bool,
    /// How it goes on after that, until the last step.
    pub decay: Decay,
    /// How micro-batches make one step.
    pub accumulation: Accumulation,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Largest norm of all gradients together; they are scaled down beyond it.
    pub max_grad_norm: f32,
    /// Weight of the auxiliary loss.
    pub balance_coefficient: f32,
    /// Links of a Chain of LoRA, which divide the epochs among them: at each new one the adapter is folded into the
    /// base and a fresh one begins, with its own warm-up and optimizer state. 1 for no chain.
    pub chain_links: usize,
    /// Ends the run after this many epochs without a better validation; `None` for never.
    pub patience: Option<usize>,
    /// Steps in a row that may be skipped because a loss or gradient is not finite; one more ends the run.
    pub max_skipped_steps: usize,
    /// Which tokens are trained on. Ours is the answer's token; the published code trains on the whole text.
    pub labels: LabelScope,
    /// Which experts share a dropout mask; all of a layer, where the published code has one mask for each.
    pub dropout_scope: DropoutScope,
    /// Where texts are filled up. Ours is the right, where padding counts for nothing.
    pub padding: Padding,
    /// Whether a layer's activations are computed again in the backward pass instead of being kept: less memory, more
    /// time.
    pub checkpoint_blocks: bool,
    /// The order of an epoch's examples. Ours mixes lengths within a batch; the published sampler groups them.
    pub order: Order,
    /// Seed of initialisation, order and dropout.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 16,
            micro_batch_size: 4,
            learning_rate: 1e-4,
            warmup_steps: 200,
            warmup_from_zero: true,
            decay: Decay::Constant,
            accumulation: Accumulation::Tokens,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            balance_coefficient: 1e-3,
            chain_links: 1,
            patience: None,
            max_skipped_steps: 3,
            labels: LabelScope::Answer,
            dropout_scope: DropoutScope::Layer,
            padding: Padding::Right,
            checkpoint_blocks: false,
            order: Order::Bucketed,
            seed: 0,
        }
    }
}

impl Recipe {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let positive = "an integer from 1 to 4294967295";
        for (name, value) in
            [("epochs", self.epochs), ("batch_size", self.batch_size), ("micro_batch_size", self.micro_batch_size)]
        {
            // Within 32 bits, so that no product of two of them is beyond 64.
            if value == 0 || u32::try_from(value).is_err() {
                return Err(TrainError::Recipe { name, value: value.to_string(), expected: positive });
            }
        }
        if self.patience == Some(0) {
            let expected = "an integer of at least 1";
            return Err(TrainError::Recipe { name: "patience", value: "0".into(), expected });
        }
        if self.chain_links == 0 || self.chain_links > self.epochs {
            let value = self.chain_links.to_string();
            return Err(TrainError::Recipe { name: "chain_links", value, expected: "1 to the number of epochs" });
        }
        for (name, value, positive) in [
            ("learning_rate", self.learning_rate, true),
            ("max_grad_norm", f64::from(self.max_grad_norm), true),
            ("weight_decay", f64::from(self.weight_decay), false),
            ("balance_coefficient", f64::from(self.balance_coefficient), false),
        ] {
            if !value.is_finite() || value < 0.0 || (positive && value == 0.0) {
                let expected = if positive { "a number above 0" } else { "a number of at least 0" };
                return Err(TrainError::Recipe { name, value: value.to_string(), expected });
            }
        }
        Ok(())
    }

    /// Whether a link of the chain, other than the first, begins with this epoch (counted from 1).
    pub(crate) fn begins_link(&self, epoch: usize) -> bool {
        let link = |epoch: usize| epoch * self.chain_links / self.epochs;
        epoch > 1 && link(epoch - 1) != link(epoch.saturating_sub(2))
    }

    /// The optimizer's part.
    pub fn optimizer(&self) -> AdamWSettings {
        AdamWSettings { weight_decay: self.weight_decay, max_grad_norm: self.max_grad_norm, ..AdamWSettings::default() }
    }

    /// The learning rate's course over `steps` steps; of a chain, over those of a link.
    pub fn schedule(&self, steps: usize) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            warmup_steps: self.warmup_steps,
            starts_at_zero: self.warmup_from_zero,
            decay: self.decay,
            end: steps,
            floor: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_divide_the_epochs() {
        let begins = |chain_links, epochs| {
            let recipe = Recipe { chain_links, epochs, ..Recipe::default() };
            (1..=epochs).filter(|epoch| recipe.begins_link(*epoch)).collect::<Vec<_>>()
        };
        assert!(begins(1, 5).is_empty());
        assert_eq!(begins(2, 4), [3]);
        assert_eq!(begins(3, 7), [4, 6]);
        assert_eq!(begins(4, 4), [2, 3, 4]);
    }
}
