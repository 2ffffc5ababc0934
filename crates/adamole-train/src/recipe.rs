//! The settings of a fine-tuning run. Defaults are the paper's; where ours differ, the field says so.

use crate::{Accumulation, AdamWSettings, Decay, schedule::Schedule};
use adamole_core::{DropoutScope, SettingError, settings};
use adamole_data::{LabelScope, Layout, Order, Padding, by_tokens, epoch_batches};
use serde::{Deserialize, Serialize};

settings! {
    /// The settings of a fine-tuning run.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Recipe {
        /// Passes over the training data.
        pub epochs: usize = 10, common;
        /// Examples per optimizer step.
        pub batch_size: usize = 16, common;
        /// Examples per micro-batch: one forward and backward pass. The load balancing loss is computed within one.
        pub micro_batch_size: usize = 4;
        /// Tokens per micro-batch, in place of examples: texts are packed one after the other without padding, each as it
        /// is alone. A longer text is a micro-batch of its own.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub micro_batch_tokens: Option<usize> = None, shown("micro_batch_size examples side by side; on GPUs up to 2048, where neither is set");
        /// Peak learning rate.
        pub learning_rate: f64 = 1e-4, common;
        /// Learning rate of the experts' B, as a multiple of that of all other parameters (LoRA+; Hayou et al. 2024).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub loraplus_lr_ratio: Option<f64> = None, shown("the same learning rate");
        /// Steps of linear warm-up.
        pub warmup_steps: usize = 200, common;
        /// Whether the warm-up starts with a step of learning rate 0, as in the reference implementation; otherwise it
        /// starts with the first fraction of the peak.
        pub warmup_from_zero: bool = true, reference("true");
        /// The learning rate after the warm-up.
        pub decay: Decay = Decay::Constant;
        /// How the losses of micro-batches make that of a step: a mean over all tokens, or a mean of the micro-batches'
        /// means, as in the reference implementation.
        pub accumulation: Accumulation = Accumulation::Tokens, reference("micro-batches");
        /// Decoupled weight decay.
        pub weight_decay: f32 = 0.0;
        /// Largest norm of all gradients together; larger ones are scaled down to it.
        pub max_grad_norm: f32 = 1.0;
        /// Weight of the load balancing loss. The method's scale in its default is num_experts where the loss is a mean over
        /// experts (SiRA), 0.00001 where the weight is adapted in each step (ReMoLE), and 1 otherwise.
        pub balance_coefficient: f32 = 1e-3, shown("0.001 times the method's scale"), common;
        /// Links of a chain of LoRA, which divide the epochs among them; 1 for no chain. At each new link the adapter is
        /// merged into the base, and a fresh one starts with its own warm-up and optimizer state. Only for plain LoRA, and on a
        /// base in float32.
        pub chain_links: usize = 1;
        /// Epochs without a better validation after which the run ends.
        pub patience: Option<usize> = None, shown("never"), common;
        /// Consecutive steps that may be skipped because a loss or gradient is not finite; one more ends the run.
        pub max_skipped_steps: usize = 3;
        /// Label scope: the tokens that have a loss, those of the answer or those of the whole text, as in the reference
        /// implementation.
        pub labels: LabelScope = LabelScope::Answer, reference("text");
        /// Which experts share a dropout mask: all of a layer, or none (`expert`), as in the reference implementation.
        pub dropout_scope: DropoutScope = DropoutScope::Layer, reference("expert");
        /// The side on which texts are padded: right, where padding has no effect, or left, as in the reference
        /// implementation.
        pub padding: Padding = Padding::Right, reference("left");
        /// Recompute a layer's activations in the backward pass: less memory, more time. This is activation
        /// checkpointing.
        pub checkpoint_blocks: bool = false;
        /// Order of the examples: batches of mixed lengths, or of one length each, as in the reference implementation.
        pub order: Order = Order::Bucketed, reference("length-grouped");
        /// Seed of initialisation, order and dropout.
        pub seed: u64 = 0, common;
    }
}

impl Recipe {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        for (name, value) in
            [("epochs", self.epochs), ("batch_size", self.batch_size), ("micro_batch_size", self.micro_batch_size)]
        {
            // Within 32 bits, so that the product of two of them fits 64.
            if value == 0 || u32::try_from(value).is_err() {
                return Err(SettingError::invalid(name, value, "an integer from 1 to 4294967295"));
            }
        }
        if self.micro_batch_tokens == Some(0) {
            return Err(SettingError::invalid("micro_batch_tokens", 0, "an integer of at least 1"));
        }
        if self.micro_batch_tokens.is_some() && self.padding == Padding::Left {
            return Err(SettingError::invalid("padding", self.padding, "right, where micro_batch_tokens is set"));
        }
        if self.patience == Some(0) {
            return Err(SettingError::invalid("patience", 0, "an integer of at least 1"));
        }
        if self.chain_links == 0 || self.chain_links > self.epochs {
            return Err(SettingError::invalid("chain_links", self.chain_links, "1 to the number of epochs"));
        }
        for (name, value, least) in [
            ("learning_rate", self.learning_rate, f64::MIN_POSITIVE),
            ("loraplus_lr_ratio", self.loraplus_lr_ratio.unwrap_or(1.0), f64::MIN_POSITIVE),
            ("max_grad_norm", f64::from(self.max_grad_norm), f64::MIN_POSITIVE),
            ("weight_decay", f64::from(self.weight_decay), 0.0),
            ("balance_coefficient", f64::from(self.balance_coefficient), 0.0),
        ] {
            if !(value.is_finite() && value >= least) {
                let expected = if least > 0.0 { "a number above 0" } else { "a number of at least 0" };
                return Err(SettingError::invalid(name, value, expected));
            }
        }
        Ok(())
    }

    /// The batches of an epoch, counted from 1, of texts with these lengths: lists of micro-batches, which are lists of
    /// indices.
    pub fn batches(&self, lengths: &[usize], epoch: usize) -> Vec<Vec<Vec<usize>>> {
        let (batch_size, micro_batch) = (self.batch_size, self.micro_batch_size);
        let mut batches = epoch_batches(lengths, batch_size, micro_batch, self.order, self.seed, epoch as u64);
        if let Some(most) = self.micro_batch_tokens {
            let packs = |batch: Vec<Vec<usize>>| by_tokens(batch.into_iter().flatten(), lengths, most);
            batches = batches.into_iter().map(packs).collect();
        }
        batches
    }

    /// How the texts of a micro-batch lie in it.
    pub fn layout(&self) -> Layout {
        if self.micro_batch_tokens.is_some() { Layout::Packed } else { Layout::Padded(self.padding) }
    }

    /// Whether this epoch (counted from 1) is the first of a link other than the first link.
    pub(crate) fn begins_link(&self, epoch: usize) -> bool {
        let link = |epoch: usize| epoch * self.chain_links / self.epochs;
        epoch > 1 && link(epoch - 1) != link(epoch.saturating_sub(2))
    }

    /// The settings of the optimizer.
    pub(crate) fn optimizer(&self) -> AdamWSettings {
        AdamWSettings {
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
            rate_ratio_of_b: self.loraplus_lr_ratio.unwrap_or(1.0),
            ..AdamWSettings::default()
        }
    }

    /// The learning rate schedule over `steps` steps: those of the run or, in a chain of LoRA, of one link.
    pub(crate) fn schedule(&self, steps: usize) -> Schedule {
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
